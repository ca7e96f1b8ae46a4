"""Boosted trees by XGBoost, kept as arrays of nodes so that a consumer needs no XGBoost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from battery_platform.models.rows import Rows
from battery_platform.models.served.surrogate import State, features
from battery_platform.models.specification import Specification
from battery_platform.models.splits import grouped_folds
from battery_platform.models.states import errors_learnt, finished, framed, learnt_target

if TYPE_CHECKING:
    from xgboost import Booster

INNER_SPLITS = 3
TREES, RATE, DEPTH = 120, 0.12, 5
CLASS_TREES, CLASS_DEPTH = 60, 3


def fit(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """Fit trees to a quantity; errors are learnt from trees that never saw the rows."""
    target = learnt_target(model, rows.target)
    state = framed(model, rows.inputs)
    at = features(state, rows.inputs)
    state |= {
        "kind": np.array("trees"),
        "y_center": np.float64(target.mean()),
        "y_scale": np.float64(target.std() or 1.0),
    }
    y = (target - state["y_center"]) / state["y_scale"]
    errors = np.empty(len(rows))
    for some, rest in grouped_folds(rows.batches, INNER_SPLITS, model.seed):
        predicted = state["y_center"] + state["y_scale"] * _predicted(
            _grown(at[some], y[some], model.seed), at[rest]
        )
        errors[rest] = target[rest] - predicted
    state |= _nodes(_grown(at, y, model.seed)) | errors_learnt(at, errors)
    return finished(state, model, rows, about)


def fit_classes(model: Specification, rows: Rows, about: dict[str, Any] | None = None) -> State:
    """Fit trees to classes; the trees give the probabilities."""
    state = framed(model, rows.inputs)
    at = features(state, rows.inputs)
    state["kind"] = np.array("trees")
    labels = np.digitize(rows.target, model.bounds)
    state |= _nodes(_grown(at, labels, model.seed, len(model.classes)), len(model.classes))
    return finished(state, model, rows, about)


def _grown(at: np.ndarray, y: np.ndarray, seed: int, classes: int = 0) -> Booster:
    import xgboost

    settings: dict[str, Any] = {
        "eta": RATE,
        "max_depth": CLASS_DEPTH if classes else DEPTH,
        "subsample": 0.7,
        "colsample_bytree": 0.8,
        "min_child_weight": 2.0,
        "nthread": 1,
        "seed": seed % 2**31,
        "objective": "multi:softprob" if classes else "reg:squarederror",
        "base_score": 0.5 if classes else 0.0,
        **({"num_class": classes} if classes else {}),
    }
    data = xgboost.DMatrix(at.astype(np.float32), y)
    booster = xgboost.Booster(settings, [data])
    for number in range(CLASS_TREES if classes else TREES):
        booster.update(data, number)
    return booster


def _predicted(booster: Booster, at: np.ndarray) -> np.ndarray:
    """Predictions of a quantity by XGBoost itself, without walking the nodes."""
    answers: np.ndarray = booster.inplace_predict(at.astype(np.float32))
    return answers.astype(float)


def _nodes(booster: Booster, classes: int = 0) -> State:
    """The trees as `served.surrogate` walks them."""
    saved = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
    trees = saved["trees"]
    nodes = max(len(tree["left_children"]) for tree in trees)

    def column(name: str, kind: type) -> np.ndarray:
        made: np.ndarray = np.zeros((len(trees), nodes), kind)
        for number, tree in enumerate(trees):
            made[number, : len(tree[name])] = tree[name]
        return made

    left = column("left_children", np.int32)
    return {
        "tree_left": left,
        "tree_right": column("right_children", np.int32),
        "tree_feature": np.where(left < 0, -1, column("split_indices", np.int32)),
        "tree_value": column("split_conditions", np.float32),
        "tree_output": np.array(saved["tree_info"], dtype=np.int32),
        "base": np.zeros(max(classes, 1), np.float32),
        "depth": np.int64(CLASS_DEPTH if classes else DEPTH),
    }
