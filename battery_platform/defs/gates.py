"""What a consumer asks of its upstream before it starts.

A blocking check stops the run in which it fails. It does not stop a later run of the consumer
alone; this does.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
from dagster import AssetCheckSeverity


def require_passed(context: dg.AssetExecutionContext, upstream: Sequence[dg.AssetKey]) -> None:
    """Fail with the reason if the newest verdict of a blocking check on `upstream` is 'no'."""
    wanted = set(upstream)
    keys = [
        key
        for key in context.repository_def.asset_graph.asset_check_keys
        if key.asset_key in wanted
    ]
    failed = []
    for key in keys:
        record = context.instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
        evaluation = record.event.dagster_event.asset_check_evaluation_data if (
            record and record.event and record.event.dagster_event
            and record.event.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
        ) else None
        if evaluation and not evaluation.passed and evaluation.severity == AssetCheckSeverity.ERROR:
            failed.append(f"{key.asset_key.to_user_string()}: {key.name} ({evaluation.description})")
    if failed:
        raise dg.Failure(
            description="Upstream is not fit for use. " + "; ".join(failed),
            metadata={"failed_checks": len(failed)},
            allow_retries=False,
        )
