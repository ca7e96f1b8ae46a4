"""Quantities as models see them: standardised, some as logarithms, the curve as principal components.

A curve of fifty capacities has few degrees of freedom; its components are treated as further endpoints,
with an uncertainty of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from battery_platform.models.cell_table import Array, SparseTable
from battery_platform.models.served.cell_outcome import coded

COMPONENTS = 3
State = dict[str, Any]


def space_of(table: SparseTable, rows: Array) -> State:
    """Centres and scales of descriptors and endpoints, and the components of the curves."""
    logarithmic = np.array([endpoint.logarithmic for endpoint in table.endpoints])
    with np.errstate(invalid="ignore"):
        known = np.where(logarithmic, np.log(table.known[rows]), table.known[rows])
    curves = table.curves[rows]
    curves = curves[np.isfinite(curves).all(axis=1)]
    middle, directions, rest = _components(curves, table.curves.shape[1])
    scores = (curves - middle) @ directions.T
    inputs = table.inputs[rows]
    return {
        "input_center": inputs.mean(axis=0),
        "input_scale": _width(inputs),
        "logarithmic": logarithmic,
        "center": np.concatenate([mean_of(known), np.zeros(len(directions))]),
        "scale": np.concatenate([_width(known), _width(scores)]),
        "curve_mean": middle,
        "directions": directions,
        "curve_rest": rest,
    }


def latent(space: State, table: SparseTable, rows: Array) -> Array:
    """Standardised endpoints and components of the curve, NaN where unknown."""
    made = coded(space, table.known[rows])
    count = len(table.endpoints)
    scores = (table.curves[rows] - space["curve_mean"]) @ space["directions"].T
    made[:, count:] = scores / space["scale"][count:]
    return made


def mean_of(values: Array, otherwise: float = 0.0) -> Array:
    """Mean of the known values of each column; in a fold a rare quantity may have none."""
    count = np.isfinite(values).sum(axis=0)
    total = np.nansum(values, axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), otherwise)


def _width(values: Array) -> Array:
    """Standard deviation of each column; 1 where nothing varies."""
    wide = np.sqrt(mean_of((values - mean_of(values)) ** 2))
    return np.where(wide > 1e-9, wide, 1.0)


def _components(curves: Array, length: int) -> tuple[Array, Array, Array]:
    if len(curves) < 2:
        return np.zeros(length), np.zeros((0, length)), np.zeros(length)
    middle = curves.mean(axis=0)
    _, _, directions = np.linalg.svd(curves - middle, full_matrices=False)
    directions = directions[:COMPONENTS]
    rest = curves - middle - (curves - middle) @ directions.T @ directions
    return middle, directions, rest.std(axis=0)
