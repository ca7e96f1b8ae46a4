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

from battery_platform.electrochemistry import half_cell
from battery_platform.electrochemistry.assumptions import HALF_CELL, changed, digest, numbers
from battery_platform.electrochemistry.half_cell import (
    CUT_OFF,
    Discharge,
    Electrode,
    Settings,
    check,
    discharge,
    equilibrium_stoichiometry,
    structure,
)
from battery_platform.errors import PlatformError

USUAL = Electrode(15.0, "active_material", 50.0, 95.0)
FARADAY_MAH = 96485.33212 / 3.6


@lru_cache(maxsize=32)
def solved(electrode: Electrode = USUAL, **changes: Any) -> Discharge:
    return discharge(electrode, **changes)


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
    ],
)
def test_what_cannot_be_is_refused_before_any_solve(
    field: str, value: Any, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(half_cell, "_pybamm", lambda: pytest.fail("a solve was begun"))
    with pytest.raises(PlatformError) as refused:
        discharge(replace(USUAL, **{field: value}))
    assert field in refused.value.says
    assert str(value) in refused.value.says or f"{value:g}" in refused.value.says
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    "load", [{"c_rate": 0.0}, {"c_rate": math.nan}, {"lower_v": 3200.0}, {"lower_v": 4.3}]
)
def test_a_load_that_cannot_be_is_refused(load: dict[str, float]) -> None:
    with pytest.raises(PlatformError, match="must lie between"):
        discharge(USUAL, **load)


def test_the_allowed_thickness_in_the_refusal_is_the_one_that_is_allowed() -> None:
    derived = structure(USUAL).thickness_um
    for factor in (1 / 1.119, 1 / 0.881):
        check(replace(USUAL, thickness_um=derived * factor))
    for factor in (1 / 1.121, 1 / 0.879):
        with pytest.raises(PlatformError, match=f"{derived / 1.12:.3g} to {derived / 0.88:.3g}"):
            check(replace(USUAL, thickness_um=derived * factor))


@pytest.mark.parametrize("porosity", [22.0, 50.0])
@pytest.mark.parametrize("loading", [5.0, 30.0])
def test_a_derived_thickness_gives_loading_and_porosity_back(
    porosity: float, loading: float
) -> None:
    found = structure(Electrode(loading, "active_material", porosity, 95.0))
    given = numbers(HALF_CELL)
    assert found.derived == ("thickness_um",)
    assert found.density_ratio == pytest.approx(1)
    back = 0.1 * found.thickness_um * found.active_fraction * given["active_density_g_cm3"]
    assert back == pytest.approx(loading)
    solids = found.active_fraction + found.carbon_binder_fraction
    assert solids + porosity / 100 == pytest.approx(1)
    again = Electrode(loading, "active_material", porosity, 95.0, found.thickness_um)
    check(again)
    assert structure(again).derived == ()
    assert structure(again).masses == found.masses


def test_the_two_bases_of_a_loading_describe_one_electrode() -> None:
    coating = structure(Electrode(15.0 / 0.95, "coating", 50.0, 95.0))
    assert coating.masses.active_material_mg_cm2 == pytest.approx(15.0)
    assert coating.thickness_um == pytest.approx(structure(USUAL).thickness_um)


def test_a_usual_electrode_ends_at_the_cut_off() -> None:
    found = solved()
    assert (found.end_reason, found.failed, found.retried) == (CUT_OFF, False, False)
    assert found.voltage_v[-1] == pytest.approx(3.2, abs=1e-3)
    assert found.voltage_v[0] < 4.3
    assert found.derived == ("thickness_um",)
    assert found.current_a_m2 == pytest.approx(15 * 150 / 100)
    assert found.pybamm_version
    assert found.seconds > 0
    assert found.assumptions_digest == digest(HALF_CELL)


def test_energy_and_power_are_the_integral_over_the_mass_and_the_time() -> None:
    found = solved()
    masses = found.masses
    assert masses.electrode_mg_cm2 == pytest.approx(
        15 / 0.95 + masses.electrolyte_mg_cm2 + masses.collector_mg_cm2
    )
    assert masses.electrolyte_mg_cm2 == pytest.approx(
        found.structure.thickness_um * 1e-4 * 0.5 * 1324
    )
    kilograms_m2 = masses.electrode_mg_cm2 / 100
    joules = np.trapezoid(found.current_a_m2 * found.voltage_v, found.time_s)
    assert found.specific_energy_wh_kg == pytest.approx(joules / 3600 / kilograms_m2)
    assert found.specific_power_w_kg == pytest.approx(joules / kilograms_m2 / found.time_s[-1])
    # The curve is kept finely enough: every other point gives the same energy.
    coarse = np.trapezoid(found.voltage_v[::2], found.time_s[::2])
    assert coarse == pytest.approx(np.trapezoid(found.voltage_v, found.time_s), rel=2e-4)


@pytest.mark.parametrize("thickness", [None, 66.0, 80.0])
def test_charge_delivered_is_lithium_taken_up(thickness: float | None) -> None:
    found = solved(replace(USUAL, thickness_um=thickness))
    assert found.stoichiometry_end is not None
    uptake = (found.stoichiometry_end - found.stoichiometry_start) * theoretical_mah_g()
    assert found.capacity_mah_g == pytest.approx(uptake, rel=1e-3)
    assert found.charge_mah_cm2[-1] == pytest.approx(found.capacity_mah_cm2)


