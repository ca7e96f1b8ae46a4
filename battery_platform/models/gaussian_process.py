"""Fitting the Gaussian process: electrodes differ by recipe, by batch, by coating run and by chance.

Each of the four has its own variance, so that the interval for an electrode of a future batch includes
the variation between batches. Replicates enter as the mean of their condition with their number, which is
the same likelihood at a fraction of the cost. Predictions come from `served.surrogate`, the same code
that other teams load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs
from scipy.optimize import minimize

from battery_platform.compute.spread import spread
from battery_platform.models.memo import Memo, question
from battery_platform.models.ridge import ridge
from battery_platform.models.rows import Rows
from battery_platform.models.served.surrogate import (
    Z90,
    State,
    features,
    posterior,
    squared_distances,
    trend,
)
from battery_platform.models.specification import Specification
from battery_platform.models.splits import grouped_folds
from battery_platform.models.states import finished, framed, kept_under, learnt_target

JITTER = 1e-8
BLOCK = 2048
MOST = 3000
"""Most conditions that a process is fitted to; of more, a random sample is used."""
INNER_SPLITS, INNER_SPLITS_OF_MANY = 10, 4
OPTIMISED_ON = 300
"""Most conditions used to learn lengths and variances; more hardly change them, at cubic cost."""
LENGTH_PRIOR_SD = 1.4
"""Width of the prior on the logarithm of each length: weak, it only bounds the lengths of idle inputs."""

_LEARNT = Memo()


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
    def of(cls, rows: Rows) -> Conditions:
        _, first, index, count = np.unique(
            rows.conditions, return_index=True, return_inverse=True, return_counts=True
        )
        mean = np.bincount(index, rows.target) / count
        spare = len(rows) - len(count)
        noise = float(((rows.target - mean[index]) ** 2).sum() / spare) if spare else 0.0
        return cls(rows.inputs[first], mean, count, rows.batches[first], noise)

    def some(self, count: int, seed: int) -> Conditions:
        """A random sample of `count` conditions."""
        at = _drawn(len(self.mean), count, seed)
        return replace(
            self,
            inputs=self.inputs[at],
            mean=self.mean[at],
            count=self.count[at],
            batch=self.batch[at],
        )


def _drawn(of: int, count: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).choice(of, count, replace=False))


def fit(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """Fit the process, then learn from held-out batches how to weight curve and line, and how wide the
    interval must be. Where the model has a trend, its residuals are learnt as well.
    """
    state, _ = learnt(model, replace(rows, target=learnt_target(model, rows.target)))
    if model.trend:
        state |= _beyond(model, state, rows)
    return finished(state, model, rows, about)


def taught_by(
    model: Specification, rows: Rows, fixed: np.ndarray | None = None
) -> tuple[State, np.ndarray]:
    """A process of which only the mean is needed, by `mean_of`; and its hyper-parameters."""
    return _fit(model, rows, None, fixed)


def mean_of(state: State, inputs: np.ndarray) -> np.ndarray:
    """Only the mean, at many places."""
    curve = np.empty(len(inputs))
    known = state["train"].astype(np.float32)
    for start in range(0, len(inputs), BLOCK):
        at = features(state, inputs[start : start + BLOCK]).astype(np.float32)
        squares = squared_distances(at, known, state["lengths"].astype(np.float32))
        near = np.exp(-0.5 * squares) @ state["weights"].astype(np.float32)
        curve[start : start + BLOCK] = near
    made: np.ndarray = state["y_center"] + state["y_scale"] * state["signal_variance"] * curve
    return made


def learnt(model: Specification, rows: Rows) -> tuple[State, np.ndarray]:
    """What `fit` learns, and its held-out prediction of each row: mean and standard deviation.

    If another algorithm needs the same fit, it is not repeated.
    """
    key = question(model, rows)
    known = _LEARNT.get(key)
    if known is None:
        known = _learnt(model, rows)
        _LEARNT.put(key, known)
    state, of_rows = known
    return dict(state), of_rows.copy()


def _learnt(model: Specification, rows: Rows) -> tuple[State, np.ndarray]:
    state, start = _fit(model, rows)
    fixed = start if len(np.unique(rows.conditions)) > OPTIMISED_ON else None
    held, line = np.empty((2, len(rows))), np.empty(len(rows))
    splits = INNER_SPLITS if fixed is None else INNER_SPLITS_OF_MANY
    folds = list(grouped_folds(rows.batches, splits, model.seed))
    tasks = [(model, rows.take(train), start, fixed, rows.inputs[test]) for train, test in folds]
    for (_, test), (curve, straight) in zip(folds, spread(_held_out, tasks), strict=True):
        held[:, test], line[test] = curve, straight
    step = line - held[0]
    share = np.clip((rows.target - held[0]) @ step / max(step @ step, 1e-12), 0.0, 1.0)
    held[0] += share * step
    state["line_share"] = np.float64(share)
    state["calibration"] = np.quantile(np.abs(rows.target - held[0]) / held[1], 0.9) / Z90
    held[1] *= state["calibration"]
    return state, held


def _held_out(
    model: Specification,
    rows: Rows,
    start: np.ndarray,
    fixed: np.ndarray | None,
    asked: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of held-out rows, and the mean by the straight line alone."""
    inner, _ = _fit(model, rows, start, fixed)
    curve = np.stack(posterior(inner, asked))
    return curve, posterior(inner | {"line_share": 1.0}, asked)[0]


