"""Rows of models that do not learn from measured electrodes: simulations, structures, aged cells.

Each reader names what is held out whole together: rows that share it are no independent witnesses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from battery_platform.errors import NoRows
from battery_platform.models.specification import Specification
from battery_platform.models.training import TrainingSet
from battery_platform.store.lakehouse import Lakehouse

SPACE = "space of six properties"
"""Origin of the discharges that fill it."""
RATED_SPACE = "space of six properties and load"
CLUSTERS = 25
LINE = ("file_id", "sheet", "row_number")


def half_cells(lake: Lakehouse, model: Specification) -> TrainingSet:
    """Discharges of the space of six properties at 1C, each its own electrode."""
    frame, snapshot = _discharges(lake, SPACE, "c_rate = 1")
    failed = int(frame["failed"].sum())
    frame = frame.filter(~pl.col("failed") & (pl.col("specific_energy_wh_kg") > 0))
    counted = {"failed in the simulation": failed}
    return _set(frame, model, snapshot, SWEEPS, counted, lines=())


def loaded_half_cells(lake: Lakehouse, model: Specification) -> TrainingSet:
    """Discharges of that space at many loads; one that the solver gave up on delivers nothing."""
    frame, snapshot = _discharges(lake, RATED_SPACE, "TRUE")
    nothing = pl.when("failed").then(0.0).otherwise("capacity_mah_g")
    frame = frame.with_columns(capacity_mah_g=nothing)
    return _set(frame, model, snapshot, SWEEPS, lines=())


SWEEPS = "run `battery-platform refresh`: it sweeps them"


def _discharges(lake: Lakehouse, origin: str, where: str) -> tuple[pl.DataFrame, int]:
    """Of the newest code and assumptions: others answer another question."""
    return read_rows(
        lake,
        f"""SELECT DISTINCT d.*, s.subject AS id, s.subject AS part, 'simulated' AS source_id,
                  'CC0-1.0 (generated)' AS licence
           FROM discharges d JOIN discharge_subjects s USING (discharge_id)
           WHERE s.origin = $origin AND {where} AND lower_cutoff_v = 3.2
           QUALIFY code_version || assumptions_hash
                   = first_value(code_version || assumptions_hash) OVER (ORDER BY made_at DESC)""",
        {"origin": origin},
    )


def graded_cells(lake: Lakehouse, model: Specification) -> TrainingSet:
    """Graded cells whose profiles no other cell shares, so that no split can leak; of the newest code
    and assumptions, to the cut-off of paper 002.
    """
    points = [
        f"({side}_profile::DOUBLE[])[{number}] AS {side}_active_{number}"
        for side in ("positive", "negative")
        for number in range(1, 11)
    ]
    frame, snapshot = read_rows(
        lake,
        f"""SELECT g.*, run_id AS id, run_id AS part, {", ".join(points)},
                   TRUE AS is_synthetic, 'simulated' AS source_id,
                   'CC0-1.0 (generated)' AS licence,
                   {_occurs("positive")} AS positive_cells, {_occurs("negative")} AS negative_cells
            FROM graded_discharges g
            WHERE lower_cutoff_v = 2.5 AND positive_layers IS NULL AND negative_layers IS NULL
              AND positive_direction = 'graded' AND negative_direction = 'graded'
            QUALIFY code_version || assumptions_hash
                    = first_value(code_version || assumptions_hash) OVER (ORDER BY made_at DESC)""",
    )
    shared = (pl.col("positive_cells") > 1) | (pl.col("negative_cells") > 1)
    own = frame.filter(~shared)
    done = own.filter(~pl.col("failed") & (pl.col("specific_energy_wh_kg") > 0))
    return _set(
        done,
        model,
        snapshot,
        SWEEPS,
        {
            "that share a profile with another cell": frame.height - own.height,
            "failed or delivered nothing": own.height - done.height,
        },
        lines=(),
    )


def _occurs(side: str) -> str:
    """How many cells share a profile."""
    return f"count(*) OVER (PARTITION BY {side}_profile, code_version, assumptions_hash)"


def mesostructures(lake: Lakehouse, model: Specification) -> TrainingSet:
    """Generated structures; the same one compressed to several gaps is one group."""
    frame, snapshot = read_rows(
        lake,
        """SELECT m.*, structure_id AS id, f.licence,
                  active_material_pct || '/' || porosity_uncalendered_pct AS part
           FROM raw_mesostructures m LEFT JOIN (
             SELECT DISTINCT file_id, sheet, licence FROM raw_files) f USING (file_id, sheet)""",
    )
    return _set(frame, model, snapshot, _fetch("duquesnoy2020_mesostructures"))


def slurry_simulations(lake: Lakehouse, model: Specification) -> TrainingSet:
    """An optimiser's tries, which crowd together: clusters of like parameters are held out whole."""
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import StandardScaler

    frame, snapshot = read_rows(
        lake,
        f"""SELECT s.*, f.licence, md5(concat_ws('/', {", ".join(model.inputs)})) AS id
            FROM raw_slurry_simulations s LEFT JOIN (
              SELECT DISTINCT file_id, sheet, licence FROM raw_files) f USING (file_id, sheet)""",
    )
    if frame.height >= 4 * CLUSTERS:
        at = StandardScaler().fit_transform(np.log(frame.select(model.inputs).to_numpy()))
        found = KMeans(CLUSTERS, n_init=4, random_state=0).fit_predict(at)
        frame = frame.with_columns(part=pl.Series([f"cluster {one}" for one in found]))
    else:
        frame = frame.with_columns(part=pl.col("id"))
    return _set(frame, model, snapshot, _fetch("slurry_forcefield"))


