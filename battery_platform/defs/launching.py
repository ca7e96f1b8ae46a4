"""A run of a job in this process that Dagster's page knows as one of the code location's own.

A run made with Dagster's public calls has no origin: it stands under Runs, and in no job's
timeline. The origin names the place from which `workspace.yaml` loads the location.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.job_base import RepoBackedJob
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_shared.check import CheckError

LOCATION = "battery_platform"
MODULE = "battery_platform.definitions"
REFRESH_TAG = "battery_platform/refresh"
"""Of runs that write marts: one at a time."""
BY_HAND = {"battery_platform/started_by": "command line"}
"""Tag of runs that work in the process of a command."""


def create_run(
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    job_name: str,
    run_config: Mapping[str, Any],
) -> dg.DagsterRun:
    """A run that is ready to start; it is not tried again by itself, for a person watches it."""
    job = definitions.resolve_job_def(job_name)
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION)
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME), job.name)
    return instance.create_run_for_job(
        job_def=job,
        run_config=run_config,
        tags={**job.run_tags, **BY_HAND, MAX_RETRIES_TAG: "0"},
        remote_job_origin=origin,
    )


def run_here(
    instance: dg.DagsterInstance, definitions: dg.Definitions, run: dg.DagsterRun
) -> Iterator[dg.DagsterEvent]:
    """Work the run off in this thread with its job's own executor; its events as they happen."""
    job = RepoBackedJob(run.job_name, definitions.get_repository_def())
    return execute_run_iterator(job, run, instance)


def asset_graph(context: dg.AssetExecutionContext) -> BaseAssetGraph[Any]:
    """All assets of the code location; of assets that are made outside of one, those of the run."""
    try:
        return context.repository_def.asset_graph
    except CheckError:
        return context.job_def.asset_layer.asset_graph


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Tell Dagster that runs of killed commands are over; it would have others wait for them.

    Only for the process whose turn it is: no other command can be at work on a run of its own.
    """
    at_work = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
    at_work += [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    tags = {REFRESH_TAG: "true", **BY_HAND}
    for run in instance.get_runs(dg.RunsFilter(statuses=at_work, tags=tags)):
        instance.report_run_failed(run, "The process of this run ended without saying why.")


def was_interrupted(event: dg.DagsterEvent) -> bool:
    """Whether a failed run says that it was stopped from outside."""
    failed = event.event_specific_data
    return (
        isinstance(failed, JobFailureData)
        and failed.failure_reason == RunFailureReason.UNEXPECTED_TERMINATION
    )
