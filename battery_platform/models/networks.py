"""Networks: small ones, the wide one of paper 002, and the elastic net, which is one without hidden layers.

Errors are learnt from members that never saw the rows: whole groups are held out. The answer is
that of one network fitted to all rows, so that it is as fast as a network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import numpy as np
from sklearn.linear_model import ElasticNetCV, RidgeCV

from battery_platform.models.gaussian_process import mean_of, taught_by
from battery_platform.models.rows import Rows
from battery_platform.models.served.surrogate import State, answer, features, point
from battery_platform.models.specification import Specification
from battery_platform.models.splits import grouped_folds
from battery_platform.models.states import errors_learnt, finished, framed, learnt_target

INNER_SPLITS = 8
FEW, ENOUGH = 300, 3
"""Of more rows than a few, so many parts held out tell enough of the errors."""
BATCH = 64
STEPS, RATE = 10_000, 1.2e-2
HIDDEN = (64, 64)
WIDE, WIDE_STEPS, WIDE_RATE, DROPPED = (1024, 1024), 1_500, 1e-3, 0.5
LESSONS = 20_000
Layers = list[tuple[np.ndarray, np.ndarray]]
Train = Callable[[Rows, np.ndarray, np.ndarray], Layers]
"""From rows, their standardised features and their standardised target."""


def fit_small(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """Two hidden layers of 64 rectifiers."""
    return _fit(model, rows, about, lambda some, at, y: _trained(at, y, HIDDEN, model.seed))


def fit_taught(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """The same, taught by a Gaussian process: it learns what that says between any two rows.

    The process knows more from few rows, the network answers millions.
    """

    def train(some: Rows, at: np.ndarray, y: np.ndarray) -> Layers:
        teacher = taught_by(model, replace(some, target=y))
        random = np.random.default_rng(model.seed)
        left, right = random.integers(len(some), size=(2, LESSONS))
        share = 0.5 * random.random((LESSONS, 1))
        inputs = (1.0 - share) * some.inputs[left] + share * some.inputs[right]
        return _trained(features(teacher, inputs), mean_of(teacher, inputs), HIDDEN, model.seed)

    return _fit(model, rows, about, train)


def fit_wide(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """The network of paper 002: 2 x 1,024 sigmoids, half of the first layer dropped while learning."""
    return _fit(
        model,
        rows,
        about,
        lambda some, at, y: _trained(
            at, y, WIDE, model.seed, sigmoid=True, dropped=DROPPED, rate=WIDE_RATE, steps=WIDE_STEPS
        ),
        "sigmoid",
    )


def fit_elastic_net(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """A straight line whose slopes are kept small and few."""

    def line(some: Rows, at: np.ndarray, y: np.ndarray) -> Layers:
        found = ElasticNetCV(l1_ratio=[0.1, 0.5, 0.9, 1.0], alphas=30, cv=5, random_state=0)
        found.fit(at, y)
        return [(found.coef_[:, None], np.array([found.intercept_]))]

    return _fit(model, rows, about, line)


def straight_line(model: Specification, rows: Rows) -> tuple[State, np.ndarray]:
    """A ridge; and what it said of each row while its batch was held out: mean and deviation."""

    def line(some: Rows, at: np.ndarray, y: np.ndarray) -> Layers:
        found = RidgeCV(np.logspace(-4, 3, 15)).fit(at, y)
        return [(found.coef_[:, None], np.array([found.intercept_]))]

    state, errors = _learnt(model, rows, line, "rectifier")
    deviation = answer(state | {"logarithmic_target": False}, rows.inputs)[1]
    return state, np.stack([learnt_target(model, rows.target) - errors, deviation])


def _fit(
    model: Specification,
    rows: Rows,
    about: dict[str, Any] | None,
    train: Train,
    activation: str = "rectifier",
) -> State:
    return finished(_learnt(model, rows, train, activation)[0], model, rows, about)


def _learnt(
    model: Specification,
    rows: Rows,
    train: Train,
    activation: str,
) -> tuple[State, np.ndarray]:
    """The fitted network, and the error about rows while their batch was held out."""
    target = learnt_target(model, rows.target)
    state = framed(model, rows.inputs)
    at = features(state, rows.inputs)
    state |= {
        "kind": np.array("network"),
        "activation": np.array(activation),
        "y_center": np.float64(target.mean()),
        "y_scale": np.float64(target.std() or 1.0),
    }
    y = (target - state["y_center"]) / state["y_scale"]
    errors = np.full(len(rows), np.nan)
    folds = grouped_folds(rows.batches, INNER_SPLITS, model.seed)
    for some, rest in islice(folds, ENOUGH if len(rows) > FEW else None):
        member = state | _saved(train(rows.take(some), at[some], y[some]))
        errors[rest] = target[rest] - point(member, rows.inputs[rest])
    seen = np.isfinite(errors)
    learnt = errors_learnt(at[seen], errors[seen])
    return state | _saved(train(rows, at, y)) | learnt, errors


def _saved(layers: Layers) -> State:
    state: State = {"layers": np.int64(len(layers))}
    for number, (weights, bias) in enumerate(layers):
        state[f"weights_{number}"] = weights.astype(np.float32)
        state[f"bias_{number}"] = bias.astype(np.float32)
    return state


def _trained(
    at: np.ndarray,
    y: np.ndarray,
    hidden: tuple[int, ...],
    seed: int,
    sigmoid: bool = False,
    dropped: float = 0.0,
    rate: float = RATE,
    steps: int = STEPS,
) -> Layers:
    """Adam on squared errors of random batches, its rate falling along a cosine to nothing."""
    random = np.random.default_rng(seed)
    x, y = at.astype(np.float32), y.astype(np.float32)[:, None]
    sizes = (x.shape[1], *hidden, 1)
    gain = 1.0 if sigmoid else 2.0
    flat: list[np.ndarray] = []
    for before, after in pairwise(sizes):
        spread = np.sqrt(gain / before)
        flat.append(random.normal(0.0, spread, (before, after)).astype(np.float32))
        flat.append(np.zeros(after, np.float32))
    means, squares = ([np.zeros_like(one) for one in flat] for _ in range(2))
    batch = min(BATCH, len(x))
    for step in range(1, steps + 1):
        some = random.integers(len(x), size=batch)
        slopes = _slopes(flat, x[some], y[some], sigmoid, dropped, random)
        now = rate * 0.5 * (1.0 + np.cos(np.pi * step / steps))
        factor = np.float32(now * np.sqrt(1.0 - 0.999**step) / (1.0 - 0.9**step))
        for number, slope in enumerate(slopes):
            means[number] += 0.1 * (slope - means[number])
            squares[number] += 0.001 * (slope * slope - squares[number])
            flat[number] -= factor * means[number] / (np.sqrt(squares[number]) + 1e-7)
    return list(zip(flat[::2], flat[1::2], strict=True))


def _slopes(
    flat: list[np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    sigmoid: bool,
    dropped: float,
    random: np.random.Generator,
) -> list[np.ndarray]:
    """Slope of the mean squared error along each weight and bias: backwards through the layers."""
    seen = [x]
    mask = np.float32(1.0)
    last = len(flat) // 2 - 1
    for layer in range(last + 1):
        at = seen[-1] @ flat[2 * layer] + flat[2 * layer + 1]
        if layer < last:
            at = 1.0 / (1.0 + np.exp(-at)) if sigmoid else np.maximum(at, 0.0)
            if layer == 0 and dropped:
                kept = random.random(at.shape[1], dtype=np.float32) >= dropped
                mask = kept.astype(np.float32) / np.float32(1.0 - dropped)
                at = at * mask
        seen.append(at)
    pull = 2.0 * (seen[-1] - y) / len(x)
    slopes: list[np.ndarray] = [np.empty(0)] * len(flat)
    for layer in range(last, -1, -1):
        slopes[2 * layer] = seen[layer].T @ pull
        slopes[2 * layer + 1] = pull.sum(axis=0)
        if layer:
            pull = pull @ flat[2 * layer].T
            own = seen[layer]
            if not sigmoid:
                pull = pull * (own > 0)
            elif layer == 1 and dropped:
                raw = np.where(mask > 0, own / np.maximum(mask, 1e-9), 0.0)
                pull = pull * mask * raw * (1.0 - raw)
            else:
                pull = pull * own * (1.0 - own)
    return slopes
