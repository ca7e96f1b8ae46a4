"""What a consumer asks of its upstream before it starts.

A blocking check stops the run in which it fails. It does not stop a later run of the consumer
alone; this does.
"""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg


def require_passed(context: dg.AssetExecutionContext, checks: Iterable[dg.AssetCheckKey]) -> None:
    """Fail with the reason if the newest verdict of one of these checks is 'no'."""
    newest = context.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        sorted(checks, key=lambda key: key.to_user_string())
    )
    failed = []
    for key, record in newest.items():
        event = record.event.dagster_event if record.event else None
        if event is None or event.event_type_value != "ASSET_CHECK_EVALUATION":
            continue
        verdict = event.asset_check_evaluation_data
        if not verdict.passed and verdict.severity == dg.AssetCheckSeverity.ERROR:
            failed.append(f"{key.asset_key.to_user_string()} {key.name}: {verdict.description}")
    if failed:
        raise dg.Failure(
            description="Upstream is not fit for use. " + "; ".join(failed),
            metadata={"failed_checks": len(failed)},
            allow_retries=False,
        )
