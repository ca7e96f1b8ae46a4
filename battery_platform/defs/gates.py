"""What a consumer asks of its upstream before it starts, and verdicts that stand.

A blocking check fails its own step. What reads the checked asset, next to it or further down, asks here
before it starts, in the same run or alone in a later one, and fails with the reason. A check that need
not run again, for nothing has changed, repeats its last verdict and says so: Dagster would otherwise
show it as skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from battery_platform.defs.launching import asset_graph


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


def unfit(
    context: dg.AssetExecutionContext, keys: Iterable[dg.AssetKey]
) -> dict[dg.AssetKey, list[str]]:
    """Of these assets, those above which a blocking check last said 'no', and what it said.

    Checks that the step itself is to judge are left out: their last verdict is what it may mend.
    """
    graph = asset_graph(context)
    above = {key: graph.get_ancestor_asset_keys(key) for key in keys}
    asked = graph.get_check_keys_for_assets(set().union(*above.values()))
    blocking = [
        check for check in asked - context.selected_asset_check_keys if graph.get(check).blocking
    ]
    stopping = {
        check: f"{check.asset_key.to_user_string()} {check.name}: {verdict.evaluation.description}"
        for check, verdict in last_verdicts(context.instance, blocking).items()
        if verdict is not None and verdict.stops
    }
    reasons = {
        key: [text for check, text in stopping.items() if check.asset_key in ancestors]
        for key, ancestors in above.items()
    }
    return {key: texts for key, texts in reasons.items() if texts}


def require_fit(context: dg.AssetExecutionContext) -> None:
    """Fail with the reason if a blocking check above the asset that is made last said 'no'."""
    for reasons in unfit(context, [context.asset_key]).values():
        raise dg.Failure(
            description="Upstream is not fit for use. " + "; ".join(reasons),
            metadata={"failed_checks": len(reasons)},
            allow_retries=False,
        )
