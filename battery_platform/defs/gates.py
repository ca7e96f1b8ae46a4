"""What a consumer asks of its upstream before it starts, and verdicts that stand.

A blocking check stops the run in which it fails. It does not stop a later run of the consumer
alone; this does. A check that need not run again, for nothing has changed, repeats its last verdict
and says so: Dagster would otherwise show it as skipped, and not gate on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg


@dataclass(frozen=True)
class Verdict:
    """What a check said when it last ran."""

    evaluation: dg.AssetCheckEvaluation
    at: datetime

    @property
    def stops(self) -> bool:
        return (
            not self.evaluation.passed and self.evaluation.severity == dg.AssetCheckSeverity.ERROR
        )

    def again(self, key: dg.AssetCheckKey, because: str) -> dg.AssetCheckResult:
        """The same verdict as the result of a run that did not judge anew."""
        judged_at = self.evaluation.metadata.get(JUDGED_AT)
        since = str(judged_at.value) if judged_at else f"{self.at:%Y-%m-%d %H:%M} UTC"
        return dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=self.evaluation.passed,
            severity=self.evaluation.severity,
            description=f"Not judged again, for {because}: the verdict of {since} stands.",
            metadata={**self.evaluation.metadata, JUDGED_AT: since},
        )


JUDGED_AT = "judged_at"
AUDITED = "audited_version"
"""Metadata of a check: the state of the rows that its verdict is about."""


def audited(verdict: Verdict) -> str:
    """The state of the rows that a verdict is about, where it tells it."""
    version = verdict.evaluation.metadata.get(AUDITED)
    return str(version.value) if version else ""


def last_verdicts(
    instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, Verdict | None]:
    """The newest verdict of each check, also where a run plans to judge again; None if there is none."""
    keys = sorted(checks, key=lambda key: key.to_user_string())
    log = instance.event_log_storage
    newest = log.get_latest_asset_check_execution_by_key(keys)
    verdicts: dict[dg.AssetCheckKey, Verdict | None] = {}
    for key in keys:
        verdicts[key] = _verdict(newest[key].event) if key in newest else None
        if key in newest and verdicts[key] is None:
            judged = log.get_asset_check_summary_records([key])[key]
            completed = judged.last_completed_check_execution_record
            verdicts[key] = _verdict(completed.event) if completed else None
    return verdicts


def _verdict(entry: dg.EventLogEntry | None) -> Verdict | None:
    event = entry.dagster_event if entry else None
    if entry is None or event is None or event.event_type_value != "ASSET_CHECK_EVALUATION":
        return None
    return Verdict(event.asset_check_evaluation_data, datetime.fromtimestamp(entry.timestamp, UTC))


def require_passed(context: dg.AssetExecutionContext, checks: Iterable[dg.AssetCheckKey]) -> None:
    """Fail with the reason if the newest verdict of one of these checks is 'no'."""
    failed = [
        f"{key.asset_key.to_user_string()} {key.name}: {verdict.evaluation.description}"
        for key, verdict in last_verdicts(context.instance, checks).items()
        if verdict is not None and verdict.stops
    ]
    if failed:
        raise dg.Failure(
            description="Upstream is not fit for use. " + "; ".join(failed),
            metadata={"failed_checks": len(failed)},
            allow_retries=False,
        )
