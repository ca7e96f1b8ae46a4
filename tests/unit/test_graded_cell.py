"""The graded cell: what it refuses, what it conserves, and how near it comes to the paper."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from battery_platform.electrochemistry import solving
from battery_platform.electrochemistry.assumptions import changed, choices, digest, numbers
from battery_platform.electrochemistry.graded import cell, replication
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.cell import Design, Result, check_graded_cell, solve
from battery_platform.electrochemistry.graded.profiles import Profile, layers, mean, uniform
from battery_platform.electrochemistry.graded.replication import design, turned_round
from battery_platform.electrochemistry.solving import CUT_OFF, CUT_OFF_AT_START, FAILED, Settings
from battery_platform.errors import PlatformError

FLAT = design(2, None, 140.0, 5.0)
GRADED_CELL = design(2, 1, 140.0, 5.0)


@lru_cache(maxsize=64)
def solved(asked: Design, **changes: Any) -> Result:
    return solve([asked], **changes)[0]


def energy(asked: Design, **changes: Any) -> float:
    energy_wh_kg = solved(asked, **changes).energy_wh_kg
    assert energy_wh_kg is not None
    return energy_wh_kg


def fresh_simulation() -> tuple[Any, dict[str, Any], Any]:
    """PyBaMM's own way, which keeps all variables, for `GRADED_CELL`."""
    import pybamm

    from battery_platform.electrochemistry.graded import model as module

    names = tuple(name for name in numbers(GRADED) if name not in module.BUILT_IN)
    model = module.continuous_model()
    simulation = pybamm.Simulation(
        model,
        parameter_values=pybamm.ParameterValues(
            module.parameters(numbers(GRADED), choices(GRADED), names)
        ),
        var_pts=module.points(cell.USUAL),
        submesh_types=module.submeshes(model, cell.USUAL),
        solver=pybamm.IDAKLUSolver(rtol=1e-6, atol=1e-8),
    )
    sizing = cell.size(0.65, 0.7, 140.0)
    return simulation, cell.inputs(GRADED_CELL, sizing, GRADED, module, 20), sizing


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"c_rate": 0.0}, "c_rate"),
        ({"c_rate": math.nan}, "c_rate"),
        ({"lower_v": 2500.0}, "lower_v"),
        ({"positive_um": 140e-6}, "positive_um"),
        ({"positive": uniform(0.6)}, "positive has a mean of 0.6"),
        ({"negative": Profile((0.7, 0.6) * 5)}, "negative goes from 0.7 at point 1"),
        ({"negative": uniform(65.0)}, "negative, point 1, is 65.0"),
        ({"negative_mean": 65.0}, "negative_mean"),
        ({"positive": Profile((0.7,) * 9)}, "positive has 9 points"),
        ({"positive_layers": ()}, "positive_layers has 0 layers"),
    ],
)
def test_what_cannot_be_is_refused_before_any_solve(
    changes: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell, "built", lambda *_: pytest.fail("a solve was begun"))
    wrong = replace(FLAT, **changes)
    with pytest.raises(PlatformError, match=says):
        check_graded_cell(wrong)
    refused = solve([wrong])[0]
    assert (refused.failed, refused.ended_by, refused.energy_wh_kg) == (True, FAILED, None)
    assert refused.reason is not None
    assert says in refused.reason


@pytest.mark.parametrize(
    "asked",
    [FLAT, GRADED_CELL, design(4, 1, 120.0, 5.0)],
    ids=["case 2 uniform", "case 2 no. 1", "case 4 no. 1"],
)
def test_three_values_of_table_4(asked: Design) -> None:
    case = 2 if asked.negative_mean == 0.65 and asked.positive_mean == 0.7 else 4
    papers = replication.TABLE_4[case, asked.positive_um]
    paper = papers[0] if asked.positive == uniform(asked.positive_mean) else papers[1]
    assert energy(asked) == pytest.approx(paper, rel=0.05)


