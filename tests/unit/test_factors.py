"""Critical factors: each method against an answer that was found in another way."""

import numpy as np
import polars as pl
import pytest
import scipy.stats
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from battery_platform.errors import PlatformError
from battery_platform.factors import campaigns as campaigns_of_lake
from battery_platform.factors.campaigns import RECIPE, Campaign, analyse
from battery_platform.factors.clusters import ancova, cluster_electrodes
from battery_platform.factors.components import correlations, principal_components
from battery_platform.factors.kinds import TARGET, rows_of_kinds, sort_into_kinds
from battery_platform.factors.lars import Quadrant, select_factors
from battery_platform.factors.pictures import (
    kinds_figure,
    loadings_figure,
    quadrants_figure,
    relevance_figure,
    sobol_figure,
    tolerance_figure,
)
from battery_platform.factors.relevance import order_of_liu, relevances, rows_of_relevance
from battery_platform.factors.sensitivity import sobol
from battery_platform.factors.tolerances import Tolerance, propagate


def campaign(rows: int = 120, seed: int = 1) -> pl.DataFrame:
    """Loading follows gap and solids; speed and humidity are idle."""
    rng = np.random.default_rng(seed)
    gap = rng.choice([100.0, 200.0, 300.0], rows)
    solids, speed, humidity = rng.normal(size=(3, rows))
    loading = 0.03 * gap + 1.5 * solids + rng.normal(scale=0.5, size=rows)
    return pl.DataFrame(
        {
            "gap_um": gap,
            "solids": solids,
            "speed": speed,
            "humidity": humidity,
            "loading": loading,
            "batch": [f"b{number % 12}" for number in range(rows)],
        }
    )


FACTORS = ["gap_um", "solids", "speed", "humidity"]


# LASSO-LARS and analysis of variance


def test_idle_factors_are_not_selected_and_driving_ones_are():
    selection = select_factors(campaign(), FACTORS, "loading", "batch")
    assert {factor.name for factor in selection.factors if factor.is_selected} == {
        "gap_um",
        "solids",
    }
    assert selection.factor("gap_um").quadrant is Quadrant.CRITICAL
    assert selection.factor("speed").quadrant is Quadrant.MINOR
    assert selection.factor("gap_um").stability == 1.0
    assert selection.factors[0].name == "gap_um"
    assert (selection.rows, selection.groups) == (120, 12)


def test_idle_factors_stay_out_in_most_of_many_campaigns():
    rng = np.random.default_rng(3)
    idle, missed, critical = 0, 0, 0
    for seed in range(12):
        frame = campaign(60, seed).with_columns(
            pl.Series(f"idle_{number}", rng.normal(size=60)) for number in range(6)
        )
        names = [*FACTORS, *(f"idle_{number}" for number in range(6))]
        selection = select_factors(frame, names, "loading", seed=seed)
        chosen = {factor.name for factor in selection.factors if factor.is_selected}
        missed += 2 - len(chosen & {"gap_um", "solids"})
        idle += len(chosen - {"gap_um", "solids"})
        critical += sum(
            factor.quadrant is Quadrant.CRITICAL and factor.name not in {"gap_um", "solids"}
            for factor in selection.factors
        )
    assert missed == 0
    assert idle <= 0.2 * 12 * 8
    assert critical <= 2


def test_coefficients_are_those_of_soft_thresholding_where_factors_are_orthogonal():
    corners = np.array([[x, y] for x in (-1.0, 1.0) for y in (-1.0, 1.0)] * 10)
    rng = np.random.default_rng(0)
    target = 3 * corners[:, 0] + 0.7 * corners[:, 1] + rng.normal(scale=0.3, size=40)
    frame = pl.DataFrame({"a": corners[:, 0], "b": corners[:, 1], "y": target})
    selection = select_factors(frame, ["a", "b"], "y")
    for name, column in (("a", 0), ("b", 1)):
        slope = np.corrcoef(corners[:, column], target)[0, 1]
        assert selection.factor(name).coefficient == pytest.approx(
            slope - selection.penalty, abs=1e-9
        )


