"""Targets: quantities that models predict from a recipe, each with a permitted deviation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from battery_platform.errors import PlatformError
from battery_platform.models.specification import MODELS, RECIPE, Specification, unit_of

LARGE = 1e12
LIMITS = {"_pct": (1.0, 99.0), "_mg_cm2": (0.01, 200.0)}
"""Lowest and highest value of a target, by unit."""
NO_LIMITS = (-LARGE, LARGE)
SMALLEST_TOLERANCE = 1e-3
RELATIVE_TOLERANCE = 0.10
"""Coat weight, thickness and porosity within 10 % pass the quality rule of Drakopoulos et al."""
MOST = 2
"""Most quantities of a target: for more than two the joint probability has no fast exact solution."""
DEFAULT = "mass_loading_mg_cm2=15,porosity_pct=50"


@dataclass(frozen=True)
class Wanted:
    """A value and a tolerance in both directions, in the unit of the quantity's name."""

    quantity: str
    value: float
    tolerance: float


Target = tuple[Wanted, ...]
"""What an electrode must meet at the same time."""


@lru_cache(maxsize=1)
def answering() -> dict[str, Specification]:
    """The model that predicts each quantity: its inputs are the recipe, and it has no classes.

    If there are several, the first one declared is used.
    """
    models: dict[str, Specification] = {}
    for model in MODELS.values():
        if model.inputs != RECIPE:
            continue
        for predicted in model.quantities:
            if not predicted.classes:
                models.setdefault(predicted.target, predicted)
    return models


def is_answerable(target: Target) -> bool:
    """Whether there is still a model for each quantity of the target."""
    return all(wanted.quantity in answering() for wanted in target)


def checked(target: Target) -> Target:
    """The target itself; raises an error if no search can answer it."""
    if not target:
        raise PlatformError("Nothing is wanted.", f'Give a target, such as "{DEFAULT}".')
    if len(target) > MOST:
        raise PlatformError(
            f"{len(target)} quantities are wanted at once: "
            f"{', '.join(wanted.quantity for wanted in target)}; a design meets {MOST} at most.",
            "Leave out those that matter least.",
        )
    unknown = [wanted.quantity for wanted in target if wanted.quantity not in answering()]
    if unknown:
        raise PlatformError(
            f"No model predicts {' or '.join(unknown)} from a recipe.",
            f"What can be wanted: {', '.join(answering())}.",
        )
    return target


def parse(wanted: str, tolerances: str = "") -> Target:
    """Parse `name=value,name=value`; unusable names and values are refused."""
    values = _pairs(wanted, "--target")
    for name, value in values.items():
        low, high = _limits(name)
        if not low <= value <= high:
            share = (
                " A share is given in percent: 0.5 means 50."
                if name.endswith("_pct") and value < 1
                else ""
            )
            raise PlatformError(
                f"--target: {name} = {value:g} lies outside {low:g} to {high:g}.",
                f"Give it in the unit of its name.{share}",
            )
    allowed = _pairs(tolerances, "--tolerance") if tolerances else {}
    for name, value in allowed.items():
        _check_tolerance(name, value, values)
    return checked(
        tuple(
            Wanted(name, values[name], allowed.get(name) or _usual_tolerance(values[name]))
            for name in answering()
            if name in values
        )
    )


def _check_tolerance(name: str, tolerance: float, values: dict[str, float]) -> None:
    if name not in values:
        raise PlatformError(
            f"--tolerance: {name} is not among what is wanted.",
            "Give it in --target too, or leave out its tolerance.",
        )
    highest = _limits(name)[1]
    if not SMALLEST_TOLERANCE <= tolerance < highest:
        raise PlatformError(
            f"--tolerance: {name} = {tolerance:g} must lie between {SMALLEST_TOLERANCE:g} and "
            f"{highest:g}.",
            "It is the deviation allowed either way, in the unit of the name.",
        )


def _usual_tolerance(value: float) -> float:
    return max(RELATIVE_TOLERANCE * abs(value), SMALLEST_TOLERANCE)


def _limits(quantity: str) -> tuple[float, float]:
    return LIMITS.get(unit_of(quantity), NO_LIMITS)


def _pairs(text: str, option: str) -> dict[str, float]:
    values: dict[str, float] = {}
    for pair in text.split(","):
        name, mark, value = (piece.strip() for piece in pair.partition("="))
        if not mark or name not in answering():
            raise PlatformError(
                f"{option}: '{pair.strip()}' is not one of "
                f"{', '.join(f'{quantity}=NUMBER' for quantity in answering())}.",
                f'An example: {option} "{DEFAULT}".',
            )
        if name in values:
            raise PlatformError(f"{option}: {name} is given twice.", "Give it once.")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise PlatformError(
                f"{option}: {name} = '{value}' is no number.", "Use a decimal point, such as 12.5."
            )
        values[name] = number
    return values
