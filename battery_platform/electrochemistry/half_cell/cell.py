"""Discharges of electrodes against lithium: many electrodes, one built model.

In scope: refusing impossible cells before anything is solved, reusing the model, retrying, and the
figures of a discharge at the level of the electrode. Out of scope: equations (see `model`), geometry
(`electrode`), the assumed numbers (`assumptions`).

Limitations: constant current; a caller with many electrodes starts several processes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from battery_platform.electrochemistry import materials
from battery_platform.electrochemistry.assumptions import Assumptions, choices, digest, numbers
from battery_platform.electrochemistry.half_cell import electrode as geometry
from battery_platform.electrochemistry.half_cell.assumptions import HALF_CELL
from battery_platform.electrochemistry.half_cell.electrode import Electrode, Structure, structure
from battery_platform.electrochemistry.ranges import check_range
from battery_platform.electrochemistry.solving import (
    CUT_OFF,
    CUT_OFF_AT_START,
    CUT_OFF_EVENT,
    DEPLETED,
    FAILED,
    TIME_LIMIT,
    Settings,
    built,
    free_numbers,
    is_below_at_start,
    one_line,
)
from battery_platform.errors import PlatformError

Array = npt.NDArray[np.float64]

# Where salt runs out the reaction crowds against the separator, and salt piles up at the lithium.
USUAL = Settings(
    electrode_cells=30,
    separator_cells=16,
    particle_cells=5,
    length_stretch=2.0,
    rtol=3e-5,
    error_of_states_only=True,
)
MODEL = "battery_platform.electrochemistry.half_cell.model"
NOTHING, ELECTROLYTE, ELECTRONS = "nothing", "electrolyte", "electrons"
PARTICLES = "particles"
UNUSED = 0.05
"""Unused share of the usable charge above which an electrode counts as limited."""
# In units of 1/C hours; at equilibrium the widest assumed window lasts 1.25.
_LONGEST = 1.5


@dataclass(frozen=True)
class HalfCell:
    """An electrode against lithium, and its load."""

    electrode: Electrode
    c_rate: float = 1.0
    lower_v: float = 3.2


@dataclass(frozen=True, eq=False)
class Discharge:
    """A discharge with everything it is based on; if it failed, the figures are None and the curve is empty.

    Energy and power refer to the mass of the electrode (coating, electrolyte in its pores,
    collector), never to a cell. `capacity_mah_g` refers to the active material. `unused_share` is how
    much less the average particle has taken up than the fullest end of the electrode, as a share of what
    the material holds between start and cut-off: the charge left unused because of transport through the
    electrode. `unused_in_particles` is what even the fullest end has not taken up, because of diffusion in
    the particles and overvoltage. `limited_by` names the larger of the two if it exceeds `UNUSED`: if
    particles are fuller beside the separator, salt did not reach the others; if they are fuller beside
    the collector, electrons did not; otherwise the particles themselves lag behind.
    """

    cell: HalfCell
    structure: Structure | None
    current_a_m2: float | None
    time_s: Array
    voltage_v: Array
    capacity_mah_cm2: float | None
    capacity_mah_g: float | None
    specific_energy_wh_kg: float | None
    specific_power_w_kg: float | None
    discharge_time_s: float | None
    filling_start: float | None
    filling_end: float | None
    unused_share: float | None
    unused_in_particles: float | None
    limited_by: str | None
    ended_by: str
    depleted: bool
    failed: bool
    reason: str | None
    first_failure: str | None
    settings: Settings
    seconds: float
    assumptions_digest: str

    @property
    def retried(self) -> bool:
        return self.first_failure is not None


def check_half_cell(cell: HalfCell, assumptions: Assumptions = HALF_CELL) -> None:
    """Refuse an impossible half cell, in one sentence with a remedy."""
    check_load(cell.c_rate, cell.lower_v)
    geometry.check_electrode(cell.electrode, assumptions)


def check_load(c_rate: float, lower_v: float) -> None:
    """Refuse an impossible load."""
    remedy = "Give the multiple of 1C as a positive number."
    check_range("c_rate", c_rate, 0.01, 20.0, remedy)
    check_range("lower_v", lower_v, 2.5, 4.1, "Give volts against lithium, not millivolts.")


def one_c_a_m2(built_: Structure, assumptions: Assumptions = HALF_CELL) -> float:
    """Current density of 1C, which delivers the assumed capacity of the active material in one hour."""
    return built_.masses.active_material_mg_cm2 * numbers(assumptions)["one_c_mah_g"] / 100


def equilibrium_filling(voltage_v: float, assumptions: Assumptions = HALF_CELL) -> float:
    """Share of filled sites when the electrode rests at a voltage."""
    given, chosen = numbers(assumptions), choices(assumptions)
    return _equilibrium(
        voltage_v,
        chosen["open_circuit_curve"],
        given["stoichiometry_at_curve_start"],
        given["stoichiometry_at_curve_end"],
    )


@lru_cache(maxsize=64)
def _equilibrium(voltage_v: float, name: str, start: float, end: float) -> float:
    from scipy.optimize import brentq

    curve = materials.OPEN_CIRCUIT_CURVES[name]
    # The tail is steep enough that a hundredth of the window beyond its end reaches below 2.5 V.
    beyond = end + 0.01 * (end - start)
    return float(brentq(lambda x: curve((x - start) / (end - start)) - voltage_v, start, beyond))


def solve(
    cells: Iterable[HalfCell],
    assumptions: Assumptions = HALF_CELL,
    settings: Settings = USUAL,
    compiled: bool = False,
) -> list[Discharge]:
    """One discharge per cell, in order; cells that fail or are refused raise nothing.

    `compiled` lets PyBaMM translate the model into C, once per machine; see `graded.cell.solve`.
    """
    return [_result(cell, assumptions, settings, compiled) for cell in cells]


def _result(
    cell: HalfCell, assumptions: Assumptions, settings: Settings, compiled: bool
) -> Discharge:
    begun = time.perf_counter()
    first_failure = None
    try:
        check_half_cell(cell, assumptions)
    except PlatformError as refusal:
        figures = _nothing(str(refusal)) | {"structure": None, "current_a_m2": None}
    else:
        figures = _discharge(cell, assumptions, settings, compiled)
        if figures["failed"]:
            first_failure, settings = figures["reason"], settings.finer()
            figures = _discharge(cell, assumptions, settings, compiled=False)
    return Discharge(
        cell=cell,
        **figures,
        first_failure=first_failure,
        settings=settings,
        seconds=time.perf_counter() - begun,
        assumptions_digest=digest(assumptions),
    )


def _discharge(
    cell: HalfCell, assumptions: Assumptions, settings: Settings, compiled: bool
) -> dict[str, Any]:
    shape = structure(cell.electrode, assumptions)
    current = cell.c_rate * one_c_a_m2(shape, assumptions)
    common = {"structure": shape, "current_a_m2": current}
    try:
        model = built(MODEL, assumptions, settings, compiled)
        solution = model.solver.solve(
            model.model,
            [0, 3600 * _LONGEST / cell.c_rate],
            inputs=inputs(cell, shape, current, assumptions, model.module),
        )
    except Exception as error:  # whatever the solver raises, the other cells go on
        if is_below_at_start(one_line(error)):
            return _nothing(None) | common | _AT_START
        return _nothing(f"{type(error).__name__}: {one_line(error)}") | common
    return _figures(solution, cell, shape, current, assumptions, model.module) | common


_AT_START: dict[str, Any] = {
    "specific_energy_wh_kg": 0.0,
    "specific_power_w_kg": 0.0,
    "capacity_mah_cm2": 0.0,
    "capacity_mah_g": 0.0,
    "discharge_time_s": 0.0,
    "ended_by": CUT_OFF_AT_START,
    "failed": False,
}


def inputs(
    cell: HalfCell, shape: Structure, current: float, assumptions: Assumptions, module: Any
) -> dict[str, float]:
    """Inputs of the built model for one electrode."""
    given = numbers(assumptions)
    return (
        free_numbers(module, assumptions)
        | {
            "current_a_m2": current,
            "lower_v": float(cell.lower_v),
            "thickness_um": shape.thickness_um,
            "porosity": shape.porosity,
            "active_fraction": shape.active_fraction,
            "density_ratio": shape.density_ratio,
            "tortuosity_factor": shape.tortuosity_factor,
            "conductivity_s_m": shape.conductivity_s_m,
            "wetted_share": shape.wetted_share,
            "filling_start": equilibrium_filling(given["upper_voltage_v"], assumptions),
        }
        | dict(zip(module.AREA_SHARES, shape.group_surfaces_1_um, strict=True))
    )


def _figures(
    solution: Any,
    cell: HalfCell,
    shape: Structure,
    current: float,
    assumptions: Assumptions,
    module: Any,
) -> dict[str, Any]:
    if solution.termination != f"event: {CUT_OFF_EVENT}":
        reached = solution.termination == "final time"
        return _nothing(f"{solution.termination} before the cut-off voltage") | {
            "ended_by": TIME_LIMIT if reached else FAILED
        }
    given = numbers(assumptions)
    moments = np.asarray(solution.t, dtype=np.float64)
    voltage, energy, salt, filling, beside_separator, beside_collector = (
        np.asarray(solution[name].entries, dtype=np.float64)
        for name in (
            "Voltage [V]",
            "Discharge energy [W.h]",
            module.MINIMUM_SALT,
            module.FILLING,
            module.FILLING_AT_SEPARATOR,
            module.FILLING_AT_COLLECTOR,
        )
    )
    hours = float(moments[-1]) / 3600
    capacity = 0.1 * current * hours
    specific = float(energy[-1]) / (0.01 * shape.masses.electrode_mg_cm2)
    start = equilibrium_filling(given["upper_voltage_v"], assumptions)
    usable = equilibrium_filling(cell.lower_v, assumptions) - start
    ends = {ELECTROLYTE: float(beside_separator[-1]), ELECTRONS: float(beside_collector[-1])}
    fuller = max(ends, key=lambda name: ends[name])
    unused = max(0.0, (ends[fuller] - float(filling[-1])) / usable)
    inside = 1 - (ends[fuller] - start) / usable
    return {
        "time_s": moments,
        "voltage_v": voltage,
        "capacity_mah_cm2": capacity,
        "capacity_mah_g": 1000 * capacity / shape.masses.active_material_mg_cm2,
        "specific_energy_wh_kg": specific,
        "specific_power_w_kg": specific / hours,
        "discharge_time_s": 3600 * hours,
        "filling_start": start,
        "filling_end": float(filling[-1]),
        "unused_share": unused,
        "unused_in_particles": inside,
        "limited_by": _limit(fuller, unused, inside),
        "ended_by": CUT_OFF,
        "depleted": bool(np.min(salt) < DEPLETED * given["electrolyte_concentration_mol_m3"]),
        "failed": False,
        "reason": None,
    }


def _limit(transport: str, unused: float, inside: float) -> str:
    if max(unused, inside) <= UNUSED:
        return NOTHING
    return transport if unused >= inside else PARTICLES


def _nothing(reason: str | None) -> dict[str, Any]:
    names = (
        "capacity_mah_cm2",
        "capacity_mah_g",
        "specific_energy_wh_kg",
        "specific_power_w_kg",
        "discharge_time_s",
        "filling_start",
        "filling_end",
        "unused_share",
        "unused_in_particles",
        "limited_by",
    )
    return dict.fromkeys(names) | {
        "time_s": np.empty(0),
        "voltage_v": np.empty(0),
        "ended_by": FAILED,
        "depleted": False,
        "failed": True,
        "reason": reason,
    }
