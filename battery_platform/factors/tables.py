"""From a campaign's table to complete numbers, with a record of everything left out.

All methods of this package take their columns from here, so that all report the same mistakes in the
same words. A missing value is never filled in: a mean in its place would invent an electrode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from battery_platform.errors import PlatformError

SPARE_ROWS = 3
"""Rows needed beyond one per factor; with fewer, a line fits any points."""
SAME = 1e-12
"""A spread below this share of a column's size is rounding, not variation."""


@dataclass(frozen=True)
class LeftOut:
    """What was not used for a result: rows with gaps, and columns that never vary."""

    rows: int
    missing: Mapping[str, int]
    constant: tuple[str, ...]

    @property
    def says(self) -> str:
        """One sentence for a report; empty if everything was used."""
        sentences = []
        if self.rows:
            gaps = ", ".join(f"{name} in {count}" for name, count in self.missing.items() if count)
            sentences.append(f"{self.rows} rows left out for a missing value ({gaps})")
        if self.constant:
            sentences.append(
                f"columns left out because they never vary: {', '.join(self.constant)}"
            )
        return "; ".join(sentences)


@dataclass(frozen=True, eq=False)
class Complete:
    """The rows without a gap in any of the requested columns."""

    frame: pl.DataFrame
    positions: np.ndarray
    """Positions of these rows in the table passed in."""
    missing: Mapping[str, int]
    rows_left_out: int

    def __len__(self) -> int:
        return self.frame.height

    def matrix(self, names: Sequence[str]) -> np.ndarray:
        """Rows x columns."""
        return np.column_stack([self.frame[name].to_numpy() for name in names])

    def column(self, name: str) -> np.ndarray:
        return self.frame[name].to_numpy()

    def codes(self, name: str | None) -> np.ndarray:
        """Number of each row's group; without a group column each row is a group of its own."""
        if name is None:
            return np.arange(len(self))
        return self.frame[name].rank("dense").to_numpy().astype(int) - 1

    def varying(self, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Columns that vary, and those that do not."""
        flat = tuple(name for name in names if is_constant(self.column(name)))
        return tuple(name for name in names if name not in flat), flat

    def left_out(self, constant: tuple[str, ...]) -> LeftOut:
        return LeftOut(self.rows_left_out, self.missing, constant)


def is_constant(values: np.ndarray) -> bool:
    return bool(np.ptp(values) <= SAME * np.abs(values).max())


def standardised(values: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1."""
    scaled: np.ndarray = (values - values.mean(axis=0)) / values.std(axis=0)
    return scaled


def complete(
    frame: pl.DataFrame, numeric: Sequence[str], labels: Sequence[str | None] = ()
) -> Complete:
    """Rows in which all these columns have a value; numbers as floats, labels unchanged."""
    named = list(dict.fromkeys(label for label in labels if label is not None))
    _refuse_names(frame, numeric, named)
    picked = frame.select(
        *(pl.col(name).cast(pl.Float64) for name in numeric),
        *(pl.col(name) for name in named if name not in numeric),
    )
    good = picked.select(
        (pl.col(name).is_finite() if kind.is_float() else pl.col(name).is_not_null())
        .fill_null(value=False)
        .alias(name)
        for name, kind in picked.schema.items()
    )
    keep = np.logical_and.reduce([column.to_numpy() for column in good])
    missing = {column.name: int((~column).sum()) for column in good}
    return Complete(picked.filter(keep), np.flatnonzero(keep), missing, int((~keep).sum()))


def condition_means(
    frame: pl.DataFrame, alike: Sequence[str], averaged: Sequence[str]
) -> pl.DataFrame:
    """One row for all rows that agree in `alike`, as replicates of a condition are not independent."""
    return frame.group_by(*alike, maintain_order=True).agg(pl.mean(*averaged))


def _refuse_names(frame: pl.DataFrame, numeric: Sequence[str], labels: Sequence[str]) -> None:
    if not numeric:
        raise PlatformError("No column was named.", "Name at least one column to look at.")
    for name in (*numeric, *labels):
        if name not in frame.columns:
            raise PlatformError(
                f"The table has no column '{name}'.", f"It has: {', '.join(frame.columns)}."
            )
    twice = sorted({name for name in numeric if list(numeric).count(name) > 1})
    if twice:
        raise PlatformError(
            f"Column '{twice[0]}' is named twice.", "A target cannot be a factor of itself."
        )
    for name in numeric:
        if not frame.schema[name].is_numeric():
            raise PlatformError(
                f"Column '{name}' holds {frame.schema[name]}, not numbers.",
                "Cast it to numbers, or compare its levels with an ANCOVA.",
            )


def refuse_too_few(rows: Complete, factors: int, count: int | None = None) -> None:
    """Refuse fewer observations than factors + 3; `count` is their number where rows were averaged."""
    wanted, usable = factors + SPARE_ROWS, len(rows) if count is None else count
    if usable >= wanted:
        return
    emptiest = max(rows.missing, key=lambda name: rows.missing[name])
    raise PlatformError(
        f"{usable} usable rows are too few for {factors} factors: at least {wanted} are needed "
        f"({rows.rows_left_out} rows left out for missing values).",
        f"Column '{emptiest}' has most gaps ({rows.missing[emptiest]}): do without it, or measure more."
        if rows.missing[emptiest]
        else "Name fewer factors, or measure more.",
    )


def refuse_constant(rows: Complete, target: str) -> None:
    """Refuse a target that never varies, as there is nothing to explain."""
    if is_constant(rows.column(target)):
        raise PlatformError(
            f"The target '{target}' has the same value in all {len(rows)} usable rows.",
            "Choose a target that varies.",
        )


def drawn_rows(codes: np.ndarray, draws: int, seed: int) -> list[np.ndarray]:
    """Bootstrap samples of rows; whole groups are drawn, as their rows are not independent."""
    members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    chosen = np.random.default_rng(seed).integers(len(members), size=(draws, len(members)))
    return [np.concatenate([members[group] for group in draw]) for draw in chosen]
