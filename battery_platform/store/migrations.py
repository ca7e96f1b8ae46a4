"""Migrates lakes of earlier versions when they are opened, in the transaction that opens them.

What is missing is detected from the shape of the tables, so that a lake to which an earlier version has
since written is migrated again. A lake of a later version is recognised by its number and left alone.

Snapshots keep their shape: pinned data are read as they were written.
"""

from __future__ import annotations

import duckdb

from battery_platform.errors import StoreError

VERSION = 2
"""Version of the lake's tables. 1: a design was one wide row."""
VERSION_TABLE = "lake_version"

Shape = dict[str, set[str]]
"""Columns by table."""

WIDE_TARGETS = {
    "mass_loading_mg_cm2": ("mass-loading", "mass_loading_sd_mg_cm2", "probability_mass_loading"),
    "porosity_pct": ("porosity", "porosity_sd_pct", "probability_porosity"),
}
"""Quantities of wide designs, each with its model and its columns for deviation and probability."""
WIDE_RECIPE = ("active_material_pct", "solid_content_pct", "viscosity_pa_s", "comma_gap_um")
WIDE_DESIGNS = {
    *WIDE_RECIPE,
    *(
        column
        for quantity, (model, deviation, probability) in WIDE_TARGETS.items()
        for column in (
            *(f"target_{quantity}", f"tolerance_{quantity}", quantity, deviation, probability),
            f"{model.replace('-', '_')}_version",
        )
    ),
}
WIDE_NEIGHBOURS = {*WIDE_RECIPE, *WIDE_TARGETS}
KIND_OF_TABLE = {
    "mesostructures": "structure",
    "cell_cases": "case_cell",
    "cycle_lives": "aged_cell",
    "capacity_curves": "aged_cell",
    "slurry_simulations": None,
}
"""Kind of the rows of these tables in a trace, where they are not electrodes; None if they have none."""
BUILDS = "raw_builds"


def refuse_what_is_newer(root: duckdb.DuckDBPyConnection, shape: Shape) -> None:
    """Refuse a lake that this version does not understand, before anything is changed."""
    if VERSION_TABLE in shape:
        version = _version(root)
        if version > VERSION:
            raise StoreError(
                f"The lake was made by a later version of battery_platform: its tables are of version "
                f"{version}, this one knows {VERSION}. Nothing was touched.",
                "Install the version that made it, or name another folder by BATTERY_PLATFORM_HOME.",
            )
    for table, wide in (("designs", WIDE_DESIGNS), ("design_neighbours", WIDE_NEIGHBOURS)):
        columns = shape.get(table, set())
        if wide & columns and not wide <= columns:
            raise StoreError(
                f"The lake cannot be brought forward: {table} lacks "
                f"{', '.join(sorted(wide - columns))}. Nothing was touched.",
                "Open it once with the version that made it (`battery-platform refresh`), then again "
                "with this one.",
            )


def is_behind(shape: Shape) -> bool:
    """Whether anything has to be migrated."""
    return (
        VERSION_TABLE not in shape
        or BUILDS in shape
        or bool(WIDE_DESIGNS & shape.get("designs", set()))
        or bool(WIDE_NEIGHBOURS & shape.get("design_neighbours", set()))
    )


def bring_forward(root: duckdb.DuckDBPyConnection, shape: Shape) -> None:
    """Within the transaction that created what was missing; `shape` is that of before."""
    if shape.get("designs", set()) >= WIDE_DESIGNS:
        _lengthen_designs(root)
    if shape.get("design_neighbours", set()) >= WIDE_NEIGHBOURS:
        _lengthen_neighbours(root)
    if "model_training_rows" in shape:
        _name_parents(root)
    if BUILDS in shape:
        _take_over_builds(root)
    if VERSION_TABLE not in shape or _version(root) < VERSION:
        root.execute(f"DELETE FROM {VERSION_TABLE}")
        root.execute(f"INSERT INTO {VERSION_TABLE} VALUES ({VERSION})")


