"""The prospective scoreboard: predictions that were frozen before the measurement was made.

An electrode with a recipe but no measurement is predicted once, with an interval, by the champion of that
day. When the measurement arrives, the frozen prediction is scored; a later champion changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from battery_platform.made.kept import now
from battery_platform.made.products import put
from battery_platform.models.specification import Specification
from battery_platform.store.lakehouse import Lakehouse

ENOUGH = 20
"""Scored forecasts needed before the share of hits is meaningful."""
FEWEST_HITS = 0.75
FEWEST_BATCHES = 5
"""Batches needed before their bias can show a drift."""
MOST_OUTSIDE = 0.25
"""Share of frozen recipes outside the data above which the campaign has drifted away from them."""
Predict = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Scoreboard:
    """How the frozen predictions of a model turned out."""

    model: str
    frozen_now: int
    scored_now: int
    scored: int
    hits: float | None
    bias: float | None
    bias_low: float | None
    bias_high: float | None
    """95 % interval of the bias, from how much slurry batches differ in it."""
    frozen: int
    outside: float | None
    """Share of all frozen predictions whose recipe lay outside the data."""

    @property
    def drifts(self) -> bool:
        """Whether measurements have drifted from the predictions, or recipes from the data."""
        off = self.bias_low is not None and self.bias_high is not None
        sided = off and self.scored >= ENOUGH and not self.bias_low <= 0 <= self.bias_high  # type: ignore[operator]
        strange = self.frozen >= ENOUGH and (self.outside or 0.0) > MOST_OUTSIDE
        return sided or strange

    @property
    def drift(self) -> str:
        """Drift of measurements and recipes, in words."""
        words = f"{self.frozen} frozen"
        if self.outside is not None:
            words += f", {self.outside:.0%} of them outside of the data"
        if self.bias is not None and self.bias_low is not None:
            words += f"; bias {self.bias:.3g} ({self.bias_low:.3g} to {self.bias_high:.3g})"
        return words

    @property
    def holds(self) -> bool:
        """Whether 90 % intervals cover enough measurements; true while there are too few forecasts."""
        return self.hits is None or self.scored < ENOUGH or self.hits >= FEWEST_HITS


def freeze(lake: Lakehouse, model: Specification, version: int, predict: Predict) -> int:
    """Predict electrodes that await measurement and have no forecast yet; returns how many."""
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
    answers = predict(pd.DataFrame([{name: row[name] for name in model.inputs} for row in waiting]))
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
            "frozen_at": now(),
            "is_synthetic": row["is_synthetic"],
        }
        for row, answer in zip(waiting, answers.to_dict("records"), strict=True)
    ]
    put(lake, {"model_forecasts": rows})
    return len(rows)


def score(lake: Lakehouse, model: Specification) -> int:
    """Add the measurement to each forecast that has got one since; returns how many."""
    arrived = lake.records(
        f"""SELECT f.* EXCLUDE (measured, scored_at), e.{model.target}::DOUBLE AS measured
            FROM model_forecasts f JOIN mart_electrodes e USING (electrode_id)
            WHERE f.model_name = ? AND f.measured IS NULL AND e.{model.target} IS NOT NULL""",
        [model.name],
    )
    if arrived:
        put(lake, {"model_forecasts": [row | {"scored_at": now()} for row in arrived]})
    return len(arrived)


def bias_between_batches(
    errors: np.ndarray, batches: Sequence[str]
) -> tuple[float | None, float | None, float | None]:
    """The mean error of a batch, and its 95 % interval from how much batches differ in it.

    Electrodes of one batch are off together, so that batches are what is counted; too few of them give
    no interval.
    """
    if not len(errors):
        return None, None, None
    _, batch, count = np.unique(batches, return_inverse=True, return_counts=True)
    of_batches = np.bincount(batch, errors) / count
    bias = float(of_batches.mean())
    if len(of_batches) < FEWEST_BATCHES:
        return bias, None, None
    from scipy.special import stdtrit

    reach = float(
        stdtrit(len(of_batches) - 1, 0.975) * of_batches.std(ddof=1) / np.sqrt(len(of_batches))
    )
    return bias, bias - reach, bias + reach


def scoreboard(
    lake: Lakehouse, model: Specification, version: int | None, predict: Predict | None
) -> Scoreboard:
    """Score new measurements, freeze new predictions, and summarise all forecasts of the model."""
    scored_now = score(lake, model)
    frozen = freeze(lake, model, version, predict) if version and predict else 0
    rows: Sequence[dict[str, Any]] = lake.records(
        """SELECT f.predicted, f.measured, f.measured BETWEEN f.low_90 AND f.high_90 AS hit,
                  coalesce(e.slurry_id, f.electrode_id) AS batch
           FROM model_forecasts f LEFT JOIN mart_electrodes e USING (electrode_id)
           WHERE f.model_name = ? AND f.measured IS NOT NULL""",
        [model.name],
    )
    errors = np.array([row["predicted"] - row["measured"] for row in rows])
    bias, low, high = bias_between_batches(errors, [row["batch"] for row in rows])
    (seen,) = lake.records(
        """SELECT count(*) AS frozen, avg(CASE WHEN in_domain THEN 0.0 ELSE 1.0 END) AS outside
           FROM model_forecasts WHERE model_name = ?""",
        [model.name],
    )
    return Scoreboard(
        model.name,
        frozen,
        scored_now,
        len(rows),
        float(np.mean([row["hit"] for row in rows])) if rows else None,
        bias,
        low,
        high,
        seen["frozen"],
        seen["outside"],
    )
