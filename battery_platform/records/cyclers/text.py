"""Text exports of every maker: find the header, know the dialect, read the rows in blocks.

The table is found by its header, wherever it stands, and the maker by what only that maker
writes. Numbers are parsed as numbers at once; only a column in which that fails is taken as text
and judged cell by cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from battery_platform.records.cyclers import formats
from battery_platform.records.cyclers.judging import Judge, whole_numbers
from battery_platform.records.cyclers.lines import (
    BLOCK_BYTES,
    Damaged,
    Lines,
    fields_of,
    sort_out,
    whole_lines,
)
from battery_platform.records.cyclers.model import (
    REQUIRED,
    Block,
    Finding,
    Format,
    PositiveCurrent,
    Stream,
)
from battery_platform.records.cyclers.nested import (
    Levels,
    Place,
    flat_headers,
    flatten,
    levels_of,
)
from battery_platform.records.cyclers.quantities import Column, columns_of
from battery_platform.records.cyclers.values import (
    directions,
    moment_formats,
    to_moments,
    to_numbers,
    to_seconds,
    unreadable,
)
from battery_platform.records.reading import DELIMITERS, refuse, sniff_encoding

HEAD_BYTES = 128 * 1024
HEADER_LINES = 400
SNIFFED_BYTES = 8 * 1024
SAMPLE_ROWS = 50
BELOW_HEADER = 40
"""A second header further below another would be that of a second table."""
_TEXT = ("recorded_at", "state", "cell")
_DERIVED = (
    "record",
    "charge_ah",
    "discharge_ah",
    "charge_wh",
    "discharge_wh",
    "capacity",
    "energy",
)
_WORDS = {
    "test_time_s": "time since the start of the test",
    "voltage_v": "voltage",
    "current_a": "current",
}


@dataclass(frozen=True)
class Table:
    """Where the table of a text file stands and how it is written."""

    format: Format
    encoding: str
    separator: str
    decimal: str
    headers: list[str]
    header_line: int
    widths: tuple[int, int]
    columns: list[Column]
    preamble: list[str]
    durations: tuple[int, ...] = ()
    sparse: tuple[int, ...] = ()
    """Columns with empty cells among the first rows: taken as text at once."""
    moments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    levels: Levels | None = None

    def of(self, quantity: str) -> Column | None:
        return next((column for column in self.columns if column.quantity == quantity), None)

    def missing(self) -> list[str]:
        return [quantity for quantity in REQUIRED if self.of(quantity) is None]


def head_of(path: Path) -> tuple[str, str]:
    """The encoding of a text file and its first lines."""
    with path.open("rb") as stream:
        raw = stream.read(HEAD_BYTES)
    encoding = sniff_encoding(path, raw[:SNIFFED_BYTES])
    text = raw.decode(encoding, "replace")
    if encoding == "utf-8" and "\ufffd" in text[:-4]:
        encoding, text = "cp1252", raw.decode("cp1252", "replace")
    return encoding, text.removeprefix("\ufeff").replace("\r\n", "\n")


def find_table(path: Path) -> Table | None:
    """The cycler's table in a text file, or nothing where no line is a header of one."""
    encoding, head = head_of(path)
    lines = head.split("\n", HEADER_LINES + SAMPLE_ROWS + 1)
    best: tuple[int, int, str, list[str]] | None = None
    for number, line in enumerate(lines[:HEADER_LINES]):
        if best is not None and number > best[1] + BELOW_HEADER:
            break
        separators = (*DELIMITERS, " ") if line.startswith("~Time") else DELIMITERS
        for separator in separators:
            if separator not in line:
                continue
            cells = [cell.strip() for cell in fields_of(line, separator)]
            if 2 * sum(cell[:1].isdigit() for cell in cells) > len(cells):
                continue
            columns = columns_of(cells)
            score = len({column.quantity for column in columns if column.quantity != "cell"})
            if score >= 3 and (best is None or score > best[0]):
                best = (score, number, separator, cells)
    if best is None:
        return None
    _, number, separator, headers = best
    body = [line for line in lines[number + 1 : -1] if line.strip()]
    if not body and lines[-1].count(separator) >= len(headers) - 1:
        body = lines[-1:]
    levels = levels_of(lines[:number], headers, separator)
    if levels is not None:
        headers = flat_headers(headers)
        body = [line for line in flatten("\n".join(body), levels, Place()).split("\n") if line]
    rows = [fields_of(line, separator) for line in body[:SAMPLE_ROWS]]
    table = table_of(encoding, separator, headers, number + 1, lines[:number], rows)
    return replace(table, levels=levels, format=formats.NEWARE_TEXT if levels else table.format)


