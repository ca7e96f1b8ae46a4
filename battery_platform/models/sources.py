"""Kinds of rows that models learn from: one declaration each.

A source says how its rows are read, which groups are held out as a whole (their rows are not
independent), what a row is in the lake, which assets fill it, and what to do if there are too few rows. A
model names its source; its asset, upstream, card and trace follow from it.

Real and synthetic rows are never mixed, nor two active materials or two meanings of the loading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from battery_platform.errors import NoRows, PlatformError
from battery_platform.lazily import Lazily
from battery_platform.models.training import Learner, TrainingSet, licences_of, read_rows
from battery_platform.store.lakehouse import Lakehouse

if TYPE_CHECKING:
    import polars as pl
else:
    pl = Lazily("polars")

SPACE = "space of six properties"
"""Origin of the discharges that fill this space."""
RATED_SPACE = "space of six properties and load"
CLUSTERS = 25


@dataclass(frozen=True)
class Source:
    """Rows of the lake that a model may learn from."""

    name: str
    things: str
    """What the rows are called on a card."""
    groups: str
    """The groups that are held out as a whole."""
    kind: str
    """Kind of entity of a row, as traces name it; empty where it has none."""
    upstream: tuple[str, ...]
    """Assets that fill it, as `layer/name`."""
    read: Callable[[Lakehouse, Learner], TrainingSet]
    label: str
    """First paragraph of the card of a version trained on synthetic rows of this kind."""
    not_shown: str = ""
    """For the card: what these rows cannot show. If empty, the card says that they come from one source."""
    as_recipes: bool = False
    """Whether prediction files are read as recipes, whose headers and units are recognised."""
    always_there: bool = False
    """Whether a refresh creates such rows itself."""


PLANT_LABEL = (
    "> **SYNTHETIC.** This version was trained on the simulated plant's batches. It shows that the "
    "chain works and says nothing about real electrodes."
)
SIMULATED_LABEL = (
    "> **SYNTHETIC.** This version was trained on simulated designs. It stands for the simulation and "
    "its assumptions; no measurement stands behind it."
)


# -- electrodes that were made ----------------------------------------------------------------


def read_electrodes(lake: Lakehouse, model: Learner) -> TrainingSet:
    """Real rows where there are enough of them, otherwise the synthetic plant's."""
    names = ", ".join(f"{name}::DOUBLE AS {name}" for name in (*model.inputs, model.target))
    frame, snapshot = read_rows(
        lake,
        f"""SELECT electrode_id AS id, electrode_id, slurry_id, source_id, is_synthetic,
                   active_material, loading_basis, licence, {names},
                   calendering_id IS NOT NULL AND coalesce(compression_degree_pct, 1) > 0
                     AS is_calendered
            FROM mart_electrodes""",
    )
    real = frame.filter(~pl.col("is_synthetic"))
    training = _largest_kind(lake, real, model, snapshot)
    if training is None:
        synthetic = frame.filter(pl.col("is_synthetic"))
        left_out = {"real, too few for a model": real.height}
        training = _largest_kind(lake, synthetic, model, snapshot, left_out)
    if training is None:
        raise PlatformError(
            f"{model.name} needs {model.smallest_rows} uncalendered electrodes of "
            f"{model.smallest_batches} slurry batches with {', '.join(model.inputs)} and "
            f"{model.target}; the lake has fewer.",
            "Hand in more, or fetch some: `battery-platform catalogue fetch cunha2020_nmc111`.",
        )
    return training


def _largest_kind(
    lake: Lakehouse,
    frame: pl.DataFrame,
    model: Learner,
    snapshot: int,
    left_out: Mapping[str, int] | None = None,
) -> TrainingSet | None:
    """The largest set of rows that share one material and one meaning of the loading."""
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
    ids = tuple(chosen["electrode_id"].to_list())
    return TrainingSet(
        ids=ids,
        inputs=chosen.select(model.inputs).to_numpy(),
        target=chosen[model.target].to_numpy(),
        batches=chosen["slurry_id"].to_numpy(),
        is_synthetic=bool(chosen["is_synthetic"].any()),
        active_material=kind["active_material"],
        loading_basis=kind["loading_basis"],
        licence=licences_of(chosen),
        sources=tuple(sorted(set(chosen["source_id"].to_list()))),
        snapshot=snapshot,
        left_out=counted,
        lines=tuple(_lines_of_electrodes(lake, ids)),
    )


