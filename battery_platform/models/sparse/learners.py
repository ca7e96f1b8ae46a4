"""Lasso and trees for many quantities at once, of which some values are missing.

Quantities that are missing in the same rows share one forest: their trees split alike, and there are
few of them to store and to walk.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LassoCV

from battery_platform.models.sparse.table import Array
from battery_platform.models.splits import grouped_folds

TREES = 100
FORESTS: dict[str, Callable[..., Any]] = {
    "extra trees": ExtraTreesRegressor,
    "random forest": RandomForestRegressor,
}
Forests = list[tuple[Array, Any]]


def penalties(at: Array, target: Array, cases: Array, seed: int) -> Array:
    """The penalty of each quantity's lasso, chosen on cases held out whole."""
    chosen = np.ones(target.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for column in range(target.shape[1]):
            there = np.isfinite(target[:, column])
            if len(np.unique(cases[there])) < 3:
                continue
            folds = list(grouped_folds(cases[there], 4, seed))
            found = LassoCV(cv=folds, alphas=25, eps=5e-3, max_iter=2000, tol=1e-3)
            chosen[column] = found.fit(at[there], target[there, column]).alpha_
    return chosen


def lines(at: Array, target: Array, penalty: Array) -> tuple[Array, Array]:
    """Coefficients (quantities by inputs) and intercepts."""
    slopes, starts = np.zeros((target.shape[1], at.shape[1])), np.zeros(target.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for column in range(target.shape[1]):
            there = np.isfinite(target[:, column])
            if there.sum() < 3:
                continue
            found = Lasso(penalty[column], max_iter=2000, tol=1e-3)
            found.fit(at[there], target[there, column])
            slopes[column], starts[column] = found.coef_, found.intercept_
    return slopes, starts


def forests(kind: str, at: Array, target: Array, seed: int) -> Forests:
    """One forest for each set of quantities that are known in the same rows, with their columns."""
    there = np.isfinite(target)
    patterns, which = np.unique(there, axis=1, return_inverse=True)
    grown = []
    for number in range(patterns.shape[1]):
        columns = np.flatnonzero(which.ravel() == number)
        rows = patterns[:, number]
        forest = FORESTS[kind](
            TREES, min_samples_leaf=2, max_features=0.5, random_state=seed, n_jobs=1
        )
        if rows.sum() >= 3:
            answers = target[np.ix_(rows, columns)]
            grown.append(
                (columns, forest.fit(at[rows], answers[:, 0] if len(columns) == 1 else answers))
            )
    return grown


def grown_answers(forest: Forests, at: Array, count: int) -> Array:
    """What the forests say of each quantity; 0, the mean, of one that none has learnt."""
    made = np.zeros((len(at), count))
    for columns, one in forest:
        made[:, columns] = one.predict(at).reshape(len(at), -1)
    return made


def arrays_of(forest: Forests) -> dict[str, Any]:
    """The nodes of all trees in a row, as `served.cell_outcome` walks them; a leaf leads to itself."""
    made: dict[str, Any] = {"forests": np.int64(len(forest))}
    for number, (columns, one) in enumerate(forest):
        trees = [estimator.tree_ for estimator in one.estimators_]
        roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
        feature = np.concatenate([tree.feature for tree in trees])
        children = np.concatenate(
            [
                np.stack([tree.children_left, tree.children_right], axis=1) + root
                for tree, root in zip(trees, roots, strict=True)
            ]
        )
        leaf = feature < 0
        children[leaf] = np.flatnonzero(leaf)[:, None]
        made |= {
            f"{number}.columns": columns,
            f"{number}.roots": roots,
            f"{number}.depth": np.int64(max(tree.max_depth for tree in trees)),
            f"{number}.feature": np.maximum(feature, 0),
            f"{number}.threshold": np.concatenate([tree.threshold for tree in trees]),
            f"{number}.children": children.ravel(),
            f"{number}.answer": np.concatenate([tree.value[:, :, 0] for tree in trees]),
        }
    return made