def _beyond(model: Specification, state: State, rows: Rows) -> State:
    """A power law through the means of conditions, a process for its residuals, and the values seen."""
    chosen = np.array([feature.name in model.trend for feature in model.features])
    data = Conditions.of(rows)
    at = features(state, data.inputs)[:, chosen]
    slopes = np.zeros(len(chosen))
    slopes[chosen], center = ridge(at, np.log(data.mean))
    law: State = {"trend": slopes, "trend_center": np.float64(center)}
    left = rows.target - trend(state | law, rows.inputs)
    seen = [np.unique(column) for column in rows.inputs.T]
    padded = np.full((len(seen), max(map(len, seen))), np.nan)
    for column, values in enumerate(seen):
        padded[column, : len(values)] = values
    rest, _ = learnt(model, replace(rows, target=left))
    return law | {"seen_values": padded} | kept_under("beyond.", rest)


def _fit(
    model: Specification,
    rows: Rows,
    start: np.ndarray | None = None,
    fixed: np.ndarray | None = None,
) -> tuple[State, np.ndarray]:
    """The fitted state and its hyper-parameters; `fixed` ones are taken as given."""
    data = Conditions.of(rows)
    if len(data.mean) > MOST:
        data = data.some(MOST, model.seed)
    state = framed(model, data.inputs)
    train = features(state, data.inputs)
    y_center, y_scale = data.mean.mean(), data.mean.std() or 1.0
    likelihood = _Likelihood(train, (data.mean - y_center) / y_scale, data, y_scale)
    at = (
        _most_likely(likelihood, data, train, y_scale, start, model.seed)
        if fixed is None
        else fixed
    )
    weights, precision = likelihood.solved(at)
    d = train.shape[1]
    state |= {
        "kind": np.array("process"),
        "train": train,
        "lengths": np.exp(at[:d]),
        "signal_variance": np.exp(at[d]),
        "batch_variance": np.exp(at[d + 1]),
        "condition_variance": np.exp(at[d + 2]),
        "noise_variance": np.float64(likelihood.noise),
        "new_electrode_variance": np.exp(at[d + 1]) + np.exp(at[d + 2]) + likelihood.noise,
        "weights": weights,
        "precision": precision,
        "y_center": np.float64(y_center),
        "y_scale": np.float64(y_scale),
        "calibration": np.float64(1.0),
        "line": ridge(train, likelihood.y)[0],
        "line_share": np.float64(0.0),
    }
    return state, at


def _most_likely(
    likelihood: _Likelihood,
    data: Conditions,
    train: np.ndarray,
    y_scale: float,
    start: np.ndarray | None,
    seed: int,
) -> np.ndarray:
    """The most likely hyper-parameters; of many conditions, those of a random sample."""
    if len(train) > OPTIMISED_ON:
        some = _drawn(len(train), OPTIMISED_ON, seed)
        subset = data.some(OPTIMISED_ON, seed)
        likelihood = _Likelihood(train[some], likelihood.y[some], subset, y_scale)
    best: np.ndarray = minimize(
        likelihood,
        likelihood.start() if start is None else start,
        jac=True,
        method="L-BFGS-B",
        bounds=likelihood.bounds,
    ).x
    return best


