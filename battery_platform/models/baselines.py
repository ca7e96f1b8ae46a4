"""The simplest predictors, which every model is compared with under the same splits.

Each is as wide as its own errors on batches held out inside the training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from battery_platform.models.rows import Rows
from battery_platform.models.specification import Specification
from battery_platform.models.splits import grouped_folds
from battery_platform.models.states import learnt_target, weights_of

Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
BASELINES: dict[str, Callable[[], Any]] = {
    "mean": DummyRegressor,
    "nearest neighbour": lambda: make_pipeline(StandardScaler(), KNeighborsRegressor(1)),
    "ridge": lambda: make_pipeline(StandardScaler(), RidgeCV(np.logspace(-4, 3, 15))),
}


def fit_baseline(name: str, model: Specification, rows: Rows) -> Predict:
    """Fit a baseline on the features that the model itself is given."""
    at, target = _features(model, rows.inputs), learnt_target(model, rows.target)
    fitted = BASELINES[name]().fit(at, target)
    errors = []
    for train, test in grouped_folds(rows.batches, 5, model.seed):
        inner = BASELINES[name]().fit(at[train], target[train])
        errors.append(target[test] - inner.predict(at[test]))
    deviation = float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))

    def predict(asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = fitted.predict(_features(model, asked))
        if model.logarithmic:
            return np.exp(mean), np.exp(mean) * deviation
        return mean, np.full(len(asked), deviation)

    return predict


def _features(model: Specification, inputs: np.ndarray) -> np.ndarray:
    weights = weights_of(model, True)
    logarithms = np.log(np.where((weights != 0).any(axis=0), inputs, 1.0))
    made: np.ndarray = inputs @ weights_of(model, False).T + logarithms @ weights.T
    return made
