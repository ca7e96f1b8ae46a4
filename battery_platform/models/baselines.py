"""The simplest predictors, with which every model is compared under the same splits.

The standard deviation of each is its RMSE on batches held out within the training rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from battery_platform.models.ridge import ridge
from battery_platform.models.rows import Rows
from battery_platform.models.specification import Specification
from battery_platform.models.splits import grouped_folds
from battery_platform.models.states import learnt_target, weights_of

Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Mean = Callable[[np.ndarray], np.ndarray]


def _mean(at: np.ndarray, target: np.ndarray) -> Mean:
    return lambda asked: np.full(len(asked), target.mean())


def _nearest(at: np.ndarray, target: np.ndarray) -> Mean:
    from sklearn.neighbors import KNeighborsRegressor

    predict: Mean = KNeighborsRegressor(1).fit(at, target).predict
    return predict


def _ridge(at: np.ndarray, target: np.ndarray) -> Mean:
    slopes, intercept = ridge(at, target)
    return lambda asked: asked @ slopes + intercept


BASELINES: dict[str, Callable[[np.ndarray, np.ndarray], Mean]] = {
    "mean": _mean,
    "nearest neighbour": _nearest,
    "ridge": _ridge,
}


def fit_baseline(name: str, model: Specification, rows: Rows) -> Predict:
    """Fit a baseline on the features that the model itself is given."""
    at, target = _features(model, rows.inputs), learnt_target(model, rows.target)
    fitted = _scaled(name, at, target)
    errors = []
    for train, test in grouped_folds(rows.batches, 5, model.seed):
        errors.append(target[test] - _scaled(name, at[train], target[train])(at[test]))
    deviation = float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))

    def predict(asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = fitted(_features(model, asked))
        if model.logarithmic:
            return np.exp(mean), np.exp(mean) * deviation
        return mean, np.full(len(asked), deviation)

    return predict


def _scaled(name: str, at: np.ndarray, target: np.ndarray) -> Mean:
    """Fit to features with mean 0 and standard deviation 1."""
    middle, wide = at.mean(axis=0), at.std(axis=0)
    wide = np.where(wide > 1e-12 * np.abs(middle), wide, 1.0)
    learnt = BASELINES[name]((at - middle) / wide, target)
    return lambda asked: learnt((asked - middle) / wide)


def _features(model: Specification, inputs: np.ndarray) -> np.ndarray:
    weights = weights_of(model, True)
    logarithms = np.log(np.where((weights != 0).any(axis=0), inputs, 1.0))
    made: np.ndarray = inputs @ weights_of(model, False).T + logarithms @ weights.T
    return made
