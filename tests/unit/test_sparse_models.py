"""Candidates of the sparse table: what each may use, how sure it is, and by which splits it is judged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.metrics import mean_absolute_error, r2_score
from threadpoolctl import threadpool_limits

from battery_platform.compute import spread
from battery_platform.models.cell_table import EARLY, SparseTable, table_of
from battery_platform.models.evaluation import Score
from battery_platform.models.kinds.sparse import evaluation, learners, networks, stack
from battery_platform.models.kinds.sparse.evaluation import (
    CYCLING,
    KNOWN,
    NEW,
    evaluate,
    hold_out,
    scores,
)
from battery_platform.models.kinds.sparse.networks import Choices
from battery_platform.models.kinds.sparse.simple import SIMPLE
from battery_platform.models.kinds.sparse.space import latent, space_of
from battery_platform.models.served import cell_outcome as served
from battery_platform.models.splits import LeakingSplit, grouped_folds
from battery_platform.synthetic.cell_cases import simulate_cell_cases

FEW = Choices(networks=30, steps=60)
QUICK = {"stack": stack.candidate, "mean": SIMPLE["mean"]}


@pytest.fixture(scope="module", autouse=True)
def fewer_trees() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learners, "TREES", 30)
        patch.setattr(spread, "WORTH_S", math.inf)  # other processes know nothing of this
        yield


@pytest.fixture(scope="module")
def table() -> SparseTable:
    return table_of(simulate_cell_cases().with_columns(pl.lit(True).alias("is_synthetic")))


@pytest.fixture(scope="module")
def judged(table: SparseTable) -> list[Score]:
    return evaluate(table, repeats=1, candidates=QUICK)[0]


def value(all_scores: list[Score], candidate: str, slice_name: str, metric: str) -> float:
    return next(
        score.value
        for score in all_scores
        if (score.candidate, score.slice, score.metric) == (candidate, slice_name, metric)
    )


def shuffled(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    subsets = np.array_split(np.random.default_rng(3).permutation(count), 5)
    return [(np.setdiff1d(np.arange(count), held_out), held_out) for held_out in subsets]


@pytest.mark.parametrize("kind", ["extra trees", "random forest"])
def test_forests_are_as_good_as_those_of_scikit_learn(
    kind: str, table: SparseTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other trees by other draws; over many of them the same answer, and as far from the truth."""
    monkeypatch.setattr(learners, "TREES", 300)
    rows = np.arange(len(table))
    space = space_of(table, rows)
    at = (table.inputs - space["input_center"]) / space["input_scale"]
    target = latent(space, table, rows)
    column = table.place("d30_mah_g")
    there = np.isfinite(target[:, column])
    train, test = next(grouped_folds(table.cases[there], 4, 0))
    x, y = at[there], target[there, column]
    peers = {"extra trees": ExtraTreesRegressor, "random forest": RandomForestRegressor}
    peer = peers[kind](300, min_samples_leaf=2, max_features=0.5, random_state=0)
    theirs = peer.fit(x[train], y[train]).predict(x[test])
    forest = learners.forests(kind, x[train], y[train, None], 0)
    ours = learners.grown_answers(forest, x[test], 1)[:, 0]
    assert np.corrcoef(ours, theirs)[0, 1] > 0.97
    assert np.sqrt(((ours - theirs) ** 2).mean()) < 0.25 * y.std()
    assert np.sqrt(((ours - y[test]) ** 2).mean()) < 1.25 * np.sqrt(
        ((theirs - y[test]) ** 2).mean()
    )


def test_folds_over_processes_say_what_they_say_here(
    table: SparseTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learners, "TREES", 100)  # as other processes have it
    folds = [list(grouped_folds(table.cases, 3, 0))]
    with threadpool_limits(1):
        here = hold_out(table, folds, QUICK)
        monkeypatch.setattr(spread, "WORTH_S", 0.0)
        monkeypatch.setattr("battery_platform.compute.pool.cores", lambda: 2)
        there = hold_out(table, folds, QUICK)
    for local, remote in zip(here, there, strict=True):
        assert (local.candidate, local.regime) == (remote.candidate, remote.regime)
        for name in ("mean", "deviation", "curve", "curve_deviation"):
            assert np.array_equal(getattr(local, name), getattr(remote, name), equal_nan=True)


def test_a_split_by_cell_flatters_and_is_refused(table: SparseTable, judged: list[Score]) -> None:
    folds = [shuffled(len(table))]
    with pytest.raises(LeakingSplit, match=r"\d+ of 27 cases are on both sides .* such as 'SYN-G"):
        evaluate(table, candidates=QUICK, folds=folds)
    leaked = [
        score
        for held in hold_out(table, folds, {"stack": stack.candidate})
        for score in scores(held, table)
    ]
    slice_name = f"{evaluation.ALL}, {NEW}"
    assert (
        value(leaked, "stack", slice_name, "r2") > value(judged, "stack", slice_name, "r2") + 0.05
    )


