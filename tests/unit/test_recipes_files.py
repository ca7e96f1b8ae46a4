"""Files of recipes that somebody wants an answer for: read as any other, nothing guessed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from battery_platform.errors import PlatformError
from battery_platform.models.specification import RECIPE
from battery_platform.records.recipes import Recipes, read_recipes
from battery_platform.settings import Settings

Write = Callable[[str, str | bytes], Path]
HEADER = ",".join(RECIPE) + "\n"
USUAL = {
    "active_material_pct": 95.0,
    "solid_content_pct": 65.0,
    "viscosity_pa_s": 3.5,
    "comma_gap_um": 150.0,
}


@pytest.fixture
def read(write: Write, settings: Settings) -> Callable[[str, str | bytes], Recipes]:
    return lambda name, content: read_recipes(write(name, content), RECIPE, settings)


Read = Callable[[str, str | bytes], Recipes]


def test_a_plain_file_is_read_with_its_lines(read: Read) -> None:
    recipes = read("r.csv", HEADER + "95,65,3.5,150\n96,66,4,200\n")
    assert recipes.values.to_dicts()[0] == USUAL
    assert recipes.lines == [2, 3]
    assert recipes.problems == {}


def test_german_headers_semicolons_and_decimal_commas_are_read(read: Read) -> None:
    recipes = read(
        "Rezepte.csv",
        "Aktivmaterial (Gew.-%);Feststoffgehalt (%);Viskosität (Pa·s);Spalt (µm)\n"
        "95,0;65,0;3,5;150,0\n",
    )
    assert recipes.values.to_dicts() == [USUAL]


@pytest.mark.parametrize(
    ("column", "value"),
    [("comma gap (mm)", "0.15"), ("comma gap [µm]", "150"), ("gap (cm)", "0.015")],
)
def test_the_unit_in_the_header_is_converted(read: Read, column: str, value: str) -> None:
    recipes = read(
        "r.csv",
        f"active_material_pct,solid_content_pct,viscosity_pa_s,{column}\n95,65,3.5,{value}\n",
    )
    assert recipes.values["comma_gap_um"].to_list() == [pytest.approx(150.0)]


def test_a_viscosity_in_millipascal_seconds_is_converted(read: Read) -> None:
    header = "active_material_pct,solid_content_pct,viscosity (mPa·s),comma_gap_um\n"
    recipes = read("r.csv", header + "95,65,3500,150\n")
    assert recipes.values["viscosity_pa_s"].to_list() == [pytest.approx(3.5)]


def test_other_columns_and_another_order_change_nothing(read: Read) -> None:
    recipes = read(
        "r.csv",
        "note,comma_gap_um,viscosity_pa_s,solid_content_pct,active_material_pct,mass_loading_mg_cm2\n"
        "best,150,3.5,65,95,15\n",
    )
    assert recipes.values.to_dicts() == [USUAL]
    assert recipes.values.columns == list(RECIPE)


def test_a_missing_column_is_named_with_the_header(read: Read) -> None:
    with pytest.raises(PlatformError, match=r"no column was found for comma_gap_um.*slit") as error:
        read("r.csv", "active_material_pct,solid_content_pct,viscosity_pa_s,slit\n95,65,3.5,150\n")
    assert "a unit in the header is converted" in str(error.value)


def test_a_file_that_holds_no_recipe_at_all_is_refused(read: Read) -> None:
    with pytest.raises(PlatformError, match="no column was found for active_material_pct"):
        read("r.csv", "name,colour\nA,red\nB,blue\n")


def test_a_header_alone_is_refused(read: Read) -> None:
    with pytest.raises(PlatformError, match="a header but no row"):
        read("r.csv", HEADER)


@pytest.mark.parametrize(
    ("cell", "words"),
    [("abc", "'abc'"), ("nan", "not a finite number"), ("1e400", "not a finite number")],
)
def test_a_cell_that_is_no_number_is_told_and_the_other_rows_are_read(
    read: Read, cell: str, words: str
) -> None:
    recipes = read("r.csv", HEADER + f"95,65,{cell},150\n95,65,3.5,150\n")
    bad, good = recipes.values.to_dicts()
    assert bad["viscosity_pa_s"] is None
    assert good == USUAL
    assert list(recipes.problems) == [2]
    assert words in recipes.problems[2][0]


def test_an_empty_cell_is_handed_on_as_missing(read: Read) -> None:
    recipes = read("r.csv", HEADER + "95,65,,150\n95,65,3.5,150\n")
    assert recipes.values["viscosity_pa_s"].to_list() == [None, 3.5]


@pytest.mark.parametrize("line", ["95,65,3.5", "95,65,3.5,150,7,8"])
def test_a_ragged_line_is_told_and_not_guessed(read: Read, line: str) -> None:
    recipes = read("r.csv", HEADER + f"95,65,3.5,150\n{line}\n96,66,4,200\n")
    assert recipes.lines == [2, 3, 4]
    assert recipes.values.row(1) == (None, None, None, None)
    assert "cells, the header 4" in recipes.problems[3][0]


def test_a_file_of_ragged_lines_only_is_answered_with_its_problems(read: Read) -> None:
    recipes = read("r.csv", HEADER + "95,65,3.5\n96,66,4\n")
    assert recipes.lines == [2, 3]
    assert set(recipes.problems) == {2, 3}


def test_a_workbook_is_read(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "r.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        for column, (name, value) in enumerate(USUAL.items()):
            sheet.write(0, column, name)
            sheet.write(1, column, value)
    assert read_recipes(path, RECIPE, settings).values.to_dicts() == [USUAL]


def test_parquet_is_read(settings: Settings, tmp_path: Path) -> None:
    pl.DataFrame([USUAL]).write_parquet(tmp_path / "r.parquet")
    recipes = read_recipes(tmp_path / "r.parquet", RECIPE, settings)
    assert recipes.values.to_dicts() == [USUAL]


@pytest.mark.parametrize("name", ["picture.png", "picture.csv", "picture.xlsx"])
def test_a_picture_is_refused_whatever_its_name(read: Read, name: str) -> None:
    with pytest.raises(PlatformError, match="picture"):
        read(name, b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)


@pytest.mark.parametrize("name", ["r.csv", "r.xlsx", "r.parquet"])
def test_an_empty_file_is_refused(read: Read, name: str) -> None:
    with pytest.raises(PlatformError):
        read(name, b"")


def test_a_file_that_is_not_there_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="There is no file"):
        read_recipes(tmp_path / "none.csv", RECIPE, settings)


def test_a_folder_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="There is no file"):
        read_recipes(tmp_path, RECIPE, settings)


@pytest.mark.parametrize("second", ["comma_gap_um", "gap (mm)"])
def test_two_columns_for_one_input_are_not_decided_in_silence(read: Read, second: str) -> None:
    try:
        recipes = read("r.csv", HEADER.strip() + f",{second}\n95,65,3.5,150,0.3\n")
    except PlatformError:
        return
    assert any("gap" in note for note in recipes.notes)
