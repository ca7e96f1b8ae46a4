"""What one document reports about its electrodes and how exactly, and what it leaves out.

El-Bousiydy et al. asked this of some 13,000 papers: is a property reported at all, and if so as
one number or as an approximation or range? Here belongs the answer for one document; counting
over documents does not. Thin: `missing` means that no mention was found in the text, which is
also so where the value stands in a figure, a table or the supporting information.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from battery_platform.literature.extraction import PROPERTIES, Mention, Property
from battery_platform.literature.quantities import Qualifier

How = Literal["exact", "approximate", "range", "bound", "missing"]


@dataclass(frozen=True)
class Reported:
    """Whether and how exactly one document reports one property."""

    property: Property
    reported: bool
    how: How
    n_mentions: int


_HOW: dict[Qualifier, How] = {
    "exact": "exact",
    "approximate": "approximate",
    "range": "range",
    "at_least": "bound",
    "at_most": "bound",
}
_BEST_FIRST: tuple[How, ...] = ("exact", "approximate", "range", "bound")


def completeness(mentions: Sequence[Mention]) -> list[Reported]:
    """One row per property; the most exact mention says how it is reported.

    Impossible values do not count as reported: a porosity of 130 % tells nobody the porosity.
    """
    rows = []
    for name in PROPERTIES:
        found = [one for one in mentions if one.property == name and one.plausible]
        ways = {_HOW[one.qualifier] for one in found}
        how: How = next((way for way in _BEST_FIRST if way in ways), "missing")
        rows.append(Reported(name, bool(found), how, len(found)))
    return rows
