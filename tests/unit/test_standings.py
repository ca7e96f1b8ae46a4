"""What `models list`, `refresh` and `design` say of versions and designs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from battery_platform.cli import running
from battery_platform.design.inverse import NoPair, design
from battery_platform.design.stored import unknown_of_electrode
from battery_platform.design.targets import parse
from battery_platform.models.standings import standings
from battery_platform.refresh import Refreshed
from battery_platform.store.lakehouse import Lakehouse


def scored(lake: Lakehouse, model: str, target: str, scores: dict[str, dict[str, float]]) -> None:
    def work(cursor: Any) -> None:
        cursor.execute(
            "INSERT INTO model_versions BY NAME SELECT ? AS model_name, 1 AS version, "
            "'gaussian process' AS algorithm, 'champion' AS decision, true AS is_synthetic",
            [model],
        )
        for candidate, metrics in scores.items():
            for metric, value in metrics.items():
                cursor.execute(
                    "INSERT INTO model_evaluations BY NAME SELECT ? AS model_name, 1 AS version, "
                    "? AS target, ? AS candidate, 'all rows' AS slice, ? AS metric, ? AS value",
                    [model, target, candidate, metric, value],
                )

    lake.write(work)


def test_the_best_baseline_stands_beside_a_version(lake: Lakehouse) -> None:
    scored(
        lake,
        "mass-loading",
        "mass_loading_mg_cm2",
        {
            "gaussian process": {"rmse": 0.5, "r2": 0.99},
            "another candidate": {"rmse": 0.4, "r2": 0.995},
            "mean": {"rmse": 5.0, "r2": 0.0},
            "ridge": {"rmse": 1.8, "r2": 0.93},
        },
    )
    (row,) = standings(lake)
    assert (row["rmse"], row["baseline"], row["baseline_rmse"]) == (0.5, "ridge", 1.8)
    assert row["baseline_r2"] == 0.93


def test_of_classes_the_baseline_with_the_highest_accuracy(lake: Lakehouse) -> None:
    scored(
        lake,
        "mass-loading-class",
        "mass_loading_mg_cm2",
        {
            "gaussian process": {"accuracy": 0.9},
            "mean": {"accuracy": 0.5},
            "ridge": {"accuracy": 0.95},
        },
    )
    (row,) = standings(lake)
    assert (row["accuracy"], row["baseline"], row["baseline_accuracy"]) == (0.9, "ridge", 0.95)


def test_before_the_first_version_a_design_says_so(lake: Lakehouse, registry: Path) -> None:
    assert registry.is_file()
    with pytest.raises(NoPair, match="no version of mass-loading and of porosity exists yet"):
        design(lake, parse("mass_loading_mg_cm2=15,porosity_pct=50"))


def test_a_design_of_the_porosity_alone_cannot_be_discharged() -> None:
    recipe = {"active_material_pct": 95.0, "porosity_pct": 50.0}
    assert unknown_of_electrode(recipe) == ["mass_loading_mg_cm2"]
    assert unknown_of_electrode({**recipe, "mass_loading_mg_cm2": 15.0}) == []


def test_a_recipe_without_a_chance_is_not_recommended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def recipe(name: str, porosity: float, chance: float) -> dict[str, Any]:
        return {"design_id": name, "target_porosity_pct": porosity, "probability": chance}

    designs = [recipe("design-good", 50.0, 0.9951), recipe("design-hopeless", 5.0, 0.0)]
    done = Refreshed(True, 1.0, 1, 0, designs=designs)
    run: Callable[..., Refreshed] = lambda *words: done  # noqa: E731
    monkeypatch.setattr("battery_platform.refresh.run_refresh", run)
    running.refresh(size="demo", rebuild=False, as_json=False)
    text = " ".join(capsys.readouterr().out.split())
    assert "design-good" in text
    assert "> 0.99" in text
    assert "design-hopeless" not in text
    assert "No recipe within the data meets porosity_pct = 5." in text