def _lines_of_electrodes(lake: Lakehouse, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The line of each electrode, and the first line of each file about an earlier step of it."""
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
        {"ids": list(ids)},
    )


# -- simulations ------------------------------------------------------------------------------

SIMULATED = "run `battery-platform refresh`: it sweeps them"


def read_half_cells(lake: Lakehouse, model: Learner) -> TrainingSet:
    """Discharges of the space of six properties at 1C, each its own electrode."""
    frame, snapshot = _discharges(lake, SPACE, "c_rate = 1")
    failed = int(frame["failed"].sum())
    frame = frame.filter(~pl.col("failed") & (pl.col("specific_energy_wh_kg") > 0))
    counted = {"failed in the simulation": failed}
    return _training_set(frame, model, HALF_CELLS, snapshot, SIMULATED, counted)


def read_loaded_half_cells(lake: Lakehouse, model: Learner) -> TrainingSet:
    """Discharges of that space at many loads; where the solver failed, nothing was delivered."""
    frame, snapshot = _discharges(lake, RATED_SPACE, "TRUE")
    nothing = pl.when("failed").then(0.0).otherwise("capacity_mah_g")
    frame = frame.with_columns(capacity_mah_g=nothing)
    return _training_set(frame, model, LOADED_HALF_CELLS, snapshot, SIMULATED)


def _discharges(lake: Lakehouse, origin: str, where: str) -> tuple[pl.DataFrame, int]:
    """Discharges by the newest code and assumptions only, as others are not comparable."""
    return read_rows(
        lake,
        f"""SELECT DISTINCT d.*, s.subject AS id, s.subject AS split_group, d.discharge_id AS parent,
                  'simulated' AS source_id, 'CC0-1.0 (generated)' AS licence
           FROM discharges d JOIN discharge_subjects s USING (discharge_id)
           WHERE s.origin = $origin AND {where} AND lower_cutoff_v = 3.2
           QUALIFY code_version || assumptions_hash
                   = first_value(code_version || assumptions_hash) OVER (ORDER BY made_at DESC)""",
        {"origin": origin},
    )


def read_graded_cells(lake: Lakehouse, model: Learner) -> TrainingSet:
    """Graded cells whose profiles no other cell shares, so that no split can leak; by the newest code and
    assumptions, to the cut-off of paper 002.
    """
    points = [
        f"({side}_profile::DOUBLE[])[{number}] AS {side}_active_{number}"
        for side in ("positive", "negative")
        for number in range(1, 11)
    ]
    frame, snapshot = read_rows(
        lake,
        f"""SELECT g.*, run_id AS id, run_id AS split_group, {", ".join(points)},
                   TRUE AS is_synthetic, 'simulated' AS source_id,
                   'CC0-1.0 (generated)' AS licence,
                   {_occurrences("positive")} AS positive_cells,
                   {_occurrences("negative")} AS negative_cells
            FROM graded_discharges g
            WHERE lower_cutoff_v = 2.5 AND positive_layers IS NULL AND negative_layers IS NULL
              AND positive_direction = 'graded' AND negative_direction = 'graded'
            QUALIFY code_version || assumptions_hash
                    = first_value(code_version || assumptions_hash) OVER (ORDER BY made_at DESC)""",
    )
    shared = (pl.col("positive_cells") > 1) | (pl.col("negative_cells") > 1)
    own = frame.filter(~shared)
    done = own.filter(~pl.col("failed") & (pl.col("specific_energy_wh_kg") > 0))
    counted = {
        "that share a profile with another cell": frame.height - own.height,
        "failed or delivered nothing": own.height - done.height,
    }
    return _training_set(done, model, GRADED_CELLS, snapshot, SIMULATED, counted)


def _occurrences(side: str) -> str:
    """How many cells share a profile."""
    return f"count(*) OVER (PARTITION BY {side}_profile, code_version, assumptions_hash)"


# -- simulated or measured by others ----------------------------------------------------------


def read_mesostructures(lake: Lakehouse, model: Learner) -> TrainingSet:
    """Generated structures; a structure and its compressions to several gaps form a group."""
    frame, snapshot = read_rows(
        lake,
        f"""SELECT m.*, structure_id AS id, f.licence,
                  active_material_pct || '/' || porosity_uncalendered_pct AS split_group
           FROM raw_mesostructures m {_LICENCES}""",
    )
    return _of_files(frame, model, MESOSTRUCTURES, snapshot, "duquesnoy2020_mesostructures")


def read_slurry_simulations(lake: Lakehouse, model: Learner) -> TrainingSet:
    """Trials of an optimiser, which crowd together, so clusters of similar parameters are held out whole."""
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import StandardScaler

    frame, snapshot = read_rows(
        lake,
        f"""SELECT s.*, f.licence, md5(concat_ws('/', {", ".join(model.inputs)})) AS id
            FROM raw_slurry_simulations s {_LICENCES}""",
    )
    if frame.height >= 4 * CLUSTERS:
        at = StandardScaler().fit_transform(np.log(frame.select(model.inputs).to_numpy()))
        labels = KMeans(CLUSTERS, n_init=4, random_state=0).fit_predict(at)
        frame = frame.with_columns(split_group=pl.Series([f"cluster {label}" for label in labels]))
    else:
        frame = frame.with_columns(split_group=pl.col("id"))
    return _of_files(frame, model, SLURRY_SIMULATIONS, snapshot, "slurry_forcefield")


def read_faded_cells(lake: Lakehouse, model: Learner) -> TrainingSet:
    """Cells with the features of their first 100 cycles and their cycle life."""
    from battery_platform.models.fade import features_of_cells

    lives, snapshot = read_rows(
        lake,
        f"""SELECT l.*, l.cell_id AS id, l.cell_id AS split_group, f.licence
           FROM raw_cycle_lives l {_LICENCES}""",
    )
    features = features_of_cells(lake, lives["cell_id"].to_list())
    frame = lives.join(features, on="cell_id", how="left").sort("id")
    return _of_files(frame, model, FADED_CELLS, snapshot, "severson_attia_capacity")


_LICENCES = """LEFT JOIN (
    SELECT DISTINCT file_id, sheet, licence FROM raw_files) f USING (file_id, sheet)"""


def _of_files(
    frame: pl.DataFrame, model: Learner, source: Source, snapshot: int, catalogue_id: str
) -> TrainingSet:
    """Rows of a raw table that the public catalogue also provides."""
    remedy = f"fetch some: `battery-platform catalogue fetch {catalogue_id}`, then refresh"
    return _training_set(frame, model, source, snapshot, remedy)


def _training_set(
    frame: pl.DataFrame,
    model: Learner,
    source: Source,
    snapshot: int,
    remedy: str,
    left_out: Mapping[str, int] | None = None,
) -> TrainingSet:
    needed = (*model.inputs, model.target)
    numbers = frame.with_columns(pl.col(needed).cast(pl.Float64))
    whole = numbers.filter(pl.all_horizontal(pl.col(needed).is_not_null()))
    counted = {**(left_out or {}), "without all inputs and the target": frame.height - whole.height}
    if (
        whole.height < model.smallest_rows
        or whole["split_group"].n_unique() < model.smallest_batches
    ):
        raise NoRows(
            f"{model.name} needs {model.smallest_rows} {source.things} of {model.smallest_batches} "
            f"{source.groups}; the lake has {whole.height} of {whole['split_group'].n_unique()}.",
            f"Hand in more, or {remedy}.",
        )
    return TrainingSet(
        ids=tuple(whole["id"].to_list()),
        inputs=whole.select(model.inputs).to_numpy(),
        target=whole[model.target].to_numpy(),
        batches=whole["split_group"].to_numpy(),
        is_synthetic=bool(whole["is_synthetic"].any()),
        active_material=None,
        loading_basis=None,
        licence=licences_of(whole),
        sources=tuple(sorted(set(whole["source_id"].to_list()))),
        snapshot=snapshot,
        left_out=counted,
        lines=tuple(lines_of_table(whole, source)) if "file_id" in whole.columns else (),
        parents=tuple(whole["parent"].to_list()) if "parent" in whole.columns else None,
    )


def lines_of_table(frame: pl.DataFrame, source: Source) -> list[dict[str, Any]]:
    """The source line of each row, for rows that come straight from a raw table."""
    (layer, table) = source.upstream[-1].split("/")
    if layer != "raw":
        raise ValueError(f"{source.name} come from {source.upstream[-1]}, which is no raw table")
    return [
        {
            "electrode_id": row["id"],
            "file_id": row["file_id"],
            "sheet": row["sheet"],
            "table_name": table,
            "file_name": row.get("file_name") or "",
            "source_id": row["source_id"],
            "line": row["row_number"],
        }
        for row in frame.iter_rows(named=True)
    ]


ELECTRODES = Source(
    "electrodes",
    "electrodes",
    "slurry batches",
    "electrode",
    ("marts/mart_electrodes", "core/core_links", "core/core_provenance"),
    read_electrodes,
    PLANT_LABEL,
    "Replication: the source prints no figure to compare with. One coater and one dryer stand behind the "
    "data; another line needs data of its own.",
    as_recipes=True,
    always_there=True,
)
HALF_CELLS = Source(
    "half cells",
    "simulated electrodes",
    "electrodes",
    "discharge",
    ("electrochemistry/half_cell_sweep",),
    read_half_cells,
    SIMULATED_LABEL,
    always_there=True,
)
LOADED_HALF_CELLS = Source(
    "loaded half cells",
    "simulated electrodes",
    "electrodes",
    "discharge",
    ("electrochemistry/half_cell_sweep",),
    read_loaded_half_cells,
    SIMULATED_LABEL,
    always_there=True,
)
GRADED_CELLS = Source(
    "graded cells",
    "simulated cells",
    "pairs of profiles",
    "graded discharge",
    ("electrochemistry/graded_space",),
    read_graded_cells,
    SIMULATED_LABEL,
    always_there=True,
)
MESOSTRUCTURES = Source(
    "mesostructures",
    "structures",
    "uncalendered structures",
    "structure",
    ("raw/mesostructures",),
    read_mesostructures,
    SIMULATED_LABEL,
)
SLURRY_SIMULATIONS = Source(
    "slurry simulations",
    "simulated slurries",
    "clusters of parameters",
    "",
    ("raw/slurry_simulations",),
    read_slurry_simulations,
    SIMULATED_LABEL,
)
FADED_CELLS = Source(
    "faded cells",
    "cells",
    "cells",
    "aged_cell",
    ("raw/capacity_curves", "raw/cycle_lives"),
    read_faded_cells,
    SIMULATED_LABEL,
)
