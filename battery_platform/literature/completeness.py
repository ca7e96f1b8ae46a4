"""What a document reports about its electrodes and how exactly, and what it leaves out.

El-Bousiydy et al. asked this of some 13,000 papers: is a property reported at all, and if so as an exact
number, an approximation or a range? This module answers it for one document; counting over documents is
out of scope. Limitations: `missing` means that no mention was found in the text, which is also the case
if the value is in a figure, a table or the supporting information.
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
    """Whether and how exactly a document reports a property."""

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
    """One row per property; the most exact mention decides how it is reported.

    Impossible values do not count as reported: a porosity of 130 % is no porosity.
    """
    rows = []
    for name in PROPERTIES:
        usable = [mention for mention in mentions if mention.property == name and mention.plausible]
        ways = {_HOW[mention.qualifier] for mention in usable}
        how: How = next((way for way in _BEST_FIRST if way in ways), "missing")
        rows.append(Reported(name, bool(usable), how, len(usable)))
    return rows
