"""Models of several quantities: what they learn from, how they answer, and who decides on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import norm
from sklearn.metrics import f1_score, log_loss

from battery_platform.electrochemistry.electrode_tables import SPACE_BOUNDS
from battery_platform.electrochemistry.half_cell_runs import SPACE as SWEPT
from battery_platform.errors import NoRows, PlatformError
from battery_platform.made.products import put
from battery_platform.models import events, gaussian_process, registry, sources
from battery_platform.models.evaluation import _class_scores
from battery_platform.models.fade import features, features_of_cells
from battery_platform.models.gaussian_process import fit
from battery_platform.models.release import release
from battery_platform.models.rows import Rows
from battery_platform.models.served.surrogate import answer, predict_rows
from battery_platform.models.specification import FADE_INPUTS, HALF_CELL_INPUTS, MODELS
from battery_platform.models.states import together
from battery_platform.records.recipes import read_numbers
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str | bytes], Path]
MODEL = replace(
    MODELS["half-cell-performance"],
    splits=2,
    also=tuple(replace(one, splits=2) for one in MODELS["half-cell-performance"].also),
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_process, "INNER_SPLITS", 2)


def discharges(count: int, code: str = "new") -> list[dict[str, Any]]:
    """Rows of a sweep whose energy and power follow a plain law."""
    random = np.random.default_rng(1)
    rows = []
    for number in range(count):
        porosity, loading = random.uniform(25, 55), random.uniform(5, 30)
        tortuosity = random.uniform(1.5, 6)
        energy = 400 - 800 / loading - 2 * tortuosity
        rows.append(
            {
                "discharge_id": f"{code}-{number:03d}",
                **{"c_rate": 1.0, "lower_cutoff_v": 3.2, "loading_basis": "active_material"},
                **{"mass_loading_mg_cm2": loading, "porosity_pct": porosity},
                **{"active_material_pct": 95.0, "thickness_um": 4 * loading},
                **{"tortuosity_factor": tortuosity, "specific_surface_1_um": 0.3},
                **{"electronic_conductivity_s_m": random.uniform(0.1, 1), "size_shares": "[]"},
                **{"electrode_mass_mg_cm2": 30.0, "electrolyte_depleted": False, "failed": False},
                "specific_energy_wh_kg": energy,
                "specific_power_w_kg": energy,
                "discharge_time_s": 3600.0,
                **{"ended_by": "cut-off voltage", "assumptions_hash": "so", "code_version": code},
                **{"solver": "{}", "solve_s": 0.1, "is_synthetic": True},
                "made_at": datetime(2026, 1, 1 if code == "old" else 2),
            }
        )
    return rows


def swept(lake: Lakehouse, rows: list[dict[str, Any]]) -> None:
    links = [
        {"origin": SWEPT, "subject": row["discharge_id"], "discharge_id": row["discharge_id"]}
        for row in rows
    ]
    put(lake, {"discharges": rows, "discharge_subjects": links})


def test_a_sweep_is_learnt_from_and_only_the_newest_code_counts(lake: Lakehouse) -> None:
    assumed = [
        row | {"discharge_id": f"assumed-{n}", "assumptions_hash": "other"}
        for n, row in enumerate(discharges(5))
    ]
    for row in assumed:
        row["made_at"] = datetime(2026, 1, 1)
    swept(lake, discharges(5, "old") + assumed + discharges(60))
    training = MODEL.source.read(lake, MODEL)
    assert len(training) == 60
    assert set(training.ids) == {f"new-{n:03d}" for n in range(60)}
    assert training.is_synthetic
    assert training.lines == ()
    assert training.inputs.shape == (60, len(HALF_CELL_INPUTS))


def test_the_origin_that_is_learnt_from_is_the_one_that_is_swept() -> None:
    assert sources.SPACE == SWEPT
    assert len(SPACE_BOUNDS) == len(HALF_CELL_INPUTS)


@pytest.mark.parametrize("name", ["half-cell-performance", "mesostructure", "cycle-life"])
def test_without_rows_it_is_told_what_to_do(lake: Lakehouse, name: str) -> None:
    with pytest.raises(NoRows, match=f"{name} needs 40") as none:
        MODELS[name].source.read(lake, MODELS[name])
    assert "battery-platform" in none.value.remedy


@pytest.fixture(scope="module")
def two_quantities() -> dict[str, Any]:
    """Fitted on a law that is known, energy straight and power by its logarithm."""
    random = np.random.default_rng(0)
    at = random.uniform(0.5, 2.0, (60, len(HALF_CELL_INPUTS)))
    names = np.array([f"E{n}" for n in range(60)])
    power = replace(MODEL.also[0], logarithmic=True)
    states = [
        fit(MODEL, Rows(at, 10 * at[:, 2], names, np.arange(60))),
        fit(power, Rows(at, at[:, 0] * at[:, 1], names, np.arange(60))),
    ]
    return together(states)


def test_each_quantity_has_its_columns_and_its_own_law(two_quantities: dict[str, Any]) -> None:
    at = np.random.default_rng(5).uniform(0.7, 1.8, (40, len(HALF_CELL_INPUTS)))
    answers = predict_rows(two_quantities, pd.DataFrame(at, columns=list(HALF_CELL_INPUTS)))
    assert set(MODEL.columns) <= set(answers.columns)
    assert answers["specific_energy_wh_kg"].to_numpy() == pytest.approx(10 * at[:, 2], rel=0.1)
    assert answers["specific_power_w_kg"].to_numpy() == pytest.approx(at[:, 0] * at[:, 1], rel=0.1)
    assert (answers["specific_power_sd_w_kg"] > 0).all()
    wide = answers["specific_power_high_90_w_kg"] - answers["specific_power_low_90_w_kg"]
    assert wide.to_numpy() == pytest.approx(
        2 * 1.6449 * answers["specific_power_sd_w_kg"], rel=1e-3
    )


def test_a_row_that_cannot_be_answered_has_no_number_and_a_reason(
    two_quantities: dict[str, Any],
) -> None:
    at = np.ones((3, len(HALF_CELL_INPUTS)))
    at[1, 2], at[2, 0] = -1.0, np.nan
    answers = predict_rows(two_quantities, pd.DataFrame(at, columns=list(HALF_CELL_INPUTS)))
    assert answers["specific_power_w_kg"].isna().tolist() == [False, True, True]
    assert "must be above 0" in answers["note"][1]
    assert "missing or no number" in answers["note"][2]


def test_negative_inputs_are_fine_where_no_logarithm_is_taken() -> None:
    model = MODELS["cycle-life"]
    random = np.random.default_rng(0)
    at = random.normal(-3, 1, (50, len(FADE_INPUTS)))
    names = np.array([f"c{n}" for n in range(50)])
    state = fit(model, Rows(at, np.exp(6 - at[:, 0]), names, np.arange(50)))
    answers = predict_rows(state, pd.DataFrame(at, columns=list(FADE_INPUTS)))
    assert answers["cycle_life"].to_numpy() == pytest.approx(np.exp(6 - at[:, 0]), rel=0.2)


def test_many_rows_are_fitted_with_lengths_learnt_on_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_process, "OPTIMISED_ON", 40)
    random = np.random.default_rng(0)
    at = random.uniform(0.5, 2.0, (120, len(HALF_CELL_INPUTS)))
    names = np.array([f"E{n}" for n in range(120)])
    state = fit(MODEL, Rows(at, 10 * at[:, 2] ** 2, names, np.arange(120)))
    assert state["train"].shape[0] == 120
    answers = predict_rows(state, pd.DataFrame(at, columns=list(HALF_CELL_INPUTS)))
    assert answers["specific_energy_wh_kg"].to_numpy() == pytest.approx(10 * at[:, 2] ** 2, rel=0.1)


def test_a_release_judges_and_keeps_each_quantity(
    lake: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def register(*what: Any) -> registry.Registered:
        given.extend(what)
        return registry.Registered(1, "run")

    monkeypatch.setattr(registry, "register", register)
    monkeypatch.setattr(registry, "finish", lambda *_: None)
    monkeypatch.setattr(registry, "tags", lambda *_: {})
    monkeypatch.setattr(registry, "aliases", lambda *_: {})
    swept(lake, discharges(60))
    done = release(lake, MODEL)
    assert [judged.quantity.target for judged in done.judged] == [
        quantity.target for quantity in MODEL.quantities
    ]
    assert "1.weights" in given[2]
    assert set(given[5]) >= {"rmse", "rmse.specific_power_w_kg"}
    kept = lake.rows("SELECT DISTINCT target FROM model_evaluations ORDER BY 1")
    assert kept == [("specific_energy_wh_kg",), ("specific_power_w_kg",)]
    card = lake.value("SELECT card FROM model_versions")
    assert "trained on simulated designs" in card
    assert "specific_power_w_kg" in card
    (happened,) = lake.records("FROM model_events")
    assert (happened["decided_by"], happened["version"]) == ("gate", 1)
    promoted = all(judged.decision.promoted for judged in done.judged)
    assert happened["event"] == ("promoted" if promoted else "refused")


def test_classes_are_the_distribution_cut_at_the_bounds() -> None:
    model = MODELS["mass-loading-class"]
    random = np.random.default_rng(0)
    at = random.uniform([92, 60, 1, 50], [97, 70, 5, 400], (60, 4))
    names = np.array([f"S{n}" for n in range(60)])
    state = fit(model, Rows(at, 0.12 * at[:, 3], names, np.arange(60)))
    asked = pd.DataFrame(at[:3], columns=list(model.inputs))
    asked.iloc[2, 0] = np.nan
    answers = predict_rows(state, asked)
    chances = answers[[f"mass_loading_probability_{label}" for label in model.classes]].to_numpy()
    value, deviation = (array[0] for array in answer(state, at[:1]))
    below = norm.cdf([20.0, 35.0], value, deviation)
    assert chances[0] == pytest.approx([below[0], below[1] - below[0], 1 - below[1]], abs=1e-9)
    likeliest = [model.classes[row.argmax()] for row in chances[:2]]
    assert answers["mass_loading_class"].tolist() == [*likeliest, ""]
    assert np.isnan(chances[2]).all()


def test_metrics_of_classes_are_what_they_are_called() -> None:
    model = MODELS["mass-loading-class"]
    target = np.array([10.0, 15.0, 25.0, 30.0, 40.0, 50.0])
    mean = np.array([[10.0, 22.0, 25.0, 30.0, 33.0, 50.0]])
    batches = np.array(list("aabbcc"))
    chances = np.diff(norm.cdf([[-np.inf, 20.0, 35.0, np.inf]], mean.T, 2.0), axis=1)
    values = {
        score.metric: score.value
        for score in _class_scores("it", "all rows", target, chances[None], batches, model)
    }
    true = [0, 0, 1, 1, 2, 2]
    assert values["accuracy"] == pytest.approx(4 / 6)
    assert values["log_loss"] == pytest.approx(log_loss(true, chances), rel=1e-3)
    assert values["macro_f1"] == pytest.approx(f1_score(true, chances.argmax(1), average="macro"))
    assert 0 <= values["calibration_error"] <= 1


# -- a person's say -------------------------------------------------------------------------


@pytest.fixture
def shelf(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Three versions: 1 and 2 passed the gate, 3 did not."""
    named = {"champion": 2}
    monkeypatch.setattr(registry, "aliases", lambda *_: dict(named))
    monkeypatch.setattr(registry, "tags", lambda *_: {n: {"gate": "so"} for n in (1, 2, 3)})

    def hand_over(_: object, name: str, version: int, withdrawn: int | None) -> None:
        named["champion"] = version

    monkeypatch.setattr(registry, "hand_over", hand_over)
    words = ("algorithm", "target", "trained_because", "data_hash", "code_hash", "left_out")
    more = ("parameters_hash", "licence", "run_id", "card")
    rows = [
        dict.fromkeys([*words, *more], "so")
        | {
            **{"model_name": "porosity", "version": number, "decision_reason": "worse than ridge"},
            **{"decision": "challenger" if number == 3 else "champion", "snapshot_id": 1},
            **{"registered_at": datetime(2026, 1, number), "n_rows": 1, "n_groups": 1},
            "is_synthetic": False,
        }
        for number in (1, 2, 3)
    ]
    first = events.event("porosity", events.PROMOTED, 2, 1, 2, events.GATE, "better")
    put(lake, {"model_versions": rows, "model_events": [first]})
    return named