def test_graded_beats_uniform_and_reversed_is_worse() -> None:
    assert energy(GRADED_CELL) > 1.5 * energy(FLAT)
    assert energy(turned_round(GRADED_CELL)) < 0.8 * energy(FLAT)


def test_charge_energy_and_power_agree() -> None:
    result = solved(GRADED_CELL)
    assert (result.failed, result.retried, result.ended_by) == (False, False, CUT_OFF)
    assert result.sizing is not None
    assert result.discharge_time_s is not None
    assert result.capacity_mah_cm2 == pytest.approx(
        result.sizing.capacity_mah_cm2 * 5 * result.discharge_time_s / 3600
    )
    assert result.power_w_kg == pytest.approx(energy(GRADED_CELL) / result.discharge_time_s * 3600)
    assert result.voltage_v[-1] == pytest.approx(2.5, abs=1e-3)
    current = 5 * result.sizing.capacity_ah_m2
    joules = np.trapezoid(current * result.voltage_v, result.time_s)
    assert joules / 3600 / result.sizing.cell_kg_m2 == pytest.approx(energy(GRADED_CELL), rel=2e-3)
    assert result.temperature_rise_k is not None
    assert 1 < result.temperature_rise_k < 40
    assert result.assumptions_digest == digest(GRADED)


def test_lithium_is_conserved() -> None:
    """What leaves one electrode enters the other, and the electrolyte keeps its salt."""
    simulation, inputs, sizing = fresh_simulation()
    solution = simulation.solve([0, 3600], inputs=inputs)
    moved = 5 * sizing.capacity_ah_m2 * solution.t[-1] / 96485.33212
    held = {
        place: solution[f"Total lithium in {place} [mol]"].entries
        for place in ("negative electrode", "positive electrode", "electrolyte")
    }
    assert held["negative electrode"][0] - held["negative electrode"][-1] == pytest.approx(
        moved, rel=1e-4
    )
    assert held["positive electrode"][-1] - held["positive electrode"][0] == pytest.approx(
        moved, rel=1e-4
    )
    assert held["electrolyte"][-1] == pytest.approx(held["electrolyte"][0], rel=1e-6)


def test_a_failing_design_leaves_its_neighbours_alone() -> None:
    hopeless = design(1, None, 300.0, 10.0)
    wrong = replace(FLAT, c_rate=math.nan)
    results = solve([FLAT, hopeless, wrong, GRADED_CELL])
    assert [result.failed for result in results] == [False, False, True, False]
    assert results[1].ended_by == CUT_OFF_AT_START
    assert (results[1].energy_wh_kg, results[1].discharge_time_s) == (0.0, 0.0)
    assert results[0].energy_wh_kg == pytest.approx(energy(FLAT), rel=1e-9)
    assert results[3].energy_wh_kg == pytest.approx(energy(GRADED_CELL), rel=1e-9)


def test_depletion_is_a_label() -> None:
    assert solved(FLAT).depleted
    assert not solved(design(4, 1, 120.0, 1.0)).depleted


def test_a_solve_that_stands_still_is_tried_again_and_then_given_up() -> None:
    impatient = Settings(no_progress_steps=2, no_progress_s=1e4)
    result = solved(FLAT, settings=impatient)
    assert result.failed
    assert result.retried
    assert result.settings == impatient.finer()
    assert result.energy_wh_kg is None
    assert result.time_s.size == 0


def test_a_second_attempt_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = cell._discharge
    seen: list[Settings] = []

    def stumbling(asked: Any, given: Any, settings: Settings, compiled: bool) -> dict[str, Any]:
        seen.append(settings)
        if len(seen) == 1:
            return cell._nothing("stumbled") | {"sizing": None}
        return attempt(asked, given, settings, compiled)

    monkeypatch.setattr(cell, "_discharge", stumbling)
    result = solve([FLAT])[0]
    assert (result.failed, result.first_failure) == (False, "stumbled")
    assert result.settings == seen[1] == Settings().finer()
    assert result.energy_wh_kg == pytest.approx(energy(FLAT), rel=0.01)


