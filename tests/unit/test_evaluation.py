"""The evaluation contract: no leak is let in, metrics are what they are called."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from threadpoolctl import threadpool_limits

from battery_platform.compute import spread
from battery_platform.errors import PlatformError
from battery_platform.models import gaussian_process
from battery_platform.models.evaluation import (
    CONDITION_MEANS,
    RESAMPLES,
    Evaluation,
    HeldOut,
    evaluate,
    resampled,
    scores_of,
)
from battery_platform.models.kinds.surrogate import fitted
from battery_platform.models.memo import Memo
from battery_platform.models.specification import MODELS, RECIPE
from battery_platform.models.splits import LeakingSplit, grouped_folds, refuse_leaks
from battery_platform.models.training import TrainingSet
from battery_platform.records import catalogue
from battery_platform.records.sources import take_public
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse

PROCESS = "gaussian process"
MODEL = replace(
    MODELS["mass-loading"], splits=4, repeats=2, algorithms=(PROCESS,), trend=(), ranges_of=""
)
Fold = tuple[np.ndarray, np.ndarray]


def training(inputs: np.ndarray, target: np.ndarray, batches: np.ndarray) -> TrainingSet:
    names = tuple(f"E{number}" for number in range(len(target)))
    return TrainingSet(names, inputs, target, batches, False, "NMC", "coating", "MIT", ("lab",), 1)


def made(batches: int = 8, gaps: int = 3, replicates: int = 2, seed: int = 0) -> TrainingSet:
    """Loadings of a coater whose batches differ, with replicates."""
    random = np.random.default_rng(seed)
    rows, target, names = [], [], []
    for batch in range(batches):
        slurry = [random.uniform(92, 97), random.uniform(55, 75), random.uniform(1, 10)]
        shift = random.normal(0, 0.05)
        for gap in random.uniform(60, 300, gaps):
            for _ in range(replicates):
                rows.append([*slurry, gap])
                target.append(0.15 * gap * slurry[1] / 100 * np.exp(shift + random.normal(0, 0.02)))
                names.append(f"S{batch:02d}")
    return training(np.array(rows), np.array(target), np.array(names))


def shuffled(n: int, splits: int) -> list[Fold]:
    subsets = np.array_split(np.random.default_rng(1).permutation(n), splits)
    return [(np.setdiff1d(np.arange(n), held_out), held_out) for held_out in subsets]


def test_a_shuffled_split_of_replicates_is_refused_and_names_a_batch() -> None:
    data = made()
    with pytest.raises(LeakingSplit, match=r"\d of 8 slurry batches .* such as 'S0\d'") as refusal:
        evaluate(MODEL, data, [shuffled(len(data), 4)])
    assert "Split by whole slurry batches" in str(refusal.value)


@pytest.mark.parametrize("name", ["mass-loading", "mass-loading-class"])
def test_folds_over_processes_say_what_they_say_here(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit, with the same messages, in the same order."""
    data = made(batches=14)
    model = replace(MODELS[name], splits=3, repeats=1, bounds=())
    if MODELS[name].classes:
        model = replace(model, bounds=tuple(np.quantile(data.target, [1 / 3, 2 / 3]).tolist()))
    messages: dict[float, list[str]] = {}
    judged: dict[float, Evaluation] = {}
    monkeypatch.setattr("battery_platform.compute.pool.cores", lambda: 2)
    for worth_s in (math.inf, 0.0):
        monkeypatch.setattr(spread, "WORTH_S", worth_s)
        messages[worth_s] = []
        with threadpool_limits(1):
            judged[worth_s] = evaluate(model, data, progress=messages[worth_s].append)
    here, there = judged[math.inf], judged[0.0]
    assert messages[math.inf] == messages[0.0]
    assert [message.rsplit(": ", 1)[1] for message in messages[0.0]] == list(there.held_out)
    assert set(there.held_out) == {*model.algorithms, *model.baselines}
    for local, remote in zip(here.held_out.values(), there.held_out.values(), strict=True):
        for array in ("mean", "deviation", "chances"):
            assert np.array_equal(getattr(local, array), getattr(remote, array))
    assert here.scores == there.scores
    first = model.algorithms[0]
    with threadpool_limits(1):
        states = [fitted(model, first, data.rows, {})]
        monkeypatch.setattr(spread, "WORTH_S", math.inf)
        monkeypatch.setattr(gaussian_process, "_LEARNT", Memo())
        states.append(fitted(model, first, data.rows, {}))
    assert states[0].keys() == states[1].keys()
    assert all(
        np.array_equal(states[0][key], states[1][key], equal_nan=False)
        or key.endswith("seen_values")
        for key in states[0]
    )