def _version(root: duckdb.DuckDBPyConnection) -> int:
    row = root.execute(f"SELECT max(version) FROM {VERSION_TABLE}").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _lengthen_designs(root: duckdb.DuckDBPyConnection) -> None:
    """A row for each target and each setting of a wide design; the wide columns go."""
    for place, (quantity, (model, deviation, probability)) in enumerate(
        WIDE_TARGETS.items(), start=1
    ):
        root.execute(
            f"""INSERT INTO design_targets BY NAME
                SELECT design_id, '{quantity}' AS quantity, {place}::BIGINT AS place,
                       target_{quantity} AS wanted, tolerance_{quantity} AS tolerance,
                       {quantity} AS predicted, {deviation} AS standard_deviation,
                       {probability} AS probability, '{model}' AS model_name,
                       {model.replace("-", "_")}_version AS version
                FROM designs d WHERE target_{quantity} IS NOT NULL
                  AND NOT EXISTS (SELECT 1 FROM design_targets t WHERE t.design_id = d.design_id
                                  AND t.quantity = '{quantity}')"""
        )
    for place, variable in enumerate(WIDE_RECIPE, start=1):
        root.execute(
            f"""INSERT INTO design_variables BY NAME
                SELECT design_id, '{variable}' AS variable, {place}::BIGINT AS place,
                       {variable} AS value
                FROM designs d WHERE {variable} IS NOT NULL
                  AND NOT EXISTS (SELECT 1 FROM design_variables v WHERE v.design_id = d.design_id
                                  AND v.variable = '{variable}')"""
        )
    _drop_columns(root, "designs", WIDE_DESIGNS)


def _lengthen_neighbours(root: duckdb.DuckDBPyConnection) -> None:
    """Make a row for each setting and measured quantity of a neighbour, and drop the wide columns."""
    for quantity in (*WIDE_RECIPE, *WIDE_TARGETS):
        root.execute(
            f"""INSERT INTO design_neighbour_values BY NAME
                SELECT design_id, rank, '{quantity}' AS quantity, {quantity} AS value
                FROM design_neighbours n WHERE {quantity} IS NOT NULL
                  AND NOT EXISTS (SELECT 1 FROM design_neighbour_values v
                                  WHERE v.design_id = n.design_id AND v.rank = n.rank
                                    AND v.quantity = '{quantity}')"""
        )
    _drop_columns(root, "design_neighbours", WIDE_NEIGHBOURS)


def _drop_columns(root: duckdb.DuckDBPyConnection, table: str, columns: set[str]) -> None:
    for column in sorted(columns):
        root.execute(f"ALTER TABLE {table} DROP COLUMN {column}")


def _name_parents(root: duckdb.DuckDBPyConnection) -> None:
    """Record what versions were trained on, where only their lines were kept."""
    kinds = " ".join(
        f"WHEN '{table}' THEN {'NULL' if kind is None else repr(kind)}"
        for table, kind in KIND_OF_TABLE.items()
    )
    root.execute(
        f"""INSERT INTO made_from BY NAME
            SELECT DISTINCT 'model version' AS child_kind, model_name || '/' || version AS child_id,
                   CASE table_name {kinds} ELSE 'electrode' END AS parent_kind,
                   electrode_id AS parent_id
            FROM model_training_rows
            WHERE CASE table_name {kinds} ELSE 'electrode' END IS NOT NULL
              AND model_name || '/' || version NOT IN (
                SELECT child_id FROM made_from WHERE child_kind = 'model version')"""
    )


def _take_over_builds(root: duckdb.DuckDBPyConnection) -> None:
    """Record the newest build as the basis of the marts, with the last snapshot before it."""
    root.execute(
        f"""DELETE FROM made_results WHERE table_name = 'marts' AND scope = '{{}}'
            AND made_at < (SELECT max(built_at) FROM {BUILDS})"""
    )
    root.execute(
        f"""INSERT INTO made_results BY NAME
            SELECT 'marts' AS table_name, '{{}}' AS scope, code_version AS code_hash,
                   '' AS parameters_hash, data_version AS data_hash, 0::BIGINT AS n_rows,
                   coalesce((SELECT max(snapshot_id) FROM ducklake_snapshots(current_database())
                             WHERE snapshot_time <= built_at AT TIME ZONE 'UTC'), 0) AS snapshot_id,
                   'not recorded' AS because, built_at AS made_at
            FROM {BUILDS}
            WHERE NOT EXISTS (SELECT 1 FROM made_results
                              WHERE table_name = 'marts' AND scope = '{{}}')
            ORDER BY built_at DESC LIMIT 1"""
    )
    root.execute(f"DROP TABLE {BUILDS}")
