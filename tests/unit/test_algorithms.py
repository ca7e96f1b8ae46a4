"""Networks, trees, classifiers: what is served is what was fitted, and says how sure it is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neural_network import MLPRegressor
from sklearn.svm import SVC

from battery_platform.compute import spread
from battery_platform.compute.job import find
from battery_platform.models import boosting, classifying, descent, gaussian_process, networks
from battery_platform.models.algorithms import OF_CLASSES, OF_QUANTITIES
from battery_platform.models.memo import Memo
from battery_platform.models.ridge import PENALTIES, ridge
from battery_platform.models.rows import Rows
from battery_platform.models.served.surrogate import (
    answer,
    chances,
    features,
    member,
    point,
    predict_rows,
    trend_say,
)
from battery_platform.models.sources import ELECTRODES
from battery_platform.models.specification import Feature, Specification
from battery_platform.models.splits import grouped_folds

MODEL = Specification(
    "toy",
    "height_um",
    "um",
    "A toy",
    "Tests.",
    ELECTRODES,
    inputs=("a", "b", "c"),
    features=tuple(Feature(name, ((name, 1.0),)) for name in ("a", "b", "c")),
)
CLASSES = replace(MODEL, bounds=(1.0, 2.0), classes=("low", "medium", "high"))


def rows(count: int = 240, noise: float = 0.05, seed: int = 0) -> Rows:
    """A bent surface; three rows of each condition, four conditions of each batch."""
    random = np.random.default_rng(seed)
    at = np.repeat(random.uniform(1, 3, (count // 3, 3)), 3, axis=0)
    conditions = np.repeat(np.arange(count // 3), 3)
    height = np.sin(2 * at[:, 0]) + at[:, 1] * at[:, 2] / 3
    names = np.array([f"B{number // 4:03d}" for number in conditions])
    return Rows(at, height + noise * random.standard_normal(count), names, conditions)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "SMALL", replace(networks.SMALL, steps=1500))
    monkeypatch.setattr(networks, "WIDE", replace(networks.WIDE, hidden=(32, 32), steps=40))
    monkeypatch.setattr(networks, "LESSONS", 2000)
    monkeypatch.setattr(spread, "WORTH_S", math.inf)  # other processes know nothing of this
    monkeypatch.setattr(gaussian_process, "INNER_SPLITS", 3)


@pytest.mark.parametrize("name", list(OF_QUANTITIES))
def test_every_algorithm_beats_the_mean_on_batches_it_never_saw(name: str) -> None:
    if name == "wide network":
        pytest.skip("so few steps teach it nothing; its gradient is tested below")
    data = rows()
    train, test = next(grouped_folds(data.batches, 4, 1))
    state = find(OF_QUANTITIES[name])(MODEL, data.take(train), None)
    mean, deviation = answer(state, data.inputs[test])
    error = mean - data.target[test]
    assert np.sqrt((error**2).mean()) < 0.8 * data.target[test].std()
    assert 0.7 <= (np.abs(error) <= 1.645 * deviation).mean() <= 1.0


@pytest.mark.parametrize("name", list(OF_CLASSES))
def test_every_classifier_beats_chance_and_its_probabilities_add_up(name: str) -> None:
    data = rows()
    train, test = next(grouped_folds(data.batches, 4, 1))
    state = find(OF_CLASSES[name])(CLASSES, data.take(train), None)
    shares = chances(state, data.inputs[test])
    assert shares.sum(axis=1) == pytest.approx(1.0)
    true = np.digitize(data.target[test], CLASSES.bounds)
    often = np.bincount(true, minlength=3).max() / len(true)
    assert (shares.argmax(axis=1) == true).mean() > often


@pytest.mark.parametrize(("sigmoid", "hidden"), [(False, (7,)), (False, (6, 5)), (True, (6, 5))])
def test_slopes_are_those_of_finite_differences(sigmoid: bool, hidden: tuple[int, ...]) -> None:
    random = np.random.default_rng(3)
    network = descent.Network((3, *hidden, 1), 9, descent.Course(hidden, 1, 0.1, sigmoid), random)
    x = np.hstack([random.normal(size=(9, 3)), np.ones((9, 1))])
    y = random.normal(size=(9, 1))

    def loss() -> float:
        at = x
        for number, layer in enumerate(network.layers):
            at = at @ layer.astype(float)
            if number < len(hidden):
                bent = 1 / (1 + np.exp(-at)) if sigmoid else np.maximum(at, 0)
                at = np.hstack([bent, np.ones((9, 1))])
        return float(((at - y) ** 2).mean())

    slopes = network.slope(x.astype(np.float32), y.astype(np.float32)).copy()
    for place in random.choice(len(slopes), 12, replace=False):
        before = network.numbers[place]
        ends, places = [], []
        for step in (1e-3, -1e-3):
            network.numbers[place] = before + np.float32(step)
            places.append(float(network.numbers[place]))
            ends.append(loss())
        network.numbers[place] = before
        measured = (ends[0] - ends[1]) / (places[0] - places[1])
        assert slopes[place] == pytest.approx(measured, abs=2e-4, rel=1e-3)


def test_steps_are_those_of_adam() -> None:
    """Beside Adam as it is written down, number by number; rectifiers, three steps of all rows."""
    random = np.random.default_rng(5)
    at, y = random.normal(size=(8, 3)), random.normal(size=8)
    course = descent.Course((4,), steps=3, rate=0.05)
    layers = descent.trained(at, y, course, seed=1)
    drawing = np.random.default_rng(1)
    network = descent.Network((3, 4, 1), 8, course, drawing)
    rows = drawing.integers(8, size=(3, 8))
    numbers = network.numbers.astype(float)
    mean, square = np.zeros_like(numbers), np.zeros_like(numbers)
    for step, some in enumerate(rows, 1):
        network.numbers[:] = numbers
        x = np.hstack([at[some], np.ones((8, 1))]).astype(np.float32)
        slope = network.slope(x, y[some, None].astype(np.float32)).astype(float)
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        rate = 0.05 * 0.5 * (1 + np.cos(np.pi * step / 3))
        numbers -= (
            rate
            * (np.sqrt(1 - 0.999**step) / (1 - 0.9**step))
            * mean
            / (np.sqrt(square) + descent.SMALL)
        )
    theirs = np.concatenate([np.vstack([weights, bias]).ravel() for weights, bias in layers])
    assert theirs == pytest.approx(numbers, abs=1e-5)


def test_a_network_is_as_good_as_that_of_scikit_learn() -> None:
    data = rows(600)
    train, test = next(grouped_folds(data.batches, 4, 1))
    state = networks.fit_small(MODEL, data.take(train))
    peer = MLPRegressor(hidden_layer_sizes=(64, 64), max_iter=400, random_state=0)
    at = features(state, data.inputs)
    peer.fit(at[train], data.target[train])
    ours, theirs = (
        np.sqrt(((predicted - data.target[test]) ** 2).mean())
        for predicted in (point(state, data.inputs[test]), peer.predict(at[test]))
    )
    assert ours < 1.15 * theirs


def test_trees_kept_as_arrays_answer_as_xgboost_does(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    grow = boosting._grown

    def spy(*given: object) -> xgboost.Booster:
        kept.append(grow(*given))
        return kept[-1]

    monkeypatch.setattr(boosting, "_grown", spy)
    data = rows()
    state = boosting.fit(MODEL, data)
    at = features(state, data.inputs).astype(np.float32)
    theirs = kept[-1].predict(xgboost.DMatrix(at))
    ours = (point(state, data.inputs) - state["y_center"]) / state["y_scale"]
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert boosting._predicted(kept[-1], at) == pytest.approx(theirs, abs=1e-6)
    state = boosting.fit_classes(CLASSES, data)
    theirs = kept[-1].predict(xgboost.DMatrix(at))
    assert chances(state, data.inputs) == pytest.approx(theirs, abs=1e-5)


def test_booster_steps_are_those_of_xgboost() -> None:
    random = np.random.default_rng(0)
    at, y = random.normal(size=(80, 3)), random.normal(size=80)
    ours = boosting._grown(at, y, 7)
    settings = {
        "eta": boosting.RATE,
        "max_depth": boosting.DEPTH,
        "subsample": 0.7,
        "colsample_bytree": 0.8,
        "min_child_weight": 2.0,
        "seed": 7,
        "base_score": 0.0,
    }
    asked = xgboost.DMatrix(at.astype(np.float32), y)
    theirs = xgboost.train(settings, asked, boosting.TREES)
    assert ours.predict(asked).tolist() == theirs.predict(asked).tolist()


@pytest.mark.parametrize("count", [12, 300])
def test_a_ridge_is_that_of_scikit_learn(count: int) -> None:
    random = np.random.default_rng(count)
    at = random.normal(size=(count, 5)) * (1.0, 10.0, 0.1, 1.0, 1.0)
    y = at @ random.normal(size=5) + random.normal(size=count)
    slopes, intercept = ridge(at, y)
    theirs = RidgeCV(PENALTIES).fit(at, y)
    assert slopes == pytest.approx(theirs.coef_, rel=1e-8)
    assert intercept == pytest.approx(theirs.intercept_, rel=1e-8)


def test_a_mixture_does_not_learn_the_process_again(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt = []
    again = gaussian_process._learnt

    def spy(*given: object) -> object:
        learnt.append(given)
        return again(*given)

    monkeypatch.setattr(gaussian_process, "_learnt", spy)
    data = rows(120, seed=11)
    gaussian_process.fit(CLASSES, data)
    first = classifying.fit_mixture(CLASSES, data)
    assert len(learnt) == 1
    monkeypatch.setattr(gaussian_process, "_LEARNT", Memo())
    fresh = classifying.fit_mixture(CLASSES, data)
    assert len(learnt) == 2
    assert chances(first, data.inputs).tolist() == chances(fresh, data.inputs).tolist()
    for other in (replace(CLASSES, seed=1), replace(CLASSES, features=CLASSES.features[:2])):
        gaussian_process.fit(other, data)
    gaussian_process.fit(CLASSES, replace(data, target=data.target + 0.1))
    assert len(learnt) == 5


@pytest.mark.parametrize("bounds", [(1.0, 2.0), (1.5,)])
def test_logistic_curves_answer_as_scikit_learn_does(bounds: tuple[float, ...]) -> None:
    model = replace(CLASSES, bounds=bounds, classes=CLASSES.classes[: len(bounds) + 1])
    data = rows()
    state, held_out = classifying._logistic(model, data)
    cases = classifying.Cases.of(model, data)
    assert cases.weights.sum() == len(data)
    at = features(state, cases.inputs)
    pairs = state["pairs"]
    wide = np.hstack([at, at[:, pairs[:, 0]] * at[:, pairs[:, 1]]])
    ours = chances(state, cases.inputs)
    fits = []
    for strength in classifying.STRENGTHS:
        peer = LogisticRegression(C=strength, max_iter=2000)
        peer.fit(wide, cases.labels, cases.weights)
        fits.append(np.abs(peer.predict_proba(wide) - ours).max())
    assert min(fits) < 1e-6
    assert held_out.shape == (len(data), len(model.classes))


def test_support_vectors_are_those_of_scikit_learn() -> None:
    data = rows()
    state = classifying.fit_support(CLASSES, data)
    cases = classifying.Cases.of(CLASSES, data)
    at = features(state, cases.inputs)
    peer = SVC(C=classifying.SUPPORT_STRENGTH, gamma=classifying.SUPPORT_GAMMA)
    peer.fit(at, cases.labels == 1, cases.weights)
    ours = classifying.support_scores(state, at)[:, 1]
    assert ours == pytest.approx(peer.decision_function(at), abs=1e-6)


def test_a_class_that_no_row_has_is_never_told() -> None:
    data = rows()
    low = data.take(np.flatnonzero(data.target < 2.0))
    for name, maker in OF_CLASSES.items():
        shares = chances(find(maker)(CLASSES, low, None), low.inputs)
        assert shares[:, 2].mean() < 0.05, name
    only = data.take(np.flatnonzero(data.target < 1.0))
    shares = chances(classifying.fit_support(CLASSES, only), only.inputs)
    assert (shares.argmax(axis=1) == 0).all()


def test_the_trend_speaks_in_holes_and_beyond_the_data_alone() -> None:
    model = replace(
        MODEL,
        features=(Feature("a", (("a", 1.0),)), Feature("log b", (("b", 1.0),), logarithmic=True)),
        inputs=("a", "b"),
        trend=("log b",),
    )
    random = np.random.default_rng(1)
    at = np.column_stack([random.uniform(1, 2, 120), np.tile([1.0, 2.0, 8.0, 10.0], 30)])
    names = np.array([f"B{number // 4}" for number in range(120)])
    target = 3 * at[:, 1] ** 0.7 * (1 + 0.01 * random.standard_normal(120))
    state = gaussian_process.fit(model, Rows(at, target, names, np.arange(120)))
    middle = float(at[0, 0])
    asked = np.array([[middle, 2.0], [middle, 5.0], [middle, 30.0]])
    assert trend_say(state, asked).tolist() == [0.0, 1.0, 1.0]
    mean, deviation = answer(state, asked)
    assert mean == pytest.approx(3 * asked[:, 1] ** 0.7, rel=0.05)
    rest = member(state, "beyond.")
    assert deviation[2] == pytest.approx(
        answer(rest | {"logarithmic_target": False}, asked)[1][2], rel=1e-6
    )


def test_a_million_rows_and_rows_outside_are_answered() -> None:
    state = networks.fit_small(MODEL, rows())
    random = np.random.default_rng(0)
    asked = pd.DataFrame(random.uniform(1, 3, (1_000_000, 3)), columns=list(MODEL.inputs))
    asked.iloc[7, 1] = 200.0
    asked.iloc[9, 2] = np.nan
    answers = predict_rows(state, asked)
    assert len(answers) == 1_000_000
    assert "2 would fit, check the unit" in answers["note"][7]
    assert not answers["in_domain"][7]
    assert np.isnan(answers["height_um"][9])
    assert answers["note"][9] == "c is missing or no number; no prediction"
    assert answers["height_um"].notna().sum() == 999_999
