"""The cells of a campaign, one wide row each: the source of the sparse models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from battery_platform.lazily import Lazily
from battery_platform.models.cell_table import CLASS_OF, SparseTable, table_of
from battery_platform.models.sources import Source, lines_of_table
from battery_platform.models.training import Learner, TrainingSet, licences_of, read_rows
from battery_platform.store.lakehouse import Lakehouse

if TYPE_CHECKING:
    import polars as pl
else:
    pl = Lazily("polars")

CELLS = """SELECT c.*, cell_id AS id, f.licence FROM raw_cell_cases c LEFT JOIN (
             SELECT DISTINCT file_id, sheet, licence FROM raw_files) f USING (file_id, sheet)"""


def read_table(lake: Lakehouse) -> tuple[SparseTable, TrainingSet]:
    """All cells of the lake that count, and those of them whose D30 is known."""
    frame, snapshot = read_rows(lake, CELLS)
    cells = table_of(frame)
    return cells, _training(cells, frame, snapshot)


def read_cells(lake: Lakehouse, model: Learner) -> TrainingSet:
    """The cells for which the quantity that the gate judges is known."""
    return read_table(lake)[1]


def _training(cells: SparseTable, frame: pl.DataFrame, snapshot: int) -> TrainingSet:
    """The cells with a known D30, as the gate and the card see them."""
    target = cells.known[:, cells.place(CLASS_OF)]
    there = np.flatnonzero(np.isfinite(target))
    kept = frame.filter(pl.col("cell_id").is_in(cells.ids))
    return TrainingSet(
        ids=tuple(cells.ids[row] for row in there),
        inputs=cells.inputs[there],
        target=target[there],
        batches=cells.cases[there],
        is_synthetic=cells.is_synthetic,
        active_material="graphite",
        loading_basis=None,
        licence=licences_of(kept),
        sources=cells.sources,
        snapshot=snapshot,
        left_out=dict(cells.left_out) | {"without D30": len(cells) - len(there)},
        lines=tuple(lines_of_table(kept, CELL_CASES)),
    )


CELL_CASES = Source(
    "cell cases",
    "cells",
    "cases",
    "case_cell",
    ("raw/cell_cases",),
    read_cells,
    "> **SYNTHETIC.** This version was trained on a made-up table of cells. It shows what the model does "
    "and says nothing about real cells; hand in a table `cell_cases` of your own.",
    always_there=True,
)
