"""Assets at the end of the line: the export of the marts, and upkeep of the lake."""

import dagster as dg

from battery_platform.defs.design import DESIGN_KEY
from battery_platform.defs.electrochemistry import (
    ASSUMPTIONS_KEY,
    DISCHARGES_KEY,
    EFFECTS_KEY,
    REPLICATION_KEY,
)
from battery_platform.defs.gates import require_passed
from battery_platform.defs.literature import MENTIONS_KEY
from battery_platform.defs.marts import DBT_CHECKS, MART_KEYS
from battery_platform.defs.metadata import OWNERS, markdown_table
from battery_platform.defs.models import MODEL_KEYS
from battery_platform.defs.raw_tables import RAW_CHECKS
from battery_platform.defs.resources import LakehouseResource

PRODUCT_KEYS = [
    *MODEL_KEYS,
    DESIGN_KEY,
    ASSUMPTIONS_KEY,
    DISCHARGES_KEY,
    REPLICATION_KEY,
    EFFECTS_KEY,
    MENTIONS_KEY,
]


@dg.asset(
    key=["store", "warehouse_export"],
    deps=[*MART_KEYS, *PRODUCT_KEYS],
    group_name="store",
    kinds={"duckdb", "parquet"},
    owners=OWNERS,
    code_version="1",
    description="The marts and what the platform made of them as export/warehouse.duckdb and export/parquet, for tools that do not "
    "speak DuckLake; replaced by atomic rename.",
)
def warehouse_export(
    context: dg.AssetExecutionContext, lakehouse: LakehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Publish the marts."""
    from battery_platform.store.export import export_marts

    require_passed(context, [*RAW_CHECKS, *DBT_CHECKS])
    made = export_marts(lakehouse.lake())
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(made.rows.values()),
            "snapshot": made.snapshot,
            "path": dg.MetadataValue.path(str(made.warehouse)),
            "tables": markdown_table([{"table": n, "rows": r} for n, r in made.rows.items()]),
        }
    )


@dg.asset(
    key=["store", "lake_upkeep"],
    group_name="store",
    kinds={"ducklake"},
    owners=OWNERS,
    code_version="1",
    description="Compaction, expiry of snapshots that nobody pinned, removal of orphaned files.",
)
def lake_upkeep(lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Keep the lake small."""
    from battery_platform.store.upkeep import data_size_mib, upkeep

    lake = lakehouse.lake()
    done = upkeep(lake)
    return dg.MaterializeResult(
        metadata={
            "files_before": done.files_before,
            "files_after": done.files_after,
            "snapshots_before": done.snapshots_before,
            "snapshots_after": done.snapshots_after,
            "orphans_removed": done.orphans_removed,
            "data_mib": data_size_mib(lake),
            "snapshot": lake.snapshot(),
        }
    )


ASSETS = [warehouse_export, lake_upkeep]
