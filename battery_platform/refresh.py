"""One refresh from the command line: the nightly job in this process, with progress told.

The job itself is defined in `defs.jobs`; this module starts it and sums up what it left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from battery_platform.settings import PROJECT_ROOT, Settings
from battery_platform.store.lakehouse import Lakehouse, sql_name
from battery_platform.turns import REFRESH, Turn

if TYPE_CHECKING:
    import dagster as dg

Say = Callable[[str], None]
State = Literal["begun", "ok", "failed", "stopped"]
Step = Callable[[str, float, State], None]
LOOK_EVERY_S = 0.5


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
        # matrices here are small: a second thread of linear algebra would only spin beside the workers
        "OPENBLAS_NUM_THREADS": "1",
    }


def run_refresh(
    settings: Settings, size: str, step: Step, say: Say, rebuild: bool = False
) -> Refreshed:
    """Run the whole job when its turn comes; `step` is told when each step starts and ends."""
    with Turn(settings, REFRESH) as turn:
        _wait_for(turn, say)
        return _run(settings, size, step, say, rebuild, turn)


def _wait_for(turn: Turn, say: Say) -> None:
    """Until no other refresh of this home is at work, here or started by the page."""
    waits = False
    while not turn.take():
        if not waits:
            waits = True
            holder = turn.holder()
            which = (
                f" (run {holder.name}, process {holder.pid}, since {holder.since})"
                if holder
                else ""
            )
            say(f"Another refresh is at work{which}; this one waits for it. Ctrl-C leaves.")
        time.sleep(LOOK_EVERY_S)
    turn.sign("not named yet")
    if waits:
        say("The other refresh has ended; this one starts.")


def _run(
    settings: Settings, size: str, step: Step, say: Say, rebuild: bool, turn: Turn
) -> Refreshed:
    from battery_platform.defs.dbt_project import prepare_manifest

    started = time.perf_counter()
    since = datetime.now(UTC).replace(tzinfo=None)
    os.environ.update(dagster_environment(settings))
    prepare_manifest()
    import dagster as dg

    from battery_platform.definitions import build_defs
    from battery_platform.defs.jobs import size_config
    from battery_platform.defs.launching import create_run, end_dead_runs, run_here

    definitions = build_defs()
    run_config = {
        **size_config(size, rebuild),
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    progress = _Progress(step, say)
    with (
        dg.DagsterInstance.get() as instance,
        # what libraries and dbt write goes to a file, for those who need it
        (settings.home / "dagster" / "refresh.log").open("w") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        end_dead_runs(instance)
        run = create_run(instance, definitions, "refresh", run_config)
        turn.sign(run.run_id)
        for event in run_here(instance, definitions, run):
            progress.take(event)
    if progress.interrupted:
        raise KeyboardInterrupt
    return _sum_up(settings, progress, started, since, run.run_id)


class _Progress:
    """What a run's events say of its steps."""

    def __init__(self, step: Step, say: Say) -> None:
        self._step = step
        self._say = say
        self.ok = False
        self.interrupted = False
        self.failures: list[str] = []
        self.work_seconds = 0.0
        self._started_at: dict[str, float] = {}

    def take(self, event: dg.DagsterEvent) -> None:
        """Tell of a step's start or end; remember how the run ended."""
        from battery_platform.defs.failures import (
            is_stopped_step,
            reason,
            reason_of_run,
            step_name,
        )
        from battery_platform.defs.launching import was_interrupted
        from battery_platform.defs.threads import is_stop

        name = step_name(event)
        match event.event_type_value:
            case "STEP_START":
                self._started_at[name] = time.perf_counter()
                self._step(name, 0.0, "begun")
            case "STEP_SKIPPED":
                self._step(f"{name}: nothing new", 0.0, "ok")
            case "STEP_SUCCESS":
                self._end(name, "ok")
            case "STEP_FAILURE" if is_stopped_step(event):
                self._end(name, "stopped")
            case "STEP_FAILURE":
                self.failures.append(f"{name}: {reason(event)}")
                self._end(name, "failed")
            case "ENGINE_EVENT" if is_stop(event):
                self._say("Stopping: the steps at work are told to end.")
            case "PIPELINE_SUCCESS":
                self.ok = True
            case "PIPELINE_FAILURE":
                self.interrupted = was_interrupted(event)
                self.failures = self.failures or [reason_of_run(event)]

    def _end(self, name: str, state: State) -> None:
        now = time.perf_counter()
        seconds = now - self._started_at.get(name, now)
        self.work_seconds += seconds
        self._step(name, seconds, state)


def _sum_up(
    settings: Settings, progress: _Progress, started: float, since: datetime, run_id: str
) -> Refreshed:
    lake = Lakehouse(settings)
    try:
        sources = lake.records(
            """SELECT source_id, is_synthetic, count(DISTINCT file_id) AS files, sum(rows_in)::BIGINT AS rows_in,
                      sum(rows_accepted)::BIGINT AS accepted, sum(rows_quarantined)::BIGINT AS quarantined,
                      any_value(licence) AS licence
               FROM raw_files GROUP BY ALL ORDER BY is_synthetic, source_id"""
        )
        names = [name for name in lake.tables() if name.startswith("mart_")]
        counts = " UNION ALL ".join(
            f"SELECT '{name}' AS mart, count(*) AS rows FROM {sql_name(name)}" for name in names
        )
        marts = lake.records(f"{counts} ORDER BY mart") if names else []
        models = _models(lake, since)
        designs = _designs(lake)
        literature = lake.records(_LITERATURE)
        held = lake.value(
            "SELECT count(*) FROM (SELECT DISTINCT file_id, sheet, table_name, row_number FROM quarantine)"
        )
        snapshot = lake.snapshot()
    finally:
        lake.close()
    return Refreshed(
        ok=progress.ok,
        seconds=time.perf_counter() - started,
        snapshot=snapshot,
        quarantined=held,
        sources=sources,
        marts=marts,
        models=models,
        designs=designs,
        literature=literature,
        failures=progress.failures,
        run_id=run_id,
        work_seconds=progress.work_seconds,
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
