"""The dbt models as assets: staging, core and marts, with row counts and column lineage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, dbt_assets

from battery_platform.defs.dbt_project import fingerprint, manifest_path
from battery_platform.defs.gates import Verdict, last_verdicts, require_passed
from battery_platform.defs.metadata import OWNERS
from battery_platform.defs.raw_tables import RAW_CHECKS
from battery_platform.defs.resources import LakehouseResource

if TYPE_CHECKING:
    from sqlglot.schema import MappingSchema

    from battery_platform.defs.dbt_build import Build, Outcome
    from battery_platform.store.lakehouse import Lakehouse

DBT_POOL = "dbt"
MARTS = "marts"
"""Under which the last build of all models is remembered."""
UNIQUE_ID = "dagster_dbt/unique_id"
"""Under which dagster-dbt's specs name the node that they stand for."""
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


TRANSLATOR = Translator()


def _layer(props: Mapping[str, Any]) -> str:
    folders = props.get("fqn") or []
    return next((LAYERS[folder] for folder in folders if folder in LAYERS), "core")


class BuildConfig(dg.Config):
    """Whether to leave marts alone that were built from these very data and models."""

    only_if_new: bool = False


@dbt_assets(
    manifest=manifest_path(),
    dagster_dbt_translator=TRANSLATOR,
    name="dbt_models",
    pool=DBT_POOL,
)
def dbt_models(
    context: dg.AssetExecutionContext, config: BuildConfig, lakehouse: LakehouseResource
) -> Iterator[Any]:
    """Build all models in the lake, unless a raw table was found unfit."""
    from battery_platform.defs.dbt_build import build, manifest, selection
    from battery_platform.made.kept import Basis, remember, why_rebuild
    from battery_platform.store.builds import data_version

    require_passed(context, RAW_CHECKS)
    lake = lakehouse.lake()
    basis = Basis(fingerprint(), data=data_version(lake))
    because = why_rebuild(lake, MARTS, basis)
    stand = "mart_electrodes" in lake.tables()
    if config.only_if_new and stand and not because:
        standing = last_verdicts(context.instance, context.selected_asset_check_keys)
        if all(standing.values()):
            context.log.info("nothing new since the marts were built: they are left as they are")
            yield from _as_they_are(context, lake.snapshot(), standing)
            return
    parsed = manifest()
    ids = _unique_ids(context)
    chosen = selection(parsed, *ids) if context.is_subset else []
    done = build(lake, chosen)
    yield from _results(context, lake, parsed, done)
    if wrong := done.what_went_wrong:
        raise dg.Failure(description=f"dbt could not build all: {wrong}"[:4000])
    if not context.is_subset:
        remember(lake, MARTS, basis, because or "asked for")
    context.log.info("the marts stand at snapshot %d", lake.snapshot())


def _unique_ids(context: dg.AssetExecutionContext) -> tuple[list[str], list[str]]:
    """dbt's names of the models and of the tests that this run is to look at."""
    models = [
        spec.metadata[UNIQUE_ID]
        for spec in context.assets_def.specs
        if spec.key in context.selected_asset_keys
    ]
    tests = [
        spec.metadata[UNIQUE_ID]
        for spec in context.assets_def.check_specs
        if spec.key in context.selected_asset_check_keys
    ]
    return models, tests


def _results(
    context: dg.AssetExecutionContext, lake: "Lakehouse", parsed: Mapping[str, Any], done: "Build"
) -> Iterator[Any]:
    """Models with rows, columns and where these come from; tests as checks of their asset."""
    from battery_platform.defs.column_lineage import columns_of_lake, schema_of
    from battery_platform.defs.dbt_build import BUILT, NOT_RUN, PASSED, WARNED

    keys = {spec.metadata[UNIQUE_ID]: spec.key for spec in context.assets_def.specs}
    checks = {
        spec.metadata[UNIQUE_ID]: spec.key
        for spec in context.assets_def.check_specs
        if spec.key in context.selected_asset_check_keys
    }
    built = [outcome for outcome in done.outcomes if outcome.status in BUILT]
    columns = columns_of_lake(lake)
    described = _Described(columns, schema_of(columns), _row_counts(lake, parsed, built), parsed)
    for outcome in done.outcomes:
        if outcome.status in BUILT and outcome.unique_id in keys:
            yield dg.MaterializeResult(
                asset_key=keys[outcome.unique_id], metadata=described.metadata(outcome)
            )
        elif outcome.unique_id in checks and outcome.status not in NOT_RUN:
            key = checks[outcome.unique_id]
            warns = outcome.status in WARNED
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=outcome.status in PASSED,
                severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
                description=" ".join(outcome.message.split()) or None,
                metadata={
                    "unique_id": outcome.unique_id,
                    "status": outcome.status,
                    "Execution Duration": outcome.seconds,
                    **({} if outcome.failures is None else {"failed_rows": outcome.failures}),
                },
            )


def _row_counts(
    lake: "Lakehouse", parsed: Mapping[str, Any], built: "Sequence[Outcome]"
) -> dict[str, int]:
    """Rows of all tables that were built, in one query; views are not counted, for that runs them."""
    tables = [
        parsed["nodes"][outcome.unique_id]["name"]
        for outcome in built
        if parsed["nodes"][outcome.unique_id]["config"]["materialized"] == "table"
    ]
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM \"{name}\"" for name in tables)
    return dict(lake.rows(counts)) if tables else {}


@dataclass(frozen=True)
class _Described:
    """What is told of a model that was built."""

    columns: Mapping[str, Mapping[str, str]]
    schema: "MappingSchema"
    row_counts: Mapping[str, int]
    parsed: Mapping[str, Any]

    def metadata(self, outcome: "Outcome") -> dict[str, Any]:
        from battery_platform.defs.column_lineage import column_lineage

        node = self.parsed["nodes"][outcome.unique_id]
        name = node["name"]
        parents = {}
        for unique_id in node["depends_on"]["nodes"]:
            parent = self.parsed["nodes"].get(unique_id) or self.parsed["sources"].get(unique_id)
            if parent:
                parents[parent.get("identifier") or parent["name"]] = TRANSLATOR.get_asset_key(
                    parent
                )
        lineage = column_lineage(outcome.sql, self.schema, parents)
        words = {column: about["description"] for column, about in node["columns"].items()}
        return {
            "unique_id": outcome.unique_id,
            "status": outcome.status,
            "Execution Duration": outcome.seconds,
            "dagster/column_schema": dg.TableSchema(
                columns=[
                    dg.TableColumn(column, kind, words.get(column))
                    for column, kind in self.columns.get(name, {}).items()
                ]
            ),
            **({"dagster/column_lineage": lineage} if lineage else {}),
            **({"dagster/row_count": self.row_counts[name]} if name in self.row_counts else {}),
        }


def _as_they_are(
    context: dg.AssetExecutionContext,
    snapshot: int,
    standing: Mapping[dg.AssetCheckKey, Verdict | None],
) -> Iterator[Any]:
    """Say of each model that it was found up to date, and of each test that its last verdict stands."""
    chosen = context.selected_asset_keys
    for key in TopologicalSorter(context.assets_def.asset_deps).static_order():
        if key in chosen:
            yield dg.MaterializeResult(
                asset_key=key, metadata={"unchanged": True, "snapshot": snapshot}
            )
    for check, verdict in standing.items():
        if verdict is not None:
            yield verdict.again(check, "the marts are unchanged")


ASSETS = [dbt_models]
DBT_CHECKS = list(dbt_models.check_keys)
MART_KEYS = [key for key in dbt_models.keys if key.path[0] == "marts"]
