"""The rows that a model learns from, read at one snapshot, with the number of rows left out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from battery_platform.models.rows import Rows
from battery_platform.store.lakehouse import Lakehouse

if TYPE_CHECKING:
    import polars as pl


class Learner(Protocol):
    """What is needed of a model in order to read its rows."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def target(self) -> str: ...
    @property
    def smallest_rows(self) -> int: ...
    @property
    def smallest_batches(self) -> int: ...


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Rows with all inputs and the target, in the order of their identifiers."""

    ids: tuple[str, ...]
    inputs: np.ndarray
    target: np.ndarray
    batches: np.ndarray
    """Slurry batch, or other group, of each row; a group is never on both sides of a split."""
    is_synthetic: bool
    active_material: str | None
    loading_basis: str | None
    licence: str
    sources: tuple[str, ...]
    snapshot: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    lines: tuple[Mapping[str, Any], ...] = ()
    """Lines of files behind the rows."""
    parents: tuple[str, ...] | None = None
    """Names of the rows in the lake, where they are not the identifiers."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_batches(self) -> int:
        return len(np.unique(self.batches))

    @cached_property
    def conditions(self) -> np.ndarray:
        """A number for each batch and recipe; rows that share it differ only by noise."""
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
        """A hash of all rows, inputs, targets and batches, and of what the card says about them."""
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

    def left_out_in_words(self) -> str:
        """How many rows were not used, by reason."""
        reasons = [f"{count} {reason}" for reason, count in self.left_out.items() if count]
        return "; ".join(reasons) or "none"


def read_rows(
    lake: Lakehouse, query: str, given: Mapping[str, Any] | None = None
) -> tuple[pl.DataFrame, int]:
    """Rows ordered by `id`, and the snapshot at which they were read."""
    with lake.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION")
        newest = cursor.execute("FROM ducklake_current_snapshot('lake')").fetchone()
        frame = cursor.execute(f"FROM ({query}) ORDER BY id", dict(given or {})).pl()
        cursor.execute("COMMIT")
    return frame, int(newest[0]) if newest else 0


def licences_of(frame: pl.DataFrame) -> str:
    """The distinct licences of the rows."""
    return ", ".join(sorted({licence or "not stated" for licence in frame["licence"].to_list()}))
