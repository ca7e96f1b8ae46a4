"""The Gaussian process: its likelihood, its intervals, and the file that other teams load."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from battery_platform.models import gaussian_process as process
from battery_platform.models.rows import Rows
from battery_platform.models.served import surrogate as served
from battery_platform.models.specification import MODELS, RECIPE

MODEL = replace(MODELS["mass-loading"], trend=())
VALUE, SD, LOW, HIGH = (
    MODEL.outputs[name] for name in ("value", "standard_deviation", "low_90", "high_90")
)


def recipes(n: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.column_stack(
        [
            random.uniform(92, 97, n),
            random.uniform(55, 75, n),
            np.exp(random.uniform(0, 2.3, n)),
            random.uniform(60, 300, n),
        ]
    )


def sample(
    batches: int = 16, gaps: int = 3, replicates: int = 3, seed: int = 0, spread: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, target, batches and conditions drawn from the model: a smooth function of the
    recipe, and deviations of batches, of coating runs and of electrodes.
    """
    random = np.random.default_rng(seed)
    slurry = np.repeat(recipes(batches, seed), gaps, axis=0)
    slurry[:, 3] = recipes(batches * gaps, seed + 1)[:, 3]
    condition = np.repeat(np.arange(batches * gaps), replicates)
    batch = condition // gaps
    inputs = slurry[condition]
    smooth = 0.0015 * inputs[:, 3] * inputs[:, 1] + 4 * np.sin(inputs[:, 1] / 6)
    noise = spread * (
        random.normal(0, 1.0, batches)[batch]
        + random.normal(0, 0.5, batches * gaps)[condition]
        + random.normal(0, 0.4, len(batch))
    )
    return inputs, 20 + smooth + noise, batch, condition


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    return process.fit(MODEL, Rows(*sample()), about={"synthetic": True})


def frame(rows: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(RECIPE))


MIDDLE = np.array([[94.5, 65.0, 3.0, 150.0]])


def known_recipe() -> np.ndarray:
    return sample()[0][:1]


# -- fitting --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_gradient_is_that_of_finite_differences(seed: int) -> None:
    inputs, target, batches, conditions = sample(batches=6, seed=seed)
    data = process.Conditions.of(Rows(inputs, target, batches, conditions))
    train = np.random.default_rng(seed).normal(size=(len(data.mean), 4))
    likelihood = process._Likelihood(train, data.mean - data.mean.mean(), data, 1.0)
    at = likelihood.start() + np.random.default_rng(seed + 9).normal(0, 0.7, 7)
    _, gradient = likelihood(at)
    finite = approx_fprime(at, lambda x: likelihood(x)[0], 1e-6)
    assert gradient == pytest.approx(finite, rel=1e-4, abs=1e-4)


def test_the_fit_is_where_the_gradient_vanishes_or_a_bound_holds() -> None:
    inputs, target, batches, conditions = sample()
    fitted, best = process._fit(MODEL, Rows(inputs, target, batches, conditions))
    data = process.Conditions.of(Rows(inputs, target, batches, conditions))
    y = (data.mean - fitted["y_center"]) / fitted["y_scale"]
    likelihood = process._Likelihood(fitted["train"], y, data, float(fitted["y_scale"]))
    _, gradient = likelihood(best)
    for number, (low, high) in enumerate(likelihood.bounds):
        if low + 1e-6 < best[number] < high - 1e-6:
            assert abs(gradient[number]) < 2e-2


