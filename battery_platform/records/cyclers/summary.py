"""From points to steps and cycles: charge, energy, coulombic efficiency, end voltages.

A step's charge is what its counter shows at its end minus what came before it. Counters start
again per step, per cycle or when the schedule says so; the maximum minus the minimum over a cycle
is right for none of them. Beside each charge stands the integral of the current over time, so
that a counter, a unit or a sign that is wrong is seen.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from battery_platform.records.cyclers.model import Resets

Efficiency = Literal["discharge_per_charge", "charge_per_discharge"]
RESTING = 1e-4
"""Share of the largest charge of any step below which a step counts as rest."""
_QUANTITIES = ("charge_ah", "discharge_ah", "charge_wh", "discharge_wh")


def steps(points: pl.DataFrame, resets: Resets = "unknown") -> pl.DataFrame:
    """One row per step: its place, times, voltages at begin and end, charge and energy."""
    if points.is_empty():
        return pl.DataFrame()
    number = points.height
    cycle = _counts(points, "cycle")
    step = _counts(points, "step")
    time = points["test_time_s"].to_numpy()
    new = np.ones(number, dtype=bool)
    new[1:] = (np.diff(cycle) != 0) | (np.diff(step) != 0)
    since = points["step_time_s"].to_numpy() if "step_time_s" in points.columns else None
    if since is not None:
        new[1:] |= np.diff(np.nan_to_num(since)) < 0
    first = np.flatnonzero(new)
    last = np.append(first[1:], number) - 1
    volts, current = points["voltage_v"].to_numpy(), points["current_a"].to_numpy()
    passed, energy = _integrals(time, current, volts, new, since)
    out: dict[str, np.ndarray | pl.Series] = {
        "cycle": cycle[first],
        "step": step[first],
        "first_row": points["row_number"].to_numpy()[first],
        "last_row": points["row_number"].to_numpy()[last],
        "points": last - first + 1,
        "start_s": time[first],
        "end_s": time[last],
        "start_v": volts[first],
        "end_v": volts[last],
        "end_a": current[last],
        "charge_ah_integral": np.add.reduceat(np.maximum(passed, 0), first),
        "discharge_ah_integral": np.add.reduceat(np.maximum(-passed, 0), first),
        "charge_wh_integral": np.add.reduceat(np.maximum(energy, 0), first),
        "discharge_wh_integral": np.add.reduceat(np.maximum(-energy, 0), first),
    }
    for name in _QUANTITIES:
        counted = points[name].to_numpy() if _has(points, name) else None
        out[name] = (
            out[f"{name}_integral"]
            if counted is None
            else _counted(counted, cycle, first, last, resets)
        )
    frame = pl.DataFrame(out)
    net = pl.col("charge_ah") - pl.col("discharge_ah")
    floor = RESTING * pl.max_horizontal(pl.col("charge_ah").max(), pl.col("discharge_ah").max())
    direction = pl.when(net > floor).then(1).when(net < -floor).then(-1).otherwise(0)
    frame = frame.with_columns(direction.cast(pl.Int8).alias("direction"))
    nothing = [
        pl.lit(None, dtype=pl.Int64).alias(name)
        for name in ("cycle", "step")
        if name not in points.columns
    ]
    return frame.with_columns(nothing)


def cycles(
    points: pl.DataFrame,
    resets: Resets = "unknown",
    efficiency: Efficiency = "discharge_per_charge",
) -> pl.DataFrame:
    """One row per cycle: charge and energy each way, efficiency, end voltages.

    `efficiency` says which way round: a full cell gives back what it was charged with; a half
    cell that is discharged first (an anode against lithium) gives back by charging. Where a cycle
    went one way only, or no charge flowed, it is undefined and stays empty. End voltages are those of the last step
    that charged and the last that discharged.
    """
    table = steps(points, resets)
    if table.is_empty():
        return table
    charging, discharging = pl.col("direction") == 1, pl.col("direction") == -1
    sums = [*_QUANTITIES, *(f"{name}_integral" for name in _QUANTITIES)]
    found = table.group_by("cycle", maintain_order=True).agg(
        pl.col("points").sum(),
        pl.col("start_s").first(),
        pl.col("end_s").last(),
        *(pl.col(name).sum() for name in sums),
        pl.col("end_v").filter(charging).last().alias("charge_end_v"),
        pl.col("end_v").filter(discharging).last().alias("discharge_end_v"),
    )
    gives, takes = (
        ("discharge", "charge") if efficiency == "discharge_per_charge" else ("charge", "discharge")
    )

    def ratio(unit: str) -> pl.Expr:
        above, below = pl.col(f"{gives}_{unit}"), pl.col(f"{takes}_{unit}")
        return pl.when((below > 0) & (above > 0)).then(above / below)

    return found.with_columns(
        ratio("ah").alias("coulombic_efficiency"),
        ratio("wh").alias("energy_efficiency"),
        pl.lit(efficiency).alias("efficiency_is"),
    )


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


def _counts(points: pl.DataFrame, name: str) -> np.ndarray:
    if name not in points.columns:
        return np.zeros(points.height, dtype=np.int64)
    counts: np.ndarray = points[name].fill_null(-1).to_numpy()
    return counts


def _has(points: pl.DataFrame, name: str) -> bool:
    return name in points.columns and not points[name].null_count()


def _integrals(
    time: np.ndarray,
    current: np.ndarray,
    volts: np.ndarray,
    new: np.ndarray,
    since: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Charge and energy that passed before each row, within its own step."""
    spans = np.maximum(np.diff(time, prepend=time[0]), 0.0)
    if since is not None:
        spans = np.where(new, np.minimum(spans, np.nan_to_num(since, nan=np.inf)), spans)
    before = np.where(new, current, np.roll(current, 1))
    volts_before = np.where(new, volts, np.roll(volts, 1))
    passed = (before + current) / 2 * spans / 3600
    return passed, passed * (volts_before + volts) / 2


def _counted(
    counter: np.ndarray, cycle: np.ndarray, first: np.ndarray, last: np.ndarray, resets: Resets
) -> np.ndarray:
    """What a counter gained in each step."""
    ends: np.ndarray = counter[last]
    if resets == "step":
        return ends
    before = np.concatenate(([0.0], ends[:-1]))
    if resets == "cycle":
        before[np.concatenate(([True], np.diff(cycle[first]) != 0))] = 0.0
    before = np.where(counter[first] < before - 1e-12, 0.0, before)
    gained: np.ndarray = ends - before
    return gained
