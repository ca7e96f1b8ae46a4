"""Global sensitivity: which inputs move a prediction over their whole range (Wu et al.).

Works on any callable, such as a surrogate's mean. The indices inherit the errors of the callable, so
bounds should lie within the range on which it was trained. Inputs vary independently, so three
components of a recipe that add up to 100 % must enter as two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from battery_platform.errors import PlatformError

Predict = Callable[[np.ndarray], np.ndarray]
"""Takes rows x inputs and returns one number per row."""
LEVEL = 0.95
RESAMPLES = 300


@dataclass(frozen=True)
class Index:
    """One input's share of the variance: alone (first order), and including interactions (total)."""

    name: str
    first: float
    first_low: float
    first_high: float
    total: float
    total_low: float
    total_high: float


@dataclass(frozen=True)
class Sensitivity:
    """Sobol indices with 95 % intervals of the sampling, in the order of the bounds."""

    indices: tuple[Index, ...]
    mean: float
    deviation: float
    """Standard deviation of the prediction over the bounds."""
    evaluations: int
    constant: tuple[str, ...]
    """Inputs left out because both ends of their range are the same."""

    def index(self, name: str) -> Index:
        return next(index for index in self.indices if index.name == name)


def sobol(
    predict: Predict,
    bounds: Mapping[str, tuple[float, float]],
    samples: int = 1024,
    seed: int = 0,
) -> Sensitivity:
    """Indices of inputs that are uniformly distributed over their bounds.

    This costs samples x (inputs + 2) predictions; `samples` is rounded up to a power of two, as the
    low-discrepancy sequence requires. An input whose bounds are equal keeps that value.
    """
    from scipy.stats import uniform

    for name, (low, high) in bounds.items():
        if not (np.isfinite(low) and np.isfinite(high) and low <= high):
            raise PlatformError(
                f"The bounds of '{name}' are {low:g} to {high:g}.",
                "Give a finite lower bound and a higher upper one.",
            )
    shapes = {
        name: uniform(low, high - low) if high > low else low
        for name, (low, high) in bounds.items()
    }
    return variance_shares(predict, shapes, samples, seed)


def variance_shares(
    predict: Predict, shapes: Mapping[str, Any], samples: int, seed: int
) -> Sensitivity:
    """Indices of inputs of any shape: a frozen distribution of scipy, or a fixed number.

    Computed here rather than by `scipy.stats.sobol_indices`, whose intervals cannot be seeded and which
    fails for a single input.
    """
    moving = [name for name, shape in shapes.items() if hasattr(shape, "ppf")]
    if not moving:
        raise PlatformError("No input varies.", "Give at least one input a range.")
    samples = 1 << (max(samples, 2) - 1).bit_length()
    first, second = _two_samples(shapes, moving, samples, seed)
    at_first, at_second = (checked(predict(inputs), samples) for inputs in (first, second))
    both = np.concatenate([at_first, at_second])
    if np.ptp(both) <= 1e-12 * np.abs(both).max():
        raise PlatformError(
            "The prediction is the same all over the ranges of its inputs.",
            "Widen the ranges, or look at another target.",
        )
    mixed = np.empty((len(moving), samples))
    for number, name in enumerate(moving):
        column = list(shapes).index(name)
        swapped = first.copy()
        swapped[:, column] = second[:, column]
        mixed[number] = checked(predict(swapped), samples)
    centre = both.mean()
    shares = _shares(at_first - centre, at_second - centre, mixed - centre, seed)
    return Sensitivity(
        tuple(Index(name, *map(float, row)) for name, row in zip(moving, shares, strict=True)),
        float(centre),
        float(both.std()),
        samples * (len(moving) + 2),
        tuple(name for name in shapes if name not in moving),
    )


def checked(answer: np.ndarray, rows: int) -> np.ndarray:
    """The return value of a callable, if it is one finite number per row."""
    values = np.asarray(answer, dtype=float)
    if values.shape != (rows,):
        raise PlatformError(
            f"The prediction has shape {values.shape} for {rows} rows.",
            "Return one number per row.",
        )
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise PlatformError(
            f"{bad} of {rows} predictions are not finite.",
            "Narrow the ranges to where the prediction is defined.",
        )
    return values


def _two_samples(
    shapes: Mapping[str, Any], moving: Sequence[str], samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two independent samples, from one sequence of twice the inputs."""
    from scipy.stats.qmc import Sobol

    unit = Sobol(2 * len(moving), rng=np.random.default_rng(seed)).random(samples)
    unit = np.clip(unit, 1e-12, 1 - 1e-12)
    pair = []
    for half in np.split(unit, 2, axis=1):
        inputs = np.empty((samples, len(shapes)))
        for column, (name, shape) in enumerate(shapes.items()):
            inputs[:, column] = shape.ppf(half[:, moving.index(name)]) if name in moving else shape
        pair.append(inputs)
    return pair[0], pair[1]


def _shares(first: np.ndarray, second: np.ndarray, mixed: np.ndarray, seed: int) -> np.ndarray:
    """Inputs x (first, low, high, total, low, high); estimators of Saltelli 2010 and of Jansen.

    Every sum is computed once per sample point; a bootstrap draw then only reweights the points.
    """
    count = len(first)
    alone = second * (mixed - first)
    together = 0.5 * (mixed - first) ** 2
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    weights = np.vstack([np.ones((1, count)), drawn]) / count
    variance = weights @ (first**2 + second**2) / 2 - (weights @ (first + second) / 2) ** 2
    columns = []
    for terms in (alone, together):
        indices = (weights @ terms.T) / variance[:, None]
        ends = np.quantile(indices[1:], [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)
        columns += [indices[0], *ends]
    return np.column_stack(columns)
