"""What is wanted: a mass loading and a porosity, each with the deviation that is still good."""

from __future__ import annotations

import math
from dataclasses import dataclass

from battery_platform.errors import PlatformError

LOADING, POROSITY = "mass_loading_mg_cm2", "porosity_pct"
LIMITS = {LOADING: (0.01, 200.0), POROSITY: (1.0, 99.0)}
SMALLEST_TOLERANCE = 1e-3
RELATIVE_TOLERANCE = 0.10
"""Coat weight, thickness and porosity within 10 % pass the quality rule of Drakopoulos et al."""


@dataclass(frozen=True)
class Target:
    """Wanted values and tolerances, in the units of the names."""

    mass_loading_mg_cm2: float
    porosity_pct: float
    tolerance_mass_loading_mg_cm2: float
    tolerance_porosity_pct: float


DEFAULT = "mass_loading_mg_cm2=15,porosity_pct=50"


def parse(wanted: str, tolerances: str = "") -> Target:
    """Read `name=value,name=value`; a name or a value that cannot be used is refused."""
    values = _pairs(wanted, "--target")
    missing = [name for name in LIMITS if name not in values]
    if missing:
        raise PlatformError(
            f"--target lacks {' and '.join(missing)}.",
            f'Give both, such as --target "{DEFAULT}".',
        )
    for name, value in values.items():
        low, high = LIMITS[name]
        if not low <= value <= high:
            share = (
                " A share is given in percent: 0.5 means 50."
                if name == POROSITY and value < 1
                else ""
            )
            raise PlatformError(
                f"--target: {name} = {value:g} lies outside {low:g} to {high:g}.",
                f"Give it in the unit of its name.{share}",
            )
    allowed = _pairs(tolerances, "--tolerance") if tolerances else {}
    for name, value in allowed.items():
        if not SMALLEST_TOLERANCE <= value < LIMITS[name][1]:
            raise PlatformError(
                f"--tolerance: {name} = {value:g} must lie between {SMALLEST_TOLERANCE:g} and "
                f"{LIMITS[name][1]:g}.",
                "It is the deviation allowed either way, in the unit of the name.",
            )
    return Target(
        values[LOADING],
        values[POROSITY],
        allowed.get(LOADING, RELATIVE_TOLERANCE * values[LOADING]),
        allowed.get(POROSITY, RELATIVE_TOLERANCE * values[POROSITY]),
    )


def _pairs(text: str, option: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in text.split(","):
        name, mark, value = (piece.strip() for piece in part.partition("="))
        if not mark or name not in LIMITS:
            raise PlatformError(
                f"{option}: '{part.strip()}' is not one of {', '.join(f'{one}=NUMBER' for one in LIMITS)}.",
                f'An example: {option} "{DEFAULT}".',
            )
        if name in found:
            raise PlatformError(f"{option}: {name} is given twice.", "Give it once.")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise PlatformError(
                f"{option}: {name} = '{value}' is no number.", "Use a decimal point, such as 12.5."
            )
        found[name] = number
    return found