def test_one_way_analysis_of_variance_agrees_with_scipy():
    frame = campaign()
    factor = select_factors(frame, FACTORS, "loading").factor("gap_um")
    parts = [
        frame.filter(pl.col("gap_um") == gap)["loading"].to_numpy() for gap in (100.0, 200.0, 300.0)
    ]
    wanted = scipy.stats.f_oneway(*parts)
    assert (factor.f, factor.p) == pytest.approx((wanted.statistic, wanted.pvalue), rel=1e-9)
    assert (factor.levels, factor.is_binned) == (3, False)


def test_a_continuous_factor_is_compared_by_quarters():
    frame = campaign()
    factor = select_factors(frame, FACTORS, "loading").factor("solids")
    quarter = frame["solids"].rank().to_numpy()
    target = frame["loading"].to_numpy()
    parts = [target[(quarter > 30 * k) & (quarter <= 30 * (k + 1))] for k in range(4)]
    assert factor.is_binned
    assert factor.f == pytest.approx(scipy.stats.f_oneway(*parts).statistic)


def test_replicates_of_a_batch_do_not_make_an_idle_factor_significant():
    rng = np.random.default_rng(5)
    batches = np.repeat(np.arange(8), 30)
    setting = (batches % 2).astype(float)
    target = rng.normal(size=8)[batches] + rng.normal(scale=0.05, size=240)
    frame = pl.DataFrame(
        {"setting": setting, "other": rng.normal(size=240), "y": target, "batch": batches}
    )
    by_row = select_factors(frame, ["setting", "other"], "y").factor("setting")
    by_batch = select_factors(frame, ["setting", "other"], "y", "batch").factor("setting")
    means = [np.mean(target[batches == batch]) for batch in range(8)]
    wanted = scipy.stats.f_oneway(means[::2], means[1::2])
    assert by_row.p < 0.05 < by_batch.p
    assert by_batch.p == pytest.approx(wanted.pvalue)
    assert by_batch.quadrant in (Quadrant.UNCONFIRMED, Quadrant.MINOR)


def test_a_bent_effect_is_significant_but_not_selected():
    rng = np.random.default_rng(2)
    bent = np.tile([-1.0, 0.0, 1.0], 30)
    frame = pl.DataFrame(
        {
            "bent": bent,
            "straight": rng.normal(size=90),
            "y": np.abs(bent) + rng.normal(scale=0.3, size=90),
        }
    )
    selection = select_factors(frame, ["bent", "straight"], "y")
    assert selection.factor("bent").quadrant is Quadrant.UNSELECTED


def test_twins_are_named():
    frame = campaign().with_columns(twin=pl.col("solids") * 2.54 + 1)
    (pair,) = select_factors(frame, [*FACTORS, "twin"], "loading", "batch").alike
    assert pair[:2] == ("solids", "twin")
    assert pair[2] == pytest.approx(1.0)


# what is left out, and what is refused


def test_rows_with_gaps_and_constant_columns_are_left_out_and_said():
    frame = campaign().with_columns(
        room=pl.lit(21.0),
        solids=pl.when(pl.int_range(pl.len()) < 7).then(None).otherwise("solids"),
        speed=pl.when(pl.int_range(pl.len()) == 9).then(float("nan")).otherwise("speed"),
    )
    for left_out in (
        select_factors(frame, [*FACTORS, "room"], "loading").left_out,
        principal_components(frame, [*FACTORS, "room"]).left_out,
        correlations(frame, [*FACTORS, "room"], ["loading"], draws=20).left_out,
        ancova(frame, "loading", "gap_um", ["solids", "speed", "room"]).left_out,
        cluster_electrodes(frame, [*FACTORS, "room"], most=3).left_out,
    ):
        assert left_out.rows == 8
        assert (left_out.missing["solids"], left_out.missing["speed"]) == (7, 1)
        assert left_out.constant == ("room",)
        assert "8 rows left out" in left_out.says
        assert "room" in left_out.says