def test_a_slow_discharge_delivers_what_the_curve_holds() -> None:
    window = equilibrium_stoichiometry(3.2) - equilibrium_stoichiometry(4.3)
    found = solved(USUAL, c_rate=0.01)
    assert found.capacity_mah_g == pytest.approx(window * theoretical_mah_g(), rel=2e-3)
    assert theoretical_mah_g() == pytest.approx(277.8, rel=2e-3)


def test_a_light_electrode_lasts_about_an_hour() -> None:
    assert solved(Electrode(2.0, "active_material", 50.0, 95.0)).discharge_time_s == pytest.approx(
        3600, rel=0.02
    )


@pytest.mark.parametrize(
    "electrode", [USUAL, Electrode(30.0, "active_material", 30.0, 95.0)], ids=["usual", "heavy"]
)
@pytest.mark.parametrize("cells", [(4, 10, 10), (16, 40, 40)], ids=["half", "double"])
def test_the_mesh_hardly_matters(electrode: Electrode, cells: tuple[int, int, int]) -> None:
    separator, along, within = cells
    other = solved(
        electrode,
        settings=Settings(separator_cells=separator, electrode_cells=along, particle_cells=within),
    )
    assert other.specific_energy_wh_kg == pytest.approx(
        solved(electrode).specific_energy_wh_kg, rel=5e-3
    )


def test_heavier_electrodes_use_less_of_their_capacity() -> None:
    delivered = [
        solved(Electrode(loading, "active_material", 30.0, 95.0)).capacity_mah_g
        for loading in (10.0, 20.0, 30.0, 45.0)
    ]
    assert delivered == sorted(delivered, key=lambda c: -(c or 0.0))
    assert len(set(delivered)) == len(delivered)


def test_blocked_pores_bring_an_optimum_of_loading() -> None:
    tortuous = changed(HALF_CELL, electrode_bruggeman_exponent=2.2)
    energies = [
        solved(
            Electrode(loading, "active_material", 22.0, 95.0), assumptions=tortuous
        ).specific_energy_wh_kg
        for loading in (10.0, 22.0, 35.0)
    ]
    assert all(energies)
    assert np.argmax(np.array(energies, dtype=float)) == 1


def test_every_assumption_of_the_other_kind_still_solves() -> None:
    other = changed(HALF_CELL, electrolyte="Valoen-Reimers 2005", transference_number=0.38)
    found = solved(USUAL, assumptions=other)
    assert found.end_reason == CUT_OFF
    assert found.specific_energy_wh_kg == pytest.approx(solved().specific_energy_wh_kg, rel=0.05)


def test_a_failure_is_returned_with_the_reason_of_the_solver() -> None:
    found = solved(Electrode(60.0, "active_material", 5.0, 95.0), c_rate=20.0)
    assert found.failed
    assert found.retried
    assert "non-positive at initial conditions" in found.end_reason
    assert found.specific_energy_wh_kg is None
    assert found.time_s.size == 0
    assert found.settings == Settings().finer()


def test_a_solve_that_stands_still_is_stopped() -> None:
    found = solved(USUAL, settings=Settings(no_progress_steps=3, no_progress_s=1e4))
    assert found.failed
    assert found.seconds < 20


def test_a_second_attempt_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = half_cell._solve
    seen: list[Settings] = []

    def stumbling(pybamm: Any, parameters: Any, longest: float, settings: Settings) -> Any:
        seen.append(settings)
        if len(seen) == 1:
            return None, "stumbled"
        return attempt(pybamm, parameters, longest, settings)

    monkeypatch.setattr(half_cell, "_solve", stumbling)
    found = discharge(USUAL)
    assert (found.failed, found.first_failure) == (False, "stumbled")
    assert found.settings == seen[1] == Settings().finer()
    assert found.specific_energy_wh_kg == pytest.approx(solved().specific_energy_wh_kg, rel=1e-3)


def test_assumptions_are_complete_and_traceable() -> None:
    assert len({a.name for a in HALF_CELL}) == len(HALF_CELL)
    for one in HALF_CELL:
        assert one.reason
        assert one.source
        if not isinstance(one.value, str):
            assert float(one.low) <= one.value <= float(one.high), one.name


def test_a_digest_follows_the_values_and_nothing_else() -> None:
    assert digest(HALF_CELL) == digest(tuple(reversed(HALF_CELL)))
    reworded = (replace(HALF_CELL[0], reason="other words"), *HALF_CELL[1:])
    assert digest(reworded) == digest(HALF_CELL)
    assert digest(changed(HALF_CELL, particle_radius_um=6.0)) != digest(HALF_CELL)


@pytest.mark.parametrize(
    "values",
    [
        {"particle_radius": 5.0},
        {"particle_radius_um": 5e-6},
        {"particle_radius_um": math.nan},
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
        "import battery_platform.electrochemistry.half_cell;"
        "import battery_platform.electrochemistry.pictures;"
        "sys.exit(any(m in sys.modules for m in ('pybamm', 'matplotlib', 'scipy', 'dagster')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