def test_the_reused_model_gives_the_same_as_a_fresh_simulation() -> None:
    """And so does a design after others have been through the model."""
    simulation, inputs, sizing = fresh_simulation()
    fresh = simulation.solve([0, 3600], inputs=inputs)
    expected = fresh["Discharge energy [W.h]"].entries[-1] / sizing.cell_kg_m2
    # Other designs have been through the model meanwhile.
    solve([FLAT, design(1, None, 120.0, 3.0)])
    assert solve([GRADED_CELL])[0].energy_wh_kg == pytest.approx(expected, rel=1e-3)


def test_the_mesh_hardly_matters() -> None:
    fine = Settings(electrode_cells=40, separator_cells=10, particle_cells=20)
    assert energy(GRADED_CELL, settings=fine) == pytest.approx(energy(GRADED_CELL), rel=1e-2)


def test_layers_come_near_the_profile_they_stand_for() -> None:
    plan = layers(GRADED_CELL.negative, 3)
    layered = replace(
        GRADED_CELL,
        positive_layers=layers(GRADED_CELL.positive, 2),
        negative_layers=plan,
    )
    assert mean(GRADED_CELL.negative) == pytest.approx(0.65, abs=1e-3)
    assert energy(layered) == pytest.approx(energy(GRADED_CELL), rel=0.05)
    assert energy(layered) != energy(GRADED_CELL)


def test_assumptions_are_inputs_of_the_one_model() -> None:
    solving._build.cache_clear()
    warm = changed(GRADED, heat_transfer_w_m2_k=2.0)
    sluggish = changed(GRADED, transference_number=0.3)
    heavy = changed(GRADED, copper_thickness_um=15.0)
    base = solve([FLAT])[0].energy_wh_kg
    assert base is not None
    assert (solve([FLAT], warm)[0].energy_wh_kg or 0) > 1.1 * base
    assert (solve([FLAT], sluggish)[0].energy_wh_kg or base) < 0.97 * base
    assert (solve([FLAT], heavy)[0].energy_wh_kg or base) < base
    assert solving._build.cache_info().currsize == 1


def test_choices_and_radii_make_another_model() -> None:
    for other in (
        changed(GRADED, thermodynamic_factor="ideal"),
        changed(GRADED, positive_radius_um=4.0),
    ):
        result = solve([FLAT], other)[0]
        assert not result.failed
        assert result.energy_wh_kg != pytest.approx(energy(FLAT), rel=1e-3)


def test_without_a_compiler_the_model_is_interpreted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(solving.shutil, "which", lambda name: None)
    result = solve([FLAT], compiled=True)[0]
    assert result.energy_wh_kg == pytest.approx(energy(FLAT), rel=1e-9)
    assert "No C compiler" in caplog.text


def test_replication_counts_what_it_cannot_compute_as_not_passed() -> None:
    def nothing(designs: Any) -> list[Result]:
        return [replace(solved(FLAT), energy_wh_kg=None, power_w_kg=None) for _ in designs]

    rows = replication.replicate(solve=nothing)
    assert {row.passed for row in rows if "energy" in row.quantity} == {False}
    values = replication.table_4(nothing)
    assert all(row.ours is None and row.deviation is None for row in values)
    assert not any(row.passed for row in replication.root_mean_squares(values))


def test_rms_is_taken_over_the_right_rows() -> None:
    def exact(designs: Any) -> list[Result]:
        results = []
        for cell_design in designs:
            case = next(
                c
                for c, m in replication.CASES.items()
                if m == (cell_design.positive_mean, cell_design.negative_mean)
            )
            flat, graded = replication.TABLE_4[case, cell_design.positive_um]
            value = (
                flat * 1.02
                if cell_design.positive == uniform(cell_design.positive_mean)
                else graded
            )
            results.append(replace(solved(FLAT), energy_wh_kg=value))
        return results

    rows = replication.table_4(exact)
    assert len(rows) == 18
    assert all(row.passed for row in rows)
    errors = [row.ours for row in replication.root_mean_squares(rows)]
    assert errors == pytest.approx([0.02, 0.0, 0.02 / math.sqrt(2)])
