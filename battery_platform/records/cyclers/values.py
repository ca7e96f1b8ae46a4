"""Cells of text to numbers, durations, moments and directions; what cannot be read is told."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from battery_platform.records.cyclers.model import Finding

_MISSING = ("", "nan", "n/a", "na", "null", "none", "-", "--", "#n/a")
_YEAR_FIRST = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y/%m/%d %H:%M:%S%.f")
_MONTH_FIRST = (
    *("%m/%d/%Y %I:%M:%S%.f %p", "%m/%d/%Y %H:%M:%S%.f", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %H:%M"),
    "%m-%d-%Y %H:%M:%S%.f",
)
_NAMED = (
    "%d-%b-%y %I:%M:%S %p",
    "%d-%b-%Y %H:%M:%S%.f",
    "%d %B %Y, %I:%M:%S %p",
    "%d %b %Y %H:%M:%S%.f",
)
_DAY_FIRST = (
    *("%d.%m.%Y %H:%M:%S%.f", "%d/%m/%Y %I:%M:%S%.f %p", "%d/%m/%Y %H:%M:%S%.f"),
    *("%d/%m/%Y %H:%M", "%d-%m-%Y %H:%M:%S%.f"),
)
_CHARGE = {"C", "CC", "CV", "CCCV", "CHG"}


def to_numbers(text: pl.Series, decimal: str) -> pl.Series:
    """Numbers of text cells; nothing where a cell is empty or no number."""
    clean = text.str.strip_chars(" \t\r\"'")
    if decimal == ",":
        clean = clean.str.replace(",", ".", literal=True)
    return clean.cast(pl.Float64, strict=False)


def unreadable(
    text: pl.Series, read: pl.Series, rows: pl.Series, header: str, what: str
) -> list[Finding]:
    """A finding for every cell that says something and could not be read."""
    if not read.null_count():
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


def to_seconds(text: pl.Series) -> pl.Series:
    """Durations such as `2d 01:00:05.25`, `1-02:00:00` or `30:49:13`, by splitting."""
    name = text.name
    frame = pl.DataFrame({"t": text}).lazy()
    first = next((cell for cell in text if cell), "")
    cell = pl.col("t").str.strip_chars()
    for mark in "-d":
        if mark in first:
            cell = cell.str.replace(mark, ":", literal=True)
    count = 3 if "d" in first or "-" in first else 2
    parts = cell.str.split_exact(":", count)
    days, hours, minutes, seconds = [
        *([] if count == 3 else [pl.lit(0.0)]),
        *(
            parts.struct.field(f"field_{index}").str.strip_chars().cast(pl.Float64, strict=False)
            for index in range(count + 1)
        ),
    ]
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    return frame.select(total.alias(name)).collect().to_series()


def moment_formats(sample: Sequence[str]) -> tuple[list[str], bool]:
    """The date formats that fit all of a sample, and whether day and month could be exchanged."""
    series = pl.Series("t", [cell.strip() for cell in sample if cell.strip()], dtype=pl.String)
    if series.is_empty():
        return [], False

    def fits(formats: tuple[str, ...]) -> list[str]:
        return [pattern for pattern in formats if not _moments(series, pattern).is_null().any()]

    certain = [*fits(_YEAR_FIRST), *fits(_NAMED)]
    if certain:
        return certain, False
    month, day = fits(_MONTH_FIRST), fits(_DAY_FIRST)
    return [*month, *day], bool(month and day)


def _alike(pattern: str, text: str) -> bool:
    """Whether a date could be of a format at all, before the costly trial."""
    words = any(c.isalpha() and c not in "TAPMapm" for c in text)
    return (
        ("%p" in pattern) == text.upper().endswith("M")
        and ("%b" in pattern.lower()) == words
        and pattern.count(":") == text.count(":")
        and next((c for c in text if not c.isdigit()), "") == pattern[2]
    )


def _moments(text: pl.Series, pattern: str) -> pl.Series:
    return text.str.to_datetime(pattern, time_unit="us", strict=False, exact=True)


def to_moments(text: pl.Series, formats: Sequence[str]) -> pl.Series:
    """Wall clock, as it stands and without a zone, by the first format that reads the most."""
    clean = text.str.strip_chars(" \t\r\"'")
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
