"""Networks: small ones, the wide one of paper 002, and the elastic net, a network without hidden layers.

Errors are learnt from networks that never saw the rows: whole groups are held out. Predictions come from
a single network fitted to all rows, so that they are as fast as one network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from battery_platform.compute.spread import spread
from battery_platform.models.descent import Course, Layers, trained
from battery_platform.models.gaussian_process import mean_of, taught_by
from battery_platform.models.ridge import ridge
from battery_platform.models.rows import Rows
from battery_platform.models.served.surrogate import State, answer, features, point
from battery_platform.models.specification import Specification
from battery_platform.models.splits import grouped_folds
from battery_platform.models.states import errors_learnt, finished, framed, learnt_target

INNER_SPLITS = 8
FEW, ENOUGH = 300, 3
"""Of more than `FEW` rows, this many held-out folds are enough to learn the errors."""
SMALL = Course(hidden=(64, 64), steps=10_000, rate=1.2e-2)
WIDE = Course(hidden=(1024, 1024), steps=1_500, rate=1e-3, sigmoid=True, dropped=0.5)
LESSONS = 20_000
Train = Callable[[Specification, Rows, np.ndarray, np.ndarray, Any], Layers]
"""Trains from rows, their standardised features and target, and anything computed beforehand."""


def fit_small(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """Two hidden layers of 64 rectifiers."""
    return _fit(model, rows, about, _small)


def fit_taught(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """The same, taught by a Gaussian process: it learns the process's predictions between any two rows.

    The process learns more from few rows; the network predicts millions. The lengths and variances of the
    process are always those of all rows, even where some are held out.
    """
    _, y = _standardised(model, rows)
    _, hyper_parameters = taught_by(model, replace(rows, target=y))
    return _fit(model, rows, about, _taught, beforehand=hyper_parameters)


def fit_wide(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """The network of paper 002: 2 x 1,024 sigmoids, half of the first layer dropped while learning."""
    return _fit(model, rows, about, _wide, "sigmoid")


def fit_elastic_net(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """A straight line whose slopes are kept small and few."""
    return _fit(model, rows, about, _sparse_line)


def straight_line(model: Specification, rows: Rows) -> tuple[State, np.ndarray]:
    """A ridge, and its held-out prediction of each row: mean and standard deviation."""
    state, errors = _learnt(model, rows, _line, "rectifier")
    deviation = answer(state | {"logarithmic_target": False}, rows.inputs)[1]
    return state, np.stack([learnt_target(model, rows.target) - errors, deviation])


def _small(
    model: Specification, rows: Rows, at: np.ndarray, y: np.ndarray, beforehand: None
) -> Layers:
    return trained(at, y, SMALL, model.seed)


def _wide(
    model: Specification, rows: Rows, at: np.ndarray, y: np.ndarray, beforehand: None
) -> Layers:
    return trained(at, y, WIDE, model.seed)


def _taught(
    model: Specification, rows: Rows, at: np.ndarray, y: np.ndarray, beforehand: np.ndarray
) -> Layers:
    teacher, _ = taught_by(model, replace(rows, target=y), beforehand)
    random = np.random.default_rng(model.seed)
    left, right = random.integers(len(rows), size=(2, LESSONS))
    share = 0.5 * random.random((LESSONS, 1))
    inputs = (1.0 - share) * rows.inputs[left] + share * rows.inputs[right]
    return trained(features(teacher, inputs), mean_of(teacher, inputs), SMALL, model.seed)


def _sparse_line(
    model: Specification, rows: Rows, at: np.ndarray, y: np.ndarray, beforehand: None
) -> Layers:
    from sklearn.linear_model import ElasticNetCV

    line = ElasticNetCV(l1_ratio=[0.1, 0.5, 0.9, 1.0], alphas=30, cv=5, random_state=0)
    line.fit(at, y)
    return [(line.coef_[:, None], np.array([line.intercept_]))]


def _line(
    model: Specification, rows: Rows, at: np.ndarray, y: np.ndarray, beforehand: None
) -> Layers:
    slopes, intercept = ridge(at, y)
    return [(slopes[:, None], np.array([intercept]))]


def _fit(
    model: Specification,
    rows: Rows,
    about: dict[str, Any] | None,
    train: Train,
    activation: str = "rectifier",
    beforehand: Any = None,
) -> State:
    learnt, _ = _learnt(model, rows, train, activation, beforehand)
    return finished(learnt, model, rows, about)


def _standardised(model: Specification, rows: Rows) -> tuple[State, np.ndarray]:
    """Centre and scale of the target as it is learnt, and the standardised target."""
    target = learnt_target(model, rows.target)
    center, scale = np.float64(target.mean()), np.float64(target.std() or 1.0)
    return {"y_center": center, "y_scale": scale}, (target - center) / scale


def _learnt(
    model: Specification,
    rows: Rows,
    train: Train,
    activation: str,
    beforehand: Any = None,
) -> tuple[State, np.ndarray]:
    """The fitted network, and the error of each row while its batch was held out."""
    target = learnt_target(model, rows.target)
    state = framed(model, rows.inputs)
    at = features(state, rows.inputs)
    scaling, y = _standardised(model, rows)
    state |= {"kind": np.array("network"), "activation": np.array(activation), **scaling}
    errors = np.full(len(rows), np.nan)
    folds = list(
        islice(
            grouped_folds(rows.batches, INNER_SPLITS, model.seed),
            ENOUGH if len(rows) > FEW else None,
        )
    )
    subsets = [some for some, _ in folds] + [np.arange(len(rows))]
    *members, whole = spread(
        train, [(model, rows.take(some), at[some], y[some], beforehand) for some in subsets]
    )
    for layers, (_, rest) in zip(members, folds, strict=True):
        errors[rest] = target[rest] - point(state | _saved(layers), rows.inputs[rest])
    seen = np.isfinite(errors)
    return state | _saved(whole) | errors_learnt(at[seen], errors[seen]), errors


def _saved(layers: Layers) -> State:
    state: State = {"layers": np.int64(len(layers))}
    for number, (weights, bias) in enumerate(layers):
        state[f"weights_{number}"] = weights.astype(np.float32)
        state[f"bias_{number}"] = bias.astype(np.float32)
    return state
