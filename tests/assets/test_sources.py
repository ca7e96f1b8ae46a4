"""Source and raw assets, materialised with a lake of their own."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from battery_platform.defs import raw_tables, sources
from battery_platform.defs.launching import create_run, run_here
from battery_platform.defs.resources import LakehouseResource
from battery_platform.defs.sources import PlantConfig, synthetic_plant
from battery_platform.defs.threads import threads_executor
from battery_platform.store.lakehouse import Lakehouse, sql_text

LOTS = "lot_id,material_kind,material_name\nL1,electrolyte,LP30\nL2,magic,LP30\n"


@pytest.fixture
def resource(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LakehouseResource:
    monkeypatch.setenv("BATTERY_PLATFORM_SETTLE_SECONDS", "0")
    monkeypatch.delenv("BATTERY_PLATFORM_MIRROR", raising=False)
    return LakehouseResource(home=str(tmp_path / "home"))


def run(
    resource: LakehouseResource,
    instance: dg.DagsterInstance,
    *assets: dg.AssetsDefinition,
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        list(assets),
        resources={"lakehouse": resource},
        instance=instance,
        raise_on_error=False,
        run_config=dg.RunConfig({"sources__synthetic_plant": PlantConfig(batches=12)})
        if synthetic_plant in assets
        else None,
    )


@dataclass(frozen=True)
class Planted:
    """The plant taken and judged, and then taken again with one table."""

    resource: LakehouseResource
    instance: dg.DagsterInstance
    first: dg.ExecuteInProcessResult
    electrodes: list[tuple[Any, ...]]
    again: dg.ExecuteInProcessResult


ELECTRODES = next(asset for asset in raw_tables.ASSETS if asset.key.path[-1] == "electrodes")
COUNTED = "SELECT count(*), sum(hash(electrode_id)) FROM raw_electrodes"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    resource = LakehouseResource(home=str(tmp_path_factory.mktemp("plant") / "home"))
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("BATTERY_PLATFORM_SETTLE_SECONDS", "0")
        patch.delenv("BATTERY_PLATFORM_MIRROR", raising=False)
        first = run(resource, instance, synthetic_plant, *raw_tables.ASSETS)
        electrodes = resource.lake().rows(COUNTED)
        again = run(resource, instance, synthetic_plant, ELECTRODES)
        yield Planted(resource, instance, first, electrodes, again)


def test_plant_is_taken_and_labelled_synthetic(planted: Planted) -> None:
    assert planted.first.success
    checks = planted.first.get_asset_check_evaluations()
    assert all(check.passed for check in checks)
    declared = [key for asset in raw_tables.ASSETS for key in getattr(asset, "check_keys", ())]
    assert len(checks) == 1 + len(declared)
    metadata = planted.first.asset_materializations_for_node("raw__electrodes")[0].metadata
    lake = planted.resource.lake()
    assert metadata["dagster/row_count"].value == lake.value("SELECT count(*) FROM raw_electrodes")
    assert "data:image/png" in str(metadata["picture"].value)
    assert lake.value("SELECT bool_and(is_synthetic) FROM raw_electrodes")
    materialised = planted.first.asset_materializations_for_node("sources__synthetic_plant")[
        0
    ].metadata
    assert materialised["rows_in"].value == (
        materialised["rows_accepted"].value + materialised["rows_quarantined"].value  # type: ignore[operator]
    )


def test_a_second_run_takes_nothing_again(planted: Planted) -> None:
    assert planted.again.success
    assert planted.resource.lake().rows(COUNTED) == planted.electrodes


def test_a_table_that_is_as_it_was_is_not_judged_again(planted: Planted) -> None:
    checks = {check.check_name: check for check in planted.again.get_asset_check_evaluations()}
    assert len(checks) == 4
    assert all(check.passed for check in checks.values())
    assert all("Not judged again" in str(check.description) for check in checks.values())
    metadata = planted.again.asset_materializations_for_node("raw__electrodes")[0].metadata
    assert metadata["unchanged"].value is True
    assert "data:image/png" in str(metadata["picture"].value)
    planted.resource.lake().write(
        lambda cursor: cursor.execute("UPDATE raw_electrodes SET porosity_pct = 400").fetchall()
    )
    overwritten = run(planted.resource, planted.instance, ELECTRODES)
    failed = [c.check_name for c in overwritten.get_asset_check_evaluations() if not c.passed]
    assert failed == ["contract_holds"]


def test_public_entry_is_empty_until_it_is_fetched(resource: LakehouseResource) -> None:
    entry = next(asset for asset in sources.ASSETS if asset.key.path[-1] == "cunha2020_nmc111")
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(resource, instance, entry)
    assert result.success
    assert result.asset_materializations_for_node(entry.op.name)[0].metadata["files"].value == 0


def test_dropped_files_end_in_done_or_refused(resource: LakehouseResource) -> None:
    drop = resource.settings().drop_folder
    drop.mkdir(parents=True)
    (drop / "lots.csv").write_text(LOTS)
    (drop / "empty.csv").write_text("")
    (drop / "same bytes.csv").write_text(LOTS)
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(resource, instance, sources.drop_folder).success
    assert {path.name for path in (drop / "done").iterdir()} == {
        "lots.csv",
        "lots.csv.reason.txt",
        "same bytes.csv",
    } | ({"same bytes.csv.reason.txt"} & {path.name for path in (drop / "done").iterdir()})
    assert "'magic'" in (drop / "done" / "lots.csv.reason.txt").read_text()
    assert "empty" in (drop / "refused" / "empty.csv.reason.txt").read_text()
    assert not [path for path in drop.iterdir() if path.is_file()]
    assert resource.lake().value("SELECT count(*) FROM raw_material_lots") == 1


def test_an_interrupted_run_goes_on_with_what_it_had_taken(resource: LakehouseResource) -> None:
    taken = resource.settings().drop_folder / "taken"
    taken.mkdir(parents=True)
    (taken / "lots.csv").write_text(LOTS)
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(resource, instance, sources.drop_folder).success
    assert (taken.parent / "done" / "lots.csv").is_file()
    path = resource.lake().value("SELECT path FROM raw_files")
    assert path == str(taken.parent / "done" / "lots.csv")


def test_bad_rows_in_a_table_stop_its_own_readers_and_nobody_else(
    resource: LakehouseResource,
) -> None:
    """A consumer refuses in the run in which the check fails, and alone in a later one."""
    from battery_platform.defs.gates import require_fit

    worked: list[str] = []

    def reader(name: str, table: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, deps=[dg.AssetKey(["raw", table])])
        def body(context) -> None:  # type: ignore[no-untyped-def]
            require_fit(context)
            worked.append(name)

        return body

    consumer = reader("consumer", "material_lots")
    tables = [t for t in raw_tables.ASSETS if t.key.path[-1] in {"material_lots", "cells"}]
    definitions = dg.Definitions(
        assets=[*tables, consumer, reader("consumer_of_cells", "cells")],
        resources={"lakehouse": resource},
        jobs=[
            dg.define_asset_job("everything", executor_def=threads_executor),
            dg.define_asset_job("judge", [t.key for t in tables], executor_def=threads_executor),
            dg.define_asset_job("consume", [consumer.key], executor_def=threads_executor),
        ],
    )

    def work(job: str) -> list[dg.DagsterEvent]:
        return list(run_here(instance, definitions, create_run(instance, definitions, job, {})))

    lake = resource.lake()
    with lake.cursor() as cursor:
        cursor.execute(
            "INSERT INTO raw_material_lots (lot_id, material_kind, material_name, d50_um) "
            f"VALUES ('L9', 'electrolyte', {sql_text('x')}, -3)"
        )
    with dg.DagsterInstance.ephemeral() as instance:
        for job in ("everything", "consume"):
            events = work(job)
            assert events[-1].event_type_value == "PIPELINE_FAILURE"
            reason = reason_of(events, "consumer")
            assert "raw/material_lots contract_holds" in reason
            assert "d50_um is -3" in reason
        assert worked == ["consumer_of_cells"]
        with lake.cursor() as cursor:
            cursor.execute("DELETE FROM raw_material_lots WHERE lot_id = 'L9'")
        assert work("judge")[-1].event_type_value == "PIPELINE_SUCCESS"
        assert work("consume")[-1].event_type_value == "PIPELINE_SUCCESS"
    assert worked == ["consumer_of_cells", "consumer"]


def reason_of(events: list[dg.DagsterEvent], step: str) -> str:
    """Why a step failed, in the words that it was given."""
    (failure,) = [event for event in events if event.is_step_failure and event.step_key == step]
    return str(failure.step_failure_data.user_failure_data)


def test_marts_of_an_unfit_table_stay_and_the_others_are_built(
    resource: LakehouseResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    from battery_platform.defs import dbt_build
    from battery_platform.defs.dbt_specs import manifest, parents
    from battery_platform.defs.marts import dbt_models

    built: list[str] = []

    def build(lake: Lakehouse, arguments: Sequence[str]) -> dbt_build.Build:
        outcomes = []
        nodes = manifest()["nodes"]
        models = {key: set(parents(key)) & nodes.keys() for key in nodes if key[:6] == "model."}
        for unique_id in TopologicalSorter(models).static_order():
            node = nodes[unique_id]
            if node["name"] in arguments:
                built.append(node["name"])
                with lake.cursor() as cursor:
                    cursor.execute(f"CREATE OR REPLACE TABLE {node['name']} AS SELECT 1 AS x")
                outcomes.append(dbt_build.Outcome(unique_id, "success", 0.1, None, "", ""))
        return dbt_build.Build(tuple(outcomes), "")

    monkeypatch.setattr(dbt_build, "build", build)
    read = []

    def reader(mart: str) -> dg.AssetsDefinition:
        @dg.asset(name=f"reads_{mart}", deps=[dg.AssetKey(["marts", mart])])
        def body() -> None:
            read.append(mart)

        return body

    with resource.lake().cursor() as cursor:
        cursor.execute("INSERT INTO raw_flow_tests (flow_test_id, points) VALUES ('F1', -3)")
    definitions = dg.Definitions(
        assets=[
            *raw_tables.ASSETS,
            dbt_models,
            reader("mart_electrodes"),
            reader("mart_flow_curves"),
        ],
        resources={"lakehouse": resource},
        jobs=[dg.define_asset_job("all_assets", executor_def=threads_executor)],
    )
    with dg.DagsterInstance.ephemeral() as instance:
        events = list(
            run_here(instance, definitions, create_run(instance, definitions, "all_assets", {}))
        )
    assert events[-1].event_type_value == "PIPELINE_FAILURE"
    assert "mart_electrodes" in built
    assert "mart_flow_curves" not in built
    assert read == ["mart_electrodes"]
    reason = reason_of(events, "dbt_models")
    assert "raw/flow_tests contract_holds" in reason
    assert "mart_flow_curves" in reason
    assert "mart_electrodes" not in reason


def test_sensor_waits_until_a_file_stopped_growing(resource: LakehouseResource) -> None:
    from battery_platform.defs.jobs import drop_folder_sensor

    drop = resource.settings().drop_folder
    drop.mkdir(parents=True)
    growing = drop / "lots.csv"
    growing.write_text(LOTS)

    def tick(cursor: str | None) -> dg.SensorResult:
        context = dg.build_sensor_context(cursor=cursor, resources={"lakehouse": resource})
        result = drop_folder_sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    first = tick(None)
    assert not first.run_requests
    growing.write_text(LOTS + "L3,binder,PVdF\n")
    second = tick(first.cursor)
    assert not second.run_requests
    third = tick(second.cursor)
    assert len(third.run_requests or []) == 1
    assert list(json.loads(third.cursor or "{}")) == ["lots.csv"]


def test_failure_report_names_step_and_reason(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from battery_platform.defs.failures import write_report

    @dg.asset
    def broken() -> None:
        raise dg.Failure(description="the oven is off")

    result = dg.materialize([broken], raise_on_error=False)
    failures = [event for event in result.all_events if event.is_step_failure]
    path = write_report(
        tmp_path,
        "refresh",
        "run-1234567",
        datetime(2026, 1, 2, tzinfo=UTC),
        result.all_events[-1],
        failures,
    )
    text = path.read_text()
    assert path.name == "failed-20260102-0000-run-1234.md"
    assert "## broken" in text
    assert "the oven is off" in text
    assert "Traceback" not in text
