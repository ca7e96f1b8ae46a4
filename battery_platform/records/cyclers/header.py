"""The header of a text export: where the table stands, whose it is, and what its columns are.

The table is found by its header, wherever it stands, and the maker by what only that maker
writes. The first rows tell how times and dates are written, and the wall clock in what unit the
time of the test runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

from battery_platform.records.cyclers import formats
from battery_platform.records.cyclers.lines import fields_of
from battery_platform.records.cyclers.model import REQUIRED, Format, LeftOut
from battery_platform.records.cyclers.nested import (
    Levels,
    Place,
    flat_headers,
    flatten,
    levels_of,
)
from battery_platform.records.cyclers.quantities import (
    Column,
    columns_of,
    frequency_at,
    is_unit_word,
    quantity_of,
    with_units,
)
from battery_platform.records.cyclers.values import (
    has_offset,
    moment_formats,
    to_moments,
    to_numbers,
    to_offsets,
    to_seconds,
)
from battery_platform.records.reading import DELIMITERS, refuse, sniff_encoding

HEAD_BYTES = 512 * 1024
HEADER_LINES = 1000
SNIFFED_BYTES = 8 * 1024
SPARSE_ROWS = 60
"""A column with an empty cell among so many first rows is read as text from the start."""
SAMPLE_ROWS = 400
BELOW_HEADER = 40
"""A header further below another one than this belongs to a second table."""
HIGHEST_VOLTAGE = 100.0
"""A voltage without a unit that is above this is not in volts."""
_PACES = {
    1.0: "",
    1 / 60: "minutes",
    1 / 3600: "hours",
    1 / 86400: "days",
    1e3: "milliseconds",
    1e6: "microseconds",
}
"""How fast a time in another unit runs if it is mistaken for seconds."""
_PACE_TOLERANCE, _MEDIAN_TOLERANCE, _LEAST_STEPS = 0.03, 3.0, 3
_BEGUN = {mark: re.compile(rf"(?:^|{re.escape(mark)})\s*[+-]?\d") for mark in (*DELIMITERS, " ")}
"""Fields that begin with a digit."""
_FRACTION = re.compile(r"\s*[+-]?\d*([.,])\d+(?:[eE][+-]?\d+)?\s*$")
_EPOCH = (
    (1e8, 4e9, 1.0),
    (1e11, 4e12, 1e-3),
    (1e14, 4e15, 1e-6),
    (5e15, 4e16, 1e-7),
)
"""Wall clocks that count from 1970: the range of numbers that is taken for a unit, in seconds.

The last is that of Arbin's SQL server.
"""
_CHINESE = ("电压", "电流", "循环", "时间")
_WORDS = {
    "test_time_s": "time since the start of the test",
    "voltage_v": "voltage",
    "current_a": "current",
}


@dataclass(frozen=True)
class Table:
    """Where the table of a text file begins, and how it is written."""

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
    again: str = ""
    """The beginning of the header, by which a repetition of it is recognised."""
    absolute: tuple[str, ...] = ()
    """Formats of the test time, if it is written as a date."""
    adds_up: bool = False
    """Whether the test time has to be summed from the steps' times."""
    offset: bool = False
    """Whether the wall clock states its offset from UTC."""
    left_out: tuple[LeftOut, ...] = ()
    wrong: tuple[str, str] | None = None
    """Why the table cannot be trusted, and what to do."""

    def of(self, quantity: str) -> Column | None:
        return next((column for column in self.columns if column.quantity == quantity), None)

    def missing(self) -> list[str]:
        added = {"test_time_s"} if self.adds_up else set()
        return [q for q in REQUIRED if self.of(q) is None and q not in added]


def head_of(path: Path, encoding: str | None = None) -> tuple[str, str]:
    """The encoding of a text file, unless it is given, and its first lines."""
    with path.open("rb") as stream:
        raw = stream.read(HEAD_BYTES)
    if encoding is not None:
        return encoding, _plain_text(raw.decode(encoding, "replace"))
    encoding = sniff_encoding(path, raw[:SNIFFED_BYTES])
    text = raw.decode(encoding, "replace")
    if encoding == "utf-8" and "\ufffd" in text[:-4]:
        encoding, text = "cp1252", raw.decode("cp1252", "replace")
    if encoding in {"cp1252", "latin-1"}:
        chinese = raw.decode("gb18030", "replace")
        if any(word in chinese for word in _CHINESE):
            encoding, text = "gb18030", chinese
    return encoding, _plain_text(text)


