"""Every column of a file is placed, left out on purpose, kept beside the rows, or named."""

from __future__ import annotations

import csv
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from battery_platform.records.dropfolder import take as take_dropped
from battery_platform.records.headers import CERTAIN, best_table, match_header
from battery_platform.records.ingest import Report, Settle, check, ingest
from battery_platform.records.mapping import load
from battery_platform.records.proposing import propose
from battery_platform.records.reading import first_cells, sheets
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str | bytes], Path]
Take = Callable[..., Report]

HEADERS = Path(__file__).parents[1] / "data" / "headers"
GERMAN = (
    "Proben-Nr.;Charge;Material;AM (Gew.-%);Leitruß C65 (Gew.-%);PVDF (Gew.-%);FS-Gehalt (%);"
    "Viskosität @ 10 1/s (mPa·s);Spalt (µm);Bahngeschw. (m/min);Trockner Z1 (°C);Trockner Z2 (°C);"
    "Dicke ges. (µm);Dicke Folie (µm);Flächengewicht (g/m²);Porosität (%);Bediener;Bemerkung;Datum;"
    "Uhrzeit"
)
ROWS = "".join(
    f"P-{n:02};B{1 + n // 4};NMC622;94,0;3,0;3,0;64,5;{4000 + 10 * n};120;1,5;80;110;{85 + n};15;"
    f"{180 + 2 * n},5;{31 + n / 10:.1f}".replace(".", ",")
    + f";Ada;{'Kratzer' if n == 3 else ''};{n + 1:02}.03.2026;{7 + n:02}:30\n"
    for n in range(9)
)


def worked(write: Write) -> Path:
    return write("linie3.csv", f"{GERMAN}\n{ROWS}")


def as_json(answer: Any) -> list[dict[str, Any]]:
    return json.loads(answer.out)  # type: ignore[no-any-return]


# -- the worked case ------------------------------------------------------------------------


def test_a_plants_sheet_comes_in_with_every_column(
    lake: Lakehouse, write: Write, counted: Callable[[Report], None]
) -> None:
    report = ingest(lake, worked(write))
    counted(report)
    assert (report.total("rows_accepted"), report.total("rows_quarantined")) == (9, 0)
    assert Counter(fate.outcome for fate in report.fates) == {"placed": 20}
    (row,) = lake.records("SELECT * FROM raw_electrode_sheets WHERE electrode_id = 'P-03'")
    assert row["slurry_id"] == "B1"
    assert row["active_material"] == "NMC622"
    wanted = {
        "active_material_pct": 94.0,
        "conductive_additive_pct": 3.0,
        "binder_pct": 3.0,
        "solid_content_pct": 64.5,
        "viscosity_pa_s": 4.03,
        "shear_rate_1_s": 10.0,
        "comma_gap_um": 120.0,
        "coating_speed_m_min": 1.5,
        "drying_zone_1_degc": 80.0,
        "drying_zone_2_degc": 110.0,
        "thickness_um": 73.0,
        "collector_thickness_um": 15.0,
        "mass_loading_mg_cm2": 18.65,
        "porosity_pct": 31.3,
    }
    assert {name: row[name] for name in wanted} == pytest.approx(wanted)
    assert (row["operator"], row["remark"]) == ("Ada", "Kratzer")
    assert row["measured_at"] == datetime(2026, 3, 4, 10, 30)
    assert any("minus 'Dicke Folie (µm)'" in note for note in report.notes)


def test_the_lake_tells_what_became_of_every_column(lake: Lakehouse, write: Write) -> None:
    report = ingest(lake, worked(write))
    told = lake.rows(
        "SELECT header, outcome, column_name, confidence FROM raw_columns "
        "WHERE file_id = ? ORDER BY position",
        [report.file_id],
    )
    assert [header for header, *_ in told] == GERMAN.split(";")
    assert {outcome for _, outcome, *_ in told} == {"placed"}
    placed = {header: column for header, _, column, _ in told}
    assert placed["Dicke ges. (µm)"] == "thickness_um"
    assert placed["Uhrzeit"] == placed["Datum"] == "measured_at"
    assert min(confidence for *_, confidence in told) >= CERTAIN


