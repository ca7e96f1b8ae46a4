"""Discharges of graded full cells: many designs, one built model.

What belongs here: what a design is, what is refused before anything is solved, the reuse of the
model, the retry, and the figures of a discharge. What does not: equations (see `model`), sizes and
masses (`sizing`), the numbers assumed (`assumptions`).

Thin today: constant current, one process; there is no limit on wall time, only the solver's own
guard against standing still. A caller with many designs starts several processes, each of which
builds its model once.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from battery_platform.electrochemistry.assumptions import Assumptions, choices, digest, numbers
from battery_platform.electrochemistry.graded import profiles
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.profiles import Layer, Profile
from battery_platform.electrochemistry.graded.sizing import (
    Sizing,
    check_range,
    current_a_m2,
    electrode_density,
    separator_density,
    size,
    specific_energy_wh_kg,
    specific_power_w_kg,
)
from battery_platform.errors import PlatformError

Array = npt.NDArray[np.float64]

CUT_OFF = "cut-off voltage"
CUT_OFF_AT_START = "cut-off voltage at the start"
TIME_LIMIT = "time limit"
FAILED = "failed"
# In units of 1/C hours; emptied to the last, the negative electrode would last 1.03.
_LONGEST = 1.5
# The share of the salt below which it counts as used up.
_DEPLETED = 0.01

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Design:
    """A cell and its load; the profiles' means are stated because they size the cell.

    Instead of its points a profile may stand for a coating in layers: `positive_layers` and
    `negative_layers`, from separator to collector, then say what is simulated.
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


@dataclass(frozen=True)
class Settings:
    """Mesh and tolerances; the last two stop a solve that has ceased to advance."""

    electrode_cells: int = 20
    separator_cells: int = 5
    particle_cells: int = 10
    particle_stretch: float = 1.5
    rtol: float = 1e-4
    atol: float = 1e-6
    no_progress_steps: int = 500
    no_progress_s: float = 1.0

    def finer(self) -> Settings:
        """What a failed solve is tried again with."""
        return replace(
            self,
            rtol=self.rtol / 10,
            atol=self.atol / 10,
            electrode_cells=self.electrode_cells * 3 // 2,
            separator_cells=self.separator_cells * 3 // 2,
            particle_cells=self.particle_cells * 3 // 2,
        )