def test_the_stack_finds_what_was_put_in_and_beats_what_it_must(judged: list[Score]) -> None:
    part = f"{CYCLING}, {NEW}"
    assert value(judged, "stack", part, "r2") > 0.7
    assert value(judged, "stack", part, "r2") > value(judged, "mean", part, "r2") + 0.5
    assert value(judged, "stack", f"coulombic_efficiency_pct, {NEW}", "r2") < 0.2
    assert value(judged, "stack", f"class of d30_mah_g, {NEW}", "accuracy") > 0.7


@pytest.mark.parametrize("regime", [NEW, KNOWN])
def test_intervals_hold_what_they_promise(judged: list[Score], regime: str) -> None:
    assert 0.85 <= value(judged, "stack", f"{evaluation.ALL}, {regime}", "coverage_90") <= 0.95


def test_every_baseline_answers_both_states_of_knowledge(table: SparseTable) -> None:
    folds = [evaluation.repeated_folds(table.cases, 3, 1, 0)[0]]
    for name, least in (("lasso", 0.4), ("random forest", 0.4), ("iterative imputation", 0.1)):
        held = hold_out(table, folds, {name: SIMPLE[name]})
        assert [(held_out.candidate, held_out.regime) for held_out in held] == [
            (name, NEW),
            (name, KNOWN),
        ]
        for held_out in held:
            assert (
                value(list(scores(held_out, table)), name, f"d30_mah_g, {held_out.regime}", "r2")
                > least
            )


def test_metrics_are_what_they_are_called(table: SparseTable) -> None:
    held = hold_out(table, [shuffled(len(table))], {"mean": SIMPLE["mean"]})[0]
    all_scores = list(scores(held, table))
    for name in ("d30_mah_g", "ir_drop_mv"):
        place = table.place(name)
        there = np.isfinite(table.known[:, place])
        predicted = held.mean[0, there, place]
        predicted = np.exp(predicted) if table.endpoints[place].logarithmic else predicted
        true = table.known[there, place]
        assert value(all_scores, "mean", f"{name}, {NEW}", "r2") == pytest.approx(
            r2_score(true, predicted)
        )
        mae = value(all_scores, "mean", f"{name}, {NEW}", "mae")
        assert mae == pytest.approx(mean_absolute_error(true, predicted))


def test_served_trees_answer_as_those_they_were_taken_from(table: SparseTable) -> None:
    space = space_of(table, np.arange(len(table)))
    at = (table.inputs - space["input_center"]) / space["input_scale"]
    target = latent(space, table, np.arange(len(table)))
    for kind in learners.FORESTS:
        grown = learners.forests(kind, at, target, 0)
        state = learners.arrays_of(grown)
        state |= {
            "input_center": 0.0,
            "input_scale": 1.0,
            "line": np.zeros((target.shape[1], at.shape[1])),
            "line_start": np.zeros(target.shape[1]),
            "tree_share": 1.0,
        }
        assert served.base(state, at) == pytest.approx(
            learners.grown_answers(grown, at, target.shape[1])
        )


def test_conditioning_is_that_of_a_joint_normal() -> None:
    random = np.random.default_rng(0)
    half = random.normal(size=(4, 4))
    covariance = half @ half.T + np.eye(4)
    mean, known = np.zeros((1, 4)), np.array([[np.nan, 1.0, -0.5, np.nan]])
    moved, deviation = served.conditioned(mean, known, covariance)
    have, lack = [1, 2], [0, 3]
    gain = covariance[np.ix_(lack, have)] @ np.linalg.inv(covariance[np.ix_(have, have)])
    assert moved[0, lack] == pytest.approx(gain @ known[0, have])
    left = covariance[np.ix_(lack, lack)] - gain @ covariance[np.ix_(have, lack)]
    assert deviation[0, lack] ** 2 == pytest.approx(np.diag(left))
    other = served.conditioned(mean, np.array([[np.nan, 7.0, -0.5, np.nan]]), covariance)
    assert other[0][0, 1] == pytest.approx(moved[0, 1]), "an endpoint moved its own prediction"
    assert moved[0, 1] == pytest.approx(-0.5 * covariance[1, 2] / covariance[2, 2])
    alone = served.conditioned(mean, np.full((1, 4), np.nan), covariance)
    assert alone[1][0] == pytest.approx(np.sqrt(np.diag(covariance)))


def test_covariance_of_errors_with_gaps_is_near_the_true_one() -> None:
    random = np.random.default_rng(1)
    true = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, 0.3], [0.0, 0.3, 1.0]])
    errors = random.multivariate_normal(np.zeros(3), true, size=2000)
    errors[random.random(errors.shape) < 0.4] = np.nan
    covariance = stack.covariance_of(errors)
    assert np.abs(covariance - true).max() < 0.1
    assert (np.linalg.eigvalsh(stack.shrunk(covariance, np.array([0.0, 0.5, 1.0]))) > 0).all()


