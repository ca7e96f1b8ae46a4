"""Peel tests: the plateau of a known curve, what must be stated, and what is not a peel test."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xlsxwriter

from battery_platform.errors import RefusedFile
from battery_platform.records.instruments.model import Tidy
from battery_platform.records.instruments.peel import PEEL, Plateau, plateau_of

Write = Callable[[str, str | bytes], Path]


def curve(force: float = 2.0, points: int = 401, delimiter: str = ",", decimal: str = ".") -> str:
    """A rise over 2 mm, then a force that swings by 1 % of its mean, to 40 mm."""
    rows = []
    for i in range(points):
        way = i * 0.1
        load = min(way / 2, 1) * force * (1 + (0.01 if i % 2 else -0.01) * (way >= 2))
        rows.append(f"{i * 0.5:.1f}{delimiter}{way:.3f}{delimiter}{load:.4f}")
    return "\n".join(rows).replace(".", decimal) + "\n"


def peeled(tables: list[Tidy]) -> list[dict[str, str]]:
    return [
        dict(zip(tidy.units, cells, strict=True))
        for tidy in tables
        if tidy.table == "peel_tests"
        for _, cells in tidy.rows
    ]


def refused(path: Path) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        PEEL.read(path)
    assert caught.value.remedy
    return caught.value


INSTRON = "Time,Extension,Load\n(s),(mm),(N)\n"


def test_plateau_with_a_known_answer(write: Write) -> None:
    path = write("a.csv", "Width,25 mm\nPeel angle,180 °\nSpeed,300 mm/min\n" + INSTRON + curve())
    assert PEEL.recognise(path)
    tables = PEEL.read(path)
    (test,) = peeled(tables)
    # above half of the highest force at 1.1 mm, 38.9 mm peeled: from 8.88 to 36.11 mm
    assert float(test["plateau_from_mm"]) == pytest.approx(1.1 + 0.2 * 38.9)
    assert float(test["plateau_to_mm"]) == pytest.approx(1.1 + 0.9 * 38.9)
    assert float(test["force_mean_n"]) == pytest.approx(2.0, rel=1e-4)
    assert float(test["force_sd_n"]) == pytest.approx(0.02, rel=1e-2)
    assert float(test["adhesion_n_m"]) == pytest.approx(80.0, rel=1e-4)
    stated = (test["width_mm"], test["peel_angle_deg"], test["speed_mm_min"])
    assert stated == ("25.0", "180.0", "300.0")
    assert (test["adhesion_note"], test["points"]) == ("", "401")
    assert tables[1].units == {
        "peel_test_id": None,
        "point": None,
        "displacement_mm": "mm",
        "force_n": "N",
    }
    assert tables[1].rows[0] == (6, (test["peel_test_id"], "1", "0.000", "0.0000"))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16"])
def test_german_file_of_two_specimens(encoding: str, write: Write) -> None:
    head = '"Prüfzeit";"Standardweg";"Standardkraft"\n"s";"mm";"N"\n'
    text = (
        '"Probenbreite";25,0;mm\n"Schälwinkel";180;°\nPrüfgeschwindigkeit;5;mm/s\n'
        "Datum;13.05.2024 9:05\nProbe;A1\n"
        + head
        + curve(delimiter=";", decimal=",")
        + "Probe;A2\n"
        + head
        + curve(1.0, delimiter=";", decimal=",")
    )
    path = write("zwick.txt", text.encode(encoding))
    assert PEEL.recognise(path)
    first, second = peeled(PEEL.read(path))
    assert (first["test_name"], second["test_name"]) == ("A1", "A2")
    assert float(first["adhesion_n_m"]) == pytest.approx(80.0, rel=1e-4)
    assert float(second["adhesion_n_m"]) == pytest.approx(40.0, rel=1e-4)
    assert first["speed_mm_min"] == "300.0"
    assert first["measured_at"] == "2024-05-13 09:05"


def test_width_of_a_specimen_is_its_own(write: Write) -> None:
    both = "Specimen,{}\n{}" + INSTRON + curve()
    text = both.format("A", "Width,20 mm\n") + both.format("B", "Width,10 mm\n")
    assert [t["width_mm"] for t in peeled(PEEL.read(write("a.csv", text)))] == ["20.0", "10.0"]
    text = both.format("A", "Width,20 mm\n") + both.format("B", "")
    assert "specimen 'B'" in refused(write("b.csv", text)).says


@pytest.mark.parametrize(
    "line",
    [
        "Width,25 mm",
        "Width,2.5 cm",
        "Width (mm),25",
        "Specimen width,25,mm",
        "Dimension : Width,25,mm",
        "Width: 25 mm",
        "Breite b0 [mm],25",
    ],
)
def test_spellings_of_the_width(line: str, write: Write) -> None:
    (test,) = peeled(PEEL.read(write("a.csv", f"{line}\n" + INSTRON + curve())))
    assert test["width_mm"] == "25.0"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Operator,X", "states no width"),
        ("Width,25", "a width of '25', which is no length"),
        ("Width,0 mm", "a width of '0 mm'"),
        ("Width,25 N", "a width of '25 N'"),
    ],
)
def test_without_a_width_there_is_no_adhesion(line: str, says: str, write: Write) -> None:
    path = write("a.csv", f"{line}\n" + INSTRON + curve())
    assert PEEL.recognise(path)
    error = refused(path)
    assert says in error.says
    assert "Width,25 mm" in error.remedy


def test_other_units_of_way_and_force(write: Write) -> None:
    text = "Width,25 mm\nDisplacement [cm],Force [mN]\n" + "".join(
        f"{i / 100:.3f},{1000 * min(i / 20, 2)}\n" for i in range(401)
    )
    (test,) = peeled(PEEL.read(write("a.csv", text)))
    assert float(test["force_mean_n"]) == pytest.approx(2.0)


def test_workbook_and_text_give_one_identifier(write: Write, tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(tmp_path / "a.xlsx")
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["Width", "25 mm"])
    sheet.write_row(1, 0, ["Time", "Extension", "Load"])
    sheet.write_row(2, 0, ["(s)", "(mm)", "(N)"])
    for line, row in enumerate(curve().splitlines(), start=3):
        sheet.write_row(line, 0, [float(cell) for cell in row.split(",")])
    book.close()
    assert PEEL.recognise(tmp_path / "a.xlsx")
    workbook = PEEL.read(tmp_path / "a.xlsx")
    text = PEEL.read(write("b.csv", "Width,25 mm\n" + INSTRON + curve()))
    assert workbook[0].rows == text[0].rows


def test_torn_and_uneven_plateaus_are_told(write: Write) -> None:
    rows = curve().splitlines()
    torn = [row if i < 250 else row.rsplit(",", 1)[0] + ",0" for i, row in enumerate(rows)]
    text = "Width,25 mm\n" + INSTRON + "\n".join(torn) + "\n"
    (test,) = peeled(PEEL.read(write("a.csv", text)))
    assert "jumps to zero at 25 mm, within" in test["adhesion_note"]
    assert "uneven" in test["adhesion_note"]
    (even,) = peeled(
        PEEL.read(write("b.csv", "Width,25 mm\n" + INSTRON + curve() + "201,40.1,0\n"))
    )
    assert "at 40.1 mm, after the range" in even["adhesion_note"]
    assert "uneven" not in even["adhesion_note"]


def test_rows_without_numbers_pass_as_they_stand(write: Write) -> None:
    text = "Width,25 mm\n" + INSTRON + curve() + "201,nan,1\n202,,x\n203,40"
    tables = PEEL.read(write("a.csv", text))
    assert [cells[2:] for _, cells in tables[1].rows[-3:]] == [("nan", "1"), ("", "x"), ("", "")]
    assert float(peeled(tables)[0]["force_mean_n"]) == pytest.approx(2.0, rel=1e-4)
    assert any("is cut" in note for note in tables[0].notes)


def test_way_back_of_the_cross_head_is_no_peeling() -> None:
    way = np.concatenate([np.linspace(0, 40, 401), np.linspace(40, 0, 401)])
    force = np.concatenate([np.full(401, 2.0), np.zeros(401)])
    plateau = plateau_of(way, force)
    assert isinstance(plateau, Plateau)
    assert (plateau.mean, plateau.note) == (2.0, "")
    assert math.isclose(plateau.ends, 36.0)


@pytest.mark.parametrize(
    ("way", "force", "why"),
    [
        (np.linspace(0, 40, 10), np.ones(10), "10 points"),
        (np.linspace(0, 4, 400), np.ones(400), "2.8 mm long"),
        (np.linspace(0, 40, 25), np.ones(25), "with 17 points"),
        (np.linspace(0, 40, 400), -np.ones(400), "nowhere above zero"),
    ],
)
def test_why_there_is_no_plateau(way: np.ndarray, force: np.ndarray, why: str) -> None:
    reason = plateau_of(way, force)
    assert isinstance(reason, str)
    assert why in reason


def test_short_curve_is_refused_or_told(write: Write) -> None:
    short = "Specimen,S\n" + INSTRON + curve(points=30)
    assert "mm long" in refused(write("a.csv", "Width,25 mm\n" + short)).says
    tables = PEEL.read(write("b.csv", "Width,25 mm\n" + INSTRON + curve() + short))
    assert len(peeled(tables)) == 1
    assert any("specimen 'S'" in note for note in tables[0].notes)


def test_specimens_side_by_side_are_refused(write: Write) -> None:
    text = "Width,25 mm\nWeg [mm],Kraft [N],Weg [mm],Kraft [N]\n1,2,1,2\n"
    assert "side by side" in refused(write("a.csv", text)).says


@pytest.mark.parametrize(
    "text",
    [
        "Time,Extension,Load\n1,2,3\n4,5,6\n",
        "Time [s],Displacement [mm],Strain [%]\n1,2,3\n",
        "Time [s],Displacement [mm],Force [N],Voltage [V]\n1,2,3,4\n",
        "Time,Displacement,Force,Cell voltage\ns,mm,N,V\n1,2,3,4\n",
        "Displacement [V],Force [A]\n1,2\n",
        "time/s,Ewe/V,I/mA\n1,3.5,0.1\n",
    ],
)
def test_what_is_no_peel_test(text: str, write: Write) -> None:
    assert not PEEL.recognise(write("a.csv", text))
