"""What both cells share about solving: mesh and tolerances, the built model, the search for a compiler.

PyBaMM is not imported here, so that a design can be read and refused without it. Out of scope: equations
and designs.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from battery_platform.electrochemistry.assumptions import (
    Assumption,
    Assumptions,
    choices,
    numbers,
)

CUT_OFF = "cut-off voltage"
CUT_OFF_AT_START = "cut-off voltage at the start"
TIME_LIMIT = "time limit"
FAILED = "failed"
CUT_OFF_EVENT = "Minimum voltage [V]"
BATCH = 16
LIMIT_S = 60.0
"""A solve takes a tenth of a second; one that needs a minute will never finish."""
COMPILE_FROM = 6000
"""Compiling a model takes about a minute, which fewer solves do not make up for."""
DEPLETED = 0.01
"""The share of the salt below which it counts as used up."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """Mesh and tolerances; the last two stop a solve that makes no progress.

    With `error_of_states_only`, potentials, which follow from the states, do not shorten the steps.
    """

    electrode_cells: int = 20
    separator_cells: int = 5
    particle_cells: int = 10
    particle_stretch: float = 1.5
    length_stretch: float = 0.0
    rtol: float = 1e-4
    atol: float = 1e-6
    error_of_states_only: bool = False
    no_progress_steps: int = 500
    no_progress_s: float = 1.0

    def finer(self) -> Settings:
        """Settings for retrying a failed solve."""
        return replace(
            self,
            rtol=self.rtol / 10,
            atol=self.atol / 10,
            electrode_cells=self.electrode_cells * 3 // 2,
            separator_cells=self.separator_cells * 3 // 2,
            particle_cells=self.particle_cells * 3 // 2,
        )


@dataclass(frozen=True, eq=False)
class Built:
    """A discretised model with its solver, and the module that it came from."""

    model: Any
    solver: Any
    module: Any


def built(module: str, assumptions: Assumptions, settings: Settings, compiled: bool) -> Built:
    """The model of a module for this mesh, built once per process.

    All assumptions are its inputs, except choices and those that the module lists in `BUILT_IN`.
    """
    model = _imported(module)
    shaping = tuple(
        assumption
        for assumption in assumptions
        if isinstance(assumption.value, str) or assumption.name in model.BUILT_IN
    )
    names = tuple(name for name in numbers(assumptions) if name not in model.BUILT_IN)
    return _build(module, shaping, names, settings, compiled and _has_compiler())


def free_numbers(module: Any, assumptions: Assumptions) -> dict[str, float]:
    """The assumptions that are inputs of the built model."""
    return {
        name: float(value)
        for name, value in numbers(assumptions).items()
        if name not in module.BUILT_IN
    }


def is_below_at_start(reason: str) -> bool:
    """Whether an error of the solver only means that the cell is empty from the start."""
    return "non-positive at initial conditions" in reason and "Minimum voltage" in reason


def one_line(error: BaseException) -> str:
    """The message of the solver in one line."""
    return " ".join(str(error).split())


@lru_cache(maxsize=8)
def _build(
    module: str,
    shaping: tuple[Assumption, ...],
    input_names: tuple[str, ...],
    settings: Settings,
    compiled: bool,
) -> Built:
    chosen = _imported(module)
    model = chosen.build(numbers(shaping), choices(shaping), input_names, settings)
    solver = _imported("battery_platform.electrochemistry.expanding").Solver(
        rtol=settings.rtol,
        atol=settings.atol,
        output_variables=chosen.OUTPUTS,
        options={
            "num_steps_no_progress": settings.no_progress_steps,
            "t_no_progress": settings.no_progress_s,
            "silence_sundials_errors": True,
            "suppress_algebraic_error": settings.error_of_states_only,
            "compile": compiled,
        },
    )
    return Built(model, solver, chosen)


def _imported(module: str) -> Any:
    """A module that imports PyBaMM, whose telemetry is disabled before its first import."""
    os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
    return importlib.import_module(module)


def _has_compiler() -> bool:
    if any(shutil.which(name) for name in ("gcc", "clang", "cc")):
        return True
    _log.warning("No C compiler was found; the model is interpreted, at half the speed.")
    return False
