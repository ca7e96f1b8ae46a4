"""How relevant each factor is by the lengths of Gaussian processes, with four kernels (Liu et al.).

A process with one length per standardised factor finds out over what distance the target bends: the
shorter the length, the more relevant the factor. A straight line has a long length however steep it is,
and sets of lengths that differ may predict alike, so that the interval of each share is told beside it
and Sobol's indices beside both. Replicates enter as the mean of their condition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from battery_platform.factors.tables import (
    LeftOut,
    complete,
    condition_means,
    refuse_constant,
    refuse_too_few,
)
from battery_platform.models.profiled_process import KERNELS, THOROUGH, Kernel, Process, fit
from battery_platform.models.splits import grouped_folds

FOLDS = 10
Z95 = 1.959963984540054
METHOD = "relevance"
FIRST, ABOVE, BELOW = "comma_gap_um", "solid_content_pct", "active_material_pct"
"""Liu's order for the mass loading: the gap first, solids slightly above the active material."""


@dataclass(frozen=True)
class Relevance:
    """What one kernel says."""

    kernel: str
    importance: Mapping[str, float]
    """Inverse lengths of the standardised factors; they add up to 1."""
    low: Mapping[str, float]
    high: Mapping[str, float]
    """95 % intervals, by a jackknife over the groups."""
    r2_held_out: float
    """Of condition means whose whole group was held out."""

    @property
    def ranked(self) -> list[str]:
        """Factors, the most relevant first."""
        return sorted(self.importance, key=lambda name: -self.importance[name])


@dataclass(frozen=True)
class Relevances:
    """What all kernels say of one target."""

    target: str
    kernels: tuple[Relevance, ...]
    rows: int
    """Condition means."""
    groups: int
    left_out: LeftOut


def relevances(
    frame: pl.DataFrame, factors: Sequence[str], target: str, group: str, seed: int = 0
) -> Relevances:
    """Learn the lengths from all conditions with each kernel, and hold groups out to judge it."""
    rows = complete(frame, [*factors, target], [group])
    refuse_constant(rows, target)
    names, constant = rows.varying(factors)
    means = condition_means(rows.frame, [group, *names], [target])
    refuse_too_few(rows, len(names), means.height)
    inputs = means.select(names).to_numpy()
    aim = means.select(target).to_numpy()
    groups = means[group].rank("dense").to_numpy()
    with threadpool_limits(1):  # matrices this small only wait for each other's threads
        kernels = tuple(_of(kernel, names, inputs, aim, groups, seed) for kernel in KERNELS)
    return Relevances(
        target, kernels, means.height, len(np.unique(groups)), rows.left_out(constant)
    )


def _of(
    kernel: Kernel,
    names: Sequence[str],
    inputs: np.ndarray,
    aim: np.ndarray,
    groups: np.ndarray,
    seed: int,
) -> Relevance:
    whole = _shares(inputs, aim, kernel)[0]
    said, parts = np.empty(len(aim)), []
    for train, test in grouped_folds(groups, FOLDS, seed):
        part, process = _shares(inputs[train], aim[train], kernel)
        parts.append(part)
        said[test] = process.mean(inputs[test])
    missed = ((said - aim[:, 0]) ** 2).sum() / ((aim - aim.mean()) ** 2).sum()
    half = Z95 * np.sqrt((len(parts) - 1) * np.var(parts, axis=0))
    low, high = np.maximum(whole - half, 0.0), np.minimum(whole + half, 1.0)
    shares, lows, highs = (
        dict(zip(names, one.tolist(), strict=True)) for one in (whole, low, high)
    )
    return Relevance(kernel.name, shares, lows, highs, float(1.0 - missed))


def _shares(inputs: np.ndarray, aim: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, Process]:
    (process,) = fit(inputs, aim, kernel, search=THOROUGH)
    inverse = 1.0 / process.lengths
    return inverse / inverse.sum(), process


def rows_of_relevance(found: Relevances) -> Iterator[dict[str, Any]]:
    """One for each kernel and factor."""
    for one in found.kernels:
        for place, name in enumerate(one.ranked, start=1):
            yield {
                "n_rows": found.rows,
                "n_groups": found.groups,
                "method": f"{METHOD} ({one.kernel})",
                "factor": name,
                "value": one.importance[name],
                "low": one.low[name],
                "high": one.high[name],
                "verdict": f"place {place} of {len(one.importance)}; R² with groups held out "
                f"{one.r2_held_out:.2f}",
            }


def order_of_liu(known: Sequence[Mapping[str, Any]], target: str) -> list[str]:
    """Per campaign, for how many kernels the target's factors have the order that Liu et al. found."""
    said = []
    mine = [
        row for row in known if row["method"].startswith(f"{METHOD} (") and row["target"] == target
    ]
    for campaign in dict.fromkeys(row["campaign"] for row in mine):
        kernels: dict[str, dict[str, Mapping[str, Any]]] = {}
        for row in mine:
            if row["campaign"] == campaign:
                kernels.setdefault(row["method"], {})[row["factor"]] = row
        usable = [one for one in kernels.values() if {FIRST, ABOVE, BELOW} <= set(one)]
        first = sum(_is_first(one) for one in usable)
        above = sum(one[ABOVE]["value"] > one[BELOW]["value"] for one in usable)
        sure = sum(_is_sure(one) for one in usable)
        said.append(
            f"{campaign}, {target}: of {len(usable)} kernels {FIRST} is first for {first}, {ABOVE} above "
            f"{BELOW} for {above}; a first factor whose interval is clear of the others for {sure}"
        )
    return said


def _is_first(shares: Mapping[str, Mapping[str, Any]]) -> bool:
    return max(shares, key=lambda name: float(shares[name]["value"])) == FIRST


def _is_sure(shares: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the lowest plausible share of the first factor is above the highest of all others."""
    best, *others = sorted(shares.values(), key=lambda row: -row["value"])
    return all(best["low"] > row["high"] for row in others)
