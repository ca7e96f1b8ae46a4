"""One refresh from the command line: the nightly job in this process, with progress told.

The job itself is defined in `defs.jobs`; this module starts it and sums up what it left.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from battery_platform.settings import PROJECT_ROOT, Settings
from battery_platform.store.lakehouse import Lakehouse

Step = Callable[[str, float | None, bool], None]


@dataclass
class Refreshed:
    """What a refresh left behind."""

    ok: bool
    seconds: float
    snapshot: int
    quarantined: int
    sources: list[dict[str, Any]] = field(default_factory=list)
    marts: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    run_id: str = ""
    work_seconds: float = 0.0

    def as_row(self) -> dict[str, Any]:
        """One object for `--json`."""
        return dict(vars(self))


def dagster_environment(settings: Settings) -> dict[str, str]:
    """Environment under which Dagster finds `dagster.yaml` and its storage."""
    storage = settings.home / "dagster"
    storage.mkdir(parents=True, exist_ok=True)
    return {
        "DAGSTER_HOME": os.environ.get("DAGSTER_HOME", str(PROJECT_ROOT)),
        "BATTERY_PLATFORM_DAGSTER_STORAGE": os.environ.get(
            "BATTERY_PLATFORM_DAGSTER_STORAGE", str(storage)
        ),
        "BATTERY_PLATFORM_HOME": str(settings.home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def run_refresh(settings: Settings, batches: int, step: Step, rebuild: bool = False) -> Refreshed:
    """Run the whole job; `step` is told when each step starts and ends."""
    from battery_platform.defs.dbt_project import prepare_manifest

    started = time.perf_counter()
    os.environ.update(dagster_environment(settings))
    prepare_manifest()
    import dagster as dg

    from battery_platform.definitions import build_defs
    from battery_platform.defs.sources import PLANT_KEY

    job = build_defs().resolve_job_def("refresh")
    run_id = str(uuid.uuid4())
    op = PLANT_KEY.to_python_identifier()
    run_config = {
        "ops": {
            op: {"config": {"batches": batches}},
            "dbt_models": {"config": {"only_if_new": not rebuild}},
        },
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    told = {
        dg.DagsterEventType.STEP_START,
        dg.DagsterEventType.STEP_SUCCESS,
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.STEP_SKIPPED,
    }
    failures: list[str] = []
    work_seconds = 0.0
    with dg.DagsterInstance.get() as instance:

        def work() -> bool:
            # dbt writes every model to standard output: that goes to a file, for those who need it
            with (
                (settings.home / "dagster" / "refresh.log").open("w") as log,
                redirect_stdout(log),
                redirect_stderr(log),
            ):
                result = job.execute_in_process(
                    run_config=run_config, instance=instance, raise_on_error=False, run_id=run_id
                )
            return result.success

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(work)
            seen = 0
            starts: dict[str, float] = {}
            while True:
                finished = running.done()
                for entry in instance.all_logs(run_id, of_type=told)[seen:]:
                    seen += 1
                    work_seconds += _tell(entry, starts, failures, step)
                if finished:
                    break
                time.sleep(0.2)
            ok = running.result()
    return _sum_up(settings, ok, started, failures, run_id, work_seconds)


def _tell(entry: Any, starts: dict[str, float], failures: list[str], step: Step) -> float:
    from battery_platform.defs.failures import reason

    event = entry.dagster_event
    name = (event.step_key or "").replace("__", "/")
    if event.event_type_value == "STEP_START":
        starts[name] = entry.timestamp
        step(name, None, True)
        return 0.0
    if event.event_type_value == "STEP_SKIPPED":
        step(f"{name}: nothing new", 0.0, True)
        return 0.0
    seconds = float(entry.timestamp - starts.get(name, entry.timestamp))
    ok = event.event_type_value == "STEP_SUCCESS"
    if not ok:
        failures.append(f"{name}: {reason(event)}")
    step(name, seconds, ok)
    return seconds


def _sum_up(
    settings: Settings,
    ok: bool,
    started: float,
    failures: list[str],
    run_id: str,
    work_seconds: float,
) -> Refreshed:
    lake = Lakehouse(settings)
    try:
        sources = lake.records(
            """SELECT source_id, is_synthetic, count(DISTINCT file_id) AS files, sum(rows_in)::BIGINT AS rows_in,
                      sum(rows_accepted)::BIGINT AS accepted, sum(rows_quarantined)::BIGINT AS quarantined,
                      any_value(licence) AS licence
               FROM raw_files GROUP BY ALL ORDER BY is_synthetic, source_id"""
        )
        marts = [
            {"mart": name, "rows": lake.value(f'SELECT count(*) FROM "{name}"')}
            for name in lake.tables()
            if name.startswith("mart_")
        ]
        held = lake.value(
            "SELECT count(*) FROM (SELECT DISTINCT file_id, sheet, table_name, row_number FROM quarantine)"
        )
        snapshot = lake.snapshot()
    finally:
        lake.close()
    seconds = time.perf_counter() - started
    return Refreshed(ok, seconds, snapshot, held, sources, marts, failures, run_id, work_seconds)
