"""Features of the first 100 cycles that predict how long a cell will last.

Only discharges of cycles 2 to 100 are used. The strongest predictor is how unevenly the discharge curve
changes between cycles 10 and 100 (Severson et al., Nature Energy 4 (2019) 383). Impossible cycles, such
as a capacity of 31 Ah, are replaced by the nearest possible cycle and counted.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from battery_platform.store.lakehouse import Lakehouse

Array = npt.NDArray[np.float64]
LARGEST_SHARE, LARGEST_STEP = 1.3, 0.2
"""Largest plausible capacity, and step between neighbouring voltages, as shares of the median capacity."""
EARLIEST, EARLY, LATE = 2, 10, 100


def features_of_cells(lake: Lakehouse, cells: list[str]) -> pl.DataFrame:
    """Features of each cell by name; null where the first 100 cycles are incomplete."""
    schema = {
        "cell_id": pl.String,
        "log_variance_100_10": pl.Float64,
        "capacity_cycle_2_ah": pl.Float64,
        "rise_of_capacity_ah": pl.Float64,
        "impossible_cycles": pl.Int64,
    }
    rows = []
    for cell in cells:
        with lake.cursor() as cursor:
            rows_of_cell = cursor.execute(
                """SELECT cycle, capacities_ah FROM raw_capacity_curves
                   WHERE cell_id = ? AND cycle <= ? ORDER BY cycle""",
                [cell, LATE],
            ).fetchall()
        curves = {cycle: np.array(json.loads(text), dtype=float) for cycle, text in rows_of_cell}
        if curves:
            rows.append({"cell_id": cell, **features(curves)})
    return pl.DataFrame(rows, schema=schema)


def features(curves: dict[int, Array]) -> dict[str, Any]:
    """Features of the curves of capacity over falling voltage, by cycle."""
    empty = {"log_variance_100_10": None, "capacity_cycle_2_ah": None, "rise_of_capacity_ah": None}
    usual = float(np.median([curve[-1] for curve in curves.values()]))
    possible = {cycle: curve for cycle, curve in curves.items() if _is_possible(curve, usual)}
    impossible = len(curves) - len(possible)
    if len(possible) < LATE // 2 or max(possible) < LATE - 2:
        return empty | {"impossible_cycles": impossible}
    mended = {cycle: _nearest(possible, cycle) for cycle in range(EARLIEST, LATE + 1)}
    moved = _around(mended, LATE) - _around(mended, EARLY)
    capacity = np.array([mended[cycle][-1] for cycle in sorted(mended)])
    smooth = np.convolve(np.pad(capacity, 2, "edge"), np.full(5, 0.2), "valid")
    return {
        "log_variance_100_10": float(np.log10(max(float(moved.var()), 1e-12))),
        "capacity_cycle_2_ah": float(capacity[0]),
        "rise_of_capacity_ah": float(smooth.max() - capacity[0]),
        "impossible_cycles": impossible,
    }


def _is_possible(curve: Array, usual: float) -> bool:
    return bool(
        np.abs(curve).max() <= LARGEST_SHARE * usual
        and np.abs(np.diff(curve)).max() <= LARGEST_STEP * usual
        and -0.05 <= curve[0] <= 0.1
    )


def _nearest(curves: dict[int, Array], cycle: int) -> Array:
    return curves[min(curves, key=lambda other: (abs(other - cycle), other))]


def _around(curves: dict[int, Array], cycle: int) -> Array:
    """Median of three neighbouring cycles, since the noise of a single cycle would count twice."""
    near = range(LATE - 2, LATE + 1) if cycle == LATE else range(cycle - 1, cycle + 2)
    middle: Array = np.median([curves[neighbour] for neighbour in near], axis=0)
    return middle
