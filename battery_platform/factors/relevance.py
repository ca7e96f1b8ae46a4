"""How relevant each factor is by the lengths of Gaussian processes, with four kernels (Liu et al.).

A process with one length per standardised factor learns over what distance the target bends: the
shorter the length, the more relevant the factor. A straight line has a long length however steep it is,
and different sets of lengths may predict equally well, so the interval of each share is given with it,
and Sobol's indices with both. Replicates enter as the mean of their condition.
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
    """Relevance of the factors by one kernel."""

    kernel: str
    importance: Mapping[str, float]
    """Inverse lengths of the standardised factors; they add up to 1."""
    low: Mapping[str, float]
    high: Mapping[str, float]
    """95 % intervals, by a jackknife over the groups."""
    r2_held_out: float
    """R² for condition means whose whole group was held out."""

    @property
    def ranked(self) -> list[str]:
        """Factors, the most relevant first."""
        return sorted(self.importance, key=lambda name: -self.importance[name])


@dataclass(frozen=True)
class Relevances:
    """Relevance of the factors for one target, by all kernels."""

    target: str
    kernels: tuple[Relevance, ...]
    rows: int
    """Condition means."""
    groups: int
    left_out: LeftOut


def relevances(
    frame: pl.DataFrame, factors: Sequence[str], target: str, group: str, seed: int = 0
) -> Relevances:
    """Learn the lengths from all conditions with each kernel, and validate it on held-out groups."""
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
    predicted, shares_of_folds = np.empty(len(aim)), []
    for train, test in grouped_folds(groups, FOLDS, seed):
        shares_of_fold, process = _shares(inputs[train], aim[train], kernel)
        shares_of_folds.append(shares_of_fold)
        predicted[test] = process.mean(inputs[test])
    missed = ((predicted - aim[:, 0]) ** 2).sum() / ((aim - aim.mean()) ** 2).sum()
    half = Z95 * np.sqrt((len(shares_of_folds) - 1) * np.var(shares_of_folds, axis=0))
    low, high = np.maximum(whole - half, 0.0), np.minimum(whole + half, 1.0)
    shares, lows, highs = (
        dict(zip(names, values.tolist(), strict=True)) for values in (whole, low, high)
    )
    return Relevance(kernel.name, shares, lows, highs, float(1.0 - missed))


def _shares(inputs: np.ndarray, aim: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, Process]:
    (process,) = fit(inputs, aim, kernel, search=THOROUGH)
    inverse = 1.0 / process.lengths
    return inverse / inverse.sum(), process


def rows_of_relevance(relevances: Relevances) -> Iterator[dict[str, Any]]:
    """One row for each kernel and factor."""
    for relevance in relevances.kernels:
        for place, name in enumerate(relevance.ranked, start=1):
            yield {
                "n_rows": relevances.rows,
                "n_groups": relevances.groups,
                "method": f"{METHOD} ({relevance.kernel})",
                "factor": name,
                "value": relevance.importance[name],
                "low": relevance.low[name],
                "high": relevance.high[name],
                "verdict": f"place {place} of {len(relevance.importance)}; R² with groups held out "
                f"{relevance.r2_held_out:.2f}",
            }


def order_of_liu(known: Sequence[Mapping[str, Any]], target: str) -> list[str]:
    """For each campaign, how many kernels rank the target's factors as Liu et al. found."""
    sentences = []
    mine = [
        row for row in known if row["method"].startswith(f"{METHOD} (") and row["target"] == target
    ]
    for campaign in dict.fromkeys(row["campaign"] for row in mine):
        kernels: dict[str, dict[str, Mapping[str, Any]]] = {}
        for row in mine:
            if row["campaign"] == campaign:
                kernels.setdefault(row["method"], {})[row["factor"]] = row
        usable = [kernel for kernel in kernels.values() if {FIRST, ABOVE, BELOW} <= set(kernel)]
        first = sum(_is_first(kernel) for kernel in usable)
        above = sum(kernel[ABOVE]["value"] > kernel[BELOW]["value"] for kernel in usable)
        sure = sum(_is_sure(kernel) for kernel in usable)
        sentences.append(
            f"{campaign}, {target}: of {len(usable)} kernels {FIRST} is first for {first}, {ABOVE} above "
            f"{BELOW} for {above}; a first factor whose interval is clear of the others for {sure}"
        )
    return sentences


def _is_first(shares: Mapping[str, Mapping[str, Any]]) -> bool:
    return max(shares, key=lambda name: float(shares[name]["value"])) == FIRST


def _is_sure(shares: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the lowest plausible share of the first factor is above the highest of all others."""
    best, *others = sorted(shares.values(), key=lambda row: -row["value"])
    return all(best["low"] > row["high"] for row in others)
