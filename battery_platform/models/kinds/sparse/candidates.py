"""What every candidate takes and returns, so that one evaluation can score them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from battery_platform.models.cell_table import Array, SparseTable
from battery_platform.models.served.cell_outcome import decoded
from battery_platform.models.splits import grouped_folds

INNER_SPLITS = 5
FEWEST_ERRORS = 5
Z90 = 1.6448536269514722


@dataclass(frozen=True, eq=False)
class Prediction:
    """Endpoints (some as logarithms) and the curve, each with its standard deviation."""

    mean: Array
    deviation: Array
    curve: Array
    curve_deviation: Array


Answer = Callable[[Array, Array], Mapping[str, Prediction]]
"""From descriptors and known endpoints (NaN where unknown) to predictions, by name of candidate."""
Fit = Callable[[SparseTable, Array], Answer]
"""Takes the table and the positions of the training rows."""


def prediction(space: Mapping[str, Any], mean: Array, deviation: Array) -> Prediction:
    """A prediction of standardised quantities, converted to units."""
    whole, wide, curve, curve_wide = decoded(dict(space), mean, deviation)
    return Prediction(whole, wide, np.maximum(curve, 0.0), curve_wide)


def factors(errors: Array, deviations: Array) -> Array:
    """The factor by which to widen each column so that its 90 % intervals hold 90 % of the errors."""
    widths = np.ones(errors.shape[1])
    for column in range(errors.shape[1]):
        there = np.isfinite(errors[:, column])
        if there.sum() >= FEWEST_ERRORS:
            ratios = np.abs(errors[there, column]) / deviations[there, column]
            widths[column] = np.quantile(ratios, 0.9) / Z90
    return np.maximum(widths, 1e-3)


def inner_folds(table: SparseTable, rows: Array, seed: int) -> list[tuple[Array, Array]]:
    """Folds as positions among `rows`: whole cases held out within the training rows."""
    return list(grouped_folds(table.cases[rows], INNER_SPLITS, seed))
