"""The rules that every cycler's rows pass, whichever reader they come from.

A row is accepted or held back with a reason; none is smoothed, renumbered or dropped. What makes
a file as a whole untrustworthy (two cells in it, a current of the other sign) refuses the file.
One `Judge` walks one file: what it has seen before carries over from block to block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from battery_platform.records.cyclers.derived_cycles import RESTING_A
from battery_platform.records.cyclers.model import (
    COUNTS,
    NUMBERS,
    REQUIRED,
    Block,
    Finding,
    Format,
    PositiveCurrent,
    in_order,
)
from battery_platform.records.reading import refuse

CLOCK_TOLERANCE_S = 0.5
"""A clock set back by less than this is noted; if by more, the row is held back."""
RESTART_ROWS = 2
_SCALES = (60.0, 1e3, 3600.0)
_SCALE_TOLERANCE, _LEAST_GROWTHS, _LEAST_JUMPS = 0.1, 8, 3
_NAMES = {
    "test_time_s": "test time",
    "voltage_v": "voltage",
    "current_a": "current",
    "step_time_s": "step time",
    "temperature_degc": "temperature",
    "charge_ah": "charge capacity",
    "discharge_ah": "discharge capacity",
    "charge_wh": "charge energy",
    "discharge_wh": "discharge energy",
    "unix_time_s": "wall clock",
}


@dataclass
class Judge:
    """What has been seen of a file so far, and the judgement of the next rows."""

    path: Path
    format: Format
    notes: list[str]
    record_name: str = "record"
    positive_current: PositiveCurrent = "charge"
    latest_time: float = -np.inf
    first_time: float = np.nan
    latest_record: int = -1
    latest_cycle: int = -1
    cycles: set[int] = field(default_factory=set)
    gaps: int = 0
    held: int = 0
    small_steps_back: int = 0
    negative_seen: bool = False
    unsigned: bool = False
    rises: int = 0
    falls: int = 0
    clock_back: list[float] = field(default_factory=list)
    latest_clock: float = -np.inf
    rows: int = 0
    counted_ah: float = 0.0
    integrated_ah: float = 0.0
    growths: int = 0
    largest_a: float = 0.0
    first_record: int | None = None
    latest_shown: int | None = None
    ahead_by: tuple[int, int] = (0, 0)
    """What is added to records and cycles since the record's index began again."""
    with_current: int = 0
    against_current: int = 0

    def judge(
        self,
        frame: pl.DataFrame,
        held: list[Finding],
        direction: pl.Series | None = None,
    ) -> Block:
        """Accept or hold back the rows of a block."""
        self.rows += frame.height
        if direction is not None and (direction != 0).any():
            frame = frame.with_columns(direction.alias("direction"))
        findings = list(held)
        findings += self._not_numbers(frame, {finding.row for finding in held})
        frame = self._without(frame, findings)
        frame, unknown = self._signed(frame)
        findings += unknown
        frame = self._continued(frame)
        late = self._out_of_order(frame)
        findings += late
        frame = self._without(frame, late)
        self._count(frame)
        frame = frame.drop("direction", strict=False)
        frame = frame.drop("place", strict=False)
        if "record" in frame.columns:
            frame = frame.rename({"record": self.record_name})
        findings.sort(key=lambda finding: finding.row)
        self.held += len({finding.row for finding in findings})
        return Block(in_order(frame), tuple(findings))

    def finish(self) -> None:
        """Note at the end what concerns the whole file rather than single rows."""
        if self.rows == 0:
            raise refuse(self.path, "the file has a header and no rows.", "Export the test again.")
        missing = (
            sorted(set(range(min(self.cycles), max(self.cycles))) - self.cycles)
            if (self.cycles)
            else []
        )
        if missing:
            shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            self.notes.append(
                f"cycle {shown} is missing between {min(self.cycles)} and {max(self.cycles)}; "
                "the others keep their numbers"
            )
        self.gaps -= self.held
        if self.gaps > 0:
            self.notes.append(f"{self.gaps} record numbers are missing between the rows")
        if self.small_steps_back:
            self.notes.append(
                f"the test time goes back {self.small_steps_back} times by at most "
                f"{CLOCK_TOLERANCE_S} s; the rows are kept as they stand"
            )
        if self.clock_back:
            self.notes.append(
                f"the wall clock goes back {len(self.clock_back)} times by at most "
                f"{max(self.clock_back):.6g} s; times within the test come from the test time"
            )
        self._scale_of_charge()
        if self.against_current >= _LEAST_JUMPS and not self.with_current and not self.unsigned:
            raise self._inverted("each time it is switched on: the voltage moves the other way")
        if self.unsigned and not self.negative_seen:
            self.notes.append("the current is without sign; the state of each row gives it")
        elif self.rises and not self.negative_seen and self.positive_current == "charge":
            self.notes.append(
                "no current is negative and no column says the direction: the voltage rises where "
                "the current starts, so it was taken as charging"
            )

    # -- single values -----------------------------------------------------------------------

    def _not_numbers(self, frame: pl.DataFrame, known: set[int]) -> list[Finding]:
        findings = []
        for name in NUMBERS:
            if name not in frame.columns:
                continue
            values = frame[name]
            wrong = ~np.isfinite(values.to_numpy())
            if values.null_count() and name not in REQUIRED:
                wrong &= values.is_not_null().to_numpy()
            if not wrong.any():
                continue
            for row, value in frame.filter(pl.Series(wrong)).select("row_number", name).iter_rows():
                if row in known:
                    continue
                known.add(row)
                what = "is missing" if value is None else f"is {_not_finite(value)}"
                findings.append(
                    Finding(
                        row,
                        name,
                        "" if value is None else str(value),
                        "finite",
                        f"The {_NAMES[name]} {what}.",
                        "Look at the channel's wiring and log; the row is held back, not filled in.",
                    )
                )
        return findings

    def _without(self, frame: pl.DataFrame, findings: list[Finding]) -> pl.DataFrame:
        if not findings:
            return frame
        rows = pl.Series([finding.row for finding in findings], dtype=pl.Int64)
        return frame.filter(~pl.col("row_number").is_in(rows.implode()))

    # -- sign of the current -----------------------------------------------------------------

    def _signed(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Finding]]:
        stated = frame["current_a"].to_numpy()
        current = -stated if self.positive_current == "discharge" else stated
        if not len(current):
            return frame, []
        self.largest_a = max(self.largest_a, float(np.abs(current).max()))
        floor = max(RESTING_A, 1e-3 * self.largest_a)
        unknown: list[Finding] = []
        if "direction" in frame.columns:
            direction = frame["direction"].to_numpy()
            self.negative_seen |= bool((stated[direction != 0] < -floor).any())
            if not self.negative_seen and self._without_sign(stated, direction, floor):
                self.unsigned = True
                current = np.where(direction < 0, -stated, stated)
                unknown = self._undirected(frame, stated, direction, floor)
            charging = current[(direction > 0) & (np.abs(current) > floor)]
            if len(charging) and (charging < 0).mean() > 0.9:
                raise self._inverted("where the file says that the cell is charged")
            falling = current[(direction < 0) & (np.abs(current) > floor)]
            if len(falling) and (falling > 0).mean() > 0.9:
                raise self._inverted("where the file says that the cell is discharged")
            frame = frame.with_columns(pl.Series("current_a", current))
        else:
            self.negative_seen |= bool((stated < -floor).any())
            frame = frame.with_columns(pl.Series("current_a", current))
            self._by_voltage(frame, stated, floor)
        self._by_counters(frame, current)
        self._by_jumps(frame, current, floor)
        return self._without(frame, unknown), unknown

    def _without_sign(self, stated: np.ndarray, direction: np.ndarray, floor: float) -> bool:
        """Whether currents carry no sign: positive ones occur in rows of both directions."""
        if self.unsigned:
            return True
        if self.format.current.startswith("without sign"):
            return bool(((direction != 0) & (stated > floor)).any())
        discharged = bool(((direction < 0) & (stated > floor)).any())
        if self.positive_current == "discharge":
            return discharged and bool(((direction > 0) & (stated > floor)).any())
        return discharged

    def _undirected(
        self, frame: pl.DataFrame, stated: np.ndarray, direction: np.ndarray, floor: float
    ) -> list[Finding]:
        """Rows with a current whose direction nothing states."""
        rows = frame["row_number"].to_numpy()
        return [
            Finding(
                int(rows[at]),
                "current_a",
                f"{stated[at]:.6g}",
                "direction",
                "The current is without sign and the row's state names neither charge nor discharge.",
                "Export with signed current, or correct the state of the row.",
            )
            for at in np.flatnonzero((direction == 0) & (stated > 20 * floor))
        ]

    def _by_jumps(self, frame: pl.DataFrame, current: np.ndarray, floor: float) -> None:
        """A current switched on from rest moves the voltage of any cell its own way."""
        starts = np.flatnonzero(
            (np.abs(current[:-1]) <= floor) & (np.abs(current[1:]) > 20 * floor)
        )
        jumps = np.diff(frame["voltage_v"].to_numpy())[starts] * np.sign(current[1:][starts])
        self.with_current += int((jumps > 1e-3).sum())
        self.against_current += int((jumps < -1e-3).sum())

    def _scale_of_charge(self) -> None:
        """Refuse a file whose counters and integrated current differ by a factor between units."""
        if self.growths < _LEAST_GROWTHS or self.integrated_ah <= 0 or self.counted_ah <= 0:
            return
        ratio = self.counted_ah / self.integrated_ah
        for scale in (*_SCALES, *(1 / scale for scale in _SCALES)):
            if abs(ratio / scale - 1) < _SCALE_TOLERANCE:
                raise refuse(
                    self.path,
                    f"its charge counters grow {ratio:.4g} times as much as the current over time: "
                    "the unit of the current, of the counters or of the time is not what the file "
                    "says.",
                    "Correct the units in the header, or export the test again.",
                )

    def _growth(self, frame: pl.DataFrame) -> None:
        """Sum the gains of counters and of the integrated current over rows that have both."""
        spans = np.diff(frame["test_time_s"].to_numpy())
        current = frame["current_a"].to_numpy()
        mean = (current[1:] + current[:-1]) / 2
        steady = np.abs(current[1:] - current[:-1]) <= 0.2 * np.abs(mean)
        for name, sign in (("charge_ah", 1.0), ("discharge_ah", -1.0)):
            if name not in frame.columns:
                continue
            grown = np.nan_to_num(np.diff(frame[name].to_numpy()))
            both = (grown > 0) & (spans > 0) & (sign * mean > 0) & steady
            self.growths += int(both.sum())
            self.counted_ah += float(grown[both].sum())
            self.integrated_ah += float((sign * mean * spans)[both].sum()) / 3600

    def _by_counters(self, frame: pl.DataFrame, current: np.ndarray) -> None:
        agree = against = 0.0
        for name, sign in (("charge_ah", 1.0), ("discharge_ah", -1.0)):
            if name in frame.columns:
                grown = np.nan_to_num(np.diff(frame[name].to_numpy(), prepend=np.nan))
                product = sign * current * np.maximum(grown, 0.0)
                agree += float(product[product > 0].sum())
                against -= float(product[product < 0].sum())
        if against > 10 * agree:
            raise self._inverted("where the discharge counter grows")
        if "direction" not in frame.columns and not self.negative_seen and against > 0.05 * agree:
            raise self._no_sign()

    def _by_voltage(self, frame: pl.DataFrame, current: np.ndarray, floor: float) -> None:
        """A current switched on from rest moves the voltage its own way."""
        if self.negative_seen or {"charge_ah", "discharge_ah"} & set(frame.columns):
            return
        starts = np.flatnonzero((np.abs(current[:-1]) <= floor) & (current[1:] > floor))
        jumps = np.diff(frame["voltage_v"].to_numpy())[starts]
        self.rises += int((jumps > 1e-3).sum())
        self.falls += int((jumps < -1e-3).sum())
        if self.rises if self.positive_current == "discharge" else self.falls:
            raise self._no_sign()

    def _no_sign(self) -> Exception:
        return refuse(
            self.path,
            "the currents are without sign and no column says which rows discharge.",
            "Export with the column of the state (charge or discharge), or with signed current.",
        )

    def _inverted(self, where: str) -> Exception:
        return refuse(
            self.path,
            f"its current has the wrong sign {where}: positive is to mean charging.",
            "If the file counts discharging as positive, say so (positive_current: discharge); it "
            "is never guessed.",
        )

    # -- order -------------------------------------------------------------------------------

    def _continued(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The records' `place` in the file, and cycles that go on where exports were joined.

        An index that begins again while the time runs on belongs to an export that was appended.
        """
        if frame.is_empty() or "record" not in frame.columns or frame["record"].null_count():
            return frame
        record, time = frame["record"].to_numpy().astype(np.int64), frame["test_time_s"].to_numpy()
        if self.first_record is None:
            self.first_record = int(record[0])
        latest = int(record[0]) if self.latest_shown is None else self.latest_shown
        earlier = np.maximum.accumulate(np.concatenate(([self.latest_time], time)))[:-1]
        falls = np.diff(record, prepend=latest) < 0
        again = falls & (record <= max(self.first_record, 1)) & (time >= earlier)
        self.latest_shown = int(record[-1])
        place, cycle = record + self.ahead_by[0], None
        if "cycle" in frame.columns and not frame["cycle"].null_count():
            cycle = frame["cycle"].to_numpy() + self.ahead_by[1]
        for at in np.flatnonzero(again):
            highest = max(int(place[:at].max(initial=self.latest_record)), self.latest_record)
            place[at:] += highest + 1 - place[at]
            latest_cycle = self.latest_cycle
            if cycle is not None:
                latest_cycle = int(cycle[:at].max(initial=self.latest_cycle))
            if cycle is not None and cycle[at] < latest_cycle:
                cycle[at:] += latest_cycle + 1 - cycle[at]
            self.notes.append(
                f"'{self.record_name}' begins again in line {frame['row_number'][int(at)]} while the "
                "time runs on: an export that was appended; its cycles go on from those before"
            )
        self.ahead_by = (int(place[-1] - record[-1]), self.ahead_by[1])
        columns = [pl.Series("place", place)]
        if cycle is not None:
            self.ahead_by = (self.ahead_by[0], int(cycle[-1] - frame["cycle"][-1]))
            columns.append(pl.Series("cycle", cycle))
        return frame.with_columns(columns)

    def _out_of_order(self, frame: pl.DataFrame) -> list[Finding]:
        if frame.is_empty():
            return []
        rows = frame["row_number"].to_numpy()
        times = frame["test_time_s"].to_numpy()
        if np.isnan(self.first_time):
            self.first_time = float(times[0])
        by_row: dict[int, Finding] = {}
        before = np.maximum.accumulate(np.concatenate(([self.latest_time], times)))[:-1]
        back = times < before - CLOCK_TOLERANCE_S
        record = frame["place"].to_numpy() if "place" in frame.columns else None
        if back.any():
            self._one_test(rows, times, before, back, record)
            for at in np.flatnonzero(back):
                by_row[int(rows[at])] = Finding(
                    int(rows[at]),
                    "test_time_s",
                    f"{times[at]:.6g}",
                    "clock",
                    f"The test time goes back from {before[at]:.6g} s to {times[at]:.6g} s.",
                    "Look whether the cycler's clock was set, or rows were moved; correct the export.",
                )
        self.small_steps_back += int(((np.diff(times) < 0) & ~back[1:]).sum())
        for name, latest, says in (
            ("place", self.latest_record, "{} {} stands in the file twice or out of its order."),
            ("cycle", self.latest_cycle, "{} {} comes again after cycle {}."),
        ):
            if name not in frame.columns or frame[name].null_count():
                continue
            counts = frame[name].to_numpy()
            highest = np.maximum.accumulate(np.concatenate(([latest], counts)))[:-1]
            of_record = name == "place"
            wrong = counts <= highest if of_record else counts < highest
            shown = frame["record" if of_record else name].to_numpy()
            for at in np.flatnonzero(wrong):
                label = self.record_name if of_record else "Cycle"
                by_row.setdefault(
                    int(rows[at]),
                    Finding(
                        int(rows[at]),
                        "record" if of_record else name,
                        str(shown[at]),
                        "repeated",
                        says.format(label, shown[at], highest[at]),
                        "Export the test once more; rows that were pasted in are to be removed.",
                    ),
                )
        return list(by_row.values())

    def _one_test(
        self,
        rows: np.ndarray,
        times: np.ndarray,
        before: np.ndarray,
        back: np.ndarray,
        record: np.ndarray | None,
    ) -> None:
        """Refuse a file in which a second test starts: its clock and records begin again."""
        if record is not None and (np.diff(record) > 0).all() and record[0] > self.latest_record:
            return
        for at in np.flatnonzero(back & ~np.concatenate(([False], back[:-1]))):
            near = self.first_time + 0.01 * (before[at] - self.first_time)
            run = back[at : at + RESTART_ROWS]
            if times[at] <= near and len(run) == RESTART_ROWS and run.all():
                raise refuse(
                    self.path,
                    f"a second test starts on line {rows[at]}: the test time goes back from "
                    f"{before[at]:.6g} s to {times[at]:.6g} s.",
                    "Hand in each cell's test as a file of its own.",
                )

    def _count(self, frame: pl.DataFrame) -> None:
        """Update counts and latest values from the accepted rows."""
        if frame.is_empty():
            return
        self._growth(frame)
        self.latest_time = max(self.latest_time, float(frame["test_time_s"].to_numpy().max()))
        if "place" in frame.columns:
            record = frame["place"].to_numpy()
            if self.latest_record >= 0:
                record = np.concatenate(([self.latest_record], record))
            self.gaps += int((np.diff(record) - 1).sum())
            self.latest_record = int(record[-1])
        if "cycle" in frame.columns:
            self.cycles |= {c for c in frame["cycle"].unique().to_list() if c is not None}
            self.latest_cycle = max(self.cycles, default=-1)
        clock = None
        if "unix_time_s" in frame.columns:
            clock = frame["unix_time_s"].drop_nulls().to_numpy()
        elif "recorded_at" in frame.columns:
            clock = frame["recorded_at"].drop_nulls().cast(pl.Int64).to_numpy() / 1e6
        if clock is not None and len(clock):
            steps = np.diff(np.concatenate(([max(self.latest_clock, clock[0])], clock)))
            self.clock_back += [float(-step) for step in steps[steps < 0]]
            self.latest_clock = float(clock[-1])


def whole_numbers(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Finding]]:
    """Counters as whole numbers; a row with a fraction or no number in one is held back."""
    findings = []
    columns = []
    for name in COUNTS:
        if name not in frame.columns or frame[name].dtype.is_integer():
            continue
        values = frame[name].to_numpy()
        sound = np.isfinite(values) & (values == np.round(values))
        whole = pl.Series(name, np.where(sound, values, 0).astype(np.int64))
        columns.append(whole if sound.all() else whole.set(pl.Series(~sound), None))
        for at in np.flatnonzero(~sound):
            value = "" if np.isnan(values[at]) else f"{values[at]:g}"
            findings.append(
                Finding(
                    int(frame["row_number"][int(at)]),
                    name,
                    value,
                    "count",
                    f"The {name} number is {value or 'missing'}.",
                    "Correct the row in the export; numbers are not made up.",
                )
            )
    frame = frame.with_columns(columns)
    return frame, findings


def _not_finite(value: float) -> str:
    return "not a number" if math.isnan(value) else "infinite"
