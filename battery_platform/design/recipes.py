"""Candidate recipes that stay within the data: recipes already made, and points between them.

A slurry's viscosity depends on its composition, its solids and the shear in the gap, so inputs cannot be
chosen independently. Between two recipes already made it can be interpolated.
"""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 8
STEPS = 10


def candidates(made: np.ndarray, scaled: np.ndarray) -> np.ndarray:
    """Recipes already made, and points on the lines between nearest neighbours (`scaled`: for distances).

    Interpolation is logarithmic, as viscosity and gap act by ratios.
    """
    _, first = np.unique(made, axis=0, return_index=True)
    recipes, place = made[first], scaled[first]
    if len(recipes) < 2:
        return recipes
    squares = ((place[:, None, :] - place[None, :, :]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    nearest = np.argsort(squares, axis=1)[:, : min(NEIGHBOURS, len(recipes) - 1)]
    pairs = {
        (min(recipe, other), max(recipe, other))
        for recipe, others in enumerate(nearest.tolist())
        for other in others
    }
    left, right = (recipes[list(side)] for side in zip(*sorted(pairs), strict=True))
    steps = np.linspace(0, 1, STEPS + 1)[1:-1]
    between = [np.exp((1 - step) * np.log(left) + step * np.log(right)) for step in steps]
    return np.concatenate([recipes, *between])
