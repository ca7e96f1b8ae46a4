"""Discharges on one reused model, against a PyBaMM `Simulation` built per point.

The peer is what users do: our equations in a `Simulation` with IDAKLU for each design, on our mesh and
tolerances, for the half cell also on PyBaMM's own. Designs of both cells are spread over five rates;
CPU of one solve is the median. Energies of both must agree where the mesh is the same; the error of
the half cell's mesh is that against a four times finer one.
"""

from __future__ import annotations

from typing import Any

from benchmarks.measure import Result, in_a_process, median

GRADED_DESIGNS = """
import time
from battery_platform.electrochemistry.assumptions import choices, numbers
from battery_platform.electrochemistry.graded import cell
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded_runs import paper_designs
designs = paper_designs(2, 140.0)[::24][:25]
assert len(designs) == 25 and len({one.c_rate for one in designs}) == 5
times, energies = [], []
"""

GRADED_OURS = (
    GRADED_DESIGNS
    + """
cell.solve(designs[:1], compiled=COMPILED)  # builds the model
for one in designs:
    begun = time.process_time()
    (result,) = cell.solve([one], compiled=COMPILED)
    times.append(time.process_time() - begun)
    energies.append(result.energy_wh_kg)
found = {"times": times, "energies": energies}
"""
)

GRADED_PEER = (
    GRADED_DESIGNS
    + """
import pybamm
from battery_platform.electrochemistry.graded import model as module
names = tuple(name for name in numbers(GRADED) if name not in module.BUILT_IN)
settings = cell.USUAL
for one in designs:
    sizing = cell.size(one.negative_mean, one.positive_mean, one.positive_um, GRADED)
    inputs = cell.inputs(one, sizing, GRADED, module, settings.electrode_cells)
    begun = time.process_time()
    model = module.continuous_model()
    simulation = pybamm.Simulation(
        model,
        parameter_values=pybamm.ParameterValues(
            module.parameters(numbers(GRADED), choices(GRADED), names)
        ),
        var_pts=module.points(settings),
        submesh_types=module.submeshes(model, settings),
        solver=pybamm.IDAKLUSolver(rtol=settings.rtol, atol=settings.atol),
    )
    solution = simulation.solve([0, 3600 * 1.5 / one.c_rate], inputs=inputs)
    times.append(time.process_time() - begun)
    energy = float(solution["Discharge energy [W.h]"].entries[-1])
    energies.append(cell.specific_energy_wh_kg(energy, sizing))
found = {"times": times, "energies": energies}
"""
)


HALF_DESIGNS = """
import time
from dataclasses import replace
from battery_platform.electrochemistry.assumptions import choices, numbers
from battery_platform.electrochemistry.electrode_tables import space
from battery_platform.electrochemistry.half_cell import cell
from battery_platform.electrochemistry.half_cell.assumptions import HALF_CELL
cells = [
    replace(one.cell, c_rate=(0.5, 1.0, 2.0, 3.0, 5.0)[n % 5]) for n, one in enumerate(space(40))
]
times, energies = [], []
"""

HALF_OURS = (
    HALF_DESIGNS
    + """
cell.solve(cells[:1], settings=SETTINGS(cell.USUAL), compiled=COMPILED)  # builds the model
for one in cells:
    begun = time.process_time()
    (result,) = cell.solve([one], settings=SETTINGS(cell.USUAL), compiled=COMPILED)
    times.append(time.process_time() - begun)
    energies.append(result.specific_energy_wh_kg)
found = {"times": times, "energies": energies}
"""
)

