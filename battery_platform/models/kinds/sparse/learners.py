"""Lasso and trees for many quantities at once, some of whose values are missing.

Quantities missing in the same rows share a forest, so that there are fewer trees to store and walk.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LassoCV
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

from battery_platform.models.cell_table import Array
from battery_platform.models.splits import grouped_folds

TREES = 100
FORESTS: dict[str, tuple[Callable[..., Any], bool]] = {
    "extra trees": (ExtraTreeRegressor, False),
    "random forest": (DecisionTreeRegressor, True),
}
"""The class of each tree, and whether trees are grown on a bootstrap of the rows."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees that predict the quantities in some columns; their answers are averaged."""

    columns: Array
    trees: tuple[Any, ...]

    def answer(self, at: Array) -> Array:
        """Rows x columns."""
        asked = at.astype(np.float32)
        total: Array = sum(tree.predict(asked) for tree in self.trees)
        return total.reshape(len(at), -1) / len(self.trees)


Forests = list[Forest]


def penalties(at: Array, target: Array, cases: Array, seed: int) -> Array:
    """The penalty of each quantity's lasso, chosen on whole cases held out."""
    chosen = np.ones(target.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for column in range(target.shape[1]):
            there = np.isfinite(target[:, column])
            if len(np.unique(cases[there])) < 3:
                continue
            folds = list(grouped_folds(cases[there], 4, seed))
            lasso = LassoCV(cv=folds, alphas=25, eps=5e-3, max_iter=2000, tol=1e-3)
            chosen[column] = lasso.fit(at[there], target[there, column]).alpha_
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
            lasso = Lasso(penalty[column], max_iter=2000, tol=1e-3)
            lasso.fit(at[there], target[there, column])
            slopes[column], starts[column] = lasso.coef_, lasso.intercept_
    return slopes, starts


def forests(kind: str, at: Array, target: Array, seed: int) -> Forests:
    """One forest for each set of quantities that are known in the same rows."""
    there = np.isfinite(target)
    patterns, which = np.unique(there, axis=1, return_inverse=True)
    grown = []
    for number in range(patterns.shape[1]):
        columns = np.flatnonzero(which.ravel() == number)
        rows = patterns[:, number]
        if rows.sum() >= 3:
            grown.append(_grown(kind, columns, at[rows], target[np.ix_(rows, columns)], seed))
    return grown


def _grown(kind: str, columns: Array, at: Array, answers: Array, seed: int) -> Forest:
    """As in scikit-learn's forests, which with so few rows spend most of their time on cloning trees and
    checking the same arrays again for each tree.
    """
    make, bootstrap = FORESTS[kind]
    random = np.random.RandomState(seed)
    x, y = np.ascontiguousarray(at, np.float32), np.ascontiguousarray(answers)
    trees = []
    with sklearn.config_context(skip_parameter_validation=True, assume_finite=True):
        for _ in range(TREES):
            weights = None
            if bootstrap:
                drawn = random.randint(len(x), size=len(x))
                weights = np.bincount(drawn, minlength=len(x)).astype(float)
            tree = make(min_samples_leaf=2, max_features=0.5, random_state=random)
            trees.append(tree.fit(x, y, weights, check_input=False).tree_)
    return Forest(columns, tuple(trees))


def grown_answers(forest: Forests, at: Array, count: int) -> Array:
    """The forests' prediction of each quantity; 0, the mean, where no forest predicts it."""
    made = np.zeros((len(at), count))
    for grown in forest:
        made[:, grown.columns] = grown.answer(at)
    return made


def arrays_of(forest: Forests) -> dict[str, Any]:
    """The nodes of all trees, concatenated as `served.cell_outcome` walks them; a leaf leads to itself."""
    made: dict[str, Any] = {"forests": np.int64(len(forest))}
    for number, grown in enumerate(forest):
        trees = grown.trees
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
            f"{number}.columns": grown.columns,
            f"{number}.roots": roots,
            f"{number}.depth": np.int64(max(tree.max_depth for tree in trees)),
            f"{number}.feature": np.maximum(feature, 0),
            f"{number}.threshold": np.concatenate([tree.threshold for tree in trees]),
            f"{number}.children": children.ravel(),
            f"{number}.answer": np.concatenate([tree.value[:, :, 0] for tree in trees]),
        }
    return made
