"""Neware's nested export: a line per cycle, below it one per step, below it the records.

A record carries neither its cycle nor its step: its first two fields are empty, and the lines
above it say what they are. Here they are written into the record, line by line, so that the rest
of the reading sees a plain table; the lines of cycles and steps become empty lines and the
numbers of lines stay what they were.
"""

from __future__ import annotations

from dataclasses import dataclass

from battery_platform.records.cyclers.quantities import quantity_of


@dataclass(frozen=True)
class Levels:
    """The positions of cycle and step in the upper two levels."""

    separator: str
    cycle_fields: int
    """Number of fields in a cycle's line; any after them belong to its first step."""
    step_at: int
    label_at: int
    record_fields: int


@dataclass
class Place:
    """The cycle, step and kind of step named most recently."""

    cycle: str = ""
    step: str = ""
    label: str = ""


def levels_of(above: list[str], headers: list[str], separator: str) -> Levels | None:
    """The levels of an export, if the two lines above its header are those of cycle and step."""
    if len(above) < 2 or headers[:2] != ["", ""]:
        return None
    cycle, step = (
        [cell.strip() for cell in line.rstrip("\r").rstrip(separator).split(separator)]
        for line in above[-2:]
    )
    if not cycle[0] or step[0] or _at(cycle, "cycle") != 0:
        return None
    step_at, label_at = _at(step, "step"), _at(step, "state")
    if step_at < 0 or label_at < 0:
        return None
    return Levels(separator, len(cycle), step_at, label_at, len(headers))


def _at(cells: list[str], quantity: str) -> int:
    named = (quantity_of(cell) for cell in cells)
    return next((i for i, known in enumerate(named) if known and known[0] == quantity), -1)


def flat_headers(headers: list[str]) -> list[str]:
    """The header of the plain table."""
    return ["Cycle Index", "Step Index", *headers[2:], "Step Type"]


def flatten(text: str, levels: Levels, place: Place) -> str:
    """Records with their cycle and step; other lines become empty, and `place` advances."""
    mark = levels.separator
    out = []
    for line in text.split("\n"):
        body = line.rstrip("\r")
        if body.startswith(mark * 2):
            named = f"{place.cycle}{mark}{place.step}{body[1:]}"
            short = levels.record_fields - 1 - named.count(mark)
            out.append(f"{named}{mark}{place.label}" if short == 0 else named)
            continue
        cells = body.split(mark)
        step: list[str] = []
        if body.startswith(mark):
            step = cells
        elif body.strip():
            place.cycle = cells[0].strip()
            step = ["", *cells[levels.cycle_fields :]] if len(cells) > levels.cycle_fields else []
        if len(step) > max(levels.step_at, levels.label_at) and step[levels.step_at].strip():
            place.step, place.label = step[levels.step_at].strip(), step[levels.label_at].strip()
        out.append("")
    return "\n".join(out)