@pytest.mark.parametrize(
    ("frame", "factors", "says"),
    [
        (campaign(), ["gap_um", "viscosity"], "no column 'viscosity'"),
        (campaign(6), FACTORS, "6 usable rows are too few for 4 factors: at least 7"),
        (campaign(), ["gap_um", "batch"], "holds String, not numbers"),
        (campaign(), ["gap_um", "loading"], "named twice"),
        (campaign(), [], "No factor was named"),
        (campaign().with_columns(loading=pl.lit(3.0)), FACTORS, "same value in all 120"),
        (campaign().with_columns(gap_um=pl.lit(3.0)), ["gap_um"], "None of the factors varies"),
        (campaign().with_columns(batch=pl.lit("b")), FACTORS, "one batch"),
    ],
)
def test_select_factors_refuses(frame, factors, says):
    with pytest.raises(PlatformError, match=says):
        select_factors(frame, factors, "loading", "batch")


def test_the_emptiest_column_is_named_where_too_few_rows_remain():
    frame = campaign(20).with_columns(
        solids=pl.when(pl.int_range(pl.len()) < 16).then(None).otherwise("solids")
    )
    with pytest.raises(PlatformError, match=r"'solids' has most gaps \(16\)"):
        principal_components(frame, FACTORS)


# principal components and correlations


def test_components_agree_with_scikit_learn_up_to_sign():
    frame = campaign()
    columns = [*FACTORS, "loading"]
    components = principal_components(frame, columns)
    values = frame.select(columns).to_numpy()
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    reference = PCA().fit(values)
    assert components.explained == pytest.approx(reference.explained_variance_ratio_)
    assert np.abs(components.scores) == pytest.approx(np.abs(reference.transform(values)), abs=1e-9)
    direct = np.corrcoef(values.T, components.scores.T)[:5, 5:]
    assert components.loadings == pytest.approx(direct, abs=1e-9)
    assert (components.loadings**2).sum(axis=1) == pytest.approx(np.ones(5))


def test_signs_and_spearman_coefficients():
    frame = campaign().with_columns(thinness=-(pl.col("loading") ** 3))
    correlated = correlations(frame, FACTORS, ["loading", "thinness"], "batch", draws=200)
    for factor in FACTORS:
        pair = correlated.pair(factor, "loading")
        wanted = scipy.stats.spearmanr(frame[factor], frame["loading"]).statistic
        assert pair.spearman == pytest.approx(wanted)
        assert pair.low < pair.spearman < pair.high
    assert [correlated.pair(name, "loading").sign for name in FACTORS] == ["+", "+", "?", "?"]
    assert [correlated.pair(name, "thinness").sign for name in FACTORS] == ["-", "-", "?", "?"]
    assert (
        correlated.pair("gap_um", "loading").in_plane
        > 0.5
        > correlated.pair("speed", "loading").in_plane
    )


def test_intervals_drawn_by_group_are_wider_and_few_groups_have_none():
    rng = np.random.default_rng(4)
    batch = np.repeat(np.arange(10), 20)
    own = rng.normal(size=(2, 10))[:, batch] + rng.normal(scale=0.1, size=(2, 200))
    frame = pl.DataFrame({"x": own[0], "y": own[1], "batch": batch, "four": batch % 4})
    rows, groups, four = (
        correlations(frame, ["x"], ["y"], group, draws=200).pair("x", "y")
        for group in (None, "batch", "four")
    )
    assert groups.high - groups.low > 2 * (rows.high - rows.low)
    assert (four.low, four.high, four.sign) == (None, None, "?")


# analysis of covariance and clusters


