"""The rows of a text export: read in blocks, parsed and judged.

Numbers are parsed as numbers at once; only a column in which that fails is taken as text and
judged cell by cell. Workbooks and Parquet hand their cells to the same walk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from battery_platform.records.cyclers.header import Table, metadata_of, refuse_unless_complete
from battery_platform.records.cyclers.judging import Judge, whole_numbers
from battery_platform.records.cyclers.lines import (
    BLOCK_BYTES,
    Damaged,
    Lines,
    ahead,
    sort_out,
    whole_lines,
)
from battery_platform.records.cyclers.model import (
    REQUIRED,
    Block,
    Finding,
    PositiveCurrent,
    Stream,
)
from battery_platform.records.cyclers.nested import Place, flatten
from battery_platform.records.cyclers.quantities import Column
from battery_platform.records.cyclers.values import (
    directions,
    to_moments,
    to_numbers,
    to_offsets,
    to_seconds,
    unreadable,
)
from battery_platform.records.reading import refuse

_TEXT = ("recorded_at", "state", "cell")
_ALIKE = 1e-3
"""Share of the largest value by which two columns of one quantity may differ."""
_DERIVED = (
    "record",
    "charge_ah",
    "discharge_ah",
    "charge_wh",
    "discharge_wh",
    "capacity",
    "energy",
)


def open_text(
    path: Path,
    table: Table,
    positive_current: PositiveCurrent = "charge",
    block_bytes: int = BLOCK_BYTES,
) -> Stream:
    """A stream of the rows of a text file."""
    refuse_unless_complete(path, table)
    notes = list(table.notes)
    reader = Reader(path, table, judge_of(path, table, notes, positive_current))
    blocks = reader.blocks(block_bytes)
    counted = table.of("cycle") is not None
    return Stream(table.format, metadata_of(table), notes, blocks, table.left_out, counted)


def judge_of(
    path: Path, table: Table, notes: list[str], positive_current: PositiveCurrent
) -> Judge:
    """The judge of a table's rows, which adds what it finds to the notes."""
    record = table.of("record")
    return Judge(
        path,
        table.format,
        notes,
        record_name=record.header if record else "record",
        positive_current=positive_current,
    )


@dataclass
class Progress:
    """What a reader must remember from block to block, and from sheet to sheet."""

    cells: dict[str, str] = field(default_factory=dict)
    begun: float | None = None
    """The first moment, if the test time is a date."""
    steps_s: float = 0.0
    """Total time of earlier steps, if the test time is summed from the steps' times."""
    latest_s: float = 0.0
    latest_step: tuple[int | None, int | None] = (None, None)
    directed: tuple[int, int, int] = (-1, -1, 0)
    """Cycle, step and direction of the last row."""
    restarts: bool = False


