"""Fitting the Gaussian process: electrodes differ by recipe, by batch, by coating run and by chance.

Each of the four has its own variance, so that the interval for an electrode of a batch nobody has
made yet holds what batches are known to differ by. Replicates enter as the mean of their condition
with their number, which is the same likelihood at a fraction of the cost. Predictions come from
`served.surrogate`, the very code that other teams load.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from sklearn.linear_model import RidgeCV

from battery_platform.models.specification import Specification
from battery_platform.models.splits import grouped_folds

State = dict[str, Any]
JITTER = 1e-8
INNER_SPLITS = 10
OPTIMISED_ON = 300
"""Conditions from which lengths and variances are learnt; more hardly change them, at a cube's cost."""
LENGTH_PRIOR_SD = 1.4
"""Width of the prior on the logarithm of each length: weak, it only keeps idle inputs bounded."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """Means of replicates: one row per batch and recipe."""

    inputs: np.ndarray
    mean: np.ndarray
    count: np.ndarray
    batch: np.ndarray
    noise_variance: float
    """Variance of one replicate within its condition, pooled."""

    @classmethod
    def of(
        cls, inputs: np.ndarray, target: np.ndarray, batches: np.ndarray, conditions: np.ndarray
    ) -> Conditions:
        _, first, index, count = np.unique(
            conditions, return_index=True, return_inverse=True, return_counts=True
        )
        mean = np.bincount(index, target) / count
        spare = len(target) - len(count)
        noise = float(((target - mean[index]) ** 2).sum() / spare) if spare else 0.0
        return cls(inputs[first], mean, count, batches[first], noise)


def fit(
    model: Specification,
    inputs: np.ndarray,
    target: np.ndarray,
    batches: np.ndarray,
    conditions: np.ndarray,
    about: dict[str, Any] | None = None,
) -> State:
    """Fit; then learn from batches held out in turn how far to trust curve and line, and how wide
    the interval must be.
    """
    from battery_platform.models.served.surrogate import Z90, posterior

    target = _scaled(model, target)
    state, start = _fit(model, inputs, target, batches, conditions)
    fixed = start if len(np.unique(conditions)) > OPTIMISED_ON else None
    errors, steps, deviations = [], [], []
    for train, test in grouped_folds(batches, INNER_SPLITS, model.seed):
        inner, _ = _fit(
            model, inputs[train], target[train], batches[train], conditions[train], start, fixed
        )
        curve, deviation = posterior(inner, inputs[test])
        line, _ = posterior(inner | {"line_share": 1.0}, inputs[test])
        errors.append(target[test] - curve)
        steps.append(line - curve)
        deviations.append(deviation)
    error, step = np.concatenate(errors), np.concatenate(steps)
    share = float(np.clip(error @ step / max(step @ step, 1e-12), 0.0, 1.0))
    ratios = np.abs(error - share * step) / np.concatenate(deviations)
    state["line_share"] = np.float64(share)
    state["calibration"] = np.float64(np.quantile(ratios, 0.9) / Z90)
    state["domain_distance"] = np.float64(_domain_distance(state, batches, conditions))
    state["logarithmic_target"] = np.bool_(model.logarithmic)
    state["bounds"] = np.array(model.bounds)
    state["about"] = np.array(
        json.dumps(
            {
                "inputs": list(model.inputs),
                "outputs": model.outputs,
                "class_outputs": list(model.class_outputs.items()),
                "synthetic": False,
                **(about or {}),
            },
            sort_keys=True,
        )
    )
    return state


def together(states: Sequence[State]) -> State:
    """The parts of one registered model in one state; those after the first have a number before."""
    return dict(states[0]) | {
        f"{number}.{name}": value
        for number, state in enumerate(states[1:], start=1)
        for name, value in state.items()
    }


def _scaled(model: Specification, target: np.ndarray) -> np.ndarray:
    """The target as it is learnt."""
    return np.log(target) if model.logarithmic else target


def weights_of(model: Specification, logarithmic: bool) -> np.ndarray:
    """How much of each input (or of its logarithm) is in each feature."""
    made = np.zeros((len(model.features), len(model.inputs)))
    for row, feature in enumerate(model.features):
        if feature.logarithmic == logarithmic:
            for name, factor in feature.terms:
                made[row, model.inputs.index(name)] = factor
    return made


def _fit(
    model: Specification,
    inputs: np.ndarray,
    target: np.ndarray,
    batches: np.ndarray,
    conditions: np.ndarray,
    start: np.ndarray | None = None,
    fixed: np.ndarray | None = None,
) -> tuple[State, np.ndarray]:
    """Fitted, and its hyper-parameters; those that are `fixed` are taken as they are."""
    from battery_platform.models.served.surrogate import features

    data = Conditions.of(inputs, target, batches, conditions)
    state: State = {
        "linear": weights_of(model, False),
        "logarithmic": weights_of(model, True),
        "center": np.zeros(len(model.features)),
        "scale": np.ones(len(model.features)),
        "input_low": inputs.min(axis=0),
        "input_high": inputs.max(axis=0),
    }
    raw = features(state, data.inputs)
    state["center"] = raw.mean(axis=0)
    state["scale"] = np.where(raw.std(axis=0) > 0, raw.std(axis=0), 1.0)
    train = features(state, data.inputs)
    y_center, y_scale = data.mean.mean(), data.mean.std() or 1.0
    likelihood = _Likelihood(train, (data.mean - y_center) / y_scale, data, y_scale)
    at = _learnt(likelihood, data, train, y_scale, start, model.seed) if fixed is None else fixed
    kernel = likelihood.matrix(at)
    factor = cho_factor(kernel, lower=True)
    d = train.shape[1]
    state |= {
        "train": train,
        "lengths": np.exp(at[:d]),
        "signal_variance": np.exp(at[d]),
        "batch_variance": np.exp(at[d + 1]),
        "condition_variance": np.exp(at[d + 2]),
        "noise_variance": np.float64(likelihood.noise),
        "new_electrode_variance": np.exp(at[d + 1]) + np.exp(at[d + 2]) + likelihood.noise,
        "weights": cho_solve(factor, likelihood.y),
        "precision": cho_solve(factor, np.eye(len(train))),
        "y_center": np.float64(y_center),
        "y_scale": np.float64(y_scale),
        "calibration": np.float64(1.0),
        "line": RidgeCV(np.logspace(-4, 3, 15)).fit(train, likelihood.y).coef_,
        "line_share": np.float64(0.0),
    }
    return state, at


def _learnt(
    likelihood: _Likelihood,
    data: Conditions,
    train: np.ndarray,
    y_scale: float,
    start: np.ndarray | None,
    seed: int,
) -> np.ndarray:
    """The most likely hyper-parameters, of many conditions those of a random part."""
    if len(train) > OPTIMISED_ON:
        some = np.sort(np.random.default_rng(seed).choice(len(train), OPTIMISED_ON, replace=False))
        part = Conditions(
            data.inputs[some],
            data.mean[some],
            data.count[some],
            data.batch[some],
            data.noise_variance,
        )
        likelihood = _Likelihood(train[some], likelihood.y[some], part, y_scale)
    found: np.ndarray = minimize(
        likelihood,
        likelihood.start() if start is None else start,
        jac=True,
        method="L-BFGS-B",
        bounds=likelihood.bounds,
    ).x
    return found


class _Likelihood:
    """Negative log posterior of the hyper-parameters and its gradient.

    The parameters are logarithms: lengths, then the variances of signal, batch and condition.
    """

    def __init__(self, train: np.ndarray, y: np.ndarray, data: Conditions, y_scale: float) -> None:
        self.y = y
        self.d = train.shape[1]
        self.squares = (train[:, None, :] - train[None, :, :]) ** 2
        self.same_batch = (data.batch[:, None] == data.batch[None, :]).astype(float)
        self.noise = data.noise_variance / y_scale**2
        self.diagonal = self.noise / data.count + JITTER
        self.bounds = [(-2.0, 4.0)] * self.d + [(-6.0, 6.0), (-12.0, 2.0), (-12.0, 2.0)]

    def start(self) -> np.ndarray:
        return np.array([np.log(2.0)] * self.d + [0.0, -4.0, -4.0])

    def _signal(self, at: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.exp(at[self.d] - 0.5 * self.squares @ np.exp(-2.0 * at[: self.d]))
        return found

    def matrix(self, at: np.ndarray) -> np.ndarray:
        own = np.exp(at[self.d + 2]) + self.diagonal
        made: np.ndarray = self._signal(at) + np.exp(at[self.d + 1]) * self.same_batch
        return made + np.diag(own)

    def __call__(self, at: np.ndarray) -> tuple[float, np.ndarray]:
        signal = self._signal(at)
        try:
            factor = cho_factor(self.matrix(at), lower=True)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(at)
        inverse = cho_solve(factor, np.eye(len(self.y)))
        alpha = inverse @ self.y
        off = (at[: self.d] - np.log(2.0)) / LENGTH_PRIOR_SD
        value = 0.5 * self.y @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * (off @ off)
        pull = inverse - np.outer(alpha, alpha)
        by_length = np.einsum("ij,ijk->k", pull * signal, self.squares) * np.exp(
            -2.0 * at[: self.d]
        )
        gradient = np.concatenate(
            [
                0.5 * by_length + off / LENGTH_PRIOR_SD,
                [
                    0.5 * (pull * signal).sum(),
                    0.5 * np.exp(at[self.d + 1]) * (pull * self.same_batch).sum(),
                    0.5 * np.exp(at[self.d + 2]) * np.trace(pull),
                ],
            ]
        )
        return float(value), gradient


def _domain_distance(state: State, batches: np.ndarray, conditions: np.ndarray) -> float:
    """How far a batch usually lies from the nearest other one: 95 of 100 conditions are nearer."""
    from battery_platform.models.served.surrogate import squared_distances

    _, first = np.unique(conditions, return_index=True)
    batch = batches[first]
    train = state["train"]
    between = squared_distances(train, train, np.ones(train.shape[1]))
    between[batch[:, None] == batch[None, :]] = np.inf
    return float(np.quantile(np.sqrt(between.min(axis=1)), 0.95))


def parts_of_variance(state: State) -> Sequence[tuple[str, float]]:
    """Standard deviation between batches, between coating runs and within one, in the target's unit."""
    return [
        (name, float(np.sqrt(state[key]) * state["y_scale"]))
        for name, key in (
            ("between batches", "batch_variance"),
            ("between coating runs of a batch", "condition_variance"),
            ("between electrodes of a run", "noise_variance"),
        )
    ]
