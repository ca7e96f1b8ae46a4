"""Discharges that are kept: once per electrode, with curve, picture and assumptions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from battery_platform.electrochemistry.curves import curve_of
from battery_platform.electrochemistry.designs import read_electrode
from battery_platform.electrochemistry.electrode_tables import (
    loading_series,
    of_frame,
    of_table,
    space,
)
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.half_cell.assumptions import HALF_CELL
from battery_platform.electrochemistry.half_cell.cell import HalfCell, check_half_cell
from battery_platform.electrochemistry.half_cell.electrode import Electrode
from battery_platform.electrochemistry.half_cell_runs import (
    Asked,
    at_rates,
    curve_figure,
    sweep,
    volcano,
)
from battery_platform.electrochemistry.kept_assumptions import keep_assumptions
from battery_platform.electrochemistry.solving import CUT_OFF
from battery_platform.errors import PlatformError
from battery_platform.records.recipes import read_table
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str], Path]
USUAL = Asked(HalfCell(Electrode(15.0, "active_material", 50.0, 95.0)), True, "designs", "design-1")


def test_a_discharge_is_simulated_once_and_its_curve_kept(lake: Lakehouse) -> None:
    (row,) = sweep(lake, [USUAL]).rows
    before = lake.snapshot()
    again = replace(USUAL, subject="design-2")
    (other,) = sweep(lake, [again]).rows
    assert (other["subject"], other["discharge_id"]) == ("design-2", row["discharge_id"])
    assert lake.value("SELECT count(*) FROM discharges") == 1
    before = lake.snapshot()
    assert sweep(lake, [USUAL, again]).rows == [row, other]
    assert lake.snapshot() == before
    seconds, volts = curve_of(row)
    current_a_m2 = 36_000 * row["areal_capacity_mah_cm2"] / row["discharge_time_s"]
    energy_wh_m2 = np.trapezoid(current_a_m2 * volts, seconds) / 3600
    per_kg = energy_wh_m2 / (row["electrode_mass_mg_cm2"] * 0.01)
    assert row["specific_energy_wh_kg"] == pytest.approx(per_kg, rel=1e-3)
    assert volts[-1] == pytest.approx(3.2, abs=2e-3)
    assert "thickness_um" in row["derived"]
    lists = lake.rows("SELECT len(curve_time_s::DOUBLE[]) FROM discharges")
    assert lists == [(len(seconds),)]


def test_the_picture_says_what_it_shows(lake: Lakehouse) -> None:
    (row,) = sweep(lake, [USUAL]).rows
    (axes,) = curve_figure(row).axes
    words = [text.get_text() for text in axes.texts]
    assert "SYNTHETIC" in words
    assert "Wh/kg" in axes.get_title()
    assert CUT_OFF in axes.get_title()
    (plain,) = curve_figure(row | {"is_synthetic": False}).axes
    assert "SYNTHETIC" not in [text.get_text() for text in plain.texts]
    (empty,) = curve_figure(row | {"curve_time_s": None, "failed": True, "reason": "why"}).axes
    assert "why" in empty.texts[0].get_text()


def test_what_cannot_be_is_refused_and_nothing_is_kept(lake: Lakehouse) -> None:
    wrong = replace(USUAL, cell=HalfCell(Electrode(15.0, "active_material", 0.5, 95.0)))
    with pytest.raises(PlatformError, match="porosity_pct"):
        sweep(lake, [USUAL, wrong])
    assert lake.value("SELECT count(*) FROM discharges") == 0


def test_every_assumption_is_a_row(lake: Lakehouse) -> None:
    assert keep_assumptions(lake).is_new
    before = lake.snapshot()
    assert not keep_assumptions(lake).is_new
    assert lake.snapshot() == before
    rows = lake.records("SELECT model, name, value, unit, reason, source FROM assumptions")
    tables = {"half_cell": HALF_CELL, "graded_full_cell": GRADED}
    assert {(row["model"], row["name"]) for row in rows} == {
        (model, assumption.name) for model, table in tables.items() for assumption in table
    }
    assert all(row["reason"] and row["source"] for row in rows)


TABLE = pl.DataFrame(
    {
        "electrode_id": ["good", "wrong", "empty", "no basis"],
        "mass_loading_mg_cm2": [15.0, 15.0, None, 15.0],
        "loading_basis": ["active_material", "coating", "coating", None],
        "porosity_pct": [50.0, 0.5, 50.0, 50.0],
        "active_material_pct": [95.0] * 4,
        "tortuosity_factor": [3.0, None, None, None],
        "is_synthetic": [False] * 4,
    }
)


def test_a_table_gives_a_half_cell_per_row_and_load_and_tells_what_it_leaves_out() -> None:
    found = of_frame(TABLE, "mart_electrodes", [1.0, 2.0], 3.2)
    assert [(one.subject, one.cell.c_rate) for one in found.asked] == [("good", 1.0), ("good", 2.0)]
    assert found.asked[0].cell.electrode.tortuosity_factor == 3.0
    assert not found.asked[0].is_synthetic
    reasons = dict(found.refused)
    assert set(reasons) == {"wrong", "empty", "no basis"}
    assert "looks like a fraction" in reasons["wrong"]
    assert "mass_loading_mg_cm2 is None" in reasons["empty"]
    assert "loading_basis is None" in reasons["no basis"]


def test_a_csv_file_gives_electrodes_too(write: Write, settings: Settings) -> None:
    shares = ";".join(f"particles_{n}_to_{n + 1}_um" for n in range(1, 7))
    text = (
        "Name;Mass_loading_mg_cm2;loading_basis;porosity_pct;active_material_pct;is_synthetic;"
        f"{shares}\n"
        "a;15,5;coating;50;95;no;0;0;0;100;0;0\n"
        "b;abc;coating;50;95;no;;;;;;\n"
        "c;15;coating;50;95;perhaps;;;;;;\n"
        "d;15;coating;50;95;yes;NA;-;;;;\n"
    )
    read = read_table(write("e.csv", text), settings)
    electrodes = of_frame(read.frame, "e.csv", [1.0], 3.2, read.decimal)
    assert [(half_cell.subject, half_cell.is_synthetic) for half_cell in electrodes.asked] == [
        ("a", False),
        ("d", True),
    ]
    first = electrodes.asked[0].cell.electrode
    assert (first.mass_loading_mg_cm2, first.size_shares) == (15.5, (0, 0, 0, 100, 0, 0))
    reasons = dict(electrodes.refused)
    assert "mass_loading_mg_cm2 is 'abc'" in reasons["b"]
    assert "is_synthetic is 'perhaps'" in reasons["c"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("porosity_pct,b\n50,1\n", "no column mass_loading_mg_cm2"),
        ("a,A\n1,2\n", "more than one column is called a"),
        ("porosity_pct,b\n", "a header but no row"),
    ],
)
def test_a_csv_file_that_cannot_be_is_refused(
    write: Write, settings: Settings, text: str, says: str
) -> None:
    with pytest.raises(PlatformError, match=says):
        of_frame(read_table(write("f.csv", text), settings).frame, "f.csv", [1.0], 3.2)
    with pytest.raises(PlatformError, match="There is no file"):
        read_table(Path("nowhere.csv"), settings)


def test_another_material_is_not_discharged_as_nmc() -> None:
    graphite = TABLE.with_columns(active_material=pl.lit("Graphite (synthetic)"))
    electrodes = of_frame(graphite, "mart_electrodes", [1.0], 3.2)
    assert not electrodes.asked
    assert "the half cell is one of NMC111" in dict(electrodes.refused)["good"]


def test_a_load_that_cannot_be_is_refused_once(lake: Lakehouse) -> None:
    with pytest.raises(PlatformError, match="c_rate"):
        of_frame(TABLE, "mart_electrodes", [0.0], 3.2)


def test_a_table_that_is_not_there_is_refused(lake: Lakehouse) -> None:
    with pytest.raises(PlatformError, match="no table nothing"):
        of_table(lake, "nothing", [1.0], 3.2)


SOUND = {
    "mass_loading_mg_cm2": 15,
    "loading_basis": "coating",
    "porosity_pct": 50,
    "active_material_pct": 95,
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"colour": 1}, "colour is unknown"),
        ({"is_synthetic": "no"}, "true or false"),
        ({"porosity_pct": "50"}, "porosity_pct is '50'"),
        ({"porosity_pct": 10**400}, "porosity_pct"),
        ({"porosity_pct": [50]}, "porosity_pct"),
        ({"loading_basis": ["coating"]}, "loading_basis"),
        ({"size_shares": "all"}, "size_shares"),
        ({"size_shares": [0.5, None, 0.5, 0, 0, 0]}, "size_shares"),
        ({"thickness_um": 7.2e-5}, "looks like m"),
        ({"tortuosity_factor": float("nan")}, "tortuosity_factor"),
    ],
)
def test_an_electrode_file_that_cannot_be_is_refused(
    write: Write, change: dict[str, Any], says: str
) -> None:
    path = write("e.json", json.dumps(SOUND | change))
    with pytest.raises(PlatformError, match=says):
        check_half_cell(HalfCell(read_electrode(path)[0]))


def test_an_electrode_file_gives_an_electrode(write: Write) -> None:
    path = write("e.json", json.dumps(SOUND | {"size_shares": [0, 0, 0, 1, 0, 0]}))
    electrode, synthetic = read_electrode(path)
    assert (electrode.size_shares, synthetic) == ((0, 0, 0, 1, 0, 0), False)
    check_half_cell(HalfCell(electrode))


def test_the_space_of_designs_is_even_synthetic_and_believable() -> None:
    points = space(200)
    assert [point.cell for point in space(200)] == [point.cell for point in points]
    assert len({point.cell.electrode for point in points}) == 200
    for point in points:
        assert point.is_synthetic
        check_half_cell(point.cell)
    loadings = np.array([point.cell.electrode.mass_loading_mg_cm2 for point in points])
    counts, _ = np.histogram(loadings, bins=np.linspace(5, 40, 8))
    assert counts.min() >= 20


def test_energy_peaks_along_a_series_of_loadings(lake: Lakehouse) -> None:
    peak = volcano(sweep(lake, loading_series()).rows)
    assert peak is not None
    assert peak.stands
    assert 16 <= peak.peak_mg_cm2 <= 32


def test_the_loads_of_a_ragone_curve_are_those_from_a_fifth_to_five() -> None:
    assert [half_cell.cell.c_rate for half_cell in at_rates(USUAL)] == [
        0.2,
        0.5,
        1.0,
        2.0,
        3.0,
        4.0,
        5.0,
    ]
