"""Lasso and extra trees, then conditioning on what is known: the candidate that is served.

Their shares, the joint distribution of their errors and the width of the intervals are all learnt
from cases held out whole inside the training rows; errors on rows that were learnt would be too small.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from battery_platform.models.served import cell_outcome as served
from battery_platform.models.sparse.candidates import (
    Answer,
    Prediction,
    factors,
    inner_folds,
    prediction,
)
from battery_platform.models.sparse.learners import (
    arrays_of,
    forests,
    grown_answers,
    lines,
    penalties,
)
from battery_platform.models.sparse.space import State, latent, mean_of, space_of
from battery_platform.models.sparse.table import (
    BOUNDS,
    CLASS_OF,
    CLASSES,
    EARLY,
    Array,
    SparseTable,
)

STACK, ALONE = "stack", "stack, nothing known"
KIND = "extra trees"
TRUSTS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)
"""How much of a quantity's error correlations may be believed: 85 cells say little of so many pairs."""
ROUNDS = 25
SEED = 20260101
CURVE_CYCLES = (1, 5, 10, 20, 30, 40, 50)


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
    return state | {"about": np.array(json.dumps(said, sort_keys=True))}


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
    trust, held_out = _conditioning(target, out_of_fold, early, cases, folds)
    slopes, starts = lines(at, target, penalty)
    state = space | arrays_of(forests(KIND, at, target, SEED))
    state |= {
        "line": slopes,
        "line_start": starts,
        "tree_share": share,
        "covariance": shrunk(covariance_of(target - out_of_fold), trust),
        "trust": trust,
        "bounds": np.array(BOUNDS),
        "train": at,
        "domain_distance": np.float64(_domain_distance(at, cases)),
        **_ranges(table, rows),
    }
    nothing = np.full_like(target, np.nan)
    alone = served.conditioned(out_of_fold, nothing, state["covariance"])
    return state | _calibrated(space, table, rows, target, (alone, held_out))


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


def _conditioning(
    target: Array, base: Array, early: Array, cases: Array, folds: list[tuple[Array, Array]]
) -> tuple[Array, tuple[Array, Array]]:
    """Which trust in each quantity's correlations is likeliest on cases held out, and what they get.

    As in Akaike's criterion trust must earn its unit of likelihood, counted in cases: the cells of a
    case are one witness.
    """
    errors, given = target - base, np.isfinite(early).any(axis=0)
    tried = [(np.empty_like(base), np.empty_like(base)) for _ in TRUSTS]
    for train, test in folds:
        whole = covariance_of(errors[train])
        for trust, (mean, deviation) in zip(TRUSTS, tried, strict=True):
            mean[test], deviation[test] = served.conditioned(
                base[test], early[test], shrunk(whole, np.where(given, TRUSTS[-1], trust))
            )
    told = np.isfinite(early).sum(axis=1) > 0
    asked = np.isfinite(target) & told[:, None]
    surprise = np.stack(
        [
            np.where(asked, 0.5 * ((target - mean) / wide) ** 2 + np.log(wide), 0.0).sum(axis=0)
            for mean, wide in tried
        ]
    )
    witnesses = len(np.unique(cases)) / len(cases)
    best = (witnesses * surprise + np.array(TRUSTS)[:, None]).argmin(axis=0)
    chosen = np.where(given, TRUSTS[-1], np.array(TRUSTS)[best])
    mean, deviation = (
        np.take_along_axis(np.stack(part), best[None, None, :], axis=0)[0]
        for part in zip(*tried, strict=True)
    )
    return chosen, (mean, deviation)


def _shares(line: Array, grown: Array, target: Array) -> Array:
    """How far to trust trees rather than the line, of each quantity."""
    step, off = grown - line, target - line
    both = np.isfinite(target)
    above = np.where(both, step * off, 0.0).sum(axis=0)
    below = np.where(both, step * step, 0.0).sum(axis=0)
    found: Array = np.clip(above / np.maximum(below, 1e-12), 0.0, 1.0)
    return found


def _calibrated(
    space: State,
    table: SparseTable,
    rows: Array,
    target: Array,
    held_out: Sequence[tuple[Array, Array]],
) -> State:
    """Factors for the intervals, from held-out cases with nothing known and with what is known early."""
    count = len(table.endpoints)
    truth = (space["center"] + space["scale"] * target)[:, :count]
    made = [prediction(space, *one) for one in held_out]
    pooled = factors(
        np.concatenate([table.curves[rows] - one.curve for one in made]).reshape(-1, 1),
        np.concatenate([one.curve_deviation for one in made]).reshape(-1, 1),
    )
    return {
        "calibration": factors(
            np.concatenate([truth - one.mean for one in made]),
            np.concatenate([one.deviation for one in made]),
        ),
        "curve_calibration": np.float64(pooled[0]),
    }


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