def pressed(rows: int = 48) -> pl.DataFrame:
    rng = np.random.default_rng(8)
    pressure = np.repeat(["100 MPa", "60 MPa", "80 MPa"], rows // 3)
    heat = rng.normal(60, 10, rows) + 8 * (pressure == "100 MPa")
    speed = rng.normal(1, 0.2, rows)
    shift = {"60 MPa": 40.0, "80 MPa": 37.0, "100 MPa": 35.0}
    porosity = [shift[level] for level in pressure] - 0.05 * heat + rng.normal(0, 0.8, rows)
    return pl.DataFrame({"pressure": pressure, "heat": heat, "speed": speed, "porosity": porosity})


def residual_maker(design: np.ndarray) -> np.ndarray:
    """The projection on all that a design cannot explain, by the normal equations."""
    return np.eye(len(design)) - design @ np.linalg.pinv(design.T @ design) @ design.T


def test_ancova_agrees_with_residuals_on_residuals():
    """Frisch and Waugh: regress what the rest leaves of the target on what it leaves of the term."""
    frame = pressed()
    analysis = ancova(frame, "porosity", "pressure", ["heat", "speed"])
    intercept = np.ones((48, 1))
    dummies = np.column_stack(
        [frame["pressure"].to_numpy() == name for name in ("60 MPa", "80 MPa")]
    ).astype(float)
    heat, speed, aim = (frame[name].to_numpy()[:, None] for name in ("heat", "speed", "porosity"))
    whole = residual_maker(np.hstack([intercept, dummies, heat, speed]))
    rss = (aim.T @ whole @ aim).item()
    columns = {"pressure": dummies, "heat": heat, "speed": speed}
    for name, column in columns.items():
        rest = residual_maker(np.hstack([intercept, *(p for n, p in columns.items() if n != name)]))
        left, aim_left = rest @ column, rest @ aim
        gained = (aim_left.T @ left @ np.linalg.inv(left.T @ left) @ left.T @ aim_left).item()
        df = column.shape[1]
        f = (gained / df) / (rss / (48 - 5))
        test = analysis.term(name).test
        assert (test.df, test.residual_df) == (df, 43)
        assert test.sum_of_squares == pytest.approx(gained)
        assert test.f == pytest.approx(f)
        assert test.p == pytest.approx(scipy.stats.f.sf(f, df, 43))
    assert analysis.term("pressure").test.p < 1e-6
    assert analysis.term("speed").test.p > 0.05
    assert analysis.slopes.test.p > 0.01


def test_the_f_of_a_covariate_is_the_square_of_its_t():
    frame = pressed().filter(pl.col("pressure") != "80 MPa")
    test = ancova(frame, "porosity", "pressure", ["heat"]).term("heat").test
    centred = frame.with_columns(
        pl.col("heat", "porosity") - pl.col("heat", "porosity").mean().over("pressure")
    )
    x, y = centred["heat"].to_numpy(), centred["porosity"].to_numpy()
    slope = (x @ y) / (x @ x)
    residual = ((y - slope * x) ** 2).sum() / (len(x) - 3)
    assert test.f == pytest.approx(slope**2 * (x @ x) / residual)


def test_adjusted_means_undo_what_the_covariate_brings():
    frame = pressed(480)
    means = ancova(frame, "porosity", "pressure", ["heat"]).adjusted_means
    raw = dict(frame.group_by("pressure").agg(pl.mean("porosity")).iter_rows())
    assert means["80 MPa"] - means["100 MPa"] == pytest.approx(2.0, abs=0.3)
    assert raw["80 MPa"] - raw["100 MPa"] > 2.2
    assert list(means) == ["100 MPa", "60 MPa", "80 MPa"]


def test_ancova_averages_replicates_and_refuses_what_fixes_another():
    frame = pressed()
    twice = pl.concat([frame, frame]).with_columns(batch=pl.lit("b"))
    once = ancova(frame, "porosity", "pressure", ["heat"]).term("pressure").test
    averaged = ancova(twice, "porosity", "pressure", ["heat"], "batch")
    assert averaged.rows == 48
    assert averaged.term("pressure").test.p == pytest.approx(once.p)
    fixed = frame.with_columns(mpa=pl.col("pressure").str.extract(r"(\d+)").cast(pl.Float64))
    with pytest.raises(PlatformError, match="'mpa' cannot be separated"):
        ancova(fixed, "porosity", "pressure", ["mpa"])
    with pytest.raises(PlatformError, match="one level only"):
        ancova(frame.filter(pl.col("pressure") == "60 MPa"), "porosity", "pressure")


def test_clusters_are_found_again_and_described():
    rng = np.random.default_rng(0)
    centres = np.array([[25.0, 3.0], [35.0, 9.0], [45.0, 1.0]])
    kind = rng.permutation(np.repeat([0, 1, 2], 30))
    values = centres[kind] + rng.normal(scale=0.5, size=(90, 2))
    frame = pl.DataFrame({"porosity_pct": values[:, 0], "conductivity": values[:, 1]})
    frame = pl.concat([frame, pl.DataFrame({"porosity_pct": [30.0], "conductivity": [None]})])
    clusters = cluster_electrodes(frame, ["porosity_pct", "conductivity"])
    assert clusters.labels.to_list() == [*kind.tolist(), None]
    assert [profile.size for profile in clusters.profiles] == [30, 30, 30]
    assert clusters.profiles[1].means["conductivity"] == pytest.approx(values[kind == 1, 1].mean())
    assert clusters.is_structured
    smooth = pl.DataFrame(rng.normal(size=(200, 6)), schema=list("abcdef"))
    assert not cluster_electrodes(smooth, list("abcdef"), most=4).is_structured


# sensitivity


def ishigami(x: np.ndarray) -> np.ndarray:
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def test_sobol_indices_of_the_ishigami_function():
    pi = (-np.pi, np.pi)
    sensitivity = sobol(ishigami, {"a": pi, "b": pi, "c": pi}, samples=4000)
    fourth, eighth = np.pi**4, np.pi**8
    total = 49 / 8 + 0.1 * fourth / 5 + 0.01 * eighth / 18 + 0.5
    a = 0.5 * (1 + 0.1 * fourth / 5) ** 2 / total
    b = 49 / 8 / total
    c_with_a = 0.01 * eighth * (1 / 18 - 1 / 50) / total
    wanted = {"a": (a, a + c_with_a), "b": (b, b), "c": (0.0, c_with_a)}
    assert sensitivity.evaluations == 4096 * 5
    assert sensitivity.deviation**2 == pytest.approx(total, rel=0.02)
    assert sensitivity.mean == pytest.approx(3.5, abs=0.05)
    for name, (first, whole) in wanted.items():
        index = sensitivity.index(name)
        assert index.first == pytest.approx(first, abs=0.02)
        assert index.total == pytest.approx(whole, abs=0.02)
        assert index.first_low <= first <= index.first_high
        assert index.total_low <= whole <= index.total_high


def test_sobol_of_one_input_and_of_one_that_stands_still():
    sensitivity = sobol(
        lambda x: x[:, 1] ** 3 + x[:, 0], {"still": (2.0, 2.0), "moving": (0.0, 1.0)}
    )
    assert sensitivity.constant == ("still",)
    assert sensitivity.index("moving").first == pytest.approx(1.0, abs=0.05)
    assert sensitivity.mean == pytest.approx(2.25, abs=0.01)
    assert sensitivity == sobol(
        lambda x: x[:, 1] ** 3 + x[:, 0], {"still": (2.0, 2.0), "moving": (0.0, 1.0)}
    )


@pytest.mark.parametrize(
    ("predict", "bounds", "says"),
    [
        (lambda x: x[:, 0], {"a": (1.0, 0.0)}, "bounds of 'a' are 1 to 0"),
        (lambda x: x[:, 0], {"a": (1.0, 1.0)}, "No input varies"),
        (lambda x: 0 * x[:, 0] + 4, {"a": (0.0, 1.0)}, "same all over"),
        (lambda x: x, {"a": (0.0, 1.0)}, "shape"),
        (lambda x: np.where(x[:, 0] > 0.5, np.nan, 1.0), {"a": (0.0, 1.0)}, "not finite"),
    ],
)
def test_sobol_refuses(predict, bounds, says):
    with pytest.raises(PlatformError, match=says):
        sobol(predict, bounds)


# tolerances


def straight(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 3 * x[:, 0] - 2 * x[:, 1] + 10, np.full(len(x), 0.4)


def test_tolerances_agree_with_linear_error_propagation():
    propagation = propagate(
        straight,
        {"gap": Tolerance(5.0, deviation=0.2), "solids": Tolerance(1.0, band=(0.4, 1.6))},
        limits=(22.0, 25.0),
    )
    parts = 9 * 0.2**2, 4 * 1.2**2 / 12, 0.4**2
    total = sum(parts)
    assert propagation.at_nominal == pytest.approx(23.0)
    assert propagation.mean == pytest.approx(23.0, abs=0.03)
    assert propagation.deviation == pytest.approx(np.sqrt(total), rel=0.02)
    assert propagation.drawn.std() == pytest.approx(np.sqrt(total), rel=0.02)
    assert propagation.input("gap").share == pytest.approx(parts[0] / total, abs=0.02)
    assert propagation.input("solids").share == pytest.approx(parts[1] / total, abs=0.02)
    assert propagation.surrogate_share == pytest.approx(parts[2] / total, abs=0.01)
    assert propagation.interaction_share == pytest.approx(0.0, abs=0.03)


def test_the_share_out_of_specification_of_a_normal_target():
    tolerances = {"gap": Tolerance(5.0, deviation=0.2), "solids": Tolerance(1.0, deviation=0.1)}
    propagation = propagate(straight, tolerances, limits=(22.0, 24.5))
    spread = np.sqrt(9 * 0.04 + 4 * 0.01 + 0.16)
    below, above = scipy.stats.norm.cdf(-1 / spread), scipy.stats.norm.sf(1.5 / spread)
    assert propagation.share_below == pytest.approx(below, abs=0.005)
    assert propagation.share_above == pytest.approx(above, abs=0.003)
    assert propagation.share_out_low < below + above < propagation.share_out_high
    counted = ((propagation.drawn < 22.0) | (propagation.drawn > 24.5)).mean()
    assert counted == pytest.approx(propagation.share_out, abs=0.01)
    assert propagation.quantiles[0.95] == pytest.approx(23 + 1.645 * spread, abs=0.05)


def test_a_sure_surrogate_and_an_input_without_tolerance():
    propagation = propagate(
        lambda x: (x[:, 0] * x[:, 1], np.zeros(len(x))),
        {"a": Tolerance(0.0, band=(-1.0, 1.0)), "b": Tolerance(2.0)},
        limits=(None, 1.0),
    )
    assert propagation.fixed == ("b",)
    assert propagation.surrogate_share == 0.0
    assert propagation.share_out == pytest.approx(0.25, abs=0.015)
    assert propagation.share_below == 0.0


def test_bad_tolerances_are_refused():
    with pytest.raises(PlatformError, match="both a standard deviation and a band"):
        Tolerance(1.0, deviation=0.1, band=(0.0, 2.0))
    with pytest.raises(PlatformError, match="does not fit"):
        Tolerance(3.0, band=(0.0, 2.0))
    with pytest.raises(PlatformError, match="does not fit"):
        Tolerance(3.0, deviation=-1.0)
    with pytest.raises(PlatformError, match="not finite"):
        Tolerance(float("nan"))
    with pytest.raises(PlatformError, match="lower one first"):
        propagate(straight, {"gap": Tolerance(5.0, deviation=0.2)}, limits=(2.0, 1.0))
    with pytest.raises(PlatformError, match="negative standard deviations"):
        propagate(
            lambda x: (x[:, 0], np.full(len(x), -1.0)), {"gap": Tolerance(5.0, deviation=0.2)}
        )


# pictures


def test_pictures_show_every_name_and_say_what_is_synthetic_or_left_out(tmp_path):
    frame = campaign().with_columns(room=pl.lit(21.0), twin=-pl.col("speed"))
    pi = (-np.pi, np.pi)
    tolerances = {"gap_um": Tolerance(5.0, deviation=0.2), "solids": Tolerance(1.0, deviation=0.1)}
    figures = {
        quadrants_figure(
            [select_factors(frame, [*FACTORS, "room", "twin"], "loading")], True
        ): FACTORS,
        loadings_figure(
            principal_components(frame, [*FACTORS, "room"]), is_synthetic=True
        ): FACTORS,
        sobol_figure(sobol(ishigami, {"a": pi, "b": pi, "c": pi}), "y", True): ["a", "b", "c"],
        tolerance_figure(propagate(straight, tolerances, (22.0, None)), "loading", True): list(
            tolerances
        ),
    }
    for number, (figure, names) in enumerate(figures.items()):
        assert isinstance(figure, Figure)
        figure.savefig(tmp_path / f"{number}.png")
        texts = [text.get_text() for axes in figure.axes for text in axes.texts]
        texts += [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
        assert all(any(name in text for text in texts) for name in names)
        assert figure.get_suptitle() == "SYNTHETIC data"
    title = next(iter(figures)).axes[0].get_title()
    assert "never vary: room" in title
    assert "indistinguishable: speed and twin" in title


# relevance by lengths


def bent_campaign(rows: int = 80) -> pl.DataFrame:
    """Loading swings with the gap, bends a little with the solids, and ignores the rest."""
    rng = np.random.default_rng(2)
    gap, solids, viscosity, active = rng.uniform(-1, 1, size=(4, rows))
    loading = np.sin(4 * gap) + 0.5 * solids**2 + rng.normal(scale=0.02, size=rows)
    return pl.DataFrame(
        {
            "active_material_pct": active,
            "solid_content_pct": solids,
            "viscosity_pa_s": viscosity,
            "comma_gap_um": gap,
            "mass_loading_mg_cm2": loading,
            "batch": [f"b{number % 16}" for number in range(rows)],
        }
    )


def test_the_bent_factor_is_most_relevant_for_each_kernel_and_idle_ones_least():
    by_kernel = relevances(bent_campaign(), RECIPE, "mass_loading_mg_cm2", "batch")
    assert [relevance.kernel for relevance in by_kernel.kernels] == [
        "RBF",
        "Matern 3/2",
        "Matern 5/2",
        "rational quadratic",
    ]
    for relevance in by_kernel.kernels:
        assert relevance.ranked[:2] == ["comma_gap_um", "solid_content_pct"]
        assert sum(relevance.importance.values()) == pytest.approx(1.0)
        assert relevance.r2_held_out > 0.95
        for name, share in relevance.importance.items():
            assert 0.0 <= relevance.low[name] <= share <= relevance.high[name] <= 1.0
        assert relevance.low["comma_gap_um"] > relevance.high["viscosity_pa_s"]
    assert isinstance(relevance_figure([by_kernel, by_kernel]), Figure)


def test_replicates_are_no_further_witnesses_of_relevance():
    once = bent_campaign(60)
    target = "mass_loading_mg_cm2"
    twice = pl.concat([once, once.with_columns(pl.col(target) + 0.0)])
    single, doubled = (relevances(frame, RECIPE, target, "batch") for frame in (once, twice))
    assert (single.rows, doubled.rows) == (60, 60)
    assert single.kernels == doubled.kernels


def test_relevance_beside_the_order_of_liu():
    target = "mass_loading_mg_cm2"
    by_kernel = relevances(bent_campaign(), RECIPE, target, "batch")
    rows = [{"campaign": "c", "target": target} | row for row in rows_of_relevance(by_kernel)]
    assert len(rows) == 16
    assert rows[0]["verdict"].startswith("place 1 of 4; R² with groups held out 1.0")
    (sentence,) = order_of_liu(rows, target)
    assert "comma_gap_um is first for 4" in sentence
    assert "solid_content_pct above active_material_pct for 4" in sentence
    assert order_of_liu(rows, "porosity_pct") == []


# kinds of electrodes


def two_kinds() -> pl.DataFrame:
    """Thin coatings of little and thick ones of much, eight replicates each; speed is idle."""
    rng = np.random.default_rng(0)
    thick = np.repeat(np.arange(20) >= 12, 8)
    gap = np.repeat(rng.normal(size=20), 8) + 50.0 + 100.0 * thick
    return pl.DataFrame(
        {
            "gap_um": gap,
            "speed": np.repeat(rng.normal(size=20), 8),
            "loading": 0.1 * gap + rng.normal(scale=0.1, size=160),
            "batch": np.repeat([f"b{number}" for number in range(20)], 8),
        }
    )


def test_kinds_are_of_conditions_and_told_apart_by_what_made_them():
    kinds = sort_into_kinds(two_kinds(), ("gap_um", "speed"), ("loading",), "batch")
    assert (kinds.conditions, kinds.groups) == (20, 20)
    assert [profile.size for profile in kinds.clusters.profiles] == [12, 8]
    separation = kinds.clusters.separation
    assert list(separation)[-1] == "speed"
    assert separation["gap_um"] > 0.99
    assert separation["speed"] < 0.3
    rows = list(rows_of_kinds(kinds))
    assert [row["method"] for row in rows[::3]] == [
        "k-means, separation",
        "k-means, kind 1 of 2",
        "k-means, kind 2 of 2",
    ]
    mean = next(
        row["value"]
        for row in rows
        if (row["method"], row["factor"]) == ("k-means, kind 2 of 2", "gap_um")
    )
    assert mean == pytest.approx(150.0, abs=1.0)
    assert isinstance(kinds_figure(kinds, is_synthetic=True), Figure)


def test_even_conditions_make_no_kinds():
    rng = np.random.default_rng(0)
    names = [f"c{number}" for number in range(6)]
    frame = pl.DataFrame(rng.normal(size=(120, 6)), schema=names).with_columns(
        pl.int_range(120).cast(pl.String).alias("batch")
    )
    assert sort_into_kinds(frame, names[:5], names[5:], "batch").in_words.endswith(
        "slices, no kinds"
    )


# all campaigns of a lake


def test_all_methods_speak_once_and_again_only_when_something_changed(lake, monkeypatch):
    frame = bent_campaign().with_columns(porosity_pct=50.0 - pl.col("mass_loading_mg_cm2"))
    targets = {"mass_loading_mg_cm2": "mass-loading", "porosity_pct": "porosity"}
    names = tuple(f"e{number}" for number in range(frame.height))
    made = Campaign("made up", frame, RECIPE, targets, "batch", True, "electrode", names)
    monkeypatch.setattr(campaigns_of_lake, "campaigns", lambda lake: [made])
    versions = {"mass-loading": None}
    first = analyse(lake, lambda *asked: None, versions)
    assert first.refused == []
    assert len(first.analyses) == 2
    assert len(first.kinds) == 1
    methods = {row["method"] for row in first.rows}
    assert {"Spearman", "relevance (RBF)", "k-means, separation"} <= methods
    assert {row["target"] for row in first.rows} == {*targets, TARGET}
    assert lake.value("SELECT count(*) FROM critical_factors") == len(first.rows)
    assert lake.value("SELECT count(*) FROM made_from WHERE child_kind = 'campaign'") == len(names)

    again = analyse(lake, lambda *asked: None, versions)
    assert len(again.rows) == len(first.rows)
    assert (again.analyses, again.kinds) == ([], [])
    assert analyse(lake, lambda *asked: None, {"mass-loading": 2}).analyses


def test_a_method_that_cannot_judge_leaves_the_others_alone(lake, monkeypatch):
    frame = bent_campaign().with_columns(batch=pl.lit("b0"))
    targets = {"mass_loading_mg_cm2": "mass-loading"}
    made = Campaign("c", frame, RECIPE, targets, "batch", True, "electrode", ())
    monkeypatch.setattr(campaigns_of_lake, "campaigns", lambda lake: [made])
    findings = analyse(lake, lambda *asked: None, {})
    assert any("relevance: All rows come from one batch" in refusal for refusal in findings.refused)
    assert {row["target"] for row in findings.rows} == {TARGET}
