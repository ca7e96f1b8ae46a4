"""Analysis of covariance, and kinds of electrodes by k-means, after Primo et al. on calendering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from battery_platform.errors import PlatformError
from battery_platform.factors.least_squares import FTest, indicators, nested_f
from battery_platform.factors.tables import (
    LeftOut,
    complete,
    condition_means,
    refuse_constant,
    refuse_too_few,
    standardised,
)

SILHOUETTE_ROWS = 2000
"""Rows on which a silhouette is taken at most: its cost grows with their square."""
STRUCTURE = 0.25
"""Silhouette below which Kaufman and Rousseeuw see no clusters, only slices."""
REASONABLE = 0.5
"""Below this one they call the structure weak: it may be artificial."""


@dataclass(frozen=True)
class Term:
    """One line of the table of variance, sums of squares of type II."""

    name: str
    test: FTest

    @property
    def partial_eta2(self) -> float:
        """Share of what the other terms leave that this one explains."""
        total = self.test.sum_of_squares + self.test.residual_sum_of_squares
        return self.test.sum_of_squares / total if total else 0.0


@dataclass(frozen=True)
class Ancova:
    """A target by a categorical factor, with covariates held equal."""

    target: str
    factor: str
    terms: tuple[Term, ...]
    """The factor first, then the covariates."""
    slopes: Term | None
    """Whether slopes differ between levels: if p is small, adjusted means mislead."""
    adjusted_means: Mapping[str, float]
    """Of the target per level, at the mean of all covariates."""
    rows: int
    """Observations compared; fewer than rows handed in where replicates were averaged."""
    left_out: LeftOut

    def term(self, name: str) -> Term:
        return next(one for one in self.terms if one.name == name)


@dataclass(frozen=True)
class Profile:
    """One kind of electrode: how many, and what they are like in the columns' own units."""

    cluster: int
    size: int
    means: Mapping[str, float]
    deviations: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Clusters:
    """Kinds of electrodes, numbered by the mean of the first column."""

    columns: tuple[str, ...]
    labels: pl.Series
    """One per row handed in; null where the row was left out."""
    profiles: tuple[Profile, ...]
    silhouettes: Mapping[int, float]
    """Per number of clusters tried; the highest was taken."""
    left_out: LeftOut

    @property
    def is_structured(self) -> bool:
        """False where the electrodes form no groups, and k-means merely sliced them."""
        return self.silhouettes[len(self.profiles)] >= STRUCTURE

    @property
    def separation(self) -> dict[str, float]:
        """Share of each column's variance that lies between the kinds, the largest first."""
        total = sum(one.size for one in self.profiles)
        found = {}
        for name in self.columns:
            mean = sum(one.size * one.means[name] for one in self.profiles) / total
            between = sum(one.size * (one.means[name] - mean) ** 2 for one in self.profiles)
            within = sum(one.size * one.deviations[name] ** 2 for one in self.profiles)
            found[name] = between / (between + within)
        return dict(sorted(found.items(), key=lambda one: -one[1]))


def ancova(
    frame: pl.DataFrame,
    target: str,
    factor: str,
    covariates: Sequence[str] = (),
    group: str | None = None,
) -> Ancova:
    """Test the factor with the covariates held equal, and each covariate likewise.

    With a group column, rows of one group with the same factor and covariates are averaged first:
    they are replicates of one condition. Without covariates this is a one-way analysis of variance.
    """
    if factor in (target, *covariates):
        raise PlatformError(
            f"Column '{factor}' is named twice.", "Let it be the factor or a covariate."
        )
    rows = complete(frame, [target, *covariates], [factor, group])
    refuse_too_few(rows, 1 + len(covariates))
    refuse_constant(rows, target)
    used, constant = rows.varying(covariates)
    table = rows.frame
    if group is not None:
        alike = dict.fromkeys((group, factor, *used))
        table = condition_means(table, list(alike), [target])
    levels = table[factor].unique().sort()
    if len(levels) < 2:
        raise PlatformError(
            f"'{factor}' has one level only: there is nothing to compare.",
            "Choose a factor with two levels or more.",
        )
    refuse_too_few(rows, len(levels) - 1 + len(used), table.height)
    codes = table[factor].rank("dense").to_numpy().astype(int) - 1
    aim = table[target].to_numpy()
    parts = {factor: indicators(codes)} | {
        name: standardised(table[name].to_numpy())[:, None] for name in used
    }
    terms = tuple(Term(name, _drop(parts, name, aim)) for name in parts)
    for term in terms:
        if term.test.df < 1:
            raise PlatformError(
                f"'{term.name}' cannot be told apart from the other columns: they fix its value.",
                "Leave one of them out.",
            )
    means = _adjusted_means(parts, levels, aim)
    return Ancova(
        target,
        factor,
        terms,
        _slopes(parts, factor, used, aim),
        means,
        table.height,
        rows.left_out(constant),
    )


