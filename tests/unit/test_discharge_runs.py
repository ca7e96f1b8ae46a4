"""Discharges that are kept: once per electrode, with curve, picture and assumptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from battery_platform.electrochemistry.assumptions import HALF_CELL
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.half_cell import CUT_OFF, Electrode
from battery_platform.electrochemistry.runs import curve_figure, keep_assumptions, simulate
from battery_platform.errors import PlatformError, StoreError
from battery_platform.store.arrays import load, save
from battery_platform.store.lakehouse import Lakehouse

USUAL = Electrode(15.0, "active_material", 50.0, 95.0)


def test_a_discharge_is_simulated_once_and_its_curve_kept(lake: Lakehouse) -> None:
    row, new = simulate(lake, USUAL, is_synthetic=True)
    again, new_again = simulate(lake, USUAL, is_synthetic=True)
    assert (new, new_again) == (True, False)
    assert again == row
    curve = load(lake.settings, row["curve_file"])
    hours = row["discharge_time_s"] / 3600
    current_a_m2 = 10 * row["areal_capacity_mah_cm2"] / hours
    energy_wh_m2 = np.trapezoid(current_a_m2 * curve["voltage_v"], curve["time_s"]) / 3600
    per_kg = energy_wh_m2 / (row["electrode_mass_mg_cm2"] * 0.01)
    assert row["specific_energy_wh_kg"] == pytest.approx(per_kg, rel=1e-6)
    assert curve["voltage_v"][-1] == pytest.approx(3.2, abs=2e-3)
    assert row["thickness_is_derived"]


def test_the_picture_says_what_it_shows(lake: Lakehouse) -> None:
    row, _ = simulate(lake, USUAL, is_synthetic=True, design_id="design-1")
    (axes,) = curve_figure(lake, row).axes
    words = [text.get_text() for text in axes.texts]
    assert "SYNTHETIC" in words
    assert "Wh/kg" in axes.get_title()
    assert CUT_OFF in axes.get_title()
    (plain,) = curve_figure(lake, row | {"is_synthetic": False}).axes
    assert "SYNTHETIC" not in [text.get_text() for text in plain.texts]


def test_what_cannot_be_is_refused_and_nothing_is_kept(lake: Lakehouse) -> None:
    with pytest.raises(PlatformError, match="porosity_pct"):
        simulate(lake, Electrode(15.0, "active_material", 0.5, 95.0), is_synthetic=False)
    assert lake.value("SELECT count(*) FROM discharges") == 0


def test_every_assumption_is_a_row(lake: Lakehouse) -> None:
    assert keep_assumptions(lake)
    before = lake.snapshot()
    assert not keep_assumptions(lake)
    assert lake.snapshot() == before
    rows = lake.records("SELECT model, name, value, unit, reason, source FROM assumptions")
    tables = {"half_cell": HALF_CELL, "graded_full_cell": GRADED}
    assert {(row["model"], row["name"]) for row in rows} == {
        (model, one.name) for model, table in tables.items() for one in table
    }
    assert all(row["reason"] and row["source"] for row in rows)


def test_arrays_are_kept_once_and_a_changed_file_is_refused(lake: Lakehouse) -> None:
    arrays = {"a": np.arange(5.0)}
    name, _ = save(lake.settings, "kind", arrays)
    assert save(lake.settings, "kind", arrays)[0] == name
    path: Path = lake.settings.arrays_folder / name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="not what was stored"):
        load(lake.settings, name)
    path.unlink()
    with pytest.raises(StoreError, match="is missing"):
        load(lake.settings, name)
