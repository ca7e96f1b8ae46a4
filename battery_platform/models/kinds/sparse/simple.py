"""What the models must beat: the mean, lasso or a random forest alone, and iterative imputation.

Where early endpoints are known, lasso and forest take them as further inputs, with missing ones at
their mean; imputation treats them like everything else. The intervals of each match its own errors on
cases held out within the training rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 -- makes the next import work
from sklearn.impute import IterativeImputer
from sklearn.linear_model import BayesianRidge

from battery_platform.models.cell_table import Array, SparseTable
from battery_platform.models.kinds.sparse.candidates import (
    Answer,
    Fit,
    Prediction,
    factors,
    inner_folds,
    prediction,
)
from battery_platform.models.kinds.sparse.learners import forests, grown_answers, lines, penalties
from battery_platform.models.kinds.sparse.space import latent, mean_of, space_of
from battery_platform.models.served.cell_outcome import coded

SEED = 20260101
Learn = Callable[[Array, Array, Array, Array], Array]
"""From training inputs, targets and cases, and the inputs to predict, to standardised predictions."""


def _mean(at: Array, target: Array, cases: Array, asked: Array) -> Array:
    return np.tile(mean_of(target), (len(asked), 1))


def _lasso(at: Array, target: Array, cases: Array, asked: Array) -> Array:
    slopes, starts = lines(at, target, penalties(at, target, cases, SEED))
    made: Array = asked @ slopes.T + starts
    return made


def _forest(at: Array, target: Array, cases: Array, asked: Array) -> Array:
    return grown_answers(forests("random forest", at, target, SEED), asked, target.shape[1])


@dataclass(frozen=True)
class Regression:
    """A candidate that predicts from the descriptors and whichever early endpoints are known."""

    name: str
    learn: Learn

    def __call__(self, table: SparseTable, rows: Array) -> Answer:
        space = space_of(table, rows)
        target = latent(space, table, rows)
        folds = inner_folds(table, rows, SEED)

        def scaled(inputs: Array, known: Array, which: Array) -> Array:
            at = (inputs - space["input_center"]) / space["input_scale"]
            return np.hstack([at, np.nan_to_num(coded(space, known)[:, which])])

        def answer(inputs: Array, known: Array) -> dict[str, Prediction]:
            which = np.isfinite(coded(space, known)).any(axis=0)
            at, asked = (
                scaled(table.inputs[rows], table.known[rows], which),
                scaled(inputs, known, which),
            )
            errors = np.full_like(target, np.nan)
            for train, test in folds:
                errors[test] = target[test] - self.learn(
                    at[train], target[train], table.cases[rows[train]], at[test]
                )
            mean = self.learn(at, target, table.cases[rows], asked)
            return {self.name: prediction(space, mean, _as_wide(errors, len(mean)))}

        return answer


def _imputation(table: SparseTable, rows: Array) -> Answer:
    """scikit-learn's chained equations over descriptors, endpoints and components of the curve."""
    space = space_of(table, rows)
    target = latent(space, table, rows)
    at = (table.inputs[rows] - space["input_center"]) / space["input_scale"]
    folds = inner_folds(table, rows, SEED)
    fitted = _imputer(at, target)
    of_folds = [(_imputer(at[train], target[train]), test) for train, test in folds]

    def answer(inputs: Array, known: Array) -> dict[str, Prediction]:
        asked = (inputs - space["input_center"]) / space["input_scale"]
        kept = np.isfinite(coded(space, known)).any(axis=0)
        errors = np.full_like(target, np.nan)
        for imputer, test in of_folds:
            given = np.where(kept, target[test], np.nan)
            errors[test] = target[test] - _filled(imputer, at[test], given)
        mean = _filled(fitted, asked, coded(space, known))
        return {"iterative imputation": prediction(space, mean, _as_wide(errors, len(mean)))}

    return answer


def _imputer(at: Array, target: Array) -> IterativeImputer:
    """Fit with one extra row, of which only the descriptors are known, at their mean.

    The row teaches nothing. It lets the imputer skip the descriptors, which are always present, but not
    the endpoints that no training row happens to lack.
    """
    empty = np.hstack([np.zeros(at.shape[1]), np.full(target.shape[1], np.nan)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return IterativeImputer(
            BayesianRidge(), max_iter=10, random_state=SEED, skip_complete=True
        ).fit(np.vstack([np.hstack([at, target]), empty]))


def _filled(imputer: IterativeImputer, at: Array, known: Array) -> Array:
    made: Array = imputer.transform(np.hstack([at, known]))[:, at.shape[1] :]
    return made


def _as_wide(errors: Array, rows: int) -> Array:
    """One standard deviation per quantity, such that its 90 % interval holds 90 % of the errors."""
    return np.tile(factors(errors, np.ones_like(errors)), (rows, 1))


SIMPLE: dict[str, Fit] = {
    "mean": Regression("mean", _mean),
    "lasso": Regression("lasso", _lasso),
    "random forest": Regression("random forest", _forest),
    "iterative imputation": _imputation,
}
