"""Workbooks and Parquet with a cycler's table: Arbin and Neware xlsx, BDF as Parquet.

The cells come from `reading`, which bounds what a workbook may unpack to; from there on the rows
are judged as those of a text file. A workbook is held in memory, Parquet is read in slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from battery_platform.records.cyclers.judging import Judge
from battery_platform.records.cyclers.model import Block, Finding, PositiveCurrent, Stream
from battery_platform.records.cyclers.text import (
    Reader,
    Table,
    metadata_of,
    refuse_unless_complete,
    table_of,
)
from battery_platform.records.reading import Sheet, refuse, sheets
from battery_platform.settings import Settings

SAMPLE_ROWS = 50


def open_table(path: Path, positive_current: PositiveCurrent = "charge") -> Stream:
    """A stream of the rows of all sheets that hold a cycler's points."""
    found = _cycler_sheets(path)
    if not found:
        raise refuse(
            path,
            "no sheet has columns of a cycler's points (time, voltage, current).",
            "Export the records of the channel, not its summary.",
        )
    first = found[0][1]
    refuse_unless_complete(path, first)
    notes = list(first.notes)
    if len(found) > 1:
        notes.append("sheets read: " + ", ".join(sheet.name for sheet, _, _ in found))
    record = first.of("record")
    judge = Judge(
        path,
        first.format,
        notes,
        record_name=record.header if record else "record",
        positive_current=positive_current,
    )

    def blocks() -> Iterator[Block]:
        for _, table, cells in found:
            reader = Reader(path, table, judge)
            for frame, held in cells:
                rows = frame["row_number"]
                yield reader.take(frame, rows, held)
        judge.finish()

    return Stream(first.format, metadata_of(first), notes, blocks())


Cells = Iterator[tuple[pl.DataFrame, list[Finding]]]


def table_format(path: Path) -> Table | None:
    """The cycler's table in a workbook or Parquet file, if it has one."""
    found = _cycler_sheets(path)
    return found[0][1] if found else None


def _cycler_sheets(path: Path) -> list[tuple[Sheet, Table, Cells]]:
    found = []
    for sheet in sheets(path, Settings()):
        cells = _cells(sheet)
        frame, held = next(cells, (None, []))
        if frame is None:
            continue
        sample = [list(map(str, row[1:])) for row in frame.head(SAMPLE_ROWS).iter_rows()]
        table = table_of("utf-8", "\x1f", sheet.header, sheet.header_row, [], sample)
        if (
            len({c.quantity for c in table.columns} & {"test_time_s", "voltage_v", "current_a"})
            >= 2
        ):
            found.append((sheet, table, _again(frame, held, cells)))
    complete = [entry for entry in found if not entry[1].missing()]
    return complete or found


def _again(frame: pl.DataFrame, held: list[Finding], rest: Cells) -> Cells:
    yield frame, held
    yield from rest


def _cells(sheet: Sheet) -> Cells:
    """A sheet's rows with its cells in `column_1`, ... and its ragged rows as findings."""
    for batch in sheet.rows:
        held = [
            Finding(
                line,
                "",
                text.replace("\x1f", ";")[:200],
                "fields",
                f"The row has {fields} cells, the table has {len(sheet.header)}.",
                "Correct the row in the export; its values cannot be told apart.",
            )
            for line, fields, text in batch.ragged
        ]
        names = {f"c{i}": f"column_{i + 1}" for i in range(len(sheet.header))}
        yield batch.cells.rename(names), held
