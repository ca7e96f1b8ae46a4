"""Predictions are frozen before the measurement comes, and scored once it has come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl

from battery_platform.models.forecasts import Scoreboard, bias_between_batches, scoreboard
from battery_platform.models.specification import MODELS
from battery_platform.store.lakehouse import Lakehouse

MODEL = MODELS["mass-loading"]
Marts = Callable[..., pl.DataFrame]
FEW = pl.when(pl.int_range(pl.len()) < 5).then(None).otherwise(pl.col("mass_loading_mg_cm2"))


def says(value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A champion that answers the same for every recipe, give or take 2."""

    def predict(asked: pd.DataFrame) -> pd.DataFrame:
        names = MODEL.outputs
        answer = {names["value"]: value, names["standard_deviation"]: 1.2}
        answer |= {names["low_90"]: value - 2, names["high_90"]: value + 2, "in_domain": True}
        return pd.DataFrame([answer] * len(asked))

    return predict


def test_a_forecast_is_frozen_once_and_scored_when_the_measurement_comes(
    lake: Lakehouse, marts: Marts
) -> None:
    whole = marts()
    marts(mass_loading_mg_cm2=FEW)
    first = scoreboard(lake, MODEL, 1, says(10.0))
    assert (first.frozen_now, first.scored_now, first.hits) == (5, 0, None)
    before = lake.snapshot()
    again = scoreboard(lake, MODEL, 2, says(99.0))
    assert again.frozen_now == 0
    assert lake.snapshot() == before
    marts()
    last = scoreboard(lake, MODEL, 2, says(99.0))
    assert (last.scored_now, last.scored) == (5, 5)
    measured = whole["mass_loading_mg_cm2"].head(5).to_list()
    assert last.hits == sum(8 <= one <= 12 for one in measured) / 5
    kept = lake.records("FROM model_forecasts ORDER BY electrode_id")
    assert [row["measured"] for row in kept] == measured
    assert {row["version"] for row in kept} == {1}
    assert all(row["predicted"] == 10.0 and row["scored_at"] for row in kept)


def test_without_a_champion_nothing_is_frozen(lake: Lakehouse, marts: Marts) -> None:
    marts(mass_loading_mg_cm2=FEW)
    assert scoreboard(lake, MODEL, None, None).frozen_now == 0


def test_too_few_forecasts_are_no_verdict() -> None:
    def board(scored: int, hits: float | None, **more: float) -> Scoreboard:
        known = {"bias": 1.0, "bias_low": -1.0, "bias_high": 3.0, "frozen": scored, "outside": 0.1}
        return Scoreboard("m", 0, 0, scored, hits, **(known | more))  # type: ignore[arg-type]

    assert board(5, 0.2).holds
    assert not board(40, 0.5).holds
    assert board(40, 0.9).holds
    assert board(0, None).holds
    assert not board(40, 0.9).drifts
    assert board(40, 0.9, bias_low=0.2).drifts
    assert not board(5, 0.9, bias_low=0.2).drifts
    assert board(40, 0.9, outside=0.4).drifts
    assert "40 frozen, 10% of them outside of the data; bias 1 (-1 to 3)" in board(40, 0.9).drift


def errors_of(
    seed: int, batches: int, bias: float = 0.0, shared: float = 1.0
) -> tuple[np.ndarray, list[str]]:
    """Errors of eight electrodes a batch, most of which a batch has in common."""
    random = np.random.default_rng(seed)
    of_batch = np.repeat(shared * random.standard_normal(batches), 8)
    errors = bias + of_batch + 0.2 * random.standard_normal(8 * batches)
    return errors, [f"batch-{number // 8:02d}" for number in range(8 * batches)]


def alarms(seed: int, batches: int, bias: float = 0.0) -> bool:
    mean, low, high = bias_between_batches(*errors_of(seed, batches, bias))
    assert mean is not None
    assert low is not None
    assert high is not None
    assert low <= mean <= high
    return not low <= 0 <= high


def test_batches_that_are_off_together_are_no_drift() -> None:
    """Counting electrodes instead of batches, a third and more of these cases would alarm."""
    raised = sum(alarms(seed, batches=8) for seed in range(30))
    rows_counted = 0
    for seed in range(30):
        errors, _ = errors_of(seed, 8)
        reach = 1.96 * errors.std(ddof=1) / np.sqrt(len(errors))
        rows_counted += abs(errors.mean()) > reach
    assert raised <= 3
    assert rows_counted >= 10


def test_a_bias_of_all_batches_is_a_drift() -> None:
    assert all(alarms(seed, batches=8, bias=3.0) for seed in range(30))


def test_one_batch_gives_no_interval() -> None:
    errors, batches = errors_of(1, 1)
    assert bias_between_batches(errors, batches)[1:] == (None, None)
    errors, batches = errors_of(1, 4)
    assert bias_between_batches(errors, batches)[1:] == (None, None)
    assert bias_between_batches(np.array([]), []) == (None, None, None)
