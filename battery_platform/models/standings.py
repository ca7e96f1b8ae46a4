"""All versions of all models with their scores, and beside each the best of the simple baselines."""

from __future__ import annotations

from typing import Any

from battery_platform.models.specification import MODELS
from battery_platform.store.lakehouse import Lakehouse

COMPARED = ("r2", "rmse", "accuracy")


def standings(lake: Lakehouse) -> list[dict[str, Any]]:
    """One row per version and quantity; the baseline is judged on the same rows and splits."""
    rows = lake.records(
        """SELECT v.model_name AS model, v.version, e.target, v.decision,
                  max(e.value) FILTER (WHERE e.metric = 'r2') AS r2,
                  max(e.value) FILTER (WHERE e.metric = 'rmse') AS rmse,
                  max(e.value) FILTER (WHERE e.metric = 'coverage_90') AS coverage_90,
                  max(e.value) FILTER (WHERE e.metric = 'accuracy') AS accuracy,
                  v.algorithm, v.n_rows, v.n_groups AS groups, v.is_synthetic AS synthetic,
                  v.snapshot_id AS snapshot, v.trained_because, v.decision_reason
           FROM model_versions v JOIN model_evaluations e USING (model_name, version)
           WHERE e.slice = 'all rows' AND e.candidate = v.algorithm
           GROUP BY ALL ORDER BY model, version, e.target"""
    )
    others: dict[tuple[str, int, str], dict[str, dict[str, float]]] = {}
    for name, version, target, candidate, metric, value in lake.rows(
        """SELECT model_name, version, target, candidate, metric, value FROM model_evaluations
           WHERE slice = 'all rows' AND metric IN ('r2', 'rmse', 'accuracy')
           ORDER BY ALL"""
    ):
        scores = others.setdefault((name, version, target), {})
        scores.setdefault(candidate, {})[metric] = value
    listed = []
    for row in rows:
        scores = others.get((row["model"], row["version"], row["target"]), {})
        baseline = _best(row["model"], row["target"], scores)
        beside = {
            "baseline": baseline,
            **{
                f"baseline_{metric}": scores.get(baseline or "", {}).get(metric)
                for metric in COMPARED
            },
        }
        listed.append(row | beside)
    return listed


def _best(model: str, target: str, scores: dict[str, dict[str, float]]) -> str | None:
    """The simple baseline with the highest accuracy of classes, or the lowest RMSE of numbers."""
    names = [
        name
        for quantity in (MODELS[model].quantities if model in MODELS else ())
        if quantity.target == target
        for name in quantity.baselines
        if {"accuracy", "rmse"} & scores.get(name, {}).keys()
    ]
    if not names:
        return None
    return max(names, key=lambda name: scores[name].get("accuracy", -scores[name].get("rmse", 0)))
