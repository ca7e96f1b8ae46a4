"""Columns of numbers in the making, and the draws that all steps of the process share.

A frame maps a column to its values. Columns with a leading underscore are truths that nobody
recorded: later steps depend on them, files do not show them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from battery_platform.synthetic.plant.campaigns import Campaign

Array = npt.NDArray[Any]
Frame = dict[str, Array]
Rng = np.random.Generator


def identifiers(campaign: Campaign, letters: str, count: int) -> Array:
    """Identifiers of one campaign and kind, numbered from 1."""
    start = f"SYN-{campaign.code}-{letters}"
    return np.array([f"{start}{i:04d}" for i in range(1, count + 1)], dtype=object)


def minutes(values: Array) -> Array:
    return np.asarray(np.rint(values).astype("timedelta64[m]"))


def take(frame: Frame, rows: Array) -> Frame:
    return {name: values[rows] for name, values in frame.items()}


def with_gaps(rng: Rng, values: Array, share: float) -> Array:
    """The values with a share of them left empty."""
    empty = rng.random(len(values)) < share
    nothing: Any = {"f": np.nan, "M": np.datetime64("NaT")}.get(values.dtype.kind)
    return np.where(empty, nothing, values)


def noise(rng: Rng, count: int, sd: float) -> Array:
    return np.asarray(rng.normal(1.0, sd, count))


def all_but(rng: Rng, count: int, share: float) -> Array:
    """Row numbers without a share of them, at least one where there are three."""
    dropped = 0 if count < 3 else max(1, round(share * count))
    return np.sort(rng.permutation(count)[dropped:])
