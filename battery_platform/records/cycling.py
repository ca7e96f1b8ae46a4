"""Exports of cyclers on their way into the lake: the logged points, and the cycles they sum up to.

What a vendor's file says is the business of `cyclers`; here it is judged by the contracts, named and
handed to the commit, as any other file is. Thin: no gravimetric values, for an export does not know
the mass; features of cells come from the tests that name their cell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from battery_platform.contracts.base import columns
from battery_platform.contracts.registry import Table, table
from battery_platform.contracts.verdicts import VIOLATION, judge
from battery_platform.errors import RefusedFile
from battery_platform.records.cyclers import Finding, Stream, open_file, recognise
from battery_platform.records.cyclers.summary import cycles
from battery_platform.records.judging import Tally
from battery_platform.store.commit import PARQUET, Part, Workbench, printable
from battery_platform.store.schema import QUARANTINE, raw_columns

GENERIC = "generic_text"
CYCLES_SHEET = "cycles"
"""The cycles are no part of the file: they are summed up from its points."""


def is_vendor_export(path: Path) -> bool:
    """Whether a file is the export of a known cycler, which no mapping needs to explain."""
    found = recognise(path)
    return found is not None and found.name != GENERIC


def is_export(path: Path) -> bool:
    """Whether points of a cycler can be read from a file at all."""
    return recognise(path) is not None


def almost_an_export(path: Path) -> RefusedFile | None:
    """The refusal of a file whose header is a cycler's, but lacks a column."""
    try:
        open_file(path)
    except RefusedFile as error:
        return error if "the header on line" in str(error) else None
    return None


class Export:
    """One export, under the names that it has in the lake."""

    def __init__(self, path: Path, file_id: str, source_id: str) -> None:
        self.path, self.file_id, self.source_id = path, file_id, source_id
        self.test_id = f"{source_id}-T{file_id.removeprefix('f-')[:10]}"
        self.stream: Stream = open_file(path)

    def judge(self, bench: Workbench, progress: Callable[[int], None]) -> list[Tally]:
        """Judge points and cycles; both outcomes lie on the bench."""
        points = Tally(Part(table("test_points"), ""))
        read: list[pl.DataFrame] = []
        for block in self.stream.blocks:
            if block.points.height:
                read.append(block.points)
                first = points.part.rows_in
                self._take(bench, points, _points(block.points, self.test_id, first))
            if block.quarantine:
                self._hold(bench, points, _violations(block.quarantine), {})
                points.part.rows_in += len({one.row for one in block.quarantine})
            progress(points.part.rows_in)
        summed = Tally(Part(table("test_cycles"), CYCLES_SHEET))
        if read:
            whole = pl.concat(read, how="diagonal_relaxed")
            self._take(bench, summed, _cycles(whole, self.test_id, self.stream))
        return [points, summed] if summed.part.rows_in else [points]

    def said(self) -> list[str]:
        """What a reader of the report should know of the file."""
        about = self.stream.format
        shown = [f"read as an export of {about.instrument} ({about.name}); {about.current}"]
        return [*shown, f"cycles: {about.cycles}", *self.stream.notes]

    def described(self) -> dict[str, object]:
        """How it was read, for the manifest."""
        return {"format": self.stream.format.name, "metadata": self.stream.metadata}

    def _take(self, bench: Workbench, tally: Tally, frame: pl.DataFrame) -> None:
        part = tally.part
        part.rows_in += frame.height
        verdict = judge(frame, part.table.contract)
        if verdict.violations.height:
            wanted = verdict.violations["row_number"].unique()
            held = frame.filter(pl.col("row_number").is_in(wanted.implode()))
            records = {row["row_number"]: json.dumps(row, default=str) for row in held.to_dicts()}
            self._hold(bench, tally, verdict.violations, records)
        if verdict.accepted.height:
            path = bench.path(part.table.raw)
            _placed(verdict.accepted, self, part).write_parquet(path, **PARQUET)
            part.accepted.append(path)
            part.rows_accepted += verdict.accepted.height
            part.rows_new += verdict.accepted.height

    def _hold(
        self, bench: Workbench, tally: Tally, violations: pl.DataFrame, records: dict[int, str]
    ) -> None:
        part = tally.part
        frame = violations.with_columns(
            pl.col("row_number")
            .replace_strict(records, default=None, return_dtype=pl.String)
            .alias("record"),
            pl.lit(self.file_id).alias("file_id"),
            pl.lit(self.source_id).alias("source_id"),
            pl.lit(printable(self.path.name)).alias("file_name"),
            pl.lit(part.table.name).alias("table_name"),
            pl.lit(part.sheet).alias("sheet"),
            pl.lit(False).alias("is_synthetic"),
            pl.lit(datetime.now(UTC).replace(tzinfo=None))
            .cast(pl.Datetime("us"))
            .alias("quarantined_at"),
        ).select(*QUARANTINE)
        path = bench.path("quarantine")
        frame.write_parquet(path, **PARQUET)
        part.quarantine.append(path)
        part.rows_quarantined += violations["row_number"].n_unique()
        tally.note(violations)


def _placed(rows: pl.DataFrame, export: Export, part: Part) -> pl.DataFrame:
    return rows.with_columns(
        pl.lit(export.source_id).alias("source_id"),
        pl.lit(export.file_id).alias("file_id"),
        pl.lit(part.sheet).alias("sheet"),
        pl.lit(False).alias("is_synthetic"),
    ).select(*raw_columns(part.table))


def _shaped(found: pl.DataFrame, of: Table) -> pl.DataFrame:
    """The contract's columns in its types; what the file does not say is empty."""
    wanted = columns(of.contract)
    return found.select(
        pl.col("row_number").cast(pl.Int64),
        *(
            pl.col(one.name).cast(one.dtype)
            if one.name in found.columns
            else pl.lit(None, dtype=one.dtype).alias(one.name)
            for one in wanted
        ),
    )


def _points(points: pl.DataFrame, test_id: str, first: int) -> pl.DataFrame:
    named = points.with_columns(
        pl.lit(test_id).alias("test_id"),
        (pl.int_range(pl.len()) + first).cast(pl.Int64).alias("point"),
    )
    if "recorded_at" not in points.columns and "unix_time_s" in points.columns:
        moment = pl.from_epoch((pl.col("unix_time_s") * 1e6).cast(pl.Int64), time_unit="us")
        named = named.with_columns(moment.alias("recorded_at"))
    return _shaped(named, table("test_points"))


def _cycles(points: pl.DataFrame, test_id: str, stream: Stream) -> pl.DataFrame:
    of = table("test_cycles")
    found = cycles(points, stream.format.resets)
    if found.is_empty():
        return _shaped(pl.DataFrame({"row_number": []}, schema={"row_number": pl.Int64}), of)
    begins = points.group_by("cycle").agg(pl.col("row_number").min())
    summed = found.join(begins, on="cycle", how="left").with_columns(
        pl.lit(test_id).alias("test_id"),
        (1000 * pl.col("charge_ah")).alias("charge_capacity_mah"),
        (1000 * pl.col("discharge_ah")).alias("discharge_capacity_mah"),
    )
    return _shaped(summed, of)


def _violations(findings: tuple[Finding, ...]) -> pl.DataFrame:
    rows: Iterator[dict[str, object]] = (
        {
            "row_number": one.row,
            "field": one.field,
            "value": one.value,
            "rule": one.rule,
            "message": one.message,
            "remedy": one.remedy,
        }
        for one in findings
    )
    return pl.DataFrame(list(rows), schema=VIOLATION)
