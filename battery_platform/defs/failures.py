"""The report of a failed run, written for the person who meets it in the morning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from dagster import DagsterEvent

from battery_platform.defs.launching import was_interrupted

INTERRUPTS = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}


def write_report(
    folder: Path,
    job: str,
    run_id: str,
    when: datetime,
    ended: DagsterEvent,
    failures: Sequence[DagsterEvent],
) -> Path:
    """Write `reports/failed-DATE-RUN.md` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"failed-{when:%Y%m%d-%H%M}-{run_id[:8]}.md"
    is_stopped = was_interrupted(ended)
    how = "was stopped" if is_stopped else "failed"
    lines = [f"# {job} {how} on {when:%Y-%m-%d %H:%M} UTC", "", f"Run {run_id}.", ""]
    broken = [event for event in failures if not is_stopped_step(event)]
    if is_stopped:
        at = ", ".join(step_name(event) for event in failures if is_stopped_step(event))
        lines += [f"Stopped by a person at step {at}." if at else "Stopped by a person.", ""]
    for event in broken:
        lines += [f"## {step_name(event)}", "", reason(event), ""]
    if not broken and not is_stopped:
        lines += [
            ended.message or "The run ended without telling why; its process may have been killed.",
            "",
        ]
    lines += [
        "## What to do",
        "",
        "- Nothing half-written is in the lake: each file is committed whole or not at all, and the "
        "marts still show the last good refresh.",
        f"- {'R' if is_stopped else 'Mend the cause and r'}un `battery-platform refresh`; what was "
        "done is not done twice.",
        "- `battery-platform quarantine list` shows refused rows, `battery-platform doctor` the "
        "state of disk, catalogue and settings.",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def step_name(event: DagsterEvent) -> str:
    """The step of an event, as its asset is called."""
    return (event.step_key or "").replace("__", "/")


def is_stopped_step(event: DagsterEvent) -> bool:
    """Whether a step ended because the run was told to stop."""
    data = event.step_failure_data
    error = data.error if data else None
    while error is not None:
        if error.cls_name in INTERRUPTS:
            return True
        error = error.cause
    return False


def reason(event: DagsterEvent) -> str:
    """Why a step failed: the innermost cause, in its own words."""
    data = event.step_failure_data
    error = data.error if data else None
    while error is not None and error.cause is not None:
        error = error.cause
    described = data.user_failure_data.description if data and data.user_failure_data else None
    return described or (error.message.strip() if error else "no reason was given")


def reason_of_run(event: DagsterEvent) -> str:
    """Why a run failed of which no step says so."""
    error = event.job_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error else event.message or "no reason was given"
