"""Source and raw assets, materialised with a lake of their own."""

import json
from pathlib import Path

import dagster as dg
import pytest

from battery_platform.defs import raw_tables, sources
from battery_platform.defs.raw_tables import RAW_CHECKS
from battery_platform.defs.resources import LakehouseResource
from battery_platform.defs.sources import PlantConfig, synthetic_plant
from battery_platform.store.lakehouse import sql_text

LOTS = "lot_id,material_kind,material_name\nL1,electrolyte,LP30\nL2,magic,LP30\n"


@pytest.fixture
def resource(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LakehouseResource:
    monkeypatch.setenv("BATTERY_PLATFORM_SETTLE_SECONDS", "0")
    monkeypatch.delenv("BATTERY_PLATFORM_MIRROR", raising=False)
    return LakehouseResource(home=str(tmp_path / "home"))


def run(
    resource: LakehouseResource, instance: dg.DagsterInstance, *assets: dg.AssetsDefinition
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


def test_plant_is_taken_and_labelled_synthetic(resource: LakehouseResource) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(resource, instance, synthetic_plant, *raw_tables.ASSETS)
        assert result.success
        checks = result.get_asset_check_evaluations()
        assert all(check.passed for check in checks)
        assert len(checks) == 1 + len(RAW_CHECKS)
        event = instance.get_latest_materialization_event(dg.AssetKey(["raw", "electrodes"]))
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
    assert metadata["dagster/row_count"].value == resource.lake().value(
        "SELECT count(*) FROM raw_electrodes"
    )
    assert "data:image/png" in str(metadata["picture"].value)
    assert resource.lake().value("SELECT bool_and(is_synthetic) FROM raw_electrodes")
    materialised = result.asset_materializations_for_node("sources__synthetic_plant")[0].metadata
    assert materialised["rows_in"].value == (
        materialised["rows_accepted"].value + materialised["rows_quarantined"].value  # type: ignore[operator]
    )


def test_a_second_run_takes_nothing_again(resource: LakehouseResource) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run(resource, instance, synthetic_plant)
        before = resource.lake().rows(
            "SELECT count(*), sum(hash(electrode_id)) FROM raw_electrodes"
        )
        result = run(resource, instance, synthetic_plant)
    assert result.success
    after = resource.lake().rows("SELECT count(*), sum(hash(electrode_id)) FROM raw_electrodes")
    assert after == before


def test_a_table_that_is_as_it_was_is_not_judged_again(resource: LakehouseResource) -> None:
    table = next(asset for asset in raw_tables.ASSETS if asset.key.path[-1] == "electrodes")
    with dg.DagsterInstance.ephemeral() as instance:
        run(resource, instance, synthetic_plant, *raw_tables.ASSETS)
        again = run(resource, instance, synthetic_plant, table)
        resource.lake().write(
            lambda cursor: cursor.execute("UPDATE raw_electrodes SET porosity_pct = 400").fetchall()
        )
        overwritten = run(resource, instance, table)
    checks = {check.check_name: check for check in again.get_asset_check_evaluations()}
    assert len(checks) == 4
    assert all(check.passed for check in checks.values())
    assert all("Not judged again" in str(check.description) for check in checks.values())
    metadata = again.asset_materializations_for_node("raw__electrodes")[0].metadata
    assert metadata["unchanged"].value is True
    assert "data:image/png" in str(metadata["picture"].value)
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
    from battery_platform.defs.gates import require_passed

    lots, cells = dg.AssetKey(["raw", "material_lots"]), dg.AssetKey(["raw", "cells"])

    @dg.asset(deps=[lots])
    def consumer(context: dg.AssetExecutionContext) -> None:
        require_passed(context, [check for check in RAW_CHECKS if check.asset_key == lots])

    @dg.asset(deps=[cells])
    def consumer_of_cells(context: dg.AssetExecutionContext) -> None:
        require_passed(context, [check for check in RAW_CHECKS if check.asset_key == cells])

    lake = resource.lake()
    with lake.cursor() as cursor:
        cursor.execute(
            "INSERT INTO raw_material_lots (lot_id, material_kind, material_name, d50_um) "
            f"VALUES ('L9', 'electrolyte', {sql_text('x')}, -3)"
        )
    with dg.DagsterInstance.ephemeral() as instance:
        first = run(resource, instance, *raw_tables.ASSETS, consumer, consumer_of_cells)
        assert not first.success
        assert not first.asset_materializations_for_node("consumer")
        assert first.asset_materializations_for_node("consumer_of_cells")
        alone = run(resource, instance, consumer)
        assert not alone.success
        failure = next(event for event in alone.all_events if event.is_step_failure)
        reason = failure.step_failure_data.user_failure_data
        assert reason is not None
        assert reason.description is not None
        assert "raw/material_lots contract_holds" in reason.description
        assert "d50_um is -3" in reason.description
        with lake.cursor() as cursor:
            cursor.execute("DELETE FROM raw_material_lots WHERE lot_id = 'L9'")
        assert run(resource, instance, *raw_tables.ASSETS).success
        assert run(resource, instance, consumer).success


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
        tmp_path, "refresh", "run-1234567", datetime(2026, 1, 2, tzinfo=UTC), "", failures
    )
    text = path.read_text()
    assert path.name == "failed-20260102-0000-run-1234.md"
    assert "## broken" in text
    assert "the oven is off" in text
    assert "Traceback" not in text