@dataclass(frozen=True, eq=False)
class Result:
    """One discharge with all it rests on; the figures are None and the curve empty if it failed.

    A cell that is below its cut-off from the first moment has not failed: it delivers nothing.
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


def check(design: Design, assumptions: Assumptions = GRADED) -> None:
    """Refuse, in one sentence with a remedy, what no cell can be."""
    for field, value, low, high, remedy in (
        ("c_rate", design.c_rate, 0.01, 20.0, "Give the multiple of 1C as a positive number."),
        ("lower_v", design.lower_v, 2.5, 4.0, "Give volts, not millivolts."),
    ):
        check_range(field, value, low, high, remedy)
    size(design.negative_mean, design.positive_mean, design.positive_um, assumptions)
    profiles.check(design.positive, design.positive_mean, "positive", design.positive_direction)
    profiles.check(design.negative, design.negative_mean, "negative", design.negative_direction)
    for field, layers, mean in (
        ("positive_layers", design.positive_layers, design.positive_mean),
        ("negative_layers", design.negative_layers, design.negative_mean),
    ):
        if layers is not None:
            profiles.check_layers(layers, mean, field)


def solve(
    designs: Iterable[Design],
    assumptions: Assumptions = GRADED,
    settings: Settings = Settings(),
    compiled: bool = False,
) -> list[Result]:
    """One result per design, in order; none is raised for a design that fails or is refused.

    `compiled` has PyBaMM translate the model into C, which takes about a minute once per machine,
    halves the time of each solve, and so pays for itself over some thousand designs.
    """
    return [_result(design, assumptions, settings, compiled) for design in designs]


def _result(design: Design, assumptions: Assumptions, settings: Settings, compiled: bool) -> Result:
    begun = time.perf_counter()
    first_failure = None
    try:
        check(design, assumptions)
    except PlatformError as refusal:
        figures = _nothing(str(refusal)) | {"sizing": None}
    else:
        figures = _discharge(design, assumptions, settings, compiled)
        if figures["failed"]:
            first_failure, settings = figures["reason"], settings.finer()
            # A second shape of model for a few designs is not worth a compiler.
            figures = _discharge(design, assumptions, settings, compiled=False)
    return Result(
        design=design,
        **figures,
        first_failure=first_failure,
        settings=settings,
        seconds=time.perf_counter() - begun,
        assumptions_digest=digest(assumptions),
    )


@dataclass(frozen=True, eq=False)
class _Built:
    model: Any
    solver: Any
    module: Any


def _built(assumptions: Assumptions, settings: Settings, compiled: bool) -> _Built:
    """The model for this mesh; all assumptions but radii and choices are its inputs."""
    module = _model()
    given = numbers(assumptions)
    shaping = tuple(
        one for one in assumptions if isinstance(one.value, str) or one.name in module.BUILT_IN
    )
    names = tuple(name for name in given if name not in module.BUILT_IN)
    return _build(shaping, names, settings, compiled and _has_compiler())


@lru_cache(maxsize=8)
def _build(
    shaping: Assumptions, input_names: tuple[str, ...], settings: Settings, compiled: bool
) -> _Built:
    module = _model()
    model = module.build(
        numbers(shaping),
        choices(shaping),
        input_names,
        settings.electrode_cells,
        settings.separator_cells,
        settings.particle_cells,
        settings.particle_stretch,
    )
    solver = module.Solver(
        rtol=settings.rtol,
        atol=settings.atol,
        output_variables=module.OUTPUTS,
        options={
            "num_steps_no_progress": settings.no_progress_steps,
            "t_no_progress": settings.no_progress_s,
            "silence_sundials_errors": True,
            "compile": compiled,
        },
    )
    return _Built(model, solver, module)


def _model() -> Any:
    """Our module on PyBaMM, which is told before its first import to report and ask nothing."""
    os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
    from battery_platform.electrochemistry.graded import model

    return model


def _has_compiler() -> bool:
    if any(shutil.which(name) for name in ("gcc", "clang", "cc")):
        return True
    _log.warning("No C compiler is found; the model is interpreted, at half the speed.")
    return False


def _discharge(
    design: Design, assumptions: Assumptions, settings: Settings, compiled: bool
) -> dict[str, Any]:
    sizing = size(design.negative_mean, design.positive_mean, design.positive_um, assumptions)
    try:
        built = _built(assumptions, settings, compiled)
        inputs = _inputs(design, sizing, assumptions, built.module, settings.electrode_cells)
        solution = built.solver.solve(
            built.model, [0, 3600 * _LONGEST / design.c_rate], inputs=inputs
        )
    except Exception as error:  # whatever the solver says: the neighbours go on
        reason = " ".join(str(error).split())
        if "non-positive at initial conditions" in reason and "Minimum voltage" in reason:
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
        return _nothing(f"{type(error).__name__}: {reason}") | {"sizing": sizing}
    return _figures(solution, sizing, design, assumptions, built.module) | {"sizing": sizing}


def _inputs(
    design: Design, sizing: Sizing, assumptions: Assumptions, module: Any, cells: int
) -> dict[str, Any]:
    given = {
        name: float(value)
        for name, value in numbers(assumptions).items()
        if name not in module.BUILT_IN
    }
    positive, negative = (
        _averages(profile, layers, cells)
        for profile, layers in (
            (design.positive, design.positive_layers),
            (design.negative, design.negative_layers),
        )
    )
    return given | {
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
    if solution.termination != f"event: {module.CUT_OFF_EVENT}":
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
        "depleted": bool(np.min(salt) < _DEPLETED * given["electrolyte_concentration_mol_m3"]),
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
