"""What tolerances of the process cost: from the scatter of inputs to scrap (Schmidt et al.).

Inputs are drawn within their tolerances, independently of each other; a surrogate predicts the result of
each draw and its uncertainty. The surrogate's uncertainty is added to that of the inputs and also shown
separately, so that nobody tightens a tolerance where a better model is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from battery_platform.errors import PlatformError
from battery_platform.factors.sensitivity import checked, variance_shares

PredictWithDeviation = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Takes rows x inputs and returns the mean and the standard deviation of each row."""
SAMPLES = 1024
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Tolerance:
    """An input's nominal value with a standard deviation (normal) or a band (uniform).

    With neither, the input keeps its nominal value.
    """

    nominal: float
    deviation: float | None = None
    band: tuple[float, float] | None = None
    """Lowest and highest permitted value; need not be symmetric about the nominal one."""

    def __post_init__(self) -> None:
        low, high = self.band or (self.nominal, self.nominal)
        spread = self.deviation if self.deviation is not None else 0.0
        if not np.isfinite([self.nominal, low, high, spread]).all():
            raise PlatformError("A tolerance holds a value that is not finite.", "Give numbers.")
        if self.band is not None and self.deviation is not None:
            raise PlatformError(
                "A tolerance has both a standard deviation and a band.", "Give one of them."
            )
        if spread < 0 or not low <= self.nominal <= high:
            raise PlatformError(
                f"A nominal value of {self.nominal:g} does not fit a deviation of {spread:g} and a "
                f"band from {low:g} to {high:g}.",
                "Deviations are positive, and a band holds the nominal value.",
            )

    def shape(self) -> Any:
        """A frozen distribution of scipy, or the nominal value."""
        from scipy.stats import norm, uniform

        if self.deviation:
            return norm(self.nominal, self.deviation)
        if self.band and self.band[1] > self.band[0]:
            return uniform(self.band[0], self.band[1] - self.band[0])
        return self.nominal


@dataclass(frozen=True)
class InputShare:
    """The share of the target's variance that one input causes by itself."""

    name: str
    share: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Propagation:
    """The target's distribution under the tolerances."""

    drawn: np.ndarray
    """Draws of the target: scatter of inputs and of the surrogate."""
    at_nominal: float
    mean: float
    deviation: float
    quantiles: Mapping[float, float]
    limits: tuple[float | None, float | None]
    share_below: float
    share_above: float
    share_out: float
    share_out_low: float
    share_out_high: float
    """95 % interval (Wilson) from the number of draws; errors of the surrogate are not included."""
    inputs: tuple[InputShare, ...]
    surrogate_share: float
    """Share of the variance that the surrogate's uncertainty causes."""
    fixed: tuple[str, ...]
    """Inputs without a tolerance."""

    @property
    def interaction_share(self) -> float:
        """Share of the variance caused by interactions of inputs; near zero if there are none."""
        return 1.0 - self.surrogate_share - sum(share.share for share in self.inputs)

    def input(self, name: str) -> InputShare:
        return next(share for share in self.inputs if share.name == name)


def propagate(
    predict: PredictWithDeviation,
    tolerances: Mapping[str, Tolerance],
    limits: tuple[float | None, float | None] = (None, None),
    draws: int = 10_000,
    seed: int = 0,
) -> Propagation:
    """The distribution of the target, its share outside the limits, and each input's share of its variance.

    Inputs must be in the order in which the surrogate takes them. The share out of specification is the
    mean of the probabilities of all draws, which needs far fewer draws than counting.
    """
    _refuse(limits, draws)
    shapes = {name: tolerance.shape() for name, tolerance in tolerances.items()}
    shares = variance_shares(lambda inputs: _ask(predict, inputs)[0], shapes, SAMPLES, seed)
    rng = np.random.default_rng(seed)
    inputs = np.column_stack(
        [
            shape.ppf(rng.random(draws)) if hasattr(shape, "ppf") else np.full(draws, shape)
            for shape in shapes.values()
        ]
    )
    mean, deviation = _ask(predict, inputs)
    drawn = mean + deviation * rng.standard_normal(draws)
    below, above = _outside(mean, deviation, limits)
    low, high = _wilson(below + above, draws)
    own = float((deviation**2).mean())
    of_inputs = shares.deviation**2 / (shares.deviation**2 + own)
    nominal = np.array([[tolerance.nominal for tolerance in tolerances.values()]])
    return Propagation(
        drawn,
        float(_ask(predict, nominal)[0][0]),
        float(mean.mean()),
        float(np.sqrt(mean.var() + own)),
        {level: float(np.quantile(drawn, level)) for level in (0.025, 0.05, 0.5, 0.95, 0.975)},
        limits,
        below,
        above,
        below + above,
        low,
        high,
        tuple(
            InputShare(
                index.name,
                of_inputs * index.first,
                of_inputs * index.first_low,
                of_inputs * index.first_high,
            )
            for index in shares.indices
        ),
        1.0 - of_inputs,
        shares.constant,
    )


def _refuse(limits: tuple[float | None, float | None], draws: int) -> None:
    low, high = limits
    if low is not None and high is not None and low >= high:
        raise PlatformError(
            f"The limits of the specification are {low:g} to {high:g}.",
            "Give the lower one first.",
        )
    if draws < 100:
        raise PlatformError(f"{draws} draws are too few.", "Take at least 100.")


def _ask(predict: PredictWithDeviation, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, deviation = (checked(answer, len(inputs)) for answer in predict(inputs))
    if (deviation < 0).any():
        raise PlatformError(
            "The surrogate returns negative standard deviations.",
            "It must return means and standard deviations, in this order.",
        )
    return mean, deviation


def _outside(
    mean: np.ndarray, deviation: np.ndarray, limits: tuple[float | None, float | None]
) -> tuple[float, float]:
    """Probability of being below the lower limit, and above the upper one."""
    from scipy.special import ndtr

    def beyond(gap: np.ndarray) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            sure = np.where(gap > 0, 1.0, 0.0)
            return float(np.where(deviation > 0, ndtr(gap / deviation), sure).mean())

    low, high = limits
    return (
        0.0 if low is None else beyond(low - mean),
        0.0 if high is None else beyond(mean - high),
    )


def _wilson(share: float, count: int) -> tuple[float, float]:
    scale = 1 + Z95**2 / count
    centre = (share + Z95**2 / (2 * count)) / scale
    half = Z95 * np.sqrt(share * (1 - share) / count + Z95**2 / (4 * count**2)) / scale
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
