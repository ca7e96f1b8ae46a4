"""The model as other teams load it: arrays and one file, any frame, plain words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from battery_platform.models.cell_table import SparseTable, table_of
from battery_platform.models.kinds.sparse import stack
from battery_platform.models.kinds.sparse.space import State
from battery_platform.models.served import cell_outcome as served
from battery_platform.synthetic.cell_cases import simulate_cell_cases

MADE = simulate_cell_cases().with_columns(pl.lit(True).alias("is_synthetic"))


@pytest.fixture(scope="module")
def table() -> SparseTable:
    return table_of(MADE)


@pytest.fixture(scope="module")
def state(table: SparseTable) -> State:
    return stack.fit(table)


@pytest.fixture
def asked(table: SparseTable) -> pd.DataFrame:
    rows = MADE.filter(pl.col("cell_id").is_in(table.ids)).sort("cell_id")
    return rows.select(table.descriptors).to_pandas()


def test_every_endpoint_has_value_interval_and_class(state: State, asked: pd.DataFrame) -> None:
    answers = served.predict_rows(state, asked)
    assert len(answers) == len(asked)
    for stem, unit in (("d30", "_mah_g"), ("adhesion", "_n_m"), ("viscosity_at_0p1", "_pa_s")):
        low, mid, high = (
            answers[f"{stem}{ending}{unit}"] for ending in ("_low_90", "", "_high_90")
        )
        assert ((low >= 0) & (low <= mid) & (mid <= high)).all()
        assert (answers[f"{stem}_sd{unit}"] > 0).all()
    chances = answers[[f"d30_probability_{cycle}" for cycle in "ABC"]]
    assert chances.sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert (
        chances.to_numpy().argmax(axis=1) == answers["d30_class"].map({"A": 0, "B": 1, "C": 2})
    ).all()
    assert set(answers.loc[answers["d30_mah_g"] > 300, "d30_class"]) == {"A"}
    assert set(answers.loc[answers["d30_mah_g"] < 40, "d30_class"]) == {"C"}
    assert answers["synthetic"].all()
    assert answers["in_domain"].mean() > 0.8
    assert answers["distance"].max() == pytest.approx(0.0, abs=1e-5)
    curve = answers[[f"capacity_cycle_{cycle}_mah_g" for cycle in stack.CURVE_CYCLES]]
    assert (curve.to_numpy() >= 0).all()
    assert (curve["capacity_cycle_30_mah_g"] - answers["d30_mah_g"]).abs().median() < 15


def test_known_endpoints_move_the_others_and_not_themselves(
    state: State, asked: pd.DataFrame
) -> None:
    alone = served.predict_rows(state, asked.head(1))
    low, high = (
        served.predict_rows(state, asked.head(1).assign(d10_mah_g=known))
        for known in (150.0, 330.0)
    )
    assert low["d30_mah_g"].item() < alone["d30_mah_g"].item() < high["d30_mah_g"].item()
    assert [answer["d10_mah_g"].item() for answer in (low, high)] == pytest.approx([150.0, 330.0])
    place = json.loads(str(state["about"]))["endpoints"].index("d10_mah_g")
    known = np.full((2, len(state["logarithmic"])), np.nan)
    known[:, place] = [150.0, 330.0]
    names = json.loads(str(state["about"]))["inputs"]
    inputs = np.column_stack([served._numbers(asked.head(1)[name]) for name in names])
    own = served.answer(state, np.repeat(inputs, 2, axis=0), known)[0][:, place]
    assert own == pytest.approx([alone["d10_mah_g"].item()] * 2)


def test_a_missing_descriptor_is_an_error_that_names_it(state: State, asked: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="missing: porosity_pct"):
        served.predict_rows(state, asked.drop(columns="porosity_pct"))
    with pytest.raises(ValueError, match="No row was given"):
        served.predict_rows(state, asked.head(0))


def test_a_bad_descriptor_leaves_its_row_without_value_and_says_why(
    state: State, asked: pd.DataFrame
) -> None:
    asked = asked.head(4).astype(object)
    asked.loc[0, "coating_gap_um"] = "wide"
    asked.loc[1, "porosity_pct"] = np.nan
    asked.loc[2, "coating_gap_um"] = 0.1
    answers = served.predict_rows(state, asked)
    assert answers["d30_mah_g"].isna().tolist() == [True, True, False, False]
    assert answers["d30_class"].tolist()[:2] == ["", ""]
    assert "coating_gap_um is missing or no number; no prediction" in answers["note"][0]
    assert "porosity_pct is missing or no number" in answers["note"][1]
    assert "100 would fit, check the unit" in answers["note"][2]
    assert not answers["in_domain"][2]
    assert answers["note"][3] == ""


def test_an_endpoint_that_cannot_be_is_not_used_and_said(state: State, asked: pd.DataFrame) -> None:
    plain = served.predict_rows(state, asked.head(3))
    odd = asked.head(3).assign(adhesion_n_m=[0.015, -4.0, "n.a."])
    answers = served.predict_rows(state, odd)
    assert answers["d30_mah_g"].tolist() == plain["d30_mah_g"].tolist()
    assert "15 or 1.5 would fit, check the unit; it was not used" in answers["note"][0]
    assert "adhesion_n_m is -4, far outside" in answers["note"][1]
    assert answers["note"][2] == "adhesion_n_m is no number and was not used"
    gap = served.predict_rows(state, asked.head(1).assign(adhesion_n_m=None))
    assert gap["note"].item() == ""


def test_a_frame_of_100_000_rows_is_answered_as_its_rows_are(
    state: State, asked: pd.DataFrame
) -> None:
    many = pd.concat([asked] * (100_000 // len(asked) + 1), ignore_index=True).head(100_000)
    answers = served.predict_rows(state, many)
    assert answers["d30_mah_g"].notna().all()
    alone = served.predict_rows(state, asked.tail(1))
    last = answers.iloc[len(asked) - 1]
    assert last["d30_mah_g"] == pytest.approx(alone["d30_mah_g"].item())


def test_it_is_saved_from_code_and_loaded_by_mlflow(
    state: State, asked: pd.DataFrame, tmp_path: Path
) -> None:
    import mlflow

    np.savez_compressed(tmp_path / "state.npz", **state)
    mlflow.pyfunc.save_model(
        tmp_path / "saved",
        python_model=served.__file__,
        artifacts={"state": str(tmp_path / "state.npz")},
        pip_requirements=["numpy"],
    )
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    assert loaded.predict(asked.head(2)).equals(served.predict_rows(state, asked.head(2)))


def test_it_loads_and_answers_without_the_platform(
    state: State, asked: pd.DataFrame, tmp_path: Path
) -> None:
    np.savez_compressed(tmp_path / "state.npz", **state)
    (tmp_path / "model.py").write_text(Path(served.__file__).read_text("utf-8"), "utf-8")
    asked.to_json(tmp_path / "asked.json")
    script = """
import sys
for name in ("battery_platform", "sklearn", "scipy"):
    sys.modules[name] = None
import numpy, pandas, model
with numpy.load("state.npz", allow_pickle=False) as arrays:
    state = {name: arrays[name] for name in arrays.files}
model.predict_rows(state, pandas.read_json("asked.json")).to_json("answered.json")
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=120)
    answered = pd.read_json(tmp_path / "answered.json")
    expected = served.predict_rows(state, asked)
    assert answered["d30_mah_g"].to_numpy() == pytest.approx(expected["d30_mah_g"].to_numpy())
    assert (tmp_path / "state.npz").stat().st_size < 5_000_000
