"""The same records in any form a plant may hand in: one content, one set of rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
import xlsxwriter
import yaml

from battery_platform.contracts.units import conversion
from battery_platform.records import catalogue
from battery_platform.records.headers import CERTAIN, match_header, split_header
from battery_platform.records.ingest import Report, ingest, retry
from battery_platform.records.mapping import load, parse
from battery_platform.records.proposing import propose
from battery_platform.records.reading import sheets
from battery_platform.records.sources import take_public
from battery_platform.settings import Settings
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str | bytes], Path]
Take = Callable[..., Report]

LOTS_HEADER = (
    "lot",
    "kind",
    "material",
    "supplier",
    "D50 (µm)",
    "density (g/cm³)",
    "received",
)
LOTS: tuple[tuple[Any, ...], ...] = (
    ("L-1", "active_material", "NMC111, fin", "Müller & Söhne", 8.5, 4.7, "2026-03-01 08:00:00"),
    ("L-2", "binder", "PVdF; 5130", "Établissement Côté", None, 1.78, "2026-03-02 00:00:00"),
    ("L-3", "conductive_additive", "carbon\tblack", "Ångström", 0.0425, 1.95, None),
    ("007", "solvent", 'NMP "dry"', "Ñandú", None, 1.0281, "2026-03-04 23:59:59"),
    ("1.10", "separator", "tri|layer", "-ÿ-", 25.0, 0.95, "2026-12-31 12:30:00"),
)


def text_of(cells: tuple[Any, ...], decimal: str) -> list[str]:
    return [
        "" if cell is None else str(cell).replace(".", decimal) if isinstance(cell, float) else cell
        for cell in cells
    ]


def delimited(delimiter: str, decimal: str = ".", rows: tuple[tuple[Any, ...], ...] = LOTS) -> str:
    target = io.StringIO(newline="")
    writer = csv.writer(target, delimiter=delimiter)
    writer.writerow(LOTS_HEADER)
    writer.writerows(text_of(row, decimal) for row in rows)
    return target.getvalue()


def workbook(path: Path, fill: Callable[[Any], None]) -> Path:
    with xlsxwriter.Workbook(path) as book:
        fill(book)
    return path


def put(page: Any, rows: list[Any], at: tuple[int, int] = (0, 0)) -> None:
    """Write rows of cells; a cell that is None stays untouched."""
    for number, row in enumerate(rows):
        for position, cell in enumerate(row):
            if cell is not None:
                page.write(at[0] + number, at[1] + position, cell)


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """A lake that holds the lots already: the same rows are known, others would contradict."""
    home = tmp_path_factory.mktemp("stocked")
    opened = Lakehouse(Settings(home=home, threads=2))
    path = home / "reference.csv"
    path.write_text(delimited(","))
    report = ingest(opened, path)
    assert (report.total("rows_accepted"), report.total("rows_new")) == (len(LOTS), len(LOTS))
    yield opened
    opened.close()


def assert_same_rows(lake: Lakehouse, path: Path) -> None:
    report = ingest(lake, path)
    assert report.status == "taken", report.reason
    reasons = [message for outcome in report.outcomes for message in outcome.violations["message"]]
    assert reasons == []
    assert report.total("rows_accepted") == len(LOTS)
    assert report.total("rows_new") == 0


# -- one content, many forms ----------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_delimited_text_in_any_dialect(
    stocked: Lakehouse, tmp_path: Path, decimal: str, encoding: str
) -> None:
    for name, delimiter in (("comma", ","), ("semicolon", ";"), ("tab", "\t"), ("bar", "|")):
        content = delimited(delimiter, decimal)
        ending = {"latin-1": "\n", "cp1252": "\r\n"}.get(encoding, "\r\n")
        path = tmp_path / f"{name}.txt"
        path.write_bytes(content.replace("\r\n", ending).encode(encoding))
        if (delimiter, decimal, encoding) == (",", ".", "utf-8"):
            continue  # these are the reference's own bytes
        assert_same_rows(stocked, path)


def test_a_workbook_holds_the_same_rows(stocked: Lakehouse, tmp_path: Path) -> None:
    path = tmp_path / "lots.xlsx"
    workbook(path, lambda book: put(book.add_worksheet(), [LOTS_HEADER, *LOTS]))
    assert_same_rows(stocked, path)


def test_a_workbook_with_dates_as_dates(stocked: Lakehouse, tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        page = book.add_worksheet()
        put(page, [LOTS_HEADER, *[row[:-1] for row in LOTS]])
        form = book.add_format({"num_format": "dd.mm.yyyy hh:mm"})
        for number, row in enumerate(LOTS, start=1):
            if row[-1]:
                page.write_datetime(number, 6, datetime.fromisoformat(row[-1]), form)

    assert_same_rows(stocked, workbook(tmp_path / "dated.xlsx", fill))


def lots_frame() -> pl.DataFrame:
    frame = pl.DataFrame(LOTS, schema=list(LOTS_HEADER), orient="row", infer_schema_length=None)
    return frame.with_columns(pl.col("received").str.to_datetime(time_unit="us"))


def test_parquet_with_typed_columns(stocked: Lakehouse, tmp_path: Path) -> None:
    frame = lots_frame()
    variants = {
        "plain": frame,
        "milliseconds": frame.with_columns(pl.col("received").cast(pl.Datetime("ms"))),
        "zoned": frame.with_columns(
            pl.col("received").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
        ),
        "words": frame.with_columns(pl.col("kind").cast(pl.Categorical)),
        "decimals": frame.with_columns(pl.col("density (g/cm³)").cast(pl.Decimal(10, 4))),
        "further": frame.with_columns(pl.lit(pl.Series("list", [[1, 2]] * 5)), flag=pl.lit(True)),
    }
    for name, variant in variants.items():
        path = tmp_path / f"{name}.parquet"
        variant.write_parquet(path)
        assert_same_rows(stocked, path)


def test_parquet_with_single_precision_and_dates(take: Take, lake: Lakehouse) -> None:
    target = io.BytesIO()
    pl.DataFrame(
        {"lot": [1], "kind": ["binder"], "material": ["PVdF"], "received": [date(2026, 3, 1)]}
    ).with_columns(pl.lit(1.78, dtype=pl.Float32).alias("density (g/cm³)")).write_parquet(target)
    take("lot.parquet", target.getvalue())
    stored = lake.rows("SELECT lot_id, density_g_cm3, received_at FROM raw_material_lots")
    assert stored == [("1", 1.78, datetime(2026, 3, 1))]


# -- what stands around the table -----------------------------------------------------------


def test_preamble_unit_row_and_trailing_blanks(stocked: Lakehouse, tmp_path: Path) -> None:
    header = [*LOTS_HEADER[:4], "D50", "density", "received"]
    body = delimited(";").splitlines()[1:]
    lines = [
        "Plant 3;;;;;;",
        "exported on 2026-04-01;;;;;;",
        "",
        ";".join(header),
        ";;;;µm;g/cm³;",
        *[f"{line};;" for line in body],
        ";;;;;;",
        "   ",
        "",
    ]
    path = tmp_path / "preamble.csv"
    path.write_text("\n".join(lines))
    assert_same_rows(stocked, path)


def test_a_row_of_units_other_than_ours(take: Take, lake: Lakehouse) -> None:
    head = "test id;point;test time;cycle;voltage;current;capacity\n"
    report = take("points.csv", head + ";;h;;mV;A;Ah\nT;1;0,5;1;3500;0,25;0,1\n")
    assert (report.total("rows_in"), report.total("rows_accepted")) == (1, 1)
    stored = lake.rows("SELECT test_time_s, voltage_v, current_a FROM raw_test_points")
    assert stored == [(1800.0, 3.5, 0.25)]


def test_rows_are_numbered_as_a_text_editor_does(take: Take, lake: Lakehouse) -> None:
    text = "Plant 3\n\nlot;kind;material\nL1;binder;PVdF\n\nL2;binder;CMC\nL3;wrong;SBR\n"
    take("lots.csv", text)
    rows = lake.rows("SELECT lot_id, row_number FROM raw_material_lots ORDER BY 1")
    assert rows == [("L1", 4), ("L2", 6)]
    assert lake.rows("SELECT row_number, field FROM quarantine") == [(7, "material_kind")]


def test_a_value_over_two_lines_keeps_the_numbering(take: Take, lake: Lakehouse) -> None:
    take("lots.csv", 'lot;kind;material\nL1;binder;"PV\ndF"\nL2;binder;CMC\n')
    rows = lake.rows("SELECT lot_id, material_name, row_number FROM raw_material_lots ORDER BY 1")
    assert rows == [("L1", "PV\ndF", 2), ("L2", "CMC", 4)]


def test_rows_of_a_workbook_are_numbered_as_excel_does(lake: Lakehouse, tmp_path: Path) -> None:
    """The table begins at C4, with a blank row inside."""
    table = [("lot", "kind", "material"), ("L1", "binder", "PVdF"), (), ("L2", "wrong", "CMC")]
    path = tmp_path / "lots.xlsx"
    workbook(path, lambda book: put(book.add_worksheet(), table, at=(3, 2)))
    report = ingest(lake, path)
    assert (report.total("rows_in"), report.total("rows_accepted")) == (2, 1)
    assert lake.rows("SELECT lot_id, row_number FROM raw_material_lots") == [("L1", 5)]
    assert lake.value("SELECT row_number FROM quarantine") == 7


def test_several_sheets(lake: Lakehouse, tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        notes = book.add_worksheet("notes")
        put(notes, [("Please mind the new scale.",)])
        put(book.add_worksheet("lots"), [LOTS_HEADER, *LOTS])
        put(
            book.add_worksheet("electrodes"),
            [("sample", "porosity [%]"), ("E1", 50), ("E2", 500)],
        )
        book.add_worksheet("empty")
        chart = book.add_chart({"type": "line"})
        chart.add_series({"values": "=lots!$F$2:$F$6"})
        book.add_chartsheet("picture").set_chart(chart)

    report = ingest(lake, workbook(tmp_path / "campaign.xlsx", fill))
    assert [
        (outcome.sheet, outcome.table, outcome.rows_in, outcome.rows_accepted)
        for outcome in report.outcomes
    ] == [
        ("lots", "material_lots", 5, 5),
        ("electrodes", "electrode_sheets", 2, 1),
    ]
    assert any("notes" in note for note in report.notes)
    assert balance(lake).broken == ()
    assert lake.rows("SELECT sheet, row_number FROM quarantine") == [("electrodes", 3)]


def test_a_formula_that_failed_is_not_read_as_missing(lake: Lakehouse, tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        page = book.add_worksheet()
        put(page, [LOTS_HEADER, *LOTS])
        page.write_formula(1, 4, "=1/0", None, "#DIV/0!")

    report = ingest(lake, workbook(tmp_path / "lots.xlsx", fill))
    assert (report.total("rows_accepted"), report.total("rows_quarantined")) == (4, 1)
    assert lake.value("SELECT field FROM quarantine") == "d50_um"


def test_digits_of_a_workbook_are_kept(lake: Lakehouse, tmp_path: Path) -> None:
    values = [1.2345678901234567, 4 / 3, 1.0 + 2**-40]
    table = [
        ("lot", "kind", "material", "density"),
        *[(f"L{i}", "binder", "x", v) for i, v in enumerate(values)],
    ]
    ingest(lake, workbook(tmp_path / "lots.xlsx", lambda book: put(book.add_worksheet(), table)))
    stored = lake.rows("SELECT density_g_cm3 FROM raw_material_lots ORDER BY lot_id")
    assert [value for (value,) in stored] == pytest.approx(values, rel=1e-14)


@pytest.mark.parametrize("stated", ["porosity", "porosity [%]", "porosity (fraction)"])
def test_percent_or_fraction(take: Take, lake: Lakehouse, stated: str) -> None:
    factor = 100 if stated == "porosity [%]" else 1
    rows = "".join(f"E{k};{value * factor:.6g}\n" for k, value in enumerate((0.25, 0.5, 0.29)))
    report = take("sheet.csv", f"sample;{stated}\n{rows}")
    assert report.total("rows_accepted") == 3
    stored = lake.rows("SELECT porosity_pct FROM raw_electrode_sheets ORDER BY electrode_id")
    assert stored == [(25.0,), (50.0,), (29.0,)]
    assert any("fraction" in note for note in report.notes) == (stated == "porosity")


def test_replicates_without_identifiers(take: Take, lake: Lakehouse) -> None:
    head = "active material content [%];solid content [%];gap (µm);porosity (%)\n"
    report = take("lab.csv", head + "96;60;100;50\n96;60;100;50\n96;60;100;51\n92;60;100;40\n")
    assert report.total("rows_new") == 4
    stored = lake.rows(
        "SELECT count(DISTINCT electrode_id), count(DISTINCT coating_id), "
        "count(DISTINCT slurry_id), max(replicate) FROM raw_electrode_sheets"
    )
    assert stored == [(4, 2, 2, 3)]


# -- headers --------------------------------------------------------------------------------

SHEET = "electrode_sheets"
HEADERS = [
    (SHEET, "Thickness (µm)", "thickness_um", 1.0),
    (SHEET, "thickness [mm]", "thickness_um", 1000.0),
    (SHEET, "Thickness /um", "thickness_um", 1.0),
    (SHEET, "Thickness / µm", "thickness_um", 1.0),
    (SHEET, "coating thickness in µm", "thickness_um", 1.0),
    (SHEET, "coating thickness, microns", "thickness_um", 1.0),
    (SHEET, "thickness_um", "thickness_um", 1.0),
    (SHEET, "Schichtdicke [μm]", "thickness_um", 1.0),
    (SHEET, "Dicke in mm", "thickness_um", 1000.0),
    (SHEET, "Épaisseur (µm)", "thickness_um", 1.0),
    (SHEET, "épaisseur en µm", "thickness_um", 1.0),
    (SHEET, "EPAISSEUR [mm]", "thickness_um", 1000.0),
    (SHEET, "mass loading (mg/cm²)", "mass_loading_mg_cm2", 1.0),
    (SHEET, "mass loading [mg/cm2]", "mass_loading_mg_cm2", 1.0),
    (SHEET, "Mass Loading (mg cm-2)", "mass_loading_mg_cm2", 1.0),
    (SHEET, "mass loading (mg·cm⁻²)", "mass_loading_mg_cm2", 1.0),
    (SHEET, "mass loading (mg.cm-2)", "mass_loading_mg_cm2", 1.0),
    (SHEET, "mass loading (mg cm^-2)", "mass_loading_mg_cm2", 1.0),
    (SHEET, "Beladung [g/m²]", "mass_loading_mg_cm2", 0.1),
    (SHEET, "Flächengewicht (g/m2)", "mass_loading_mg_cm2", 0.1),
    (SHEET, "Masse surfacique (mg/cm²)", "mass_loading_mg_cm2", 1.0),
    (SHEET, "Grammage [g m-2]", "mass_loading_mg_cm2", 0.1),
    (SHEET, "Porosity (%)", "porosity_pct", 1.0),
    (SHEET, "Porosität [Vol.%]", "porosity_pct", 1.0),
    (SHEET, "porosité (fraction)", "porosity_pct", 100.0),
    (SHEET, "Porosity [-]", "porosity_pct", 100.0),
    (SHEET, "Feststoffgehalt [Gew.-%]", "solid_content_pct", 1.0),
    (SHEET, "Taux de solide (%)", "solid_content_pct", 1.0),
    (SHEET, "solid content, wt%", "solid_content_pct", 1.0),
    (SHEET, "Active material (wt.%)", "active_material_pct", 1.0),
    (SHEET, "active material [%]", "active_material_pct", 1.0),
    (SHEET, "Aktivmaterial [%]", "active_material_pct", 1.0),
    (SHEET, "Matière active (%)", "active_material_pct", 1.0),
    (SHEET, "Viskosität [mPa·s]", "viscosity_pa_s", 0.001),
    (SHEET, "Viscosity (Pa.s)", "viscosity_pa_s", 1.0),
    (SHEET, "Viscosity (Pas)", "viscosity_pa_s", 1.0),
    (SHEET, "Viscosity [cP]", "viscosity_pa_s", 0.001),
    (SHEET, "Bahngeschwindigkeit [m/min]", "coating_speed_m_min", 1.0),
    (SHEET, "coating speed (mm/s)", "coating_speed_m_min", 0.06),
    (SHEET, "Trocknungstemperatur [°C]", "drying_temperature_degc", 1.0),
    (SHEET, "Drying temperature (degC)", "drying_temperature_degc", 1.0),
    (SHEET, "Solid density (g cm-3)", "composite_density_g_cm3", 1.0),
    (SHEET, "Reindichte [kg/m³]", "composite_density_g_cm3", 0.001),
    (SHEET, "Capacité spécifique (mAh/g)", "specific_capacity_mah_g", 1.0),
    (SHEET, "specific capacity (mAh g-1)", "specific_capacity_mah_g", 1.0),
    (SHEET, "specific capacity [Ah/kg]", "specific_capacity_mah_g", 1.0),
    (SHEET, "Haftkraft [N/m]", "adhesion_n_m", 1.0),
    (SHEET, "peel force (N/mm)", "adhesion_n_m", 1000.0),
    ("calenderings", "line load (kN/m)", "line_load_n_mm", 1.0),
    ("calenderings", "Linienlast [N/mm]", "line_load_n_mm", 1.0),
    ("slurry_batches", "shear rate (s-1)", "shear_rate_1_s", 1.0),
    ("slurry_batches", "Scherrate [1/s]", "shear_rate_1_s", 1.0),
    ("dryings", "drying time (h)", "drying_time_min", 60.0),
    ("dryings", "Trocknungszeit [min]", "drying_time_min", 1.0),
    ("test_points", "Time (s)", "test_time_s", 1.0),
    ("test_points", "time [h]", "test_time_s", 3600.0),
    ("test_points", "Voltage (mV)", "voltage_v", 0.001),
    ("test_points", "Spannung [V]", "voltage_v", 1.0),
    ("test_points", "Current (A)", "current_a", 1.0),
    ("test_points", "Current (mA)", "current_a", 0.001),
    ("test_points", "capacity [mAh]", "step_capacity_ah", 0.001),
    ("test_points", "energy (mWh)", "step_energy_wh", 0.001),
    ("test_cycles", "discharge capacity (Ah)", "discharge_capacity_mah", 1000.0),
]


@pytest.mark.parametrize(("table", "header", "column", "factor"), HEADERS, ids=str)
def test_headers_with_units(table: str, header: str, column: str, factor: float) -> None:
    match = match_header(header, table)
    assert match is not None
    assert match.column == column
    assert match.confidence >= CERTAIN
    unit = split_header(header).unit
    assert unit is not None
    both = conversion(unit, column)
    assert both is not None
    assert both[0] == pytest.approx(factor)


def test_temperatures_are_shifted() -> None:
    assert conversion("K", "drying_temperature_degc") == pytest.approx((1.0, -273.15))
    assert conversion("°F", "drying_temperature_degc") == pytest.approx((5 / 9, -160 / 9))


@pytest.mark.parametrize(
    ("table", "header"),
    [
        (SHEET, "Dicke [mg]"),
        (SHEET, "porosity (µm)"),
        ("test_points", "current (kg)"),
        ("test_points", "voltage [s]"),
        (SHEET, "weather"),
        (SHEET, "Density (g cm-3)"),
        (SHEET, ""),
    ],
)
def test_headers_that_fit_no_column(table: str, header: str) -> None:
    match = match_header(header, table) if header else None
    assert match is None or match.confidence < CERTAIN


def test_a_unit_is_never_ignored(take: Take, lake: Lakehouse) -> None:
    take("points.csv", "test id,point,time (s),cycle,voltage (V),current (mA)\nT,1,0,1,3.5,250\n")
    assert lake.value("SELECT current_a FROM raw_test_points") == pytest.approx(0.25)


# -- proposals ------------------------------------------------------------------------------


def test_a_proposal_says_what_it_could_not_place(write: Write, settings: Settings) -> None:
    path = write(
        "lab.csv",
        "sample;porosity;thikness (µm);operator;weather;porosity (%)\nE1;0.5;100;Ann;wet;50\n",
    )
    (sheet,) = sheets(path, settings)
    first = next(sheet.rows).cells
    proposal = propose(sheet, "lab", first)
    assert proposal is not None
    assert proposal.usable
    placed = {placement.header: placement for placement in proposal.placements}
    assert placed["operator"].column == "operator"
    assert placed["weather"].column is None
    assert placed["sample"].column == "electrode_id"
    assert placed["thikness (µm)"].confidence < CERTAIN
    assert "thickness_um" not in proposal.mapping.columns
    assert sum(placement.column == "porosity_pct" for placement in proposal.placements) == 1


def test_a_proposal_names_what_is_missing(write: Write, settings: Settings) -> None:
    path = write("cells.csv", "cell;format\nC1;coin\n")
    (sheet,) = sheets(path, settings)
    proposal = propose(sheet, "lab", next(sheet.rows).cells, "cells")
    assert proposal is not None
    assert not proposal.usable
    assert proposal.missing == ("electrode_id",)


def test_a_proposed_mapping_reads_as_if_there_were_none(
    command: Callable[..., Any], write: Write, lake: Lakehouse
) -> None:
    path = write("lots.csv", delimited(";", ","))
    answer = command("map", path)
    assert answer.status == 0
    written = path.with_name("lots.map.yaml")
    (mapping,) = load(written)
    assert mapping.table == "material_lots"
    assert (mapping.delimiter, mapping.decimal) == (";", ",")
    assert yaml.safe_load(written.read_text("utf-8"))["columns"]["d50_um"]["unit"] == "µm"
    assert ingest(lake, path).total("rows_accepted") == len(LOTS)
    again = command("map", path)
    assert (again.status, "exists already" in again.text) == (1, True)


def test_map_tells_what_found_no_place(command: Callable[..., Any], write: Write) -> None:
    path = write("cells.csv", "cell;format;weather\nC1;coin;wet\n")
    answer = command("map", path, "--table", "cells", "--no-write")
    assert answer.status == 1
    for words in ("not placed", "weather", "electrode_id"):
        assert words in answer.text
    assert not path.with_name("cells.map.yaml").exists()


def test_a_mapping_with_words_constants_and_positions(take: Take, lake: Lakehouse) -> None:
    mapping = {
        "source": "line_2",
        "table": "material_lots",
        "header_row": 0,
        "delimiter": ";",
        "decimal": ",",
        "timezone": "Europe/Berlin",
        "datetime_format": "%d.%m.%Y %H:%M",
        "missing": ["n.b.", "-999"],
        "columns": {
            "lot_id": {"column": 1},
            "material_kind": {"column": 2},
            "d50_um": {"column": 3, "unit": "nm"},
            "received_at": {"column": 4},
        },
        "constants": {"material_name": "Graphit"},
        "values": {"material_kind": {"Aktivmaterial": "active_material"}},
    }
    take(
        "lots.csv",
        "L1;Aktivmaterial;8500,5;01.07.2026 12:00\nL2;aktivmaterial;-999;n.b.\n",
        mapping,
    )
    stored = lake.rows(
        "SELECT lot_id, material_kind, material_name, d50_um, received_at FROM raw_material_lots"
    )
    assert stored == [("L1", "active_material", "Graphit", 8.5005, datetime(2026, 7, 1, 10))]
    assert lake.rows("SELECT row_number, rule FROM quarantine") == [(2, "allowed_word")]


def test_mappings_by_pattern(lake: Lakehouse, write: Write, settings: Settings) -> None:
    settings.mappings_folder.mkdir(parents=True)
    (settings.mappings_folder / "points.map.yaml").write_text(
        yaml.safe_dump(
            {
                "source": "bench_7",
                "table": "material_lots",
                "files": "goods_*.csv",
                "columns": {"lot_id": "A", "material_kind": "B", "material_name": "C"},
            }
        )
    )
    report = ingest(lake, write("goods_3.csv", "A;B;C\nL1;binder;PVdF\n"))
    assert (report.status, report.source_id) == ("taken", "bench_7")


# -- time -----------------------------------------------------------------------------------


def take_moments(take: Take, moments: list[str], **more: Any) -> Report:
    rows = "".join(f"L{k};binder;PVdF;{moment}\n" for k, moment in enumerate(moments))
    mapping = {
        "source": "lab",
        "table": "material_lots",
        "columns": {
            name: name for name in ("lot_id", "material_kind", "material_name", "received_at")
        },
    }
    head = "lot_id;material_kind;material_name;received_at\n"
    return take("lots.csv", head + rows, mapping | more)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_clocks_of_any_zone(take: Take, lake: Lakehouse, zone: str) -> None:
    local = [datetime(2026, 1, 15, 12) + timedelta(days=30 * k, minutes=7) for k in range(12)]
    take_moments(take, [moment.isoformat(" ") for moment in local], timezone=zone)
    expected = [
        (moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None),)
        for moment in local
    ]
    assert lake.rows("SELECT received_at FROM raw_material_lots ORDER BY 1") == expected


def test_an_hour_that_the_clock_repeats_or_leaves_out(take: Take, lake: Lakehouse) -> None:
    moments = ["2026-10-25 01:59:59", "2026-10-25 02:30:00", "2026-10-25 03:00", "2026-03-29 02:30"]
    report = take_moments(take, moments, timezone="Europe/Berlin")
    assert report.total("rows_accepted") == 2
    assert lake.rows("SELECT row_number, rule FROM quarantine ORDER BY 1") == [
        (3, "clock_change"),
        (5, "clock_change"),
    ]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_stamp_that_states_its_offset_needs_no_zone(
    take: Take, lake: Lakehouse, zone: str
) -> None:
    """`Z` is Greenwich whatever the mapping says of stamps without one."""
    take_moments(take, ["2026-07-01T12:00:00Z"], timezone=zone)
    assert lake.rows("SELECT received_at FROM raw_material_lots") == [(datetime(2026, 7, 1, 12),)]


def test_a_stamp_of_another_form_is_told(take: Take, lake: Lakehouse) -> None:
    take_moments(take, ["01.07.2026", "7/1/2026 3:00 PM", "2026-02-30 12:00", "2026-07-01"])
    assert lake.rows("SELECT row_number, rule FROM quarantine ORDER BY 1") == [
        (2, "moment"),
        (3, "moment"),
        (4, "moment"),
    ]
    assert "datetime_format" in lake.value("SELECT min(remedy) FROM quarantine")


def test_a_quarantined_row_is_judged_again_as_it_was_read(take: Take, lake: Lakehouse) -> None:
    """`retry` uses the mapping of the first reading, decimal mark and time zone included."""
    mapping = {
        "source": "lab",
        "table": "cells",
        "timezone": "Europe/Berlin",
        "columns": {
            "cell_id": "A",
            "electrode_id": "B",
            "cell_format": "C",
            "assembled_at": "D",
        },
    }
    take("cells.csv", "A;B;C;D\nC1;E1;coin;2026-07-01 12:00\n", mapping)
    take("sheet.csv", "sample;porosity (%)\nE1;50\n")
    (report,) = retry(lake)
    assert report.total("rows_accepted") == 1
    assert lake.rows("SELECT assembled_at FROM raw_cells") == [(datetime(2026, 7, 1, 10),)]


# -- public data ----------------------------------------------------------------------------


def test_public_data_of_the_mirror(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*words: Any) -> None:
        pytest.fail("the mirror lacks a file")

    monkeypatch.setattr(catalogue, "_download", no_network)
    lake = Lakehouse(Settings(home=tmp_path, mirror=mirror, threads=2))
    try:
        for entry in catalogue.entries().values():
            catalogue.fetch(entry, lake.settings)
            reports = take_public(lake, entry)
            assert reports
            assert [report.reason for report in reports if report.status != "taken"] == []
            assert all(report.total("rows_accepted") > 0 for report in reports)
            assert {report.status for report in take_public(lake, entry)} == {"known"}
        assert balance(lake).broken == ()
    finally:
        lake.close()


def test_a_mapping_written_by_hand_is_the_one_that_is_stored(take: Take, lake: Lakehouse) -> None:
    mapping = {
        "source": "lab",
        "table": "material_lots",
        "columns": {"lot_id": "A", "material_kind": "B", "material_name": "C"},
    }
    take("lots.csv", "A;B;C\nL1;binder;PVdF\n", mapping)
    stored = yaml.safe_load(lake.value("SELECT mapping FROM raw_files"))["parts"]
    assert parse(stored[0], Path("lots.csv")) == parse(mapping, Path("lots.csv"))


@pytest.mark.parametrize("word", ["Mittelwert", "mean", "Summe", "Moyenne"])
def test_a_line_that_sums_up_is_no_record(take: Take, lake: Lakehouse, word: str) -> None:
    rows = "".join(f"E{i};5{i}\n" for i in range(1, 5))
    report = take("sheet.csv", f"sample;porosity (%)\n{rows}{word};52,5\n")
    assert (report.total("rows_in"), report.total("rows_accepted")) == (5, 4)
    assert lake.rows("SELECT row_number, rule FROM quarantine") == [(6, "summary_row")]


def test_a_material_name_is_not_placed_as_a_share(take: Take, lake: Lakehouse) -> None:
    take("sheet.csv", "Probe;Aktivmaterial;AM (Gew.-%);Porosität (%)\nE1;NMC811;96,0;50\n")
    assert lake.rows("SELECT active_material, active_material_pct FROM raw_electrode_sheets") == [
        ("NMC811", 96.0)
    ]


def test_one_impossible_date_does_not_hide_the_format(take: Take, lake: Lakehouse) -> None:
    days = "".join(f"E{i};50;{i:02d}.02.2026\n" for i in range(1, 20))
    report = take("sheet.csv", f"sample;porosity (%);date\n{days}E31;50;31.02.2026\n")
    assert (report.total("rows_accepted"), report.total("rows_quarantined")) == (19, 1)


def test_a_file_read_anew_doubles_no_record_that_another_states(
    take: Take, lake: Lakehouse
) -> None:
    """Two files state one lot; the first is taken again under another mapping."""
    text = "lot_id,material_kind,material_name\nL1,binder,PVdF\n"
    columns = {name: name for name in ("lot_id", "material_kind", "material_name")}
    mapping = {"source": "a", "table": "material_lots", "columns": columns}
    take("a.csv", text, mapping)
    take("b.csv", text + "L2,binder,CMC\n", mapping | {"source": "b"})
    take("a.csv", text, mapping | {"licence": "CC0-1.0"})
    assert lake.rows("SELECT lot_id, count(*) FROM raw_material_lots GROUP BY 1 ORDER BY 1") == [
        ("L1", 1),
        ("L2", 1),
    ]