def _plain_text(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def find_table(path: Path, encoding: str | None = None) -> Table | None:
    """The cycler's table in a text file, or None if no line is the header of one."""
    encoding, head = head_of(path, encoding)
    lines = head.split("\n", HEADER_LINES + SAMPLE_ROWS + 1)
    header = _best_header(lines[:HEADER_LINES]) or _of_a_rest(lines[:HEADER_LINES])
    if header is None:
        return None
    number, separator, headers = header
    top, again = number, headers
    below = lines[number + 1] if number + 1 < len(lines) - 1 else ""
    units = units_below(below)
    if units:
        headers, number = with_units(headers, fields_of(below, separator)), number + 1
    body = [line for line in lines[number + 1 : -1] if line.strip()]
    if not body and lines[-1].count(separator) >= len(headers) - 1:
        body = lines[-1:]
    levels = None if units else levels_of(lines[:number], headers, separator)
    if levels is not None:
        headers = again = flat_headers(headers)
        body = [line for line in flatten("\n".join(body), levels, Place()).split("\n") if line]
    rows = [fields_of(line, separator) for line in body[:SAMPLE_ROWS]]
    known = formats.NEWARE_TEXT if levels else None
    table = table_of(encoding, separator, headers, number + 1, lines[:top], rows, known)
    return replace(table, levels=levels, again=separator.join(again[:3]))


def _of_a_rest(lines: list[str]) -> tuple[int, str, list[str]] | None:
    """The header of a known maker's file that has a time and a voltage and no current."""
    header = _best_header(lines, least=2)
    if header is None or _format(lines[: header[0]], header[2]) is formats.GENERIC_TEXT:
        return None
    named = {column.quantity for column in columns_of(header[2])}
    return header if named >= {"test_time_s", "voltage_v"} else None


def _best_header(lines: list[str], least: int = 3) -> tuple[int, str, list[str]] | None:
    """The line that names the most quantities, its separator, and its cells."""
    best: tuple[int, str, list[str]] | None = None
    most = least - 1
    for number, line in enumerate(lines):
        if best is not None and number > best[0] + BELOW_HEADER:
            break
        separators = (*DELIMITERS, " ") if line.startswith("~Time") else DELIMITERS
        for separator in separators:
            if separator not in line or _mostly_numbers(line, separator):
                continue
            cells = [cell.strip() for cell in fields_of(line, separator)]
            if (score := header_score(cells)) > most:
                most, best = score, (number, separator, cells)
    return best


def _mostly_numbers(line: str, separator: str) -> bool:
    """Whether a line is a row for certain; a cheap test before the costly one."""
    return 2 * len(_BEGUN[separator].findall(line)) > 1 + line.count(separator)


def header_score(cells: list[str]) -> int:
    """How many quantities a line names, if it could be a header at all."""
    if 2 * sum(cell[:1].isdigit() for cell in cells) > len(cells):
        return 0
    return len({column.quantity for column in columns_of(cells) if column.quantity != "cell"})


def units_below(line: str) -> bool:
    """Whether the line below a header holds units: no numbers, and mostly words that are units."""
    words = [word.strip('[]() \r"') for word in re.split(r"[,;|\t\x1f]+", line)]
    words = [word for word in words if word]
    if not words or any(c.isdigit() for word in words for c in word if word != "1"):
        return False
    return 2 * sum(is_unit_word(word) for word in words) >= len(words)


def table_of(
    encoding: str,
    separator: str,
    headers: list[str],
    header_line: int,
    preamble: list[str],
    rows: list[list[str]],
    known: Format | None = None,
) -> Table:
    """The description of a table, taken from its header and first rows."""
    counts = [len(row) for row in rows] or [len(headers)]
    width = max(set(counts), key=lambda count: (counts.count(count), -abs(count - len(headers))))
    maker = known or _format(preamble, headers)
    columns, adds_up = _times(
        [column for column in columns_of(headers) if column.index < width], maker
    )
    table = Table(
        maker,
        encoding,
        separator,
        _decimal(rows, separator),
        headers,
        header_line,
        (width, max(width, len(headers)) + 1),
        columns,
        preamble,
        adds_up=adds_up,
    )
    return _paced(_first_rows(table, rows), rows)


def _times(columns: list[Column], maker: Format) -> tuple[list[Column], bool]:
    """The columns, and whether the test time must be added up from the steps' times.

    Neware's bare `Time` begins again with every step.
    """
    named = {column.quantity: column for column in columns}
    time = named.get("test_time_s")
    if time is not None and "step_time_s" not in named and maker == formats.NEWARE_TEXT:
        bare = re.sub(r"[(\[/].*", "", time.header).strip().lower()
        if bare in {"time", "时间"}:
            columns = [replace(c, quantity="step_time_s") if c is time else c for c in columns]
            return columns, True
    return columns, time is None and "step_time_s" in named


def _decimal(rows: list[list[str]], separator: str) -> str:
    if separator == ",":
        return "."
    marks = [match[1] for row in rows[:20] for cell in row if (match := _FRACTION.match(cell))]
    return "," if 2 * marks.count(",") > len(marks) else "."


def _first_rows(table: Table, rows: list[list[str]]) -> Table:
    """The table completed by its first rows: notation of times, clock, implausible units."""
    notes: list[str] = []
    width = len(table.headers)
    nameless = any(len(row) > width and any(map(str.strip, row[width:])) for row in rows)
    table = _written_times(table, rows, notes)
    wrong = _spectrum(table, rows)
    for column in table.columns:
        if column.index in table.durations or (table.absolute and column.quantity == "test_time_s"):
            continue
        if not column.unit_stated and column.quantity in _WORDS:
            unit = {"test_time_s": "seconds", "voltage_v": "V", "current_a": "A"}[column.quantity]
            notes.append(f"'{column.header}' names no unit: taken as {unit}")
            if column.quantity == "voltage_v":
                wrong = wrong or _too_high(column, _cells_of(rows, column), table.decimal)
    if table.adds_up and (step := table.of("step_time_s")) is not None:
        notes.append(
            f"the file has no time of the test: it is added up from '{step.header}', step by step"
        )
    table = _clock(table, rows, notes)
    columns = table.columns
    left_out = _left_out(table)
    if nameless:
        left_out.append(LeftOut("", "the header has no name for it"))
    sparse = [
        column.index
        for column in columns
        if any(len(row) > column.index and not row[column.index] for row in rows[:SPARSE_ROWS])
    ]
    return replace(
        table,
        columns=columns,
        sparse=tuple(sparse),
        notes=tuple(notes),
        left_out=tuple(left_out),
        wrong=wrong,
    )


def _left_out(table: Table) -> list[LeftOut]:
    """The columns of the header that are not read, each with the reason."""
    read = {column.index: column for column in table.columns}
    twins = {twin.index: column for column in table.columns for twin in column.twins}
    out = []
    for index, header in enumerate(table.headers):
        if not header or index in read:
            continue
        if index in twins:
            first = twins[index]
            why = (
                f"column {first.index + 1}, '{first.header}', is of the same name and read instead"
            )
        elif known := quantity_of(header):
            better = table.of(known[0])
            why = (
                f"'{better.header}' is read instead" if better else "its cells are in no known form"
            )
        else:
            why = "no quantity of a cycler's points"
        out.append(LeftOut(header, why))
    return out


def _spectrum(table: Table, rows: list[list[str]]) -> tuple[str, str] | None:
    """Why a table is no cycling, if most of its rows belong to impedance spectra."""
    at = frequency_at(table.headers)
    if at is None:
        return None
    cells = pl.Series("f", [row[at] for row in rows if len(row) > at], dtype=pl.String)
    swept = (to_numbers(cells, table.decimal) > 0).sum()
    if 2 * swept <= len(cells):
        return None
    return (
        f"this is an impedance spectrum ('{table.headers[at]}' is above zero in its rows), no "
        "cycling.",
        "Hand in the file of the cycling technique; spectra have no table here yet.",
    )


def _written_times(table: Table, rows: list[list[str]], notes: list[str]) -> Table:
    """The table with the notation of its times, if they are not numbers."""
    durations = []
    columns = list(table.columns)
    absolute: tuple[str, ...] = ()
    for column in table.columns:
        if column.quantity not in {"test_time_s", "step_time_s"}:
            continue
        cells = _cells_of(rows, column)
        if not any(":" in cell for cell in cells):
            continue
        unread = to_seconds(pl.Series("t", cells, dtype=pl.String)).null_count()
        dates = moment_formats(cells[:50])[0] if unread else []
        if not dates:
            durations.append(column.index)
        elif column.quantity == "test_time_s":
            absolute = tuple(dates)
            notes.append(f"'{column.header}' holds dates: counted from the first of them")
        else:
            columns.remove(column)
    return replace(table, columns=columns, durations=tuple(durations), absolute=absolute)


def _clock(table: Table, rows: list[list[str]], notes: list[str]) -> Table:
    """The table with the notation of its wall clock."""
    if (clock := table.of("recorded_at")) is None:
        return table
    sample = _cells_of(rows, clock)
    moments, either = moment_formats(sample)
    if moments:
        if either:
            notes.append(
                f"'{clock.header}' is read with the month first, as the makers' default is; the "
                "rows shown would fit the day first too"
            )
        offset = all(has_offset(cell) for cell in sample)
        return replace(table, moments=tuple(moments), offset=offset)
    columns = [column for column in table.columns if column is not clock]
    counted = _counted_clock(clock, sample, table)
    if counted is not None and table.of("unix_time_s") is None:
        columns = sorted([*columns, counted], key=lambda column: column.index)
        notes.append(f"'{clock.header}' counts from 1970")
    elif sample:
        notes.append(f"'{clock.header}' was not read: its dates are in no known form")
    return replace(table, columns=columns)


def _cells_of(rows: list[list[str]], column: Column) -> list[str]:
    """The cells of a column in the first rows."""
    return [row[column.index] for row in rows if len(row) > column.index and row[column.index]]


def _too_high(column: Column, cells: list[str], decimal: str) -> tuple[str, str] | None:
    numbers = to_numbers(pl.Series("v", cells, dtype=pl.String), decimal).to_numpy()
    sound = np.abs(numbers[np.isfinite(numbers)])
    if not len(sound) or (typical := median(sound.tolist())) <= HIGHEST_VOLTAGE:
        return None
    return (
        f"'{column.header}' names no unit and reads {typical:g}: these are hardly volts.",
        "Export the test with the units in the header, or write them there.",
    )


def _counted_clock(clock: Column, sample: list[str], table: Table) -> Column | None:
    """A wall clock that counts seconds or milliseconds from 1970."""
    numbers = to_numbers(pl.Series("t", sample, dtype=pl.String), table.decimal)
    for low, high, factor in _EPOCH:
        if len(numbers) and not numbers.null_count() and numbers.is_between(low, high).all():
            return replace(clock, quantity="unix_time_s", factor=factor)
    return None


def _paced(table: Table, rows: list[list[str]]) -> Table:
    """The table with its time in seconds, if the wall clock shows that it is in another unit.

    Where the header names no unit, the clock decides; where it names one that the clock belies,
    nothing in the file can be trusted to say which is right.
    """
    time = table.of("test_time_s") or table.of("step_time_s")
    clock = table.of("unix_time_s") or table.of("recorded_at")
    if time is None or clock is None or table.absolute or table.wrong:
        return table
    stated = time.unit_stated or time.index in table.durations
    pace = _pace(*_both_times(table, rows, time, clock), least=_LEAST_STEPS if stated else 1)
    if pace is None or pace == 1.0:
        return table
    if stated:
        says = (
            f"'{time.header}' runs {pace:.6g} times as fast as the wall clock '{clock.header}': "
            f"as if it were in {_PACES[pace]} where the header says otherwise."
        )
        remedy = "Correct the unit in the header, or export the test again."
        return replace(table, wrong=(says, remedy))
    columns = [
        replace(c, factor=c.factor / pace, unit_stated=True)
        if c.quantity in {"test_time_s", "step_time_s"}
        and not c.unit_stated
        and c.index not in table.durations
        else c
        for c in table.columns
    ]
    notes = [note for note in table.notes if not note.endswith("taken as seconds")]
    notes.append(
        f"'{time.header}' names no unit: it is in {_PACES[pace]}, by the wall clock '{clock.header}'"
    )
    return replace(table, columns=columns, notes=tuple(notes))


def _both_times(
    table: Table, rows: list[list[str]], time: Column, clock: Column
) -> tuple[np.ndarray, np.ndarray]:
    """The time and the wall clock of the first rows, in seconds."""
    both = [row for row in rows if len(row) > max(time.index, clock.index)]
    passed = pl.Series("t", [row[time.index] for row in both], dtype=pl.String)
    clock_cells = pl.Series("c", [row[clock.index] for row in both], dtype=pl.String)
    seconds = (
        to_seconds(passed)
        if time.index in table.durations
        else to_numbers(passed, table.decimal) * time.factor
    )
    if clock.quantity == "unix_time_s":
        wall = to_numbers(clock_cells, table.decimal) * clock.factor
    else:
        moments = to_moments(clock_cells, table.moments).cast(pl.Int64) / 1e6
        wall = moments - to_offsets(clock_cells) if table.offset else moments
    return seconds.cast(pl.Float64).to_numpy(), wall.cast(pl.Float64).to_numpy()


def _pace(seconds: np.ndarray, wall: np.ndarray, least: int) -> float | None:
    """How fast a time runs relative to the wall clock, if that is clearly one of `_PACES`."""
    sound = np.isfinite(seconds) & np.isfinite(wall)
    steps, clock = np.diff(seconds[sound]), np.diff(wall[sound])
    forward = (steps >= 0) & (clock >= 0)
    both = (steps > 0) & (clock > 0)
    total = float(clock[forward].sum())
    if both.sum() < least or total <= 0:
        return None
    coarse = 120.0 if not np.any(wall[sound] % 60) else 2.0
    doubt = coarse / total
    ratio = float(steps[forward].sum()) / total
    typical = median((steps[both] / clock[both]).tolist())
    for pace in _PACES:
        near = abs(ratio / pace - 1) < _PACE_TOLERANCE + doubt
        if near and doubt < 0.5 and 1 / _MEDIAN_TOLERANCE < typical / pace < _MEDIAN_TOLERANCE:
            return pace
    return None


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
    (
        formats.MACCOR_TEXT,
        "today's date",
        (("rec", "dpt time"), ("amps", "volts"), ("mamps", "volts"), ("rec", "cycle c")),
    ),
    (
        formats.NEWARE_TEXT,
        "",
        (
            *(("dchg",), ("datapoint",), ("record id",), ("chg. cap",)),
            *(("数据序号",), ("循环号",), ("循环序号",)),
        ),
    ),
    (
        formats.ARBIN_TEXT,
        "",
        (
            ("data_point", "cycle_index"),
            ("data point", "cycle index"),
            ("data_point", "cycle_id"),
            ("data point", "cycle id"),
            ("test_time(s)", "cycle_index"),
            ("test_time (s)", "cycle_index"),
            ("test time (s)", "cycle index"),
        ),
    ),
)
"""What only this maker writes above its table or at the beginning of its header."""


