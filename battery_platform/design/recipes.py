"""Candidate recipes that stay within the data: those that were made and the ways between them.

A slurry's viscosity goes with its composition, its solids and the shear of the gap, so that inputs
cannot be chosen one by one. Between two recipes that were made it can be read off the way.
"""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 8
STEPS = 10


def candidates(made: np.ndarray, scaled: np.ndarray) -> np.ndarray:
    """Made recipes and points on the ways to their nearest others (`scaled`: for distances).

    Inputs are mixed by their logarithms, as viscosity and gap act by ratios.
    """
    _, first = np.unique(made, axis=0, return_index=True)
    recipes, place = made[first], scaled[first]
    if len(recipes) < 2:
        return recipes
    squares = ((place[:, None, :] - place[None, :, :]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    nearest = np.argsort(squares, axis=1)[:, : min(NEIGHBOURS, len(recipes) - 1)]
    pairs = {
        (min(one, other), max(one, other))
        for one, others in enumerate(nearest.tolist())
        for other in others
    }
    left, right = (recipes[list(side)] for side in zip(*sorted(pairs), strict=True))
    steps = np.linspace(0, 1, STEPS + 1)[1:-1]
    between = [np.exp((1 - step) * np.log(left) + step * np.log(right)) for step in steps]
    return np.concatenate([recipes, *between])