def test_without_batch_variance_it_is_the_process_of_scikit_learn() -> None:
    inputs, target, batches, conditions = sample(spread=0.3)
    fitted, best = process._fit(MODEL, Rows(inputs, target, batches, conditions))
    d = len(MODEL.features)
    best[d + 1 : d + 3] = -60.0  # no variance of batches or coating runs
    data = process.Conditions.of(Rows(inputs, target, batches, conditions))
    y = (data.mean - fitted["y_center"]) / fitted["y_scale"]
    likelihood = process._Likelihood(fitted["train"], y, data, float(fitted["y_scale"]))
    weights, precision = likelihood.solved(best)
    fitted |= {
        "precision": precision,
        "weights": weights,
        "new_electrode_variance": likelihood.noise,
    }
    asked = recipes(50, seed=7)
    mean, deviation = served.posterior(fitted, asked)
    kernel = ConstantKernel(np.exp(best[d]), "fixed") * RBF(np.exp(best[:d]), "fixed")
    theirs = GaussianProcessRegressor(kernel, alpha=likelihood.diagonal, optimizer=None)
    theirs.fit(fitted["train"], y)
    wanted, spread = theirs.predict(served.features(fitted, asked), return_std=True)
    scale = float(fitted["y_scale"])
    assert mean == pytest.approx(fitted["y_center"] + scale * wanted, abs=1e-6 * scale)
    total = scale * np.sqrt(spread**2 + likelihood.noise)
    assert deviation == pytest.approx(total, abs=1e-6 * scale)


def test_the_variances_that_were_put_in_are_found() -> None:
    fitted = process.fit(MODEL, Rows(*sample(batches=40, gaps=4, replicates=4, seed=3)))
    deviations = dict(process.parts_of_variance(fitted))
    assert deviations["between batches"] == pytest.approx(1.0, rel=0.45)
    assert deviations["between electrodes of a run"] == pytest.approx(0.4, rel=0.1)


def test_intervals_cover_nine_of_ten_electrodes_of_new_batches() -> None:
    covered = []
    for seed in range(6):
        inputs, target, batches, conditions = sample(batches=40, seed=20 + seed)
        old = batches < 25
        fitted = process.fit(MODEL, Rows(inputs, target, batches, conditions).take(old))
        answer = served.predict_rows(fitted, frame(inputs[~old]))
        covered.append(answer[LOW].le(target[~old]) & answer[HIGH].ge(target[~old]))
    assert 0.84 <= np.concatenate(covered).mean() <= 0.96


def test_more_replicates_of_a_condition_are_the_same_likelihood_as_each_alone() -> None:
    inputs, target, batches, conditions = sample(batches=12, gaps=2, replicates=4)
    data = process.Conditions.of(Rows(inputs, target, batches, conditions))
    fitted, _ = process._fit(MODEL, Rows(inputs, target, batches, conditions))
    scale = float(fitted["y_scale"])
    at = served.features(fitted, inputs)
    signal = fitted["signal_variance"] * np.exp(
        -0.5 * served.squared_distances(at, at, fitted["lengths"])
    )
    full = (
        signal
        + fitted["batch_variance"] * (batches[:, None] == batches)
        + fitted["condition_variance"] * (conditions[:, None] == conditions)
        + data.noise_variance / scale**2 * np.eye(len(target))
    )
    y = (target - fitted["y_center"]) / scale
    asked = recipes(20, seed=5)
    there = served.features(fitted, asked)
    cross = fitted["signal_variance"] * np.exp(
        -0.5 * served.squared_distances(there, at, fitted["lengths"])
    )
    wanted = fitted["y_center"] + scale * cross @ np.linalg.solve(full, y)
    assert served.posterior(fitted, asked)[0] == pytest.approx(wanted, rel=1e-5)


def test_an_input_that_never_varies_does_no_harm() -> None:
    inputs, target, batches, conditions = sample()
    inputs[:, 0] = 95.0
    fitted = process.fit(MODEL, Rows(inputs, target, batches, conditions))
    answer = served.predict_rows(fitted, frame(inputs[:3]))
    assert np.isfinite(answer[[VALUE, SD]].to_numpy()).all()


