"""What became of every column of a sheet: placed, left out on purpose, kept as extra, or unplaced.

The sister of rows in = accepted + quarantined. A column that found no place and holds numbers or
identifiers is not passed over: somebody decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import polars as pl

from battery_platform.errors import RefusedFile
from battery_platform.records.headers import means_identifier, split_header
from battery_platform.records.mapping import Mapping, positions_of, spelling
from battery_platform.records.notation import is_numeric
from battery_platform.records.proposing import Placement
from battery_platform.records.reading import Sheet, first_cells, readable_name
from battery_platform.store.lakehouse import Lakehouse

PLACED, LEFT_OUT, EXTRA, UNPLACED = "placed", "left out", "extra", "unplaced"


@dataclass(frozen=True)
class Fate:
    """What became of one column of a sheet."""

    table: str
    sheet: str
    position: int
    header: str
    unit: str | None
    outcome: str
    column: str | None
    confidence: float
    why: str
    holds: str = ""
    """`numbers` or `identifiers` if it is unplaced and somebody has to decide."""

    @property
    def name(self) -> str:
        return self.header or f"#{self.position}"

    def row(self) -> dict[str, Any]:
        """For tables and JSON."""
        return {
            "sheet": self.sheet,
            "table": self.table,
            "position": self.position,
            "header": self.header,
            "unit": self.unit or "",
            "outcome": self.outcome,
            "column": self.column or "",
            "confidence": self.confidence,
            "why": self.why,
        }

    def stored(self) -> dict[str, Any]:
        """As a row of `raw_columns`, without the file."""
        row = self.row()
        row["table_name"], row["column_name"] = row.pop("table"), self.column
        return row | {"unit": self.unit}


class Unsettled(RefusedFile):
    """Columns found no place, and nobody said what is to become of them."""

    def __init__(self, says: str, remedy: str, fates: Sequence[Fate]) -> None:
        super().__init__(says, remedy)
        self.fates = tuple(fates)


def account(
    mapping: Mapping, sheet: Sheet, path: Path, placements: Sequence[Placement] = ()
) -> list[Fate]:
    """The fate of each column of a sheet under its mapping, in the order of the sheet.

    `placements` are those of a mapping that was guessed, with what was thought of each header.
    """
    taken = positions_of(mapping, sheet, path).taken
    cells = first_cells(sheet)
    decimal = mapping.decimal or (sheet.dialect.decimal if sheet.dialect else ".")
    missing = {word.casefold() for word in mapping.missing}
    fates = []
    for position, header in enumerate(sheet.header):
        guess = placements[position] if placements else None
        column, holds = taken.get(position), ""
        confidence = guess.confidence if guess else 1.0
        why = guess.why if guess else "as the mapping says"
        if column is not None:
            outcome = PLACED
        else:
            confidence = 0.0
            outcome, decided = _decided(mapping, header, position)
            why = decided or (_thought(guess) if guess else "the mapping does not name it")
            if outcome == UNPLACED:
                filled = _filled(cells[f"c{position}"], missing)
                idle = _idle(filled, cells, position, taken)
                outcome, why = (LEFT_OUT, idle) if idle else (UNPLACED, why)
                holds = "" if idle else _holds(header, filled, guess, decimal)
        unit = split_header(header).unit
        fates.append(
            Fate(
                mapping.table,
                sheet.name,
                position + 1,
                header,
                unit,
                outcome,
                column,
                confidence,
                why,
                holds,
            )
        )
    return fates


def _thought(guess: Placement) -> str:
    return f"perhaps {guess.column}: {guess.why}" if guess.column else guess.why


def _decided(mapping: Mapping, header: str, position: int) -> tuple[str, str]:
    """What the mapping says of a column that it does not place; a name counts before a pattern."""
    names = {spelling(header), f"#{position + 1}"} - {""}
    for exactly in (True, False):
        for outcome, patterns in ((LEFT_OUT, mapping.leave_out), (EXTRA, mapping.extra)):
            for pattern in patterns:
                asked = spelling(pattern)
                if asked in names if exactly else any(fnmatchcase(name, asked) for name in names):
                    return outcome, "on purpose" if outcome == LEFT_OUT else "kept beside the row"
    return UNPLACED, ""


def _filled(cells: pl.Series, missing: set[str]) -> pl.Series:
    bare = cells.str.strip_chars()
    return bare.filter(~bare.str.to_lowercase().is_in(list(missing | {""}))).head(2000)


def _idle(filled: pl.Series, cells: pl.DataFrame, position: int, taken: dict[int, str]) -> str:
    """Why a column says nothing: it is empty, counts the rows, or repeats another; or ''."""
    if filled.is_empty():
        return "it is empty"
    own = cells[f"c{position}"]
    if len(filled) == min(cells.height, 2000) and cells.height > 2:
        numbers = filled.cast(pl.Int64, strict=False)
        if numbers.null_count() == 0 and numbers[0] in (0, 1) and (numbers.diff()[1:] == 1).all():
            return "it counts the rows"
    if own.n_unique() > 2:
        for other in taken:
            if bool((own == cells[f"c{other}"]).all()):
                return f"it repeats column {other + 1}"
    return ""


def _holds(header: str, filled: pl.Series, guess: Placement | None, decimal: str) -> str:
    """`identifiers` or `numbers` where somebody would miss the column."""
    if means_identifier(header) or (guess and guess.column and guess.column.endswith("_id")):
        return "identifiers"
    if is_numeric(filled, decimal):
        return "numbers"
    codes = filled.str.contains(r"^\S*\d\S*$") & filled.str.contains(r"\pL")
    return "identifiers" if codes.all() and filled.n_unique() > 1 else ""


def unsettled(path: Path, fates: Sequence[Fate]) -> Unsettled | None:
    """The refusal of a file with columns that somebody has to decide about, if there are any."""
    open_ = [fate for fate in fates if fate.holds]
    if not open_:
        return None
    shown = "; ".join(f"'{fate.name}' ({fate.holds}: {fate.why})" for fate in open_[:SHOWN])
    more = f"; and {len(open_) - SHOWN} more" if len(open_) > SHOWN else ""
    one = len(open_) == 1
    what = (
        "a column found no place and holds"
        if one
        else f"{len(open_)} columns found no place and hold"
    )
    return Unsettled(
        f"{readable_name(path)}: {what} values that would be lost: {shown}{more}.",
        "Place them in a mapping (`battery-platform map FILE` begins one), say `--leave-out NAME` for "
        "what is not wanted, or `--keep-extra` to keep them beside their rows; in the mapping that is "
        "`leave_out` and `extra`.",
        fates,
    )


SHOWN = 12


def known_fates(lake: Lakehouse, file_id: str) -> list[Fate]:
    """What became of the columns of a file that was taken before."""
    rows = lake.rows(
        "SELECT table_name, sheet, position, header, unit, outcome, column_name, confidence, why "
        "FROM raw_columns WHERE file_id = ? ORDER BY table_name, sheet, position",
        [file_id],
    )
    return [Fate(*row) for row in rows]


def summary(fates: Sequence[Fate]) -> list[str]:
    """For people: how many columns were placed, and the name of each that was not."""
    lines = []
    for sheet in dict.fromkeys(fate.sheet for fate in fates):
        here = [fate for fate in fates if fate.sheet == sheet]
        groups = {
            outcome: [fate for fate in here if fate.outcome == outcome]
            for outcome in (PLACED, LEFT_OUT, EXTRA, UNPLACED)
        }
        counts = ", ".join(f"{len(group)} {outcome}" for outcome, group in groups.items() if group)
        place = f"sheet '{sheet}': " if sheet else ""
        lines.append(f"{place}{len(here)} columns: {counts}")
        for outcome in (UNPLACED, EXTRA, LEFT_OUT):
            for fate in groups[outcome]:
                if fate.header or outcome == UNPLACED:
                    lines.append(f"{place}column '{fate.name}' {outcome}: {fate.why}")
    return lines
