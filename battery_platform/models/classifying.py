"""Classifiers: support vectors, and a mixture of a Gaussian process, a line and a logistic curve.

Rows of the same condition and class enter once, weighted by their number.
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
"""Never below 1: the mean of calibrated probabilities is, if anything, underconfident."""
SUPPORT_STRENGTH, SUPPORT_GAMMA = 10.0, 0.2
NEVER = -12.0
"""Score of a class that no row has."""


@dataclass(frozen=True, eq=False)
class Cases:
    """Each condition with each class that was observed for it."""

    inputs: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    batches: np.ndarray
    of_row: np.ndarray
    """The case that each row belongs to."""

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
    """A logistic curve, regularised as was best on batches held out within these rows; and its
    prediction of each row while the row's batch was held out.
    """
    state, cases = framed(model, rows.inputs), Cases.of(model, rows)
    at = features(state, cases.inputs)
    pairs = np.array(list(combinations_with_replacement(range(at.shape[1]), 2)))
    at = np.hstack([at, at[:, pairs[:, 0]] * at[:, pairs[:, 1]]])
    state |= {"kind": np.array("logistic"), "pairs": pairs}
    shares = np.zeros((len(STRENGTHS), len(at), len(model.classes)))
    for some, rest in grouped_folds(cases.batches, INNER_SPLITS, model.seed):
        for number, strength in enumerate(STRENGTHS):
            curve = _curve(model, cases, at, some, strength)
            shares[number, rest] = chances(state | curve, cases.inputs[rest])
    best = int(np.argmin([_lost(cases.weights, predicted, cases.labels) for predicted in shares]))
    state |= _curve(model, cases, at, np.arange(len(at)), STRENGTHS[best])
    return state, shares[best][cases.of_row]


def _lost(weights: np.ndarray, shares: np.ndarray, labels: np.ndarray) -> float:
    sure = np.clip(shares[np.arange(len(labels)), labels], 1e-4, 1.0)
    return float(-weights @ np.log(sure))


def fit_support(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """Support vectors, one class against the rest. A logistic curve, fitted to held-out batches, turns
    their scores into probabilities.
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
    """The mean of a Gaussian process and a straight line, both cut at the bounds, and a logistic curve;
    sharpened to be calibrated on held-out batches.
    """
    bounds = np.array(model.bounds)
    process, of_process = learnt(model, rows)
    line, of_line = straight_line(model, rows)
    logistic, of_logistic = _logistic(model, rows)
    cut = [classes(mean, deviation, bounds) for mean, deviation in (of_process, of_line)]
    shares = (cut[0] + cut[1] + of_logistic) / 3
    labels, ones = np.digitize(rows.target, model.bounds), np.ones(len(rows))
    sharpness = min(
        SHARPNESSES, key=lambda sharpness: _lost(ones, sharpened(shares, sharpness), labels)
    )
    state = framed(model, rows.inputs)
    state |= {"kind": np.array("mixture"), "sharpness": np.float64(sharpness)}
    for number, member in enumerate((process, line, logistic)):
        state |= kept_under(f"member_{number}.", member | {"bounds": bounds})
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
    fitted = LogisticRegression(C=strength, max_iter=2000)
    fitted.fit(at[some], labels, cases.weights[some])
    two = len(there) == 2
    slopes[:, there] = np.vstack([-fitted.coef_, fitted.coef_]).T / 2 if two else fitted.coef_.T
    bias[there] = np.array([-0.5, 0.5]) * fitted.intercept_ if two else fitted.intercept_
    return {"class_weights": slopes, "class_bias": bias}


def _vectors(model: Specification, cases: Cases, at: np.ndarray, some: np.ndarray) -> State:
    dual = np.zeros((len(model.classes), len(some)))
    intercept = np.full(len(model.classes), -1.0)
    for label in range(len(model.classes)):
        own = (cases.labels[some] == label).astype(int)
        if own.all() or not own.any():
            intercept[label] = 1.0 if own.all() else -1.0
            continue
        machine = SVC(C=SUPPORT_STRENGTH, gamma=SUPPORT_GAMMA)
        machine.fit(at[some], own, cases.weights[some])
        dual[label, machine.support_] = machine.dual_coef_[0]
        intercept[label] = machine.intercept_[0]
    return {
        "vectors": at[some],
        "dual": dual,
        "intercept": intercept,
        "gamma": np.float64(SUPPORT_GAMMA),
    }
