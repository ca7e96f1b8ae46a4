"""How active material is distributed through an electrode.

In scope: the ten points of a profile, their constraints, and what follows from them by geometry: cell
averages, random profiles, coatings in layers. Out of scope: thicknesses and anything that needs a
solver.

The paper connects the points by "cubic-piecewise interpolation". This must be PCHIP: with it all sixteen
published profiles have the stated mean within 0.001, with straight lines three do not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from battery_platform.electrochemistry.ranges import is_number, shown
from battery_platform.errors import PlatformError

Array = npt.NDArray[np.float64]

POINTS = 10
LOWEST, HIGHEST = 0.2, 0.8
BINDER = 0.1
SOLID_AND_PORES = 1.0 - BINDER
MEAN_TOLERANCE = 0.001
# Allowance for rounding in tables and sums, too small to be a real violation.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Profile:
    """Active-material fractions at ten evenly spaced depths, from separator to collector."""

    points: tuple[float, ...]

    @property
    def porosities(self) -> tuple[float, ...]:
        """Pore volume at each point: what is neither active material nor binder."""
        return tuple(SOLID_AND_PORES - point for point in self.points)


@dataclass(frozen=True)
class Layer:
    """One coating: its share of the thickness and its fraction of active material."""

    thickness_share: float
    active_fraction: float


def check_profile(
    profile: Profile, target: float, field: str = "profile", direction: str = "graded"
) -> None:
    """Refuse an impossible profile; `direction` "reversed" expects one that falls towards the collector."""
    if direction not in ("graded", "reversed"):
        raise PlatformError(
            f"{field}_direction is {direction!r}; it must be graded or reversed.",
            "A graded profile rises towards the collector, a reversed one falls.",
        )
    _check_target(target, field)
    points = profile.points
    if len(points) != POINTS:
        raise PlatformError(
            f"{field} has {len(points)} points; it must have {POINTS}.",
            "Give the fractions at evenly spaced depths, the first at the separator.",
        )
    for number, point in enumerate(points, start=1):
        if not _is_within(point, LOWEST, HIGHEST):
            raise PlatformError(
                f"{field}, point {number}, is {shown(point)}; it must lie between {LOWEST:g} and "
                f"{HIGHEST:g}.",
                "Give fractions of the volume, not percent; a tenth of it is binder.",
            )
    steps = np.diff(points) if direction == "graded" else -np.diff(points)
    if np.min(steps) < -_ROUNDING:
        number = int(np.argmin(steps)) + 1
        raise PlatformError(
            f"{field} goes from {points[number - 1]:g} at point {number} to {points[number]:g} at "
            f"point {number + 1}; a {direction} profile must not "
            f"{'fall' if direction == 'graded' else 'rise'} towards the collector.",
            "Give the point at the separator first.",
        )
    profile_mean = mean(profile)
    if abs(profile_mean - target) > MEAN_TOLERANCE:
        raise PlatformError(
            f"{field} has a mean of {profile_mean:.4f}; it must lie between "
            f"{target - MEAN_TOLERANCE:.4f} and {target + MEAN_TOLERANCE:.4f}.",
            "The mean is that over the thickness, with the points joined by PCHIP.",
        )


def _check_target(target: float, field: str) -> None:
    if not _is_within(target, LOWEST, HIGHEST):
        raise PlatformError(
            f"{field}_mean is {shown(target)}; it must lie between {LOWEST:g} and {HIGHEST:g}.",
            "Give a fraction of the volume, not percent.",
        )


def _is_within(value: object, low: float, high: float) -> bool:
    return is_number(value) and low - _ROUNDING <= value <= high + _ROUNDING  # type: ignore[operator]


def uniform(mean_fraction: float) -> Profile:
    """The profile with the same fraction everywhere."""
    return Profile((float(mean_fraction),) * POINTS)


def reversed_(profile: Profile) -> Profile:
    """The profile reversed, with the same amount of material."""
    return Profile(profile.points[::-1])


def mean(profile: Profile) -> float:
    """The mean fraction over the thickness, under PCHIP."""
    return float(cell_averages(profile, np.array([0.0, 1.0]))[0])


def cell_averages(profile: Profile, edges: Array) -> Array:
    """Exact averages between neighbouring edges; 0 is the separator, 1 the collector."""
    from scipy.interpolate import PchipInterpolator

    depths = np.linspace(0.0, 1.0, POINTS)
    integral = PchipInterpolator(depths, np.asarray(profile.points, dtype=float)).antiderivative()
    averages: Array = np.diff(integral(edges)) / np.diff(edges)
    return averages


def random_profiles(mean_fraction: float, count: int, seed: int) -> list[Profile]:
    """`count` random graded profiles with that mean; the same seed gives the same profiles.

    The paper only says "randomly generated". Here a profile is a staircase of two to six levels: the
    number of levels and the points at which they begin are drawn uniformly, the heights are sorted uniform
    numbers, and the whole is stretched by a factor drawn uniformly between a tenth and the largest that
    keeps the profile within bounds once it is shifted to its mean. PCHIP commutes with shifting and
    stretching, so the mean is exact. Most of the published optima are such staircases of two levels.
    """
    _check_target(mean_fraction, "profile")
    if not (isinstance(count, int) and 0 <= count <= 1_000_000):
        raise PlatformError(
            f"count is {count!r}; it must lie between 0 and 1000000.", "Give a whole number."
        )
    drawn = list(itertools.islice(_draws(mean_fraction, np.random.default_rng(seed)), count))
    for profile in drawn:
        check_profile(profile, mean_fraction)
    return drawn


def _draws(mean_fraction: float, generator: np.random.Generator) -> Iterator[Profile]:
    while True:
        levels = int(generator.integers(2, 7))
        begins = np.sort(generator.choice(np.arange(1, POINTS), size=levels - 1, replace=False))
        heights = np.concatenate([[0.0], np.sort(generator.random(levels - 1))])
        shape = heights[np.searchsorted(begins, np.arange(POINTS), side="right")]
        shape = shape - mean(Profile(tuple(shape)))
        largest = min((mean_fraction - LOWEST) / -shape[0], (HIGHEST - mean_fraction) / shape[-1])
        points = mean_fraction + shape * largest * generator.uniform(0.1, 1.0)
        yield Profile(tuple(float(point) for point in np.clip(points, LOWEST, HIGHEST)))


def layers(profile: Profile, count: int, resolution: int = 180) -> tuple[Layer, ...]:
    """The coating in `count` layers that best fits a profile, from separator to collector.

    The fit is by least squares of the fraction over the thickness; each layer has the mean of what it
    replaces, so that the amount of active material stays exact. Borders lie on a grid of `resolution`
    slices, among which dynamic programming finds the optimum.
    """
    if not (isinstance(count, int) and 1 <= count <= POINTS):
        raise PlatformError(
            f"{count!r} layers cannot be coated; 1 to {POINTS} can.",
            "Give the number of layers that are coated on top of each other.",
        )
    edges = np.linspace(0.0, 1.0, resolution + 1)
    values = cell_averages(profile, edges)
    borders = _best_borders(values, count)
    averages = cell_averages(profile, edges[borders])
    shares = np.diff(edges[borders])
    return tuple(Layer(float(s), float(a)) for s, a in zip(shares, averages, strict=True))


def check_layers(plan: Sequence[Layer], target: float, field: str = "layers") -> None:
    """Refuse impossible layers, and layers with a different amount of material."""
    if not 1 <= len(plan) <= POINTS:
        raise PlatformError(
            f"{field} has {len(plan)} layers; it must have 1 to {POINTS}.",
            "Give each layer once, from separator to collector.",
        )
    for number, layer in enumerate(plan, start=1):
        for name, value, low, high in (
            ("thickness_share", layer.thickness_share, 0.0, 1.0),
            ("active_fraction", layer.active_fraction, LOWEST, HIGHEST),
        ):
            if not _is_within(value, low, high):
                raise PlatformError(
                    f"{field}, layer {number}: {name} is {value!r}; it must lie between {low:g} "
                    f"and {high:g}.",
                    "Give fractions, not percent.",
                )
    shares = sum(layer.thickness_share for layer in plan)
    if abs(shares - 1) > 1e-6:
        raise PlatformError(
            f"{field}: the thickness shares add up to {shares:.4f}; they must add up to 1.",
            "Give shares of the thickness of the electrode.",
        )
    layers_mean = sum(layer.thickness_share * layer.active_fraction for layer in plan)
    if abs(layers_mean - target) > MEAN_TOLERANCE:
        raise PlatformError(
            f"{field} has a mean of {layers_mean:.4f}; it must lie between "
            f"{target - MEAN_TOLERANCE:.4f} and {target + MEAN_TOLERANCE:.4f}.",
            "The mean is that over the thickness.",
        )


def _best_borders(values: Array, count: int) -> list[int]:
    """Slices at which layers begin and end, such that the sum of squared differences is least."""
    number = len(values)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    squares = np.concatenate([[0.0], np.cumsum(values**2)])

    def cost(begin: npt.NDArray[np.intp], end: int) -> Array:
        squared_differences: Array = (
            squares[end] - squares[begin] - (sums[end] - sums[begin]) ** 2 / (end - begin)
        )
        return squared_differences

    best = np.full((count + 1, number + 1), np.inf)
    came = np.zeros((count + 1, number + 1), dtype=int)
    best[0, 0] = 0.0
    for layer in range(1, count + 1):
        for end in range(layer, number + 1):
            begins = np.arange(layer - 1, end)
            total = best[layer - 1, begins] + cost(begins, end)
            chosen = int(np.argmin(total))
            best[layer, end], came[layer, end] = total[chosen], begins[chosen]
    borders = [number]
    for layer in range(count, 0, -1):
        borders.append(int(came[layer, borders[-1]]))
    return borders[::-1]


def layered_averages(plan: Sequence[Layer], edges: Array) -> Array:
    """Exact averages of a layered coating between neighbouring edges, like `cell_averages`."""
    borders = np.concatenate([[0.0], np.cumsum([layer.thickness_share for layer in plan])])
    fractions = np.array([layer.active_fraction for layer in plan])
    filled = np.concatenate([[0.0], np.cumsum(fractions * np.diff(borders))])
    averages: Array = np.diff(np.interp(edges, borders, filled)) / np.diff(edges)
    return averages
