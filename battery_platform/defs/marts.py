"""The dbt models as assets: staging, core and marts, with row counts and column lineage."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

import dagster as dg

from battery_platform.defs.dbt_project import fingerprint
from battery_platform.defs.dbt_specs import (
    UNIQUE_ID,
    asset_key,
    asset_specs,
    check_specs,
    manifest,
    parents,
)
from battery_platform.defs.gates import Verdict, last_verdicts, unfit
from battery_platform.defs.resources import LakehouseResource

if TYPE_CHECKING:
    from sqlglot.schema import MappingSchema

    from battery_platform.defs.dbt_build import Build, Outcome
    from battery_platform.store.lakehouse import Lakehouse

DBT_POOL = "dbt"
MARTS = "marts"
"""Under which the last build of all models is remembered."""


class BuildConfig(dg.Config):
    """Whether to leave marts alone that were built from these very data and models."""

    only_if_new: bool = False


@dg.multi_asset(
    name="dbt_models",
    specs=list(asset_specs()),
    check_specs=list(check_specs()),
    can_subset=True,
    pool=DBT_POOL,
)
def dbt_models(
    context: dg.AssetExecutionContext, config: BuildConfig, lakehouse: LakehouseResource
) -> Iterator[Any]:
    """Build all models in the lake but those above which something was found unfit; these stay as they are."""
    from battery_platform.defs.dbt_build import build, selection
    from battery_platform.made.kept import Basis, remember, why_rebuild
    from battery_platform.store.builds import data_version

    lake = lakehouse.lake()
    chosen = _chosen(context)
    basis = Basis(fingerprint(), data=data_version(lake))
    because = why_rebuild(lake, MARTS, basis)
    stand = "mart_electrodes" in lake.tables()
    if config.only_if_new and stand and not because:
        standing = last_verdicts(context.instance, [test.key for test in chosen.tests])
        if all(standing.values()):
            context.log.info("nothing new since the marts were built: they are left as they are")
            yield from _as_they_are(context, chosen, lake.snapshot(), standing)
            chosen.raise_if_unfit()
            return
    some_only = context.is_subset or chosen.unfit
    done = build(lake, selection(manifest(), *chosen.unique_ids) if some_only else [])
    yield from _results(context, lake, done)
    if wrong := done.what_went_wrong:
        raise dg.Failure(description=f"dbt could not build all: {wrong}"[:4000])
    chosen.raise_if_unfit()
    if not context.is_subset:
        remember(lake, MARTS, basis, because or "asked for")
    context.log.info("the marts stand at snapshot %d", lake.snapshot())


@dataclass(frozen=True)
class _Chosen:
    """What a run is to build and test, and what it leaves as it is, with the reasons."""

    models: Sequence[dg.AssetSpec]
    tests: Sequence[dg.AssetCheckSpec]
    unfit: Mapping[dg.AssetKey, Sequence[str]]

    @property
    def unique_ids(self) -> tuple[list[str], list[str]]:
        """dbt's names of the models and of the tests."""
        return (
            [model.metadata[UNIQUE_ID] for model in self.models],
            [test.metadata[UNIQUE_ID] for test in self.tests],
        )

    def raise_if_unfit(self) -> None:
        if self.unfit:
            names = ", ".join(sorted(key.path[-1] for key in self.unfit))
            reasons = "; ".join(sorted({text for texts in self.unfit.values() for text in texts}))
            raise dg.Failure(
                description=f"Upstream is not fit for use: {reasons}. Left as they were: {names}."[
                    :4000
                ],
                metadata={"left_as_they_were": len(self.unfit)},
                allow_retries=False,
            )


def _chosen(context: dg.AssetExecutionContext) -> _Chosen:
    """The models that were asked for and are fit to build, and the tests that read no other model."""
    asked = context.selected_asset_keys
    stopped = unfit(context, asked)
    return _Chosen(
        [spec for spec in context.assets_def.specs if spec.key in asked - stopped.keys()],
        [
            spec
            for spec in context.assets_def.check_specs
            if spec.key in context.selected_asset_check_keys
            and not stopped.keys()
            & {spec.asset_key, *(dep.asset_key for dep in spec.additional_deps)}
        ],
        stopped,
    )


def _results(context: dg.AssetExecutionContext, lake: "Lakehouse", done: "Build") -> Iterator[Any]:
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
    described = _Described(columns, schema_of(columns), _row_counts(lake, built))
    stand = {keys[outcome.unique_id] for outcome in built if outcome.unique_id in keys}
    put_off = {check for check in checks.values() if check.asset_key in stand}
    for outcome in done.outcomes:
        if outcome.status in BUILT and outcome.unique_id in keys:
            yield dg.MaterializeResult(
                asset_key=keys[outcome.unique_id], metadata=described.metadata(outcome)
            )
        elif outcome.unique_id in checks and outcome.status not in NOT_RUN:
            key = checks[outcome.unique_id]
            put_off.discard(key)
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

    yield from _not_judged(context, put_off)


def _not_judged(
    context: dg.AssetExecutionContext, checks: AbstractSet[dg.AssetCheckKey]
) -> Iterator[dg.AssetCheckResult]:
    """Of a model that was built, tests that did not run, for another model that they read was not built."""
    for key, verdict in last_verdicts(context.instance, checks).items():
        because = "another model that it reads was not built"
        yield (
            verdict.again(key, because)
            if verdict is not None
            else dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"Not judged, for {because}.",
            )
        )


def _row_counts(lake: "Lakehouse", built: "Sequence[Outcome]") -> dict[str, int]:
    """Rows of all tables that were built, in one query; views are not counted, for that runs them."""
    nodes = [manifest()["nodes"][outcome.unique_id] for outcome in built]
    tables = [node["name"] for node in nodes if node["config"]["materialized"] == "table"]
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM \"{name}\"" for name in tables)
    return dict(lake.rows(counts)) if tables else {}


@dataclass(frozen=True)
class _Described:
    """What is told of a model that was built."""

    columns: Mapping[str, Mapping[str, str]]
    schema: "MappingSchema"
    row_counts: Mapping[str, int]

    def metadata(self, outcome: "Outcome") -> dict[str, Any]:
        from battery_platform.defs.column_lineage import column_lineage

        node = manifest()["nodes"][outcome.unique_id]
        name = node["name"]
        read = {_relation(parent): asset_key(parent) for parent in parents(outcome.unique_id)}
        lineage = column_lineage(outcome.sql, self.schema, read)
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


def _relation(unique_id: str) -> str:
    node = manifest()["nodes"].get(unique_id) or manifest()["sources"][unique_id]
    return str(node.get("identifier") or node["name"])


def _as_they_are(
    context: dg.AssetExecutionContext,
    chosen: _Chosen,
    snapshot: int,
    standing: Mapping[dg.AssetCheckKey, Verdict | None],
) -> Iterator[Any]:
    """Say of each model that it was found up to date, and of each test that its last verdict stands."""
    fit = {spec.key for spec in chosen.models}
    for key in TopologicalSorter(context.assets_def.asset_deps).static_order():
        if key in fit:
            yield dg.MaterializeResult(
                asset_key=key, metadata={"unchanged": True, "snapshot": snapshot}
            )
    for check, verdict in standing.items():
        if verdict is not None:
            yield verdict.again(check, "the marts are unchanged")


ASSETS = [dbt_models]
MART_KEYS = [key for key in dbt_models.keys if key.path[0] == "marts"]
