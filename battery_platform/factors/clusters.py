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
"""Most rows used for a silhouette, whose cost grows with their square."""
STRUCTURE = 0.25
"""Silhouette below which Kaufman and Rousseeuw see no clusters, only slices."""
REASONABLE = 0.5
"""Silhouette below which they call the structure weak and possibly artificial."""


@dataclass(frozen=True)
class Term:
    """One line of the analysis of variance table, with sums of squares of type II."""

    name: str
    test: FTest

    @property
    def partial_eta2(self) -> float:
        """Share of the variance left by the other terms that this term explains."""
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
    """Test whether slopes differ between levels: if p is small, adjusted means are misleading."""
    adjusted_means: Mapping[str, float]
    """Mean of the target at each level, at the mean of all covariates."""
    rows: int
    """Observations compared; fewer than the rows passed in where replicates were averaged."""
    left_out: LeftOut

    def term(self, name: str) -> Term:
        return next(term for term in self.terms if term.name == name)


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
        total = sum(profile.size for profile in self.profiles)
        shares = {}
        for name in self.columns:
            mean = sum(profile.size * profile.means[name] for profile in self.profiles) / total
            between = sum(
                profile.size * (profile.means[name] - mean) ** 2 for profile in self.profiles
            )
            within = sum(profile.size * profile.deviations[name] ** 2 for profile in self.profiles)
            shares[name] = between / (between + within)
        return dict(sorted(shares.items(), key=lambda item: -item[1]))


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
    columns = {factor: indicators(codes)} | {
        name: standardised(table[name].to_numpy())[:, None] for name in used
    }
    terms = tuple(Term(name, _drop(columns, name, aim)) for name in columns)
    for term in terms:
        if term.test.df < 1:
            raise PlatformError(
                f"'{term.name}' cannot be separated from the other columns: they determine its value.",
                "Leave one of them out.",
            )
    means = _adjusted_means(columns, levels, aim)
    return Ancova(
        target,
        factor,
        terms,
        _slopes(columns, factor, used, aim),
        means,
        table.height,
        rows.left_out(constant),
    )


def _drop(columns: Mapping[str, np.ndarray], name: str, aim: np.ndarray) -> FTest:
    """Compare the full model with the model without this term."""
    ones = np.ones((len(aim), 1))
    rest = [column for other, column in columns.items() if other != name]
    return nested_f(np.hstack([ones, *rest]), np.hstack([ones, *rest, columns[name]]), aim)


def _slopes(
    columns: Mapping[str, np.ndarray], factor: str, covariates: Sequence[str], aim: np.ndarray
) -> Term | None:
    if not covariates:
        return None
    whole = np.hstack([np.ones((len(aim), 1)), *columns.values()])
    crossed = [columns[factor] * columns[name] for name in covariates]
    return Term(f"{factor} x covariates", nested_f(whole, np.hstack([whole, *crossed]), aim))


def _adjusted_means(
    columns: Mapping[str, np.ndarray], levels: pl.Series, aim: np.ndarray
) -> dict[str, float]:
    """Covariates are standardised, so their mean is zero and the intercept belongs to the first level."""
    design = np.hstack([np.ones((len(aim), 1)), *columns.values()])
    coefficients = np.linalg.lstsq(design, aim, rcond=1e-10)[0]
    beyond = np.concatenate([[0.0], coefficients[1 : len(levels)]])
    return {
        str(level): float(coefficients[0] + shift)
        for level, shift in zip(levels, beyond, strict=True)
    }


def cluster_electrodes(
    frame: pl.DataFrame, columns: Sequence[str], most: int = 8, seed: int = 0
) -> Clusters:
    """Sort electrodes into kinds by k-means on standardised columns, with the best-separated number."""
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
        raise PlatformError("Clustering needs at least two clusters.", "Allow at least two.")
    tried = {
        k: KMeans(k, n_init=10, random_state=seed).fit_predict(values) for k in range(2, most + 1)
    }
    sample = min(SILHOUETTE_ROWS, len(values))
    silhouettes = {
        k: float(silhouette_score(values, labels_of_k, sample_size=sample, random_state=seed))
        for k, labels_of_k in tried.items()
    }
    best = max(silhouettes, key=lambda k: silhouettes[k])
    first = rows.column(names[0])
    order = np.argsort([first[tried[best] == cluster].mean() for cluster in range(best)])
    clusters = np.argsort(order)[tried[best]]
    labels = np.full(frame.height, -1)
    labels[rows.positions] = clusters
    return Clusters(
        names,
        pl.Series(
            "cluster", [None if label < 0 else int(label) for label in labels], dtype=pl.Int64
        ),
        tuple(
            _profile(cluster, rows.matrix(names)[clusters == cluster], names)
            for cluster in range(best)
        ),
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
