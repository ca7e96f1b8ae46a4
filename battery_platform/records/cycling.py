"""Exports of cyclers on their way into the lake: logged points, cycles, and the test they are of.

Reading a vendor's format belongs in `cyclers`. Here an export is judged by the contracts, named
and handed to the commit like any other file. The mapping supplies what no export contains: the
cell, its mass, the time zone of the clock and the sign convention of the current.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import polars as pl
from blake3 import blake3

from battery_platform.contracts.base import columns
from battery_platform.contracts.bounds import COUNTERS_AGREE_PCT
from battery_platform.contracts.registry import Table, table
from battery_platform.contracts.verdicts import VIOLATION, judge, passes
from battery_platform.errors import RefusedFile
from battery_platform.records.cyclers import Finding, Stream, open_file, recognise_format
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
"""Cycles are not part of the file; they are computed from its points."""
TEST_SHEET = "test"
NAMING_POINTS = 50
"""A test is identified by its first points, so that a longer export gets the same name."""
BLOCKS_WAITING = 2
_SHOWN = 5
"""Cycles that a note describes one by one."""


def is_vendor_export(path: Path) -> bool:
    """Whether a file is the export of a known cycler and can be read without a mapping."""
    export_format = recognise_format(path)
    return export_format is not None and export_format.name != GENERIC


def is_export(path: Path) -> bool:
    """Whether points of a cycler can be read from a file at all."""
    return recognise_format(path) is not None


def almost_an_export(path: Path) -> RefusedFile | None:
    """The refusal of a file that has a cycler's header with a column missing."""
    try:
        open_file(path)
    except RefusedFile as error:
        return error if "the header on line" in str(error) else None
    return None


@dataclass(frozen=True)
class Earlier:
    """An export already in the lake: its length, its first points and its mapping."""

    file_id: str
    points: int
    first: str
    content: str
    moved: bool
    test_id: str
    mapping: dict[str, Any]


class KnownThrough(Exception):  # noqa: N818 -- a signal to the caller, which reports it
    """All points of a file are in the lake already, as the beginning of a longer export."""

    def __init__(self, earlier: Earlier) -> None:
        super().__init__(earlier.file_id)
        self.earlier = earlier


class Inherits(Exception):  # noqa: N818 -- a signal to the caller, which reads the file again
    """A longer export came without a mapping, so it inherits that of the shorter one."""

    def __init__(self, earlier: Earlier) -> None:
        super().__init__(earlier.file_id)
        self.earlier = earlier


