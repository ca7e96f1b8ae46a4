"""Workbooks and Parquet with a cycler's table: Arbin and Neware xlsx, BDF as Parquet.

The cells come from `reading`, which bounds what a workbook may unpack to; from there on the rows
are judged as those of a text file. A workbook is held in memory, Parquet is read in slices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from battery_platform.records.cyclers import formats
from battery_platform.records.cyclers.header import (
    Table,
    header_score,
    metadata_of,
    refuse_unless_complete,
    table_of,
    units_below,
)
from battery_platform.records.cyclers.model import Block, Finding, PositiveCurrent, Stream
from battery_platform.records.cyclers.nested import (
    Levels,
    Place,
    flat_headers,
    flatten,
    levels_of,
)
from battery_platform.records.cyclers.quantities import with_units
from battery_platform.records.cyclers.text import Progress, Reader, judge_of
from battery_platform.records.reading import Batch, Sheet, kind_of, refuse, sheets
from battery_platform.settings import Settings

SAMPLE_ROWS = 400
HEADER_ROWS = 200
MARK = "\x1f"
_SUMMARY = re.compile(r"statist|summary|^cycle|^step|global|^info|^unit|^log|^test$", re.IGNORECASE)
"""Sheets with a row per cycle or step, although their columns are named like a record's."""


def open_table(path: Path, positive_current: PositiveCurrent = "charge") -> Stream:
    """A stream of the rows of all sheets that hold a cycler's points."""
    cycler_sheets = _cycler_sheets(path)
    if not cycler_sheets:
        raise refuse(
            path,
            "no sheet has columns of a cycler's points (time, voltage, current).",
            "Export the records of the channel, not its summary.",
        )
    first = cycler_sheets[0][1]
    refuse_unless_complete(path, first)
    notes = list(first.notes)
    if len(cycler_sheets) > 1:
        notes.append("sheets read: " + ", ".join(sheet.name for sheet, _, _ in cycler_sheets))
    judge = judge_of(path, first, notes, positive_current)

    def blocks() -> Iterator[Block]:
        so_far = Progress()
        for _, table, cells in cycler_sheets:
            reader = Reader(path, table, judge, so_far)
            for frame, held in cells:
                rows = frame["row_number"]
                yield reader.take(frame, rows, held)
        judge.finish()

    counted = first.of("cycle") is not None
    return Stream(first.format, metadata_of(first), notes, blocks(), first.left_out, counted)


Cells = Iterator[tuple[pl.DataFrame, list[Finding]]]


def table_format(path: Path) -> Table | None:
    """The cycler's table in a workbook or Parquet file, if it has one."""
    cycler_sheets = _cycler_sheets(path)
    return cycler_sheets[0][1] if cycler_sheets else None


def _cycler_sheets(path: Path) -> list[tuple[Sheet, Table, Cells]]:
    cycler_sheets = []
    workbook = kind_of(path) == "workbook"
    for sheet in sheets(path, Settings(), header_row=0 if workbook else None):
        entry = _in_workbook(sheet) if workbook else _in_parquet(sheet)
        if entry is None:
            continue
        table, cells = entry
        quantities = {c.quantity for c in table.columns} | (
            {"test_time_s"} if table.adds_up else set()
        )
        if len(quantities & {"test_time_s", "voltage_v", "current_a"}) >= 2:
            cycler_sheets.append((sheet, table, cells))
    records = [entry for entry in cycler_sheets if not _SUMMARY.search(entry[0].name.strip())]
    complete = [entry for entry in records or cycler_sheets if not entry[1].missing()]
    return complete or records or cycler_sheets


def _in_parquet(sheet: Sheet) -> tuple[Table, Cells] | None:
    """The table of a Parquet file, according to its column names."""
    first = next(sheet.rows, None)
    if first is None:
        return None
    sample = [list(map(str, row[1:])) for row in first.cells.head(SAMPLE_ROWS).iter_rows()]
    table = table_of("utf-8", MARK, sheet.header, sheet.header_row, [], sample)
    return table, _cells(_again(first, sheet.rows), len(sheet.header))


def _in_workbook(sheet: Sheet) -> tuple[Table, Cells] | None:
    """The table of a sheet, whose header is searched for as in a text file."""
    first = next(sheet.rows, None)
    if first is None or first.cells.is_empty():
        return None
    rows = [[cell.strip() for cell in row[1:]] for row in first.cells.head(HEADER_ROWS).iter_rows()]
    scores = [header_score(row) for row in rows]
    at = max(range(len(rows)), key=lambda number: (scores[number], -number))
    if scores[at] < 2:
        return None
    headers = list(rows[at])
    while headers and not headers[-1]:
        headers.pop()
    above = [MARK.join(row) for row in rows[:at] if any(row)]
    numbers = first.cells["row_number"].to_list()
    last_of_header = at
    if at + 1 < len(rows) and units_below(MARK.join(rows[at + 1])):
        headers, last_of_header = with_units(headers, rows[at + 1]), at + 1
    levels = levels_of(above, headers, MARK) if last_of_header == at else None
    place = Place()
    width = len(headers)
    body = Batch(first.cells[last_of_header + 1 :], first.ragged)
    batches: Iterator[Batch] = (
        _narrow(batch, width, levels, place) for batch in _again(body, sheet.rows)
    )
    headers = flat_headers(headers) if levels else headers
    begin = next(batches)
    sample = [list(map(str, row[1:])) for row in begin.cells.head(SAMPLE_ROWS).iter_rows()]
    known = formats.NEWARE_TEXT if levels else None
    table = table_of("utf-8", MARK, headers, numbers[at], above, sample, known)
    return replace(table, levels=levels), _cells(_again(begin, batches), len(headers))


def _again(first: Batch, rest: Iterator[Batch]) -> Iterator[Batch]:
    yield first
    yield from rest


def _narrow(batch: Batch, width: int, levels: Levels | None, place: Place) -> Batch:
    """The cells under the header's names, with nested levels copied into each record."""
    named = ["row_number", *(f"c{number}" for number in range(width))]
    cells = batch.cells.select(named)
    if levels is None:
        return Batch(cells, batch.ragged)
    text = "\n".join(
        MARK.join(" ".join(cell.split()) for cell in row[1:]) for row in cells.iter_rows()
    )
    flat = flatten(text, levels, place).split("\n") if cells.height else []
    kept = [
        (number, *line.split(MARK))
        for number, line in zip(cells["row_number"], flat, strict=True)
        if line
    ]
    schema = ["row_number", *(f"c{number}" for number in range(width + 1))]
    types = dict(zip(schema, [pl.Int64, *[pl.String] * (width + 1)], strict=True))
    return Batch(pl.DataFrame(kept, schema=types, orient="row"), batch.ragged)


def _cells(batches: Iterator[Batch], width: int) -> Cells:
    """Rows with their cells in `column_1`, ..., and ragged rows as findings."""
    for batch in batches:
        held = [
            Finding(
                line,
                "",
                text.replace(MARK, ";")[:200],
                "fields",
                f"The row has {fields} cells, the table has {width}.",
                "Correct the row in the export; its values cannot be told apart.",
            )
            for line, fields, text in batch.ragged
        ]
        names = {f"c{i}": f"column_{i + 1}" for i in range(width)}
        yield batch.cells.rename(names), held
