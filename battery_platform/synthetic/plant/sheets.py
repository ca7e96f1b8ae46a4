"""A file in the making: rows of text as a campaign's people would write them.

Numbers, dates and words become text in the file's own units and language here. Mistakes are
made in `faults`, bytes in `files`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from battery_platform.contracts.units import shown_unit
from battery_platform.synthetic.plant.campaigns import Campaign
from battery_platform.synthetic.plant.columns import LAYOUT, Field
from battery_platform.synthetic.plant.dialects import Dialect
from battery_platform.synthetic.plant.frames import Array, Frame


@dataclass(frozen=True, order=True)
class Fault:
    """A planted mistake: the file's name, its line (the header is line 1), field and kind.

    Both rows of a doubled identifier are listed, because nobody can tell which one is right. A
    trailing blank line has no field, and an importer may skip it instead of refusing it.
    """

    file: str
    line: int
    field: str
    kind: str


@dataclass
class Sheet:
    """One file in the making: rows of text, and the numbers behind them in contract units."""

    name: str
    table: str
    campaign: Campaign
    fields: tuple[Field, ...]
    frame: Frame
    rows: list[list[str]]
    faults: list[Fault] = field(default_factory=list)
    blank_lines: int = 0

    @property
    def file(self) -> str:
        return self.name + self.campaign.dialect.suffix

    def position(self, column: str) -> int | None:
        return next((i for i, f in enumerate(self.fields) if f.column == column), None)

    def number(self, row: int, column: str) -> float:
        return float(self.frame[column][row]) if self.position(column) is not None else float("nan")

    def written(self, column: str, value: float) -> str:
        """A number in the file's unit with digits to spare."""
        text = f"{value / unit_factor(self, column):.6g}"
        return text.replace(".", self.campaign.dialect.decimal)


def unit_of_file(dialect: Dialect, table: str, column: str) -> str:
    stated = dialect.units.get((table, column))
    return stated[0] if stated else shown_unit(column)


def unit_factor(sheet: Sheet, column: str) -> float:
    stated = sheet.campaign.dialect.units.get((sheet.table, column))
    return stated[1] if stated else 1.0


def header_text(dialect: Dialect, table: str, column: Field) -> str:
    unit = unit_of_file(dialect, table, column.column)
    left, right = dialect.unit_brackets
    title = column.headers[dialect.language]
    return f"{title} {left}{unit}{right}" if unit else title


def _clear_of_clock_change(moments: Array) -> Array:
    """Moves what falls into the night of a clock change, when local time is ambiguous."""
    days = moments.astype("datetime64[D]")
    month = days.astype("datetime64[M]")
    sunday = (days.astype(int) - 3) % 7 == 0
    last_week = (days - month.astype("datetime64[D]")).astype(int) >= 24
    changes = sunday & last_week & np.isin(month.astype(int) % 12, (2, 9))
    night = (moments - days) < np.timedelta64(2, "h")
    return np.where(changes & night, moments + np.timedelta64(3, "h"), moments)


def _written_moments(moments: Array, dialect: Dialect) -> list[str]:
    clock = pl.Series(_clear_of_clock_change(moments).astype("datetime64[us]"))
    local = clock.dt.replace_time_zone("UTC").dt.convert_time_zone(dialect.timezone)
    text = local.dt.strftime(dialect.datetime_format or "%Y-%m-%dT%H:%M:%S")
    return text.fill_null(dialect.missing).to_list()


def _written_numbers(values: Array, digits: int, factor: float, dialect: Dialect) -> list[str]:
    digits += max(0, round(float(np.log10(factor))))
    texts = (
        dialect.missing if math.isnan(v) else f"{v / factor:.{digits}f}" for v in values.tolist()
    )
    return [text.replace(".", dialect.decimal) for text in texts]


def _written_words(values: Array, words: Mapping[str, str], dialect: Dialect) -> list[str]:
    own = {contract: plant for plant, contract in words.items()}
    return [dialect.missing if v is None else own.get(v, v) for v in values.tolist()]


def _column_text(column: Field, table: str, values: Array, dialect: Dialect) -> list[str]:
    if values.dtype.kind == "M":
        return _written_moments(values, dialect)
    if column.digits is not None:
        factor = dialect.units.get((table, column.column), ("", 1.0))[1]
        return _written_numbers(values.astype(float), column.digits, factor, dialect)
    return _written_words(values, dialect.words.get(column.column, {}), dialect)


def sheet_of(campaign: Campaign, number: int, table: str, frame: Frame) -> Sheet:
    dialect = campaign.dialect
    fields = tuple(f for f in LAYOUT[table] if (table, f.column) not in dialect.constants)
    columns = [_column_text(f, table, frame[f.column], dialect) for f in fields]
    rows = [list(row) for row in zip(*columns, strict=True)]
    name = f"{campaign.name}_{number:02d}_{table}"
    return Sheet(name, table, campaign, fields, frame, rows)
