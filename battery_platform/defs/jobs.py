"""Jobs, the nightly schedule, and the sensors: drop folder and run failures."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from battery_platform.defs.electrochemistry import (
    GRADED_SPACE_KEY,
    HALF_CELL_SWEEP_KEY,
    OPTIMA_KEY,
    SWEEP_KEY,
)
from battery_platform.defs.launching import REFRESH_TAG
from battery_platform.defs.literature import MENTIONS_KEY
from battery_platform.defs.models import COMPARISON_KEY, model_key
from battery_platform.defs.resources import LakehouseResource
from battery_platform.defs.sources import DROP_KEY, PLANT_KEY
from battery_platform.defs.threads import threads_executor
from battery_platform.defs.upkeep import UPKEEP_KEY
from battery_platform.settings import Settings
from battery_platform.sizes import NIGHTLY, SIZES

UPKEEP = dg.AssetSelection.keys(UPKEEP_KEY)
SWEEP = dg.AssetSelection.keys(SWEEP_KEY)
OPTIMA = dg.AssetSelection.keys(OPTIMA_KEY)
COMPARISON = dg.AssetSelection.keys(COMPARISON_KEY)
ONLY_IF_NEW = {"ops": {"dbt_models": {"config": {"only_if_new": True}}}}


def size_config(size: str, rebuild: bool = False) -> dict[str, Any]:
    """What the steps of a refresh are told; `rebuild` has the marts built although nothing is new."""
    chosen = SIZES[size]
    steps = {
        PLANT_KEY: {"batches": chosen.plant_batches},
        GRADED_SPACE_KEY: {"points": chosen.graded_cells},
        HALF_CELL_SWEEP_KEY: {"points": chosen.half_cells},
    }
    return {
        "ops": {key.to_python_identifier(): {"config": config} for key, config in steps.items()}
        | {"dbt_models": {"config": {"only_if_new": not rebuild}}}
    }


ON_DEMAND = (UPKEEP_KEY, SWEEP_KEY, OPTIMA_KEY, COMPARISON_KEY)
"""What is no part of the nightly refresh."""
REFRESH_TAGS = {REFRESH_TAG: "true"}

refresh_job = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.all() - UPKEEP - SWEEP - OPTIMA - COMPARISON,
    config=size_config(NIGHTLY),
    description="Take all sources, judge them, build the marts, train, design, simulate, publish.",
    executor_def=threads_executor,
    tags=REFRESH_TAGS,
)

drop_job = dg.define_asset_job(
    "take_dropped_files",
    selection=dg.AssetSelection.keys(DROP_KEY).downstream() - UPKEEP - COMPARISON,
    config=ONLY_IF_NEW,
    description="Take what settled in the drop folder and bring the marts up to date.",
    executor_def=threads_executor,
    tags=REFRESH_TAGS,
)

literature_job = dg.define_asset_job(
    "read_literature",
    selection=dg.AssetSelection.keys(MENTIONS_KEY).downstream(),
    description="Read what is new in the literature folder, and publish it.",
    executor_def=threads_executor,
)

sweep_job = dg.define_asset_job(
    "sweep_graded_cells",
    selection=SWEEP,
    description="Simulate graded cells, one case and thickness per partition; start it by backfill.",
    executor_def=threads_executor,
)

comparison_job = dg.define_asset_job(
    "compare_candidates_for_cells",
    selection=COMPARISON,
    description="All candidates for the outcome of cells, with the networks of paper 001; minutes.",
    executor_def=threads_executor,
)

upkeep_job = dg.define_asset_job(
    "keep_the_lake_small",
    selection=UPKEEP,
    description="Compaction, expiry of snapshots that nobody pinned, removal of orphaned files.",
    executor_def=threads_executor,
)

nightly = dg.ScheduleDefinition(
    name="nightly_refresh",
    job=refresh_job,
    cron_schedule=Settings.from_env().nightly_cron,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The nightly refresh; BATTERY_PLATFORM_NIGHTLY_CRON sets the hour.",
)


upkeep_nightly = dg.ScheduleDefinition(
    name="nightly_upkeep",
    job=upkeep_job,
    cron_schedule="30 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Upkeep of the lake, after the refresh.",
)


@dg.sensor(
    job=drop_job,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run once a file in the drop folder has stopped growing.",
)
def drop_folder_sensor(
    context: dg.SensorEvaluationContext, lakehouse: LakehouseResource
) -> dg.SensorResult:
    """A file counts as settled when two ticks in a row saw the same size and time of change."""
    from battery_platform.records.dropfolder import Folders, waiting

    return _settled(context, waiting(Folders.of(lakehouse.settings())), "drop")


@dg.sensor(
    job=literature_job,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reads a text once it lies in the literature folder and has stopped growing.",
)
def literature_sensor(
    context: dg.SensorEvaluationContext, lakehouse: LakehouseResource
) -> dg.SensorResult:
    """As for the drop folder; texts stay where they are, so a known state starts nothing."""
    from battery_platform.literature.folder import watched

    states = {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in watched(lakehouse.settings())
    }
    return _settled(context, states, "literature")


def _settled(
    context: dg.SensorEvaluationContext, states: Mapping[str, Sequence[float]], folder: str
) -> dg.SensorResult:
    now = {name: list(state) for name, state in states.items()}
    before = json.loads(context.cursor) if context.cursor else {}
    still = {name: state for name, state in now.items() if before.get(name) == state}
    cursor = json.dumps(now, sort_keys=True)
    if not still:
        reason = (
            f"the {folder} folder is empty"
            if not now
            else f"{len(now)} file(s) still changing or new"
        )
        return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=cursor)
    key = hashlib.blake2b(json.dumps(still, sort_keys=True).encode(), digest_size=16).hexdigest()
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=key)], cursor=cursor)


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells on a model's asset page when a version was promoted, refused or rolled back.",
)
def model_events_sensor(
    context: dg.SensorEvaluationContext, lakehouse: LakehouseResource
) -> dg.SensorResult:
    """An observation per event since the last tick."""
    rows = lakehouse.lake().records(
        "FROM model_events WHERE happened_at > ?::TIMESTAMP ORDER BY happened_at",
        [context.cursor or "2000-01-01"],
    )
    if not rows:
        return dg.SensorResult(skip_reason=dg.SkipReason("nothing happened to a model"))
    told = [
        dg.AssetObservation(
            model_key(row["model_name"]),
            description=f"version {row['version']} {row['event']} by the {row['decided_by']}: {row['reason']}",
            metadata={
                "event": row["event"],
                "version": row["version"],
                "champion": row["champion_after"] or 0,
                "reason": row["reason"],
            },
        )
        for row in rows
    ]
    return dg.SensorResult(asset_events=told, cursor=rows[-1]["happened_at"].isoformat())


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes a report that a person can read beside the data.",
)
def failure_report(context: dg.RunFailureSensorContext) -> None:
    """One Markdown file per failed run: which step, why, what to do."""
    from battery_platform.defs.failures import write_report

    path = write_report(
        Settings.from_env().reports_folder,
        context.dagster_run.job_name,
        context.dagster_run.run_id,
        datetime.now(UTC),
        context.failure_event,
        context.get_step_failure_events(),
    )
    context.log.info("wrote %s", path)


JOBS = [refresh_job, drop_job, literature_job, sweep_job, comparison_job, upkeep_job]
SCHEDULES = [nightly, upkeep_nightly]
SENSORS = [drop_folder_sensor, literature_sensor, model_events_sensor, failure_report]
