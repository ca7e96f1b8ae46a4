"""Judgement of rows as text, so that every value can be shown as it stands in the file.

What is judged (`Subject`), what comes of it (`Tally`), and the judgement of one batch of text
cells, whose accepted rows and quarantine rows are written as Parquet.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from battery_platform.contracts.base import Contract, columns
from battery_platform.contracts.registry import TABLES
from battery_platform.contracts.sheets import ADDED_TO_SHEETS
from battery_platform.contracts.verdicts import VIOLATION, judge, no_violations
from battery_platform.records import identity
from battery_platform.records.accounting import EXTRA, Fate
from battery_platform.records.mapping import (
    Mapping,
    factor,
    factor_of_what_is_taken_off,
    positions_of,
)
from battery_platform.records.notation import one_moment
from battery_platform.records.parsing import SUMMARY_WORDS, parse_cells
from battery_platform.records.reading import Batch, Sheet, readable_name
from battery_platform.store import schema
from battery_platform.store.commit import PARQUET, Part, Workbench
from battery_platform.store.schema import QUARANTINE, raw_columns

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Subject:
    """What is judged: one sheet of one file under one mapping, with its identity in the lake."""

    path: Path
    file_id: str
    sheet: Sheet
    mapping: Mapping
    replaces: tuple[str, ...] = ()
    before: tuple[Part, ...] = ()
    """The parts of sheets of the same file that come earlier in the process."""
    fates: tuple[Fate, ...] = ()
    """What became of the sheet's columns."""
    again: bool = False
    """Whether the lake has the file as it was read before: what it brought stays its own."""

    @property
    def contract(self) -> type[Contract]:
        return TABLES[self.mapping.table].contract


@dataclass
class Tally:
    """The counts and example violations of a judgement, beside the Parquet files that it wrote."""

    part: Part
    violations: pl.DataFrame = field(default_factory=no_violations)
    examples: int = 200

    def note(self, violations: pl.DataFrame) -> None:
        if self.violations.height < self.examples:
            room = self.examples - self.violations.height
            self.violations = pl.concat([self.violations, violations.head(room)])