def test_a_rollback_brings_the_version_before_back(lake: Lakehouse, shelf: dict[str, int]) -> None:
    row = events.rollback(lake, "porosity", "drifts on line 2")
    assert shelf["champion"] == 1
    assert (row["event"], row["version"], row["champion_after"]) == ("rolled back", 2, 1)
    assert (
        lake.value("SELECT reason FROM model_events WHERE decided_by = 'person'")
        == "drifts on line 2"
    )
    with pytest.raises(PlatformError, match="No earlier champion"):
        events.rollback(lake, "porosity", "again")


def test_a_version_that_the_gate_refused_is_promoted_only_where_that_is_said(
    lake: Lakehouse, shelf: dict[str, int]
) -> None:
    with pytest.raises(PlatformError, match="worse than ridge"):
        events.promote(lake, "porosity", 3, "we need it")
    assert shelf["champion"] == 2
    events.promote(lake, "porosity", 3, "we need it", although_refused=True)
    assert shelf["champion"] == 3


@pytest.mark.parametrize(
    ("version", "reason", "says"),
    [(2, "so", "champion already"), (9, "so", "no version 9"), (1, " ", "reason is empty")],
)
@pytest.mark.usefixtures("shelf")
def test_a_promotion_that_cannot_be_is_refused(
    lake: Lakehouse, version: int, reason: str, says: str
) -> None:
    with pytest.raises(PlatformError, match=says):
        events.promote(lake, "porosity", version, reason)


