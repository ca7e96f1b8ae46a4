"""The event log with kept connections: Dagster's own class reads it, also after a kill."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_graphql.schema import create_schema

from battery_platform.defs.launching import create_run, run_here
from battery_platform.defs.storage import KeptEventLog
from battery_platform.settings import PROJECT_ROOT

_KILLED = """
import os, signal
import dagster as dg
from battery_platform.defs.launching import create_run, run_here

@dg.asset
def first():
    return dg.MaterializeResult(metadata={"rows": 3})

@dg.asset(deps=[first])
def second():
    os.kill(os.getpid(), signal.SIGKILL)

definitions = dg.Definitions(
    assets=[first, second], jobs=[dg.define_asset_job("j", executor_def=dg.in_process_executor)]
)
with dg.DagsterInstance.get() as instance:
    run = create_run(instance, definitions, "j", {})
    print(run.run_id, flush=True)
    for event in run_here(instance, definitions, run):
        print(event.event_type_value, event.step_key, flush=True)
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("DAGSTER_HOME", str(PROJECT_ROOT))
    monkeypatch.setenv("BATTERY_PLATFORM_DAGSTER_STORAGE", str(tmp_path))
    return dict(os.environ)


@pytest.fixture
def instance(environment: dict[str, str]) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as opened:
        yield opened


def test_all_that_was_told_before_a_kill_is_in_the_log(
    environment: dict[str, str], tmp_path: Path
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    run_id, *told = killed.stdout.splitlines()
    folder = tmp_path / "history" / "runs"
    stored = SqliteEventLogStorage(str(folder)).get_logs_for_run(run_id)
    events = [
        f"{entry.dagster_event.event_type_value} {entry.step_key}"
        for entry in stored
        if entry.dagster_event is not None
    ]
    assert "ASSET_MATERIALIZATION first" in told
    assert [event for event in events if event in told] == told
    for path in folder.glob("*.db"):
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_many_runs_do_not_keep_many_files_open(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def small() -> None: ...

    definitions = dg.Definitions(
        assets=[small], jobs=[dg.define_asset_job("j", executor_def=dg.in_process_executor)]
    )
    runs = []
    for _ in range(12):
        runs.append(create_run(instance, definitions, "j", {}))
        list(run_here(instance, definitions, runs[-1]))
    log = instance.event_log_storage
    assert isinstance(log, KeptEventLog)
    for run in runs:
        assert {entry.run_id for entry in log.get_logs_for_run(run.run_id)} == {run.run_id}
    opened = {str(entry.resolve()) for entry in Path("/proc/self/fd").iterdir()}
    assert len([name for name in opened if name.endswith(".db") and "history/runs" in name]) <= 8


def test_a_run_from_the_command_line_stands_in_its_jobs_timeline(
    instance: dg.DagsterInstance,
) -> None:
    @dg.asset
    def small() -> None: ...

    definitions = dg.Definitions(
        assets=[small], jobs=[dg.define_asset_job("refresh", executor_def=dg.in_process_executor)]
    )
    run = create_run(instance, definitions, "refresh", {})
    list(run_here(instance, definitions, run))
    query = """{ runsOrError(filter: {statuses: [SUCCESS]}) { ... on Runs { results {
        runId pipelineName repositoryOrigin { repositoryName repositoryLocationName } } } } }"""
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
        answer = create_schema().execute(query, context_value=workspace.create_request_context())
    assert answer.errors is None
    assert json.loads(json.dumps(answer.data))["runsOrError"]["results"] == [
        {
            "runId": run.run_id,
            "pipelineName": "refresh",
            "repositoryOrigin": {
                "repositoryName": "__repository__",
                "repositoryLocationName": "battery_platform",
            },
        }
    ]
