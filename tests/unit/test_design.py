"""The inverse question: targets, probabilities, candidates, and the one recipe that is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from battery_platform.design import inverse
from battery_platform.design.inverse import Champion, Champions
from battery_platform.design.probability import within, within_all, within_both
from battery_platform.design.recipes import candidates
from battery_platform.design.stored import TARGETS, all_designs, flat, newest, target_of
from battery_platform.design.targets import DEFAULT, Target, Wanted, answering, parse
from battery_platform.errors import PlatformError
from battery_platform.models.specification import RECIPE
from battery_platform.store.lakehouse import Lakehouse

LOADING, POROSITY = "mass_loading_mg_cm2", "porosity_pct"


def both(loading: float, porosity: float, near: float, close: float) -> Target:
    """A loading and a porosity, and how near each must be met."""
    return Wanted(LOADING, loading, near), Wanted(POROSITY, porosity, close)


# -- targets --------------------------------------------------------------------------------


def test_a_target_without_tolerances_allows_a_tenth() -> None:
    assert parse("porosity_pct=50, mass_loading_mg_cm2 = 15") == both(15.0, 50.0, 1.5, 5.0)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("", "is not one of"),
        ("mass_loading_mg_cm2", "is not one of"),
        ("mass_loading=15,porosity_pct=50", "'mass_loading=15' is not one of"),
        ("mass_loading_mg_cm2=15,comma_gap_um=100", "'comma_gap_um=100' is not one of"),
        (f"{DEFAULT},porosity_pct=51", "porosity_pct is given twice"),
        ("mass_loading_mg_cm2=much,porosity_pct=50", "'much' is no number"),
        ("mass_loading_mg_cm2=,porosity_pct=50", "'' is no number"),
        ("mass_loading_mg_cm2=nan,porosity_pct=50", "'nan' is no number"),
        ("mass_loading_mg_cm2=inf,porosity_pct=50", "'inf' is no number"),
        ("mass_loading_mg_cm2=12,5,porosity_pct=50", "'5' is not one of"),
        ("mass_loading_mg_cm2=-15,porosity_pct=50", "-15 lies outside"),
        ("mass_loading_mg_cm2=0,porosity_pct=50", "0 lies outside"),
        ("mass_loading_mg_cm2=15000,porosity_pct=50", "15000 lies outside"),
        ("mass_loading_mg_cm2=15,porosity_pct=100", "100 lies outside"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused(wanted: str, words: str) -> None:
    with pytest.raises(PlatformError, match=words):
        parse(wanted)


@pytest.mark.parametrize("share", ["0.05", "0.5", "0.99"])
def test_a_fraction_for_a_percentage_is_refused_with_a_hint(share: str) -> None:
    with pytest.raises(PlatformError, match=r"0\.5 means 50"):
        parse(f"mass_loading_mg_cm2=15,porosity_pct={share}")


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e9", "little"])
def test_a_tolerance_that_cannot_be_used_is_refused(value: str) -> None:
    with pytest.raises(PlatformError, match="--tolerance"):
        parse(DEFAULT, f"porosity_pct={value}")


def test_a_tolerance_may_be_given_for_one_alone() -> None:
    assert parse(DEFAULT, "porosity_pct=2") == both(15.0, 50.0, 1.5, 2.0)


def test_a_target_may_be_one_quantity() -> None:
    assert parse("porosity_pct=50") == (Wanted(POROSITY, 50.0, 5.0),)


def test_a_tolerance_of_what_is_not_wanted_is_refused() -> None:
    with pytest.raises(PlatformError, match="porosity_pct is not among what is wanted"):
        parse("mass_loading_mg_cm2=15", "porosity_pct=5")


def test_models_of_the_recipe_without_classes_answer() -> None:
    assert {name: model.name for name, model in answering().items()} == {
        LOADING: "mass-loading",
        POROSITY: "porosity",
    }


def test_three_quantities_are_refused_in_a_sentence(lake: Lakehouse) -> None:
    three = (*both(15, 50, 1.5, 5), Wanted("adhesion_n_m", 20.0, 2.0))
    with pytest.raises(PlatformError, match=r"^3 quantities .* a design meets 2 at most\. \w+"):
        inverse.design(lake, three)


def test_a_quantity_that_no_model_predicts_is_refused(lake: Lakehouse) -> None:
    with pytest.raises(PlatformError, match="No model predicts adhesion_n_m from a recipe"):
        inverse.design(lake, (Wanted("adhesion_n_m", 20.0, 2.0),))


def test_nothing_wanted_is_refused(lake: Lakehouse) -> None:
    with pytest.raises(PlatformError, match="Nothing is wanted"):
        inverse.design(lake, ())


# -- probabilities --------------------------------------------------------------------------


def exact(
    mean: tuple[float, float],
    deviation: tuple[float, float],
    wanted: tuple[float, float],
    tolerance: tuple[float, float],
    correlation: float,
) -> float:
    off = correlation * deviation[0] * deviation[1]
    normal = multivariate_normal(mean, [[deviation[0] ** 2, off], [off, deviation[1] ** 2]])
    high, low = (np.add(wanted, sign * np.array(tolerance)) for sign in (1, -1))
    return float(normal.cdf(high, lower_limit=low))


def ours(*case: tuple[float, float], correlation: float) -> float:
    mean, deviation = (tuple(np.array([value]) for value in pair) for pair in case[:2])
    return float(within_both(mean, deviation, *case[2:], correlation)[0])


@pytest.mark.parametrize("correlation", [-0.95, -0.6, 0.0, 0.3, 0.8, 0.95])
@pytest.mark.parametrize(
    "case",
    [
        ((15, 50), (1.5, 1.8), (15, 50), (1.5, 5)),
        ((14, 47), (1.5, 1.8), (15, 50), (0.1, 0.2)),
        ((10, 55), (1.5, 1.8), (15, 50), (1.5, 5)),
        ((15, 50), (0.2, 0.3), (15, 50), (1.5, 5)),
        ((15, 50), (5.0, 9.0), (15, 50), (1.5, 5)),
        ((15, 50), (1.5, 1.8), (15, 50), (100, 5)),
    ],
)
def test_the_probability_of_both_is_that_of_the_normal_distribution(
    case: tuple[tuple[float, float], ...], correlation: float
) -> None:
    wanted = exact(*case, correlation)
    assert ours(*case, correlation=correlation) == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize("correlation", [-0.9, 0.5])
def test_the_probability_of_both_is_the_share_of_draws(correlation: float) -> None:
    random = np.random.default_rng(5)
    drawn = random.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], 400_000)
    values = np.array([14.5, 48.0]) + drawn * [1.5, 2.5]
    share = (np.abs(values - [15, 50]) <= [1.5, 5]).all(axis=1).mean()
    case = ((14.5, 48.0), (1.5, 2.5), (15, 50), (1.5, 5))
    assert ours(*case, correlation=correlation) == pytest.approx(share, abs=0.003)


@pytest.mark.parametrize("deviation", [1e-3, 1e-6, 1e-12])
def test_a_tiny_deviation_makes_it_sure(deviation: float) -> None:
    small = (deviation, deviation)
    met = ((15.0, 50.0), small, (15, 50), (1.5, 5))
    missed = ((17.0, 50.0), small, (15, 50), (1.5, 5))
    assert ours(*met, correlation=0.5) == pytest.approx(1, abs=1e-6)
    assert ours(*missed, correlation=0.5) == pytest.approx(0, abs=1e-6)


@effort(max_examples=300, deadline=None)
@given(
    st.floats(0, 40),
    st.floats(30, 70),
    st.floats(0.05, 10),
    st.floats(0.05, 10),
    st.floats(1e-3, 3),
    st.floats(1e-3, 3),
    st.floats(-0.9, 0.9),
)
def test_both_are_never_likelier_than_one(
    loading: float, porosity: float, a: float, b: float, near: float, close: float, r: float
) -> None:
    both_stay_below_one((loading, porosity), (a, b), (near * a, close * b), r)


def test_both_are_never_likelier_than_one_with_a_wide_tolerance() -> None:
    both_stay_below_one((0, 30), (1, 8), (23, 4), 0.9375)


def both_stay_below_one(
    mean: tuple[float, float],
    deviation: tuple[float, float],
    tolerance: tuple[float, float],
    correlation: float,
) -> None:
    both = ours(mean, deviation, (15, 50), tolerance, correlation=correlation)
    alone = min(
        float(within(np.array([one]), np.array([sd]), want, allowed)[0])
        for one, sd, want, allowed in zip(mean, deviation, (15, 50), tolerance, strict=True)
    )
    assert both <= alone + 1e-6


def test_within_is_the_normal_distribution() -> None:
    probability = within(np.array([14.0]), np.array([2.0]), 15, 1.5)[0]
    assert probability == pytest.approx(norm(14, 2).cdf(16.5) - norm(14, 2).cdf(13.5))


# -- candidates -----------------------------------------------------------------------------


def made(n: int = 30, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    low, high = np.array([92, 55, 1, 60]), np.array([97, 75, 10, 300])
    return np.round(low + (high - low) * random.random((n, 4)), 2)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_candidates_hold_every_made_recipe_and_stay_between_them(n: int) -> None:
    recipes = np.repeat(made(n), 2, axis=0)
    candidate_recipes = candidates(recipes, np.log(recipes))
    for recipe in recipes:
        assert np.isclose(candidate_recipes, recipe, rtol=1e-12).all(axis=1).any()
    assert (candidate_recipes >= recipes.min(axis=0) * (1 - 1e-12)).all()
    assert (candidate_recipes <= recipes.max(axis=0) * (1 + 1e-12)).all()
    assert len(np.unique(candidate_recipes, axis=0)) == len(candidate_recipes)


def test_one_made_recipe_is_its_own_only_candidate() -> None:
    recipes = np.repeat(made(1), 4, axis=0)
    assert candidates(recipes, np.log(recipes)).tolist() == made(1).tolist()


# -- the search -----------------------------------------------------------------------------


def champions(
    in_domain: Callable[[pd.DataFrame], pd.Series] = lambda asked: asked["comma_gap_um"] > 0,
    correlation: float = 0.0,
    synthetic: bool = False,
    quantities: tuple[str, ...] = (LOADING, POROSITY),
) -> Champions:
    """Loading goes with the gap, porosity with the solids."""
    frame = pd.DataFrame(made(), columns=list(RECIPE))
    frame["electrode_id"] = [f"E{number}" for number in range(len(frame))]
    frame["mass_loading_mg_cm2"] = frame["comma_gap_um"] / 10
    frame["porosity_pct"] = 100 - frame["solid_content_pct"]
    frame = frame.assign(file_name="lab.csv", line=range(2, len(frame) + 2), is_synthetic=synthetic)

    def answer(quantity: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
        def ask(asked: pd.DataFrame) -> pd.DataFrame:
            loading, porosity = asked["comma_gap_um"] / 10, 100 - asked["solid_content_pct"]
            return pd.DataFrame(
                {
                    "value": loading if quantity == LOADING else porosity,
                    "sd": 1.0,
                    "in_domain": in_domain(asked),
                    "distance": 0.1,
                }
            )

        return ask

    return Champions(
        tuple(
            Champion(name, answering()[name].name, 1, answer(name), "value", "sd")
            for name in quantities
        ),
        frame,
        correlation if len(quantities) > 1 else None,
        7,
        synthetic,
        "NMC",
        "coating",
        "MIT",
    )


def search(asked: Champions, target: Target) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The design as readers see it, and its neighbours."""
    row = flat(inverse.search(asked, target))
    return row, row["neighbours"]


