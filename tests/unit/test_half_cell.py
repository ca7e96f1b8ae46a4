"""The half cell: what it refuses, what it conserves, and what its figures mean."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from battery_platform.electrochemistry.assumptions import changed, digest, numbers
from battery_platform.electrochemistry.half_cell import cell
from battery_platform.electrochemistry.half_cell.assumptions import HALF_CELL, SIZE_GROUPS
from battery_platform.electrochemistry.half_cell.cell import (
    Discharge,
    HalfCell,
    check_half_cell,
    equilibrium_filling,
    solve,
)
from battery_platform.electrochemistry.half_cell.electrode import (
    RADII_UM,
    Electrode,
    check_electrode,
    structure,
)
from battery_platform.electrochemistry.solving import CUT_OFF, CUT_OFF_AT_START, Settings
from battery_platform.errors import PlatformError

USUAL = Electrode(15.0, "active_material", 50.0, 95.0)
FARADAY_MAH = 96485.33212 / 3.6


@lru_cache(maxsize=32)
def solved(electrode: Electrode = USUAL, **changes: Any) -> Discharge:
    load = {name: changes.pop(name) for name in ("c_rate", "lower_v") if name in changes}
    (discharge,) = solve([HalfCell(electrode, **load)], **changes)
    return discharge


def theoretical_mah_g() -> float:
    given = numbers(HALF_CELL)
    sites = given["maximum_concentration_mol_m3"] / given["active_density_g_cm3"]
    return sites * FARADAY_MAH / 1e6


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("mass_loading_mg_cm2", 0.15, "looks like kg/m²: that would be 15 mg/cm²"),
        ("mass_loading_mg_cm2", 150.0, "looks like g/m²: that would be 15 mg/cm²"),
        ("mass_loading_mg_cm2", math.nan, "Give a number"),
        ("mass_loading_mg_cm2", None, "Give a number"),
        ("mass_loading_mg_cm2", "15", "Give a number"),
        ("mass_loading_mg_cm2", -15.0, "one side"),
        ("porosity_pct", 0.5, "looks like a fraction: that would be 50 %"),
        ("porosity_pct", 100.0, "percent"),
        ("porosity_pct", 120.0, "percent"),
        ("porosity_pct", 0.0, "percent"),
        ("porosity_pct", math.inf, "Give a number"),
        ("active_material_pct", 0.95, "looks like a fraction: that would be 95 %"),
        ("active_material_pct", 103.0, "percent"),
        ("active_material_pct", True, "Give a number"),
        ("thickness_um", 72e-6, "looks like m: that would be 72 µm"),
        ("thickness_um", 0.072, "looks like mm: that would be 72 µm"),
        ("thickness_um", 7e7, "without the collector"),
        ("thickness_um", -72.0, "without the collector"),
        ("thickness_um", math.nan, "Give a number"),
        ("thickness_um", 95.0, "whether the thickness includes the collector"),
        ("thickness_um", 60.0, "Check the unit of each"),
        ("loading_basis", "electrode", "only or the whole dry coating"),
        ("mass_loading_mg_cm2", 10**400, "one side"),
        ("tortuosity_factor", 0.5, "not its root"),
        ("tortuosity_factor", math.nan, "Give a number"),
        ("specific_surface_1_um", 3e5, "looks like 1/m: that would be 0.3 1/µm"),
        ("specific_surface_1_um", 0.012, "leave it out"),
        ("electronic_conductivity_s_m", 0.0, "not of its solids"),
        ("size_shares", (1.0, 2.0), "radii of 1 to 2, 2 to 3"),
        ("size_shares", (0.5,) * 6, "beyond 1 and 7 µm"),
        ("size_shares", (0.2, 0.2, 0.2, 0.2, 0.2, math.nan), "radii of 1 to 2"),
    ],
)
def test_what_cannot_be_is_refused_before_any_solve(
    field: str, value: Any, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell, "built", lambda *_: pytest.fail("a solve was begun"))
    wrong = replace(USUAL, **{field: value})
    with pytest.raises(PlatformError) as refused:
        check_half_cell(HalfCell(wrong))
    assert field in refused.value.says
    assert remedy in refused.value.remedy
    (discharge,) = solve([HalfCell(wrong)])
    assert discharge.failed
    assert field in str(discharge.reason)


@pytest.mark.parametrize(
    "load", [{"c_rate": 0.0}, {"c_rate": math.nan}, {"lower_v": 3200.0}, {"lower_v": 4.3}]
)
def test_a_load_that_cannot_be_is_refused(load: dict[str, float]) -> None:
    with pytest.raises(PlatformError, match="must lie between"):
        check_half_cell(HalfCell(USUAL, **load))


def test_the_allowed_thickness_in_the_refusal_is_the_one_that_is_allowed() -> None:
    derived = structure(USUAL).thickness_um
    for factor in (1 / 1.119, 1 / 0.881):
        check_electrode(replace(USUAL, thickness_um=derived * factor))
    for factor in (1 / 1.121, 1 / 0.879):
        with pytest.raises(PlatformError, match=f"{derived / 1.12:.3g} to {derived / 0.88:.3g}"):
            check_electrode(replace(USUAL, thickness_um=derived * factor))


@pytest.mark.parametrize("porosity", [22.0, 50.0])
@pytest.mark.parametrize("loading", [5.0, 30.0])
def test_a_derived_thickness_gives_loading_and_porosity_back(
    porosity: float, loading: float
) -> None:
    built = structure(Electrode(loading, "active_material", porosity, 95.0))
    given = numbers(HALF_CELL)
    assert built.derived[0] == "thickness_um"
    assert built.density_ratio == pytest.approx(1)
    back = 0.1 * built.thickness_um * built.active_fraction * given["active_density_g_cm3"]
    assert back == pytest.approx(loading)
    solids = built.active_fraction + built.carbon_binder_fraction
    assert solids + porosity / 100 == pytest.approx(1)
    again = Electrode(loading, "active_material", porosity, 95.0, built.thickness_um)
    check_electrode(again)
    assert "thickness_um" not in structure(again).derived
    assert structure(again).masses == built.masses


def test_the_two_bases_of_a_loading_describe_one_electrode() -> None:
    coating = structure(Electrode(15.0 / 0.95, "coating", 50.0, 95.0))
    assert coating.masses.active_material_mg_cm2 == pytest.approx(15.0)
    assert coating.thickness_um == pytest.approx(structure(USUAL).thickness_um)


def test_the_six_groups_share_the_surface_as_equation_1_says() -> None:
    """a_n = r_n² n_n / sum(r_m² n_m) a, with the number of particles n from volume over r³."""
    given = replace(USUAL, specific_surface_1_um=0.3, size_shares=(0.1, 0.1, 0.2, 0.3, 0.2, 0.1))
    built = structure(given)
    numbers_of = [w / r**3 for w, r in zip(built.size_shares, RADII_UM, strict=True)]
    weights = [n * r**2 for n, r in zip(numbers_of, RADII_UM, strict=True)]
    assert built.group_surfaces_1_um == pytest.approx([0.3 * w / sum(weights) for w in weights])
    percent = structure(replace(given, size_shares=(10, 10, 20, 30, 20, 10)))
    assert percent.size_shares == pytest.approx(built.size_shares)
    assert sum(numbers(HALF_CELL)[name] for name in SIZE_GROUPS) == pytest.approx(1)


def test_what_is_given_is_used_and_what_is_not_is_named() -> None:
    given = replace(
        USUAL, tortuosity_factor=3.0, specific_surface_1_um=0.3, electronic_conductivity_s_m=0.5
    )
    built = structure(given)
    assert (built.tortuosity_factor, built.surface_1_um, built.conductivity_s_m) == (3.0, 0.3, 0.5)
    assert built.derived == ("thickness_um", "size_shares")
    bare = structure(USUAL)
    assert bare.derived == (
        "thickness_um",
        "tortuosity_factor",
        "specific_surface_1_um",
        "electronic_conductivity_s_m",
        "size_shares",
    )
    assert bare.tortuosity_factor == pytest.approx(0.5**-0.5)
    assert bare.wetted_share == pytest.approx(0.57)
    derived = replace(
        USUAL,
        tortuosity_factor=bare.tortuosity_factor,
        specific_surface_1_um=bare.surface_1_um,
        electronic_conductivity_s_m=bare.conductivity_s_m,
    )
    assert solved(derived).specific_energy_wh_kg == pytest.approx(
        solved().specific_energy_wh_kg, rel=1e-9
    )


def test_a_usual_electrode_ends_at_the_cut_off() -> None:
    discharge = solved()
    assert (discharge.ended_by, discharge.failed, discharge.retried) == (CUT_OFF, False, False)
    assert discharge.voltage_v[-1] == pytest.approx(3.2, abs=1e-3)
    assert discharge.voltage_v[0] < 4.3
    assert discharge.current_a_m2 == pytest.approx(15 * 150 / 100)
    assert discharge.seconds > 0
    assert discharge.assumptions_digest == digest(HALF_CELL)


def test_energy_and_power_are_the_integral_over_the_mass_and_the_time() -> None:
    discharge = solved()
    assert discharge.structure is not None
    assert discharge.current_a_m2 is not None
    masses = discharge.structure.masses
    assert masses.electrode_mg_cm2 == pytest.approx(
        15 / 0.95 + masses.electrolyte_mg_cm2 + masses.collector_mg_cm2
    )
    assert masses.electrolyte_mg_cm2 == pytest.approx(
        discharge.structure.thickness_um * 1e-4 * 0.5 * 1324
    )
    kilograms_m2 = masses.electrode_mg_cm2 / 100
    joules = np.trapezoid(discharge.current_a_m2 * discharge.voltage_v, discharge.time_s)
    assert discharge.specific_energy_wh_kg == pytest.approx(joules / 3600 / kilograms_m2, rel=1e-3)
    assert discharge.specific_power_w_kg == pytest.approx(
        discharge.specific_energy_wh_kg * 3600 / discharge.time_s[-1]
    )


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"thickness_um": 66.0},
        {"thickness_um": 80.0},
        {"specific_surface_1_um": 0.1},
        {"size_shares": (0.0, 0.0, 0.0, 0.0, 0.0, 1.0)},
        {"size_shares": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)},
    ],
)
def test_charge_delivered_is_lithium_taken_up(change: dict[str, Any]) -> None:
    discharge = solved(replace(USUAL, **change))
    assert discharge.filling_end is not None
    assert discharge.filling_start is not None
    uptake = (discharge.filling_end - discharge.filling_start) * theoretical_mah_g()
    assert discharge.capacity_mah_g == pytest.approx(uptake, rel=1e-3)


def test_a_slow_discharge_delivers_what_the_curve_holds() -> None:
    window = equilibrium_filling(3.2) - equilibrium_filling(4.3)
    discharge = solved(USUAL, c_rate=0.01)
    assert discharge.capacity_mah_g == pytest.approx(window * theoretical_mah_g(), rel=2e-3)
    assert theoretical_mah_g() == pytest.approx(277.8, rel=2e-3)


def test_large_particles_lag_behind_small_ones() -> None:
    """Solid diffusion: at 5C an electrode of the largest group delivers less than the smallest."""
    small, large = (
        solved(
            replace(USUAL, size_shares=tuple(float(n == group) for n in range(6))), c_rate=5.0
        ).capacity_mah_g
        for group in (0, 5)
    )
    assert small is not None
    assert large is not None
    assert large < 0.9 * small


def test_less_wetted_surface_costs_voltage_and_not_charge() -> None:
    rich, poor = (solved(replace(USUAL, specific_surface_1_um=surface)) for surface in (0.3, 0.05))
    assert poor.capacity_mah_g == pytest.approx(rich.capacity_mah_g, rel=0.02)
    rich_v, poor_v = (
        np.interp(1800, discharge.time_s, discharge.voltage_v) for discharge in (rich, poor)
    )
    assert rich_v - poor_v > 0.01


def test_a_light_electrode_lasts_about_an_hour() -> None:
    assert solved(Electrode(2.0, "active_material", 50.0, 95.0)).discharge_time_s == pytest.approx(
        3600, rel=0.02
    )


@pytest.mark.parametrize(
    "electrode",
    [USUAL, Electrode(30.0, "active_material", 30.0, 95.0, tortuosity_factor=6.0)],
    ids=["usual", "limited"],
)
def test_the_mesh_hardly_matters(electrode: Electrode) -> None:
    fine = replace(
        cell.USUAL, electrode_cells=60, separator_cells=32, particle_cells=20, rtol=1e-6, atol=1e-8
    )
    assert solved(electrode, settings=fine).specific_energy_wh_kg == pytest.approx(
        solved(electrode).specific_energy_wh_kg, rel=5e-3
    )


def test_what_limits_is_read_from_the_discharge() -> None:
    dense = Electrode(30.0, "active_material", 22.0, 95.0, tortuosity_factor=6.0)
    starved = solved(dense)
    assert (starved.limited_by, starved.depleted) == ("electrolyte", True)
    assert starved.unused_share is not None
    assert starved.unused_share > 0.1
    assert solved(replace(dense, mass_loading_mg_cm2=10.0)).limited_by == "nothing"
    fast = solved(USUAL, c_rate=10.0)
    assert fast.limited_by == "particles"
    assert fast.unused_share is not None
    assert fast.unused_in_particles is not None
    assert fast.unused_in_particles > fast.unused_share
    insulating = solved(replace(USUAL, electronic_conductivity_s_m=2e-3))
    assert insulating.limited_by == "electrons"


def test_heavier_electrodes_use_less_of_their_capacity() -> None:
    delivered = [
        solved(Electrode(loading, "active_material", 30.0, 95.0)).capacity_mah_g
        for loading in (10.0, 20.0, 30.0, 45.0)
    ]
    assert delivered == sorted(delivered, key=lambda c: -(c or 0.0))
    assert len(set(delivered)) == len(delivered)


def test_blocked_pores_bring_an_optimum_of_loading() -> None:
    discharges = [
        solved(Electrode(loading, "active_material", 22.0, 95.0, tortuosity_factor=6.0))
        for loading in (10.0, 24.0, 36.0)
    ]
    energies = np.array([discharge.specific_energy_wh_kg for discharge in discharges], dtype=float)
    powers = np.array([discharge.specific_power_w_kg for discharge in discharges], dtype=float)
    assert np.argmax(energies) == 1
    assert (np.diff(powers) > 0).all()


def test_every_assumption_of_the_other_kind_still_solves() -> None:
    other = changed(HALF_CELL, electrolyte="Valoen-Reimers 2005", transference_number=0.38)
    discharge = solved(USUAL, assumptions=other)
    assert discharge.ended_by == CUT_OFF
    assert discharge.specific_energy_wh_kg == pytest.approx(
        solved().specific_energy_wh_kg, rel=0.05
    )


def test_an_electrode_below_the_cut_off_from_the_start_delivers_nothing() -> None:
    discharge = solved(Electrode(60.0, "active_material", 5.0, 95.0), c_rate=20.0)
    assert (discharge.failed, discharge.ended_by) == (False, CUT_OFF_AT_START)
    assert (discharge.specific_energy_wh_kg, discharge.discharge_time_s) == (0.0, 0.0)
    assert discharge.time_s.size == 0


def test_a_solve_that_stands_still_is_stopped() -> None:
    discharge = solved(USUAL, settings=replace(cell.USUAL, no_progress_steps=3, no_progress_s=1e4))
    assert discharge.failed
    assert discharge.reason
    assert discharge.seconds < 30


def test_a_second_attempt_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = cell._discharge
    seen: list[Settings] = []

    def stumbling(asked: Any, given: Any, settings: Settings, compiled: bool) -> dict[str, Any]:
        seen.append(settings)
        if len(seen) == 1:
            return cell._nothing("stumbled") | {"structure": None, "current_a_m2": None}
        return attempt(asked, given, settings, compiled)

    monkeypatch.setattr(cell, "_discharge", stumbling)
    (discharge,) = solve([HalfCell(USUAL)])
    assert (discharge.failed, discharge.first_failure) == (False, "stumbled")
    assert discharge.settings == seen[1] == cell.USUAL.finer()
    assert discharge.specific_energy_wh_kg == pytest.approx(
        solved().specific_energy_wh_kg, rel=1e-3
    )


def test_assumptions_are_complete_and_traceable() -> None:
    assert len({a.name for a in HALF_CELL}) == len(HALF_CELL)
    for assumption in HALF_CELL:
        assert assumption.reason
        assert assumption.source
        if not isinstance(assumption.value, str):
            assert float(assumption.low) <= assumption.value <= float(assumption.high), (
                assumption.name
            )


def test_a_digest_follows_the_values_and_nothing_else() -> None:
    assert digest(HALF_CELL) == digest(tuple(reversed(HALF_CELL)))
    reworded = (replace(HALF_CELL[0], reason="other words"), *HALF_CELL[1:])
    assert digest(reworded) == digest(HALF_CELL)
    assert digest(changed(HALF_CELL, upper_voltage_v=4.25)) != digest(HALF_CELL)


@pytest.mark.parametrize(
    "values",
    [
        {"upper_voltage": 4.3},
        {"upper_voltage_v": 4300.0},
        {"upper_voltage_v": math.nan},
        {"electrolyte": "water"},
        {"electrolyte": 1.0},
    ],
)
def test_assumptions_are_changed_within_their_range_only(values: dict[str, Any]) -> None:
    with pytest.raises(PlatformError):
        changed(HALF_CELL, **values)


def test_importing_the_assumptions_does_not_import_the_solver() -> None:
    code = (
        "import sys; import battery_platform.electrochemistry.assumptions;"
        "import battery_platform.electrochemistry.half_cell.cell;"
        "import battery_platform.electrochemistry.graded.cell;"
        "import battery_platform.electrochemistry.pictures;"
        "sys.exit(any(m in sys.modules for m in ('pybamm', 'matplotlib', 'scipy', 'dagster')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