def test_the_scale_of_the_target_does_not_matter() -> None:
    inputs, target, batches, conditions = sample()
    small = process.fit(MODEL, Rows(inputs, target, batches, conditions))
    large = process.fit(MODEL, Rows(inputs, 1000 * target, batches, conditions))
    asked = recipes(20, seed=4)
    for unscaled, scaled in zip(
        served.posterior(small, asked), served.posterior(large, asked), strict=True
    ):
        assert scaled == pytest.approx(1000 * unscaled, rel=1e-3)


# -- what other teams load ------------------------------------------------------------------


def test_a_known_recipe_is_answered_without_a_note(state: dict[str, Any]) -> None:
    (row,) = served.predict_rows(state, frame(known_recipe())).to_dict("records")
    assert (row["in_domain"], row["note"], row["synthetic"]) == (True, "", True)
    assert row[LOW] == pytest.approx(row[VALUE] - 1.6448536 * row[SD])
    assert row[HIGH] == pytest.approx(row[VALUE] + 1.6448536 * row[SD])


@pytest.mark.parametrize("wrong", [np.nan, None, "much", "", np.inf, -np.inf])
def test_what_is_no_number_has_no_value_and_spoils_no_other_row(
    state: dict[str, Any], wrong: object
) -> None:
    asked = frame(np.repeat(known_recipe(), 2, axis=0)).astype(object)
    asked.loc[0, "viscosity_pa_s"] = wrong
    bad, good = served.predict_rows(state, asked).to_dict("records")
    assert np.isnan(bad[VALUE])
    assert np.isnan(bad[SD])
    assert np.isnan(bad["distance"])
    assert not bad["in_domain"]
    assert "viscosity_pa_s is missing or no number" in bad["note"]
    assert np.isfinite(good[VALUE])
    assert good["note"] == ""


@pytest.mark.parametrize("wrong", [0.0, -0.0, -3.5, -1e300])
def test_zero_and_below_are_refused_by_row(state: dict[str, Any], wrong: float) -> None:
    asked = frame(known_recipe())
    asked["comma_gap_um"] = wrong
    (row,) = served.predict_rows(state, asked).to_dict("records")
    assert np.isnan(row[VALUE])
    assert "comma_gap_um is" in row["note"]
    assert "must be above 0; no prediction" in row["note"]


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("comma_gap_um", 0.15, "150 would fit, check the unit"),
        ("comma_gap_um", 150000.0, "150 would fit, check the unit"),
        ("viscosity_pa_s", 3000.0, "3 would fit, check the unit"),
        ("solid_content_pct", 0.65, "65 would fit, check the unit"),
        ("active_material_pct", 0.945, "94.5 would fit, check the unit"),
    ],
)
def test_a_slip_of_the_unit_is_hinted_at(
    state: dict[str, Any], name: str, value: float, hint: str
) -> None:
    asked = frame(MIDDLE)
    asked[name] = value
    (row,) = served.predict_rows(state, asked).to_dict("records")
    assert not row["in_domain"]
    assert hint in row["note"]


def test_a_recipe_outside_the_ranges_is_answered_and_marked(state: dict[str, Any]) -> None:
    asked = frame(MIDDLE)
    asked["solid_content_pct"] = 80.0
    (row,) = served.predict_rows(state, asked).to_dict("records")
    assert np.isfinite(row[VALUE])
    assert not row["in_domain"]
    assert "solid_content_pct is 80, the data range from" in row["note"]


def test_a_recipe_unlike_all_others_is_marked_though_each_number_is_known() -> None:
    inputs, target, batches, _ = sample()
    order = np.argsort(inputs[:, 1])
    inputs[order, 0] = np.linspace(92, 97, len(inputs))  # solids and composition go together
    fitted = process.fit(MODEL, Rows(inputs, target, batches, np.arange(len(target))))
    asked = MIDDLE.copy()
    asked[0, :2] = inputs[:, 0].min(), inputs[:, 1].max()
    (row,) = served.predict_rows(fitted, frame(asked)).to_dict("records")
    assert row["distance"] > fitted["domain_distance"]
    assert not row["in_domain"]
    assert row["note"] == "no recipe like this one is in the data, though each number is"


