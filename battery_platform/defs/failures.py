"""The report of a failed run, written for the person who meets it in the morning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from dagster import DagsterEvent


def write_report(
    folder: Path,
    job: str,
    run_id: str,
    when: datetime,
    message: str,
    failures: Sequence[DagsterEvent],
) -> Path:
    """Write `reports/failed-DATE-RUN.md` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"failed-{when:%Y%m%d-%H%M}-{run_id[:8]}.md"
    lines = [f"# {job} failed on {when:%Y-%m-%d %H:%M} UTC", "", f"Run {run_id}.", ""]
    for event in failures:
        lines += [f"## {event.step_key}", "", reason(event), ""]
    if not failures:
        lines += [
            message or "The run ended without telling why; its process may have been killed.",
            "",
        ]
    lines += [
        "## What to do",
        "",
        "- Nothing half-written is in the lake: each file is committed whole or not at all, and the "
        "marts still show the last good refresh.",
        "- Mend the cause and run `battery-platform refresh`; what was done is not done twice.",
        "- `battery-platform quarantine list` shows refused rows, `battery-platform doctor` the "
        "state of disk, catalogue and settings.",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


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
