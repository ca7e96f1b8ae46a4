"""Text cells to numbers, durations, moments and directions; unreadable cells become findings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import cast

import numpy as np
import polars as pl

from battery_platform.records.cyclers.model import Finding

_MISSING = ("", "nan", "n/a", "na", "null", "none", "-", "--", "#n/a")
_YEAR_FIRST = (
    *("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y/%m/%d %H:%M:%S%.f"),
    *("%Y.%m.%d %H:%M:%S%.f", "%Y-%m-%d %I:%M:%S%.f %p", "%Y/%m/%d %I:%M:%S%.f %p"),
    *("%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M"),
)
_MONTH_FIRST = (
    *("%m/%d/%Y %I:%M:%S%.f %p", "%m/%d/%Y %H:%M:%S%.f", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %H:%M"),
    *("%m-%d-%Y %H:%M:%S%.f", "%m/%d/%y %H:%M:%S%.f", "%m/%d/%y %I:%M:%S%.f %p", "%m/%d/%y %H:%M"),
)
_NAMED = (
    "%d-%b-%y %I:%M:%S %p",
    "%d-%b-%Y %H:%M:%S%.f",
    "%d %B %Y, %I:%M:%S %p",
    "%d %b %Y %H:%M:%S%.f",
    "%d-%b-%y %H:%M:%S%.f",
    "%d-%b-%Y %I:%M:%S %p",
)
_DAY_FIRST = (
    *("%d.%m.%Y %H:%M:%S%.f", "%d/%m/%Y %I:%M:%S%.f %p", "%d/%m/%Y %H:%M:%S%.f"),
    *("%d/%m/%Y %H:%M", "%d-%m-%Y %H:%M:%S%.f", "%d.%m.%Y %H:%M", "%d.%m.%y %H:%M:%S%.f"),
    *("%d/%m/%y %H:%M:%S%.f", "%d/%m/%y %I:%M:%S%.f %p", "%d/%m/%y %H:%M"),
)
_OFFSET = r"(?::\d\d(?:\.\d+)?)\s*(Z|[+\-]\d\d:?\d\d)$"
_CHARGE = {"C", "CC", "CV", "CCCV", "CHG", "CHA"}


def to_numbers(text: pl.Series, decimal: str) -> pl.Series:
    """Numbers of text cells; null where a cell is empty or not a number."""
    clean = text.str.strip_chars(" \t\r\"'")
    if decimal == ",":
        clean = clean.str.replace(",", ".", literal=True)
    return clean.cast(pl.Float64, strict=False)


def unreadable(
    text: pl.Series, read: pl.Series, rows: pl.Series, header: str, what: str
) -> list[Finding]:
    """A finding for every cell that is filled but could not be read."""
    if not read.null_count() or not (read.is_null() & (text != "")).any():
        return []
    clean = text.str.strip_chars(" \t\r\"'")
    wrong = read.is_null() & ~clean.str.to_lowercase().is_in(_MISSING)
    return [
        Finding(
            int(row),
            header,
            value,
            "readable",
            f"'{header}' says '{value}', which is no {what}.",
            "Correct the cell in the export, or export the test again.",
        )
        for row, value in zip(rows.filter(wrong), clean.filter(wrong), strict=True)
    ]


_DURATION = (
    r"^\s*(?:(?P<date>(?:1899|1900|1901)-\d\d-\d\d)[ T]+|(?P<days>\d+)\s*(?:d|days?|[\-.])?[\s,.\-]\s*|"
    r"(?P<only>\d+)\s*[d\-]\s*)?(?P<hours>\d+):(?P<minutes>\d{1,2}):(?P<seconds>\d{1,2}(?:[.,]\d+)?)\s*$"
)
_FIRST_YEAR = 1970
_SERIAL_BEGINS = pl.date(1899, 12, 31)
_LEAP_DAY_OF_1900 = pl.date(1900, 3, 1)
"""Excel counts a 29 February 1900 that never was."""


def to_seconds(text: pl.Series) -> pl.Series:
    """Durations such as `2d 01:00:05.25`, `1-02:00:00`, `1 day, 0:00:01` or `30:49:13`.

    A workbook shows a duration of more than a day as a date behind the last day of 1899.
    """
    if (seconds := _plain_seconds(text.str.strip_chars())) is None:
        return _written_seconds(text)
    if (others := np.isnan(seconds)).any():
        seconds[others] = _written_seconds(text.filter(pl.Series(others))).to_numpy()
    return pl.Series(text.name, seconds, nan_to_null=True)


def _written_seconds(text: pl.Series) -> pl.Series:
    """Durations in any of their forms."""
    fields = pl.col("t").str.to_lowercase().str.extract_groups(_DURATION)

    def part(name: str) -> pl.Expr:
        return fields.struct.field(name).str.replace(",", ".").cast(pl.Float64, strict=False)

    date = fields.struct.field("date").str.to_date("%Y-%m-%d", strict=False)
    since = (date - _SERIAL_BEGINS).dt.total_days() + (date >= _LEAP_DAY_OF_1900).cast(pl.Int64)
    days = pl.coalesce(part("days"), part("only"), since.cast(pl.Float64), pl.lit(0.0))
    total = ((days * 24 + part("hours")) * 60 + part("minutes")) * 60 + part("seconds")
    return pl.DataFrame({"t": text}).select(total.alias(text.name)).to_series()


def _plain_seconds(text: pl.Series) -> np.ndarray | None:
    """The common forms `2d 01:00:05.25` and `30:49:13`, read as a table between their colons.

    None if the cells are of several forms, not a number where a cell is of no such form.
    """
    joined = text.str.join("\n", ignore_nulls=False).item() if len(text) else None
    if joined is None:
        return None
    names = ("days", "hours", "minutes", "seconds")[0 if "d " in joined else 1 :]
    lines = f"{joined}\n".encode().replace(b"d ", b":")
    if lines.translate(None, b"0123456789.: \n"):
        return None
    codes = np.frombuffer(lines, dtype=np.uint8)
    ends = codes[(codes == ord(":")) | (codes == ord("\n"))] == ord("\n")
    width, rest = divmod(len(ends), len(text))
    if rest or width != len(names) or not ends[width - 1 :: width].all():
        return None
    table = pl.read_csv(
        lines,
        has_header=False,
        separator=":",
        schema={name: pl.Float64() if name == "seconds" else pl.Int64() for name in names},
        ignore_errors=True,
    )
    if table.height != len(text):
        return None
    *larger, minutes, seconds = (table[name].cast(pl.Float64).to_numpy() for name in names)
    hours = 24 * larger[0] + larger[1] if len(larger) == 2 else larger[0]
    total: np.ndarray = (hours * 60 + minutes) * 60 + seconds
    return np.where((minutes < 100) & (seconds < 100), total, np.nan)


def moment_formats(sample: Sequence[str]) -> tuple[list[str], bool]:
    """The date formats that fit a whole sample, and whether day and month are interchangeable."""
    series = _clean(pl.Series("t", [cell for cell in sample if cell.strip()], dtype=pl.String))
    if series.is_empty():
        return [], False

    first = cast(str, series[0])

    def fits(formats: tuple[str, ...]) -> list[str]:
        return [
            variant
            for pattern in formats
            if _alike(pattern, first)
            for variant in _variants(pattern, series)
        ]

    certain = [*fits(_YEAR_FIRST), *fits(_NAMED)]
    if certain:
        return certain, False
    month, day = fits(_MONTH_FIRST), fits(_DAY_FIRST)
    return [*month, *day], bool(month and day)


def _variants(pattern: str, series: pl.Series) -> tuple[str, ...]:
    """A pattern if it fits, behind the one for whole seconds, which reads four times as fast."""
    bare = pattern.replace("%.f", "")
    if bare != pattern and not _moments(series, bare).has_nulls():
        return (bare, pattern)
    return () if _moments(series, pattern).has_nulls() else (pattern,)


def _alike(pattern: str, text: str) -> bool:
    """Whether a date could have a format at all; a cheap test before the costly one."""
    words = any(c.isalpha() and c not in "TAPMapm" for c in text)
    return (
        ("%p" in pattern) == text.upper().endswith("M")
        and ("%b" in pattern.lower()) == words
        and ("%Y" in pattern) == (re.search(r"\d{4}", text.partition(":")[0]) is not None)
        and pattern.count(":") == text.count(":")
        and next((c for c in text if not c.isdigit()), "") == pattern[2]
    )


def _moments(text: pl.Series, pattern: str) -> pl.Series:
    """Moments in one format; a two-digit year does not pass for a four-digit one."""
    read = text.str.to_datetime(pattern, time_unit="us", strict=False, exact=True)
    earliest = cast(datetime | None, read.min())
    if earliest is None or earliest.year >= _FIRST_YEAR:
        return read
    return read.set((read.dt.year() < _FIRST_YEAR).fill_null(False), None)


def _clean(text: pl.Series) -> pl.Series:
    """Wall clocks without UTC offset, and with a point before fractions of a second."""
    clean = text.str.strip_chars(" \t\r\"'")
    if not clean.str.contains(r"[,Z+]|-\d\d:?\d\d$").any():
        return clean
    clean = clean.str.replace(r"(:\d\d),(\d+)$", "${1}.${2}")
    return clean.str.replace(r"(:\d\d(?:\.\d+)?)\s*(?:Z|[+\-]\d\d:?\d\d)$", "${1}")


def has_offset(cell: str) -> bool:
    """Whether a wall clock states its offset from UTC."""
    return re.search(_OFFSET, cell.strip(" \t\r\"'")) is not None


def to_offsets(text: pl.Series) -> pl.Series:
    """Seconds by which a wall clock is ahead of UTC, if it states that."""
    frame = pl.DataFrame({"t": text.str.strip_chars(" \t\r\"'").str.extract(_OFFSET)})
    digits = pl.col("t").str.replace_all(r"[:+\-]", "")
    hours = digits.str.slice(0, 2).cast(pl.Float64, strict=False)
    minutes = digits.str.slice(2, 2).cast(pl.Float64, strict=False)
    sign = pl.when(pl.col("t").str.starts_with("-")).then(-1.0).otherwise(1.0)
    seconds = pl.when(pl.col("t") == "Z").then(0.0).otherwise(sign * (hours * 60 + minutes) * 60)
    return frame.select(seconds.alias(text.name)).to_series()


def to_moments(text: pl.Series, formats: Sequence[str]) -> pl.Series:
    """The wall clock without a zone, by the first of the formats that read the most cells."""
    if not (read := _moments(text, formats[0])).null_count():
        return read
    clean = _clean(text)
    best = pl.Series(text.name, [None] * len(text), dtype=pl.Datetime("us"))
    for pattern in formats:
        read = _moments(clean, pattern)
        if len(formats) == 1 or read.null_count() == 0:
            return read
        if read.null_count() < best.null_count():
            best = read
    return best


def directions(states: pl.Series) -> pl.Series:
    """1 where the instrument's label says charging, -1 discharging, 0 anything else."""
    labels = {label: _direction(label) for label in states.unique().to_list() if label is not None}
    return states.replace_strict(labels, default=0, return_dtype=pl.Int8)


def _direction(label: str) -> int:
    name = label.strip().upper().replace("_", " ")
    if name == "D" or "DCH" in name or "DISCH" in name or "放电" in name or "ENTLAD" in name:
        return -1
    if name in _CHARGE or "CHG" in name or "CHARGE" in name or "充电" in name or "LADEN" in name:
        return 1
    return 0
