"""Exports of cyclers on their way into the lake: logged points, cycles, and the test they are of.

What a vendor's file says is the business of `cyclers`; here it is judged by the contracts, named
and handed to the commit, as any other file is. The mapping says what no export knows: the cell,
its mass, the time zone of the clock, and what a positive current means there.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import polars as pl
from blake3 import blake3

from battery_platform.contracts.base import columns
from battery_platform.contracts.registry import Table, table
from battery_platform.contracts.verdicts import VIOLATION, judge, passes
from battery_platform.errors import RefusedFile
from battery_platform.records.cyclers import Finding, Stream, open_file, recognise
from battery_platform.records.cyclers.model import PositiveCurrent
from battery_platform.records.cyclers.summary import Efficiency, Summary
from battery_platform.records.judging import judge_sheet
from battery_platform.records.mapping import Mapping, Place, check_constants
from battery_platform.records.reading import Batch, Sheet, refuse
from battery_platform.records.text_way import Subject, Tally
from battery_platform.store.commit import PARQUET, Part, Workbench, printable
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.schema import QUARANTINE, raw_columns

GENERIC = "generic_text"
CYCLES_SHEET = "cycles"
"""The cycles are no part of the file: they are summed up from its points."""
TEST_SHEET = "test"
NAMING_POINTS = 50
"""A test is known by its first points, so that a longer export of it has the same name."""
BLOCKS_WAITING = 2
COUNTERS_AGREE = 0.02
"""A larger difference between counters and the current over time is told."""


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

    def __init__(self, lake: Lakehouse, path: Path, file_id: str, mapping: Mapping) -> None:
        self.lake, self.path, self.file_id, self.mapping = lake, path, file_id, mapping
        check_constants(
            {k: v for k, v in mapping.constants.items() if k not in _OF_THE_MASS},
            ("cycling_tests",),
            path,
        )
        self.stream: Stream = open_file(path, cast(PositiveCurrent, mapping.positive_current))
        self.summary = Summary(self.stream.format.resets)
        self.notes: list[str] = []
        self.continues: list[str] = []
        """Files whose points this one begins with."""
        self.test_id = ""
        self.points = 0
        self._content = blake3()
        self._earlier = _earlier(lake, file_id)
        self._clock = _Clock(mapping.timezone)
        self._span: list[datetime] = []

    def judge(self, bench: Workbench, progress: Callable[[int], None]) -> list[Tally]:
        """Judge points, cycles and the test; both outcomes lie on the bench."""
        tally = Tally(Part(table("test_points"), ""))
        with _Writer() as writer:
            for block in self.stream.blocks:
                if block.points.height:
                    self._take_points(bench, tally, block.points, writer)
                if block.quarantine:
                    self._hold(bench, tally, _violations(block.quarantine), {})
                    tally.part.rows_in += len({one.row for one in block.quarantine})
                progress(tally.part.rows_in)
        self._continue(tally.part)
        tallies = [tally]
        cycles = self.summary.cycles(cast(Efficiency, self.mapping.efficiency))
        if not cycles.is_empty():
            self._compare(cycles)
            summed = Tally(Part(table("test_cycles"), CYCLES_SHEET))
            with _Writer() as writer:
                self._take(bench, summed, self._cycles(cycles), writer)
            tallies.append(summed)
        if "cell_id" in self.mapping.constants:
            tallies.append(self._test(bench))
        return tallies

    def said(self) -> list[str]:
        """What a reader of the report should know of the file."""
        about = self.stream.format
        shown = [f"read as an export of {about.instrument} ({about.name}); {about.current}"]
        basis = self.mapping.efficiency.replace("_per_", " / ")
        way = (
            f"cycles: {about.cycles}; coulombic efficiency = {basis} (`efficiency` in a mapping "
            "turns it round for a half cell that is discharged first)"
        )
        return [*shown, way, *self.stream.notes, *self._clock.notes(), *self.notes]

    def described(self) -> dict[str, object]:
        """How it was read, for the manifest; length and content let a longer export be known."""
        return {
            "format": self.stream.format.name,
            "metadata": self.stream.metadata,
            "test_id": self.test_id,
            "points": self.points,
            "content": self._content.hexdigest(),
        }

    # -- points ----------------------------------------------------------------------------

    def _take_points(
        self, bench: Workbench, tally: Tally, points: pl.DataFrame, writer: _Writer
    ) -> None:
        if not self.test_id:
            self.test_id = self._named(points)
        self._recognise(points)
        self.summary.add(points)
        frame = self._clock.utc(points)
        if "recorded_at" in frame.columns:
            moments = frame["recorded_at"].drop_nulls()
            ends = cast(list[datetime], [moments.min(), moments.max()]) if len(moments) else []
            self._span = [min(self._span + ends), max(self._span + ends)] if ends else self._span
        first = tally.part.rows_in
        named = frame.with_columns(
            pl.lit(self.test_id).alias("test_id"),
            (pl.int_range(pl.len()) + first).cast(pl.Int64).alias("point"),
        )
        self._take(bench, tally, _shaped(named, tally.part.table), writer)

    def _named(self, points: pl.DataFrame) -> str:
        """The test's name: the mapping's, or one made of the source and the first points."""
        stated = self.mapping.constants.get("test_id")
        if stated is not None:
            return f"{self.mapping.id_prefix}{stated}"
        first = blake3(_bytes(points.head(NAMING_POINTS))).hexdigest()[:10]
        name = f"{self.mapping.source}-T{first}"
        taken = {test for _, _, _, test in self._earlier}
        if name in taken:
            # Known for certain only at the end; until then it has a name of its own.
            name = f"{self.mapping.source}-T{self.file_id.removeprefix('f-')[:10]}"
        return f"{self.mapping.id_prefix}{name}"

    def _recognise(self, points: pl.DataFrame) -> None:
        """Hash what was read, and look whether it is what an earlier file held."""
        data = memoryview(_bytes(points))
        width = len(data) // points.height
        done = 0
        for file_id, length, content, _ in self._earlier:
            here = length - self.points
            if not done < here <= points.height:
                continue
            self._content.update(data[done * width : here * width])
            done = here
            if self._content.hexdigest() == content:
                self.continues.append(file_id)
        self._content.update(data[done * width :])
        self.points += points.height

    def _continue(self, part: Part) -> None:
        """Take the place and the name of a shorter export of the same test."""
        shorter = {file_id: (length, test) for file_id, length, _, test in self._earlier}
        for file_id in self.continues:
            length, _ = shorter[file_id]
            self.notes.append(
                f"begins with the {length:,} points of file {file_id}: a longer export of the same "
                f"test, which takes its place"
            )
        if self.continues and "test_id" not in self.mapping.constants:
            self.test_id = shorter[self.continues[-1]][1]
            for path in part.accepted:
                rows = pl.read_parquet(path).with_columns(pl.lit(self.test_id).alias("test_id"))
                rows.write_parquet(path, **PARQUET)
            return
        others = {test for file_id, _, _, test in self._earlier if file_id not in self.continues}
        if self.test_id in others:
            raise refuse(
                self.path,
                f"the test {self.test_id} is in the lake with other points.",
                "Name it otherwise under `constants`, or hand the file in with `--replaces`.",
            )

    # -- cycles and test -------------------------------------------------------------------

    def _compare(self, cycles: pl.DataFrame) -> None:
        """Say where the instrument's own counters and its current do not agree."""
        for name in ("charge_ah", "discharge_ah"):
            counted, summed = float(cycles[name].sum()), float(cycles[f"{name}_integral"].sum())
            if min(counted, summed) > 0 and abs(counted / summed - 1) > COUNTERS_AGREE:
                self.notes.append(
                    f"{name.removesuffix('_ah')}: the counters say {counted:.4g} Ah, the current "
                    f"over time {summed:.4g} Ah; the counters are kept"
                )

    def _cycles(self, cycles: pl.DataFrame) -> pl.DataFrame:
        mass, source, theory = self._mass()
        efficiency = 100 * pl.col("coulombic_efficiency")
        made = cycles.with_columns(
            pl.col("first_row").alias("row_number"),
            pl.lit(self.test_id).alias("test_id"),
            (1000 * pl.col("charge_ah")).alias("charge_capacity_mah"),
            (1000 * pl.col("discharge_ah")).alias("discharge_capacity_mah"),
            (1000 * pl.col("charge_wh")).alias("charge_energy_mwh"),
            (1000 * pl.col("discharge_wh")).alias("discharge_energy_mwh"),
            efficiency.alias("coulombic_efficiency_pct"),
            pl.when(efficiency.is_not_null())
            .then(pl.col("efficiency_is"))
            .alias("efficiency_basis"),
            pl.lit(theory, dtype=pl.Float64).alias("theoretical_capacity_mah_g"),
        )
        if mass is not None and source is not None:
            specific = 1e6 * pl.col("discharge_ah") / mass
            made = made.with_columns(
                specific.alias("specific_capacity_mah_g"),
                pl.lit(source).alias("active_mass_source"),
            )
        return _shaped(made, table("test_cycles"))

    def _mass(self) -> tuple[float | None, str | None, float | None]:
        """Active mass in mg, how it is known, and theory: the mapping's, or the cell's."""
        given = self.mapping.constants
        found: dict[str, Any] = {}
        if "cell_id" in given:
            rows = self.lake.records(_CELL, [f"{self.mapping.id_prefix}{given['cell_id']}"])
            found = rows[0] if rows else {}
        if "active_mass_mg" in given and "active_mass_source" not in given:
            raise refuse(
                self.path,
                "the mapping gives an active mass without saying how it is known.",
                "Add `active_mass_source` (weighed, from_loading_and_area, ...) to `constants`.",
            )
        mass, source, theory = (given.get(name, found.get(name)) for name in _OF_THE_MASS)
        return mass, source, theory

    def _test(self, bench: Workbench) -> Tally:
        """The row that says whose test it is, judged as a form would be."""
        part = table("cycling_tests")
        given = {k: v for k, v in self.mapping.constants.items() if k not in _OF_THE_MASS}
        cells: dict[str, str] = {"test_id": self.test_id.removeprefix(self.mapping.id_prefix)}
        if self._span:
            started, ended = (f"{one:%Y-%m-%d %H:%M:%S}" for one in self._span)
            cells |= {"started_at": started, "ended_at": ended}
        form = Mapping(
            source=self.mapping.source,
            table=part.name,
            columns={name: Place(header=name) for name in cells},
            sheet=TEST_SHEET,
            id_prefix=self.mapping.id_prefix,
            synthetic=self.mapping.synthetic,
            constants={k: v for k, v in given.items() if k != "test_id"},
        )
        row = {"row_number": [1], **{f"c{i}": [text] for i, text in enumerate(cells.values())}}

        def rows() -> Iterator[Batch]:
            yield Batch(pl.DataFrame(row))

        sheet = Sheet(TEST_SHEET, list(cells), 0, 0, rows(), again=rows)
        subject = Subject(self.path, self.file_id, sheet, form, tuple(self.continues))
        return judge_sheet(subject, self.lake, bench)

    # -- both outcomes ---------------------------------------------------------------------

    def _take(self, bench: Workbench, tally: Tally, frame: pl.DataFrame, writer: _Writer) -> None:
        part = tally.part
        part.rows_in += frame.height
        fine = frame.select(passes(part.table.contract)).to_series()
        accepted = frame
        if not fine.all():
            verdict = judge(frame.filter(~fine), part.table.contract)
            records = {
                row["row_number"]: json.dumps(row, default=str)
                for row in frame.filter(~fine).to_dicts()
            }
            self._hold(bench, tally, verdict.violations, records)
            accepted = pl.concat([frame.filter(fine), verdict.accepted]).sort("row_number")
        if accepted.height:
            path = bench.path(part.table.raw)
            writer.write(self._placed(accepted, part), path)
            part.accepted.append(path)
            part.rows_accepted += accepted.height
            part.rows_new += accepted.height

    def _hold(
        self, bench: Workbench, tally: Tally, violations: pl.DataFrame, records: dict[int, str]
    ) -> None:
        part = tally.part
        frame = violations.with_columns(
            pl.col("row_number")
            .replace_strict(records, default=None, return_dtype=pl.String)
            .alias("record"),
            pl.lit(self.file_id).alias("file_id"),
            pl.lit(self.mapping.source).alias("source_id"),
            pl.lit(printable(self.path.name)).alias("file_name"),
            pl.lit(part.table.name).alias("table_name"),
            pl.lit(part.sheet).alias("sheet"),
            pl.lit(self.mapping.synthetic).alias("is_synthetic"),
            pl.lit(datetime.now(UTC).replace(tzinfo=None))
            .cast(pl.Datetime("us"))
            .alias("quarantined_at"),
        ).select(*QUARANTINE)
        path = bench.path("quarantine")
        frame.write_parquet(path, **PARQUET)
        part.quarantine.append(path)
        part.rows_quarantined += violations["row_number"].n_unique()
        tally.note(violations)

    def _placed(self, rows: pl.DataFrame, part: Part) -> pl.DataFrame:
        words = {
            "test_id": self.test_id,
            "source_id": self.mapping.source,
            "file_id": self.file_id,
            "sheet": part.sheet,
        }
        # One word for all rows: as an enumeration it is written once, not five million times.
        constants = [pl.lit(word).cast(pl.Enum([word])).alias(name) for name, word in words.items()]
        return rows.with_columns(
            *constants, pl.lit(self.mapping.synthetic).alias("is_synthetic")
        ).select(*raw_columns(part.table))


