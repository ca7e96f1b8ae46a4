"""The rows that a model learns from: read at one snapshot, of one kind, left-out rows counted.

Real and synthetic rows are never mixed, nor two active materials or two meanings of the loading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from battery_platform.errors import PlatformError
from battery_platform.models.rows import Rows
from battery_platform.models.specification import Specification
from battery_platform.store.lakehouse import Lakehouse

ELECTRODES = "electrodes"


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Rows with all inputs and the target, in the order of their identifiers."""

    ids: tuple[str, ...]
    inputs: np.ndarray
    target: np.ndarray
    batches: np.ndarray
    """Slurry batch, or other group, of each row: it is never on both sides of a split."""
    is_synthetic: bool
    active_material: str | None
    loading_basis: str | None
    licence: str
    sources: tuple[str, ...]
    snapshot: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    lines: tuple[Mapping[str, Any], ...] | None = None
    """Lines of files behind the rows; none given, those of the electrodes are looked up."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_batches(self) -> int:
        return len(np.unique(self.batches))

    @cached_property
    def conditions(self) -> np.ndarray:
        """Which rows share batch and recipe, and so differ by their own noise only."""
        keys = [
            (batch, *recipe)
            for batch, recipe in zip(self.batches, self.inputs.tolist(), strict=True)
        ]
        order = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return np.array([order[key] for key in keys])

    @property
    def has_replicates(self) -> bool:
        """Whether any condition was measured more than once."""
        return len(np.unique(self.conditions)) < len(self)

    @property
    def rows(self) -> Rows:
        """What a model is fitted to."""
        return Rows(self.inputs, self.target, self.batches, self.conditions)

    @cached_property
    def digest(self) -> str:
        """Changes with any row, input, target or batch, and with what the card says of them."""
        hasher = hashlib.blake2b(digest_size=8)
        kind = (self.is_synthetic, self.active_material, self.loading_basis, self.licence)
        hasher.update(repr((kind, self.sources)).encode())
        for name, batch, recipe, value in zip(
            self.ids,
            self.batches,
            self.inputs.tolist(),
            self.target.tolist(),
            strict=True,
        ):
            hasher.update(repr((name, str(batch), recipe, value)).encode())
        return hasher.hexdigest()

    def said_left_out(self) -> str:
        told = [f"{count} {reason}" for reason, count in self.left_out.items() if count]
        return "; ".join(told) or "none"


def training_set(lake: Lakehouse, model: Specification) -> TrainingSet:
    """Real rows where there are enough of them, otherwise the synthetic plant's."""
    if model.rows != ELECTRODES:
        from battery_platform.models.tables import READERS

        return READERS[model.rows](lake, model)
    frame, snapshot = _electrodes(lake, model)
    real = frame.filter(~pl.col("is_synthetic"))
    found = _choose(real, model, snapshot)
    if found is not None:
        return found
    made = frame.filter(pl.col("is_synthetic"))
    found = _choose(made, model, snapshot, {"real, too few for a model": real.height})
    if found is None:
        raise PlatformError(
            f"{model.name} needs {model.smallest_rows} uncalendered electrodes of "
            f"{model.smallest_batches} slurry batches with {', '.join(model.inputs)} and "
            f"{model.target}; the lake has fewer.",
            "Hand in more, or fetch some: `battery-platform catalogue fetch cunha2020_nmc111`.",
        )
    return found


def _electrodes(lake: Lakehouse, model: Specification) -> tuple[pl.DataFrame, int]:
    names = ", ".join(f"{name}::DOUBLE AS {name}" for name in (*model.inputs, model.target))
    with lake.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION")
        found = cursor.execute("FROM ducklake_current_snapshot('lake')").fetchone()
        frame = cursor.execute(
            f"""SELECT electrode_id, slurry_id, source_id, is_synthetic, active_material,
                       loading_basis, licence, {names},
                       calendering_id IS NOT NULL AND coalesce(compression_degree_pct, 1) > 0
                         AS is_calendered
                FROM mart_electrodes ORDER BY electrode_id"""
        ).pl()
        cursor.execute("COMMIT")
    return frame, int(found[0]) if found else 0


def _choose(
    frame: pl.DataFrame,
    model: Specification,
    snapshot: int,
    left_out: Mapping[str, int] | None = None,
) -> TrainingSet | None:
    """The largest part that is of one material and one meaning of the loading."""
    counted: dict[str, int] = dict(left_out or {})
    needed = (*model.inputs, model.target)
    for reason, keep in (
        ("calendered", ~pl.col("is_calendered")),
        ("without a slurry batch", pl.col("slurry_id").is_not_null()),
        ("without all inputs and the target", pl.all_horizontal(pl.col(needed).is_not_null())),
        ("with an input at or below 0", pl.all_horizontal(pl.col(model.inputs) > 0)),
    ):
        kept = frame.filter(keep)
        counted[reason] = frame.height - kept.height
        frame = kept
    kinds = (
        frame.group_by("active_material", "loading_basis")
        .agg(pl.len().alias("n"), pl.col("slurry_id").n_unique().alias("batches"))
        .sort(["n", "active_material"], descending=[True, False], nulls_last=True)
    )
    if not kinds.height:
        return None
    kind = kinds.row(0, named=True)
    if kind["n"] < model.smallest_rows or kind["batches"] < model.smallest_batches:
        return None
    chosen = frame.filter(
        pl.col("active_material").eq_missing(kind["active_material"])
        & pl.col("loading_basis").eq_missing(kind["loading_basis"])
    )
    counted["of another material or meaning of the loading"] = frame.height - chosen.height
    return TrainingSet(
        ids=tuple(chosen["electrode_id"].to_list()),
        inputs=chosen.select(model.inputs).to_numpy(),
        target=chosen[model.target].to_numpy(),
        batches=chosen["slurry_id"].to_numpy(),
        is_synthetic=bool(chosen["is_synthetic"].any()),
        active_material=kind["active_material"],
        loading_basis=kind["loading_basis"],
        licence=", ".join(sorted({one or "not stated" for one in chosen["licence"].to_list()})),
        sources=tuple(sorted(set(chosen["source_id"].to_list()))),
        snapshot=snapshot,
        left_out=counted,
    )


def lines_behind(lake: Lakehouse, training: TrainingSet) -> list[dict[str, Any]]:
    """The line of each training row, and of each file that states a step before it the first."""
    if training.lines is not None:
        return [dict(line) for line in training.lines]
    ids = list(training.ids)
    return lake.records(
        """WITH RECURSIVE reach(electrode_id, kind, id, distance) AS (
             SELECT unnest($ids::VARCHAR[]), 'electrode', unnest($ids::VARCHAR[]), 0
             UNION
             SELECT r.electrode_id, l.parent_kind, l.parent_id, r.distance + 1
             FROM core_links l JOIN reach r ON l.child_id = r.id AND l.child_kind = r.kind
             WHERE r.distance < 12),
           lines AS (
             SELECT r.electrode_id, p.file_id, p.sheet, p.table_name, p.file_name, p.source_id,
                    p.row_number, r.distance
             FROM reach r
             JOIN core_provenance p ON p.entity_id = r.id AND p.entity_kind = r.kind)
           SELECT electrode_id, file_id, sheet, table_name, file_name, source_id,
                  arg_min(row_number, (distance, row_number)) AS line
           FROM lines GROUP BY ALL ORDER BY ALL""",
        {"ids": ids},
    )