def test_the_likeliest_recipe_is_the_answer() -> None:
    asked = champions()
    row, _ = search(asked, both(15, 35, 1.5, 3.5))
    recipes = asked.made[list(RECIPE)].to_numpy()
    logs = np.log(recipes)
    all_of_them = candidates(recipes, logs / logs.std(axis=0))
    likely = within(all_of_them[:, 3] / 10, np.ones(1), 15, 1.5) * within(
        100 - all_of_them[:, 1], np.ones(1), 35, 3.5
    )
    assert row["probability"] == pytest.approx(likely.max(), abs=1e-4)
    assert row["candidates"] == len(all_of_them)


def test_a_recipe_within_the_data_goes_before_a_likelier_one_outside() -> None:
    asked = champions(lambda recipes: recipes["comma_gap_um"] > 200)
    row, _ = search(asked, both(10, 35, 1, 3.5))
    assert row["in_domain"]
    assert row["comma_gap_um"] > 200
    assert "more likely be missed" in row["note"]


def test_where_no_recipe_lies_within_the_data_it_says_so() -> None:
    row, _ = search(champions(lambda recipes: recipes["comma_gap_um"] < 0), both(15, 35, 1, 3))
    assert not row["in_domain"]
    assert "no recipe within the data" in row["note"]


def test_a_target_that_was_never_made_is_noted_with_the_range() -> None:
    row, _ = search(champions(), both(150, 35, 15, 3.5))
    assert "mass_loading_mg_cm2 of 150 was never made: the data range from" in row["note"]
    assert row["probability"] < 0.01


