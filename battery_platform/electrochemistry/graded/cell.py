"""Discharges of graded full cells: many designs, one built model.

In scope: designs, refusing impossible ones before anything is solved, reusing the model, retrying, and
the figures of a discharge. Out of scope: equations (see `model`), sizes and masses (`sizing`), the
assumed numbers (`assumptions`).

Limitations: constant current, one process; there is no limit on wall time, only the solver's own check
for lack of progress. A caller with many designs starts several processes, each of which builds its model
once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from battery_platform.electrochemistry.assumptions import Assumptions, digest, numbers
from battery_platform.electrochemistry.graded import profiles
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.profiles import Layer, Profile
from battery_platform.electrochemistry.graded.sizing import (
    Sizing,
    current_a_m2,
    electrode_density,
    separator_density,
    size,
    specific_energy_wh_kg,
    specific_power_w_kg,
)
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

USUAL = Settings()
MODEL = "battery_platform.electrochemistry.graded.model"
# In units of 1/C hours; emptied completely, the negative electrode would last 1.03.
_LONGEST = 1.5


@dataclass(frozen=True)
class Design:
    """A cell and its load; the means of the profiles are given because they size the cell.

    If a profile is coated in layers, `positive_layers` and `negative_layers`, from separator to
    collector, are simulated instead of its points.
    """

    positive: Profile
    negative: Profile
    positive_mean: float
    negative_mean: float
    positive_um: float
    c_rate: float
    lower_v: float = 2.5
    positive_direction: str = "graded"
    negative_direction: str = "graded"
    positive_layers: tuple[Layer, ...] | None = None
    negative_layers: tuple[Layer, ...] | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """A discharge with everything it is based on; if it failed, the figures are None and the curve is empty.

    A cell that is below its cut-off from the start has not failed: it delivers nothing.
    """

    design: Design
    sizing: Sizing | None
    energy_wh_kg: float | None
    power_w_kg: float | None
    capacity_mah_cm2: float | None
    temperature_rise_k: float | None
    discharge_time_s: float | None
    time_s: Array
    voltage_v: Array
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


def check_graded_cell(design: Design, assumptions: Assumptions = GRADED) -> None:
    """Refuse an impossible cell, in one sentence with a remedy."""
    for field, value, low, high, remedy in (
        ("c_rate", design.c_rate, 0.01, 20.0, "Give the multiple of 1C as a positive number."),
        ("lower_v", design.lower_v, 2.5, 4.0, "Give volts, not millivolts."),
    ):
        check_range(field, value, low, high, remedy)
    size(design.negative_mean, design.positive_mean, design.positive_um, assumptions)
    profiles.check_profile(
        design.positive, design.positive_mean, "positive", design.positive_direction
    )
    profiles.check_profile(
        design.negative, design.negative_mean, "negative", design.negative_direction
    )
    for field, layers, mean in (
        ("positive_layers", design.positive_layers, design.positive_mean),
        ("negative_layers", design.negative_layers, design.negative_mean),
    ):
        if layers is not None:
            profiles.check_layers(layers, mean, field)


def solve(
    designs: Iterable[Design],
    assumptions: Assumptions = GRADED,
    settings: Settings = USUAL,
    compiled: bool = False,
) -> list[Result]:
    """One result per design, in order; designs that fail or are refused raise nothing.

    `compiled` lets PyBaMM translate the model into C, which takes about a minute once per machine, halves
    the time of each solve, and so pays off from several thousand designs on.
    """
    return [_result(design, assumptions, settings, compiled) for design in designs]


def _result(design: Design, assumptions: Assumptions, settings: Settings, compiled: bool) -> Result:
    begun = time.perf_counter()
    first_failure = None
    try:
        check_graded_cell(design, assumptions)
    except PlatformError as refusal:
        figures = _nothing(str(refusal)) | {"sizing": None}
    else:
        figures = _discharge(design, assumptions, settings, compiled)
        if figures["failed"]:
            first_failure, settings = figures["reason"], settings.finer()
            # Compiling a second model for a few designs is not worthwhile.
            figures = _discharge(design, assumptions, settings, compiled=False)
    return Result(
        design=design,
        **figures,
        first_failure=first_failure,
        settings=settings,
        seconds=time.perf_counter() - begun,
        assumptions_digest=digest(assumptions),
    )


def _discharge(
    design: Design, assumptions: Assumptions, settings: Settings, compiled: bool
) -> dict[str, Any]:
    sizing = size(design.negative_mean, design.positive_mean, design.positive_um, assumptions)
    try:
        model = built(MODEL, assumptions, settings, compiled)
        asked = inputs(design, sizing, assumptions, model.module, settings.electrode_cells)
        solution = model.solver.solve(
            model.model, [0, 3600 * _LONGEST / design.c_rate], inputs=asked
        )
    except Exception as error:  # whatever the solver raises, the other designs go on
        if is_below_at_start(one_line(error)):
            return _nothing(None) | {
                "sizing": sizing,
                "energy_wh_kg": 0.0,
                "power_w_kg": 0.0,
                "capacity_mah_cm2": 0.0,
                "temperature_rise_k": 0.0,
                "discharge_time_s": 0.0,
                "ended_by": CUT_OFF_AT_START,
                "failed": False,
            }
        return _nothing(f"{type(error).__name__}: {one_line(error)}") | {"sizing": sizing}
    return _figures(solution, sizing, design, assumptions, model.module) | {"sizing": sizing}


def inputs(
    design: Design, sizing: Sizing, assumptions: Assumptions, module: Any, cells: int
) -> dict[str, Any]:
    """Inputs of the built model for one cell."""
    positive, negative = (
        _averages(profile, layers, cells)
        for profile, layers in (
            (design.positive, design.positive_layers),
            (design.negative, design.negative_layers),
        )
    )
    return free_numbers(module, assumptions) | {
        "negative_um": sizing.negative_um,
        "positive_um": float(design.positive_um),
        "current_a_m2": current_a_m2(sizing, design.c_rate),
        "lower_v": float(design.lower_v),
        "negative_mass_kg_m3": electrode_density("negative", design.negative_mean, assumptions),
        "separator_mass_kg_m3": separator_density(assumptions),
        "positive_mass_kg_m3": electrode_density("positive", design.positive_mean, assumptions),
        # The model counts from the negative collector, a profile from the separator.
        module.PROFILE_INPUTS["negative"]: negative[::-1].copy(),
        module.PROFILE_INPUTS["positive"]: positive,
    }


def _averages(profile: Profile, layers: tuple[Layer, ...] | None, cells: int) -> Array:
    edges = np.linspace(0.0, 1.0, cells + 1)
    if layers is None:
        return profiles.cell_averages(profile, edges)
    return profiles.layered_averages(layers, edges)


def _figures(
    solution: Any, sizing: Sizing, design: Design, assumptions: Assumptions, module: Any
) -> dict[str, Any]:
    given = numbers(assumptions)
    if solution.termination != f"event: {CUT_OFF_EVENT}":
        reached = solution.termination == "final time"
        return _nothing(f"{solution.termination} before the cut-off voltage") | {
            "ended_by": TIME_LIMIT if reached else FAILED
        }
    moments = np.asarray(solution.t, dtype=np.float64)
    voltage, energy, temperature, salt = (
        np.asarray(solution[name].entries, dtype=np.float64)
        for name in (
            "Voltage [V]",
            "Discharge energy [W.h]",
            "Volume-averaged cell temperature [K]",
            module.MINIMUM_SALT,
        )
    )
    seconds, energy_wh_m2 = float(moments[-1]), float(energy[-1])
    hours = seconds / 3600
    return {
        "energy_wh_kg": specific_energy_wh_kg(energy_wh_m2, sizing),
        "power_w_kg": specific_power_w_kg(energy_wh_m2, seconds, sizing),
        "capacity_mah_cm2": 0.1 * current_a_m2(sizing, design.c_rate) * hours,
        "temperature_rise_k": float(np.max(temperature)) - given["ambient_k"],
        "discharge_time_s": seconds,
        "time_s": moments,
        "voltage_v": voltage,
        "ended_by": CUT_OFF,
        "depleted": bool(np.min(salt) < DEPLETED * given["electrolyte_concentration_mol_m3"]),
        "failed": False,
        "reason": None,
    }


def _nothing(reason: str | None) -> dict[str, Any]:
    names = (
        "energy_wh_kg",
        "power_w_kg",
        "capacity_mah_cm2",
        "temperature_rise_k",
        "discharge_time_s",
    )
    return dict.fromkeys(names) | {
        "time_s": np.empty(0),
        "voltage_v": np.empty(0),
        "ended_by": FAILED,
        "depleted": False,
        "failed": True,
        "reason": reason,
    }
