"""Text cells to typed columns, with a problem for each unreadable value.

Nothing is guessed per value: decimal mark, units, words for missing values, date format and
time zone are those of the mapping.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from battery_platform.contracts.base import Column, Contract, columns
from battery_platform.contracts.units import shown_unit
from battery_platform.contracts.verdicts import VIOLATION, no_violations
from battery_platform.records.mapping import Mapping
from battery_platform.records.notation import as_number

ISO_FORMATS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
)
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity|1\.#(inf|ind|qnan)|#(div/0|num|value|ref|name)[!?]?)$"


SUMMARY_WORDS = [
    "mean",
    "average",
    "avg",
    "sum",
    "total",
    "median",
    "min",
    "max",
    "minimum",
    "maximum",
    "sd",
    "std",
    "stdev",
    "count",
    "mittelwert",
    "mittel",
    "summe",
    "gesamt",
    "standardabweichung",
    "stabw",
    "anzahl",
    "moyenne",
    "somme",
    "ecart-type",
]
"""First words of lines that spreadsheets put below their records."""


def converted(value: pl.Expr, scale: float, offset: float) -> pl.Expr:
    """A value in the contract's unit, without the last-bit noise of the factor (0.29 -> 29)."""
    return (value * scale + offset).round_sig_figs(15)


def as_moment(text: pl.Expr, mapping: Mapping) -> tuple[pl.Expr, pl.Expr]:
    """The time stamp as written, and the same in UTC (null in an hour that the clock repeats)."""
    if mapping.datetime_format:
        written = text.str.to_datetime(mapping.datetime_format, time_unit="us", strict=False)
    else:
        tries = [text.str.to_datetime(form, time_unit="us", strict=False) for form in ISO_FORMATS]
        day = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
        written = pl.coalesce(*tries, day)
    if mapping.datetime_format is None:
        marked = _with_offset(text)
        written = pl.coalesce(written, marked)
    else:
        marked = None
    if mapping.timezone == "UTC":
        return written, written
    utc = (
        written.dt.replace_time_zone(mapping.timezone, ambiguous="null", non_existent="null")
        .dt.convert_time_zone("UTC")
        .dt.replace_time_zone(None)
    )
    return written, utc if marked is None else pl.coalesce(marked, utc)