def test_far_from_the_data_the_interval_is_wider(state: dict[str, Any]) -> None:
    far = frame(known_recipe())
    far["viscosity_pa_s"] = 1e4
    near = served.predict_rows(state, frame(known_recipe()))
    assert served.predict_rows(state, far)[SD].iloc[0] > near[SD].iloc[0]


@pytest.mark.parametrize("value", [1e-300, 1e300, 5e-324])
def test_absurd_numbers_are_marked(state: dict[str, Any], value: float) -> None:
    asked = frame(known_recipe())
    asked["viscosity_pa_s"] = value
    (row,) = served.predict_rows(state, asked).to_dict("records")
    assert not row["in_domain"]
    assert "viscosity_pa_s" in row["note"]


def test_a_missing_column_is_named(state: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"missing: comma_gap_um\. Expected: active_material_pct"):
        served.predict_rows(state, frame(MIDDLE).drop(columns="comma_gap_um"))


def test_a_frame_without_rows_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="No row was given"):
        served.predict_rows(state, frame(MIDDLE).iloc[:0])


def test_other_columns_and_another_order_change_nothing(state: dict[str, Any]) -> None:
    asked = frame(recipes(20, seed=2))
    turned = asked[list(reversed(RECIPE))].assign(operator="Ada", porosity_pct=-1.0)
    pd.testing.assert_frame_equal(
        served.predict_rows(state, turned), served.predict_rows(state, asked)
    )


def test_the_index_of_the_frame_is_kept(state: dict[str, Any]) -> None:
    asked = frame(recipes(3)).set_axis(["x", "y", "x"])
    assert list(served.predict_rows(state, asked).index) == ["x", "y", "x"]


def test_many_rows_are_answered_as_each_alone(state: dict[str, Any]) -> None:
    asked = frame(recipes(200_000, seed=1))
    asked.loc[70_000, "comma_gap_um"] = np.nan
    answer = served.predict_rows(state, asked)
    for row in (0, 65_535, 65_536, 131_072, 199_999):
        alone = served.predict_rows(state, asked.iloc[[row]])
        assert answer[VALUE].iloc[row] == pytest.approx(alone[VALUE].iloc[0], rel=1e-9)
    assert list(np.flatnonzero(answer[VALUE].isna())) == [70_000]


def test_a_value_comes_with_a_positive_deviation(state: dict[str, Any]) -> None:
    answer = served.predict_rows(state, frame(recipes(500, seed=6)))
    assert (answer[SD] > 0).all()


def test_the_label_synthetic_follows_the_training_data() -> None:
    fitted = process.fit(MODEL, Rows(*sample(batches=12)), about={"synthetic": False})
    assert not served.predict_rows(fitted, frame(MIDDLE))["synthetic"].any()


def test_the_file_runs_where_the_platform_is_not_installed(
    state: dict[str, Any], tmp_path: Path
) -> None:
    np.savez(tmp_path / "state.npz", **state)
    code = """
import json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"battery_platform", "sklearn", "scipy"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import numpy as np, pandas as pd
space = {"__name__": "served"}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), space)
class Context:
    artifacts = {"state": sys.argv[2]}
model = space["Surrogate"]()
model.load_context(Context)
asked = pd.DataFrame(json.loads(sys.argv[3]), columns=json.loads(sys.argv[4]))
print(model.predict(Context, asked).to_json(orient="records"))
"""
    asked = frame(known_recipe())
    words = [served.__file__, tmp_path / "state.npz", json.dumps(asked.to_numpy().tolist())]
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, *map(str, words), json.dumps(RECIPE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout.splitlines()[-1])
    assert row[VALUE] == pytest.approx(served.predict_rows(state, asked)[VALUE].iloc[0])
    assert row["synthetic"] is True