def test_resamples_are_drawn_batches() -> None:
    batches = 7
    sums = np.random.default_rng(1).normal(size=(3, batches))
    drawn = np.random.default_rng(0).integers(batches, size=(RESAMPLES, batches))
    assert sums @ resampled(batches) == pytest.approx(sums[:, drawn].sum(axis=2), rel=1e-12)


def test_one_replicate_on_the_other_side_is_enough_to_refuse() -> None:
    data = made()
    folds = list(grouped_folds(data.batches, 4, 0))
    train, test = folds[0]
    folds[0] = (np.append(train, test[0]), test)
    with pytest.raises(LeakingSplit, match=f"1 of 8 .* such as '{data.batches[test[0]]}'"):
        evaluate(MODEL, data, [folds])


def test_rows_that_are_never_tested_are_refused() -> None:
    data = made()
    with pytest.raises(LeakingSplit, match="tested never"):
        evaluate(MODEL, data, [list(grouped_folds(data.batches, 4, 0))[1:]])


def test_rows_that_are_tested_in_two_folds_are_refused() -> None:
    data = made()
    folds = list(grouped_folds(data.batches, 4, 0))
    with pytest.raises(LeakingSplit, match="more than once"):
        evaluate(MODEL, data, [[*folds, folds[0]]])


@pytest.mark.parametrize("empty", [0, 1])
def test_a_fold_with_an_empty_side_is_refused(empty: int) -> None:
    data = made()
    folds = list(grouped_folds(data.batches, 4, 0))
    sides = list(folds[0])
    sides[empty] = np.array([], dtype=int)
    with pytest.raises(LeakingSplit, match="no rows"):
        evaluate(MODEL, data, [[(sides[0], sides[1]), *folds[1:]]])


def test_one_batch_alone_cannot_be_evaluated() -> None:
    with pytest.raises(PlatformError, match="one batch"):
        evaluate(MODEL, made(batches=1))


@effort(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=60),
    st.integers(2, 12),
    st.integers(0, 10**6),
)
def test_grouped_folds_never_share_a_batch_and_test_each_row_once(
    names: list[str], splits: int, seed: int
) -> None:
    groups = np.array(names)
    if len(set(names)) < 2:
        return
    folds = list(grouped_folds(groups, splits, seed))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert sorted([*train, *test]) == list(range(len(groups)))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(groups)))
    refuse_leaks(groups, [folds])


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(MODEL, made())


@pytest.mark.parametrize("candidate", [PROCESS, "mean", "nearest neighbour", "ridge"])
def test_metrics_are_those_of_scikit_learn_on_the_pooled_predictions(
    evaluation: Evaluation, candidate: str
) -> None:
    pooled = evaluation.held_out[candidate].mean.ravel()
    measured = np.tile(evaluation.training.target, MODEL.repeats)
    for metric, wanted in (
        ("r2", r2_score(measured, pooled)),
        ("rmse", root_mean_squared_error(measured, pooled)),
        ("mae", mean_absolute_error(measured, pooled)),
        ("bias", (pooled - measured).mean()),
    ):
        assert evaluation.score(candidate, metric).value == pytest.approx(wanted, rel=1e-9)


def test_condition_means_are_scored_as_means(evaluation: Evaluation) -> None:
    data, held = evaluation.training, evaluation.held_out[PROCESS]
    of = [np.flatnonzero(data.conditions == condition) for condition in np.unique(data.conditions)]
    measured = np.array([data.target[rows].mean() for rows in of])
    predicted = np.array([[row[rows].mean() for rows in of] for row in held.mean])
    wanted = root_mean_squared_error(np.tile(measured, MODEL.repeats), predicted.ravel())
    score = evaluation.score(PROCESS, "rmse", CONDITION_MEANS)
    assert (score.value, score.n) == (pytest.approx(wanted), 24)


