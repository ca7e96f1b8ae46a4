"""Splits that cannot leak: rows of one batch are never on both sides.

Splits made elsewhere must pass `refuse_leaks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from battery_platform.errors import PlatformError

Fold = tuple[np.ndarray, np.ndarray]


class LeakingSplit(PlatformError):  # noqa: N818 -- it is the split that leaks
    """A split that would report a success which will not be seen on a new batch."""


def grouped_folds(groups: np.ndarray, splits: int, seed: int) -> Iterator[Fold]:
    """Train and test positions of each fold; groups stay whole, their order is drawn from the seed."""
    names = np.unique(groups)
    if len(names) < 2:
        raise PlatformError(
            "All rows come from one batch: nothing can be said about other batches.",
            "Hand in electrodes of further batches.",
        )
    order = np.random.default_rng(seed).permutation(names)
    for held_out in np.array_split(order, min(splits, len(names))):
        test = np.isin(groups, held_out)
        yield np.flatnonzero(~test), np.flatnonzero(test)


def repeated_folds(groups: np.ndarray, splits: int, repeats: int, seed: int) -> list[list[Fold]]:
    """Several such splits of all rows, each with its own seed."""
    return [list(grouped_folds(groups, splits, seed + number)) for number in range(repeats)]


def range_folds(values: np.ndarray, ranges: int = 3) -> Iterator[Fold]:
    """Low, middle and high values held out in turn, to see how far a model extrapolates.

    Batches are on both sides here, so such a split never decides on a model.
    """
    for left_out in np.array_split(np.unique(values), ranges):
        test = np.isin(values, left_out)
        yield np.flatnonzero(~test), np.flatnonzero(test)


def holdout(groups: np.ndarray, share: float, seed: int) -> Fold:
    """Train and test positions, with about this share of whole groups drawn for the test."""
    names = np.unique(groups)
    tested = max(1, round(share * len(names)))
    if tested >= len(names):
        raise PlatformError(
            f"{len(names)} group(s) cannot be split.", "Hand in rows of further groups."
        )
    test = np.isin(groups, np.random.default_rng(seed).permutation(names)[:tested])
    return np.flatnonzero(~test), np.flatnonzero(test)


def refuse_leaks(
    groups: np.ndarray, repeats: Sequence[Sequence[Fold]], called: str = "slurry batches"
) -> None:
    """Refuse splits with a batch on both sides, rows tested never or twice, or an empty side."""
    for folds in repeats:
        tested = np.zeros(len(groups), dtype=int)
        for train, test in folds:
            if not len(train) or not len(test):
                raise LeakingSplit("A fold has no rows to train or to test on.")
            shared = np.intersect1d(groups[train], groups[test])
            if len(shared):
                raise LeakingSplit(
                    f"{len(shared)} of {len(np.unique(groups))} {called} are on both sides of "
                    f"a split, such as '{shared[0]}': replicates of one batch would be learnt and "
                    "then asked.",
                    f"Split by whole {called}, not by row.",
                )
            np.add.at(tested, test, 1)
        if (tested != 1).any():
            raise LeakingSplit(
                f"{int((tested != 1).sum())} rows are tested never or more than once in a repeat."
            )