class _Writer:
    """Writes Parquet while the next block is read; at most two blocks wait."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "parquet")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        while kind is None and self._waiting:
            self._waiting.popleft().result()

    def write(self, frame: pl.DataFrame, path: Path) -> None:
        while len(self._waiting) >= BLOCKS_WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(frame.write_parquet, path, **PARQUET))


_OF_THE_MASS = ("active_mass_mg", "active_mass_source", "theoretical_capacity_mah_g")
_CELL = """
    SELECT c.active_mass_mg, c.active_mass_source, m.theoretical_capacity_mah_g
    FROM raw_cells c
    LEFT JOIN raw_electrodes e ON e.electrode_id = c.electrode_id
    LEFT JOIN raw_coatings k ON k.coating_id = e.coating_id
    LEFT JOIN raw_slurry_batches s ON s.slurry_id = k.slurry_id
    LEFT JOIN raw_material_lots m ON m.lot_id = s.active_lot_id
    WHERE c.cell_id = ?"""


def _earlier(lake: Lakehouse, file_id: str) -> list[tuple[str, int, str, str]]:
    """Exports in the lake, the shortest first: file, points, hash of the points, test."""
    rows = lake.rows(
        """SELECT DISTINCT file_id, mapping FROM raw_files
           WHERE table_name = 'test_points' AND mapping LIKE '%"content"%' AND file_id != ?""",
        [file_id],
    )
    found = []
    for other, text in rows:
        known = json.loads(text)
        found.append((other, known["points"], known["content"], known["test_id"]))
    return sorted(found, key=lambda one: (one[1], one[0]))


def _bytes(points: pl.DataFrame) -> bytes:
    """What makes a point, as bytes: time, voltage and current."""
    data: np.ndarray = np.ascontiguousarray(
        points.select("test_time_s", "voltage_v", "current_a").to_numpy(), dtype="<f8"
    )
    return data.tobytes()


class _Clock:
    """The cycler's wall clock in UTC; an hour that the clock shows twice is told by the test time."""

    def __init__(self, timezone: str) -> None:
        self.timezone = timezone
        self._zero: float | None = None
        self._seen = False
        self._twice = 0
        self._never = 0

    def utc(self, points: pl.DataFrame) -> pl.DataFrame:
        if "recorded_at" not in points.columns:
            if "unix_time_s" not in points.columns:
                return points
            moment = pl.from_epoch((pl.col("unix_time_s") * 1e6).cast(pl.Int64), time_unit="us")
            return points.with_columns(moment.alias("recorded_at"))
        self._seen |= points["recorded_at"].null_count() < points.height
        if self.timezone == "UTC":
            return points
        first, second = (self._converted(points["recorded_at"], way) for way in _WAYS)
        test_time = points["test_time_s"].to_numpy()
        early, late = (one.cast(pl.Int64).to_numpy() / 1e6 for one in (first, second))
        if self._zero is None and np.isfinite(early).any():
            at = int(np.flatnonzero(np.isfinite(early))[0])
            self._zero = float(early[at] - test_time[at])
        expected = test_time + (self._zero or 0.0)
        later = np.nan_to_num(np.abs(late - expected) < np.abs(early - expected))
        self._twice += int((first != second).sum())
        self._never += first.null_count() - points["recorded_at"].null_count()
        chosen = second.zip_with(pl.Series(later.astype(bool)), first)
        return points.with_columns(chosen.alias("recorded_at"))

    def _converted(self, written: pl.Series, ambiguous: Any) -> pl.Series:
        zoned = written.dt.replace_time_zone(
            self.timezone, ambiguous=ambiguous, non_existent="null"
        )
        return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None)

    def notes(self) -> list[str]:
        if not self._seen:
            return []
        if self.timezone == "UTC":
            return [
                "timezone: the file does not say; its wall clock is taken as UTC (`timezone` in a "
                "mapping says where the cycler stands)"
            ]
        found = []
        if self._twice:
            found.append(
                f"{self._twice} rows were logged in an hour that the clock showed twice; the test "
                "time tells which"
            )
        if self._never:
            found.append(
                f"{self._never} rows carry a time that the clock of {self.timezone} never showed; "
                "their wall clock is left empty"
            )
        return found


_WAYS = ("earliest", "latest")


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
