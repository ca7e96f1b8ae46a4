"""The gate: which version may answer as champion."""

from __future__ import annotations

import numpy as np
import pytest

from battery_platform.models import gate
from battery_platform.models.baselines import BASELINES
from battery_platform.models.evaluation import (
    ALL_ROWS,
    Evaluation,
    HeldOut,
    Score,
    loss_difference,
)
from battery_platform.models.gate import Decision, Standing, pick
from battery_platform.models.specification import MODELS
from battery_platform.models.training import TrainingSet

BATCHES = 12
MODEL = MODELS["mass-loading"]
PROCESS, TREES = MODEL.algorithms


def decide(evaluation: Evaluation, champion: Standing | None) -> Decision:
    return gate.decide(evaluation, PROCESS, champion)


def data(synthetic: bool = False) -> TrainingSet:
    """Two electrodes of each batch."""
    n = 2 * BATCHES
    return TrainingSet(
        tuple(f"E{number}" for number in range(n)),
        np.tile([95.0, 60.0, 3.0, 100.0], (n, 1)),
        np.linspace(10, 20, n),
        np.repeat([f"S{number}" for number in range(BATCHES)], 2),
        synthetic,
        "NMC",
        "coating",
        "MIT",
        ("lab",),
        1,
    )


def judged(
    rmse: float | np.ndarray = 1.0,
    coverage: float = 0.90,
    synthetic: bool = False,
    **baselines: float,
) -> Evaluation:
    """Every electrode is missed by its batch's share, up and down in turn."""
    rows = data(synthetic)
    misses = {PROCESS: rmse} | {name: baselines.get(name, 2.0) for name in BASELINES}
    held, scores = {}, []
    for name, miss in misses.items():
        error = np.repeat(np.broadcast_to(miss, BATCHES), 2) * np.tile([1.0, -1.0], BATCHES)
        held[name] = HeldOut(name, (rows.target + error)[None, :], np.ones((1, len(rows))))
        root_mean_square = float(np.sqrt((error**2).mean()))
        scores.append(Score(name, ALL_ROWS, "rmse", root_mean_square, None, None, len(rows)))
    scores.append(Score(PROCESS, ALL_ROWS, "coverage_90", coverage, None, None, len(rows)))
    return Evaluation(MODEL, rows, held, scores)


def standing(rmse: float, synthetic: bool = False, same_data: bool = False) -> Standing:
    return Standing(3, synthetic, data().digest if same_data else "other", rmse)


def test_the_first_good_version_is_champion() -> None:
    decision = decide(judged(), None)
    assert decision.promoted
    assert "no champion stands yet" in decision.reason


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_version_that_a_baseline_beats_is_refused_and_the_baseline_named(name: str) -> None:
    decision = decide(judged(**{name: 0.9}), None)
    assert not decision.promoted
    assert f"RMSE 1.000 is not below 0.900 of {name}" in decision.reason
    assert "calibrated" not in decision.reason


def test_a_difference_that_batches_cannot_show_counts_as_none() -> None:
    random = np.random.default_rng(1).uniform(0.6, 1.4, BATCHES)
    evaluation = judged(random / np.sqrt((random**2).mean()), ridge=0.995)
    gap, low, high = loss_difference(evaluation, PROCESS, "ridge")
    assert gap == pytest.approx(0.005)
    assert low < 0 < high
    decision = decide(evaluation, None)
    assert decision.promoted
    assert "on a par with 0.995 of ridge" in decision.reason


def test_a_small_difference_that_every_batch_shows_is_refused() -> None:
    assert not decide(judged(ridge=0.995), None).promoted


def test_a_large_difference_is_refused_even_if_batches_cannot_show_it() -> None:
    random = np.random.default_rng(1).uniform(0.1, 3.0, BATCHES)
    evaluation = judged(random / np.sqrt((random**2).mean()), ridge=0.98)
    _, low, high = loss_difference(evaluation, PROCESS, "ridge")
    assert low < 0 < high
    assert not decide(evaluation, None).promoted


def test_the_mean_must_be_beaten_outright() -> None:
    assert not decide(judged(mean=1.0), None).promoted


@pytest.mark.parametrize("coverage", [0.0, 0.6, 0.84, 0.96, 1.0])
def test_intervals_that_are_too_narrow_or_too_wide_are_refused(coverage: float) -> None:
    decision = decide(judged(coverage=coverage), None)
    assert not decision.promoted
    assert f"cover {100 * coverage:.1f} % (outside 85% to 95%)" in decision.reason


@pytest.mark.parametrize("coverage", [0.85, 0.90, 0.95])
def test_calibrated_intervals_pass(coverage: float) -> None:
    assert decide(judged(coverage=coverage), None).promoted


def test_synthetic_data_never_replace_real_data() -> None:
    decision = decide(judged(rmse=0.01, synthetic=True), standing(1.0))
    assert not decision.promoted
    assert "synthetic" in decision.reason
    assert "champion 3" in decision.reason


def test_real_data_replace_synthetic_data_even_with_a_higher_error() -> None:
    decision = decide(judged(rmse=1.9), standing(0.2, synthetic=True))
    assert decision.promoted


def test_real_data_must_still_beat_the_baselines() -> None:
    assert not decide(judged(rmse=2.1), standing(0.2, synthetic=True)).promoted


def test_on_the_same_rows_worse_is_refused() -> None:
    decision = decide(judged(rmse=1.001), standing(1.0, same_data=True))
    assert not decision.promoted
    assert "1.0010 is above 1.0000 of champion 3 on the same rows" in decision.reason


def test_on_the_same_rows_as_good_is_promoted() -> None:
    assert decide(judged(rmse=1.0), standing(1.0, same_data=True)).promoted


def test_on_the_same_rows_better_is_promoted() -> None:
    assert decide(judged(rmse=0.99), standing(1.0, same_data=True)).promoted


@pytest.mark.parametrize(("rmse", "promoted"), [(0.5, True), (1.09, True), (1.11, False)])
def test_on_changed_rows_a_tenth_worse_is_the_limit(rmse: float, promoted: bool) -> None:
    decision = decide(judged(rmse=rmse), standing(1.0))
    assert decision.promoted is promoted
    assert f"{1.0:.3f} of champion 3" in decision.reason


def test_a_synthetic_version_follows_a_synthetic_one() -> None:
    assert decide(judged(synthetic=True), standing(1.0, synthetic=True)).promoted


def test_every_rule_is_told_and_a_refusal_gives_all_its_reasons() -> None:
    decision = decide(judged(rmse=3.0, coverage=0.5), standing(1.0))
    assert not decision.promoted
    assert len(decision.findings) == len(BASELINES) + 3
    assert decision.reason.count(";") == len(BASELINES) + 1


def test_an_error_that_is_no_number_is_refused() -> None:
    assert not decide(judged(rmse=float("nan")), None).promoted


@pytest.mark.parametrize(
    ("rmse", "coverage", "picked"),
    [(0.9, 0.9, TREES), (1.1, 0.9, PROCESS), (0.5, 0.7, PROCESS)],
)
def test_the_least_error_of_those_with_honest_intervals_is_picked(
    rmse: float, coverage: float, picked: str
) -> None:
    evaluation = judged()
    rows = evaluation.training
    held = dict(evaluation.held_out) | {TREES: evaluation.held_out[PROCESS]}
    scores = [
        *evaluation.scores,
        Score(TREES, ALL_ROWS, "rmse", rmse, None, None, len(rows)),
        Score(TREES, ALL_ROWS, "coverage_90", coverage, None, None, len(rows)),
    ]
    assert pick(Evaluation(MODEL, rows, held, scores)) == picked
