"""Outcome of cells through the same release as every model; graded cells; maps of classes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from battery_platform.cli import knowledge
from battery_platform.compute import spread
from battery_platform.electrochemistry.graded_runs import diverse_designs
from battery_platform.errors import NoRows
from battery_platform.made.products import put
from battery_platform.models import networks, registry
from battery_platform.models.evaluation import evaluate
from battery_platform.models.gate import Decision, Judged
from battery_platform.models.kinds.sparse import evaluation, simple, stack
from battery_platform.models.pictures import judged_figure, map_figure
from battery_platform.models.registry import aliases, inputs_of, load
from battery_platform.models.release import release
from battery_platform.models.rows import Rows
from battery_platform.models.served.surrogate import predict_rows
from battery_platform.models.specification import MODELS
from battery_platform.models.training import TrainingSet
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.synthetic.deliveries import take_cell_cases

CELLS = MODELS["cell-outcome"]
GRADED = MODELS["graded-energy"]


@pytest.fixture
def lake(tmp_path: Path) -> Any:
    made = Lakehouse(Settings(home=tmp_path / "home"))
    yield made
    made.close()


def test_cells_are_learnt_judged_and_answered_with_what_is_known(
    lake: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "ROUNDS", 5)
    monkeypatch.setattr("battery_platform.models.kinds.sparse.learners.TREES", 15)
    monkeypatch.setattr(spread, "WORTH_S", math.inf)  # other processes know nothing of this
    with pytest.raises(NoRows, match="30 cells of 8 cases"):
        release(lake, CELLS)
    take_cell_cases(lake)
    done = release(lake, CELLS)
    (judged,) = done.judged
    assert (judged.algorithm, done.is_synthetic) == ("stack", True)
    assert set(judged.evaluation.held_out) == {"stack", "mean", "random forest"}
    rmse = judged.evaluation.score("stack", "rmse").value
    assert rmse < 0.6 * judged.evaluation.score("mean", "rmse").value
    targets = lake.rows(
        "SELECT target FROM model_evaluations WHERE slice = 'descriptors only' AND metric = 'r2' "
        "AND candidate = 'stack'"
    )
    assert {"adhesion_n_m", "d30_mah_g", "median of endpoints"} <= {target for (target,) in targets}
    card = lake.value("SELECT card FROM model_versions")
    assert "SYNTHETIC" in card
    assert "All endpoints: adhesion and IR drop known" in card
    assert lake.value("SELECT count(*) FROM model_training_rows") > 80
    assert not release(lake, CELLS).trained

    version = next(iter(aliases(lake.settings, CELLS.name).values()))
    needed, known = inputs_of(lake.settings, CELLS.name, version)
    assert (len(needed), "ir_drop_mv" in known) == (31, True)
    rows = lake.records("FROM raw_cell_cases WHERE ir_drop_mv IS NOT NULL ORDER BY cell_id LIMIT 4")
    asked = pd.DataFrame([{name: row[name] for name in needed} for row in rows])
    alone = load(lake.settings, CELLS.name, version)(asked)
    more = load(lake.settings, CELLS.name, version)(
        asked.assign(ir_drop_mv=[float(row["ir_drop_mv"]) for row in rows])
    )
    assert (more["d30_sd_mah_g"] < alone["d30_sd_mah_g"]).all()
    given = [float(row["ir_drop_mv"]) for row in rows]
    assert more["ir_drop_mv"].tolist() == pytest.approx(given)
    assert (more["ir_drop_sd_mv"] < 1e-6).all()
    odd = load(lake.settings, CELLS.name, version)(asked.assign(d30_mah_g=[20.0, 300.0, -5.0, 1e6]))
    assert odd["d30_class"].tolist()[:2] == ["C", "A"]
    assert odd["d30_probability_A"][1] == pytest.approx(1.0)
    assert ["not used" in note for note in odd["note"]] == [False, False, True, True]
    assert set(alone["d30_class"]) <= {"A", "B", "C"}


def graded(count: int) -> list[dict[str, Any]]:
    """Rows of the table as the sweep writes them; the energy is made up."""
    return [
        {
            "run_id": f"run-{number:03d}",
            "positive_mean": design.positive_mean,
            "negative_mean": design.negative_mean,
            "positive_profile": json.dumps(design.positive.points),
            "negative_profile": json.dumps(design.negative.points),
            "positive_direction": "graded",
            "negative_direction": "graded",
            "positive_thickness_um": design.positive_um,
            "c_rate": design.c_rate,
            "lower_cutoff_v": 2.5,
            "specific_energy_wh_kg": 250 - 20 * design.c_rate - design.positive_um / 4,
            "specific_power_w_kg": 100.0,
            "ended_by": "cut-off voltage",
            "electrolyte_depleted": False,
            "failed": False,
            "solver": "{}",
            "solve_s": 0.1,
            "assumptions_hash": "so",
            "code_version": "new",
            "made_at": datetime(2026, 1, 2),
        }
        for number, design in enumerate(diverse_designs(count))
    ]


def test_a_graded_cell_that_shares_a_profile_is_not_learnt_from(lake: Lakehouse) -> None:
    rows = graded(420)
    twin = rows[3] | {"run_id": "twin", "c_rate": 2.0}
    layered = rows[5] | {"run_id": "layered", "positive_layers": "[]"}
    old = rows[6] | {"run_id": "old", "code_version": "old", "made_at": datetime(2026, 1, 1)}
    put(lake, {"graded_discharges": [*rows, twin, layered, old]})
    training = GRADED.source.read(lake, GRADED)
    assert set(training.ids) == {row["run_id"] for row in rows} - {"run-003"}
    assert training.left_out["that share a profile with another cell"] == 2
    assert training.inputs.shape == (419, 24)
    first = training.inputs[0]
    assert json.loads(rows[0]["positive_profile"]) == pytest.approx(first[:10].tolist())
    assert first[22:].tolist() == [rows[0]["positive_thickness_um"], rows[0]["c_rate"]]
    assert training.is_synthetic


def test_a_profile_that_contradicts_itself_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "SMALL", replace(networks.SMALL, steps=50))
    monkeypatch.setattr(spread, "WORTH_S", math.inf)  # other processes know nothing of this
    rows = graded(420)
    at = np.array(
        [
            [
                *json.loads(row["positive_profile"]),
                *json.loads(row["negative_profile"]),
                row["positive_mean"],
                row["negative_mean"],
                row["positive_thickness_um"],
                row["c_rate"],
            ]
            for row in rows
        ]
    )
    energy = np.array([row["specific_energy_wh_kg"] for row in rows])
    names = np.array([row["run_id"] for row in rows])
    state = networks.fit_small(GRADED, Rows(at, energy, names, np.arange(len(at))))
    asked = pd.DataFrame(at[:3], columns=list(GRADED.inputs))
    asked.loc[1, "positive_mean"] = 0.63 if at[1, 20] > 0.675 else 0.72
    asked.loc[2, "negative_active_5"] = at[2, 15] + 0.02
    answers = predict_rows(state, asked)
    assert answers["note"][0] == ""
    assert "positive_mean less the mean of its points is" in answers["note"][1]
    assert "negative_active_6 less negative_active_5 is -0.02" in answers["note"][2]
    assert answers["in_domain"].tolist()[1:] == [False, False]


@pytest.mark.parametrize("name", ["mass-loading", "half-cell-performance"])
def test_the_command_predicts_electrodes_and_whatever_else(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = MODELS[name]
    file = tmp_path / "asked.csv"
    numbers = {one: 95.0 if one == "active_material_pct" else 50.0 for one in model.inputs}
    pd.DataFrame([numbers]).to_csv(file, index=False)

    def predict(frame: pd.DataFrame) -> pd.DataFrame:
        flags = {"in_domain": True, "distance": 0.1, "note": "", "synthetic": False}
        return pd.DataFrame([dict.fromkeys(model.columns, 7.0) | flags])

    monkeypatch.setenv("BATTERY_PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(registry, "champion", lambda *_: 3)
    monkeypatch.setattr(registry, "load", lambda *_: predict)
    monkeypatch.setattr(registry, "inputs_of", lambda *_: (list(model.inputs), []))
    knowledge.predict(name, file, None, None, True)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["version"], row[model.target]) == (3, 7.0)


def test_designs_come_in_an_order_that_more_of_them_do_not_change() -> None:
    assert diverse_designs(64) == diverse_designs(200)[:64]


@pytest.mark.parametrize("name", ["slurry-loading-class", "mass-loading"])
def test_every_kind_of_model_has_its_picture(name: str) -> None:
    model = MODELS[name]
    random = np.random.default_rng(0)
    at = np.column_stack(
        [
            np.repeat([93.0, 95.0, 96.0], 40),
            random.uniform(60, 70, 120),
            random.uniform(1, 5, 120),
            random.uniform(60, 300, 120),
        ]
    )[:, : len(model.inputs)]
    target = at[:, 1] - 38 + random.standard_normal(120)
    names = np.array([f"S{number // 6}" for number in range(120)])
    made = TrainingSet(
        tuple(f"E{n}" for n in range(120)), at, target, names, True, None, None, "MIT", ("lab",), 1
    )
    from dataclasses import replace

    quick = replace(
        model, algorithms=("boosted trees",), splits=3, repeats=1, trend=(), ranges_of=""
    )
    judged = Judged(quick, evaluate(quick, made), "boosted trees", Decision(True, []))
    drawn = judged_figure(judged)
    assert len(drawn.axes) == (2 if model.classes else 3)
    assert drawn.get_suptitle() == "SYNTHETIC training data"
    if model.classes:

        def predict(asked: pd.DataFrame) -> pd.DataFrame:
            shares = np.tile([0.2, 0.7, 0.1], (len(asked), 1))
            names = [model.class_outputs[one] for one in model.classes]
            return pd.DataFrame(shares, columns=names)

        assert len(map_figure(judged, predict).axes) == 3


def test_every_candidate_for_cells_can_be_compared() -> None:
    assert {"stack", "networks", *simple.SIMPLE} == set(evaluation.CANDIDATES)
    assert set(CELLS.algorithms + CELLS.baselines) <= set(evaluation.CANDIDATES)