# -- features of fading cells ---------------------------------------------------------------


def curves(fade: float) -> dict[int, np.ndarray]:
    """Capacity over falling voltage, which sinks evenly with the cycles."""
    rising = np.linspace(0.0, 1.0, 50)
    return {cycle: rising * (1.1 - fade * (cycle - 2)) for cycle in range(2, 101)}


def test_features_follow_their_definition() -> None:
    named = features(curves(1e-3))
    moved = np.linspace(0.0, 1.0, 50) * 1e-3 * (99 - 10)
    assert named["log_variance_100_10"] == pytest.approx(np.log10(moved.var()))
    assert named["capacity_cycle_2_ah"] == pytest.approx(1.1)
    assert named["rise_of_capacity_ah"] == pytest.approx(0.0, abs=2e-3)


def test_an_impossible_cycle_is_told_and_does_no_harm() -> None:
    sound, damaged = curves(1e-3), curves(1e-3)
    damaged[100] = damaged[100] * 30
    named = features(damaged)
    assert named["impossible_cycles"] == 1
    expected = features(sound)["log_variance_100_10"]
    assert named["log_variance_100_10"] == pytest.approx(expected, abs=0.02)


def test_a_cell_that_ended_early_has_no_features() -> None:
    short = {cycle: curve for cycle, curve in curves(1e-3).items() if cycle < 60}
    assert features(short)["log_variance_100_10"] is None


