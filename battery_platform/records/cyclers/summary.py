"""From points to steps and cycles: charge, energy, efficiency, end voltages, resistance, dQ/dV.

A step's charge is what its counter shows at its end minus what came before it. Counters start
again per step, per cycle or when the schedule says so; the maximum minus the minimum over a cycle
is right for none of them. Beside each charge stands the integral of the current over time, so
that a counter, a unit or a sign that is wrong is seen.

`Summary` takes the points block by block and keeps one row per step and one bin of charge per
10 mV and cycle, so that a file of any length is summed up in the memory of its steps.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from battery_platform.records.cyclers.model import Resets

Efficiency = Literal["discharge_per_charge", "charge_per_discharge"]
RESTING = 1e-4
"""A step with less than this share of the largest step's charge counts as rest."""
DQDV_BIN_V = 0.01
"""Width in volts of the bins in which charge is collected for dQ/dV."""
DQDV_FROM_V, DQDV_BINS = -5.0, 1100
"""Bins from -5 V to 6 V, the voltages that the contract allows."""
DQDV_LEAST_BINS = 10
"""A curve over fewer bins than this has no meaningful shape."""
PULSE_WITHIN_S = 10.0
"""A resistance is taken only if a step's first point was logged within this time."""
_QUANTITIES = ("charge_ah", "discharge_ah", "charge_wh", "discharge_wh")
_SUMMED = ("slack_ah", *(f"{name}_integral" for name in _QUANTITIES))
_FLOATS = ("test_time_s", "voltage_v", "current_a", "step_time_s", *_QUANTITIES)


class Summary:
    """Steps and cycles of a file whose points come in blocks."""

    def __init__(self, resets: Resets = "unknown") -> None:
        self.resets = resets
        self._pieces: list[pl.DataFrame] = []
        self._charge = _ChargeByVoltage()
        self._before: pl.DataFrame | None = None
        self._has: set[str] = set()
        self._lost: set[str] = set()

    def add(self, points: pl.DataFrame) -> None:
        """Take the next block of points."""
        if points.is_empty():
            return
        for name in ("cycle", "step", *_QUANTITIES):
            if name in points.columns:
                self._has.add(name)
                if name in _QUANTITIES and points[name].null_count():
                    self._lost.add(name)
        known = self._before is not None
        whole = points if self._before is None else _under(self._before, points)
        self._pieces.append(_pieces(whole, known))
        self._charge.add(whole)
        self._before = points.tail(1)

    def steps(self) -> pl.DataFrame:
        """One row per step: its place, times, first and last voltage, charge and energy."""
        if not self._pieces:
            return pl.DataFrame()
        frame = _joined(pl.concat(self._pieces))
        columns = []
        for name in _QUANTITIES:
            if name in self._has - self._lost:
                counted = _counted(frame, name, self.resets)
            else:
                counted = frame[f"{name}_integral"]
            columns.append(counted.alias(name))
        frame = frame.with_columns(columns)
        net = pl.col("charge_ah") - pl.col("discharge_ah")
        floor = RESTING * pl.max_horizontal(pl.col("charge_ah").max(), pl.col("discharge_ah").max())
        direction = pl.when(net > floor).then(1).when(net < -floor).then(-1).otherwise(0)
        frame = frame.with_columns(direction.cast(pl.Int8).alias("direction"))
        frame = frame.with_columns(_pulse())
        absent = {"cycle", "step"} - self._has
        return frame.with_columns(pl.lit(None, dtype=pl.Int64).alias(name) for name in absent)

    def cycles(self, efficiency: Efficiency = "discharge_per_charge") -> pl.DataFrame:
        """One row per cycle: charge and energy each way, efficiency, voltages, resistance, dQ/dV.

        `efficiency` says which way round: a full cell gives back what it was charged with; a half
        cell that is discharged first (an anode against lithium) gives back by charging. Where a
        cycle went one way only, or no charge flowed, it is undefined and stays empty. End voltages
        are those of the last step that charged and the last that discharged.
        """
        table = self.steps()
        if table.is_empty():
            return table
        charging, discharging = pl.col("direction") == 1, pl.col("direction") == -1
        sums = [*_QUANTITIES, *_SUMMED]
        per_cycle = table.group_by("cycle", maintain_order=True).agg(
            pl.col("first_row").min(),
            pl.col("points").sum(),
            pl.col("start_s").first(),
            pl.col("end_s").last(),
            *(pl.col(name).sum() for name in sums),
            pl.col("end_v").filter(charging).last().alias("charge_end_v"),
            pl.col("end_v").filter(discharging).last().alias("discharge_end_v"),
            pl.col("ir_drop_mv").filter(discharging).first(),
            pl.col("resistance_ohm").filter(discharging).first(),
            _turns(-1).alias("discharges"),
        )
        gives, takes = (
            ("discharge", "charge")
            if efficiency == "discharge_per_charge"
            else ("charge", "discharge")
        )

        def ratio(unit: str) -> pl.Expr:
            above, below = pl.col(f"{gives}_{unit}"), pl.col(f"{takes}_{unit}")
            return pl.when((below > 0) & (above > 0)).then(above / below)

        peaks = self._charge.peaks()
        numbers = per_cycle["cycle"].fill_null(0).to_list()
        return per_cycle.with_columns(
            pl.Series(
                name,
                [peaks.get(number, (None, None))[side] for number in numbers],
                dtype=pl.Float64,
            )
            for side, name in enumerate(("dqdv_peak_charge_v", "dqdv_peak_discharge_v"))
        ).with_columns(
            ratio("ah").alias("coulombic_efficiency"),
            ratio("wh").alias("energy_efficiency"),
            _counters_off().alias("counters_off_pct"),
            pl.lit(efficiency).alias("efficiency_is"),
        )


