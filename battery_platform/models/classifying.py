"""What tells classes: support vectors, and a mixture of a process, a line and a logistic curve.

Rows of one condition and class enter once, with their number as weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from battery_platform.models.gaussian_process import learnt
from battery_platform.models.networks import straight_line
from battery_platform.models.rows import Rows
from battery_platform.models.served.surrogate import (
    State,
    chances,
    classes,
    features,
    sharpened,
    support_scores,
)
from battery_platform.models.specification import Specification
from battery_platform.models.splits import grouped_folds
from battery_platform.models.states import finished, framed, kept_under

INNER_SPLITS = 5
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
SHARPNESSES = tuple(np.linspace(1.0, 1.6, 13).tolist())
"""A mean of honest probabilities is not too sure, if anything too unsure."""
SUPPORT_STRENGTH, SUPPORT_GAMMA = 10.0, 0.2
NEVER = -12.0
"""Score of a class that no row has."""


@dataclass(frozen=True, eq=False)
class Cases:
    """Each condition with each class that came of it."""

    inputs: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    batches: np.ndarray
    of_row: np.ndarray
    """Which case each row is."""

    @classmethod
    def of(cls, model: Specification, rows: Rows) -> Cases:
        labels = np.digitize(rows.target, model.bounds)
        _, first, index, count = np.unique(
            rows.conditions * len(model.classes) + labels,
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        weights = count.astype(float)
        return cls(rows.inputs[first], labels[first], weights, rows.batches[first], index)


def _logistic(model: Specification, rows: Rows) -> tuple[State, np.ndarray]:
    """As strongly bent as helped most on batches held out inside these rows; and what it said of each
    row while its batch was held out.
    """
    state, cases = framed(model, rows.inputs), Cases.of(model, rows)
    at = features(state, cases.inputs)
    pairs = np.array(list(combinations_with_replacement(range(at.shape[1]), 2)))
    at = np.hstack([at, at[:, pairs[:, 0]] * at[:, pairs[:, 1]]])
    state |= {"kind": np.array("logistic"), "pairs": pairs}
    told = np.zeros((len(STRENGTHS), len(at), len(model.classes)))
    for some, rest in grouped_folds(cases.batches, INNER_SPLITS, model.seed):
        for number, strength in enumerate(STRENGTHS):
            curve = _curve(model, cases, at, some, strength)
            told[number, rest] = chances(state | curve, cases.inputs[rest])
    best = int(np.argmin([_lost(cases.weights, one, cases.labels) for one in told]))
    state |= _curve(model, cases, at, np.arange(len(at)), STRENGTHS[best])
    return state, told[best][cases.of_row]


def _lost(weights: np.ndarray, told: np.ndarray, labels: np.ndarray) -> float:
    sure = np.clip(told[np.arange(len(labels)), labels], 1e-4, 1.0)
    return float(-weights @ np.log(sure))


def fit_support(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """Support vectors, one class against the rest; their scores become probabilities by a logistic
    curve, learnt from batches that the vectors did not see.
    """
    state, cases = framed(model, rows.inputs), Cases.of(model, rows)
    at = features(state, cases.inputs)
    scores = np.zeros((len(at), len(model.classes)))
    for some, rest in grouped_folds(cases.batches, INNER_SPLITS, model.seed):
        scores[rest] = support_scores(_vectors(model, cases, at, some), at[rest])
    state |= {"kind": np.array("support vectors")}
    state |= _vectors(model, cases, at, np.arange(len(at)))
    state |= _curve(model, cases, scores, np.arange(len(at)), 1.0)
    return finished(state, model, rows, about)


def fit_mixture(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """The mean of what a Gaussian process and a straight line, cut at the bounds, and a logistic curve
    say, made as sure as it was right about batches that were held out.
    """
    bounds = np.array(model.bounds)
    process, of_process = learnt(model, rows)
    line, of_line = straight_line(model, rows)
    logistic, of_logistic = _logistic(model, rows)
    cut = [classes(mean, deviation, bounds) for mean, deviation in (of_process, of_line)]
    told = (cut[0] + cut[1] + of_logistic) / 3
    labels, ones = np.digitize(rows.target, model.bounds), np.ones(len(rows))
    sharpness = min(SHARPNESSES, key=lambda one: _lost(ones, sharpened(told, one), labels))
    state = framed(model, rows.inputs)
    state |= {"kind": np.array("mixture"), "sharpness": np.float64(sharpness)}
    for number, one in enumerate((process, line, logistic)):
        state |= kept_under(f"member_{number}.", one | {"bounds": bounds})
    return finished(state, model, rows, about)


def _curve(
    model: Specification, cases: Cases, at: np.ndarray, some: np.ndarray, strength: float
) -> State:
    labels = cases.labels[some]
    slopes = np.zeros((at.shape[1], len(model.classes)))
    bias = np.full(len(model.classes), NEVER)
    there = np.unique(labels)
    if len(there) == 1:
        bias[there] = 0.0
        return {"class_weights": slopes, "class_bias": bias}
    found = LogisticRegression(C=strength, max_iter=2000)
    found.fit(at[some], labels, cases.weights[some])
    two = len(there) == 2
    slopes[:, there] = np.vstack([-found.coef_, found.coef_]).T / 2 if two else found.coef_.T
    bias[there] = np.array([-0.5, 0.5]) * found.intercept_ if two else found.intercept_
    return {"class_weights": slopes, "class_bias": bias}


def _vectors(model: Specification, cases: Cases, at: np.ndarray, some: np.ndarray) -> State:
    dual = np.zeros((len(model.classes), len(some)))
    intercept = np.full(len(model.classes), -1.0)
    for label in range(len(model.classes)):
        own = (cases.labels[some] == label).astype(int)
        if own.all() or not own.any():
            intercept[label] = 1.0 if own.all() else -1.0
            continue
        found = SVC(C=SUPPORT_STRENGTH, gamma=SUPPORT_GAMMA)
        found.fit(at[some], own, cases.weights[some])
        dual[label, found.support_] = found.dual_coef_[0]
        intercept[label] = found.intercept_[0]
    return {
        "vectors": at[some],
        "dual": dual,
        "intercept": intercept,
        "gamma": np.float64(SUPPORT_GAMMA),
    }
