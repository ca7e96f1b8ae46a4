"""The prospective scoreboard: predictions that were frozen before the measurement came.

An electrode with a recipe and no measurement is predicted once by the champion of that day, with its
interval. When the measurement arrives, the frozen prediction is scored; a later champion changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from battery_platform.models.specification import Specification
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.products import put

ENOUGH = 20
"""Scored forecasts from which the share of hits says something."""
FEWEST_HITS = 0.75
Predict = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Scoreboard:
    """How frozen predictions of a model fared."""

    model: str
    frozen_now: int
    scored_now: int
    scored: int
    hits: float | None
    bias: float | None

    @property
    def holds(self) -> bool:
        """Whether 90 % intervals hold often enough; too few forecasts are no verdict."""
        return self.hits is None or self.scored < ENOUGH or self.hits >= FEWEST_HITS


def freeze(lake: Lakehouse, model: Specification, version: int, predict: Predict) -> int:
    """Predict what waits for its measurement and has no forecast yet; returns how many."""
    inputs = ", ".join(f"e.{name}::DOUBLE AS {name}" for name in model.inputs)
    given = " AND ".join(f"e.{name} > 0" for name in model.inputs)
    waiting = lake.records(
        f"""SELECT e.electrode_id, e.is_synthetic, {inputs} FROM mart_electrodes e
            WHERE e.{model.target} IS NULL AND {given}
              AND (e.calendering_id IS NULL OR coalesce(e.compression_degree_pct, 1) = 0)
              AND NOT EXISTS (SELECT 1 FROM model_forecasts f
                              WHERE f.model_name = ? AND f.electrode_id = e.electrode_id)
            ORDER BY e.electrode_id""",
        [model.name],
    )
    if not waiting:
        return 0
    found = predict(pd.DataFrame([{name: row[name] for name in model.inputs} for row in waiting]))
    columns = model.outputs
    rows = [
        {
            "model_name": model.name,
            "electrode_id": row["electrode_id"],
            "version": version,
            "predicted": float(answer[columns["value"]]),
            "standard_deviation": float(answer[columns["standard_deviation"]]),
            "low_90": float(answer[columns["low_90"]]),
            "high_90": float(answer[columns["high_90"]]),
            "in_domain": bool(answer["in_domain"]),
            "frozen_at": _now(),
            "is_synthetic": row["is_synthetic"],
        }
        for row, answer in zip(waiting, found.to_dict("records"), strict=True)
    ]
    put(lake, {"model_forecasts": rows})
    return len(rows)


def score(lake: Lakehouse, model: Specification) -> int:
    """Put the measurement beside each forecast that has got one; returns how many."""
    arrived = lake.records(
        f"""SELECT f.* EXCLUDE (measured, scored_at), e.{model.target}::DOUBLE AS measured
            FROM model_forecasts f JOIN mart_electrodes e USING (electrode_id)
            WHERE f.model_name = ? AND f.measured IS NULL AND e.{model.target} IS NOT NULL""",
        [model.name],
    )
    if arrived:
        put(lake, {"model_forecasts": [row | {"scored_at": _now()} for row in arrived]})
    return len(arrived)


def scoreboard(
    lake: Lakehouse, model: Specification, version: int | None, predict: Predict | None
) -> Scoreboard:
    """Score what arrived, freeze what waits, and tell how all forecasts of the model fared."""
    scored_now = score(lake, model)
    frozen = freeze(lake, model, version, predict) if version and predict else 0
    rows: Sequence[dict[str, Any]] = lake.records(
        """SELECT predicted, measured, measured BETWEEN low_90 AND high_90 AS hit
           FROM model_forecasts WHERE model_name = ? AND measured IS NOT NULL""",
        [model.name],
    )
    errors = [row["predicted"] - row["measured"] for row in rows]
    return Scoreboard(
        model.name,
        frozen,
        scored_now,
        len(rows),
        float(np.mean([row["hit"] for row in rows])) if rows else None,
        float(np.mean(errors)) if rows else None,
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