def table_of(
    encoding: str,
    separator: str,
    headers: list[str],
    header_line: int,
    preamble: list[str],
    rows: list[list[str]],
) -> Table:
    """What a header and the first rows tell of a table."""
    counts = [len(row) for row in rows] or [len(headers)]
    width = max(set(counts), key=lambda count: (counts.count(count), -abs(count - len(headers))))
    table = Table(
        _format(preamble, headers),
        encoding,
        separator,
        _decimal(rows, separator),
        headers,
        header_line,
        (width, max(width, len(headers)) + 1),
        [column for column in columns_of(headers) if column.index < width],
        preamble,
    )
    return _first_rows(table, rows)


def _decimal(rows: list[list[str]], separator: str) -> str:
    if separator == ",":
        return "."
    cells = [cell for row in rows[:20] for cell in row]
    commas = sum("," in cell and cell.replace(",", "").strip(" -+").isdigit() for cell in cells)
    points = sum("." in cell and cell.replace(".", "").strip(" -+").isdigit() for cell in cells)
    return "," if commas > points else "."


def _first_rows(table: Table, rows: list[list[str]]) -> Table:
    """What the first rows tell of times and dates: durations with colons, formats of the clock."""
    notes = []
    if any(any(cell.strip() for cell in row[len(table.headers) :]) for row in rows):
        notes.append("the rows have more fields than the header has names; those were not read")
    durations = []
    for column in table.columns:
        if column.quantity in {"test_time_s", "step_time_s"}:
            first = next(
                (r[column.index] for r in rows if len(r) > column.index and r[column.index]), ""
            )
            if ":" in first:
                durations.append(column.index)
                continue
        if not column.unit_stated and column.quantity in _WORDS:
            unit = {"test_time_s": "seconds", "voltage_v": "V", "current_a": "A"}[column.quantity]
            notes.append(f"'{column.header}' names no unit: taken as {unit}")
    moments: tuple[str, ...] = ()
    columns = list(table.columns)
    if (clock := table.of("recorded_at")) is not None:
        sample = [row[clock.index] for row in rows if len(row) > clock.index]
        found, either = moment_formats(sample)
        moments = tuple(found)
        if either:
            notes.append(
                f"'{clock.header}' is read with the month first, as the makers' default is; the "
                "rows shown would fit the day first too"
            )
        if not found:
            columns.remove(clock)
            notes.append(f"'{clock.header}' was not read: its dates are in no known form")
    unread = [
        header
        for index, header in enumerate(table.headers)
        if header and index not in {column.index for column in columns}
    ]
    if unread:
        shown = ", ".join(unread[:12]) + (
            f" and {len(unread) - 12} more" if len(unread) > 12 else ""
        )
        notes.append(f"columns not read: {shown}")
    sparse = [
        column.index
        for column in columns
        if any(len(row) > column.index and not row[column.index] for row in rows)
    ]
    return replace(
        table,
        columns=columns,
        durations=tuple(durations),
        sparse=tuple(sparse),
        moments=moments,
        notes=tuple(notes),
    )


