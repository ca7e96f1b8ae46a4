"""The code location loads, and its graph, jobs, schedules and sensors are what review approved."""

from __future__ import annotations

import dagster as dg
import pytest

from battery_platform.contracts.registry import TABLES
from battery_platform.defs.dbt_project import prepare_manifest


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    prepare_manifest()
    from battery_platform.definitions import build_defs

    return build_defs()


def test_every_asset_has_group_owner_kind_and_description(defs: dg.Definitions) -> None:
    for spec in defs.resolve_all_asset_specs():
        name = spec.key.to_user_string()
        if name.startswith("raw/") or not spec.kinds:
            assert spec.group_name, name
        assert spec.owners, f"{name} has no owner"
        assert spec.kinds, f"{name} has no kind"
        assert spec.description, f"{name} has no description"
        assert spec.code_version, f"{name} has no code version"


def test_graph_holds_each_raw_table_and_the_marts(defs: dg.Definitions) -> None:
    keys = {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()}
    assert {f"raw/{name}" for name in TABLES} <= keys
    assert {
        "sources/synthetic_plant",
        "sources/drop_folder",
        "sources/cunha2020_nmc111",
        "sources/duquesnoy2020_mesostructures",
        "raw/files",
        "raw/quarantine",
        "core/core_provenance",
        "core/core_links",
        "marts/mart_electrodes",
        "marts/mart_recipes",
        "marts/mart_cells",
        "marts/mart_process_history",
        "marts/mart_batch_quality",
        "marts/mart_completeness",
        "models/mass_loading",
        "models/porosity",
        "models/reseeds",
        "design/recommended_recipes",
        "electrochemistry/assumptions",
        "electrochemistry/half_cell_discharges",
        "electrochemistry/replication_002",
        "electrochemistry/assumption_sweep_002",
        "electrochemistry/graded_sweep",
        "factors/critical_factors",
        "electrochemistry/graded_optima",
        "electrochemistry/half_cell_sweep",
        "electrochemistry/ragone_curves",
        "literature/mentions",
        "store/warehouse_export",
        "store/lake_upkeep",
    } <= keys


def test_staging_depends_on_the_raw_asset_of_the_same_name(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for name in TABLES:
        parents = graph.get(dg.AssetKey(["staging", f"stg_{name}"])).parent_keys
        assert dg.AssetKey(["raw", name]) in parents


def test_sources_are_named_only_for_tables_they_bring(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    parents = graph.get(dg.AssetKey(["raw", "mesostructures"])).parent_keys
    assert {key.path[-1] for key in parents} == {"duquesnoy2020_mesostructures", "drop_folder"}


def test_checks_of_raw_tables_and_sources_block(defs: dg.Definitions) -> None:
    blocking = {
        (spec.key.asset_key.to_user_string(), spec.key.name)
        for asset in defs.resolve_asset_graph().assets_defs
        for spec in asset.check_specs
        if spec.blocking
    }
    for name in TABLES:
        for check in ("contract_holds", "identifiers_are_unique", "references_are_known"):
            assert (f"raw/{name}", check) in blocking
    assert ("sources/drop_folder", "rows_in_equals_accepted_plus_quarantined") in blocking


def test_the_thread_runs_from_the_marts_to_physics(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()

    def parents(*path: str) -> set[str]:
        return {key.to_user_string() for key in graph.get(dg.AssetKey([*path])).parent_keys}

    assert "marts/mart_electrodes" in parents("models", "mass_loading")
    assert parents("design", "recommended_recipes") == {"models/mass_loading", "models/porosity"}
    assert "design/recommended_recipes" in parents("electrochemistry", "half_cell_discharges")
    assert {"literature/mentions", "electrochemistry/half_cell_discharges"} <= parents(
        "store", "warehouse_export"
    )


def test_the_sweep_is_partitioned_and_no_part_of_the_nightly_refresh(defs: dg.Definitions) -> None:
    sweep = dg.AssetKey(["electrochemistry", "graded_sweep"])
    node = defs.resolve_asset_graph().get(sweep)
    assert node.partitions_def is not None
    assert len(node.partitions_def.get_partition_keys()) == 20
    repository = defs.get_repository_def()
    assert sweep not in repository.get_job("refresh").asset_layer.executable_asset_keys
    assert sweep in repository.get_job("sweep_graded_cells").asset_layer.executable_asset_keys


def test_models_of_the_graph_are_those_that_are_specified() -> None:
    from battery_platform.defs.models import ASSETS
    from battery_platform.models.specification import MODELS

    names = {asset.key.path[-1].replace("_", "-") for asset in ASSETS}
    assert names == {*MODELS, "forecasts", "cell-outcome-candidates"}


def test_jobs_schedules_and_sensors(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    assert {
        "refresh",
        "take_dropped_files",
        "read_literature",
        "keep_the_lake_small",
        "sweep_graded_cells",
    } <= set(repository.job_names)
    crons = {s.name: s.cron_schedule for s in repository.schedule_defs}
    assert crons == {"nightly_refresh": "0 2 * * *", "nightly_upkeep": "30 4 * * *"}
    running = {s.name for s in repository.schedule_defs if s.default_status.value == "RUNNING"}
    assert running == set(crons)
    assert {s.name for s in repository.sensor_defs} == {
        "drop_folder_sensor",
        "literature_sensor",
        "model_events_sensor",
        "failure_report",
    }


def test_freshness_is_stated_for_sources_that_must_come_daily(defs: dg.Definitions) -> None:
    fresh = {
        spec.key.to_user_string()
        for spec in defs.resolve_all_asset_specs()
        if spec.freshness_policy is not None
    }
    assert {"sources/synthetic_plant", "sources/drop_folder"} <= fresh
