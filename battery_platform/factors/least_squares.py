"""F tests by nested least-squares models, the only source of p values in this package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import f as f_distribution


@dataclass(frozen=True)
class FTest:
    """What a term explains beyond the smaller model; F and p are None where no test is possible."""

    sum_of_squares: float
    df: int
    residual_sum_of_squares: float
    residual_df: int
    f: float | None
    p: float | None


def nested_f(smaller: np.ndarray, bigger: np.ndarray, target: np.ndarray) -> FTest:
    """Compare two designs, the second of which contains the first."""
    (rss_small, rank_small), (rss, rank) = _fit(smaller, target), _fit(bigger, target)
    gained, df, residual_df = max(rss_small - rss, 0.0), rank - rank_small, len(target) - rank
    if df < 1 or residual_df < 1:
        return FTest(gained, df, rss, residual_df, None, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        f = float(np.float64(gained / df) / np.float64(rss / residual_df))
    return FTest(gained, df, rss, residual_df, f, float(f_distribution.sf(f, df, residual_df)))


def indicators(codes: np.ndarray) -> np.ndarray:
    """One column per level except the first, which the intercept represents."""
    columns: np.ndarray = (codes[:, None] == np.unique(codes)[None, 1:]).astype(float)
    return columns


def _fit(design: np.ndarray, target: np.ndarray) -> tuple[float, int]:
    """Residual sum of squares and the rank, which counts linearly dependent columns once."""
    coefficients, _, rank, _ = np.linalg.lstsq(design, target, rcond=1e-10)
    return float(((target - design @ coefficients) ** 2).sum()), int(rank)
