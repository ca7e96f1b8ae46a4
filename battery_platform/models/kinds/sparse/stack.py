"""Lasso and extra trees, then conditioning on known endpoints: the candidate that is served.

Their shares, the joint distribution of their errors and the width of the intervals are all learnt from
whole cases held out within the training rows; errors on fitted rows would be too small.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from battery_platform.models.cell_table import (
    BOUNDS,
    CLASS_OF,
    CLASSES,
    CURVE_CYCLES,
    EARLY,
    Array,
    SparseTable,
)
from battery_platform.models.kinds.sparse.candidates import (
    Answer,
    Prediction,
    factors,
    inner_folds,
    prediction,
)
from battery_platform.models.kinds.sparse.learners import (
    arrays_of,
    forests,
    grown_answers,
    lines,
    penalties,
)
from battery_platform.models.kinds.sparse.space import State, latent, mean_of, space_of
from battery_platform.models.served import cell_outcome as served

STACK, ALONE = "stack", "stack, nothing known"
KIND = "extra trees"
TRUSTS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)
"""How far a quantity's error correlations may be trusted: 85 cells say little about so many pairs."""
ROUNDS = 25
SEED = 20260101


def fit(table: SparseTable, about: dict[str, Any] | None = None) -> State:
    """Everything that is served: the arrays, and `about` as JSON."""
    state = fit_rows(table, np.arange(len(table)))
    cycles = [cycle for cycle in CURVE_CYCLES if cycle <= table.curves.shape[1]]
    description = {
        "inputs": list(table.descriptors),
        "endpoints": [endpoint.name for endpoint in table.endpoints],
        "outputs": [endpoint.outputs for endpoint in table.endpoints],
        "class_of": CLASS_OF,
        "classes": list(CLASSES),
        "curve_cycles": cycles,
        "synthetic": table.is_synthetic,
        **(about or {}),
    }
    return state | {
        "kind": np.array("stack"),
        "about": np.array(json.dumps(description, sort_keys=True)),
    }


def fit_rows(table: SparseTable, rows: Array) -> State:
    """The arrays, learnt from some rows of the table."""
    space = space_of(table, rows)
    at = (table.inputs[rows] - space["input_center"]) / space["input_scale"]
    target, cases = latent(space, table, rows), table.cases[rows]
    penalty = penalties(at, target, cases, SEED)
    line, grown = (np.zeros_like(target) for _ in range(2))
    folds = inner_folds(table, rows, SEED)
    for train, test in folds:
        slopes, starts = lines(at[train], target[train], penalty)
        line[test] = at[test] @ slopes.T + starts
        forest = forests(KIND, at[train], target[train], SEED)
        grown[test] = grown_answers(forest, at[test], target.shape[1])
    share = _shares(line, grown, target)
    out_of_fold = share * grown + (1 - share) * line
    early = served.coded(space, table.only(EARLY)[rows])
    errors = _Errors(target, out_of_fold, folds)
    trust = _trust(errors, early, cases)
    slopes, starts = lines(at, target, penalty)
    state = space | arrays_of(forests(KIND, at, target, SEED))
    state |= {
        "line": slopes,
        "line_start": starts,
        "tree_share": share,
        "covariance": shrunk(covariance_of(errors.base_errors), trust),
        "trust": trust,
        "bounds": np.array(BOUNDS),
        "train": at,
        "domain_distance": np.float64(_domain_distance(at, cases)),
        **_ranges(table, rows),
    }
    return state | _calibrated(state, table, rows, errors, early)


def candidate(table: SparseTable, rows: Array) -> Answer:
    """The candidate in the form that `evaluation` needs: with known endpoints, and ignoring them."""
    state = fit_rows(table, rows)

    def answer(inputs: Array, known: Array) -> dict[str, Prediction]:
        nothing = np.full_like(known, np.nan)
        return {
            STACK: Prediction(*served.answer(state, inputs, known)),
            ALONE: Prediction(*served.answer(state, inputs, nothing)),
        }

    return answer


def covariance_of(errors: Array) -> Array:
    """Maximum-likelihood covariance of normally distributed errors, of which many are missing.

    Pairs that were never measured together get what the other pairs imply; computed pair by pair the
    result would not be a covariance.
    """
    count = errors.shape[1]
    prior = np.diag(np.maximum(mean_of(errors**2, 1.0), 1e-4))
    covariance = prior
    there: Array = np.isfinite(errors)
    patterns, which = np.unique(there, axis=0, return_inverse=True)
    for _ in range(ROUNDS):
        total = np.zeros((count, count))
        for number, have in enumerate(patterns):
            rows = errors[which.ravel() == number]
            filled = np.where(have, rows, 0.0)
            rest = covariance.copy()
            if have.any():
                gain = covariance[:, have] @ np.linalg.inv(covariance[np.ix_(have, have)])
                filled = np.where(have, rows, filled[:, have] @ gain.T)
                rest = covariance - gain @ covariance[have]
                rest[have] = 0.0
                rest[:, have] = 0.0
            total += filled.T @ filled + len(rows) * rest
        # A pseudo-count of the prior keeps the matrix invertible with more quantities than cases.
        covariance = (total + 2.0 * prior) / (len(errors) + 2.0)
    return covariance