def faded_cells(lake: Lakehouse, model: Specification) -> TrainingSet:
    """Cells with the features of their first 100 cycles and the life that they reached."""
    from battery_platform.models.fade import features_of_cells

    lives, snapshot = read_rows(
        lake,
        """SELECT l.*, l.cell_id AS id, l.cell_id AS part, f.licence
           FROM raw_cycle_lives l LEFT JOIN (
             SELECT DISTINCT file_id, sheet, licence FROM raw_files) f USING (file_id, sheet)""",
    )
    features = features_of_cells(lake, lives["cell_id"].to_list())
    frame = lives.join(features, on="cell_id", how="left").sort("id")
    return _set(frame, model, snapshot, _fetch("severson_attia_capacity"))


def _fetch(name: str) -> str:
    return f"fetch some: `battery-platform catalogue fetch {name}`, then refresh"


def read_rows(
    lake: Lakehouse, query: str, given: Mapping[str, Any] | None = None
) -> tuple[pl.DataFrame, int]:
    """Rows by their `id`, and the snapshot that they were read at."""
    with lake.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION")
        found = cursor.execute("FROM ducklake_current_snapshot('lake')").fetchone()
        frame = cursor.execute(f"FROM ({query}) ORDER BY id", dict(given or {})).pl()
        cursor.execute("COMMIT")
    return frame, int(found[0]) if found else 0


def _set(
    frame: pl.DataFrame,
    model: Specification,
    snapshot: int,
    remedy: str,
    left_out: Mapping[str, int] | None = None,
    lines: Sequence[Mapping[str, Any]] | None = None,
) -> TrainingSet:
    needed = (*model.inputs, model.target)
    numbers = frame.with_columns(pl.col(needed).cast(pl.Float64))
    whole = numbers.filter(pl.all_horizontal(pl.col(needed).is_not_null()))
    counted = {**(left_out or {}), "without all inputs and the target": frame.height - whole.height}
    if whole.height < model.smallest_rows or whole["part"].n_unique() < model.smallest_batches:
        raise NoRows(
            f"{model.name} needs {model.smallest_rows} {model.things} of {model.smallest_batches} "
            f"{model.groups}; the lake has {whole.height} of {whole['part'].n_unique()}.",
            f"Hand in more, or {remedy}.",
        )
    return TrainingSet(
        ids=tuple(whole["id"].to_list()),
        inputs=whole.select(model.inputs).to_numpy(),
        target=whole[model.target].to_numpy(),
        batches=whole["part"].to_numpy(),
        is_synthetic=bool(whole["is_synthetic"].any()),
        active_material=None,
        loading_basis=None,
        licence=", ".join(sorted({one or "not stated" for one in whole["licence"].to_list()})),
        sources=tuple(sorted(set(whole["source_id"].to_list()))),
        snapshot=snapshot,
        left_out=counted,
        lines=tuple(_lines(whole, model)) if lines is None else tuple(lines),
    )


def _lines(frame: pl.DataFrame, model: Specification) -> list[dict[str, Any]]:
    return [
        {
            "electrode_id": row["id"],
            "file_id": row["file_id"],
            "sheet": row["sheet"],
            "table_name": TABLES[model.rows],
            "file_name": row.get("file_name") or "",
            "source_id": row["source_id"],
            "line": row["row_number"],
        }
        for row in frame.iter_rows(named=True)
    ]


TABLES = {
    "mesostructures": "mesostructures",
    "slurry simulations": "slurry_simulations",
    "faded cells": "cycle_lives",
}
READERS: dict[str, Callable[[Lakehouse, Specification], TrainingSet]] = {
    "half cells": half_cells,
    "loaded half cells": loaded_half_cells,
    "graded cells": graded_cells,
    "mesostructures": mesostructures,
    "slurry simulations": slurry_simulations,
    "faded cells": faded_cells,
}