def _format(preamble: list[str], headers: list[str]) -> Format:
    """The maker, recognised by what only that maker writes above or in the header."""
    top = "\n".join(preamble[:60]).lower()
    names = {header.strip().lower() for header in headers}

    def begin(wanted: tuple[str, ...]) -> bool:
        return all(any(name.startswith(want) for name in names) for want in wanted)

    for maker, above, begins in _MARKS:
        if (above and above in top) or any(begin(wanted) for wanted in begins):
            return maker
    return formats.GENERIC_TEXT


def refuse_unless_complete(path: Path, table: Table) -> None:
    """Refuse a table that lacks one of the three indispensable quantities."""
    missing = table.missing()
    if missing == ["current_a"]:
        raise refuse(
            path,
            f"the header on line {table.header_line} has no column of the current: an open-circuit "
            f"measurement or a summary, no cycling. Seen: {', '.join(filter(None, table.headers))}.",
            "Export the test with its current; a rest alone has no cycles and needs no table.",
        )
    if missing:
        seen = ", ".join(header for header in table.headers if header)
        raise refuse(
            path,
            f"the header on line {table.header_line} has no column of the "
            f"{' and '.join(_WORDS[quantity] for quantity in missing)}. Seen: {seen}.",
            "Export the test again with that column.",
        )
    if table.wrong is not None:
        raise refuse(path, *table.wrong)


def metadata_of(table: Table) -> dict[str, str]:
    """The lines above the table as `name: value`, and the conventions of the format."""
    metadata = {
        "sign_of_current": table.format.current,
        "cycles": table.format.cycles,
        "counters_reset": table.format.resets,
    }
    for line in table.preamble[:200]:
        for mark in (":\t", "\t", ":", table.separator):
            name, separated, value = line.strip().lstrip("~#").partition(mark)
            if separated and name.strip() and value.strip(f" {table.separator}") and len(name) < 60:
                metadata.setdefault(name.strip(" :"), value.strip(f" {table.separator}")[:200])
                break
    for column in table.columns:
        metadata[f"column {column.quantity}"] = column.header
    return metadata
