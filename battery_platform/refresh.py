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
from datetime import UTC, datetime
from typing import Any

from battery_platform.settings import PROJECT_ROOT, Settings
from battery_platform.store.lakehouse import Lakehouse

Step = Callable[[str, float | None, bool], None]
GRADED_CELLS = {"demo": 768, "nightly": 4096, "full": 8192}
HALF_CELLS = {"demo": 768, "nightly": 1024, "full": 4096}
"""Simulated for the surrogates, by the size of the refresh."""


@dataclass
class Refreshed:
    """What a refresh left behind."""

    ok: bool
    seconds: float
    snapshot: int
    quarantined: int
    sources: list[dict[str, Any]] = field(default_factory=list)
    marts: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    designs: list[dict[str, Any]] = field(default_factory=list)
    literature: list[dict[str, Any]] = field(default_factory=list)
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


def run_refresh(settings: Settings, size: str, step: Step, rebuild: bool = False) -> Refreshed:
    """Run the whole job; `step` is told when each step starts and ends."""
    from battery_platform.defs.dbt_project import prepare_manifest

    started = time.perf_counter()
    since = datetime.now(UTC).replace(tzinfo=None)
    os.environ.update(dagster_environment(settings))
    prepare_manifest()
    import dagster as dg

    from battery_platform.definitions import build_defs
    from battery_platform.defs.electrochemistry import GRADED_SPACE_KEY, HALF_CELL_SWEEP_KEY
    from battery_platform.defs.sources import PLANT_KEY
    from battery_platform.records.sources import SIZES

    job = build_defs().resolve_job_def("refresh")
    run_id = str(uuid.uuid4())
    op = PLANT_KEY.to_python_identifier()
    run_config = {
        "ops": {
            op: {"config": {"batches": SIZES[size]}},
            GRADED_SPACE_KEY.to_python_identifier(): {"config": {"points": GRADED_CELLS[size]}},
            HALF_CELL_SWEEP_KEY.to_python_identifier(): {"config": {"points": HALF_CELLS[size]}},
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
    return _sum_up(settings, ok, started, since, failures, run_id, work_seconds)


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
    since: datetime,
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
        models = _models(lake, since)
        designs = _designs(lake)
        literature = lake.records(_LITERATURE)
        held = lake.value(
            "SELECT count(*) FROM (SELECT DISTINCT file_id, sheet, table_name, row_number FROM quarantine)"
        )
        snapshot = lake.snapshot()
    finally:
        lake.close()
    seconds = time.perf_counter() - started
    return Refreshed(
        ok,
        seconds,
        snapshot,
        held,
        sources,
        marts,
        models,
        designs,
        literature,
        failures,
        run_id,
        work_seconds,
    )


_DISCHARGED = """
    SELECT l.subject, s.specific_energy_wh_kg, s.specific_power_w_kg
    FROM discharge_subjects l JOIN discharges s USING (discharge_id)
    WHERE l.origin = 'designs' AND s.c_rate = 1 ORDER BY s.made_at"""
_LITERATURE = """
    SELECT property, count(*) AS documents, count(*) FILTER (WHERE how <> 'missing') AS reporting,
           sum(n_mentions)::BIGINT AS mentions, is_synthetic
    FROM literature_completeness GROUP BY property, is_synthetic ORDER BY ALL"""


def _designs(lake: Lakehouse) -> list[dict[str, Any]]:
    """The newest answer to each target, and what its electrode delivers at 1C."""
    from battery_platform.design.stored import all_designs, newest
    from battery_platform.models.specification import RECIPE

    discharged = {row["subject"]: row for row in lake.records(_DISCHARGED)}
    designs = newest(all_designs(lake))
    targets = dict.fromkeys(f"target_{name}" for design in designs for name in design["wanted"])
    rows = []
    for design in designs:
        delivered = discharged.get(design["design_id"], {})
        rows.append(
            {
                "design_id": design["design_id"],
                **{name: design.get(name) for name in targets},
                **{name: design[name] for name in (*RECIPE, "probability")},
                "specific_energy_wh_kg": delivered.get("specific_energy_wh_kg"),
                "specific_power_w_kg": delivered.get("specific_power_w_kg"),
                "is_synthetic": design["is_synthetic"],
            }
        )
    return rows


def _models(lake: Lakehouse, since: datetime) -> list[dict[str, Any]]:
    """The newest version of each model, and whether this refresh trained it and why."""
    return lake.records(
        """SELECT v.model_name AS model, e.target, v.version, v.decision,
                  CASE WHEN v.registered_at >= $since THEN 'trained: ' || v.trained_because
                       ELSE 'kept: data, code and parameters unchanged' END AS this_time,
                  max(e.value) FILTER (WHERE e.metric = 'r2') AS r2,
                  max(e.value) FILTER (WHERE e.metric = 'rmse') AS rmse,
                  max(e.value) FILTER (WHERE e.metric = 'coverage_90') AS coverage_90,
                  max(e.value) FILTER (WHERE e.metric = 'accuracy') AS accuracy,
                  v.n_rows, v.is_synthetic
           FROM model_versions v JOIN model_evaluations e USING (model_name, version)
           WHERE e.slice = 'all rows' AND e.candidate = v.algorithm
             AND v.version = (SELECT max(version) FROM model_versions n
                              WHERE n.model_name = v.model_name)
           GROUP BY ALL ORDER BY model, e.target""",
        {"since": since},
    )
