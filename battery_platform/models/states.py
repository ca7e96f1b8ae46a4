"""What the states of all algorithms share: features, domain, calibration, and what they say of themselves.

A state is a dictionary of plain arrays, which `served.surrogate` answers from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from battery_platform.models.rows import Rows
from battery_platform.models.served.surrogate import (
    Z90,
    State,
    error_size,
    features,
    squared_distances,
)
from battery_platform.models.specification import Specification

LANDMARKS = 256
"""Rows that represent a large training set when distances are computed."""
MARGIN = 0.01
"""Tolerance of a sum of inputs, as a share of its range in the data."""
ERROR_PARTS = 5
ERROR_RIDGE = 30.0
"""Pull towards an error that is the same everywhere."""


def weights_of(model: Specification, logarithmic: bool) -> np.ndarray:
    """The factor of each input (or of its logarithm) in each feature."""
    made = np.zeros((len(model.features), len(model.inputs)))
    for row, feature in enumerate(model.features):
        if feature.logarithmic == logarithmic:
            for name, factor in feature.terms:
                made[row, model.inputs.index(name)] = factor
    return made


def framed(model: Specification, inputs: np.ndarray) -> State:
    """Features that are standardised by these rows, and the ranges of the inputs."""
    state: State = {
        "linear": weights_of(model, False),
        "logarithmic": weights_of(model, True),
        "center": np.zeros(len(model.features)),
        "scale": np.ones(len(model.features)),
        "input_low": inputs.min(axis=0),
        "input_high": inputs.max(axis=0),
    }
    raw = features(state, inputs)
    state["center"] = raw.mean(axis=0)
    state["scale"] = np.where(raw.std(axis=0) > 0, raw.std(axis=0), 1.0)
    return state


def _sums(model: Specification) -> np.ndarray:
    """The factor of each input in each constrained sum."""
    made = np.zeros((len(model.consistent), len(model.inputs)))
    for row, (_, terms) in enumerate(model.consistent):
        for name, factor in terms:
            made[row, model.inputs.index(name)] = factor
    return made


def learnt_target(model: Specification, target: np.ndarray) -> np.ndarray:
    """The target as it is learnt: its logarithm where the model says so."""
    return np.log(target) if model.logarithmic else target


def finished(state: State, model: Specification, rows: Rows, about: dict[str, Any] | None) -> State:
    """The state with its domain of validity and its description of itself."""
    if "train" not in state:
        state["train"] = _landmarks(features(state, rows.inputs), model.seed).astype(np.float32)
    sums = _sums(model)
    totals = rows.inputs @ sums.T
    margin = MARGIN * np.ptp(totals, axis=0) + 1e-9
    state |= {
        "sums": sums,
        "sums_low": totals.min(axis=0) - margin,
        "sums_high": totals.max(axis=0) + margin,
    }
    state["domain_distance"] = np.float64(_domain_distance(state, rows))
    state["logarithmic_target"] = np.bool_(model.logarithmic)
    state["bounds"] = np.array(model.bounds)
    state["about"] = np.array(
        json.dumps(
            {
                "inputs": list(model.inputs),
                "outputs": model.outputs,
                "sums": [name for name, _ in model.consistent],
                "classes": list(model.class_outputs.items()),
                "synthetic": False,
                **(about or {}),
            },
            sort_keys=True,
        )
    )
    return state


def together(states: Sequence[State]) -> State:
    """The states of all quantities of a model in one; names after the first state get a number in front."""
    return dict(states[0]) | {
        f"{number}.{name}": value
        for number, state in enumerate(states[1:], start=1)
        for name, value in state.items()
    }


def kept_under(name: str, state: State) -> State:
    """A state with a prefix on its names, to be stored inside another one."""
    return {name + key: value for key, value in state.items()}


def errors_learnt(at: np.ndarray, errors: np.ndarray) -> State:
    """Typical size of errors across the features: a ridge regression of the logarithm of held-out errors.

    Scaled so that 90 % intervals hold 90 % of the errors that the ridge did not see.
    """
    fold = np.arange(len(errors)) % ERROR_PARTS
    ratios = np.empty(len(errors))
    for number in range(ERROR_PARTS):
        own = fold == number
        ratios[own] = np.abs(errors[own]) / error_size(_ridge(at[~own], errors[~own]), at[own])
    return _ridge(at, errors) | {"calibration": np.quantile(ratios, 0.9) / Z90}


def _ridge(at: np.ndarray, errors: np.ndarray) -> State:
    terms = np.hstack([at, at**2])
    size = np.log(np.maximum(np.abs(errors), 1e-3 * np.abs(errors).mean() + 1e-12))
    middle = terms.mean(axis=0)
    around = terms - middle
    weights = np.linalg.solve(
        around.T @ around + ERROR_RIDGE * np.eye(terms.shape[1]), around.T @ (size - size.mean())
    )
    learnt: State = {
        "error_weights": weights.astype(np.float32),
        "error_center": np.float32(size.mean() - middle @ weights),
    }
    learnt["error_ends"] = np.quantile(around @ weights + size.mean(), [0.01, 0.99])
    return learnt


def _landmarks(at: np.ndarray, seed: int) -> np.ndarray:
    """All rows if they are few, otherwise a random sample."""
    if len(at) <= LANDMARKS:
        return at
    drawn: np.ndarray = at[np.random.default_rng(seed).choice(len(at), LANDMARKS, replace=False)]
    return drawn


def _domain_distance(state: State, rows: Rows) -> float:
    """95th percentile of the distance from a condition to the nearest condition of another batch."""
    _, first = np.unique(rows.conditions, return_index=True)
    if len(first) > 4 * LANDMARKS:
        first = first[:: len(first) // (4 * LANDMARKS)]
    at = features(state, rows.inputs[first])
    known = state["train"].astype(float)
    between = squared_distances(at, known, np.ones(at.shape[1]))
    if len(known) == len(at):
        batch = rows.batches[first]
        between[batch[:, None] == batch[None, :]] = np.inf
    else:
        between[between < 1e-9] = np.inf
    return float(np.quantile(np.sqrt(between.min(axis=1)), 0.95))
