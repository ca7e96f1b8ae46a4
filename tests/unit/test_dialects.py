"""Whatever table we write in a dialect that we know reads back to the same values, or is refused by name."""

from __future__ import annotations

import contextlib
import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from battery_platform.errors import PlatformError
from battery_platform.records.recipes import Recipes, read_recipes
from battery_platform.settings import Settings

HEADERS = {
    "comma_gap_um": ("gap (µm)", "Rakelspalt [µm]", "Entrefer racle (µm)"),
    "porosity_pct": ("porosity (%)", "Porosität [%]", "Porosité (%)"),
    "solid_content_pct": ("solids (wt%)", "FS-Gehalt [Gew.-%]", "Extrait sec (%)"),
}
UNITS = {"comma_gap_um": "µm", "porosity_pct": "%", "solid_content_pct": "%"}
WORDS = st.text(st.sampled_from("aZ9äé ;,|\t'\".-"), max_size=8)
NUMBERS = st.one_of(
    st.integers(20, 90).map(float), st.floats(20, 90, allow_nan=False, allow_infinity=False)
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, WORDS), min_size=1, max_size=12),
    language=st.integers(0, 2),
    delimiter=st.sampled_from(";\t,|"),
    decimal=st.sampled_from(".,"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"]),
    ending=st.sampled_from(["\n", "\r\n"]),
    preamble=st.integers(0, 2),
    unit_row=st.booleans(),
    order=st.permutations([*HEADERS, "remark"]),
)
def test_any_dialect_reads_back(
    tmp_path: Path,
    rows: list[tuple[float, float, float, str]],
    language: int,
    delimiter: str,
    decimal: str,
    encoding: str,
    ending: str,
    preamble: int,
    unit_row: bool,
    order: list[str],
) -> None:
    titles = {name: words[language] for name, words in HEADERS.items()} | {"remark": "remark"}
    if unit_row:
        titles = {name: title.split(" (")[0].split(" [")[0] for name, title in titles.items()}
    target = io.StringIO(newline="")
    writer = csv.writer(target, delimiter=delimiter, lineterminator=ending)
    writer.writerows([["plant 3, line 2"]] * preamble)
    writer.writerow([titles[name] for name in order])
    if unit_row:
        writer.writerow([UNITS.get(name, "") for name in order])
    for row in rows:
        cells = {
            name: repr(value).replace(".", decimal)
            for name, value in zip(HEADERS, row[:3], strict=True)
        }
        cells["remark"] = row[3]
        writer.writerow([cells[name] for name in order])
    path = tmp_path / "table.csv"
    path.write_bytes(target.getvalue().encode(encoding))
    with contextlib.suppress(PlatformError):
        read = read_recipes(path, list(HEADERS), Settings(home=tmp_path))
        assert_same(read, rows)


def assert_same(read: Recipes, rows: list[tuple[float, float, float, str]]) -> None:
    """Each line has the values that were written, or is told as one that was not understood."""
    told = set(read.problems)
    assert len(read.lines) == len(rows)
    for line, row, values in zip(read.lines, rows, read.values.iter_rows(), strict=True):
        if line not in told:
            assert values == pytest.approx(row[:3], rel=1e-12)


def test_most_dialects_are_read_and_not_refused(tmp_path: Path) -> None:
    """Refusing everything would satisfy the property above."""
    for delimiter, decimal in ((";", ","), ("\t", "."), (",", "."), ("|", ",")):
        path = tmp_path / "table.csv"
        cells = [["gap (µm)", "porosity (%)", "solids (wt%)"], ["100,5", "30,5", "60,5"]]
        lines = [delimiter.join(cell.replace(",", decimal) for cell in row) for row in cells]
        path.write_text("\n".join(lines) + "\n")
        read = read_recipes(path, list(HEADERS), Settings(home=tmp_path))
        assert read.values.row(0) == (100.5, 30.5, 60.5)
        assert read.problems == {}
