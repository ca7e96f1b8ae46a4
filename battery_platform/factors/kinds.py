"""Kinds of electrodes of a campaign, and what tells them apart (Primo et al.)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from battery_platform.factors.clusters import REASONABLE, Clusters, cluster_electrodes
from battery_platform.factors.components import Components, principal_components
from battery_platform.factors.tables import complete, condition_means

TARGET = "kind of electrode"
"""Stands in for a target: kinds are of all factors and targets together."""


@dataclass(frozen=True, eq=False)
class Kinds:
    """Clusters of condition means, and the components in whose plane they are drawn."""

    clusters: Clusters
    components: Components
    conditions: int
    groups: int

    @property
    def said(self) -> str:
        count = len(self.clusters.profiles)
        silhouette = self.clusters.silhouettes[count]
        found = f"{count} kinds, silhouette {silhouette:.2f}"
        if not self.clusters.is_structured:
            return f"{found}: slices, no kinds"
        return found if silhouette >= REASONABLE else f"{found}: weak, may be artificial"


def sort_into_kinds(
    frame: pl.DataFrame, factors: Sequence[str], targets: Sequence[str], group: str
) -> Kinds:
    """Kinds of conditions; replicates would make any condition look like a kind of its own."""
    columns = [*factors, *targets]
    rows = complete(frame, columns, [group])
    means = condition_means(rows.frame, [group, *factors], targets)
    return Kinds(
        cluster_electrodes(means, columns),
        principal_components(means, columns),
        means.height,
        means[group].n_unique(),
    )


def rows_of_kinds(found: Kinds) -> Iterator[dict[str, Any]]:
    """How far each column separates the kinds, and the means of each kind."""
    size = {"n_rows": found.conditions, "n_groups": found.groups}
    for name, share in found.clusters.separation.items():
        yield size | {
            "method": "k-means, separation",
            "factor": name,
            "value": share,
            "verdict": found.said,
        }
    count = len(found.clusters.profiles)
    for profile in found.clusters.profiles:
        for name, mean in profile.means.items():
            yield size | {
                "method": f"k-means, kind {profile.cluster + 1} of {count}",
                "factor": name,
                "value": mean,
                "verdict": f"{profile.size} conditions, standard deviation "
                f"{profile.deviations[name]:.3g}",
            }