def test_a_held_out_batch_does_not_move_its_own_prediction() -> None:
    data = made()
    folds = list(grouped_folds(data.batches, 4, 0))
    test = folds[0][1]
    target = data.target.copy()
    target[test] *= 3
    first = evaluate(MODEL, data, [folds])
    second = evaluate(MODEL, replace(data, target=target), [folds])
    for candidate in first.held_out:
        before, after = (
            evaluation.held_out[candidate].mean[0, test] for evaluation in (first, second)
        )
        assert after == pytest.approx(before, rel=1e-12)


def test_intervals_hold_their_value(evaluation: Evaluation) -> None:
    for score in evaluation.scores:
        if score.low is not None and score.high is not None and score.metric != "r2":
            assert score.low <= score.value <= score.high


def test_coverage_and_density_by_hand() -> None:
    target = np.array([10.0, 10.0, 10.0, 10.0, 20.0, 20.0])
    mean = np.array([[10.0, 11.0, 12.0, 14.0, 20.0, 17.0]])
    deviation = np.array([[1.0, 1.0, 1.0, 1.0, 2.0, 2.0]])
    inputs = np.tile([95.0, 60.0, 3.0, 100.0], (6, 1))
    batches = np.array(["a", "a", "b", "b", "c", "c"])
    data = training(inputs, target, batches)
    held = HeldOut("by hand", mean, deviation)
    scores = {
        (score.slice, score.metric): score.value
        for score in scores_of(held, data, MODELS["mass-loading"])
    }
    # 90 % reaches 1.645 deviations: misses of 2 and 4 deviations lie outside, 1.5 inside
    assert scores["all rows", "coverage_90"] == pytest.approx(4 / 6)
    wanted = -norm(mean[0], deviation[0]).logpdf(target).mean()
    assert scores["all rows", "nlpd"] == pytest.approx(wanted)


# -- the public measurements ----------------------------------------------------------------


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TrainingSet]:
    folder = Settings.from_env().mirror
    if folder is None:
        pytest.skip("BATTERY_PLATFORM_MIRROR names no folder with the public data")
    lake = Lakehouse(Settings(home=tmp_path_factory.mktemp("public"), mirror=Path(folder)))
    entry = catalogue.entries()["cunha2020_nmc111"]
    catalogue.fetch(entry, lake.settings)
    take_public(lake, entry)
    rows = lake.rows(
        f"""SELECT slurry_id, {", ".join(RECIPE)}, mass_loading_mg_cm2, porosity_pct
            FROM raw_electrode_sheets ORDER BY electrode_id"""
    )
    lake.close()
    inputs = np.array([row[1:5] for row in rows], dtype=float)
    batches = np.array([row[0] for row in rows])

    def of(target: str) -> TrainingSet:
        place = {"mass_loading_mg_cm2": 5, "porosity_pct": 6}[target]
        return training(inputs, np.array([row[place] for row in rows], dtype=float), batches)

    return of


@pytest.mark.parametrize(
    ("name", "r2", "rmse"), [("mass-loading", 0.988, 1.49), ("porosity", 0.53, 1.95)]
)
def test_public_measurements_are_predicted_with_whole_batches_held_out(
    public: Callable[[str], TrainingSet], name: str, r2: float, rmse: float
) -> None:
    model = replace(MODELS[name], repeats=2)
    data = public(model.target)
    assert (len(data), data.n_batches) == (656, 23)
    evaluated = evaluate(model, data)
    assert evaluated.score(PROCESS, "r2").value >= r2
    assert evaluated.score(PROCESS, "rmse").value <= rmse
    assert 0.87 <= evaluated.score(PROCESS, "coverage_90").value <= 0.93


def test_a_shuffled_split_of_the_public_measurements_would_flatter(
    public: Callable[[str], TrainingSet],
) -> None:
    from battery_platform.models.gaussian_process import _fit
    from battery_platform.models.served.surrogate import posterior

    model = MODELS["mass-loading"]
    data = public(model.target)
    predicted = np.empty(len(data))
    for train, test in shuffled(len(data), 5):
        state, _ = _fit(model, data.rows.take(train))
        predicted[test], _ = posterior(state, data.inputs[test])
    assert r2_score(data.target, predicted) > 0.99
    with pytest.raises(LeakingSplit):
        evaluate(model, data, [shuffled(len(data), 5)])
