"""The graph as review approved it: assets, checks, jobs, schedules and sensors, in one readable file.

A change of the graph is a change of `graph.txt`, which a reviewer sees. It is written anew by
`BATTERY_PLATFORM_WRITE_SNAPSHOT=1 python -m pytest tests/definitions`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from battery_platform.defs.dbt_project import prepare_manifest

SNAPSHOT = Path(__file__).with_name("graph.txt")
WRITE = "BATTERY_PLATFORM_WRITE_SNAPSHOT"


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.Definitions]:
    """Of a home without pictures, so that descriptions are the same everywhere."""
    patch = pytest.MonkeyPatch()
    patch.setenv("BATTERY_PLATFORM_HOME", str(tmp_path_factory.mktemp("home")))
    prepare_manifest()
    from battery_platform.definitions import build_defs

    yield build_defs()
    patch.undo()


def graph_in_words(defs: dg.Definitions) -> str:
    """One block per asset, then jobs, schedules and sensors."""
    graph = defs.resolve_asset_graph()
    blocks = []
    for spec in sorted(defs.resolve_all_asset_specs(), key=lambda spec: spec.key):
        checks = sorted(
            (check.name, check.blocking)
            for asset in graph.assets_defs
            for check in asset.check_specs
            if check.asset_key == spec.key
        )
        lines = [
            spec.key.to_user_string(),
            f"  group {spec.group_name}; kinds {', '.join(sorted(spec.kinds))}; "
            f"owners {', '.join(spec.owners)}; "
            + ("due daily" if spec.freshness_policy else "on demand"),
            f"  {str(spec.description).split('. ')[0].splitlines()[0][:120]}",
            *(
                f"  <- {dep.asset_key.to_user_string()}"
                for dep in sorted(spec.deps, key=lambda d: d.asset_key)
            ),
            *(f"  ? {name}{' (blocks)' if blocks_ else ''}" for name, blocks_ in checks),
        ]
        blocks.append("\n".join(lines))
    repository = defs.get_repository_def()
    jobs = [
        f"job {job.name}: {len(job.asset_layer.executable_asset_keys)} assets"
        for job in sorted(repository.get_all_jobs(), key=lambda job: job.name)
        if not job.name.startswith("__")
    ]
    schedules = [
        f"schedule {schedule.name}: {schedule.cron_schedule} -> {schedule.job_name}, "
        f"{schedule.default_status.value}"
        for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name)
    ]
    sensors = [
        f"sensor {sensor.name}: {sensor.sensor_type.value}, {sensor.default_status.value}"
        for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name)
    ]
    return "\n\n".join([*blocks, "\n".join(jobs), "\n".join(schedules), "\n".join(sensors)]) + "\n"


def test_the_graph_is_what_review_approved(defs: dg.Definitions) -> None:
    words = graph_in_words(defs)
    if os.environ.get(WRITE):
        SNAPSHOT.write_text(words)
    assert words == SNAPSHOT.read_text(), f"if it is meant so, run it with {WRITE}=1"


def test_every_asset_has_a_real_code_version_and_an_owner(defs: dg.Definitions) -> None:
    for spec in defs.resolve_all_asset_specs():
        name = spec.key.to_user_string()
        assert spec.code_version not in (None, "", "1"), f"{name} tells Dagster nothing of its code"
        assert spec.owners, name


def test_what_the_nightly_refresh_makes_is_due_daily(defs: dg.Definitions) -> None:
    nightly = defs.get_repository_def().get_job("refresh").asset_layer.executable_asset_keys
    late = {
        spec.key.to_user_string()
        for spec in defs.resolve_all_asset_specs()
        if spec.key in nightly and spec.freshness_policy is None
    }
    assert late == set()


def test_the_schedule_and_the_command_line_refresh_by_the_same_sizes() -> None:
    from battery_platform.defs.jobs import refresh_job, size_config
    from battery_platform.sizes import NIGHTLY

    assert refresh_job.config == size_config(NIGHTLY)
