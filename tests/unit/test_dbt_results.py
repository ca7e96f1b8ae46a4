"""What dbt builds becomes assets, checks and lineage; verdicts that stand are repeated, not skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from battery_platform.defs.dbt_project import prepare_manifest
from battery_platform.defs.gates import JUDGED_AT, last_verdicts
from battery_platform.settings import PROJECT_ROOT, Settings


@pytest.fixture(autouse=True)
def prepared() -> None:
    prepare_manifest()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(PROJECT_ROOT))
    monkeypatch.setenv("BATTERY_PLATFORM_DAGSTER_STORAGE", str(tmp_path / "dagster"))
    with dg.DagsterInstance.get() as opened:
        yield opened


def test_models_and_tests_of_the_manifest_are_specs() -> None:
    from battery_platform.defs.dbt_specs import asset_specs, check_specs, manifest

    assets = {spec.key.to_user_string(): spec for spec in asset_specs()}
    models = [n for n in manifest()["nodes"].values() if n["resource_type"] == "model"]
    assert len(assets) == len(models)
    electrodes = assets["marts/mart_electrodes"]
    assert electrodes.group_name == "marts"
    assert {"core/core_electrodes"} <= {dep.asset_key.to_user_string() for dep in electrodes.deps}
    cells = assets["staging/stg_cells"]
    assert {dep.asset_key.to_user_string() for dep in cells.deps} == {"raw/cells"}
    checks = {(spec.asset_key.to_user_string(), spec.name): spec for spec in check_specs()}
    assert checks["marts/mart_electrodes", "unique_mart_electrodes_electrode_id"].blocking
    assert ("staging/stg_files", "every_row_is_accounted_for") in checks


def test_columns_lead_to_the_columns_they_are_made_from() -> None:
    from battery_platform.defs.column_lineage import column_lineage, schema_of

    schema = schema_of({"coatings": {"gap": "DOUBLE", "id": "VARCHAR"}, "links": {"id": "VARCHAR"}})
    key = dg.AssetKey(["staging", "coatings"])
    lineage = column_lineage(
        "WITH wide AS (SELECT id, gap * 2 AS twice FROM lake.main.coatings) "
        "SELECT wide.twice, wide.id, 1 AS one FROM wide JOIN lake.main.links USING (id)",
        schema,
        {"coatings": key},
    )
    assert lineage is not None
    assert lineage.deps_by_column["twice"] == [dg.TableColumnDep(key, "gap")]
    assert lineage.deps_by_column["one"] == []
    assert column_lineage("SELECT FROM WHERE", schema, {}) is None


def test_a_part_of_the_project_is_built_and_told(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    from battery_platform.defs.marts import dbt_models
    from battery_platform.defs.resources import LakehouseResource

    keys = [dg.AssetKey(["staging", "stg_files"]), dg.AssetKey(["staging", "stg_cells"])]
    done = dg.materialize(
        [dbt_models],
        selection=dg.AssetSelection.keys(*keys),
        resources={"lakehouse": LakehouseResource(home=str(settings.home))},
        instance=instance,
    )
    assert done.success
    built = {event.asset_key: event for event in done.get_asset_materialization_events()}
    assert set(built) == set(keys)
    (check,) = done.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("every_row_is_accounted_for", True)
    metadata = built[keys[1]].materialization.metadata
    lineage = metadata["dagster/column_lineage"].value
    assert lineage.deps_by_column["cell_id"] == [
        dg.TableColumnDep(dg.AssetKey(["raw", "cells"]), "cell_id")
    ]
    assert "cell_id" in {column.name for column in metadata["dagster/column_schema"].value.columns}


def test_what_failed_is_named_in_a_sentence() -> None:
    from battery_platform.defs.dbt_build import Build, Outcome

    failed = Outcome("test.battery_platform.unique_x.ab12", "fail", 0.1, 2, "Got 2\nresults", "")
    skipped = Outcome("model.battery_platform.mart_x", "skipped", 0.0, None, "", "")
    assert Build((failed, skipped), "").what_went_wrong == "test unique_x: Got 2 results"
    assert Build((), "no profile").what_went_wrong == "no profile"
    assert Build((skipped,), "").what_went_wrong == ""


@pytest.mark.parametrize("passed", [True, False])
def test_a_verdict_stands_while_a_run_only_plans_to_judge(
    instance: dg.DagsterInstance, passed: bool
) -> None:
    key = dg.AssetCheckKey(dg.AssetKey("table"), "fit")
    judge = True

    @dg.asset(name="table", check_specs=[dg.AssetCheckSpec("fit", asset="table")])
    def table(context) -> dg.MaterializeResult:  # type: ignore[no-untyped-def, type-arg]
        if judge:
            result = dg.AssetCheckResult(check_name="fit", passed=passed, metadata={"rows": 3})
        else:
            verdict = last_verdicts(context.instance, [key])[key]
            assert verdict is not None
            assert verdict.stops is not passed
            result = verdict.again(key, "nothing came")
        return dg.MaterializeResult(check_results=[result])

    dg.materialize([table], instance=instance)
    first = last_verdicts(instance, [key])[key]
    judge = False
    for _ in range(2):
        assert dg.materialize([table], instance=instance).success
    second = last_verdicts(instance, [key])[key]
    assert first is not None
    assert second is not None
    assert second.evaluation.passed is passed
    assert second.evaluation.metadata["rows"].value == 3
    since = f"{first.at:%Y-%m-%d %H:%M} UTC"
    assert second.evaluation.metadata[JUDGED_AT].value == since
    assert second.evaluation.description == (
        f"Not judged again, for nothing came: the verdict of {since} stands."
    )


def test_an_audit_is_valid_until_rows_or_deliveries_change(lake, take) -> None:  # type: ignore[no-untyped-def]
    from battery_platform.store.builds import audited_versions

    before = audited_versions(lake)
    assert audited_versions(lake) == before
    with lake.cursor() as cursor:
        cursor.execute("INSERT INTO raw_cells (cell_id) VALUES ('smuggled')")
    after = audited_versions(lake)
    assert {name for name in after if after[name] != before[name]} == {"cells"}