_MARKS: tuple[tuple[Format, str, tuple[tuple[str, ...], ...]], ...] = (
    (formats.BIOLOGIC_MPT, "-lab ascii file", (("time/s", "ewe/v"), ("time/s", "ecell/v"))),
    (formats.NOVONIX_TEXT, "novonix", (("run time (h)", "potential (v)"),)),
    (formats.BASYTEC_TEXT, "basytec", (("~time[",),)),
    (formats.BDF_TEXT, "", (("test time /",), ("test_time_second",), ("voltage / ",))),
    (formats.PEC_TEXT, "testregime", (("position start time", "load on time"),)),
    (
        formats.LANDT_TEXT,
        "",
        (("channel_index", "test_time_s"), ("testtime", "voltage/v"), ("测试时间", "电压/v")),
    ),
    (formats.MACCOR_TEXT, "today's date", (("rec", "dpt time"), ("amps", "volts"))),
    (formats.NEWARE_TEXT, "", (("dchg",), ("datapoint",), ("record id",), ("chg. cap",))),
    (
        formats.ARBIN_TEXT,
        "",
        (
            ("data_point", "cycle_index"),
            ("data point", "cycle index"),
            ("test_time(s)", "cycle_index"),
        ),
    ),
)
"""What each maker alone writes above its table, or how headers of its table begin."""


def _format(preamble: list[str], headers: list[str]) -> Format:
    """The maker, by what only that maker writes before or in the header."""
    top = "\n".join(preamble[:60]).lower()
    names = {header.strip().lower() for header in headers}

    def begin(wanted: tuple[str, ...]) -> bool:
        return all(any(name.startswith(want) for name in names) for want in wanted)

    for maker, above, begins in _MARKS:
        if (above and above in top) or any(begin(wanted) for wanted in begins):
            return maker
    return formats.GENERIC_TEXT


def refuse_unless_complete(path: Path, table: Table) -> None:
    """Refuse a table that lacks one of the three quantities without which nothing can be told."""
    if missing := table.missing():
        seen = ", ".join(header for header in table.headers if header)
        raise refuse(
            path,
            f"the header on line {table.header_line} has no column of the "
            f"{' and '.join(_WORDS[quantity] for quantity in missing)}. Seen: {seen}.",
            "Export the test again with that column.",
        )


def metadata_of(table: Table) -> dict[str, str]:
    """What stands before the table, as `name: value`, and what the format means by its columns."""
    told = {
        "sign_of_current": table.format.current,
        "cycles": table.format.cycles,
        "counters_reset": table.format.resets,
    }
    for line in table.preamble[:200]:
        for mark in (":\t", "\t", ":", table.separator):
            name, found, value = line.strip().lstrip("~#").partition(mark)
            if found and name.strip() and value.strip(f" {table.separator}") and len(name) < 60:
                told.setdefault(name.strip(" :"), value.strip(f" {table.separator}")[:200])
                break
    for column in table.columns:
        told[f"column {column.quantity}"] = column.header
    return told


def open_text(
    path: Path,
    table: Table,
    positive_current: PositiveCurrent = "charge",
    block_bytes: int = BLOCK_BYTES,
) -> Stream:
    """A stream of the rows of a text file."""
    refuse_unless_complete(path, table)
    notes = list(table.notes)
    record = table.of("record")
    judge = Judge(
        path,
        table.format,
        notes,
        record_name=record.header if record else "record",
        positive_current=positive_current,
    )
    reader = Reader(path, table, judge)
    return Stream(table.format, metadata_of(table), notes, reader.blocks(block_bytes))


