"""Assets at the end of the line: the export of the marts, and upkeep of the lake."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import dagster as dg

from battery_platform.defs.marts import MART_KEYS
from battery_platform.defs.products import Outcome, product_asset

if TYPE_CHECKING:
    from battery_platform.store.lakehouse import Lakehouse

EXPORT_KEY = dg.AssetKey(["store", "warehouse_export"])
UPKEEP_KEY = dg.AssetKey(["store", "lake_upkeep"])


def _export(context: dg.AssetExecutionContext, lake: "Lakehouse", config: Any) -> Outcome:
    from battery_platform.store.export import export_marts

    export = export_marts(lake)
    return Outcome(
        sum(export.rows.values()),
        "",
        f"snapshot {export.snapshot}" if export.is_new else "",
        numbers={"path": dg.MetadataValue.path(str(export.warehouse))},
        tables={"tables": [{"table": name, "rows": n} for name, n in export.rows.items()]},
    )


def export_asset(products: Iterable[dg.AssetKey]) -> dg.AssetsDefinition:
    """The export, downstream of all that may fill an exported table."""
    return product_asset(
        EXPORT_KEY,
        _export,
        made_by=["battery_platform.store.export:export_marts"],
        upstream=[*MART_KEYS, *products],
        kinds=frozenset({"duckdb", "parquet"}),
        description="The marts and what the platform made of them as export/warehouse.duckdb and "
        "export/parquet, for tools that do not speak DuckLake; replaced by atomic rename.",
    )


def _upkeep(context: Any, lake: "Lakehouse", config: Any) -> Outcome:
    from battery_platform.store.upkeep import data_size_mib, upkeep

    done = upkeep(lake)
    return Outcome(
        done.files_after,
        "",
        "upkeep",
        numbers={
            "files_before": done.files_before,
            "files_after": done.files_after,
            "snapshots_before": done.snapshots_before,
            "snapshots_after": done.snapshots_after,
            "orphans_removed": done.orphans_removed,
            "data_mib": data_size_mib(lake),
        },
    )


lake_upkeep = product_asset(
    UPKEEP_KEY,
    _upkeep,
    made_by=["battery_platform.store.upkeep:upkeep"],
    kinds=frozenset({"ducklake"}),
    description="Compaction, expiry of snapshots that nobody pinned, removal of orphaned files.",
)

ASSETS = [lake_upkeep]