@dataclass
class Reader:
    """Reads one file from block to block."""

    path: Path
    table: Table
    judge: Judge
    so_far: Progress = field(default_factory=Progress)

    def blocks(self, block_bytes: int) -> Iterator[Block]:
        sorted_out = self._sorted_out(block_bytes)
        several = self.path.stat().st_size > block_bytes
        for text, numbers, damaged in ahead(sorted_out) if several else sorted_out:
            if damaged:
                self._one_header("\n".join(line.text for line in damaged).encode())
            held = [self._held(line) for line in damaged]
            self.judge.rows += len(held)
            if len(numbers):
                yield self._block(text, numbers, held)
            elif held:
                yield Block(self._empty(), tuple(held))
        self.judge.finish()

    def _sorted_out(self, block_bytes: int) -> Iterator[tuple[bytes, np.ndarray, list[Damaged]]]:
        """Sound lines, their numbers and the damaged lines, block by block."""
        table = self.table
        last_is_read = any(c.index == table.widths[0] - 1 for c in table.columns)
        last_field = table.widths[0] - 2 if table.levels else None
        for lines in self._body(block_bytes):
            yield sort_out(
                lines,
                table.separator,
                table.widths,
                last_may_be_cut=not last_is_read,
                last_field=last_field,
            )

    def _body(self, block_bytes: int) -> Iterator[Lines]:
        """The lines below the header."""
        skip = self.table.header_line
        place = Place()
        for lines in whole_lines(self.path, self.table.encoding, block_bytes):
            at = 0
            while skip and (end := lines.text.find(b"\n", at)) >= 0:
                at, skip = end + 1, skip - 1
            if not skip and at < len(lines.text):
                first = lines.first + lines.text.count(b"\n", 0, at)
                text = lines.text[at:] if at else lines.text
                if (levels := self.table.levels) is not None:
                    text = flatten(text.decode("utf-8", "replace"), levels, place).encode()
                yield Lines(text, first, lines.ended)

    def _one_header(self, lines: bytes) -> None:
        header = self.table.again.encode()
        if header and (lines.startswith(header) or b"\n" + header in lines):
            raise refuse(
                self.path,
                "the header comes again further down: two exports were joined.",
                "Hand in each cell's test as a file of its own.",
            )

    def _held(self, line: Damaged) -> Finding:
        if line.cut:
            return Finding(
                line.line,
                "",
                line.text[:200],
                "cut",
                "The file ends within this line: its last number may be cut.",
                "Export the test again, or check that the copy is complete.",
            )
        return Finding(
            line.line,
            "",
            line.text[:200],
            "fields",
            f"The line has {line.fields} fields, the table has {self.table.widths[0]}.",
            "Correct the line in the export; its values cannot be told apart.",
        )

    def _empty(self) -> pl.DataFrame:
        names = [column.quantity for column in self.table.columns if column.quantity in REQUIRED]
        schema = {"row_number": pl.Int64(), **dict.fromkeys(names, pl.Float64())}
        return pl.DataFrame(schema=schema)

    def _parse(self, text: bytes, kinds: dict[int, pl.DataType]) -> pl.DataFrame:
        width = self.table.widths[0]
        schema = {f"column_{index + 1}": kinds.get(index, pl.String()) for index in range(width)}
        return pl.read_csv(
            text,
            has_header=False,
            separator=self.table.separator,
            quote_char=None,
            schema=schema,
            columns=[f"column_{index + 1}" for index in sorted(kinds)],
            ignore_errors=True,
            decimal_comma=self.table.decimal == "," and self.table.separator != ",",
            truncate_ragged_lines=True,
            encoding="utf8-lossy",
        )

    def _block(self, text: bytes, numbers: np.ndarray, held: list[Finding]) -> Block:
        table = self.table
        texts = {
            c.index
            for c in table.columns
            if c.quantity in _TEXT
            or c.index in table.durations
            or (table.absolute and c.quantity == "test_time_s")
        } | set(table.sparse)
        kinds: dict[int, pl.DataType] = {
            c.index: pl.String() if c.index in texts else pl.Float64() for c in table.columns
        }
        kinds |= {twin.index: pl.String() for c in table.columns for twin in c.twins}
        cells = self._parse(text, kinds)
        if cells.height != len(numbers):
            raise refuse(
                self.path,
                f"the lines from {numbers[0]} on cannot be told apart.",
                "Export the test again as plain text.",
            )
        rows = pl.Series("row_number", numbers, dtype=pl.Int64)
        doubtful = {i for i in kinds if i not in texts and cells[f"column_{i + 1}"].null_count()}
        if doubtful or table.sparse:
            self._one_header(text)
        doubtful -= self._only_empty(text, cells, doubtful)
        if doubtful:
            again = self._parse(text, dict.fromkeys(doubtful, pl.String()))
            cells = cells.with_columns(again.get_columns())
        return self.take(cells, rows, held)

    def _only_empty(self, text: bytes, cells: pl.DataFrame, doubtful: set[int]) -> set[int]:
        """The columns in which every cell without a number is empty."""
        if not doubtful:
            return set()
        mark = self.table.separator.encode()
        lines: list[bytes] = []
        empty = set()
        for index in doubtful:
            rows = np.flatnonzero(cells[f"column_{index + 1}"].is_null().to_numpy())
            if len(rows) > cells.height // 5:
                continue
            lines = lines or text.split(b"\n")
            if all(not lines[row].split(mark)[index].strip(b" \r") for row in rows):
                empty.add(index)
        return empty

    def take(self, cells: pl.DataFrame, rows: pl.Series, held: list[Finding]) -> Block:
        """Judge rows whose cells are in `column_1`, ..., as numbers or as text."""
        table = self.table
        findings = list(held)
        self._settle_twins(cells, rows)
        columns = [rows]
        direction = None
        for column in table.columns:
            series = cells[f"column_{column.index + 1}"]
            if column.quantity == "cell":
                self._one_cell(column.header, series, rows)
                continue
            if column.quantity == "state":
                direction = directions(series)
                columns.append(series.alias(column.header))
                continue
            if column.quantity == "recorded_at" or (
                table.absolute and column.quantity == "test_time_s"
            ):
                columns += self._moments(column, series, rows, findings)
                continue
            read = self._numbers(column, series, rows, findings)
            if column.quantity in _DERIVED and column.quantity != "record":
                columns.append(read.alias(column.header))
            if column.factor != 1.0:
                read = pl.Series(read.to_numpy() * column.factor, nan_to_null=False)
            if column.quantity in {"discharge_ah", "discharge_wh"}:
                read = self._magnitude(column, read)
            columns.append(read.alias(column.quantity))
        frame, uncounted = whole_numbers(_unique(columns))
        if table.adds_up:
            frame = self._added_up(frame)
        wrong = {finding.row for finding in findings}
        findings += [finding for finding in uncounted if finding.row not in wrong]
        if direction is not None and table.format.resets == "step" and "step" in frame.columns:
            direction = self._throughout_the_step(frame, direction)
        frame = self._directed(frame, direction)
        return self.judge.judge(frame, findings, direction)

    def _moments(
        self, column: Column, series: pl.Series, rows: pl.Series, findings: list[Finding]
    ) -> list[pl.Series]:
        """The columns derived from a column of dates."""
        table = self.table
        test_time = column.quantity == "test_time_s"
        read = to_moments(series, table.absolute if test_time else table.moments)
        findings += unreadable(series, read, rows, column.header, "date and time")
        if test_time:
            clock_column = [] if table.of("recorded_at") else [read.alias("recorded_at")]
            return [*clock_column, self._since(read)]
        columns = [read.alias("recorded_at")]
        if table.offset and table.of("unix_time_s") is None:
            unix = read.cast(pl.Int64) / 1e6 - to_offsets(series)
            columns.append(unix.alias("unix_time_s"))
        return columns

    def _numbers(
        self, column: Column, series: pl.Series, rows: pl.Series, findings: list[Finding]
    ) -> pl.Series:
        """Numbers or durations of a column; cells that cannot be read are added to the findings."""
        if column.index in self.table.durations:
            read, what = to_seconds(series), "duration"
        elif series.dtype == pl.String:
            read, what = to_numbers(series, self.table.decimal), "number"
        else:
            return series
        findings += unreadable(series, read, rows, column.header, what)
        return read

    def _since(self, moments: pl.Series) -> pl.Series:
        """Seconds from the first moment of the file."""
        seconds = moments.cast(pl.Int64) / 1e6
        if self.so_far.begun is None:
            first = seconds.drop_nulls().head(1).to_list()
            self.so_far.begun = first[0] if first else None
        return (seconds - (self.so_far.begun or 0.0)).alias("test_time_s")

    def _added_up(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The test time as the sum of the steps before and the time in the step.

        A step begins where its time goes back; once that was seen, also where the file counts a
        new one.
        """
        so_far = self.so_far
        since = frame["step_time_s"].fill_nan(None)
        shown = since.forward_fill().fill_null(so_far.latest_s).to_numpy()
        before = np.concatenate(([so_far.latest_s], shown[:-1]))
        new = shown < before
        so_far.restarts |= bool(new.any())
        labels = [
            frame[name] if name in frame.columns else pl.Series([None] * frame.height)
            for name in ("cycle", "step")
        ]
        if so_far.restarts:
            for at, label in enumerate(labels):
                earlier = label.shift(1)
                if frame.height:
                    earlier = earlier.scatter(0, so_far.latest_step[at])
                new |= (label != earlier).fill_null(False).to_numpy()
        spent = so_far.steps_s + np.cumsum(np.where(new, before, 0.0))
        if frame.height:
            so_far.steps_s, so_far.latest_s = float(spent[-1]), float(shown[-1])
            so_far.latest_step = (labels[0][-1], labels[1][-1])
        total = pl.Series("test_time_s", spent) + since
        return frame.with_columns(total.alias("test_time_s"))

    def _settle_twins(self, cells: pl.DataFrame, rows: pl.Series) -> None:
        """Refuse a file in which two columns of one name say different things."""
        for column in self.table.columns:
            if column.quantity == "temperature_degc":
                continue
            mine = cells[f"column_{column.index + 1}"]
            for twin in column.twins:
                other = cells[f"column_{twin.index + 1}"]
                if mine.dtype == pl.String and column.factor == twin.factor:
                    differs = mine.str.strip_chars() != other.str.strip_chars()
                else:
                    values = (
                        to_numbers(mine, self.table.decimal) if mine.dtype == pl.String else mine
                    )
                    twins = to_numbers(other, self.table.decimal) * (twin.factor / column.factor)
                    largest = cast(float, values.abs().max() or 0.0)
                    differs = (values - twins).abs() > _ALIKE * largest
                    differs = differs.fill_null(True) & (values.is_not_null() | twins.is_not_null())
                if differs.any():
                    at = int(differs.arg_true()[0])
                    raise refuse(
                        self.path,
                        f"columns {column.index + 1} and {twin.index + 1}, '{column.header}' and "
                        f"'{twin.header}', name the same and differ from line {rows[at]} on: "
                        f"{mine[at]} and {other[at]}.",
                        "Remove or rename one of them; it is not guessed which is meant.",
                    )

    def _magnitude(self, column: Column, counter: pl.Series) -> pl.Series:
        """A counter of what was taken out; some exports let it run downwards."""
        if not (counter < 0).any():
            return counter
        note = f"'{column.header}' runs downwards from zero: its magnitude is taken"
        if note not in self.judge.notes:
            self.judge.notes.append(note)
        return counter.abs()

    def _throughout_the_step(self, frame: pl.DataFrame, direction: pl.Series) -> pl.Series:
        """Directions, where a row whose state names none (suspended) has that of its step."""
        way = direction.to_numpy()
        if not len(way):
            return direction
        cycle, step = (
            frame[name].fill_null(-1).to_numpy() if name in frame.columns else np.full(len(way), -1)
            for name in ("cycle", "step")
        )
        new = np.ones(len(way), dtype=bool)
        new[1:] = (np.diff(cycle) != 0) | (np.diff(step) != 0)
        begun, at = self.so_far.directed, np.arange(len(way))
        goes_on = begun[:2] == (int(cycle[0]), int(step[0]))
        start = np.maximum.accumulate(np.where(new, at, 0))
        named = np.maximum.accumulate(np.where(way != 0, at, -1))
        before = np.where(goes_on & (start == 0), begun[2], 0)
        way = np.where(named >= start, way[np.maximum(named, 0)], before)
        self.so_far.directed = (int(cycle[-1]), int(step[-1]), int(way[-1]))
        return pl.Series(direction.name, way, dtype=direction.dtype)

    def _directed(self, frame: pl.DataFrame, direction: pl.Series | None) -> pl.DataFrame:
        """Split a counter that serves both directions by the state of the row."""
        for single, charge, discharge in (
            ("capacity", "charge_ah", "discharge_ah"),
            ("energy", "charge_wh", "discharge_wh"),
        ):
            if single not in frame.columns:
                continue
            resets = self.table.format.resets == "step"
            if direction is not None and resets and charge not in frame.columns:
                value, way = np.abs(frame[single].to_numpy()), direction.to_numpy()
                frame = frame.with_columns(
                    pl.Series(charge, np.where(way > 0, value, 0.0)),
                    pl.Series(discharge, np.where(way < 0, value, 0.0)),
                )
            frame = frame.drop(single)
        return frame

    def _one_cell(self, header: str, names: pl.Series, rows: pl.Series) -> None:
        first = names[0]
        alike = names.null_count() == len(names) if first is None else (names == first).all()
        if alike and first == self.so_far.cells.get(header, first):
            self.so_far.cells[header] = names[0]
            return
        seen = self.so_far.cells.get(header) or next((n for n in names if n and n.strip()), "")
        self.so_far.cells[header] = seen
        other = names.is_not_null() & (names.str.strip_chars() != seen.strip())
        other = other & (names.str.strip_chars() != "")
        if other.any():
            raise refuse(
                self.path,
                f"the file holds more than one cell: '{header}' is {seen} first and "
                f"{names.filter(other)[0]} from "
                f"line {rows.filter(other)[0]} on.",
                "Export each cell to a file of its own.",
            )


def _unique(columns: list[pl.Series]) -> pl.DataFrame:
    """A frame of columns; of several with the same name the first is kept."""
    names: dict[str, pl.Series] = {}
    for series in columns:
        names.setdefault(series.name, series)
    return pl.DataFrame(list(names.values()))
