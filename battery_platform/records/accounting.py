"""What became of every column of a sheet: placed, left out on purpose, kept as extra, or unplaced.

The sister of rows in = accepted + quarantined. A column that found no place and holds numbers or
identifiers is not passed over: somebody decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import polars as pl

from battery_platform.errors import RefusedFile
from battery_platform.records.headers import CERTAIN, match_header, means_identifier, split_header
from battery_platform.records.mapping import Mapping, positions_of, spelling
from battery_platform.records.notation import as_number
from battery_platform.records.proposing import Placement
from battery_platform.records.reading import Sheet, first_cells, goes_on, readable_name
from battery_platform.store.lakehouse import Lakehouse

PLACED, LEFT_OUT, EXTRA, UNPLACED = "placed", "left out", "extra", "unplaced"
COUNTS = "it counts the rows"
DECIDED = {LEFT_OUT: "on purpose", EXTRA: "kept beside the row"}


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
    decimal = mapping.decimal or (sheet.dialect.decimal if sheet.dialect else ".")
    decided = {
        position: _decided(mapping, header, position)
        for position, header in enumerate(sheet.header)
        if position not in taken
    }
    undecided = [position for position, outcome in decided.items() if outcome is None]
    below = (
        _below(first_cells(sheet), undecided, taken, mapping.missing, decimal) if undecided else {}
    )
    unproven = [at for at, found in below.items() if found.idle not in ("", COUNTS)]
    if unproven and goes_on(sheet):
        where = f"in its first {first_cells(sheet).height} rows"
        for at in unproven:
            below[at] = replace(below[at], idle="", begins=f"{below[at].idle} {where}")
    fates = []
    for position, header in enumerate(sheet.header):
        guess = placements[position] if placements else None
        column, confidence, holds = taken.get(position), 0.0, ""
        if column is not None:
            outcome, why = PLACED, guess.why if guess else "as the mapping says"
            confidence = guess.confidence if guess else 1.0
        elif (said := decided[position]) is not None:
            outcome, why = said, DECIDED[said]
        elif (own := _own_name(header, mapping)) is not None:
            outcome, why = LEFT_OUT, f"the mapping sets {own} itself"
        elif below[position].idle:
            outcome, why = LEFT_OUT, below[position].idle
        else:
            outcome = UNPLACED
            why = _thought(guess) if guess else "the mapping does not name it"
            why = below[position].begins or why
            named = means_identifier(header) or bool(
                guess and guess.column and guess.column.endswith("_id")
            )
            holds = "identifiers" if named else below[position].holds
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


def _own_name(header: str, mapping: Mapping) -> str | None:
    """The column that a header means for certain and that the mapping gives a constant."""
    match = match_header(header, mapping.table) if mapping.constants and header else None
    known = match is not None and match.confidence >= CERTAIN and match.column in mapping.constants
    return match.column if match and known else None


def _thought(guess: Placement) -> str:
    return f"perhaps {guess.column}: {guess.why}" if guess.column else guess.why


def _decided(mapping: Mapping, header: str, position: int) -> str | None:
    """What the mapping says of a column that it does not place; a name counts before a pattern."""
    names = {spelling(header), f"#{position + 1}"} - {""}
    for exactly in (True, False):
        for outcome, patterns in ((LEFT_OUT, mapping.leave_out), (EXTRA, mapping.extra)):
            for pattern in patterns:
                asked = spelling(pattern)
                if asked in names if exactly else any(fnmatchcase(name, asked) for name in names):
                    return outcome
    return None


@dataclass(frozen=True)
class _Below:
    """What stands below a header without a place."""

    idle: str
    """Why the column says nothing: it is empty, counts the rows, or repeats another; or ''."""
    holds: str
    """`identifiers` or `numbers` where somebody would miss the column."""
    begins: str = ""
    """The same as `idle` where only the first rows are known; nothing is concluded from them."""


def _below(
    cells: pl.DataFrame,
    positions: Sequence[int],
    taken: dict[int, str],
    missing: Sequence[str],
    decimal: str,
) -> dict[int, _Below]:
    """What stands in these columns: all at once, as a sheet may have thousands."""
    if cells.is_empty():
        return {position: _Below("it is empty", "") for position in positions}
    rows = max(SAMPLE_ROWS, SAMPLE_CELLS // len(positions))
    names = {f"c{position}": position for position in (*positions, *taken)}
    cell, gone = pl.col("cell"), [*(word.casefold() for word in missing), ""]
    bare = cell.str.strip_chars()
    found = (
        cells.head(rows)
        .select(*names)
        .unpivot(variable_name="name", value_name="cell")
        .select(
            "name",
            cell.hash().alias("hash"),
            pl.when(~bare.str.to_lowercase().is_in(gone)).then(bare).alias("cell"),
        )
        .with_columns(
            as_number(cell.str.strip_suffix("%").str.strip_chars(), decimal).alias("number"),
            (cell.str.contains(r"^\S*\d\S*$") & cell.str.contains(r"\pL")).alias("code"),
            (cell.cast(pl.Int64, strict=False) - pl.int_range(pl.len()).over("name")).alias("step"),
        )
        .group_by("name", maintain_order=True)
        .agg(
            pl.col("hash").sum(),
            pl.len().alias("height"),
            cell.count().alias("filled"),
            cell.n_unique().alias("different"),
            pl.col("number").count().alias("numbers"),
            pl.col("code").all().alias("codes"),
            pl.col("step").count().alias("steps"),
            pl.col("step").min().alias("least"),
            pl.col("step").max().alias("most"),
        )
    )
    profiles = {names[row["name"]]: row for row in found.iter_rows(named=True)}
    repeated = {profiles[position]["hash"]: position + 1 for position in reversed(list(taken))}
    return {
        position: _Below(
            _idle(cells, position, profiles[position], repeated), _holds(profiles[position])
        )
        for position in positions
    }


SAMPLE_ROWS, SAMPLE_CELLS = 200, 200_000
SOME_ROWS = 3
"""With fewer rows a column that counts them, or repeats another, may do so by chance."""


def _idle(
    cells: pl.DataFrame, position: int, profile: dict[str, Any], repeated: dict[int, int]
) -> str:
    if not profile["filled"] and not cells[f"c{position}"].str.strip_chars().str.len_chars().sum():
        return "it is empty"
    if profile["height"] < SOME_ROWS:
        return ""
    if profile["steps"] == profile["height"] and profile["least"] == profile["most"] in (0, 1):
        return COUNTS
    other = repeated.get(profile["hash"]) if profile["different"] >= SOME_ROWS else None
    if other and bool((cells[f"c{position}"] == cells[f"c{other - 1}"]).all()):
        return f"it repeats column {other}"
    return ""


def _holds(profile: dict[str, Any]) -> str:
    if 2 * profile["numbers"] > profile["filled"]:
        return "numbers"
    return "identifiers" if profile["codes"] and profile["different"] > 1 else ""


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
