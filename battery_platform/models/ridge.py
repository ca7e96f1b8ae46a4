"""Ridge regression with the penalty chosen by leave-one-out errors.

Same result as scikit-learn's `RidgeCV`, in closed form and without its checks, as it is fitted hundreds
of times to few rows.
"""

from __future__ import annotations

import numpy as np

PENALTIES = np.logspace(-4, 3, 15)


def ridge(at: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Slopes and intercept."""
    middle, center = at.mean(axis=0), y.mean()
    left, widths, right = np.linalg.svd(at - middle, full_matrices=False)
    along = left.T @ (y - center)
    kept = widths**2 / (widths**2 + PENALTIES[:, None])
    # The leave-one-out error of a row is its error divided by 1 minus its leverage.
    own = 1.0 / len(y) + kept @ (left**2).T
    errors = (y - center - (kept * along) @ left.T) / np.maximum(1.0 - own, 1e-12)
    penalty = PENALTIES[(errors**2).mean(axis=1).argmin()]
    slopes: np.ndarray = (widths / (widths**2 + penalty) * along) @ right
    return slopes, float(center - middle @ slopes)