class Export:
    """One export on its way into the lake.

    `leaving` are the files that it replaces at the user's request.
    """

    def __init__(
        self,
        lake: Lakehouse,
        path: Path,
        file_id: str,
        mapping: Mapping,
        leaving: Sequence[str] = (),
    ) -> None:
        self.lake, self.path, self.file_id, self.mapping = lake, path, file_id, mapping
        check_constants(mapping.constants, ("cycling_tests",), path, also=_OF_THE_MASS)
        idle = set(mapping.constants) - {"cell_id", "test_id", *_OF_THE_MASS}
        if idle and "cell_id" not in mapping.constants:
            raise refuse(
                path,
                f"the mapping gives {', '.join(sorted(idle))} of a test without its cell.",
                "Add `cell_id` to `constants`; a test is described where its cell is known.",
            )
        self.stream: Stream = open_file(
            path, cast(PositiveCurrent, mapping.positive_current), mapping.encoding
        )
        self.summary = Summary(self.stream.format.resets)
        self.notes: list[str] = []
        self.continues: list[Earlier] = []
        """Shorter exports of the same test, whose points this file begins with."""
        self.test_id = ""
        self.points = 0
        self._first = ""
        self._moved = False
        self._content = blake3()
        self._earlier = _earlier(lake, {file_id, *leaving})
        self._clock = _Clock(mapping.timezone)
        self._span: list[datetime] = []
        self._accepted: list[Path] = []

    def judge(self, bench: Workbench, progress: Callable[[int], None]) -> list[Tally]:
        """Judge points, cycles and the test; both outcomes lie on the bench."""
        tally = Tally(Part(table("test_points"), ""))
        with _Writer() as writer:
            for block in self.stream.blocks:
                if block.points.height:
                    self._take_points(bench, tally, block.points, writer)
                if block.quarantine:
                    self._hold(bench, tally, _violations(block.quarantine), {})
                    tally.part.rows_in += len({finding.row for finding in block.quarantine})
                progress(tally.part.rows_in)
        self._accepted = tally.part.accepted
        self._continue(tally.part)
        tallies = [tally]
        cycles = self.summary.cycles(cast(Efficiency, self.mapping.efficiency))
        if not cycles.is_empty():
            self._compare(cycles)
            summed = Tally(Part(table("test_cycles"), CYCLES_SHEET))
            with _Writer() as writer:
                self._take(bench, summed, self._cycles(cycles), writer)
            tallies.append(summed)
        if "cell_id" in self.mapping.constants and self.points:
            tallies.append(self._test(bench))
        return tallies

    def report_notes(self) -> list[str]:
        """Sentences on how the file was read, for the report."""
        about = self.stream.format
        shown = [f"read as an export of {about.instrument} ({about.name}); {about.current}"]
        basis = self.mapping.efficiency.replace("_per_", " / ")
        way = (
            f"cycles: {about.cycles}; coulombic efficiency = {basis} (`efficiency` in a mapping "
            "turns it round for a half cell that is discharged first)"
        )
        return [*shown, way, *self.stream.notes, *self._clock.notes(), *self.notes]

    def described(self) -> dict[str, object]:
        """How the file was read, for the manifest.

        Length and content hash allow a longer export of the same test to be recognised later.
        """
        return {
            "format": self.stream.format.name,
            "metadata": self.stream.metadata,
            "test_id": self.test_id,
            "points": self.points,
            "first": self._first,
            "content": self._content.hexdigest(),
            "moved": self._moved,
        }

    # -- points ----------------------------------------------------------------------------

    def _take_points(
        self, bench: Workbench, tally: Tally, points: pl.DataFrame, writer: _Writer
    ) -> None:
        if not self.test_id:
            self.test_id = self._named(points)
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
        accepted = self._take(bench, tally, _shaped(named, tally.part.table), writer)
        if accepted.len() < points.height:
            points = points.filter(pl.col("row_number").is_in(accepted.implode()))
        if points.height:
            self._recognise(points)
            self.summary.add(points)

    def _named(self, points: pl.DataFrame) -> str:
        """The test's name: the mapping's, or one made of the source and the first points."""
        self._first = blake3(_bytes(points.head(NAMING_POINTS))).hexdigest()[:10]
        stated = self.mapping.constants.get("test_id")
        if stated is not None:
            return f"{self.mapping.id_prefix}{stated}"
        name = f"{self.mapping.id_prefix}{self.mapping.source}-T{self._first}"
        if name in {earlier.test_id for earlier in self._earlier}:
            # Whether it is the same test is certain only at the end; until then it has its own name.
            own = self.file_id.removeprefix("f-")[:10]
            return f"{self.mapping.id_prefix}{self.mapping.source}-T{own}"
        return name

    def _recognise(self, points: pl.DataFrame) -> None:
        """Hash the points read so far and note each earlier export that they match."""
        self._moved |= bool((points["current_a"] != 0).any())
        data = memoryview(_bytes(points))
        width = len(data) // points.height
        done = 0
        for earlier in self._earlier:
            here = earlier.points - self.points
            if not (done < here <= points.height and self._may_be(earlier)):
                continue
            self._content.update(data[done * width : here * width])
            done = here
            if self._content.hexdigest() == earlier.content:
                self.continues.append(earlier)
        self._content.update(data[done * width :])
        self.points += points.height

    def _may_be(self, earlier: Earlier) -> bool:
        """Whether an earlier export could be of the same test; cells at rest all look alike."""
        stated = earlier.mapping.get("constants", {})
        agree = all(
            stated.get(name) is None or given is None or stated[name] == given
            for name, given in (
                (name, self.mapping.constants.get(name)) for name in ("test_id", "cell_id")
            )
        )
        return (
            earlier.moved
            and earlier.points >= NAMING_POINTS
            and earlier.first == self._first
            and agree
        )

    def _continue(self, part: Part) -> None:
        """Replace shorter exports of the same test; stop if this export adds nothing to a longer one."""
        if not self.points:
            return
        for earlier in self._earlier:
            if earlier.points >= self.points and self._may_be(earlier) and self._begins(earlier):
                raise KnownThrough(earlier)
        self.continues = [earlier for earlier in self.continues if earlier.points < self.points]
        for earlier in self.continues:
            self.notes.append(
                f"begins with the {earlier.points:,} points of file {earlier.file_id}: a longer export of "
                "the same test, which takes its place"
            )
        if self.continues:
            latest = self.continues[-1]
            if self.mapping.automatic and not latest.mapping.get("automatic"):
                raise Inherits(latest)
            if "test_id" not in self.mapping.constants:
                self.test_id = latest.test_id
                for path in part.accepted:
                    rows = pl.read_parquet(path).with_columns(pl.lit(self.test_id).alias("test_id"))
                    rows.write_parquet(path, **PARQUET)
                return
        leaving = {earlier.file_id for earlier in self.continues}
        others = {earlier.test_id for earlier in self._earlier if earlier.file_id not in leaving}
        if self.test_id in others:
            raise refuse(
                self.path,
                f"the test {self.test_id} is in the lake with other points.",
                "Name it otherwise under `constants`, or hand the file in with `--replaces`.",
            )

    def _begins(self, earlier: Earlier) -> bool:
        """Whether an earlier export, as stored in the lake, begins with this file's points."""
        with self.lake.cursor() as cursor:
            stored = cursor.execute(
                """SELECT test_time_s, voltage_v, current_a FROM raw_test_points
                   WHERE file_id = ? ORDER BY point LIMIT ?""",
                [earlier.file_id, self.points],
            ).pl()
        mine = pl.concat([pl.read_parquet(path, columns=list(_SAME)) for path in self._accepted])
        return stored.height == mine.height == self.points and bool(
            stored.select(pl.col(name).abs() for name in _SAME).equals(
                mine.select(pl.col(name).abs() for name in _SAME)
            )
        )

    # -- cycles and test -------------------------------------------------------------------

    def _compare(self, cycles: pl.DataFrame) -> None:
        """Note where counters and current disagree, and where one cycle holds several discharges."""
        several = cycles.filter(pl.col("discharges") > 1)["cycle"].to_list()
        if several:
            shown = ", ".join(map(str, several[:10])) + (", ..." if len(several) > 10 else "")
            self.notes.append(
                f"cycle {shown} discharges more than once: the instrument counts several cycles as "
                "one; such a cycle is left out of the features"
            )
        apart = cycles.filter(pl.col("counters_off_pct") > COUNTERS_AGREE_PCT)
        for row in apart.head(_SHOWN).to_dicts():
            self.notes.append(
                f"cycle {row['cycle']}: the counters say {row['charge_ah']:.4g} Ah in and "
                f"{row['discharge_ah']:.4g} Ah out, the current over time "
                f"{row['charge_ah_integral']:.4g} and {row['discharge_ah_integral']:.4g} Ah; they "
                f"differ by more than {COUNTERS_AGREE_PCT:g} %, so that the cycle is not complete"
            )
        if apart.height > _SHOWN:
            self.notes.append(f"the same holds for {apart.height - _SHOWN} more cycles")

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
        """Active mass in mg, its source and the theoretical capacity, from the mapping or the cell."""
        given = self.mapping.constants
        cell: dict[str, Any] = {}
        if "cell_id" in given:
            rows = self.lake.records(_CELL, [f"{self.mapping.id_prefix}{given['cell_id']}"])
            cell = rows[0] if rows else {}
        if "active_mass_mg" in given and "active_mass_source" not in given:
            raise refuse(
                self.path,
                "the mapping gives an active mass without saying how it is known.",
                "Add `active_mass_source` (weighed, from_loading_and_area, ...) to `constants`.",
            )
        mass, source, theory = (given.get(name, cell.get(name)) for name in _OF_THE_MASS)
        return mass, source, theory

    def _test(self, bench: Workbench) -> Tally:
        """The row of `cycling_tests` that ties the test to its cell, judged like a form's row."""
        tests = table("cycling_tests")
        given = {k: v for k, v in self.mapping.constants.items() if k not in _OF_THE_MASS}
        cells: dict[str, str] = {"test_id": self.test_id.removeprefix(self.mapping.id_prefix)}
        if self._span:
            started, ended = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in self._span)
            cells |= {"started_at": started, "ended_at": ended}
        form = Mapping(
            source=self.mapping.source,
            table=tests.name,
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
        replaced = tuple(shorter.file_id for shorter in self.continues)
        subject = Subject(self.path, self.file_id, sheet, form, replaced)
        return judge_sheet(subject, self.lake, bench)

    # -- both outcomes ---------------------------------------------------------------------

    def _take(
        self, bench: Workbench, tally: Tally, frame: pl.DataFrame, writer: _Writer
    ) -> pl.Series:
        """Put rows on the bench, accepted or held back; the numbers of those accepted."""
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
        return accepted["row_number"]

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


_OF_THE_MASS = {
    "active_mass_mg": "cells",
    "active_mass_source": "cells",
    "theoretical_capacity_mah_g": "test_cycles",
}
_CELL = """
    SELECT c.active_mass_mg, c.active_mass_source, m.theoretical_capacity_mah_g
    FROM raw_cells c
    LEFT JOIN raw_electrodes e ON e.electrode_id = c.electrode_id
    LEFT JOIN raw_coatings k ON k.coating_id = e.coating_id
    LEFT JOIN raw_slurry_batches s ON s.slurry_id = k.slurry_id
    LEFT JOIN raw_material_lots m ON m.lot_id = s.active_lot_id
    WHERE c.cell_id = ?"""


def _earlier(lake: Lakehouse, without: set[str]) -> list[Earlier]:
    """Exports already in the lake, the shortest first."""
    rows = lake.rows(
        """SELECT DISTINCT file_id, mapping FROM raw_files
           WHERE table_name = 'test_points' AND rows_accepted > 0 AND mapping LIKE '%"content"%'"""
    )
    exports = []
    for file_id, text in rows:
        description = json.loads(text)
        if file_id not in without:
            identity = {
                name: description[name]
                for name in ("points", "first", "content", "moved", "test_id")
            }
            exports.append(Earlier(file_id, mapping=description["parts"][0], **identity))
    return sorted(exports, key=lambda export: (export.points, export.file_id))


_SAME = ("test_time_s", "voltage_v", "current_a")


def _bytes(points: pl.DataFrame) -> bytes:
    """The bytes that identify points: time, voltage, absolute current, and clock time if present."""
    names = [*_SAME, *(name for name in ("recorded_at", "unix_time_s") if name in points.columns)]
    clock = pl.col("recorded_at").cast(pl.Int64).cast(pl.Float64)
    frame = points.select(clock if name == "recorded_at" else pl.col(name).abs() for name in names)
    data: np.ndarray = np.ascontiguousarray(frame.to_numpy(), dtype="<f8")
    return data.tobytes()


class _Clock:
    """Converts the cycler's wall clock to UTC; the test time resolves an hour shown twice."""

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
        early, late = (clock.cast(pl.Int64).to_numpy() / 1e6 for clock in (first, second))
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
        notes = []
        if self._twice:
            notes.append(
                f"{self._twice} rows were logged in an hour that the clock showed twice; the test "
                "time tells which"
            )
        if self._never:
            notes.append(
                f"{self._never} rows carry a time that the clock of {self.timezone} never showed; "
                "their wall clock is left empty"
            )
        return notes


_WAYS = ("earliest", "latest")


def _shaped(frame: pl.DataFrame, of: Table) -> pl.DataFrame:
    """The contract's columns in their types; columns that the file lacks are empty."""
    wanted = columns(of.contract)
    return frame.select(
        pl.col("row_number").cast(pl.Int64),
        *(
            pl.col(column.name).cast(column.dtype)
            if column.name in frame.columns
            else pl.lit(None, dtype=column.dtype).alias(column.name)
            for column in wanted
        ),
    )


def _violations(findings: tuple[Finding, ...]) -> pl.DataFrame:
    rows: Iterator[dict[str, object]] = (
        {
            "row_number": finding.row,
            "field": finding.field,
            "value": finding.value,
            "rule": finding.rule,
            "message": finding.message,
            "remedy": finding.remedy,
        }
        for finding in findings
    )
    return pl.DataFrame(list(rows), schema=VIOLATION)