HALF_PEER = (
    HALF_DESIGNS
    + """
import pybamm
from battery_platform.electrochemistry.half_cell import model as module
names = tuple(name for name in numbers(HALF_CELL) if name not in module.BUILT_IN)
lengths = ("negative electrode", "separator", "positive electrode")
for one in cells:
    shape = cell.structure(one.electrode)
    current = one.c_rate * cell.one_c_a_m2(shape)
    asked = cell.inputs(one, shape, current, HALF_CELL, module)
    begun = time.process_time()
    model = module.continuous_model()
    if OUR_MESH:
        points, submeshes = module.points(cell.USUAL), module.submeshes(model, cell.USUAL)
        solver = pybamm.IDAKLUSolver(rtol=cell.USUAL.rtol, atol=cell.USUAL.atol)
    else:
        points = model.default_var_pts | {"R_p": 6}
        uniform = pybamm.MeshGenerator(pybamm.SymbolicUniform1DSubMesh)
        submeshes = model.default_submesh_types | dict.fromkeys(lengths, uniform)
        solver = pybamm.IDAKLUSolver()
    simulation = pybamm.Simulation(
        model,
        parameter_values=pybamm.ParameterValues(module.parameters(choices(HALF_CELL), names)),
        var_pts=points,
        submesh_types=submeshes,
        solver=solver,
    )
    try:
        solution = simulation.solve([0, 3600 * 1.5 / one.c_rate], inputs=asked)
        energy = float(solution["Discharge energy [W.h]"].entries[-1])
        energies.append(energy / (0.01 * shape.masses.electrode_mg_cm2))
    except pybamm.SolverError:
        energies.append(None)
    times.append(time.process_time() - begun)
found = {"times": times, "energies": energies}
"""
)


def run() -> list[Result]:
    """CPU per solve: the peer's, ours reused, ours reused and compiled; and the mesh's error."""
    found = []
    peer = in_a_process(GRADED_PEER)
    for name, compiled, bound in (("reused", False, 15), ("reused and compiled", True, 30)):
        ours = in_a_process(f"COMPILED = {compiled}\n{GRADED_OURS}")
        found.append(_ratio(f"graded cell, {name}", ours, peer, bound))
    usual = "SETTINGS = lambda usual: usual\n"
    ours = in_a_process(f"{usual}COMPILED = True\n{HALF_OURS}")
    for name, our_mesh in (("our mesh", True), ("PyBaMM's own mesh", False)):
        peer = in_a_process(f"OUR_MESH = {our_mesh}\n{HALF_PEER}")
        found.append(
            _ratio(f"half cell, six sizes, compiled, peer on {name}", ours, peer, 20, our_mesh)
        )
    return [*found, _mesh_error(ours)]


def _mesh_error(ours: dict[str, Any]) -> Result:
    finer = (
        "SETTINGS = lambda usual: replace(usual, electrode_cells=100, separator_cells=40, "
        "particle_cells=25, rtol=1e-6, atol=1e-8)\n"
    )
    fine = in_a_process(f"{finer}COMPILED = False\n{HALF_OURS}")
    apart = sorted(
        100 * abs(mine / theirs - 1)
        for mine, theirs in zip(ours["energies"], fine["energies"], strict=True)
        if theirs
    )
    p90 = apart[int(0.9 * len(apart))]
    said = f"[median {median(apart):.2f} %, largest {apart[-1]:.2f} %, {len(apart)} electrodes]"
    return Result("half cell, error of the mesh at p90 in %", p90, 0.5, False, said)


def _ratio(
    name: str, ours: dict[str, Any], peer: dict[str, Any], bound: float, same_mesh: bool = True
) -> Result:
    pairs = zip(ours["energies"], peer["energies"], strict=True)
    apart = max(abs(mine / theirs - 1) for mine, theirs in pairs if theirs)
    assert apart < 1e-3 or not same_mesh, f"energies differ by {apart:.2%}"
    failed = sum(one is None for one in peer["energies"])
    one, other = median(ours["times"]), median(peer["times"])
    return Result(
        f"{name}: times less CPU than a Simulation per point",
        other / one,
        bound,
        True,
        f"[{1000 * one:.1f} against {1000 * other:.0f} ms; energies within {apart:.1e}; "
        f"{failed} of the peer's failed]",
    )
