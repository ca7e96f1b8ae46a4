"""Training a network of full layers by Adam: all its numbers in one vector, all steps in the same memory.

Networks here are small and their steps many: what a step costs is not its arithmetic but how often
numpy is called. So weights and biases are views of one vector, each layer carries a 1 beside its
values for the bias, and the rows of many steps are drawn and gathered at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

BATCH = 64
AT_ONCE = 128
"""Steps whose rows are gathered together."""
KEEP, KEEP_SQUARES = np.float32(0.9), np.float32(0.999)
SMALL = 1e-7
Layers = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Course:
    """The layers of a network and how it is trained."""

    hidden: tuple[int, ...]
    steps: int
    rate: float
    sigmoid: bool = False
    """Whether units are sigmoids instead of rectifiers."""
    dropped: float = 0.0
    """Share of the first layer that each step leaves out."""


def trained(at: np.ndarray, y: np.ndarray, course: Course, seed: int) -> Layers:
    """Adam on squared errors of random batches, its rate falling along a cosine to nothing."""
    random = np.random.default_rng(seed)
    x = np.hstack([at, np.ones((len(at), 1))]).astype(np.float32)
    target = y.astype(np.float32)[:, None]
    network = Network((at.shape[1], *course.hidden, 1), min(BATCH, len(x)), course, random)
    first, second, scratch = (np.zeros_like(network.numbers) for _ in range(3))
    for start in range(0, course.steps, AT_ONCE):
        some = random.integers(
            len(x), size=(min(AT_ONCE, course.steps - start), network.rows_of_a_step)
        )
        for number, (rows, wanted) in enumerate(zip(x[some], target[some], strict=True), start + 1):
            slope = network.slope(rows, wanted)
            # Both means are kept 10 and 1,000 times too large, which saves two multiplications.
            first *= KEEP
            first += slope
            second *= KEEP_SQUARES
            np.multiply(slope, slope, out=scratch)
            second += scratch
            np.sqrt(second, out=scratch)
            scratch += np.float32(SMALL / np.sqrt(0.001))
            np.divide(first, scratch, out=scratch)
            now = course.rate * 0.5 * (1.0 + np.cos(np.pi * number / course.steps))
            unbiased = np.sqrt(1.0 - 0.999**number) / (1.0 - 0.9**number)
            scratch *= np.float32(now * unbiased * 0.1 / np.sqrt(0.001))
            network.numbers -= scratch
    return [(layer[:-1].copy(), layer[-1].copy()) for layer in network.layers]


class Network:
    """A network during training, with the memory that a step needs."""

    def __init__(
        self, sizes: tuple[int, ...], rows: int, course: Course, random: np.random.Generator
    ) -> None:
        self.rows_of_a_step = rows
        self.course, self.random = course, random
        shapes = [(before + 1, after) for before, after in pairwise(sizes)]
        ends = np.cumsum([0, *(high * wide for high, wide in shapes)])
        self.numbers, self.slopes = (np.zeros(ends[-1], np.float32) for _ in range(2))
        self.layers, self.slope_of = (
            [
                vector[start:end].reshape(shape)
                for start, end, shape in zip(ends, ends[1:], shapes, strict=False)
            ]
            for vector in (self.numbers, self.slopes)
        )
        gain = 1.0 if course.sigmoid else 2.0
        for layer in self.layers:
            layer[:-1] = random.normal(0.0, np.sqrt(gain / (len(layer) - 1)), layer[:-1].shape)
        self.values = [np.ones((rows, size + 1), np.float32) for size in sizes[1:-1]]
        self.pulls = [np.empty((rows, size), np.float32) for size in sizes[1:]]
        self.bent = [np.empty((rows, size), np.float32) for size in sizes[1:-1]]

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Of the mean squared error along each number: forwards, then backwards through the layers."""
        before = [x]
        for number, (layer, values) in enumerate(zip(self.layers, self.values, strict=False)):
            own = values[:, :-1]
            np.matmul(before[-1], layer, out=own)
            if self.course.sigmoid:
                own[:] = 1.0 / (1.0 + np.exp(-own))
                np.multiply(own, 1.0 - own, out=self.bent[number])
            else:
                np.maximum(own, 0.0, out=own)
                np.sign(own, out=self.bent[number])
            if number == 0 and self.course.dropped:
                drawn = self.random.random(own.shape[1], dtype=np.float32)
                share = np.float32(1.0 - self.course.dropped)
                mask = np.where(drawn >= self.course.dropped, 1.0 / share, np.float32(0.0))
                own *= mask
                self.bent[0] *= mask
            before.append(values)
        pull = self.pulls[-1]
        np.matmul(before[-1], self.layers[-1], out=pull)
        pull -= y
        pull *= np.float32(2.0 / len(x))
        for number in range(len(self.layers) - 1, -1, -1):
            np.matmul(before[number].T, self.pulls[number], out=self.slope_of[number])
            if number:
                pull = self.pulls[number - 1]
                np.matmul(self.pulls[number], self.layers[number][:-1].T, out=pull)
                pull *= self.bent[number - 1]
        return self.slopes