def _with_offset(text: pl.Expr) -> pl.Expr:
    """ISO time stamps that state their own offset, in UTC whatever the mapping's time zone."""
    plain = (
        text.str.replace("Z$", "+00:00")
        .str.replace("T", " ", literal=True)
        .str.replace(r"([+-]\d\d):?(\d\d)$", "${1}${2}")
    )
    forms = ("%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M%z")
    tries = [plain.str.to_datetime(form, time_unit="us", strict=False) for form in forms]
    return pl.coalesce(tries).dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def parse_cells(
    text: pl.DataFrame,
    contract: type[Contract],
    mapping: Mapping,
    factors: dict[str, tuple[float, float]],
    decimal: str,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Typed contract columns (and `row_number`), and the values that could not be read.

    `text` holds one text column per placed contract column. Columns that the mapping neither
    places nor sets are null.
    """
    typed = [text["row_number"]]
    problems = [no_violations()]
    for column in columns(contract):
        if column.name in mapping.constants:
            typed.append(_constant(column, mapping.constants[column.name], text.height))
        elif column.name in text.columns:
            cells = _cleaned(text[column.name], column, mapping)
            values, unreadable = _column(cells, text, column, mapping, factors, decimal)
            typed.append(values)
            problems.append(unreadable)
        else:
            typed.append(pl.Series(column.name, [None] * text.height, dtype=column.dtype))
    return pl.DataFrame(typed), pl.concat(problems)


def _constant(column: Column, value: Any, height: int) -> pl.Series:
    kind = float if column.dtype == pl.Float64 else int if column.dtype == pl.Int64 else str
    return pl.Series(column.name, [kind(value)] * height, dtype=column.dtype)


def _cleaned(cells: pl.Series, column: Column, mapping: Mapping) -> pl.Series:
    """Stripped text, with words for 'missing' as null and a plant's words as the contract's."""
    if column.role == "verbatim":
        return cells.replace("", None)
    frame = pl.DataFrame({"cell": cells}).select(pl.col("cell").str.strip_chars())
    words = mapping.values.get(column.name, {})
    if words:
        known = {str(key): str(value) for key, value in words.items()}
        frame = frame.with_columns(pl.col("cell").replace(known))
    missing = [word.casefold() for word in mapping.missing] + [""]
    gone = pl.col("cell").str.to_lowercase().is_in(missing)
    return frame.select(pl.when(~gone).then(pl.col("cell")))["cell"]


def _column(
    cells: pl.Series,
    text: pl.DataFrame,
    column: Column,
    mapping: Mapping,
    factors: dict[str, tuple[float, float]],
    decimal: str,
) -> tuple[pl.Series, pl.DataFrame]:
    frame = pl.DataFrame(
        {"cell": cells, "row_number": text["row_number"], "raw": text[column.name]}
    )
    off = f"{column.name} minus"
    if off in text.columns:
        frame = frame.with_columns(_cleaned(text[off], column, mapping).alias("off"))
    cell = pl.col("cell")
    if column.dtype == pl.String:
        value = cell.str.to_lowercase() if column.role == "choice" else cell
        if column.name.endswith("_id"):
            value = pl.concat_str(pl.lit(mapping.id_prefix), value)
        if column.role == "key":
            summary = frame.filter(cell.str.to_lowercase().is_in(SUMMARY_WORDS))
            return frame.select(value.alias(column.name))[column.name], _problem(
                summary,
                column,
                "summary_row",
                f"{column.name} is '{{}}': a line that sums up others, not a record.",
                "Leave such lines out of the export; the marts hold means and deviations.",
            )
        return frame.select(value.alias(column.name))[column.name], no_violations()
    if column.role == "moment":
        written, utc = as_moment(cell, mapping)
        frame = frame.with_columns(written.alias("written"), utc.alias("value"))
        expected = mapping.datetime_format or "2026-01-31 13:45:00"
        bad = frame.filter(cell.is_not_null() & pl.col("written").is_null())
        clock = frame.filter(pl.col("written").is_not_null() & pl.col("value").is_null())
        problems = [
            _problem(
                bad,
                column,
                "moment",
                f"{column.name} is '{{}}': no time stamp of the form {expected}.",
                "Name `datetime_format` in the mapping, e.g. %d.%m.%Y %H:%M.",
            ),
            _problem(
                clock,
                column,
                "clock_change",
                f"{column.name} is '{{}}': the clocks in {mapping.timezone} change in that hour, "
                "so the moment is not certain.",
                "Export in UTC, or correct the time stamp.",
            ),
        ]
        return frame["value"].alias(column.name), pl.concat(problems)
    return _number_column(frame, column, mapping, factors, decimal)


def _number_column(
    frame: pl.DataFrame,
    column: Column,
    mapping: Mapping,
    factors: dict[str, tuple[float, float]],
    decimal: str,
) -> tuple[pl.Series, pl.DataFrame]:
    cell = pl.col("cell")
    scale, offset = factors.get(column.name, (1.0, 0.0))
    bare = cell
    if column.name.endswith("_pct") and scale == 1.0:
        bare = bare.str.strip_suffix("%").str.strip_chars()
    read = as_number(bare, decimal)
    value = read if (scale, offset) == (1.0, 0.0) else converted(read, scale, offset)
    if "off" in frame.columns:
        taken = as_number(pl.col("off"), decimal)
        value = (value - converted(taken, *factors[f"{column.name} minus"])).round_sig_figs(12)
    frame = frame.with_columns(value.alias("value"))
    infinite = cell.str.contains(_NOT_FINITE) | pl.col("value").is_infinite().fill_null(False)
    not_finite = frame.filter(infinite)
    unit = f" in {shown_unit(column.name)}" if shown_unit(column.name) else ""
    bad = frame.filter(cell.is_not_null() & pl.col("value").is_null() & ~infinite)
    problems = [
        _problem(
            bad,
            column,
            "number",
            f"{column.name} is '{{}}': a number{unit} is expected (decimal mark '{decimal}').",
            "Correct the value; if it is a word for 'not measured', list it under `missing`."
            + (" A point is read only in numbers such as 1.234,5." if decimal == "," else ""),
        ),
        _problem(
            not_finite,
            column,
            "finite",
            f"{column.name} is '{{}}': not a finite number.",
            "Leave the cell empty where nothing was measured.",
        ),
    ]
    value = pl.when(pl.col("value").is_finite()).then(pl.col("value"))
    if column.dtype == pl.Int64:
        whole = value == value.round(0)
        if (scale, offset) == (1.0, 0.0):
            # straight from the text: a float keeps no more than 15 digits
            exact = cell.str.strip_prefix("+").cast(pl.Int64, strict=False)
        else:
            exact = value.cast(pl.Int64, strict=False)
        whole_value = pl.coalesce(
            exact, pl.when(whole & (value.abs() < 2**53)).then(value).cast(pl.Int64, strict=False)
        )
        whole = whole & whole_value.is_not_null()
        problems.append(
            _problem(
                frame.filter(value.is_not_null() & ~whole),
                column,
                "whole_number",
                f"{column.name} is '{{}}': a whole number below 9.2e18 is expected.",
                "Correct the value, or place another header.",
            )
        )
        value = pl.when(whole).then(whole_value)
    return frame.select(value.alias(column.name))[column.name], pl.concat(problems)


def _problem(
    rows: pl.DataFrame, column: Column, rule: str, message: str, remedy: str
) -> pl.DataFrame:
    before, after = message.split("{}")
    return rows.select(
        "row_number",
        pl.lit(column.name).alias("field"),
        pl.col("raw").alias("value"),
        pl.lit(rule).alias("rule"),
        pl.concat_str(pl.lit(before), pl.col("raw").str.strip_chars(), pl.lit(after)).alias(
            "message"
        ),
        pl.lit(remedy).alias("remedy"),
    ).cast(VIOLATION)  # type: ignore[arg-type]