@dataclass
class Reader:
    """The walk through one file."""

    path: Path
    table: Table
    judge: Judge
    cells_seen: dict[str, str] = field(default_factory=dict)

    def blocks(self, block_bytes: int) -> Iterator[Block]:
        table = self.table
        last_is_read = any(c.index == table.widths[0] - 1 for c in table.columns)
        for lines in self._body(block_bytes):
            text, numbers, damaged = sort_out(
                lines, table.separator, table.widths, last_may_be_cut=not last_is_read
            )
            self._one_header(damaged, text)
            held = [self._held(line) for line in damaged]
            self.judge.rows += len(held)
            if len(numbers):
                yield self._block(text, numbers, held)
            elif held:
                yield Block(self._empty(), tuple(held))
        self.judge.finish()

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

    def _one_header(self, damaged: list[Damaged], text: bytes) -> None:
        header = self.table.separator.join(self.table.headers[:3])
        again = any(line.text.startswith(header) for line in damaged)
        if again or text.startswith(header.encode()) or b"\n" + header.encode() in text:
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
            c.index for c in table.columns if c.quantity in _TEXT or c.index in table.durations
        } | set(table.sparse)
        kinds: dict[int, pl.DataType] = {
            c.index: pl.String() if c.index in texts else pl.Float64() for c in table.columns
        }
        cells = self._parse(text, kinds)
        if cells.height != len(numbers):
            raise refuse(
                self.path,
                f"the lines from {numbers[0]} on cannot be told apart.",
                "Export the test again as plain text.",
            )
        rows = pl.Series("row_number", numbers, dtype=pl.Int64)
        doubtful = {i for i in kinds if i not in texts and cells[f"column_{i + 1}"].null_count()}
        doubtful -= self._only_empty(text, cells, doubtful)
        if doubtful:
            again = self._parse(text, dict.fromkeys(doubtful, pl.String()))
            cells = cells.with_columns(again.get_columns())
        return self.take(cells, rows, held)

    def _only_empty(self, text: bytes, cells: pl.DataFrame, doubtful: set[int]) -> set[int]:
        """Those columns in which the cells without a number have no text either."""
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
        """Judge rows whose cells stand in `column_1`, ..., as numbers or as text."""
        table = self.table
        found = list(held)
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
            if column.quantity == "recorded_at":
                read = to_moments(series, table.moments)
                found += unreadable(series, read, rows, column.header, "date and time")
                columns.append(read.alias("recorded_at"))
                continue
            if column.index in table.durations:
                read = to_seconds(series)
                found += unreadable(series, read, rows, column.header, "duration")
            elif series.dtype == pl.String:
                read = to_numbers(series, table.decimal)
                found += unreadable(series, read, rows, column.header, "number")
            else:
                read = series
            if column.quantity in _DERIVED and column.quantity != "record":
                columns.append(read.alias(column.header))
            if column.factor != 1.0:
                read = pl.Series(read.to_numpy() * column.factor, nan_to_null=False)
            columns.append(read.alias(column.quantity))
        frame, uncounted = whole_numbers(_unique(columns))
        wrong = {finding.row for finding in found}
        found += [finding for finding in uncounted if finding.row not in wrong]
        frame = self._directed(frame, direction)
        return self.judge.judge(frame, found, direction)

    def _directed(self, frame: pl.DataFrame, direction: pl.Series | None) -> pl.DataFrame:
        """One counter for both directions, told apart by the state of the row."""
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
        if names.n_unique() == 1 and names[0] == self.cells_seen.get(header, names[0]):
            self.cells_seen[header] = names[0]
            return
        seen = self.cells_seen.get(header) or next((n for n in names if n and n.strip()), "")
        self.cells_seen[header] = seen
        other = names.is_not_null() & (names.str.strip_chars() != seen.strip())
        other = other & (names.str.strip_chars() != "")
        if other.any():
            first = names.filter(other)[0]
            raise refuse(
                self.path,
                f"the file holds more than one cell: '{header}' is {seen} first and {first} from "
                f"line {rows.filter(other)[0]} on.",
                "Export each cell to a file of its own.",
            )


def _unique(columns: list[pl.Series]) -> pl.DataFrame:
    """A frame of columns of which the instrument may have named two alike, or like ours."""
    names: dict[str, pl.Series] = {}
    for series in columns:
        names.setdefault(series.name, series)
    return pl.DataFrame(list(names.values()))
