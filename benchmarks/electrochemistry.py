"""Discharges of graded cells on one reused model, against a PyBaMM `Simulation` built per point.

The peer is what users do: our equations, mesh and tolerances in a `Simulation` with IDAKLU for each
design. 25 designs, five at each of five rates; CPU of one solve is the median. Energies of both
must agree.
"""

from __future__ import annotations

from typing import Any

from benchmarks.measure import Result, in_a_process, median

DESIGNS = """
import time
from battery_platform.electrochemistry.assumptions import choices, numbers
from battery_platform.electrochemistry.graded import cell
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.sweeps import paper_designs
designs = paper_designs(2, 140.0)[::24][:25]
assert len(designs) == 25 and len({one.c_rate for one in designs}) == 5
times, energies = [], []
"""

OURS = (
    DESIGNS
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

PEER = (
    DESIGNS
    + """
import pybamm
module = cell._model()
names = tuple(name for name in numbers(GRADED) if name not in module.BUILT_IN)
settings = cell.Settings()
for one in designs:
    sizing = cell.size(one.negative_mean, one.positive_mean, one.positive_um, GRADED)
    inputs = cell._inputs(one, sizing, GRADED, module, settings.electrode_cells)
    begun = time.process_time()
    model = module.continuous_model()
    simulation = pybamm.Simulation(
        model,
        parameter_values=pybamm.ParameterValues(
            module._parameters(numbers(GRADED), choices(GRADED), names)
        ),
        var_pts=module.points(
            settings.electrode_cells, settings.separator_cells, settings.particle_cells
        ),
        submesh_types=module.meshes(model, settings.particle_stretch),
        solver=pybamm.IDAKLUSolver(rtol=settings.rtol, atol=settings.atol),
    )
    solution = simulation.solve([0, 3600 * 1.5 / one.c_rate], inputs=inputs)
    times.append(time.process_time() - begun)
    energy = float(solution["Discharge energy [W.h]"].entries[-1])
    energies.append(cell.specific_energy_wh_kg(energy, sizing))
found = {"times": times, "energies": energies}
"""
)


def run() -> list[Result]:
    """CPU per solve: the peer's, ours reused, ours reused and compiled."""
    peer = in_a_process(PEER)
    found = []
    for name, compiled, bound in (("reused", False, 15), ("reused and compiled", True, 30)):
        ours = in_a_process(f"COMPILED = {compiled}\n{OURS}")
        found.append(_ratio(name, ours, peer, bound))
    return found


def _ratio(name: str, ours: dict[str, Any], peer: dict[str, Any], bound: float) -> Result:
    apart = max(
        abs(mine / theirs - 1)
        for mine, theirs in zip(ours["energies"], peer["energies"], strict=True)
    )
    assert apart < 1e-3, f"energies differ by {apart:.2%}"
    one, other = median(ours["times"]), median(peer["times"])
    return Result(
        f"graded cell, {name}: times less CPU than a Simulation per point",
        other / one,
        bound,
        True,
        f"[{1000 * one:.1f} against {1000 * other:.0f} ms; energies within {apart:.1e}]",
    )