def test_map_check_and_ingest_tell_the_same(
    command: Callable[..., Any], write: Write, settings: Settings
) -> None:
    path = worked(write)
    mapped = as_json(command("map", path, "--no-write", "--json"))
    (checked,) = as_json(command("check", path, "--json"))
    assert [row["header"] for row in mapped] == GERMAN.split(";")
    assert mapped == checked["columns"]
    assert "20 columns: 20 placed" in command("check", path).text
    assert command("map", path).status == 0
    (mapping,) = load(path.with_name("linie3.map.yaml"))
    assert mapping.columns["thickness_um"].minus == "Dicke Folie (µm)"
    assert mapping.columns["measured_at"].clock == "Uhrzeit"
    (taken,) = as_json(command("ingest", path, "--json"))
    assert (taken["accepted"], len(taken["columns"])) == (9, 20)


# -- columns without a place ----------------------------------------------------------------

SHEET = "sample;porosity (%);weather;humidity (%);tray\nE1;30;wet;44;T-1\nE2;31;dry;41;T-2\n"


def test_numbers_and_identifiers_without_a_place_are_settled_first(
    take: Take, lake: Lakehouse
) -> None:
    report = take("lab.csv", SHEET)
    assert report.status == "refused"
    for words in ("'humidity (%)' (numbers", "'tray' (identifiers", "--leave-out", "--keep-extra"):
        assert words in report.reason
    assert "weather" not in report.reason
    assert {fate.header: fate.outcome for fate in report.fates} == {
        "sample": "placed",
        "porosity (%)": "placed",
        "weather": "unplaced",
        "humidity (%)": "unplaced",
        "tray": "unplaced",
    }
    assert lake.value("SELECT count(*) FROM raw_files") == 0


def test_columns_left_out_on_purpose(take: Take, lake: Lakehouse) -> None:
    report = take("lab.csv", SHEET, settle=Settle(leave_out=("humidity (%)", "TRAY")))
    assert report.total("rows_accepted") == 2
    told = dict(lake.rows("SELECT header, outcome FROM raw_columns WHERE column_name IS NULL"))
    assert told == {"weather": "unplaced", "humidity (%)": "left out", "tray": "left out"}
    assert any("column 'weather' unplaced" in note for note in report.notes)


def test_columns_kept_beside_their_rows(take: Take, lake: Lakehouse) -> None:
    content = SHEET + "E3;500;dry;;T-3\n"
    report = take("lab.csv", content, settle=Settle(leave_out=("tray",), keep_extra=True))
    assert (report.total("rows_accepted"), report.total("rows_quarantined")) == (2, 1)
    kept = lake.rows("SELECT row_number, name, unit, value FROM raw_extra ORDER BY 1, 2")
    assert kept == [
        (2, "humidity (%)", "%", "44"),
        (2, "weather", None, "wet"),
        (3, "humidity (%)", "%", "41"),
        (3, "weather", None, "dry"),
        (4, "weather", None, "dry"),
    ]


def test_a_corrected_file_takes_its_extra_cells_along(take: Take, lake: Lakehouse) -> None:
    first = take("lab.csv", SHEET, settle=Settle(keep_extra=True))
    take("lab2.csv", SHEET.replace("44", "45"), replaces=[first.file_id], settle=Settle((), True))
    assert lake.rows("SELECT value FROM raw_extra WHERE name = 'humidity (%)' ORDER BY 1") == [
        ("41",),
        ("45",),
    ]
    assert lake.value("SELECT count(DISTINCT file_id) FROM raw_columns") == 1


@pytest.mark.parametrize("settled", ["leave_out", "extra"])
def test_a_mapping_settles_columns_by_pattern(take: Take, lake: Lakehouse, settled: str) -> None:
    mapping = {
        "source": "lab",
        "table": "electrode_sheets",
        "columns": {"electrode_id": "sample", "porosity_pct": "porosity (%)"},
    }
    assert take("lab.csv", SHEET, mapping).status == "refused"
    report = take("lab.csv", SHEET, {**mapping, settled: ["hum*", "tray", "weather"]})
    assert report.total("rows_accepted") == 2
    outcome = "left out" if settled == "leave_out" else "extra"
    assert report.counts() == {"placed": 2, outcome: 3}
    assert lake.value("SELECT count(*) FROM raw_extra") == (6 if settled == "extra" else 0)