def _drop(parts: Mapping[str, np.ndarray], name: str, aim: np.ndarray) -> FTest:
    """The whole model against the one without this term."""
    ones = np.ones((len(aim), 1))
    rest = [part for other, part in parts.items() if other != name]
    return nested_f(np.hstack([ones, *rest]), np.hstack([ones, *rest, parts[name]]), aim)


def _slopes(
    parts: Mapping[str, np.ndarray], factor: str, covariates: Sequence[str], aim: np.ndarray
) -> Term | None:
    if not covariates:
        return None
    whole = np.hstack([np.ones((len(aim), 1)), *parts.values()])
    crossed = [parts[factor] * parts[name] for name in covariates]
    return Term(f"{factor} x covariates", nested_f(whole, np.hstack([whole, *crossed]), aim))


def _adjusted_means(
    parts: Mapping[str, np.ndarray], levels: pl.Series, aim: np.ndarray
) -> dict[str, float]:
    """Covariates are standardised, so their mean is zero and the intercept is that of level one."""
    design = np.hstack([np.ones((len(aim), 1)), *parts.values()])
    found = np.linalg.lstsq(design, aim, rcond=1e-10)[0]
    beyond = np.concatenate([[0.0], found[1 : len(levels)]])
    return {
        str(level): float(found[0] + shift) for level, shift in zip(levels, beyond, strict=True)
    }


def cluster_electrodes(
    frame: pl.DataFrame, columns: Sequence[str], most: int = 8, seed: int = 0
) -> Clusters:
    """Sort electrodes into kinds by k-means on standardised columns, as many as separate best."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    rows = complete(frame, columns)
    refuse_too_few(rows, len(columns))
    names, constant = rows.varying(columns)
    if not names:
        raise PlatformError("None of the columns varies.", "Name columns that vary.")
    values = standardised(rows.matrix(names))
    most = min(most, len(np.unique(values, axis=0)), len(rows) - 1)
    if most < 2:
        raise PlatformError(
            "Two clusters are the least that can be told apart.", "Allow at least two."
        )
    tried = {
        k: KMeans(k, n_init=10, random_state=seed).fit_predict(values) for k in range(2, most + 1)
    }
    sample = min(SILHOUETTE_ROWS, len(values))
    silhouettes = {
        k: float(silhouette_score(values, found, sample_size=sample, random_state=seed))
        for k, found in tried.items()
    }
    best = max(silhouettes, key=lambda k: silhouettes[k])
    first = rows.column(names[0])
    order = np.argsort([first[tried[best] == one].mean() for one in range(best)])
    found = np.argsort(order)[tried[best]]
    labels = np.full(frame.height, -1)
    labels[rows.positions] = found
    return Clusters(
        names,
        pl.Series("cluster", [None if one < 0 else int(one) for one in labels], dtype=pl.Int64),
        tuple(_profile(one, rows.matrix(names)[found == one], names) for one in range(best)),
        silhouettes,
        rows.left_out(constant),
    )


def _profile(cluster: int, values: np.ndarray, names: Sequence[str]) -> Profile:
    means, deviations = values.mean(axis=0), values.std(axis=0)
    return Profile(
        cluster,
        len(values),
        dict(zip(names, map(float, means), strict=True)),
        dict(zip(names, map(float, deviations), strict=True)),
    )