def steps(points: pl.DataFrame, resets: Resets = "unknown") -> pl.DataFrame:
    """The steps of points that are all in memory."""
    return _whole(points, resets).steps()


def cycles(
    points: pl.DataFrame,
    resets: Resets = "unknown",
    efficiency: Efficiency = "discharge_per_charge",
) -> pl.DataFrame:
    """The cycles of points that are all in memory."""
    return _whole(points, resets).cycles(efficiency)


def _whole(points: pl.DataFrame, resets: Resets) -> Summary:
    summary = Summary(resets)
    summary.add(points)
    return summary


def _counters_off() -> pl.Expr:
    """The difference between counters and integrated current, of the larger charge.

    What the current may have done between two rows is no difference.
    """
    names = ("charge_ah", "discharge_ah")
    larger = pl.max_horizontal(pl.col(name, f"{name}_integral") for name in names)
    away = pl.max_horizontal((pl.col(n) - pl.col(f"{n}_integral")).abs() for n in names)
    return pl.when(larger > 0).then(100 * (away - pl.col("slack_ah")).clip(0) / larger)


def largest_deviation(table: pl.DataFrame) -> float:
    """Largest difference between counters and integral, as a share of the largest charge."""
    largest = max(float(table[name].max() or 0.0) for name in ("charge_ah", "discharge_ah"))  # type: ignore[arg-type]
    if largest <= 0:
        return 0.0
    away = max(
        float((table[name] - table[f"{name}_integral"]).abs().max() or 0.0)  # type: ignore[arg-type]
        for name in ("charge_ah", "discharge_ah")
    )
    return away / largest