def shrunk(covariance: Array, trust: Array) -> Array:
    """Correlations scaled by the trust in both quantities, which keeps it a covariance; variances stay."""
    diagonal = np.diag(covariance)
    return trust[:, None] * covariance * trust + np.diag((1 - trust**2) * diagonal)


class _Errors:
    """Conditioned predictions of held-out cases, by correlations of the errors of the other cases."""

    def __init__(self, target: Array, base: Array, folds: list[tuple[Array, Array]]) -> None:
        self.target, self.base, self.folds = target, base, folds
        self.base_errors = target - base
        self.covariances = [covariance_of(self.base_errors[train]) for train, _ in folds]

    def given(self, known: Array, trust: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of every quantity."""
        mean, deviation = np.empty_like(self.base), np.empty_like(self.base)
        for covariance, (_, test) in zip(self.covariances, self.folds, strict=True):
            mean[test], deviation[test] = served.conditioned(
                self.base[test], known[test], shrunk(covariance, trust)
            )
        return mean, deviation


def _trust(errors: _Errors, early: Array, cases: Array) -> Array:
    """The trust in each quantity's correlations that is likeliest on held-out cases.

    As in Akaike's criterion, trust must pay for itself in likelihood, counted in cases, since the cells of
    a case are not independent. Early endpoints are fully trusted; the trust in each other quantity
    decides how far they move it.
    """
    known = np.isfinite(early).any(axis=0)
    has_early = np.isfinite(early).sum(axis=1) > 0
    asked = np.isfinite(errors.target) & has_early[:, None]
    surprise = []
    for trust in TRUSTS:
        mean, wide = errors.given(early, np.where(known, TRUSTS[-1], trust))
        off = 0.5 * ((errors.target - mean) / wide) ** 2 + np.log(wide)
        surprise.append(np.where(asked, off, 0.0).sum(axis=0))
    witnesses = len(np.unique(cases)) / len(cases)
    best = (witnesses * np.stack(surprise) + np.array(TRUSTS)[:, None]).argmin(axis=0)
    return np.where(known, TRUSTS[-1], np.array(TRUSTS)[best])


def _shares(line: Array, grown: Array, target: Array) -> Array:
    """The share of the trees, as opposed to the line, in the prediction of each quantity."""
    step, off = grown - line, target - line
    both = np.isfinite(target)
    above = np.where(both, step * off, 0.0).sum(axis=0)
    below = np.where(both, step * step, 0.0).sum(axis=0)
    shares: Array = np.clip(above / np.maximum(below, 1e-12), 0.0, 1.0)
    return shares


def _calibrated(
    state: State, table: SparseTable, rows: Array, errors: _Errors, early: Array
) -> State:
    """Scale factors of the intervals, from held-out cases: without and with known endpoints.

    Known are adhesion and IR drop, or all other endpoints; correlations from few cases are overconfident.
    """
    every = np.where(np.arange(early.shape[1]) < len(table.endpoints), errors.target, np.nan)
    scaling = [
        _factors(state, table, rows, errors, several)
        for several in ((np.full_like(early, np.nan),), (early, every))
    ]
    return {
        "calibration": np.stack([of_endpoints for of_endpoints, _ in scaling]),
        "curve_calibration": np.array([of_curve for _, of_curve in scaling]),
    }


def _factors(
    state: State, table: SparseTable, rows: Array, errors: _Errors, several: Sequence[Array]
) -> tuple[Array, float]:
    """Scale factors of the endpoints and of the curve, over some states of knowledge."""
    count = len(table.endpoints)
    truth = (state["center"] + state["scale"] * errors.target)[:, :count]
    made = [prediction(state, *errors.given(known, state["trust"])) for known in several]
    endpoints = factors(
        np.concatenate([truth - predicted.mean for predicted in made]),
        np.concatenate([predicted.deviation for predicted in made]),
    )
    curve = factors(
        np.concatenate([table.curves[rows] - predicted.curve for predicted in made]).reshape(-1, 1),
        np.concatenate([predicted.curve_deviation for predicted in made]).reshape(-1, 1),
    )
    return endpoints, float(curve[0])


def _ranges(table: SparseTable, rows: Array) -> State:
    """Ranges of the data; a known endpoint is accepted up to one span beyond them."""
    inputs, known = table.inputs[rows], table.known[rows]
    logarithmic = np.array([endpoint.logarithmic for endpoint in table.endpoints])
    with np.errstate(invalid="ignore"):
        scaled = np.where(logarithmic, np.log(known), known)
    low, high = np.nanmin(scaled, axis=0), np.nanmax(scaled, axis=0)
    span = served.FAR * (high - low)
    low, high = low - span, high + span
    return {
        "input_low": inputs.min(axis=0),
        "input_high": inputs.max(axis=0),
        "known_low": np.where(logarithmic, np.exp(np.where(logarithmic, low, 0.0)), low),
        "known_high": np.where(logarithmic, np.exp(np.where(logarithmic, high, 0.0)), high),
    }


def _domain_distance(at: Array, cases: Array) -> float:
    """95th percentile of the distance from a cell to the nearest cell of another case."""
    squares = ((at[:, None, :] - at[None, :, :]) ** 2).sum(axis=2)
    squares[cases[:, None] == cases[None, :]] = np.inf
    return float(np.quantile(np.sqrt(squares.min(axis=1)), 0.95))
