"""Assumptions: numbers that the data do not provide, with plausible range, reason and source.

Each cell has a table of them (`half_cell.assumptions`, `graded.assumptions`), so that a result can be
traced to them and a sensitivity study knows their ranges. Ranges are judgements, not distributions.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace

from battery_platform.errors import PlatformError


@dataclass(frozen=True)
class Assumption:
    """A number or a named choice; for a choice, `low` and `high` are the two options."""

    name: str
    value: float | str
    unit: str
    low: float | str
    high: float | str
    reason: str
    source: str


Assumptions = tuple[Assumption, ...]
OURS = "our choice"


def numbers(assumptions: Assumptions) -> dict[str, float]:
    """The numbers by name."""
    return {a.name: a.value for a in assumptions if not isinstance(a.value, str)}


def choices(assumptions: Assumptions) -> dict[str, str]:
    """The named choices by name."""
    return {a.name: a.value for a in assumptions if isinstance(a.value, str)}


def changed(assumptions: Assumptions, **values: float | str) -> Assumptions:
    """The same assumptions with other values, each within its own range."""
    known = {a.name: a for a in assumptions}
    for name, value in values.items():
        if name not in known:
            raise PlatformError(
                f"There is no assumption named {name}.",
                f"Known are {', '.join(sorted(known))}.",
            )
        if not _allowed(known[name], value):
            old = known[name]
            raise PlatformError(
                f"{name} = {value} is outside {old.low} to {old.high} {old.unit}".rstrip() + ".",
                "Stay within, or pass an Assumption with a wider range and a reason for it.",
            )
    return tuple(
        replace(a, value=values[a.name], source=OURS + f", instead of {a.value}")
        if a.name in values
        else a
        for a in assumptions
    )


def _allowed(old: Assumption, value: float | str) -> bool:
    if isinstance(value, str) or isinstance(old.value, str):
        return value in (old.low, old.high)
    return math.isfinite(value) and float(old.low) <= value <= float(old.high)


def digest(assumptions: Assumptions) -> str:
    """A hash of all names, values and units; order, ranges and wording do not count."""
    content = sorted((a.name, a.value, a.unit) for a in assumptions)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
