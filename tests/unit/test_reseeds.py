"""The protocol of paper 000: what it measures, that nothing leaks, and when it computes anew."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import qmc
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.preprocessing import StandardScaler

from battery_platform.compute import spread
from battery_platform.errors import PlatformError
from battery_platform.models import reseeds
from battery_platform.models.profiled_process import KERNELS, Scaling, _Likelihood, condition, fit
from battery_platform.models.reseed_pictures import reseeds_figure
from battery_platform.models.reseeds import (
    Reseeds,
    Spread,
    coefficient_of_determination,
    protocol,
    reseed,
)
from battery_platform.models.sources import Source
from battery_platform.models.specification import Specification
from battery_platform.models.splits import holdout
from battery_platform.models.training import TrainingSet

LOW, HIGH = np.array([85.0, 43.0, 1.4]), np.array([96.8, 72.8, 38.8])


def factorial(rows: int = 174) -> tuple[np.ndarray, np.ndarray]:
    """Paper 000's three percentages and two smooth quantities with a little noise."""
    inputs = qmc.scale(qmc.Sobol(3, seed=1).random(256)[:rows], LOW, HIGH)
    a, b, c = ((inputs - LOW) / (HIGH - LOW)).T
    targets = np.column_stack(
        [
            120 + 30 * a - 40 * b**2 + 20 * np.sin(2 * c) + 10 * a * b,
            300 * np.exp(0.5 * b) - 30 * c + 20 * np.cos(2 * a),
        ]
    )
    noise = np.random.default_rng(0).normal(size=targets.shape)
    return inputs, targets + 0.03 * targets.std(axis=0) * noise


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda one: one.name)
def test_gradients_are_those_of_the_likelihood(kernel):
    inputs, targets = factorial(40)
    likelihood = _Likelihood(Scaling.of(inputs)(inputs), kernel)
    y = Scaling.of(targets[:, 0])(targets[:, 0])
    at = likelihood.start + 0.1
    steps = 1e-5 * np.eye(len(at))
    numeric = [
        (likelihood.value(at + step, y)[0] - likelihood.value(at - step, y)[0]) / 2e-5
        for step in steps
    ]
    assert likelihood.value(at, y)[1] == pytest.approx(numeric, rel=1e-4, abs=1e-4)


def test_seeds_over_processes_are_those_of_this_one(monkeypatch):
    inputs, targets = factorial(60)
    groups = np.arange(60)
    monkeypatch.setattr(spread, "WORTH_S", math.inf)
    here = reseed(inputs, targets, groups, range(5))
    monkeypatch.setattr(spread, "WORTH_S", 0.0)
    monkeypatch.setattr("battery_platform.compute.pool.cores", lambda: 2)
    counts_seen = []
    there = reseed(inputs, targets, groups, range(5), lambda *counts: counts_seen.append(counts))
    assert all(np.array_equal(local, remote) for local, remote in zip(here, there, strict=True))
    assert counts_seen == [(number, 5) for number in range(1, 6)]


def test_predictions_are_those_of_scikit_learn():
    inputs, targets = factorial()
    train, test = holdout(np.arange(174), 0.2, 0)
    ours = fit(inputs[train], targets[train])
    scaler = StandardScaler().fit(inputs[train])
    for number, process in enumerate(ours):
        theirs = GaussianProcessRegressor(
            ConstantKernel() * RBF(np.ones(3)) + WhiteKernel(), normalize_y=True
        ).fit(scaler.transform(inputs[train]), targets[train, number])
        apart = process.mean(inputs[test]) - theirs.predict(scaler.transform(inputs[test]))
        assert np.abs(apart).max() < 0.02 * targets[:, number].std()
        assert process.fitted == pytest.approx(process.mean(inputs[train]), abs=1e-3)


def test_a_length_of_one_needs_scaled_inputs():
    """Paper 000 prints this length and no scaling: percentages several units apart are then strangers."""
    inputs, _ = factorial()
    a, b, c = ((inputs - LOW) / (HIGH - LOW)).T
    target = 120 + 30 * a - 40 * b**2 + 20 * np.sin(2 * c) + 10 * a * b
    ones, scores = np.ones(3), {"raw": [], "standardised": []}
    for seed in range(5):
        train, test = holdout(np.arange(174), 0.2, seed)
        raw = ones / Scaling.of(inputs[train]).scale
        for name, lengths in (("raw", raw), ("standardised", ones)):
            process = condition(inputs[train], target[train], lengths, noise=1e-3)
            predicted = process.mean(inputs[test])
            scores[name].append(coefficient_of_determination(target[test], predicted))
    assert 0.0 < np.mean(scores["raw"]) < 0.2
    assert np.mean(scores["standardised"]) >= 0.99


def test_what_is_held_out_changes_no_prediction():
    inputs, targets = factorial(80)
    groups = np.repeat(np.arange(20), 4)
    predicted, tested = reseed(inputs, targets, groups, [5])
    other = targets.copy()
    other[tested[0]] += 1000.0
    again, _ = reseed(inputs, other, groups, [5])
    assert np.array_equal(predicted, again)


