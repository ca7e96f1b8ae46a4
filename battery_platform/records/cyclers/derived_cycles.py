"""Cycles of a file that counts none: where its current turns.

Rows are joined to runs of one direction, and the charge passed is walked from run to run. A turn
counts only where the charge that then flows back is more than a pulse, so that neither noise at
rest nor a pulse test nor braking makes cycles. A cycle begins where the current turns to the
direction in which the test began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl

from battery_platform.records.cyclers.model import Block, Stream, in_order

RESTING_A = 2e-6
"""A current of this size is an instrument's noise: nothing is concluded from its sign."""
OF_SMALLER, OF_LARGER = 0.05, 0.02
"""Shares of the smaller and the larger excursion of charge that a half cycle has to exceed."""
_PULSE = 1e-3
"""A run with a smaller share of a half cycle's charge does not begin it."""
DERIVED = (
    "not counted in the file: derived from where the current turns; a cycle begins where it turns "
    "to the direction in which the test began"
)


def with_cycles(stream: Stream, again: Callable[[], Stream]) -> Stream:
    """The stream with the cycles that the file does not count; `again` opens the file anew.

    A file of one block is walked once, a longer one twice.
    """
    resets = "unknown" if stream.format.resets == "cycle" else stream.format.resets
    stream.format = replace(stream.format, cycles=DERIVED, resets=resets)
    stream.metadata["cycles"] = DERIVED
    stream.blocks = _numbered(stream.blocks, stream.notes, again)
    return stream


def _numbered(
    blocks: Iterator[Block], notes: list[str], again: Callable[[], Stream]
) -> Iterator[Block]:
    held = [block for block in (next(blocks, None), next(blocks, None)) if block is not None]
    turns = Turns()
    for block in again().blocks if len(held) == 2 else held:
        turns.add(block.points)
    starts = turns.cycle_starts()
    notes.append(f"no column counts cycles: {len(starts) + 1} derived from where the current turns")
    for source in (held, blocks):
        for block in source:
            rows = block.points["row_number"].to_numpy()
            cycle = pl.Series("cycle", 1 + np.searchsorted(starts, rows, side="right"), pl.Int64)
            yield Block(in_order(block.points.with_columns(cycle)), block.quarantine)


class Turns:
    """The runs of one direction of a file whose points come in blocks."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []
        self._charges: list[np.ndarray] = []
        self._latest: float | None = None

    def add(self, points: pl.DataFrame) -> None:
        """Take the next block of points."""
        if points.is_empty():
            return
        current, time = points["current_a"].to_numpy(), points["test_time_s"].to_numpy()
        begun = time[0] if self._latest is None else self._latest
        passed = current * np.maximum(np.diff(time, prepend=begun), 0.0) / 3600
        way = np.sign(current) * (np.abs(current) > RESTING_A)
        first = np.flatnonzero(np.diff(way, prepend=np.nan) != 0)
        self._rows.append(points["row_number"].to_numpy()[first])
        self._charges.append(np.add.reduceat(np.where(way != 0, passed, 0.0), first))
        self._latest = float(time[-1])

    def cycle_starts(self) -> np.ndarray:
        """The first rows of all cycles but the first."""
        if not self._rows:
            return np.empty(0, dtype=np.int64)
        rows, charge = np.concatenate(self._rows), np.concatenate(self._charges)
        halves = _halves(charge)
        return np.array([rows[run] for run, way in halves[1:] if way == halves[0][1]], np.int64)


def _halves(charge: np.ndarray) -> list[tuple[int, int]]:
    """The run with which each half cycle begins, and its direction."""
    total = np.concatenate(([0.0], np.cumsum(charge)))
    up = float((total - np.minimum.accumulate(total)).max())
    down = float((np.maximum.accumulate(total) - total).max())
    least = max(OF_SMALLER * min(up, down), OF_LARGER * max(up, down))
    pivots = _pivots(total, least)
    halves = []
    for begin, end in pairwise(pivots):
        swing = total[end] - total[begin]
        real = np.flatnonzero(np.sign(swing) * charge[begin:end] > _PULSE * abs(swing))
        halves.append((begin + int(real[0]), int(np.sign(swing))))
    return halves


def _pivots(total: np.ndarray, least: float) -> list[int]:
    """The extremes of a curve between which it moves by more than `least`, and its end."""
    pivots, way, low, high = [0], 0, 0, 0
    for at, value in enumerate(total.tolist()):
        if value > total[high]:
            high = at
        if value < total[low]:
            low = at
        if way >= 0 and total[high] - value > least:
            if way:
                pivots.append(high)
            way, low = -1, at
        elif way <= 0 and value - total[low] > least:
            if way:
                pivots.append(low)
            way, high = 1, at
    return [*pivots, high if way > 0 else low] if way else [0]