class TextWay:
    """Judges batches of text cells and writes the accepted and the quarantined rows."""

    def __init__(self, subject: Subject, bench: Workbench, tally: Tally) -> None:
        self.subject = subject
        self.bench = bench
        self.tally = tally
        where = positions_of(subject.mapping, subject.sheet, subject.path)
        self.positions, self.minus, self.clocks = where.columns, where.minus, where.clocks
        header = subject.sheet.header
        self.factors = {
            name: factor(subject.mapping, name, header[position], subject.path)
            for name, position in self.positions.items()
        }
        self.factors |= {
            taken_off(name): factor_of_what_is_taken_off(name, header[position], subject.path)
            for name, position in self.minus.items()
        }
        self.extra = [fate for fate in subject.fates if fate.outcome == EXTRA]
        self.decimal = subject.mapping.decimal or (
            subject.sheet.dialect.decimal if subject.sheet.dialect else "."
        )
        self.unnamed = sorted(
            set(ADDED_TO_SHEETS) - set(self.positions) - set(subject.mapping.constants)
            if subject.mapping.table == "electrode_sheets"
            else ()
        )
        self.absent = (
            identity.derivable(subject.mapping.table)
            - set(self.positions)
            - set(subject.mapping.constants)
        )

    def take_all(self, progress: Progress) -> None:
        """Judge all rows of the sheet, batch by batch."""
        for batch in self.subject.sheet.rows:
            self.take(batch)
            progress(self.tally.part.rows_in)

    def take(self, batch: Batch) -> None:
        """Judge a batch; accepted rows and quarantine rows each become a Parquet file."""
        part = self.tally.part
        part.rows_in += batch.cells.height + len(batch.ragged)
        cells = batch.cells
        sums = _summary_lines(cells)
        if sums.height:
            wanted = sums.select("row_number")
            self.quarantine(sums, Batch(cells.join(wanted, on="row_number", how="semi")))
            cells = cells.join(wanted, on="row_number", how="anti")
        if self.extra:
            self.write_extra(batch.cells)
        text = cells.select(
            "row_number",
            *[self._cell(name, i).alias(name) for name, i in self.positions.items()],
            *[pl.col(f"c{i}").alias(taken_off(name)) for name, i in self.minus.items()],
        )
        typed, problems = parse_cells(
            text, self.subject.contract, self.subject.mapping, self.factors, self.decimal
        )
        typed = identity.derive(
            typed.drop(self.unnamed),
            self.subject.mapping.table,
            self.subject.mapping.source,
            self.absent,
            self.subject.mapping.automatic,
        ).with_columns(typed.select(self.unnamed))
        typed = typed.select(
            "row_number", *[column.name for column in columns(self.subject.contract)]
        )
        verdict = judge(typed, self.subject.contract, problems)
        if verdict.accepted.height:
            self.write_accepted(verdict.accepted)
        violations = _with_original(verdict.violations, text)
        if batch.ragged:
            violations = pl.concat(
                [violations, _ragged(batch.ragged, len(self.subject.sheet.header))]
            )
        if violations.height:
            self.quarantine(violations, batch)

    def _cell(self, name: str, position: int) -> pl.Expr:
        """The cell of a column; a date with the time of day that belongs to it."""
        cell = pl.col(f"c{position}")
        clock = self.clocks.get(name)
        return cell if clock is None else one_moment(cell, pl.col(f"c{clock}"))

    def write_extra(self, cells: pl.DataFrame) -> None:
        """Keep what no contract has a column for, as it stands in the file."""
        subject = self.subject
        told = pl.DataFrame(
            {
                "cell": [f"c{fate.position - 1}" for fate in self.extra],
                "position": [fate.position for fate in self.extra],
                "name": [fate.name for fate in self.extra],
                "unit": pl.Series([fate.unit for fate in self.extra], dtype=pl.String),
            }
        )
        kept = (
            cells.select("row_number", *told["cell"])
            .unpivot(index="row_number", variable_name="cell", value_name="value")
            .with_columns(pl.col("value").str.strip_chars())
            .filter(pl.col("value") != "")
            .join(told, on="cell", how="left", maintain_order="left")
            .with_columns(
                pl.lit(subject.file_id).alias("file_id"),
                pl.lit(subject.mapping.source).alias("source_id"),
                pl.lit(subject.mapping.table).alias("table_name"),
                pl.lit(subject.sheet.name).alias("sheet"),
                pl.lit(subject.mapping.synthetic).alias("is_synthetic"),
            )
        )
        path = self.bench.path("raw_extra")
        kept.select(*schema.EXTRA).write_parquet(path, **PARQUET)
        self.tally.part.extra.append(path)

    def write_accepted(self, accepted: pl.DataFrame) -> None:
        path = self.bench.path(self.tally.part.table.raw)
        self.finished(accepted.lazy()).collect().write_parquet(path, **PARQUET)
        self.tally.part.accepted.append(path)
        self.tally.part.rows_accepted += accepted.height

    def finished(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Rows as the raw table holds them: contract columns, then their origin."""
        subject = self.subject
        words = {
            "source_id": subject.mapping.source,
            "file_id": subject.file_id,
            "sheet": subject.sheet.name,
        }
        # One word for all rows: as an enumeration it is written once, not five million times.
        constants = [pl.lit(word).cast(pl.Enum([word])).alias(name) for name, word in words.items()]
        return rows.with_columns(
            *constants, pl.lit(subject.mapping.synthetic).alias("is_synthetic")
        ).select(*raw_columns(self.tally.part.table))

    def quarantine(self, violations: pl.DataFrame, batch: Batch) -> None:
        """Write violations, each with its whole record as it stands in the file."""
        subject = self.subject
        wanted = violations.select("row_number").unique()
        header = [text or f"#{i + 1}" for i, text in enumerate(subject.sheet.header)]
        records = {
            row[0]: json.dumps(dict(zip(header, row[1:], strict=True)), ensure_ascii=False)
            for row in batch.cells.join(wanted, on="row_number", how="semi").iter_rows()
        }
        records |= {number: json.dumps(text.split("\x1f")) for number, _, text in batch.ragged}
        frame = violations.with_columns(
            pl.col("row_number")
            .replace_strict(records, default=None, return_dtype=pl.String)
            .alias("record"),
            pl.lit(subject.file_id).alias("file_id"),
            pl.lit(subject.mapping.source).alias("source_id"),
            pl.lit(readable_name(subject.path)).alias("file_name"),
            pl.lit(subject.mapping.table).alias("table_name"),
            pl.lit(subject.sheet.name).alias("sheet"),
            pl.lit(subject.mapping.synthetic).alias("is_synthetic"),
            _now().alias("quarantined_at"),
        ).select(*QUARANTINE)
        path = self.bench.path("quarantine")
        frame.write_parquet(path, **PARQUET)
        self.tally.part.quarantine.append(path)
        self.tally.note(violations)


def taken_off(name: str) -> str:
    """The name of the text column that holds what is taken off a contract column."""
    return f"{name} minus"


def _now() -> pl.Expr:
    return pl.lit(datetime.now(UTC).replace(tzinfo=None)).cast(pl.Datetime("us"))


def _summary_lines(cells: pl.DataFrame) -> pl.DataFrame:
    """Lines that begin with a word such as 'Mean', unless most lines do."""
    if "c0" not in cells.columns:
        return no_violations()
    first = pl.col("c0").str.strip_chars().str.to_lowercase()
    summaries = cells.filter(first.is_in(SUMMARY_WORDS))
    if 3 * summaries.height > cells.height:
        return no_violations()
    says = pl.format("The line begins with '{}': it sums up others and is no record.", "c0")
    remedy = "Leave such lines out of the export; the marts hold means and deviations."
    return summaries.select(
        "row_number",
        pl.lit("").alias("field"),
        pl.col("c0").alias("value"),
        pl.lit("summary_row").alias("rule"),
        says.alias("message"),
        pl.lit(remedy).alias("remedy"),
    ).cast(VIOLATION)  # type: ignore[arg-type]


def _with_original(violations: pl.DataFrame, text: pl.DataFrame) -> pl.DataFrame:
    """Replace typed values by the original text of the file."""
    if violations.is_empty():
        return violations
    names = [name for name in text.columns if name != "row_number"]
    rows = text.join(violations.select("row_number").unique(), on="row_number", how="semi")
    long = rows.unpivot(names, index="row_number", variable_name="field", value_name="original")
    joined = violations.join(long, on=["row_number", "field"], how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("original", "value").alias("value")).select(*VIOLATION)


def _ragged(rows: list[tuple[int, int, str]], width: int) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "row_number": number,
                "field": "",
                "value": text.replace("\x1f", " | ")[:200],
                "rule": "row_shape",
                "message": f"The row has {width_here} fields, the header {width}: it is cut off, or a "
                "delimiter stands inside a value.",
                "remedy": "Complete the row, or quote the value that holds the delimiter.",
            }
            for number, width_here, text in rows
        ],
        schema=VIOLATION,
    )
