"""Files of recipes for which somebody wants an answer: read like any other file, but not stored.

Headers, units, delimiters and decimal marks are recognised as in `ingest`; what cannot be read is
handed back beside its row and not guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from battery_platform.contracts.registry import table
from battery_platform.errors import PlatformError
from battery_platform.records.mapping import factor, positions_of
from battery_platform.records.parsing import parse_cells
from battery_platform.records.proposing import propose
from battery_platform.records.reading import first_cells, sheets
from battery_platform.settings import Settings

TABLE = "electrode_sheets"
WORDS = {"yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Recipes:
    """The wanted columns in their units, the line of each row, and the problems of single lines."""

    values: pl.DataFrame
    lines: list[int]
    problems: dict[int, list[str]]
    notes: list[str] = field(default_factory=list)


def read_recipes(path: Path, wanted: Sequence[str], settings: Settings) -> Recipes:
    """Read the first sheet of a file; if a wanted column is missing, the refusal names it."""
    if not path.is_file():
        raise PlatformError(f"There is no file {path}.", "Name a CSV, XLSX or Parquet file.")
    sheet = next(iter(sheets(path, settings)), None)
    if sheet is None:
        raise PlatformError(f"{path.name} has no sheet with a header.", "Give one row per recipe.")
    proposal = propose(sheet, "recipes", first_cells(sheet), TABLE)
    ways = [placement.why for placement in proposal.placements] if proposal else []
    twice = [
        name
        for name in wanted
        if any(
            why.endswith(f"could each be {name}") or why.startswith(f"{name} fits") for why in ways
        )
    ]
    if twice:
        raise PlatformError(
            f"{path.name}: more than one column can be {', '.join(twice)}.", "Leave one of them."
        )
    places = proposal.mapping.columns if proposal else {}
    missing = [name for name in wanted if name not in places]
    if proposal is None or missing:
        asked = [why for why in ways if "no unit is stated" in why]
        raise PlatformError(
            f"{path.name}: no column was found for {', '.join(missing or wanted)}"
            f"{f' ({asked[0]})' if asked else ''}. The header has: "
            f"{', '.join(name for name in sheet.header if name) or 'nothing'}.",
            f"Name the columns {', '.join(wanted)}; a unit in the header is converted.",
        )
    mapping = proposal.mapping
    positions = {
        name: place
        for name, place in positions_of(mapping, sheet, path).columns.items()
        if name in wanted
    }
    factors = {
        name: factor(mapping, name, sheet.header[place], path) for name, place in positions.items()
    }
    decimal = mapping.decimal or (sheet.dialect.decimal if sheet.dialect else ".")
    frames: list[pl.DataFrame] = []
    problems: dict[int, list[str]] = {}
    for batch in sheet.rows:
        text = batch.cells.select(
            "row_number", *(pl.col(f"c{place}").alias(name) for name, place in positions.items())
        )
        typed, unreadable = parse_cells(text, table(TABLE).contract, mapping, factors, decimal)
        frames.append(typed.select("row_number", *wanted))
        for line, message in unreadable.select("row_number", "message").iter_rows():
            problems.setdefault(line, []).append(message)
        for line, cells, _ in batch.ragged:
            problems.setdefault(line, []).append(
                f"the line has {cells} cells, the header {len(sheet.header)}"
            )
    if not frames or not sum(frame.height for frame in frames) + len(problems):
        raise PlatformError(f"{path.name} has a header and no rows.", "Give one row per recipe.")
    read = pl.concat(frames)
    ragged = [line for line in problems if line not in set(read["row_number"].to_list())]
    lost = pl.DataFrame({"row_number": ragged}, schema={"row_number": read.schema["row_number"]})
    read = pl.concat([read, lost], how="diagonal").sort("row_number")
    return Recipes(read.select(wanted), read["row_number"].to_list(), problems, list(sheet.notes))


@dataclass(frozen=True)
class Text:
    """A table as it is in a file, with columns by their header and the problems of single lines."""

    frame: pl.DataFrame
    lines: list[int]
    decimal: str
    problems: list[tuple[str, str]]
    notes: list[str]


def read_table(path: Path, settings: Settings) -> Text:
    """The first sheet of a file as text; headers are kept as they are, in lower case."""
    if not path.is_file():
        raise PlatformError(f"There is no file {path}.", "Name a CSV, XLSX or Parquet file.")
    sheet = next(iter(sheets(path, settings)), None)
    header = [] if sheet is None else [name.strip().lower() for name in sheet.header]
    if sheet is None or not any(header):
        raise PlatformError(f"{path.name} has no sheet with a header.", "Give a header line.")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise PlatformError(
            f"{path.name}: more than one column is called {', '.join(twice)}.", "Leave one of them."
        )
    named = {f"c{place}": name for place, name in enumerate(header) if name}
    frames, problems = [], []
    for batch in sheet.rows:
        frames.append(batch.cells.select("row_number", *named).rename(named))
        problems += [
            (f"line {line}", f"the line has {cells} cells, the header {len(header)}")
            for line, cells, _ in batch.ragged
        ]
    if not sum(frame.height for frame in frames) + len(problems):
        raise PlatformError(f"{path.name} has a header and no rows.", "Give at least one row.")
    whole = pl.concat(frames)
    decimal = sheet.dialect.decimal if sheet.dialect else "."
    lines = whole["row_number"].to_list()
    return Text(whole.drop("row_number"), lines, decimal, problems, list(sheet.notes))


def read_numbers(
    path: Path, wanted: Sequence[str], settings: Settings, optional: Sequence[str] = ()
) -> Recipes:
    """Columns that are called as the model calls them; text in place of a number is told, not guessed.

    Yes and no are 1 and 0. Columns that may be missing are read where they are there.
    """
    read = read_table(path, settings)
    missing = [name for name in wanted if name not in read.frame.columns]
    if missing:
        raise PlatformError(
            f"{path.name}: no column is called {', '.join(missing)}. The header has: "
            f"{', '.join(read.frame.columns)}.",
            f"Name the columns {', '.join(wanted)}.",
        )
    taken = [*wanted, *(name for name in optional if name in read.frame.columns)]
    rows: list[dict[str, float | None]] = []
    problems: dict[int, list[str]] = {}
    for line, row in zip(read.lines, read.frame.iter_rows(named=True), strict=True):
        rows.append({name: _number(row[name], read.decimal) for name in taken})
        for name in taken:
            if row[name] and rows[-1][name] is None:
                problems.setdefault(line, []).append(f"{name} is '{row[name]}', no number")
    values = pl.DataFrame(rows, schema=dict.fromkeys(taken, pl.Float64))
    notes = [*read.notes, *(f"{where}: {problem}" for where, problem in read.problems)]
    return Recipes(values, list(read.lines), problems, notes)


def _number(text: str | None, decimal: str) -> float | None:
    word = (text or "").strip()
    if word.lower() in WORDS:
        return WORDS[word.lower()]
    try:
        return float(word.replace(decimal, "."))
    except ValueError:
        return None
