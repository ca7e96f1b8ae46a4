"""Raw table assets: what all sources together put into each table, and whether it may be used.

The sources write; each of these assets looks at the result in one table. Its checks block: what builds
on a table whose check failed does not run, in this run or alone in a later one; readers of other tables do.
A table that is as it was when it was last judged is not judged again, and its asset says so.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from battery_platform.contracts.registry import TABLES, Table
from battery_platform.defs.gates import AUDITED, Verdict, audited, last_verdicts
from battery_platform.defs.metadata import OWNERS, markdown_table, picture, png
from battery_platform.defs.resources import LakehouseResource
from battery_platform.defs.sources import SOURCE_KEYS, sources_of
from battery_platform.made.fingerprint import fingerprint
from battery_platform.made.kept import digest_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from battery_platform.store.lakehouse import Lakehouse

GROUP = "raw"
CHECKS_OF_A_TABLE = {
    "contract_holds": "Every stored row keeps every rule of the table's contract.",
    "identifiers_are_unique": "No record is stored twice.",
    "references_are_known": "Every identifier of another step names a record that is there.",
}


def raw_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["raw", name])


def _table_asset(table: Table) -> dg.AssetsDefinition:
    key = raw_key(table.name)

    @dg.asset(
        key=key,
        deps=sources_of(table.name),
        group_name=GROUP,
        kinds={"ducklake", "pandera"},
        owners=OWNERS,
        code_version=fingerprint(
            f"battery_platform.contracts.{table.module}:{table.model}",
            "battery_platform.store.audit:audit",
        ),
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, blocking=True, description=text)
            for name, text in CHECKS_OF_A_TABLE.items()
        ],
        description=f"Accepted {table.title} of all sources, as handed in.",
    )
    def look(
        context: dg.AssetExecutionContext, lakehouse: LakehouseResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from battery_platform.store.builds import audited_versions

        lake = lakehouse.lake()
        version = audited_versions(lake)[table.name]
        before = context.instance.get_latest_materialization_event(key)
        materialised = before.asset_materialization if before else None
        standing = _standing(context, key, version) if materialised else {}
        if materialised and standing:
            return _as_it_was(lake, table, materialised.metadata, standing)
        return _judged(lake, table, version)

    return look


def _standing(
    context: dg.AssetExecutionContext, key: dg.AssetKey, version: str
) -> dict[dg.AssetCheckKey, Verdict]:
    """The last verdicts, if each of them is about this state of the table."""
    checks = [dg.AssetCheckKey(key, name) for name in CHECKS_OF_A_TABLE]
    standing = {
        check: verdict
        for check, verdict in last_verdicts(context.instance, checks).items()
        if verdict is not None and audited(verdict) == version
    }
    return standing if len(standing) == len(checks) else {}


def _as_it_was(
    lake: "Lakehouse",
    table: Table,
    metadata: Mapping[str, dg.MetadataValue],
    standing: Mapping[dg.AssetCheckKey, Verdict],
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """What was told of the table when it was judged, which still holds."""
    from battery_platform.store.builds import table_version

    return dg.MaterializeResult(
        metadata={**metadata, "unchanged": True, "snapshot": lake.snapshot()},
        data_version=dg.DataVersion(table_version(lake, table.name)),
        check_results=[
            verdict.again(check, "the table and its rules are unchanged")
            for check, verdict in standing.items()
        ],
    )


def _judged(lake: "Lakehouse", table: Table, version: str) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """What an audit says of the table, and what people see of its rows."""
    from battery_platform.store.audit import audit
    from battery_platform.store.builds import table_version

    found = audit(lake, table)
    return dg.MaterializeResult(
        metadata=_table_metadata(lake, table, lake.snapshot()),
        data_version=dg.DataVersion(table_version(lake, table.name)),
        check_results=[
            dg.AssetCheckResult(
                check_name=name,
                passed=not problems,
                description="; ".join(problems) or "passed",
                metadata={
                    "rows": found.rows,
                    "problems": "; ".join(problems) or "none",
                    AUDITED: version,
                },
            )
            for name, problems in zip(CHECKS_OF_A_TABLE, found.problems, strict=True)
        ],
    )


def _listing(
    name: str, stored: str, newest: str, description: str, upstream: list[dg.AssetKey]
) -> dg.AssetsDefinition:
    """A table that is shown but not judged: the manifest, the quarantine, a view."""

    @dg.asset(
        key=raw_key(name),
        deps=upstream,
        group_name=GROUP,
        kinds={"ducklake"},
        owners=OWNERS,
        code_version=digest_of(newest),
        description=description,
    )
    def show(lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from battery_platform.store.builds import data_version

        lake = lakehouse.lake()
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": lake.value(f"SELECT count(*) FROM {stored}"),
                "snapshot": lake.snapshot(),
                "newest": markdown_table(lake.records(newest)),
            },
            data_version=dg.DataVersion(data_version(lake)),
        )

    return show


_TABLE_ASSETS = [_table_asset(table) for table in TABLES.values()]
_LISTINGS = [
    _listing(
        "files",
        "raw_files",
        """SELECT source_id, file_name, sheet, table_name, rows_in, rows_accepted, rows_quarantined,
           licence, ingested_at FROM raw_files ORDER BY ingested_at DESC LIMIT 25""",
        "The manifest: every file taken, how it was read, its licence and its balance.",
        SOURCE_KEYS,
    ),
    _listing(
        "quarantine",
        "quarantine",
        """SELECT source_id, file_name, row_number, field, value, rule, message
           FROM quarantine ORDER BY quarantined_at DESC, file_name, row_number LIMIT 25""",
        "Rows that broke a rule, with field, value, rule, reason and remedy.",
        SOURCE_KEYS,
    ),
    _listing(
        "test_features",
        "test_features",
        """SELECT test_id, cell_id, cycles, max_capacity_mah, d5_mah, d10_mah, d30_mah, retention_pct,
           cycle_at_50pct_of_max, ir_drop_mv, coulombic_efficiency_pct
           FROM test_features ORDER BY is_synthetic, test_id LIMIT 25""",
        "Features of each cycling test: capacities of the 5th, 10th and 30th cycle, fade, IR drop, "
        "resistance, efficiency. A view: true at any moment.",
        [raw_key(name) for name in ("test_cycles", "cycling_tests", "cells")],
    ),
]


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
    metadata: dict[str, Any] = {
        "dagster/row_count": sum(row["n_rows"] for row in by_source),
        "dagster/column_schema": dg.TableSchema(columns=schema),
        "dagster/table_name": f"lake.main.{table.raw}",
        "snapshot": snapshot,
        "by_source": markdown_table(by_source),
    }
    figure = _figure(lake, table) if by_source else None
    if figure is not None:
        metadata["picture"] = picture(png(figure))
    return metadata


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


ASSETS = [*_TABLE_ASSETS, *_LISTINGS]