def test_where_nothing_has_a_chance_the_nearest_miss_is_the_answer() -> None:
    asked = champions()
    row, _ = search(asked, both(150, 35, 1, 3.5))
    assert row["mass_loading_mg_cm2"] > 0.9 * asked.made["mass_loading_mg_cm2"].max()


def test_an_easy_target_has_no_note() -> None:
    row, _ = search(champions(), both(18, 35, 5, 8))
    assert row["note"] is None


def test_neighbours_are_three_made_electrodes_nearest_first() -> None:
    asked = champions()
    _, nearest = search(asked, both(18, 35, 5, 8))
    assert [neighbour["rank"] for neighbour in nearest] == [1, 2, 3]
    assert sorted(neighbour["distance"] for neighbour in nearest) == [
        neighbour["distance"] for neighbour in nearest
    ]
    assert {neighbour["electrode_id"] for neighbour in nearest} <= set(asked.made["electrode_id"])


def test_one_quantity_is_met_with_its_own_probability() -> None:
    row, nearest = search(champions(quantities=(POROSITY,)), (Wanted(POROSITY, 35, 3.5),))
    assert row["probability"] == row["probability_porosity"] > 0.99
    assert row["porosity_pct"] == pytest.approx(35, abs=0.5)
    assert row["residual_correlation"] is None
    assert "target_mass_loading_mg_cm2" not in row
    assert [neighbour["rank"] for neighbour in nearest] == [1, 2, 3]