def test_groups_stay_whole_and_a_fifth_of_them_is_tested():
    groups = np.repeat([f"b{number}" for number in range(25)], 3)
    for seed in range(10):
        train, test = holdout(groups, 0.2, seed)
        assert not set(groups[train]) & set(groups[test])
        assert len(set(groups[test])) == 5
        assert len(train) + len(test) == len(groups)
    assert not np.array_equal(holdout(groups, 0.2, 0)[1], holdout(groups, 0.2, 1)[1])
    with pytest.raises(PlatformError, match="cannot be split"):
        holdout(np.array(["one", "one"]), 0.2, 0)


def test_metrics_are_of_the_part_and_shares_of_all_rows():
    measured = np.array([0.0, 10.0, 20.0, 30.0])
    splits = Reseeds(
        "t", "u", measured, measured[None] + [[1.0, -1.0, 3.0, 3.0]], np.array([[0, 0, 1, 1]]) == 1
    )
    test, train = splits.metrics("test"), splits.metrics("train")
    assert (test["rmse"][0], train["rmse"][0]) == (3.0, 1.0)
    assert test["rmse_pct_of_mean"][0] == pytest.approx(20.0)
    assert test["rmse_pct_of_range"][0] == pytest.approx(10.0)
    assert test["r2"][0] == pytest.approx(1 - 18 / 50)
    assert (test["bias"][0], train["bias"][0]) == (3.0, 0.0)


def test_the_interval_of_the_mean_narrows_with_seeds_and_percentiles_do_not():
    rng = np.random.default_rng(0)
    few, many = (Spread.of(rng.normal(0.98, 0.01, size=n)) for n in (75, 7500))
    assert few.mean_high_95 - few.mean_low_95 > 8 * (many.mean_high_95 - many.mean_low_95)
    assert few.high_97_5 - few.low_2_5 == pytest.approx(many.high_97_5 - many.low_2_5, rel=0.25)
    assert many.mean_high_95 - many.mean == pytest.approx(1.96 * 0.01 / np.sqrt(7500), rel=0.05)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Specification:
    """Two quantities of rows that the lake need not hold; the second is learnt as its logarithm."""
    inputs, targets = factorial(60)
    names = ("active_material_pct", "solid_content_pct", "compression_degree_pct")

    def rows(lake: object, quantity: Specification) -> TrainingSet:
        is_first = quantity.target == "energy_wh_kg"
        kept = slice(0, 60 if is_first else 55)
        return TrainingSet(
            tuple(f"e{number:02}" for number in range(60))[kept],
            inputs[kept],
            targets[kept, 0 if is_first else 1],
            np.array([f"e{number}" for number in range(60)])[kept],
            True,
            None,
            None,
            "CC0-1.0",
            ("toy",),
            1,
        )

    source = Source("toys", "toys", "toys", "toy", (), rows, "")
    second = Specification(
        "toy", "power_w_kg", "W/kg", "", "", source, inputs=names, logarithmic=True
    )
    first = Specification("toy", "energy_wh_kg", "Wh/kg", "", "", source, names, also=(second,))
    monkeypatch.setattr(reseeds, "features_of", lambda model, inputs: inputs)
    return first


def test_the_protocol_is_kept_and_computed_only_when_something_changed(lake, model, monkeypatch):
    progress = []
    kept, splits = protocol(lake, model, 6, lambda done, total: progress.append((done, total)))
    rows = kept.rows
    assert progress[-1] == (6, 6)
    assert len(rows) == 2 * 2 * 5
    assert {row["n_rows"] for row in rows} == {55}, "rows that lack one quantity are left out"
    assert all(row["is_synthetic"] and row["n_seeds"] == 6 for row in rows)
    for row in rows:
        assert row["mean_low_95"] <= row["mean"] <= row["mean_high_95"]
        assert row["low_2_5"] <= row["high_97_5"]
        if (row["metric"], row["part"]) == ("r2", "test"):
            assert row["mean"] > 0.95
    assert reseeds_figure(splits).axes

    again, nothing = protocol(lake, model, 6)
    assert (again.rows, again.because, nothing) == (rows, "", [])
    changed, more = protocol(lake, model, 7)
    assert changed.because == "parameters changed"
    assert len(more) == 2
    monkeypatch.setattr(reseeds, "fingerprint", lambda *makers: "other")
    _, anew = protocol(lake, model, 7)
    assert len(anew) == 2
    assert lake.value("SELECT count(*) FROM model_reseeds") == 20
    with pytest.raises(PlatformError, match="no spread"):
        protocol(lake, model, 1)


def test_the_command_says_what_is_missing(command):
    answer = command("models", "reseed", "half-cell-performance", "--seeds", "3")
    assert answer.status == 1
    assert "needs 40 simulated electrodes" in answer.text
