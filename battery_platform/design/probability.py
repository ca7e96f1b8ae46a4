"""The probability that an electrode meets all targets, given predictions with correlated errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(48)


def within(mean: np.ndarray, deviation: np.ndarray, wanted: float, tolerance: float) -> np.ndarray:
    """Probability of wanted ± tolerance under a normal distribution."""
    from scipy.special import ndtr

    low, high = (wanted - tolerance - mean) / deviation, (wanted + tolerance - mean) / deviation
    probability: np.ndarray = ndtr(high) - ndtr(low)
    return probability


def within_all(
    mean: Sequence[np.ndarray],
    deviation: Sequence[np.ndarray],
    wanted: Sequence[float],
    tolerance: Sequence[float],
    correlation: float | None,
) -> np.ndarray:
    """Probability that one quantity, or each of two, lies within its tolerance."""
    if len(mean) == 1:
        return within(mean[0], deviation[0], wanted[0], tolerance[0])
    first, second = range(len(mean))
    return within_both(
        (mean[first], mean[second]),
        (deviation[first], deviation[second]),
        (wanted[first], wanted[second]),
        (tolerance[first], tolerance[second]),
        correlation or 0.0,
    )


def within_both(
    mean: tuple[np.ndarray, np.ndarray],
    deviation: tuple[np.ndarray, np.ndarray],
    wanted: tuple[float, float],
    tolerance: tuple[float, float],
    correlation: float,
) -> np.ndarray:
    """Probability of both, by quadrature over the first and the second given the first."""
    from scipy.special import ndtr

    low = np.clip((wanted[0] - tolerance[0] - mean[0]) / deviation[0], -9, 9)[:, None]
    high = np.clip((wanted[0] + tolerance[0] - mean[0]) / deviation[0], -9, 9)[:, None]
    half = 0.5 * (high - low)
    first = 0.5 * (high + low) + half * NODES[None, :]
    density = np.exp(-0.5 * first**2) / np.sqrt(2 * np.pi)
    rest = np.sqrt(1 - correlation**2)
    centre = mean[1][:, None] + correlation * deviation[1][:, None] * first
    spread = rest * deviation[1][:, None]
    given = ndtr((wanted[1] + tolerance[1] - centre) / spread) - ndtr(
        (wanted[1] - tolerance[1] - centre) / spread
    )
    integral: np.ndarray = (half * density * given) @ WEIGHTS
    # quadrature is exact to about 1e-6, but both can never be likelier than either alone
    first_alone = within(mean[0], deviation[0], wanted[0], tolerance[0])
    second_alone = within(mean[1], deviation[1], wanted[1], tolerance[1])
    both: np.ndarray = np.minimum(integral.clip(0.0, 1.0), np.minimum(first_alone, second_alone))
    return both