def test_a_network_never_uses_an_endpoint_for_itself(table: SparseTable) -> None:
    space = space_of(table, np.arange(len(table)))
    at = (table.inputs - space["input_center"]) / space["input_scale"]
    target = latent(space, table, np.arange(len(table)))
    ensemble = networks.train(at, target, table.cases, FEW)
    place = table.place("d30_mah_g")
    full = np.nan_to_num(target)
    other = full.copy()
    other[:, place] += 1.5
    before, after = (networks.impute(ensemble, at, known) for known in (full, other))
    assert np.abs(after - before)[:, :, place].max() == pytest.approx(0.0, abs=1e-5)
    assert np.abs(np.delete(after - before, place, axis=2)).max() > 1e-3


def test_gradients_of_the_networks_are_right() -> None:
    random = np.random.default_rng(5)
    choices = Choices(networks=2, hidden=3)
    weights = networks._start(4, 3, choices, random)
    x, z = random.normal(size=(6, 4)), random.normal(size=(2, 6, 3))
    goal, weight = random.normal(size=(6, 3)), random.random((2, 6, 3))
    exact = {name: array.astype(float) for name, array in weights.items()}

    def loss(at: dict[str, np.ndarray]) -> float:
        predicted = networks._forward(at, x, z)[0]
        decay = sum(float((at[name] ** 2).sum()) for name in ("x", "z", "out"))
        return float(0.5 * (weight * (predicted - goal) ** 2).sum() + 0.05 * decay)

    slopes = networks._gradient(exact, x, z, goal, weight, 0.1)[1]
    for name, array in exact.items():
        place = tuple(random.integers(size) for size in array.shape)
        step = np.zeros_like(array)
        step[place] = 1e-5
        change = loss(exact | {name: array + step}) - loss(exact | {name: array - step})
        assert slopes[name][place] == pytest.approx(change / 2e-5, rel=1e-3, abs=1e-6)


def test_networks_learn_and_are_wider_than_their_spread(table: SparseTable) -> None:
    folds = [evaluation.repeated_folds(table.cases, 3, 1, 0)[0]]
    held = {
        (candidate.candidate, candidate.regime): candidate
        for candidate in hold_out(table, folds, {"networks": networks.Networks(FEW)})
    }
    sure, raw = (held[name, NEW] for name in (networks.NETWORKS, networks.RAW))
    assert value(list(scores(sure, table)), "networks", f"d30_mah_g, {NEW}", "r2") > 0.4
    assert (sure.deviation.mean(axis=(0, 1)) >= 0.99 * raw.deviation.mean(axis=(0, 1))).mean() > 0.7


def test_what_is_known_early_narrows_and_its_uncertainty_is_passed_on(table: SparseTable) -> None:
    state = stack.fit_rows(table, np.arange(len(table)))
    state["covariance"] = stack.shrunk(stack.covariance_of(_errors(table)), np.full(16, 0.9))
    nothing = served.answer(state, table.inputs, table.only(()))
    early = served.answer(state, table.inputs, table.only(EARLY))
    place = table.place("d30_mah_g")
    has = np.isfinite(table.known[:, table.place("ir_drop_mv")])
    assert (early[1][has, place] < nothing[1][has, place]).all()
    none = ~np.isfinite(table.only(EARLY)).any(axis=1)
    assert early[1][none, place] == pytest.approx(nothing[1][none, place])


def _errors(table: SparseTable) -> np.ndarray:
    space = space_of(table, np.arange(len(table)))
    return latent(space, table, np.arange(len(table)))


def test_tuning_looks_at_training_rows_only(
    table: SparseTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    from battery_platform.models.kinds.sparse import tuning

    seen: list[SparseTable] = []

    def reached(rows_seen: SparseTable, choices: Choices, seed: int) -> float:
        seen.append(rows_seen)
        return -abs(choices.gamma - 0.3)

    monkeypatch.setattr(tuning, "median_r2", reached)
    rows = np.arange(40)
    best = tuning.tune(table, rows, trials=15, seed=1)
    assert abs(best.gamma - 0.3) < 0.15
    assert {one.ids for one in seen} == {table.ids[:40]}
    assert best.networks == Choices().networks


def test_a_table_without_curves_is_learnt_too(table: SparseTable) -> None:
    bare = replace(table, curves=np.full((len(table), 0), np.nan))
    state = stack.fit(bare)
    value_, deviation = served.answer(state, bare.inputs[:3], bare.known[:3])[:2]
    assert np.isfinite(value_).all()
    assert (deviation > 0).all()