def test_what_says_nothing_needs_no_decision(take: Take) -> None:
    head = ";sample;porosity (%);empty;porosity again\n"
    report = take("r.csv", head + "1;E1;30,5;;30,5\n2;E2;31,5;;31,5\n3;E3;32,5;;32,5\n")
    assert report.total("rows_accepted") == 3
    why = {fate.name: (fate.outcome, fate.why) for fate in report.fates if not fate.column}
    assert why == {
        "#1": ("left out", "it counts the rows"),
        "empty": ("left out", "it is empty"),
        "porosity again": ("left out", "it repeats column 3"),
    }


def test_the_first_rows_of_a_long_sheet_prove_nothing_of_its_columns(
    take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that is empty, or the same as another, for a while may differ further down."""
    monkeypatch.setattr("battery_platform.records.reading.BATCH_ROWS", 4)
    rows = "".join(f"{n};E{n};3{n},5;;3{n},5\n" for n in range(1, 5))
    report = take("r.csv", f";sample;porosity (%);empty;porosity again\n{rows}5;E5;30;7;31\n")
    why = {fate.name: (fate.outcome, fate.why) for fate in report.fates if not fate.column}
    assert report.status == "refused"
    assert why == {
        "#1": ("left out", "it counts the rows"),
        "empty": ("unplaced", "it is empty in its first 4 rows"),
        "porosity again": ("unplaced", "it repeats column 3 in its first 4 rows"),
    }


def test_the_drop_folder_names_columns_without_a_place(settings: Settings, lake: Lakehouse) -> None:
    drop = settings.drop_folder
    drop.mkdir(parents=True)
    (drop / "refused.csv").write_text(SHEET)
    (drop / "taken.csv").write_text("sample;porosity (%);weather\nE1;30;wet\n")
    done = {report.path.name: report for report in take_dropped(lake)}
    assert (done["refused.csv"].status, done["taken.csv"].status) == ("refused", "taken")
    refused = (drop / "refused" / "refused.csv.reason.txt").read_text()
    taken = (drop / "done" / "taken.csv.reason.txt").read_text()
    for words in ("column 'humidity (%)' unplaced", "column 'tray' unplaced", "'weather'"):
        assert words in refused
    assert "column 'weather' unplaced" in taken


def test_a_source_assets_metadata_name_the_columns(lake: Lakehouse, write: Write) -> None:
    from battery_platform.defs.metadata import ingest_metadata

    report = ingest(lake, write("lab.csv", SHEET), settle=Settle(keep_extra=True))
    told = ingest_metadata([report], 1)
    assert (told["columns_in"], told["columns_placed"], told["columns_extra"]) == (5, 2, 3)
    assert "humidity" in told["columns_not_placed"].md_str


def test_the_command_line_settles_columns(command: Callable[..., Any], write: Write) -> None:
    path = write("lab.csv", SHEET)
    refused = command("check", path)
    assert (refused.status, "humidity" in refused.text) == (1, True)
    (told,) = as_json(command("check", path, "--json"))
    assert [column["outcome"] for column in told["columns"]].count("unplaced") == 3
    settled = command("check", path, "--leave-out", "tray", "--leave-out", "humidity (%)")
    assert (settled.status, "column 'tray' left out" in settled.text) == (0, True)
    assert command("check", path, "--keep-extra").status == 0


# -- what headers mean beside each other and beside their values ------------------------------


def placed(write: Write, settings: Settings, content: str) -> dict[str, str | None]:
    (sheet,) = sheets(write("sheet.csv", content), settings)
    proposal = propose(sheet, "lab", first_cells(sheet), "electrode_sheets")
    assert proposal is not None
    return {
        placement.header: placement.column if placement.used else None
        for placement in proposal.placements
    }


@pytest.mark.parametrize(
    ("header", "values", "stored"),
    [
        ("viscosity", "2.5 4.5", [2.5, 4.5]),
        ("viscosity", "2500 4500", [2.5, 4.5]),
        ("viscosity", "60 120", None),
        ("coating speed", "5 6", None),
        ("thickness", "0.08 0.09", [80.0, 90.0]),
        ("thickness", "80 90", [80.0, 90.0]),
        ("thickness", "3 900", None),
        ("loading", "12 14", [12.0, 14.0]),
        ("loading", "120 140", [12.0, 14.0]),
        ("loading", "38 44", None),
        ("porosity", "0.35 0.4", [35.0, 40.0]),
    ],
)
def test_a_number_without_a_unit_is_told_by_its_values_or_asked(
    take: Take, lake: Lakehouse, header: str, values: str, stored: list[float] | None
) -> None:
    first, second = values.split()
    content = f"sample;{header};area (cm²)\nE1;{first};1.1\nE2;{second};1.1\n"
    if header not in ("thickness", "loading", "porosity"):
        content = f"sample;{header};thickness (µm)\nE1;{first};80\nE2;{second};81\n"
    report = take("sheet.csv", content)
    if stored is None:
        assert report.status == "refused"
        assert "no unit is stated" in report.reason
        return
    name = {
        "viscosity": "viscosity_pa_s",
        "thickness": "thickness_um",
        "loading": "mass_loading_mg_cm2",
        "porosity": "porosity_pct",
    }[header]
    rows = lake.rows(f"SELECT {name} FROM raw_electrode_sheets ORDER BY electrode_id")
    assert [value for (value,) in rows] == pytest.approx(stored)
    assert any(name in note and "no unit is stated" in note for note in report.notes)


def test_a_loading_is_weighed_against_the_thickness_beside_it(
    write: Write, settings: Settings
) -> None:
    """12 mg/cm² on 60 µm is a coating; on 500 µm it would be g/m² just as little: nobody knows."""
    thin = placed(write, settings, "sample;loading;thickness (µm)\nE1;12;60\nE2;13;62\n")
    thick = placed(write, settings, "sample;loading;thickness (µm)\nE1;12;500\nE2;13;510\n")
    assert thin["loading"] == "mass_loading_mg_cm2"
    assert thick["loading"] is None


def test_equal_claims_on_a_column_are_nobodys(write: Write, settings: Settings) -> None:
    told = placed(write, settings, "sample;Dicke (µm);Schichtdicke (µm)\nE1;80;85\nE2;81;86\n")
    assert told == {"sample": "electrode_id", "Dicke (µm)": None, "Schichtdicke (µm)": None}


@pytest.mark.parametrize(
    ("header", "cells", "column"),
    [
        ("Proben-Nr.;Charge;Dicke (µm)", "P1;A1;80", "slurry_id"),
        ("Échantillon;Charge;Épaisseur (µm)", "P1;12;80", None),
        ("Échantillon;Charge (mg/cm²);Épaisseur (µm)", "P1;12;80", "mass_loading_mg_cm2"),
        ("Sample;Charge;Thickness (µm)", "P1;12;80", None),
    ],
)
def test_one_word_in_three_languages(
    write: Write, settings: Settings, header: str, cells: str, column: str | None
) -> None:
    told = placed(write, settings, f"{header}\n{cells}\n{cells.replace('P1', 'P2')}\n")
    assert told[header.split(";")[1]] == column


def test_a_total_thickness_alone_is_no_coating_thickness(write: Write, settings: Settings) -> None:
    told = placed(write, settings, "sample;Dicke ges. (µm);porosity (%)\nE1;95;30\n")
    assert told["Dicke ges. (µm)"] is None


def test_dates_are_no_quantity_and_quantities_no_date(write: Write, settings: Settings) -> None:
    told = placed(
        write, settings, "sample;measured;porosity (%);Datum\nE1;1.5;01.02.2026;02.03.2026\n"
    )
    assert told["measured"] is None
    assert told["porosity (%)"] is None
    assert told["Datum"] == "measured_at"


# -- tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "table"),
    [
        ("step;capacity_nominal;mode;duration;limit", None),
        ("date;weather", None),
        ("operator;remark", None),
        ("sample;a;b;c;d;e;f", None),
        ("sample;porosity", "electrode_sheets"),
        ("Kalander-Nr.;Trocknungs-Nr.;Dicke vor (µm);Dicke nach (µm)", "calenderings"),
        ("N° enduction;Lot d'encre;Entrefer (µm);Vitesse de bande (m/min)", "coatings"),
        ("slurry no;AM content (%);solids (%);viscosity (Pa s)", "slurry_batches"),
        ("Zelle;Elektrode;Zelltyp", "cells"),
        ("lot no.;kind;material;supplier", "material_lots"),
    ],
)
def test_a_table_takes_its_key_and_a_share_of_the_headers(header: str, table: str | None) -> None:
    assert best_table(header.split(";")) == table


# -- the list of headers ----------------------------------------------------------------------


@pytest.mark.parametrize("half", ["development", "held_out"])
def test_headers_of_plants_and_laboratories(half: str) -> None:
    """Nine of ten are placed in each language, and none wrongly."""
    with (HEADERS / f"{half}.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="|"))
    wrong, right, all_ = [], Counter[str](), Counter[str]()
    for row in rows:
        match = match_header(row["header"], row["table"])
        used = match.column if match and match.confidence >= CERTAIN else ""
        if used and used != row["column"]:
            wrong.append((row["table"], row["header"], used))
        if row["column"]:
            all_[row["language"]] += 1
            right[row["language"]] += used == row["column"]
    assert wrong == []
    assert {language: right[language] / n >= 0.9 for language, n in all_.items()} == dict.fromkeys(
        all_, True
    )


def test_wide_tables_take_time_in_proportion(lake: Lakehouse, write: Write) -> None:
    """Ten times the columns may not take a hundred times as long; unplaced ones are named in short."""
    wide = pl.DataFrame({f"channel {n}": [1.5] * 3 for n in range(4000)})
    content = wide.insert_column(0, pl.Series("sample", ["E1", "E2", "E3"])).insert_column(
        1, pl.Series("porosity (%)", [30.0, 31.0, 32.0])
    )
    report = check(lake, write("wide.csv", content.write_csv()))
    assert report.status == "refused"
    assert len(report.reason) < 2000


def test_a_small_file_is_looked_at_once(
    lake: Lakehouse, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look at the first bytes serves all who ask what a file is."""
    path = worked(write)
    long_ago = 1_700_000_000
    os.utime(path, (long_ago, long_ago))
    time.sleep(0.06)  # what changed a moment ago is read anew
    opened: list[Path] = []
    plain_open = Path.open

    def counting(self: Path, *words: Any, **more: Any) -> Any:
        if self == path:
            opened.append(self)
        return plain_open(self, *words, **more)

    monkeypatch.setattr(Path, "open", counting)
    assert check(lake, path).total("rows_accepted") == 9
    assert len(opened) <= 6


def test_an_electrodes_table_is_told_from_a_sheet(write: Write, settings: Settings) -> None:
    steps = "Electrode;Coating;Calendering;Area (cm2);Thickness (um);Loading (mg/cm2);Porosity (%)"
    assert best_table(steps.split(";")) == "electrodes"
    flat = "Sample;Coating;Thickness (um);Loading (mg/cm2);Porosity (%)"
    assert best_table(flat.split(";")) == "electrode_sheets"


@pytest.mark.parametrize(
    ("efficiencies", "basis"),
    [
        (("92", "99.15"), "discharge_per_charge"),
        (("108.7", "100.86"), "charge_per_discharge"),
        (("92", "100.86"), None),
    ],
)
def test_the_way_round_of_an_efficiency_follows_from_its_row(
    write: Write, settings: Settings, efficiencies: tuple[str, str], basis: str | None
) -> None:
    first, second = efficiencies
    head = "Test ID;Cycle;Charge capacity (mAh);Discharge capacity (mAh);CE (%)"
    content = f"{head}\nT1;1;2.5;2.3;{first}\nT1;2;2.35;2.33;{second}\n"
    (sheet,) = sheets(write("cycles.csv", content), settings)
    proposal = propose(sheet, "lab", first_cells(sheet))
    assert proposal is not None
    assert proposal.mapping.table == "test_cycles"
    assert proposal.mapping.constants.get("efficiency_basis") == basis
