"""Exports of rheometers: what is read of them, what is left empty, and what is refused."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from battery_platform.errors import RefusedFile
from battery_platform.records.instruments.ares import ARES
from battery_platform.records.instruments.curve_tables import identifier
from battery_platform.records.instruments.flow import knots, viscosity_at
from battery_platform.records.instruments.grid import moment_of, name_and_unit, plain
from battery_platform.records.instruments.model import Instrument, Tidy
from battery_platform.records.instruments.peel import PEEL
from battery_platform.records.instruments.rheocompass import RHEOCOMPASS

Write = Callable[[str, str | bytes], Path]
CURVE = "Steady State Viscosity Curve"
HEADER = "\tPoint No.\tTime\tShear Rate\tShear Stress\tViscosity\tTorque\tStatus"
UNITS = "\t\t[s]\t[1/s]\t[Pa]\t[mPa·s]\t[µN·m]\t"
ROWS = (
    "\t1\t10.000\t0.01\t-0.00022404\t-22.4\t-0.0073426\tDy_auto",
    "\t2\t20.000\t0.1\t0.00073792\t7.4\t0.024184\tDy_auto",
    "\t3\t30.000\t1\t0.012924\t12.9\t0.42355\tDy_auto",
    "\t4\t40.000\t10\t0.10164\t10.2\t3.3312\tDy_auto",
)


def export(*rows: str, name: str = "Slurry-35C", header: str = HEADER, units: str = UNITS) -> str:
    lines = [
        "Project:\tViscosity Curve | PC, 8/1/2019 | 1",
        "",
        f"Test:\t{name}",
        "",
        "Result:\tViscosity curve 1",
        "",
        f"Interval and data points:\t1\t{len(rows)}",
        f"Interval data:{header}",
        "\t\tConstant component",
        *([units] if units else []),
        *rows,
        "",
    ]
    return "\r\n".join(lines)


def records(tidy: Tidy) -> list[dict[str, str]]:
    return [dict(zip(tidy.units, cells, strict=True)) for _, cells in tidy.rows]


def of(tables: list[Tidy], name: str) -> list[dict[str, str]]:
    return [record for tidy in tables if tidy.table == name for record in records(tidy)]


def refused(instrument: Instrument, path: Path) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        instrument.read(path)
    assert caught.value.remedy
    return caught.value


def workbook(path: Path, rows: list[list[object]]) -> Path:
    book = xlsxwriter.Workbook(path)
    sheet = book.add_worksheet()
    for line, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            if cell != "":
                sheet.write(line, column, cell)
    book.close()
    return path


# -- the public files ----------------------------------------------------------------------


@pytest.fixture
def rheometer(mirror: Path) -> Path:
    folder = mirror / "rheometer"
    if not folder.is_dir():
        pytest.skip("the mirror has no rheometer")
    return folder


@pytest.mark.parametrize(
    ("name", "tests"),
    [
        (f"{CURVE}-35C.csv", 12),
        (f"{CURVE}-LO50C.csv", 12),
        (f"{CURVE}-LO50C_excel.xlsx", 12),
        (f"{CURVE}-LO80C.csv", 11),
        ("test_excel.xlsx", 11),
        (f"{CURVE}-LO80C_single_csv.csv", 1),
        (f"{CURVE}-LO80C_single_excel.xlsx", 1),
    ],
)
def test_public_files_have_their_tests_and_points(name: str, tests: int, rheometer: Path) -> None:
    path = rheometer / name
    assert RHEOCOMPASS.recognise(path)
    assert not ARES.recognise(path)
    assert not PEEL.recognise(path)
    flow_tests, flow_points = RHEOCOMPASS.read(path)
    assert (len(flow_tests.rows), len(flow_points.rows)) == (tests, 25 * tests)
    assert {record["points"] for record in records(flow_tests)} == {"25"}
    assert len({record["flow_test_id"] for record in records(flow_tests)}) == tests
    assert [line for line, _ in flow_tests.rows] == list(range(3, 3 + 34 * tests, 34))
    assert flow_points.rows[0][0] == 11
    assert sum("8/1/2019" in note for note in flow_tests.notes) == 1
    assert {record["measured_at"] for record in records(flow_tests)} == {""}


def test_public_curve_has_its_viscosities(rheometer: Path) -> None:
    tables = RHEOCOMPASS.read(rheometer / f"{CURVE}-LO80C_single_csv.csv")
    (test,) = of(tables, "flow_tests")
    # printed as 7.4 mPa·s at 0.1 1/s: 0.00073792 Pa over 0.1 1/s; the others have three digits
    at = [float(test[f"viscosity_at_{rate}_pa_s"]) for rate in ("0p1", "1", "10", "100")]
    assert at == pytest.approx([0.0073792, 0.0129, 0.0102, 0.0103], rel=1e-12)
    assert test["points_without_viscosity"] == "3"
    assert (test["shear_rate_min_1_s"], test["shear_rate_max_1_s"]) == ("0.0316", "100.0")
    assert (test["temperature_degc"], test["temperature_source"]) == ("80.0", "name_of_test")
    points = of(tables, "flow_points")
    assert points[0]["viscosity_pa_s"] == ""
    assert points[0]["viscosity_note"] == ("printed as -22.4 mPa·s: at or below zero, no viscosity")
    assert float(points[4]["viscosity_pa_s"]) == pytest.approx(1000 * 0.0001165 / 0.0464)
    assert tables[1].units["viscosity_pa_s"] == "mPa·s"
    assert tables[1].units["torque_un_m"] == "µN·m"


@pytest.mark.parametrize(
    ("text", "book"),
    [
        (f"{CURVE}-LO80C_single_csv.csv", f"{CURVE}-LO80C_single_excel.xlsx"),
        (f"{CURVE}-LO80C.csv", "test_excel.xlsx"),
        (f"{CURVE}-LO50C.csv", f"{CURVE}-LO50C_excel.xlsx"),
    ],
)
def test_text_and_workbook_give_the_same(text: str, book: str, rheometer: Path) -> None:
    text_tables, book_tables = (
        RHEOCOMPASS.read(rheometer / text),
        RHEOCOMPASS.read(rheometer / book),
    )
    assert text_tables[0].rows == book_tables[0].rows
    assert text_tables[1].units == book_tables[1].units

    def value(cell: str) -> float | str:
        try:
            return float(cell)
        except ValueError:
            return cell

    for (line, cells), (other_line, other_cells) in zip(
        text_tables[1].rows, book_tables[1].rows, strict=True
    ):
        assert line == other_line
        assert list(map(value, cells)) == list(map(value, other_cells))


def test_public_table_without_units_is_refused(rheometer: Path) -> None:
    path = rheometer / "test_edited.csv"
    assert RHEOCOMPASS.recognise(path)
    error = refused(RHEOCOMPASS, path)
    assert "'Viscosity' state no unit" in error.says
    assert "line of units" in error.remedy


def test_public_xml_is_refused(rheometer: Path) -> None:
    path = rheometer / f"{CURVE}-LO80C_xml.xml"
    assert RHEOCOMPASS.recognise(path)
    error = refused(RHEOCOMPASS, path)
    assert "no measured point" in error.says
    assert "CSV or Excel" in error.remedy


@pytest.mark.parametrize("share", [0.01, 0.2, 0.37, 0.5, 0.91, 0.999])
def test_cut_public_file_never_reads_half_a_number(
    share: float, rheometer: Path, tmp_path: Path
) -> None:
    content = (rheometer / f"{CURVE}-LO50C.csv").read_bytes()
    whole = {
        (r["shear_rate_1_s"], r["shear_stress_pa"], r["viscosity_pa_s"])
        for r in of(RHEOCOMPASS.read(rheometer / f"{CURVE}-LO50C.csv"), "flow_points")
    }
    path = tmp_path / "cut.csv"
    path.write_bytes(content[: int(len(content) * share)])
    RHEOCOMPASS.recognise(path)
    try:
        tables = RHEOCOMPASS.read(path)
    except RefusedFile:
        assert share < 0.1
        return
    for record in of(tables, "flow_points"):
        triple = (record["shear_rate_1_s"], record["shear_stress_pa"], record["viscosity_pa_s"])
        assert triple in whole or triple == ("", "", "")


# -- the layout in its many spellings ------------------------------------------------------


def test_points_pass_as_they_stand(write: Write) -> None:
    bad = ("nan", "inf", "", "about 5", "-1")
    rows = [f"\t{i}\t1\t{rate}\t1\t100\t1\tx" for i, rate in enumerate(bad, start=5)]
    tables = RHEOCOMPASS.read(write("a.csv", export(*ROWS, *rows)))
    points = of(tables, "flow_points")
    assert [record["shear_rate_1_s"] for record in points[4:]] == list(bad)
    assert [record["point"] for record in points] == [str(i) for i in range(1, 10)]
    (test,) = of(tables, "flow_tests")
    assert test["viscosity_at_10_pa_s"] == "0.0102"
    assert (
        "no viscosity at 100 1/s: viscosities are measured from 0.1 to 10 1/s"
        in (test["viscosity_note"])
    )


GERMAN = "\r\n".join(
    [
        "Projekt:;P",
        "Versuch:;Paste 25 °C",
        "Ergebnis:;Fließkurve 1",
        "Abschnitt und Messpunkte:;1;3",
        "Abschnittsdaten:;Messpunkt;Zeit;Scherrate;Schubspannung;Viskosität;Status",
        ";;[s];[1/s];[Pa];[Pa·s];",
        ";1;1,5;0,1;0,512;5,12;",
        ";2;2,5;1,0;2,04;2,04;",
        ";3;3,5;1.000;1.234,5;1,23;x",
        "",
    ]
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_german_file_in_any_encoding(encoding: str, write: Write) -> None:
    _read_german(write("de.csv", GERMAN.encode(encoding)))


def test_german_file_in_one_byte(write: Write) -> None:
    _read_german(write("de.csv", GERMAN.encode("latin-1")))


def _read_german(path: Path) -> None:
    assert RHEOCOMPASS.recognise(path)
    tables = RHEOCOMPASS.read(path)
    (test,) = of(tables, "flow_tests")
    assert test["test_name"] == "Paste 25 °C"
    assert (test["viscosity_at_0p1_pa_s"], test["viscosity_at_1_pa_s"]) == ("5.12", "2.04")
    assert (test["temperature_degc"], test["temperature_source"]) == ("25.0", "name_of_test")
    points = of(tables, "flow_points")
    assert points[0]["shear_stress_pa"] == "0.512"
    assert points[2]["shear_stress_pa"] == "1234.5"
    # 1.000 could be one or a thousand: nobody may read it as a number
    assert points[2]["shear_rate_1_s"] == "1.000 (a point in a file of decimal commas)"


def test_french_file_and_an_invalid_point(write: Write) -> None:
    text = (
        "Projet:\tP\nTest:\tT\nRésultat:\tR\nIntervalle et points de données:\t1\t2\n"
        "Interval données:\tPoint No.\tTemps\tIntervalle Temps\tGradient de Cisaillement\t"
        "Contrainte de Cisaillement\tViscosité\tTempérature\n\t\t\t\t\t\t\t\n"
        "\t\t[s]\t[s]\t[1/s]\t[Pa]\t[Pa·s]\t[°C]\n"
        "\t1\t100\t1\t0,1\t0,123\t1,23\t25,0\n\t2 (invalide)\t101\t2\t1\t0,512\t0,512\t25,2\n"
    )
    tables = RHEOCOMPASS.read(write("fr.csv", text.encode("utf-16")))
    (test,) = of(tables, "flow_tests")
    assert (test["temperature_degc"], test["temperature_source"]) == ("25.1", "measured")
    assert test["viscosity_at_1_pa_s"] == ""
    assert "invalid" in test["viscosity_note"]
    points = of(tables, "flow_points")
    assert [record["time_s"] for record in points] == ["1", "2"]
    assert points[1]["status"] == "(2 (invalide))"


def test_rows_that_leave_no_cell_for_the_label(write: Write) -> None:
    text = (
        "Test:\tFlow\nResult:\tD\nDate:\t2024-01-18\nInterval and data points:\t1\t2\n"
        "Interval data:\tShear Rate\tShear Stress\tViscosity\n\t[1/s]\t[Pa]\t[Pa·s]\n"
        "0.1\t4.5\t45.0\n1.0\t35.0\t35.0\n"
    )
    tables = RHEOCOMPASS.read(write("a.csv", text))
    (test,) = of(tables, "flow_tests")
    assert (test["viscosity_at_0p1_pa_s"], test["viscosity_at_1_pa_s"]) == ("45.0", "35.0")
    assert test["measured_at"] == "2024-01-18"


def test_rheoplus_series(write: Write) -> None:
    text = (
        '"Data Series Information"\n"Name:","","","Curve 1"\n"Date/Time:","","","13.05.2015; 10:11"\n'
        '"Interval:","","","1"\n""\n"Meas. Pts.","Shear Rate","Shear Stress","Viscosity","Torque"\n'
        '"","[1/s]","[Pa]","[Pa·s]","[mNm]"\n"1","0.1","1","10","1"\n"2","1","5","5","1"\n'
    )
    path = write("a.csv", text)
    assert RHEOCOMPASS.recognise(path)
    tables = RHEOCOMPASS.read(path)
    (test,) = of(tables, "flow_tests")
    assert (test["test_name"], test["viscosity_at_1_pa_s"]) == ("Curve 1", "5.0")
    assert tables[1].units["torque_un_m"] == "mN·m"


def test_units_in_the_header(write: Write) -> None:
    text = (
        "Point No.,Time [s],Shear Rate [1/s],Shear Stress [Pa],Viscosity [Pa·s]\n"
        "1,1,1,35.4,35.4\n2,2,10,251,25.1\n"
    )
    tables = RHEOCOMPASS.read(write("a.csv", text))
    (test,) = of(tables, "flow_tests")
    assert (test["test_name"], test["viscosity_at_10_pa_s"]) == ("flow curve", "25.1")


@pytest.mark.parametrize(
    ("units", "says"),
    [
        ("", "'Shear Rate', 'Shear Stress', 'Viscosity' state no unit"),
        ("\t\t[s]\t[1/s]\t[Pa]\t\t[µN·m]\t", "'Viscosity' state no unit"),
        ("\t\t[s]\t[1/s]\t[Pa]\t[mm]\t[µN·m]\t", "'mm', which is no unit of it"),
    ],
)
def test_units_are_never_guessed(units: str, says: str, write: Write) -> None:
    assert says in refused(RHEOCOMPASS, write("a.csv", export(*ROWS, units=units))).says


def test_column_without_unit_is_left_out(write: Write) -> None:
    units = "\t\t[s]\t[1/s]\t[Pa]\t[mPa·s]\t\t"
    tables = RHEOCOMPASS.read(write("a.csv", export(*ROWS, units=units)))
    assert "torque_un_m" not in tables[1].units
    assert "column 'Torque' is not taken: it has no unit" in tables[0].notes


def test_units_that_change_within_a_file(write: Write) -> None:
    other = export("\t1\t1\t1\t12.9\t12.9\t1\tx", name="other", units=UNITS.replace("mPa", "Pa"))
    tables = RHEOCOMPASS.read(write("a.csv", export(*ROWS) + other))
    assert [(t.sheet, t.units.get("viscosity_pa_s")) for t in tables] == [
        ("flow curves", None),
        ("points", "mPa·s"),
        ("points (2)", "Pa·s"),
    ]
    assert [t["viscosity_at_1_pa_s"] for t in of(tables, "flow_tests")] == ["0.0129", "12.9"]


def test_a_test_twice_and_two_of_one_name(write: Write) -> None:
    twice = export(*ROWS)
    tables = RHEOCOMPASS.read(write("a.csv", twice + twice + export(*ROWS[1:])))
    tests = of(tables, "flow_tests")
    assert len({test["flow_test_id"] for test in tests}) == len(tests) == 2
    assert any("stands twice" in note for note in tables[0].notes)
    assert all(test["flow_test_id"].startswith("Slurry-35C-") for test in tests)


def test_oscillation_is_left_out(write: Write) -> None:
    header = "\tPoint No.\tShear Strain\tStorage Modulus\tLoss Modulus\tShear Rate"
    sweep = export(
        "\t1\t1\t2\t3\t4", name="Sweep", header=header, units="\t\t[%]\t[Pa]\t[Pa]\t[1/s]"
    )
    path = write("sweep.csv", sweep)
    assert RHEOCOMPASS.recognise(path)
    assert "it is an oscillation" in refused(RHEOCOMPASS, path).says
    tables = RHEOCOMPASS.read(write("both.csv", export(*ROWS) + sweep))
    assert len(of(tables, "flow_tests")) == 1
    assert "test 'Sweep', interval 1 is not taken: it is an oscillation" in tables[0].notes


def test_last_line_that_was_cut(write: Write) -> None:
    text = export(*ROWS)
    at = text.index("10.2")
    tables = RHEOCOMPASS.read(write("cut.csv", text[: at + 1]))
    points = of(tables, "flow_points")
    assert len(points) == 4
    assert points[3]["shear_rate_1_s"] == points[3]["viscosity_pa_s"] == ""
    assert any("is cut" in note for note in tables[0].notes)
    whole = RHEOCOMPASS.read(write("whole.csv", text.rstrip("\r\n")))
    assert of(whole, "flow_points")[3]["viscosity_pa_s"] == "10.2"


def test_intervals_that_prepare_the_sample(write: Write) -> None:
    prepared = [f"\t{i}\t{i}\t10\t9\t900\t1\tx" for i in range(1, 6)]
    first = export(*prepared)
    second = export(*ROWS).split("Interval and data points:\t1")[1]
    tables = RHEOCOMPASS.read(write("a.csv", first + "Interval and data points:\t2" + second))
    (test,) = of(tables, "flow_tests")
    assert test["points"] == "9"
    assert test["viscosity_at_10_pa_s"] == "0.0102"
    assert "interval 1 holds its rate" in test["viscosity_note"]
    assert {point["interval"] for point in of(tables, "flow_points")} == {"1", "2"}


def test_points_that_contradict_their_stress_give_no_viscosity(write: Write) -> None:
    rows = [row.replace("10.2", "102.3") for row in ROWS]
    (test,) = of(RHEOCOMPASS.read(write("a.csv", export(*rows))), "flow_tests")
    assert test["viscosity_at_10_pa_s"] == ""
    assert "1 points contradict stress over rate" in test["viscosity_note"]


def test_commas_in_numbers_and_between_them(write: Write) -> None:
    text = export(*ROWS).replace(".", ",").replace("\t", ",")
    assert "more fields than their header" in refused(RHEOCOMPASS, write("a.csv", text)).says


@pytest.mark.parametrize(
    ("name", "temperature"),
    [
        ("Curve-35C", "35.0"),
        ("Curve-LO80C", "80.0"),
        ("slurry 25 °C", "25.0"),
        ("slurry 22,5°C", "22.5"),
        ("slurry -10C", ""),
        ("slurry A", ""),
        ("NMC", ""),
    ],
)
def test_temperature_in_the_name(name: str, temperature: str, write: Write) -> None:
    (test,) = of(RHEOCOMPASS.read(write("a.csv", export(*ROWS, name=name))), "flow_tests")
    assert test["temperature_degc"] == temperature
    assert test["temperature_source"] == ("name_of_test" if temperature else "")


# -- workbooks -----------------------------------------------------------------------------


def _cells(text: str) -> list[list[object]]:
    def cell(text: str) -> object:
        try:
            return float(text)
        except ValueError:
            return text

    return [[cell(part) for part in line.split("\t")] for line in text.splitlines()]


def test_workbook_gives_what_the_text_gives(write: Write, tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", _cells(export(*ROWS)))
    assert RHEOCOMPASS.recognise(path)
    assert not PEEL.recognise(path)
    assert RHEOCOMPASS.read(path)[0].rows == RHEOCOMPASS.read(write("a.csv", export(*ROWS)))[0].rows


def test_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = workbook(tmp_path / "a.xlsx", _cells(export(*ROWS))).read_bytes()
    path = tmp_path / "bomb.xlsx"
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
        target.writestr("xl/media/large.bin", bytes(8 * 1024 * 1024))
    monkeypatch.setenv("BATTERY_PLATFORM_MAX_WORKBOOK_MIB", "4")
    assert RHEOCOMPASS.recognise(path)
    assert "unpacks to more than 4 MiB" in refused(RHEOCOMPASS, path).says


# -- XML -----------------------------------------------------------------------------------

XML = (
    '<?xml version="1.0"?>{}<Export><Object Type="Rheo.Repository.Project.{}">'
    '<Property Name="Id">{}</Property></Object></Export>'
)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (XML.format("", "TableWindow", "1"), "holds the layout of a table"),
        (XML.format("", "Curve", "1"), "no measured point was found"),
        (XML.format("", "TableWindow", "1")[:-20], "the XML is damaged"),
        (XML.format('<!DOCTYPE a [<!ENTITY b "c">]>', "TableWindow", "&b;"), "is damaged"),
    ],
)
def test_xml_is_refused(content: str, says: str, write: Write) -> None:
    path = write("a.xml", content)
    assert RHEOCOMPASS.recognise(path)
    error = refused(RHEOCOMPASS, path)
    assert says in error.says
    assert "CSV or Excel" in error.remedy


# -- TA Instruments ------------------------------------------------------------------------

HEAD = (
    "Filename\tflow\nInstrument name\tDiscovery HR-2\nrundate\t27/07/2022\n"
    "Sample name\tPaste 25 °C\nGeometry name\t40 mm\n[File Parameters]\n"
    "Instrument serial number\t540\nRun date\t27/07/2022 16:38:21\n"
)
STEP = (
    "[step]\nFlow sweep - {}\nStress\tShear rate\tViscosity\tStep time\n"
    "Pa\t1/s\tPa.s\tmin\n3.1623\t0.1000\t31.6228\t0.1\n10.000\t1.0000\t10.000\t0.2\n"
    "31.623\t10.000\t3.1623\t0.3\n\n"
)
HOLD = (
    "[step]\nPeak hold - 1\nStress\tShear rate\tViscosity\nPa\t1/s\tPa.s\n"
    "0.0\t0.1\t0.0\n43.9\t200.05\t0.219\n\n"
)
SWEEP = (
    "[step]\nAmplitude sweep - 4\nStorage modulus\tLoss modulus\tShear rate\tStress\tViscosity\n"
    "Pa\tPa\t1/s\tPa\tPa.s\n1\t2\t3\t4\t5\n\n"
)


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_trios_text_has_a_test_per_step(delimiter: str, write: Write) -> None:
    text = (
        HEAD + HOLD + STEP.format(2) + STEP.format(3).replace("31.6228", "31.9") + SWEEP
    ).replace("\t", delimiter)
    path = write("ares.xls", text)
    assert ARES.recognise(path)
    assert not RHEOCOMPASS.recognise(path)
    tables = ARES.read(path)
    tests = of(tables, "flow_tests")
    assert [t["test_name"] for t in tests] == [
        "Paste 25 °C, Flow sweep - 2",
        "Paste 25 °C, Flow sweep - 3",
    ]
    assert {t["measured_at"] for t in tests} == {"2022-07-27 16:38:21"}
    assert {t["temperature_source"] for t in tests} == {"name_of_test"}
    assert [tests[0][f"viscosity_at_{rate}_pa_s"] for rate in ("0p1", "1", "10", "100")] == [
        "31.6228",
        "10.0",
        "3.1623",
        "",
    ]
    assert any("Peak hold - 1" in note for note in tables[0].notes)
    assert any("Amplitude sweep - 4" in note for note in tables[0].notes)
    assert tables[1].units["time_s"] == "min"


def test_trios_variables_layout(write: Write) -> None:
    text = (
        HEAD + "Variables\tShear Rate\tViscosity\tShear Stress\tStep\n\t1/s\tPa.s\tPa\n"
        "Data point\t0.1\t31.6\t3.16\t1\nData point\t1\t10.4\t10.4\t1\n"
    )
    tables = ARES.read(write("a.csv", text))
    (test,) = of(tables, "flow_tests")
    assert (test["viscosity_at_0p1_pa_s"], test["viscosity_at_1_pa_s"]) == ("31.6", "10.4")
    assert {point["interval"] for point in of(tables, "flow_points")} == {"1"}


def test_trios_without_units_or_without_flow(write: Write) -> None:
    path = write("a.txt", HEAD + STEP.format(1).replace("Pa\t1/s\tPa.s\tmin\n", ""))
    assert "state no unit" in refused(ARES, path).says
    sweep = write("b.txt", HEAD + SWEEP)
    assert ARES.recognise(sweep)
    assert "it is an oscillation" in refused(ARES, sweep).says


def test_trios_of_a_calorimeter_is_not_ours(write: Write) -> None:
    text = "Filename\tx\nInstrument name\tDSC\nrundate\t1\n[step]\nRamp\nTime\tHeat Flow\nmin\tmW\n1\t2\n"
    assert not ARES.recognise(write("a.txt", text))


def test_trios_workbook_has_a_test_per_sheet(tmp_path: Path) -> None:
    path = tmp_path / "ares.xlsx"
    book = xlsxwriter.Workbook(path)
    details = book.add_worksheet("Details")
    for line, (key, value) in enumerate(
        [("Filename", "x"), ("Instrument name", "ARES-G2"), ("Sample name", "Paste")]
    ):
        details.write_row(line, 0, [key, value])
    for name, factor in (("Flow sweep - 1", 1.0), ("Flow sweep - 2", 2.0)):
        sheet = book.add_worksheet(name)
        sheet.write(0, 0, name)
        sheet.write_row(1, 0, ["Stress", "Shear rate", "Viscosity", "Temperature"])
        sheet.write_row(2, 0, ["Pa", "1/s", "Pa.s", "°C"])
        for line, rate in enumerate((0.1, 1.0, 10.0), start=3):
            sheet.write_row(line, 0, [5.125 * factor * rate, rate, 5.125 * factor, 25.0])
    book.close()
    assert ARES.recognise(path)
    tables = ARES.read(path)
    assert [t["viscosity_at_1_pa_s"] for t in of(tables, "flow_tests")] == ["5.125", "10.25"]
    assert [t.sheet for t in tables] == [
        "Flow sweep - 1: flow curves",
        "Flow sweep - 2: flow curves",
        "Flow sweep - 1: points",
        "Flow sweep - 2: points",
    ]
    assert {t["temperature_source"] for t in of(tables, "flow_tests")} == {"measured"}


# -- viscosity at a rate -------------------------------------------------------------------


def test_between_points_in_the_logarithms() -> None:
    curve = knots([(0.5, 8.0), (2.0, 2.0), (200.0, 1.0), (20.0, 1.0)])
    assert viscosity_at(curve, 1.0)[0] == pytest.approx(4.0)
    assert viscosity_at(curve, 2.0) == (2.0, "")
    assert viscosity_at(curve, 0.1)[0] is None
    value, why = viscosity_at(knots([(0.1, 1.0), (3.0, 1.0)]), 1.0)
    assert (value, why) == (None, "no point between 0.1 and 3 1/s")
    assert viscosity_at(knots([(0.1, 4.0), (1.0, 1.0)]), 10**-0.5)[0] == pytest.approx(2.0)
    assert viscosity_at([], 1.0) == (None, "no point has a viscosity")


def test_up_and_down_are_averaged_and_told(write: Write) -> None:
    rows = [
        f"\t{i}\t1\t{rate}\t{rate * v:.6g}\t{1000 * v:.1f}\t1\tx"
        for i, (rate, v) in enumerate(
            [(0.1, 4.0), (1, 2.0), (10, 1.0), (1, 1.0), (0.1, 1.0)], start=1
        )
    ]
    (test,) = of(RHEOCOMPASS.read(write("a.csv", export(*rows))), "flow_tests")
    assert float(test["viscosity_at_1_pa_s"]) == pytest.approx(math.sqrt(2.0))
    assert float(test["viscosity_at_0p1_pa_s"]) == pytest.approx(2.0)
    assert "differ by up to 300 %" in test["viscosity_note"]


POSITIVE = st.floats(1e-4, 1e4, allow_nan=False)


@given(
    st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=30),
    st.one_of(POSITIVE, st.sampled_from([0.1, 1.0, 10.0, 100.0])),
)
def test_never_beyond_what_was_measured(points: list[tuple[float, float]], target: float) -> None:
    value, why = viscosity_at(knots(points), target)
    rates = [rate for rate, _ in points]
    inside = min(rates) * (1 - 2e-6) <= target <= max(rates) * (1 + 2e-6)
    assert (value is None) == bool(why)
    if not inside:
        assert value is None
    if value is not None:
        values = [viscosity for _, viscosity in points]
        assert min(values) * (1 - 1e-9) <= value <= max(values) * (1 + 1e-9)


# -- small parts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("27/07/2022 16:38:21", "2022-07-27 16:38:21"),
        ("02/04/2026 14:41:52", ""),
        ("7/21/2020", "2020-07-21"),
        ("13.05.2015 9:05", "2015-05-13 09:05"),
        ("02.04.2026", "2026-04-02"),
        ("2024-01-18", "2024-01-18"),
        ("7/21/2020 2:05 PM", ""),
        ("MM/DD/YYYY", ""),
        ("31.31.2020", ""),
    ],
)
def test_moments(text: str, moment: str) -> None:
    assert moment_of(text) == moment


def test_headers_and_cells() -> None:
    assert name_and_unit("Shear Rate [1/s]") == ("shear rate", "1/s")
    assert name_and_unit("Shear Rate in 1/s") == ("shear rate", "1/s")
    assert name_and_unit("Viscosity (complex)") == ("viscosity (complex)", None)
    assert plain("1.234,5", ",") == "1234.5"
    assert plain("-2,2E-04", ",") == "-2.2E-04"
    assert plain("\u22120.5", ".") == "-0.5"
    assert plain("1,234", ".") == "1,234"
    assert identifier("Süß & Co 1", [1.0, None]).startswith("Su__Co_1-")
    assert identifier("a", [1.0]) != identifier("a", [2.0])


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
OTHERS = {
    "zero.csv": b"",
    "zeros.csv": bytes(4096),
    "picture.csv": PNG,
    "picture.xlsx": b"PK\x03\x04" + PNG,
    "office.xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + PNG,
    "cycler.csv": b"Test_Time(s),Voltage(V),Current(A)\n1,3.5,0.1\n2,3.6,0.1\n",
    "form.csv": b"slurry_id,viscosity_pa_s\nS1,1.5\n",
}


@pytest.mark.parametrize(
    "instrument", [RHEOCOMPASS, ARES, PEEL], ids=lambda instrument: instrument.name
)
@pytest.mark.parametrize("name", OTHERS)
def test_foreign_files_are_not_ours(name: str, instrument: Instrument, write: Write) -> None:
    assert not instrument.recognise(write(name, OTHERS[name]))


@pytest.mark.parametrize(
    "instrument", [RHEOCOMPASS, ARES, PEEL], ids=lambda instrument: instrument.name
)
def test_recognising_raises_nothing(instrument: Instrument, tmp_path: Path) -> None:
    assert not instrument.recognise(tmp_path)
    assert not instrument.recognise(tmp_path / "missing.csv")
    whole = workbook(tmp_path / "a.xlsx", _cells(export(*ROWS))).read_bytes()
    for size in range(4, len(whole), 211):
        (tmp_path / "cut.xlsx").write_bytes(whole[:size])
        assert not instrument.recognise(tmp_path / "cut.xlsx")


@given(st.binary(max_size=400), st.sampled_from([b"", b"PK\x03\x04", b"\xff\xfe", b"<?xml "]))
def test_recognising_raises_nothing_on_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, begins: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(begins + content)
    for instrument in (RHEOCOMPASS, ARES, PEEL):
        assert instrument.recognise(path) in {True, False}


def test_cyclers_and_logs_of_the_mirror_are_not_ours(mirror: Path) -> None:
    for folder in ("cycler_exports", "line_logs", "cunha2020_nmc111"):
        for path in (mirror / folder).glob("*"):
            assert not any(
                instrument.recognise(path) for instrument in (RHEOCOMPASS, ARES, PEEL)
            ), path