class _Likelihood:
    """Negative log posterior of the hyper-parameters and its gradient.

    The parameters are logarithms: lengths, then the variances of signal, batch and condition. Matrices
    are symmetric: everything is computed once per pair of rows, and large arrays are reused.
    """

    def __init__(self, train: np.ndarray, y: np.ndarray, data: Conditions, y_scale: float) -> None:
        self.y = y
        self.n, self.d = train.shape
        left, right = np.tril_indices(self.n, -1)
        self.left, self.right = left, right
        self.pairs = right * self.n + left  # places in a matrix stored by columns
        self.squares = np.stack([(column[left] - column[right]) ** 2 for column in train.T])
        self.same_batch = (data.batch[left] == data.batch[right]).astype(float)
        self.noise = data.noise_variance / y_scale**2
        self.diagonal = self.noise / data.count + JITTER
        self.bounds = [(-2.0, 4.0)] * self.d + [(-6.0, 6.0), (-12.0, 2.0), (-12.0, 2.0)]

    def start(self) -> np.ndarray:
        return np.array([np.log(2.0)] * self.d + [0.0, -4.0, -4.0])

    def _signal(self, at: np.ndarray) -> np.ndarray:
        """Covariance of each pair, without the effect of a shared batch."""
        covariance: np.ndarray = (-0.5 * np.exp(-2.0 * at[: self.d])) @ self.squares
        covariance += at[self.d]
        np.exp(covariance, out=covariance)
        return covariance

    def _factor(self, at: np.ndarray, signal: np.ndarray) -> tuple[np.ndarray, int]:
        """The Cholesky factor of the matrix, and a status that is not 0 if there is none."""
        matrix = np.zeros(self.n * self.n)
        matrix[self.pairs] = signal + np.exp(at[self.d + 1]) * self.same_batch
        matrix[:: self.n + 1] = np.exp(at[self.d : self.d + 3]).sum() + self.diagonal
        factor, failed = dpotrf(matrix.reshape(self.n, self.n, order="F"), lower=1, overwrite_a=1)
        return factor, int(failed)

    def solved(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the rows, and the inverse of the matrix."""
        factor, failed = self._factor(at, self._signal(at))
        if failed:
            raise np.linalg.LinAlgError("the covariance of the rows is not positive definite")
        weights = dpotrs(factor, self.y, lower=1)[0]
        lower = np.tril(dpotri(factor, lower=1, overwrite_c=1)[0])
        return weights, lower + np.tril(lower, -1).T

    def __call__(self, at: np.ndarray) -> tuple[float, np.ndarray]:
        signal = self._signal(at)
        factor, failed = self._factor(at, signal)
        if failed:
            return 1e10, np.zeros_like(at)
        alpha = dpotrs(factor, self.y, lower=1)[0]
        off = (at[: self.d] - np.log(2.0)) / LENGTH_PRIOR_SD
        value = 0.5 * self.y @ alpha + np.log(np.diag(factor)).sum() + 0.5 * (off @ off)
        inverse = dpotri(factor, lower=1, overwrite_c=1)[0]
        # Each pair stands for two places of the matrix; halved by the likelihood they count once.
        pull = inverse.ravel(order="K")[self.pairs] - alpha[self.left] * alpha[self.right]
        on_diagonal = float(np.trace(inverse) - alpha @ alpha)
        of_batches = float(pull @ self.same_batch)
        pull *= signal
        variances = np.exp(at[self.d : self.d + 3])
        gradient = np.concatenate(
            [
                np.exp(-2.0 * at[: self.d]) * (self.squares @ pull) + off / LENGTH_PRIOR_SD,
                [
                    pull.sum() + 0.5 * variances[0] * on_diagonal,
                    variances[1] * (of_batches + 0.5 * on_diagonal),
                    0.5 * variances[2] * on_diagonal,
                ],
            ]
        )
        return float(value), gradient


def parts_of_variance(state: State) -> Sequence[tuple[str, float]]:
    """Standard deviation between batches, between coating runs and within a run, in the target's unit."""
    return [
        (name, float(np.sqrt(state[key]) * state["y_scale"]))
        for name, key in (
            ("between batches", "batch_variance"),
            ("between coating runs of a batch", "condition_variance"),
            ("between electrodes of a run", "noise_variance"),
        )
    ]