def test_of_one_quantity_the_probability_of_all_is_its_own() -> None:
    mean, deviation = np.array([14.0, 15.0]), np.array([2.0, 0.5])
    alone = within(mean, deviation, 15, 1.5)
    assert within_all([mean], [deviation], [15], [1.5], None).tolist() == alone.tolist()


def test_the_label_synthetic_goes_with_the_design() -> None:
    row, nearest = search(champions(synthetic=True), both(18, 35, 5, 8))
    assert row["is_synthetic"]
    assert all(neighbour["is_synthetic"] for neighbour in nearest)


# -- in the lake ----------------------------------------------------------------------------


@pytest.fixture
def asked(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> Lakehouse:
    """A lake whose champions are the simple ones above."""
    monkeypatch.setattr(inverse, "answering_versions", lambda _, models: dict.fromkeys(models, 1))
    monkeypatch.setattr(
        inverse,
        "_champions",
        lambda _, target, versions: champions(
            quantities=tuple(wanted.quantity for wanted in target)
        ),
    )
    return lake


def test_the_same_question_is_answered_once(asked: Lakehouse) -> None:
    first, searched = inverse.design(asked, parse(DEFAULT))
    snapshot = asked.snapshot()
    second, searched_again = inverse.design(asked, parse(DEFAULT))
    assert (searched, searched_again) == (True, False)
    assert second == first
    assert asked.snapshot() == snapshot
    assert asked.value("SELECT count(*) FROM design_neighbours") == 3


def test_other_tolerances_are_another_question(asked: Lakehouse) -> None:
    first, _ = inverse.design(asked, parse(DEFAULT))
    second, _ = inverse.design(asked, parse(DEFAULT, "porosity_pct=2"))
    assert first["design_id"] != second["design_id"]
    assert inverse.standing_targets(asked) == [parse(DEFAULT), parse(DEFAULT, "porosity_pct=2")]


def test_other_versions_and_other_code_are_another_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = inverse.design_id(parse(DEFAULT), ["run 1", "run 2"])
    assert inverse.design_id(parse(DEFAULT), ["run 3", "run 2"]) != first
    monkeypatch.setattr(inverse, "design_code", lambda: "other")
    assert inverse.design_id(parse(DEFAULT), ["run 1", "run 2"]) != first


def test_an_unknown_design_is_refused(lake: Lakehouse) -> None:
    with pytest.raises(PlatformError, match="no design 'design-0'"):
        inverse.find(lake, "design-0")


@pytest.mark.parametrize("tolerance", [1e-5, 150.0])
def test_narrow_and_wide_tolerances_are_stored(asked: Lakehouse, tolerance: float) -> None:
    row, _ = inverse.design(asked, both(15, 50, tolerance, 5))
    assert 0 <= row["probability"] <= 1


def test_the_smallest_tolerance_that_is_let_in_can_be_stored(asked: Lakehouse) -> None:
    with pytest.raises(PlatformError, match="must lie between"):
        parse(DEFAULT, "mass_loading_mg_cm2=1e-9")
    row, _ = inverse.design(asked, parse(DEFAULT, "mass_loading_mg_cm2=1e-3"))
    assert row["probability"] == pytest.approx(0, abs=1e-2)


NAMES = {
    *("design_id", "made_at", "target_mass_loading_mg_cm2", "target_porosity_pct"),
    *("tolerance_mass_loading_mg_cm2", "tolerance_porosity_pct", *RECIPE),
    *("mass_loading_mg_cm2", "mass_loading_sd_mg_cm2", "porosity_pct", "porosity_sd_pct"),
    *("probability_mass_loading", "probability_porosity", "probability"),
    *("residual_correlation", "in_domain", "distance", "note", "candidates", "is_standing"),
    *("active_material", "loading_basis", "mass_loading_version", "porosity_version"),
    *("snapshot_id", "code_hash", "licence", "is_synthetic", "neighbours"),
}
NEIGHBOUR_NAMES = {
    *("rank", "electrode_id", "distance", *RECIPE, "mass_loading_mg_cm2", "porosity_pct"),
    *("file_name", "line", "is_synthetic"),
}
"""What readers of a design and of its neighbours have always been given."""


def test_a_design_goes_into_the_lake_and_comes_out_the_same(asked: Lakehouse) -> None:
    target = both(18, 35, 5, 8)
    row, _ = inverse.design(asked, target)
    searched = flat(inverse.search(champions(), target))
    assert {name: row[name] for name in searched} == searched
    assert set(row) >= NAMES
    assert all(set(neighbour) == NEIGHBOUR_NAMES for neighbour in row["neighbours"])
    assert target_of(row) == target
    assert inverse.find(asked, row["design_id"]) == row
    assert all_designs(asked) == [row]


def test_a_target_of_one_quantity_is_stored_and_stands(asked: Lakehouse) -> None:
    target = parse("porosity_pct=35")
    row, searched = inverse.design(asked, target)
    assert searched
    assert asked.value(f"SELECT count(*) FROM {TARGETS}") == 1
    assert inverse.find(asked, row["design_id"]) == row
    assert inverse.standing_targets(asked) == [parse(DEFAULT), target]


def test_what_was_asked_for_once_does_not_stand(asked: Lakehouse) -> None:
    target = both(18, 35, 5, 8)
    inverse.design(asked, target)
    row, searched = inverse.design(asked, target, once=True)
    assert not searched
    assert not row["is_standing"]
    assert inverse.standing_targets(asked) == [parse(DEFAULT)]


def test_of_designs_for_one_target_the_newest_counts(
    asked: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    inverse.design(asked, parse(DEFAULT))
    other, _ = inverse.design(asked, parse("porosity_pct=35"))
    monkeypatch.setattr(inverse, "design_code", lambda: "other")
    again, _ = inverse.design(asked, parse(DEFAULT))
    assert newest(all_designs(asked)) == [other, again]
