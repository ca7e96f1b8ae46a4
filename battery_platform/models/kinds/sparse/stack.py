"""Lasso and extra trees, then conditioning on what is known: the candidate that is served.

Their shares, the joint distribution of their errors and the width of the intervals are all learnt
from cases held out whole inside the training rows; errors on rows that were learnt would be too small.
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
"""How much of a quantity's error correlations may be believed: 85 cells say little of so many pairs."""
ROUNDS = 25
SEED = 20260101


def fit(table: SparseTable, about: dict[str, Any] | None = None) -> State:
    """Everything that is served: arrays, and `about` as JSON."""
    state = fit_rows(table, np.arange(len(table)))
    cycles = [one for one in CURVE_CYCLES if one <= table.curves.shape[1]]
    said = {
        "inputs": list(table.descriptors),
        "endpoints": [one.name for one in table.endpoints],
        "outputs": [one.outputs for one in table.endpoints],
        "class_of": CLASS_OF,
        "classes": list(CLASSES),
        "curve_cycles": cycles,
        "synthetic": table.is_synthetic,
        **(about or {}),
    }
    return state | {"kind": np.array("stack"), "about": np.array(json.dumps(said, sort_keys=True))}


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
    """As `evaluation` asks for it: with what is known, and as if nothing were."""
    state = fit_rows(table, rows)

    def answer(inputs: Array, known: Array) -> dict[str, Prediction]:
        nothing = np.full_like(known, np.nan)
        return {
            STACK: Prediction(*served.answer(state, inputs, known)),
            ALONE: Prediction(*served.answer(state, inputs, nothing)),
        }

    return answer


def covariance_of(errors: Array) -> Array:
    """Covariance of errors of which many are missing: the most likely normal's.

    Pairs that never were measured together get what the others imply; pair by pair it would be no
    covariance at all.
    """
    count = errors.shape[1]
    prior = np.diag(np.maximum(mean_of(errors**2, 1.0), 1e-4))
    found = prior
    there: Array = np.isfinite(errors)
    patterns, which = np.unique(there, axis=0, return_inverse=True)
    for _ in range(ROUNDS):
        total = np.zeros((count, count))
        for number, have in enumerate(patterns):
            rows = errors[which.ravel() == number]
            filled = np.where(have, rows, 0.0)
            rest = found.copy()
            if have.any():
                gain = found[:, have] @ np.linalg.inv(found[np.ix_(have, have)])
                filled = np.where(have, rows, filled[:, have] @ gain.T)
                rest = found - gain @ found[have]
                rest[have] = 0.0
                rest[:, have] = 0.0
            total += filled.T @ filled + len(rows) * rest
        # A pseudo-count of the prior keeps the matrix invertible with more quantities than cases.
        found = (total + 2.0 * prior) / (len(errors) + 2.0)
    return found


def shrunk(covariance: Array, trust: Array) -> Array:
    """Correlations cut to the product of both trusts, which leaves a covariance; variances stay."""
    diagonal = np.diag(covariance)
    return trust[:, None] * covariance * trust + np.diag((1 - trust**2) * diagonal)


class _Errors:
    """What conditioning says of cases held out, by correlations of the errors of the others."""

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
    """Which trust in each quantity's correlations is likeliest on cases held out.

    As in Akaike's criterion trust must earn its unit of likelihood, counted in cases: the cells of a
    case are one witness. What is known early is trusted most; how far it moves the others is theirs.
    """
    known = np.isfinite(early).any(axis=0)
    told = np.isfinite(early).sum(axis=1) > 0
    asked = np.isfinite(errors.target) & told[:, None]
    surprise = []
    for trust in TRUSTS:
        mean, wide = errors.given(early, np.where(known, TRUSTS[-1], trust))
        off = 0.5 * ((errors.target - mean) / wide) ** 2 + np.log(wide)
        surprise.append(np.where(asked, off, 0.0).sum(axis=0))
    witnesses = len(np.unique(cases)) / len(cases)
    best = (witnesses * np.stack(surprise) + np.array(TRUSTS)[:, None]).argmin(axis=0)
    return np.where(known, TRUSTS[-1], np.array(TRUSTS)[best])


def _shares(line: Array, grown: Array, target: Array) -> Array:
    """How far to trust trees rather than the line, of each quantity."""
    step, off = grown - line, target - line
    both = np.isfinite(target)
    above = np.where(both, step * off, 0.0).sum(axis=0)
    below = np.where(both, step * step, 0.0).sum(axis=0)
    found: Array = np.clip(above / np.maximum(below, 1e-12), 0.0, 1.0)
    return found


def _calibrated(
    state: State, table: SparseTable, rows: Array, errors: _Errors, early: Array
) -> State:
    """Factors for the intervals, from cases held out: where nothing is known, and where something is.

    Something is adhesion and IR drop, or all others; correlations from few cases promise too much.
    """
    every = np.where(np.arange(early.shape[1]) < len(table.endpoints), errors.target, np.nan)
    found = [
        _factors(state, table, rows, errors, several)
        for several in ((np.full_like(early, np.nan),), (early, every))
    ]
    return {
        "calibration": np.stack([one for one, _ in found]),
        "curve_calibration": np.array([one for _, one in found]),
    }


def _factors(
    state: State, table: SparseTable, rows: Array, errors: _Errors, several: Sequence[Array]
) -> tuple[Array, float]:
    """Of the endpoints and of the curve, over some states of knowledge."""
    count = len(table.endpoints)
    truth = (state["center"] + state["scale"] * errors.target)[:, :count]
    made = [prediction(state, *errors.given(known, state["trust"])) for known in several]
    endpoints = factors(
        np.concatenate([truth - one.mean for one in made]),
        np.concatenate([one.deviation for one in made]),
    )
    curve = factors(
        np.concatenate([table.curves[rows] - one.curve for one in made]).reshape(-1, 1),
        np.concatenate([one.curve_deviation for one in made]).reshape(-1, 1),
    )
    return endpoints, float(curve[0])


def _ranges(table: SparseTable, rows: Array) -> State:
    """What the data span; a known endpoint counts up to a span beyond it."""
    inputs, known = table.inputs[rows], table.known[rows]
    logarithmic = np.array([one.logarithmic for one in table.endpoints])
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
    """How far a case usually lies from the nearest other one: 95 of 100 cells are nearer."""
    squares = ((at[:, None, :] - at[None, :, :]) ** 2).sum(axis=2)
    squares[cases[:, None] == cases[None, :]] = np.inf
    return float(np.quantile(np.sqrt(squares.min(axis=1)), 0.95))
