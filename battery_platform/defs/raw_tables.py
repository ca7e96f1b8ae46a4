"""Raw table assets: what all sources together put into each table, and whether it may be used.

The sources write; this step looks at the result, table by table. Its checks block: what builds
on a table whose check failed does not run, in this run or alone in a later one.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from battery_platform.contracts.registry import TABLES, Table
from battery_platform.defs.metadata import OWNERS, markdown_table, picture
from battery_platform.defs.resources import LakehouseResource
from battery_platform.defs.sources import SOURCE_KEYS, sources_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from battery_platform.store.lakehouse import Lakehouse

GROUP = "raw"
CODE_VERSION = "1"
CHECKS_OF_A_TABLE = {
    "contract_holds": "Every stored row keeps every rule of the table's contract.",
    "identifiers_are_unique": "No record is stored twice.",
    "references_are_known": "Every identifier of another step names a record that is there.",
}


def raw_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["raw", name])


_SPECS = [
    dg.AssetSpec(
        raw_key(table.name),
        deps=sources_of(table.name),
        group_name=GROUP,
        kinds={"ducklake", "pandera"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        description=f"Accepted {table.title} of all sources, as handed in.",
    )
    for table in TABLES.values()
] + [
    dg.AssetSpec(
        raw_key("files"),
        deps=SOURCE_KEYS,
        group_name=GROUP,
        kinds={"ducklake"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        description="The manifest: every file taken, how it was read, its licence and its balance.",
    ),
    dg.AssetSpec(
        raw_key("quarantine"),
        deps=SOURCE_KEYS,
        group_name=GROUP,
        kinds={"ducklake"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        description="Rows that broke a rule, with field, value, rule, reason and remedy.",
    ),
    dg.AssetSpec(
        raw_key("test_features"),
        deps=[raw_key(name) for name in ("test_cycles", "cycling_tests", "cells")],
        group_name=GROUP,
        kinds={"ducklake"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        description="Features of each cycling test: capacities of the 5th, 10th and 30th cycle, fade, "
        "IR drop, resistance, efficiency. A view: true at any moment.",
    ),
]

_CHECK_SPECS = [
    dg.AssetCheckSpec(name, asset=raw_key(table.name), blocking=True, description=text)
    for table in TABLES.values()
    for name, text in CHECKS_OF_A_TABLE.items()
]


@dg.multi_asset(specs=_SPECS, check_specs=_CHECK_SPECS, name="raw_tables")
def raw_tables(context: dg.AssetExecutionContext, lakehouse: LakehouseResource) -> Iterator[Any]:
    """Look at each raw table once all sources have written."""
    from battery_platform.store.audit import audit

    lake = lakehouse.lake()
    snapshot = lake.snapshot()
    for table in TABLES.values():
        found = audit(lake, table)
        yield dg.MaterializeResult(
            asset_key=raw_key(table.name),
            metadata=_table_metadata(lake, table, snapshot),
            check_results=[
                dg.AssetCheckResult(
                    check_name=name,
                    asset_key=raw_key(table.name),
                    passed=not problems,
                    description="; ".join(problems) or "passed",
                    metadata={"rows": found.rows, "problems": "; ".join(problems) or "none"},
                )
                for name, problems in zip(CHECKS_OF_A_TABLE, found.problems, strict=True)
            ],
        )
    yield dg.MaterializeResult(
        asset_key=raw_key("test_features"),
        metadata={
            "dagster/row_count": lake.value("SELECT count(*) FROM test_features"),
            "snapshot": snapshot,
            "newest": markdown_table(lake.records(_FEATURES)),
        },
    )
    for name in ("files", "quarantine"):
        stored = "raw_files" if name == "files" else name
        yield dg.MaterializeResult(
            asset_key=raw_key(name),
            metadata={
                "dagster/row_count": lake.value(f"SELECT count(*) FROM {stored}"),
                "snapshot": snapshot,
                "newest": markdown_table(lake.records(_NEWEST[name])),
            },
        )


_FEATURES = """SELECT test_id, cell_id, cycles, max_capacity_mah, d5_mah, d10_mah, d30_mah,
        retention_pct, cycle_at_50pct_of_max, ir_drop_mv, coulombic_efficiency_pct
    FROM test_features ORDER BY is_synthetic, test_id LIMIT 25"""
_NEWEST = {
    "files": """SELECT source_id, file_name, sheet, table_name, rows_in, rows_accepted,
        rows_quarantined, licence, ingested_at FROM raw_files ORDER BY ingested_at DESC LIMIT 25""",
    "quarantine": """SELECT source_id, file_name, row_number, field, value, rule, message
        FROM quarantine ORDER BY quarantined_at DESC, file_name, row_number LIMIT 25""",
}


def _table_metadata(lake: "Lakehouse", table: Table, snapshot: int) -> dict[str, Any]:
    from battery_platform.contracts.base import columns
    from battery_platform.store.schema import TECHNICAL

    by_source = lake.records(
        f"""SELECT source_id, is_synthetic, count(*) AS n_rows, count(DISTINCT file_id) AS files
            FROM {table.raw} GROUP BY ALL ORDER BY 1"""
    )
    schema = [
        dg.TableColumn(column.name, column.sql_type, column.description)
        for column in columns(table.contract)
    ] + [dg.TableColumn(name, kind) for name, kind in TECHNICAL.items()]
    made: dict[str, Any] = {
        "dagster/row_count": sum(row["n_rows"] for row in by_source),
        "dagster/column_schema": dg.TableSchema(columns=schema),
        "dagster/table_name": f"lake.main.{table.raw}",
        "snapshot": snapshot,
        "by_source": markdown_table(by_source),
    }
    figure = _figure(lake, table) if by_source else None
    if figure is not None:
        made["picture"] = picture(figure)
    return made


def _figure(lake: "Lakehouse", table: Table) -> "Figure | None":
    from battery_platform.records import pictures

    drawn: dict[str, Callable[[Lakehouse], Figure | None]] = {
        "test_cycles": pictures.capacity_against_cycle,
        "test_points": pictures.voltage_curves,
        "flow_points": pictures.flow_curves,
        "line_runs": pictures.run_chart,
    }
    if table.name in drawn:
        return drawn[table.name](lake)
    return _histogram(lake, table, *_PICTURES[table.name]) if table.name in _PICTURES else None


_PICTURES = {
    "electrodes": ("mass_loading_mg_cm2", "mass loading / mg cm⁻²"),
    "electrode_sheets": ("mass_loading_mg_cm2", "mass loading / mg cm⁻²"),
    "coatings": ("comma_gap_um", "comma gap / µm"),
    "calenderings": ("compression_degree_pct", "compression / %"),
    "mesostructures": ("active_surface_pct", "active surface / %"),
}


def _histogram(lake: "Lakehouse", table: Table, column: str, label: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 2.6))
    axes = figure.subplots()
    rows = lake.rows(
        f"""SELECT source_id || CASE WHEN is_synthetic THEN ' (synthetic)' ELSE '' END, list({column})
            FROM {table.raw} WHERE {column} IS NOT NULL GROUP BY ALL ORDER BY 1"""
    )
    for name, values in rows:
        axes.hist(values, bins=40, histtype="step", label=f"{name}, n = {len(values)}")
    axes.set_xlabel(label)
    axes.set_ylabel("records")
    if rows:
        axes.legend(fontsize=7)
    return figure


ASSETS = [raw_tables]
RAW_CHECKS = list(raw_tables.check_keys)
