"""The models and tests of the dbt project as Dagster's specs, read from the manifest.

dagster-dbt would make the same, and imports all of dbt for it, in each process that loads the
definitions; dbt itself is needed only where it builds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import dagster as dg

from battery_platform.defs.dbt_project import manifest_path
from battery_platform.defs.metadata import OWNERS

UNIQUE_ID = "dbt/unique_id"
"""Metadata of a spec: the name of the node that it stands for."""
LAYERS = ("staging", "core", "marts")
KINDS = {"dbt", "duckdb"}


@lru_cache(maxsize=1)
def manifest() -> Mapping[str, Any]:
    """The project as dbt parsed it."""
    parsed: dict[str, Any] = json.loads(manifest_path().read_text(encoding="utf-8"))
    return parsed


def asset_key(unique_id: str) -> dg.AssetKey:
    """Sources name their key in their metadata; models stand under their layer."""
    source = manifest()["sources"].get(unique_id)
    if source is not None:
        return dg.AssetKey(source["meta"]["dagster"]["asset_key"])
    node = manifest()["nodes"][unique_id]
    return dg.AssetKey([_layer(node), node["name"]])


def _layer(node: Mapping[str, Any]) -> str:
    folders: list[str] = node["fqn"]
    return next(folder for folder in folders if folder in LAYERS)


def parents(unique_id: str) -> list[str]:
    """The models and sources that a node reads."""
    read = manifest()["nodes"][unique_id]["depends_on"]["nodes"]
    return [parent for parent in read if parent.startswith(("model.", "source."))]


def asset_specs() -> Iterator[dg.AssetSpec]:
    """A spec per model."""
    for unique_id, node in manifest()["nodes"].items():
        if node["resource_type"] != "model":
            continue
        columns = [
            dg.TableColumn(name, column["data_type"] or "", column["description"] or None)
            for name, column in node["columns"].items()
        ]
        yield dg.AssetSpec(
            asset_key(unique_id),
            deps=[asset_key(parent) for parent in parents(unique_id)],
            group_name=_layer(node),
            kinds=KINDS,
            owners=OWNERS,
            code_version=node["checksum"]["checksum"][:16],
            description=f"{node['description']}\n\n```sql\n{node['raw_code']}\n```",
            metadata={
                UNIQUE_ID: unique_id,
                "materialized": node["config"]["materialized"],
                "dagster/table_name": node["relation_name"].replace('"', ""),
                **({"dagster/column_schema": dg.TableSchema(columns)} if columns else {}),
            },
        )


def check_specs() -> Iterator[dg.AssetCheckSpec]:
    """A spec per test, on the model that it is written at; it blocks unless it only warns."""
    for unique_id, node in manifest()["nodes"].items():
        if node["resource_type"] != "test":
            continue
        read = parents(unique_id)
        tested = node.get("attached_node") or read[0]
        yield dg.AssetCheckSpec(
            node["name"],
            asset=asset_key(tested),
            description=node["description"] or None,
            additional_deps=[asset_key(parent) for parent in read if parent != tested],
            blocking=str(node["config"].get("severity") or "error").lower() == "error",
            metadata={UNIQUE_ID: unique_id},
        )
