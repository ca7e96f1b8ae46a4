"""Kinds of electrodes of a campaign, and the columns that separate them (Primo et al.)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from battery_platform.factors.clusters import REASONABLE, Clusters, cluster_electrodes
from battery_platform.factors.components import Components, principal_components
from battery_platform.factors.tables import complete, condition_means

TARGET = "kind of electrode"
"""Takes the place of a target: kinds are formed by all factors and targets together."""


@dataclass(frozen=True, eq=False)
class Kinds:
    """Clusters of condition means, and the principal components in whose plane they are drawn."""

    clusters: Clusters
    components: Components
    conditions: int
    groups: int

    @property
    def in_words(self) -> str:
        """How many kinds there are and how distinct they are."""
        count = len(self.clusters.profiles)
        silhouette = self.clusters.silhouettes[count]
        words = f"{count} kinds, silhouette {silhouette:.2f}"
        if not self.clusters.is_structured:
            return f"{words}: slices, no kinds"
        return words if silhouette >= REASONABLE else f"{words}: weak, may be artificial"


def sort_into_kinds(
    frame: pl.DataFrame, factors: Sequence[str], targets: Sequence[str], group: str
) -> Kinds:
    """Kinds of condition means; with replicates any condition would look like a kind of its own."""
    columns = [*factors, *targets]
    rows = complete(frame, columns, [group])
    means = condition_means(rows.frame, [group, *factors], targets)
    return Kinds(
        cluster_electrodes(means, columns),
        principal_components(means, columns),
        means.height,
        means[group].n_unique(),
    )


def rows_of_kinds(kinds: Kinds) -> Iterator[dict[str, Any]]:
    """How far each column separates the kinds, and the means of each kind."""
    size = {"n_rows": kinds.conditions, "n_groups": kinds.groups}
    for name, share in kinds.clusters.separation.items():
        yield size | {
            "method": "k-means, separation",
            "factor": name,
            "value": share,
            "verdict": kinds.in_words,
        }
    count = len(kinds.clusters.profiles)
    for profile in kinds.clusters.profiles:
        for name, mean in profile.means.items():
            yield size | {
                "method": f"k-means, kind {profile.cluster + 1} of {count}",
                "factor": name,
                "value": mean,
                "verdict": f"{profile.size} conditions, standard deviation "
                f"{profile.deviations[name]:.3g}",
            }
