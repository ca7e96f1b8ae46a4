"""The dbt models as assets: staging, core and marts, with row counts and column lineage."""

import sys
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets

from battery_platform.defs.dbt_project import fingerprint, manifest_path, run_environment
from battery_platform.defs.gates import require_passed
from battery_platform.defs.metadata import OWNERS
from battery_platform.defs.raw_tables import RAW_CHECKS
from battery_platform.defs.resources import LakehouseResource

DBT_POOL = "dbt"
LAYERS = {"staging": "staging", "core": "core", "marts": "marts"}


class Translator(DagsterDbtTranslator):
    """Keys, groups and owners as the rest of the graph has them."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Sources keep the key in their metadata; models stand under their layer."""
        if dbt_resource_props["resource_type"] == "source":
            return super().get_asset_key(dbt_resource_props)
        return dg.AssetKey([_layer(dbt_resource_props), dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return _layer(dbt_resource_props)

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return OWNERS

    def get_code_version(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        checksum = dbt_resource_props.get("checksum") or {}
        return str(checksum.get("checksum", ""))[:16] or None


def _layer(props: Mapping[str, Any]) -> str:
    folders = props.get("fqn") or []
    return next((LAYERS[folder] for folder in folders if folder in LAYERS), "core")


class BuildConfig(dg.Config):
    """Whether to leave marts alone that were built from these very data and models."""

    only_if_new: bool = False


@dbt_assets(
    manifest=manifest_path(),
    dagster_dbt_translator=Translator(),
    name="dbt_models",
    pool=DBT_POOL,
)
def dbt_models(
    context: dg.AssetExecutionContext, config: BuildConfig, lakehouse: LakehouseResource
) -> Iterator[Any]:
    """Build all models in the lake, unless a raw table was found unfit."""
    from battery_platform.store.builds import data_version, is_built, record_build

    require_passed(context, RAW_CHECKS)
    settings = lakehouse.settings()
    lake = lakehouse.lake()
    data, code = data_version(lake), fingerprint()
    if config.only_if_new and is_built(lake, code):
        context.log.info("nothing new since the marts were built: they are left as they are")
        yield from _as_they_are(context, lake.snapshot())
        return
    dbt = DbtCliResource(
        project_dir=str(settings.dbt_project),
        profiles_dir=str(settings.dbt_project),
        dbt_executable=str(Path(sys.executable).with_name("dbt")),
    )
    with run_environment(lake):
        invocation = dbt.cli(["build"], context=context, manifest=manifest_path())
        yield from invocation.stream().fetch_row_counts().fetch_column_metadata()
    if not context.is_subset:
        record_build(lake, data, code)
    context.log.info("the marts stand at snapshot %d", lake.snapshot())


def _as_they_are(context: dg.AssetExecutionContext, snapshot: int) -> Iterator[Any]:
    """Say of each model that it was found up to date, so that what follows it still runs."""
    chosen = context.selected_asset_keys
    for key in TopologicalSorter(context.assets_def.asset_deps).static_order():
        if key in chosen:
            yield dg.MaterializeResult(
                asset_key=key, metadata={"unchanged": True, "snapshot": snapshot}
            )


ASSETS = [dbt_models]
DBT_CHECKS = list(dbt_models.check_keys)
MART_KEYS = [key for key in dbt_models.keys if key.path[0] == "marts"]