def test_features_are_read_from_the_lake(lake: Lakehouse) -> None:
    with lake.cursor() as cursor:
        for cycle, curve in curves(1e-3).items():
            cursor.execute(
                "INSERT INTO raw_capacity_curves (cell_id, cycle, capacities_ah) VALUES (?, ?, ?)",
                ["a", cycle, json.dumps(curve.tolist())],
            )
    frame = features_of_cells(lake, ["a", "absent"])
    assert frame["cell_id"].to_list() == ["a"]
    assert frame["impossible_cycles"].to_list() == [0]
    assert frame.schema["log_variance_100_10"] == pl.Float64


def test_questions_are_read_by_the_names_of_the_model(write: Write, settings: Settings) -> None:
    text = "calender_gap_um;active_material_pct;porosity_uncalendered_pct\n20;95,5;40\nx;95;40\n"
    questions = read_numbers(write("q.csv", text), MODELS["mesostructure"].inputs, settings)
    assert questions.values.row(0) == (20.0, 95.5, 40.0)
    assert questions.values.row(1) == (None, 95.0, 40.0)
    assert questions.problems == {questions.lines[1]: ["calender_gap_um is 'x', no number"]}
    with pytest.raises(PlatformError, match="no column is called porosity_uncalendered_pct"):
        read_numbers(
            write("r.csv", "calender_gap_um,active_material_pct\n1,2\n"),
            MODELS["mesostructure"].inputs,
            settings,
        )
