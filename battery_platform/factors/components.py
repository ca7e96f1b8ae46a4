"""Principal components, and the direction in which each factor moves each target (Duquesnoy 2020).

A sign is stated only if a bootstrap over batches leaves no doubt: eight electrodes punched from one
coating would otherwise make any direction look certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from battery_platform.errors import PlatformError
from battery_platform.factors.tables import (
    Complete,
    LeftOut,
    complete,
    drawn_rows,
    refuse_too_few,
    standardised,
)

FEWEST_GROUPS = 5
"""Four groups can be drawn in only 35 ways, too few for an interval."""
PLANE = 2
"""Number of components that Duquesnoy's degree of correlation is based on."""


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of standardised columns, the widest first."""

    columns: tuple[str, ...]
    explained: np.ndarray
    """Share of the variance per component; adds up to 1."""
    loadings: np.ndarray
    """Columns x components: correlation of the column with the component."""
    scores: np.ndarray
    """Rows x components, of the rows without gaps."""
    positions: np.ndarray
    """Positions of these rows in the table passed in."""
    left_out: LeftOut


@dataclass(frozen=True)
class Correlation:
    """Correlation of a factor and a target."""

    factor: str
    target: str
    spearman: float
    low: float | None
    high: float | None
    """95 % interval from resampling groups; None below five groups."""
    in_plane: float
    """Correlation that the first two components of all columns account for."""

    @property
    def sign(self) -> str:
        """'+' or '-' if the interval excludes 0, otherwise '?'."""
        if self.low is None or self.high is None or self.low <= 0.0 <= self.high:
            return "?"
        return "+" if self.low > 0.0 else "-"


@dataclass(frozen=True)
class Correlations:
    """All pairs of factor and target."""

    pairs: tuple[Correlation, ...]
    rows: int
    groups: int
    left_out: LeftOut

    def pair(self, factor: str, target: str) -> Correlation:
        return next(pair for pair in self.pairs if (pair.factor, pair.target) == (factor, target))


def principal_components(frame: pl.DataFrame, columns: Sequence[str]) -> Components:
    """Components of the varying columns, oriented so that each one's largest loading is positive."""
    rows = complete(frame, columns)
    names, constant = _varying(rows, columns)
    explained, loadings, scores = _components(standardised(rows.matrix(names)))
    return Components(names, explained, loadings, scores, rows.positions, rows.left_out(constant))


def correlations(
    frame: pl.DataFrame,
    factors: Sequence[str],
    targets: Sequence[str],
    group: str | None = None,
    draws: int = 500,
    seed: int = 0,
) -> Correlations:
    """Spearman coefficients of all factors with all targets, with intervals from resampling groups."""
    rows = complete(frame, [*factors, *targets], [group])
    names, constant = _varying(rows, [*factors, *targets])
    asked = [name for name in factors if name in names]
    aims = [name for name in targets if name in names]
    values = rows.matrix(names)
    codes = rows.codes(group)
    groups = len(np.unique(codes))
    coefficients = _spearman(values)
    ends = np.full((2, *coefficients.shape), np.nan)
    if groups >= FEWEST_GROUPS:
        drawn = np.stack(
            [_spearman(values[rows_of_draw]) for rows_of_draw in drawn_rows(codes, draws, seed)]
        )
        # a draw in which a column is constant has no coefficient; up to half of them may lack one
        seen = np.isfinite(drawn).mean(axis=0) > 0.5
        ends[:, seen] = np.nanquantile(drawn[:, seen], [0.025, 0.975], axis=0)
    _, loadings, _ = _components(standardised(values))
    plane = loadings[:, :PLANE] @ loadings[:, :PLANE].T
    place = {name: number for number, name in enumerate(names)}
    pairs = []
    for factor in asked:
        for target in aims:
            at = place[factor], place[target]
            low, high = (None if np.isnan(end[at]) else float(end[at]) for end in ends)
            pairs.append(
                Correlation(factor, target, float(coefficients[at]), low, high, float(plane[at]))
            )
    return Correlations(tuple(pairs), len(rows), groups, rows.left_out(constant))


def _varying(rows: Complete, columns: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    refuse_too_few(rows, len(columns))
    names, constant = rows.varying(columns)
    if len(names) < 2:
        raise PlatformError(
            f"Only {len(names)} of {len(columns)} columns vary.",
            "Name at least two columns that vary.",
        )
    return names, constant


def _components(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares, loadings and scores of standardised values."""
    _, singular, axes = np.linalg.svd(values, full_matrices=False)
    heaviest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), heaviest])[:, None]
    variances = singular**2 / len(values)
    return variances / variances.sum(), axes.T * np.sqrt(variances), values @ axes.T


def _spearman(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=0)
    centred = ranks - ranks.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        coefficients: np.ndarray = (centred.T @ centred) / np.outer(size, size)
    return coefficients
