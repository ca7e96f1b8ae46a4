"""A plain Gaussian process that is fast to fit: four kernels, one length per input, one noise.

For protocols that fit hundreds of times; registered models are fitted by `gaussian_process`. The signal
variance has a closed form given the other parameters, and gradients are analytic. Each fit starts from
fixed values and sees only its own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs
from scipy.optimize import minimize

Correlated = tuple[np.ndarray, np.ndarray, np.ndarray | None]
JITTER = 1e-8
USUAL_LENGTH, USUAL_NOISE = 2.0, 0.05
PRIOR_SD = 2.0
"""Width of the prior on the logarithms of lengths and shape: it only bounds idle ones."""
LENGTHS, NOISES, SHAPES = (-2.5, 5.0), (np.log(1e-6), np.log(10.0)), (-3.0, 5.0)
NO_CHOLESKY = 1e10


@dataclass(frozen=True)
class Kernel:
    """How strongly two rows are correlated.

    `correlate` takes squared distances and the shape, and returns the correlation, minus twice its slope,
    and its derivative with respect to the logarithm of the shape.
    """

    name: str
    correlate: Callable[[np.ndarray, float], Correlated]
    has_shape: bool = False


def _rbf(squared: np.ndarray, shape: float) -> Correlated:
    made = np.exp(-0.5 * squared)
    return made, made, None


def _matern_3_2(squared: np.ndarray, shape: float) -> Correlated:
    far = np.sqrt(3.0 * squared)
    faded = np.exp(-far)
    return (1.0 + far) * faded, 3.0 * faded, None


def _matern_5_2(squared: np.ndarray, shape: float) -> Correlated:
    far = np.sqrt(5.0 * squared)
    faded = np.exp(-far)
    return (1.0 + far + far**2 / 3.0) * faded, 5.0 / 3.0 * (1.0 + far) * faded, None


def _rational_quadratic(squared: np.ndarray, shape: float) -> Correlated:
    base = 1.0 + squared / (2.0 * shape)
    made = base**-shape
    return made, made / base, made * (squared / (2.0 * base) - shape * np.log(base))


RBF = Kernel("RBF", _rbf)
KERNELS = (
    RBF,
    Kernel("Matern 3/2", _matern_3_2),
    Kernel("Matern 5/2", _matern_5_2),
    Kernel("rational quadratic", _rational_quadratic, has_shape=True),
)


@dataclass(frozen=True)
class Search:
    """How to search for the likeliest lengths."""

    lengths: tuple[float, ...]
    """Starting points; the likeliest optimum wins."""
    tolerance: float


QUICK = Search((USUAL_LENGTH,), 1e-4)
"""Enough for predictions, which hardly change near the optimum."""
THOROUGH = Search((0.5, USUAL_LENGTH, 8.0), 1e-7)
"""For when the lengths themselves matter: several sets of them may be nearly as likely."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """Scales values to mean 0 and standard deviation 1 over the training rows."""

    center: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Scaling:
        spread = values.std(axis=0)
        return cls(values.mean(axis=0), np.where(spread > 0, spread, 1.0))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (values - self.center) / self.scale
        return scaled


@dataclass(frozen=True, eq=False)
class Process:
    """The fitted process of one target."""

    kernel: Kernel
    scaling: Scaling
    of_target: Scaling
    train: np.ndarray
    """Scaled training rows."""
    lengths: np.ndarray
    noise: float
    """Noise variance as a share of the signal variance."""
    shape: float
    weights: np.ndarray
    fitted: np.ndarray
    """Posterior means at the training rows."""

    def mean(self, inputs: np.ndarray) -> np.ndarray:
        """The posterior mean at other rows."""
        apart = _squared(self.scaling(inputs) / self.lengths, self.train / self.lengths)
        curve = self.kernel.correlate(apart, self.shape)[0] @ self.weights
        mean: np.ndarray = self.of_target.center + self.of_target.scale * curve
        return mean


def fit(
    inputs: np.ndarray,
    targets: np.ndarray,
    kernel: Kernel = RBF,
    learn_on: Sequence[int] | np.ndarray | None = None,
    search: Search = QUICK,
) -> list[Process]:
    """One process for each column of the targets; scaling and distances are shared.

    Where positions to `learn_on` are given, lengths, noise and shape come from these rows, and all rows
    are then conditioned on: the cost of learning grows with the cube of the rows.
    """
    scaling = Scaling.of(inputs)
    train = scaling(inputs)
    some = np.arange(len(train)) if learn_on is None else np.asarray(learn_on)
    likelihood = _Likelihood(train[some], kernel)
    made = []
    for target in targets.T:
        of_target = Scaling.of(target)
        at = likelihood.most_likely(of_target(target)[some], search)
        d = train.shape[1]
        lengths, noise = np.exp(at[:d]), float(np.exp(at[d]))
        shape = float(np.exp(at[-1])) if kernel.has_shape else 1.0
        made.append(condition(inputs, target, lengths, noise, kernel, shape))
    return made


def condition(
    inputs: np.ndarray,
    target: np.ndarray,
    lengths: np.ndarray,
    noise: float,
    kernel: Kernel = RBF,
    shape: float = 1.0,
) -> Process:
    """A process with given lengths (in standard deviations of the inputs), noise and shape."""
    scaling, of_target = Scaling.of(inputs), Scaling.of(target)
    train, y = scaling(inputs), of_target(target)
    matrix = kernel.correlate(_squared(train / lengths, train / lengths), shape)[0]
    own = noise + JITTER
    np.fill_diagonal(matrix, 1.0 + own)
    weights = dpotrs(dpotrf(matrix.T, lower=1, overwrite_a=1)[0], y, lower=1)[0]
    fitted = of_target.center + of_target.scale * (y - own * weights)
    return Process(
        kernel, scaling, of_target, train, lengths, noise, shape, weights, np.asarray(fitted)
    )


def _squared(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    squares = (left * left).sum(1)[:, None] + (right * right).sum(1)[None, :] - 2.0 * left @ right.T
    at_least_zero: np.ndarray = np.maximum(squares, 0.0)
    return at_least_zero


class _Likelihood:
    """Negative log posterior and its gradient with respect to the logarithms of lengths, noise and shape.

    Matrices are symmetric: everything is computed once per pair of rows.
    """

    def __init__(self, train: np.ndarray, kernel: Kernel) -> None:
        self.kernel = kernel
        self.n, self.d = train.shape
        self.left, self.right = np.tril_indices(self.n, -1)
        self.pairs = self.right * self.n + self.left  # places in a matrix stored by columns
        self.squares = np.stack(
            [(column[self.left] - column[self.right]) ** 2 for column in train.T]
        )
        shaped = int(kernel.has_shape)
        self.start = np.log([USUAL_LENGTH] * self.d + [USUAL_NOISE] + [1.0] * shaped)
        self.bounds = [LENGTHS] * self.d + [NOISES] + [SHAPES] * shaped
        self.has_prior = np.array([1.0] * self.d + [0.0] + [1.0] * shaped)

    def most_likely(self, y: np.ndarray, search: Search) -> np.ndarray:
        tried = []
        for length in search.lengths:
            start = self.start.copy()
            start[: self.d] = np.log(length)
            tried.append(
                minimize(
                    lambda at: self.value(at, y),
                    start,
                    jac=True,
                    method="L-BFGS-B",
                    bounds=self.bounds,
                    options={"ftol": search.tolerance, "maxcor": 8},
                )
            )
        best: np.ndarray = min(tried, key=lambda optimum: optimum.fun).x
        return best

    def value(self, at: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        n, d = self.n, self.d
        shrunk, noise = np.exp(-2.0 * at[:d]), np.exp(at[d])
        shape = float(np.exp(at[-1])) if self.kernel.has_shape else 1.0
        alike, slope, by_shape = self.kernel.correlate(shrunk @ self.squares, shape)
        matrix = np.zeros(n * n)
        matrix[self.pairs] = alike
        matrix[:: n + 1] = 1.0 + noise + JITTER
        factor, failed = dpotrf(matrix.reshape(n, n, order="F"), lower=1, overwrite_a=1)
        if failed:
            return NO_CHOLESKY, np.zeros_like(at)
        alpha = dpotrs(factor, y, lower=1)[0]
        signal = y @ alpha / n
        off = self.has_prior * (at - self.start) / PRIOR_SD
        value = 0.5 * n * np.log(signal) + np.log(np.diag(factor)).sum() + 0.5 * (off @ off)
        inverse = dpotri(factor, lower=1, overwrite_c=1)[0]
        pull = inverse.ravel(order="K")[self.pairs] - alpha[self.left] * alpha[self.right] / signal
        gradient = off / PRIOR_SD
        gradient[:d] += shrunk * (self.squares @ (pull * slope))
        gradient[d] += 0.5 * noise * (np.trace(inverse) - alpha @ alpha / signal)
        if by_shape is not None:
            gradient[-1] += pull @ by_shape
        return float(value), gradient