def _under(before: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """A block preceded by the last point of the block before."""
    used = [name for name in ("row_number", "cycle", "step", *_FLOATS) if name in points.columns]
    same = before.select(pl.col(name) for name in used if name in before.columns)
    return pl.concat([same, points.select(used)], how="diagonal_relaxed")


def _pieces(points: pl.DataFrame, known: bool) -> pl.DataFrame:
    """One row per step of a block; `begins` is false where the block goes on with a step.

    With `known` the first row belongs to the block before and is here for its time and current.
    """
    cycle, step = _counts(points, "cycle"), _counts(points, "step")
    time = points["test_time_s"].to_numpy()
    new = np.ones(points.height, dtype=bool)
    new[1:] = (np.diff(cycle) != 0) | (np.diff(step) != 0)
    since = points["step_time_s"].to_numpy() if "step_time_s" in points.columns else None
    if since is not None:
        new[1:] |= np.diff(np.nan_to_num(since)) < 0
    volts, current = points["voltage_v"].to_numpy(), points["current_a"].to_numpy()
    passed, energy, slack = _integrals(time, current, volts, new, since)
    start = int(known)
    first = np.flatnonzero(new[start:]) + start
    if known and not new[1]:
        first = np.concatenate(([1], first))
    last = np.append(first[1:], points.height) - 1
    rows = points["row_number"].to_numpy()
    out: dict[str, np.ndarray] = {
        "begins": new[first],
        "cycle": cycle[first],
        "step": step[first],
        "first_row": rows[first],
        "last_row": rows[last],
        "points": last - first + 1,
        "start_s": time[first],
        "end_s": time[last],
        "start_v": volts[first],
        "end_v": volts[last],
        "start_a": current[first],
        "end_a": current[last],
        "slack_ah": np.add.reduceat(slack, first),
        "charge_ah_integral": np.add.reduceat(np.maximum(passed, 0), first),
        "discharge_ah_integral": np.add.reduceat(np.maximum(-passed, 0), first),
        "charge_wh_integral": np.add.reduceat(np.maximum(energy, 0), first),
        "discharge_wh_integral": np.add.reduceat(np.maximum(-energy, 0), first),
    }
    for name in _QUANTITIES:
        counted = (
            points[name].to_numpy() if name in points.columns else np.full(points.height, np.nan)
        )
        out[f"{name}_from"], out[f"{name}_to"] = counted[first], counted[last]
        out[f"{name}_most"] = np.maximum.reduceat(counted[start:], first - start)
    return pl.DataFrame(out)


def _joined(pieces: pl.DataFrame) -> pl.DataFrame:
    """One row for each step, joined from pieces that block boundaries cut apart."""
    if pieces["begins"].all():
        return pieces.drop("begins")
    starts = ("cycle", "step", "first_row", "start_s", "start_v", "start_a")
    ends = ("last_row", "end_s", "end_v", "end_a")
    sums = ("points", *_SUMMED)
    return (
        pieces.group_by(pl.col("begins").cum_sum().alias("place"), maintain_order=True)
        .agg(
            *(pl.col(name).first() for name in starts),
            *(pl.col(name).last() for name in ends),
            *(pl.col(name).sum() for name in sums),
            *(pl.col(f"{name}_from").first() for name in _QUANTITIES),
            *(pl.col(f"{name}_to").last() for name in _QUANTITIES),
            *(pl.col(f"{name}_most").max() for name in _QUANTITIES),
        )
        .drop("place")
    )


def _turns(direction: int) -> pl.Expr:
    """How often a cycle changes to a direction; rests in between do not count."""
    ways = pl.col("direction").filter(pl.col("direction") != 0)
    turned = (ways == direction) & (ways.shift(1) != direction).fill_null(True)
    return turned.sum().cast(pl.Int64)


def _pulse() -> tuple[pl.Expr, pl.Expr]:
    """The change of voltage when a step's current was switched on, if logged soon enough."""
    volts = pl.col("start_v") - pl.col("end_v").shift(1)
    amperes = pl.col("start_a") - pl.col("end_a").shift(1)
    soon = (pl.col("start_s") - pl.col("end_s").shift(1)) <= PULSE_WITHIN_S
    switched = amperes.abs() > 0.1 * pl.col("start_a").abs()
    seen = soon & switched & (pl.col("direction") != 0)
    resistance = volts / amperes
    return (
        pl.when(seen & (resistance >= 0)).then(1000 * volts.abs()).alias("ir_drop_mv"),
        pl.when(seen & (resistance >= 0)).then(resistance).alias("resistance_ohm"),
    )


class _ChargeByVoltage:
    """Charge that passed in each bin of voltage, both ways, cycle by cycle."""

    def __init__(self) -> None:
        self._open: tuple[int, np.ndarray] | None = None
        self._peaks: dict[int, tuple[float | None, float | None]] = {}

    def add(self, points: pl.DataFrame) -> None:
        """Take points, the first of which repeats the end of the points taken before."""
        time, current = points["test_time_s"].to_numpy(), points["current_a"].to_numpy()
        volts, cycle = points["voltage_v"].to_numpy(), _counts(points, "cycle")
        passed = (current[:-1] + current[1:]) / 2 * np.maximum(np.diff(time), 0) / 3600
        middle = (volts[:-1] + volts[1:]) / 2
        place = np.floor((np.nan_to_num(middle) - DQDV_FROM_V) / DQDV_BIN_V).astype(np.int64)
        place = np.clip(place, 0, DQDV_BINS - 1) + DQDV_BINS * (passed < 0)
        ends = np.flatnonzero(np.diff(cycle[1:], append=cycle[-1] + 1)) + 1
        start = 0
        for end in ends.tolist():
            within = slice(start + int(cycle[start] != cycle[end]), end)
            summed = np.bincount(place[within], np.abs(passed[within]), 2 * DQDV_BINS)
            self._collect(int(cycle[end]), summed)
            start = end

    def _collect(self, cycle: int, charge: np.ndarray) -> None:
        """Keep the bins of the current cycle; of earlier cycles only the peaks are kept."""
        if self._open is not None and self._open[0] == cycle:
            charge = charge + self._open[1]
        elif self._open is not None:
            self._close()
        self._open = (cycle, charge)

    def _close(self) -> None:
        if self._open is not None:
            cycle, charge = self._open
            self._peaks[cycle] = (_peak(charge[:DQDV_BINS]), _peak(charge[DQDV_BINS:]))

    def peaks(self) -> dict[int, tuple[float | None, float | None]]:
        """Voltage of the highest dQ/dV in each direction, if it is a peak within the curve.

        The outermost bins hold what flowed while the voltage was kept at the cut-off.
        """
        self._close()
        return self._peaks


def _peak(charge: np.ndarray) -> float | None:
    filled = np.flatnonzero(charge)
    if len(filled) < DQDV_LEAST_BINS:
        return None
    inner = filled[1:-1]
    highest = int(inner[np.argmax(charge[inner])])
    return round(DQDV_FROM_V + (highest + 0.5) * DQDV_BIN_V, 6)


def _counts(points: pl.DataFrame, name: str) -> np.ndarray:
    if name not in points.columns:
        return np.zeros(points.height, dtype=np.int64)
    counts: np.ndarray = points[name].fill_null(-1).to_numpy()
    return counts


def _integrals(
    time: np.ndarray,
    current: np.ndarray,
    volts: np.ndarray,
    new: np.ndarray,
    since: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Charge and energy passed since the previous row, and the charge that this may be wrong by.

    Where a step begins its own current counts for the span before it; without a time of the step
    the current before may have lasted as long.
    """
    spans = np.maximum(np.diff(time, prepend=time[0]), 0.0)
    if since is not None:
        spans = np.where(new, np.minimum(spans, np.nan_to_num(since, nan=np.inf)), spans)
    before = np.where(new, current, np.roll(current, 1))
    volts_before = np.where(new, volts, np.roll(volts, 1))
    passed = (before + current) / 2 * spans / 3600
    changed = np.abs(np.diff(current, prepend=current[0])) * spans / 3600
    slack = np.where(new, changed if since is None else 0.0, changed / 2)
    return passed, passed * (volts_before + volts) / 2, slack


def _counted(frame: pl.DataFrame, name: str, resets: Resets) -> pl.Series:
    """The gain of a counter in each step.

    A counter of its own step shows it where it is largest: a last row that pauses may show nothing.
    """
    if resets == "step":
        return frame[f"{name}_most"]
    begins = frame[f"{name}_from"].to_numpy()
    ends = frame[f"{name}_to"].to_numpy()
    before = np.concatenate(([0.0], ends[:-1]))
    if resets == "cycle":
        cycle = frame["cycle"].to_numpy()
        before[np.concatenate(([True], np.diff(cycle) != 0))] = 0.0
    before = np.where(begins < before - 1e-12, 0.0, before)
    return pl.Series(ends - before)
