"""Files that are wrong: refused in a sentence, or row by row with a reason; nothing lost."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter

from battery_platform.contracts.registry import TABLES
from battery_platform.errors import RefusedFile
from battery_platform.records.ingest import Report, check, ingest, retry
from battery_platform.records.mapping import parse
from battery_platform.settings import Settings
from battery_platform.store.audit import audit
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str | bytes], Path]
Take = Callable[..., Report]

GOOD_SHEET = {
    "sample": "E1",
    "active material content [%]": "96",
    "carbon black [%]": "2",
    "binder [%]": "2",
    "solid content [%]": "60",
    "gap (µm)": "150",
    "thickness (µm)": "100",
    "mass loading (mg/cm²)": "21.5",
    "porosity (%)": "50",
    "composite density (g/cm³)": "4.3",
    "specific capacity (mAh/g)": "150",
    "theoretical capacity (mAh/g)": "160",
    "mass source": "weighed",
}
POINTS = "test_id,point,test_time_s,cycle,voltage_v,current_a,temperature_degc"
POINTS_MAPPING = {
    "source": "bench",
    "table": "test_points",
    "columns": {name: name for name in POINTS.split(",")},
}


def sheet(*changes: dict[str, str]) -> str:
    """An electrode sheet with one row per argument, each the good row with its changes."""
    rows = [GOOD_SHEET | change for change in changes]
    return (
        "\n".join(";".join(cells) for cells in (GOOD_SHEET, *(row.values() for row in rows))) + "\n"
    )


def points(*rows: str) -> str:
    return "\n".join((POINTS, *rows)) + "\n"


def quarantine(lake: Lakehouse) -> list[dict[str, Any]]:
    return lake.records("SELECT * FROM quarantine ORDER BY file_name, row_number, field, rule")


def assert_refused(report: Report, lake: Lakehouse, *words: str) -> None:
    """One sentence that names the file, then a remedy; and nothing of the file is in the lake."""
    assert report.status == "refused"
    assert report.failed
    assert report.reason.startswith(report.path.name)
    assert "\n" not in report.reason
    assert "Traceback" not in report.reason
    assert report.reason.rstrip().endswith(".")
    for word in words:
        assert word in report.reason
    for table in ("raw_files", "quarantine"):
        of_it = lake.rows(f"SELECT * FROM {table} WHERE file_name = ?", [report.path.name])
        assert of_it == []


def workbook(fill: Callable[[Any], None]) -> bytes:
    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True}) as book:
        fill(book)
    return target.getvalue()


def parquet(frame: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    frame.write_parquet(target)
    return target.getvalue()


def archive(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return target.getvalue()


def point_frame(rows: int = 3) -> pl.DataFrame:
    return pl.DataFrame({"point": range(rows)}).select(
        pl.lit("T1").alias("test_id"),
        "point",
        pl.col("point").cast(pl.Float64).alias("test_time_s"),
        pl.lit(1, dtype=pl.Int64).alias("cycle"),
        pl.lit(3.5).alias("voltage_v"),
        pl.lit(0.1).alias("current_a"),
    )


# -- files that are refused as a whole ------------------------------------------------------


@pytest.fixture(scope="module")
def empty_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """One lake for all that must leave nothing behind."""
    home = tmp_path_factory.mktemp("empty_lake")
    opened = Lakehouse(Settings(home=home, threads=2, max_workbook_mib=16))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", ["empty"]),
        ("blank.csv", b" \r\n\r\n ;;; \n", ["empty"]),
        ("bom_only.csv", b"\xef\xbb\xbf", ["empty"]),
        ("header_only.csv", sheet().encode(), ["header", "no row"]),
        ("prose.csv", b"Dear all,\nthe dryer was cleaned today.\nRegards\n", []),
        ("no_table.csv", b"alpha;beta\n1;2\n", ["no table", "alpha"]),
        ("missing_column.csv", b"cell;format\nC1;coin\n", ["electrode_id"]),
        ("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, ["PNG"]),
        ("paper.csv", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", ["PDF"]),
        ("binary.csv", bytes(range(256)) * 64, ["binary"]),
        ("packed.csv", b"\x1f\x8b\x08\x00" + os.urandom(200), ["compressed", "Unpack"]),
        ("archive.xlsx", archive({"readme.txt": b"hello"}), ["zip archive"]),
        ("no_workbook.xlsx", archive({"xl/readme.txt": b"hello"}), []),
        ("cut.xlsx", b"PK\x03\x04" + bytes(400), ["damaged"]),
        ("old.xls", b"\xd0\xcf\x11\xe0" + os.urandom(4000), []),
        ("cut.parquet", parquet(point_frame())[:-40], ["damaged"]),
        ("letters.parquet", b"PAR1 is how this begins", ["damaged"]),
        ("header_only.parquet", parquet(point_frame(0)), ["no row"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused(
    lake: Lakehouse, write: Write, name: str, content: bytes, words: list[str]
) -> None:
    path = write(name, content)
    if name == "cr_only.csv":
        report = ingest(lake, path)
        if report.status == "taken":
            assert report.total("rows_accepted") == 1
            return
    assert_refused(ingest(lake, path), lake, *words)


def test_a_truncated_workbook_is_refused(empty_lake: Lakehouse, write: Write) -> None:
    def fill(book: Any) -> None:
        page = book.add_worksheet()
        for row, cells in enumerate([list(GOOD_SHEET), *[list(GOOD_SHEET.values())] * 50]):
            page.write_row(row, 0, cells)

    whole = workbook(fill)
    assert_refused(
        ingest(empty_lake, write("cut.xlsx", whole[: len(whole) // 2])), empty_lake, "damaged"
    )


def test_a_parquet_file_damaged_inside_is_refused(empty_lake: Lakehouse, write: Write) -> None:
    whole = bytearray(parquet(point_frame(5000)))
    whole[8:208] = bytes(200)
    assert_refused(ingest(empty_lake, write("damaged.parquet", bytes(whole))), empty_lake)


def test_a_zip_bomb_is_refused_without_unpacking_it(empty_lake: Lakehouse, write: Write) -> None:
    bomb = archive({"xl/workbook.xml": b"<a/>", "xl/worksheets/sheet1.xml": bytes(40 * 2**20)})
    assert len(bomb) < 2**20
    report = ingest(empty_lake, write("bomb.xlsx", bomb))
    assert_refused(report, empty_lake, "16 MiB", "BATTERY_PLATFORM_MAX_WORKBOOK_MIB")


def test_a_workbook_with_a_cell_at_the_far_end_does_not_take_the_memory(
    command: Callable[..., Any], write: Write
) -> None:
    """A blank in the last cell of a small workbook spans 17 thousand million cells."""

    def fill(book: Any) -> None:
        page = book.add_worksheet()
        page.write_row(0, 0, list(GOOD_SHEET))
        page.write_row(1, 0, list(GOOD_SHEET.values()))
        page.write(2**20 - 1, 2**14 - 1, " ")

    path = write("far.xlsx", workbook(fill))
    answer = command("check", path)
    assert answer.status in {0, 1}, answer.text[-300:]
    assert "stack backtrace" not in answer.text
    assert "far.xlsx" in answer.text


def test_a_folder_a_broken_link_and_nothing_are_refused(
    empty_lake: Lakehouse, tmp_path: Path
) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "gone.csv")
    for path in (tmp_path, link, tmp_path / "never.csv"):
        assert_refused(ingest(empty_lake, path), empty_lake)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_refused(lake: Lakehouse, write: Write) -> None:
    path = write("secret.csv", sheet({}))
    path.chmod(0)
    assert_refused(ingest(lake, path), lake, "cannot be read")


def test_wrong_delimiter_in_the_mapping(empty_lake: Lakehouse, write: Write) -> None:
    path = write("points.csv", points("T,1,0,1,3.5,1,20"))
    mapping = parse(POINTS_MAPPING | {"delimiter": ";"}, path)
    assert_refused(ingest(empty_lake, path, mapping), empty_lake, "';'", "','")


def test_a_column_of_the_mapping_that_is_missing(empty_lake: Lakehouse, write: Write) -> None:
    path = write("points.csv", points("T,1,0,1,3.5,1,20").replace("voltage_v", "U"))
    report = ingest(empty_lake, path, parse(POINTS_MAPPING, path))
    assert_refused(report, empty_lake, "'voltage_v'", "U")


def test_utf16_without_a_mark_is_read(take: Take, lake: Lakehouse) -> None:
    for number, encoding in enumerate(("utf-16-le", "utf-16-be")):
        report = take(f"{encoding}.csv", sheet({"sample": f"Ü{number}"}).encode(encoding))
        assert report.total("rows_accepted") == 1
    assert lake.rows("SELECT electrode_id FROM raw_electrode_sheets ORDER BY 1") == [
        ("Ü0",),
        ("Ü1",),
    ]


# -- rows that are quarantined --------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field", "rule", "message", "remedy"),
    [
        ({"thickness (µm)": "thick"}, "thickness_um", "number", "a number in µm", "missing"),
        ({"porosity (%)": "NaN"}, "porosity_pct", "finite", "not a finite number", "empty"),
        ({"porosity (%)": "inf"}, "porosity_pct", "finite", "not a finite number", "empty"),
        ({"porosity (%)": "-Infinity"}, "porosity_pct", "finite", "not a finite number", "empty"),
        ({"porosity (%)": "1e999"}, "porosity_pct", "finite", "not a finite number", "empty"),
        ({"porosity (%)": "#DIV/0!"}, "porosity_pct", "finite", "not a finite number", "empty"),
        ({"porosity (%)": "50,0"}, "porosity_pct", "number", "decimal mark '.'", "Correct"),
        ({"porosity (%)": "50 %%"}, "porosity_pct", "number", "a number in %", "Correct"),
        (
            {"binder [%]": "5"},
            "active_material_pct",
            "fractions_sum_to_100",
            "do not add up to 100 %",
            "recipe",
        ),
        ({"porosity (%)": "0.5"}, "porosity_pct", "at_least", "0.5 %", "a fraction"),
        ({"thickness (µm)": "-100"}, "thickness_um", "at_least", "-100", "Correct"),
        ({"thickness (µm)": "0.1"}, "thickness_um", "at_least", "least possible", "mm"),
        (
            {"mass loading (mg/cm²)": "30"},
            "mass_loading_mg_cm2",
            "loading_matches_geometry",
            "contradicts a thickness",
            "collector",
        ),
        (
            {"specific capacity (mAh/g)": "180"},
            "specific_capacity_mah_g",
            "capacity_below_theory",
            "above the theoretical",
            "A labelled mA",
        ),
        (
            {"mass source": ""},
            "specific_capacity_mah_g",
            "gravimetric_value_has_a_mass",
            "without a sourced mass",
            "active_mass_source",
        ),
    ],
)
def test_a_bad_value_is_quarantined_with_its_reason(
    take: Take,
    lake: Lakehouse,
    change: dict[str, str],
    field: str,
    rule: str,
    message: str,
    remedy: str,
) -> None:
    report = take("sheet.csv", sheet({}, change | {"sample": "E2"}, {"sample": "E3"}))
    assert (report.total("rows_accepted"), report.total("rows_quarantined")) == (2, 1)
    violation = next(row for row in quarantine(lake) if row["rule"] == rule)
    assert (violation["field"], violation["row_number"], violation["file_name"]) == (
        field,
        3,
        "sheet.csv",
    )
    header = next(iter(change))
    if rule in {"number", "finite", "at_least"}:
        assert violation["value"] == change[header]
    assert message in violation["message"]
    assert remedy in violation["remedy"]
    assert '"sample": "E2"' in violation["record"]


def test_a_value_that_cannot_be_read_gives_one_reason_only(take: Take, lake: Lakehouse) -> None:
    """What follows from the unreadable value alone is not told as a second fault."""
    take("sheet.csv", "sample;porosity (%);gap (µm)\nE1;x;100\nE2;50;100\n")
    assert [row["rule"] for row in quarantine(lake)] == ["number"]


def test_percent_where_the_mapping_declares_fractions(take: Take, lake: Lakehouse) -> None:
    mapping = {
        "source": "lab",
        "table": "electrode_sheets",
        "columns": {
            "electrode_id": "sample",
            "porosity_pct": {"header": "porosity", "unit": "fraction"},
        },
    }
    report = take("sheet.csv", "sample;porosity\nE1;0.5\nE2;50\n", mapping)
    assert report.total("rows_accepted") == 1
    (row,) = quarantine(lake)
    assert (row["value"], row["rule"]) == ("50", "at_most")
    assert lake.value("SELECT porosity_pct FROM raw_electrode_sheets") == 50.0


def test_a_ragged_row_is_quarantined_as_it_stood(take: Take, lake: Lakehouse) -> None:
    report = take(
        "points.csv",
        points("T,1,0,1,3.5,1,20", "T,2,1,1,3.5", "T,3,2,1,3.5,1,20,9", "T,4,3,1,3.5,1,20"),
    )
    assert (report.total("rows_in"), report.total("rows_accepted")) == (4, 2)
    assert [(row["row_number"], row["rule"]) for row in quarantine(lake)] == [
        (3, "row_shape"),
        (4, "row_shape"),
    ]


@pytest.mark.parametrize("order", [("long", "short"), ("short", "long")])
def test_ragged_rows_that_balance_each_other_are_quarantined_when_streamed(
    streaming_lake: Lakehouse, write: Write, order: tuple[str, str]
) -> None:
    """One field too many and one too few leave the file's count of delimiters right."""
    rows = {"long": "T,1,0,1,3.5,1,20,77", "short": "T,2,1,1,3.5,1"}
    path = write("points.csv", points(*[rows[number] for number in order], "T,3,2,1,3.5,1,20"))
    report = ingest(streaming_lake, path)
    assert (report.total("rows_in"), report.total("rows_accepted")) == (3, 1)
    assert balance(streaming_lake).broken == ()


def test_a_number_in_the_other_notation_is_not_taken_for_another_number(
    take: Take, lake: Lakehouse
) -> None:
    """In a file with decimal commas `1.2345` and `0.125` are no thousands."""
    take(
        "points.csv",
        "test_id;point;test_time_s;cycle;voltage_v;current_a\n"
        "T;1;1,5;1;3,5;1,5\nT;2;2,5;1;3,5;1.2345\nT;3;3,5;1;3,5;0.125\nT;4;4,5;1;3,5;1.234,5\n",
    )
    assert lake.rows("SELECT point, current_a FROM raw_test_points ORDER BY 1") == [
        (1, 1.5),
        (4, 1234.5),
    ]


def test_a_whole_number_out_of_range_is_not_told_as_missing(take: Take, lake: Lakehouse) -> None:
    take("points.csv", points("T,99999999999999999999,0,1,3.5,1,20", "T,2,1,1,3.5,1,20"))
    (row,) = quarantine(lake)
    assert row["value"] == "99999999999999999999"
    assert "missing" not in row["message"]


def test_large_whole_numbers_keep_every_digit(take: Take, lake: Lakehouse) -> None:
    report = take("points.csv", points(*[f"T,{2**53 + k},{k},1,3.5,1,20" for k in range(2)]))
    assert report.total("rows_accepted") == 2
    assert lake.value("SELECT max(point) FROM raw_test_points") == 2**53 + 1


# -- records that contradict each other -----------------------------------------------------


def test_a_cell_of_no_electrode_waits_for_it(take: Take, lake: Lakehouse) -> None:
    cells = "cell;electrode;format\nC1;E1;coin\nC2;E9;coin\n"
    report = take("cells.csv", cells)
    assert (report.status, report.total("rows_accepted"), report.failed) == ("taken", 0, True)
    assert {row["rule"] for row in quarantine(lake)} == {"unknown_reference"}
    assert "electrodes" in quarantine(lake)[0]["remedy"]

    take("sheet.csv", sheet({}))
    (again,) = retry(lake)
    assert (again.total("rows_accepted"), again.total("rows_quarantined")) == (1, 1)
    assert lake.rows("SELECT cell_id FROM raw_cells") == [("C1",)]
    assert [row["value"] for row in quarantine(lake)] == ["E9"]
    assert balance(lake).broken == ()

    take("more.csv", sheet({"sample": "E9"}))
    (last,) = retry(lake)
    assert last.total("rows_quarantined") == 0
    assert retry(lake) == []
    assert lake.value("SELECT count(*) FROM raw_cells") == 2
    assert lake.value("SELECT count(*) FROM raw_files WHERE table_name = 'cells'") == 1


def test_retry_of_a_file_that_is_gone_keeps_its_rows(take: Take, lake: Lakehouse) -> None:
    report = take("cells.csv", "cell;electrode;format\nC1;E1;coin\n")
    report.path.unlink()
    (again,) = retry(lake)
    assert again.status == "refused"
    assert "--replaces" in again.reason
    assert len(quarantine(lake)) == 1


def test_doubled_identifiers_with_different_content_in_one_file(
    take: Take, lake: Lakehouse
) -> None:
    report = take(
        "sheet.csv", sheet({}, {"porosity (%)": "51"}, {"sample": "E2"}, {"sample": "E2"})
    )
    assert (report.total("rows_in"), report.total("rows_accepted")) == (4, 1)
    assert [(row["row_number"], row["rule"], row["value"]) for row in quarantine(lake)] == [
        (2, "doubled_identifier", "E1"),
        (3, "doubled_identifier", "E1"),
        (5, "repeated_row", "E2"),
    ]


def test_an_electrode_handed_in_again_beside_others_is_the_same_record(
    take: Take, lake: Lakehouse
) -> None:
    """Its running number among the rows of a file is no part of what was measured."""
    take("week.csv", sheet({}, {"sample": "E2"}, {"sample": "E3"}))
    report = take("late.csv", sheet({"sample": "E3"}, {"sample": "E4"}))
    assert quarantine(lake) == []
    assert (report.total("rows_accepted"), report.total("rows_new")) == (2, 1)


def test_doubled_identifiers_in_two_files(take: Take, lake: Lakehouse) -> None:
    take("first.csv", sheet({}))
    report = take("second.csv", sheet({"porosity (%)": "51"}, {"sample": "E2"}))
    assert (report.total("rows_accepted"), report.total("rows_quarantined")) == (1, 1)
    (row,) = quarantine(lake)
    assert row["rule"] == "contradicts_record"
    assert "first.csv, row 2" in row["message"]
    assert "porosity_pct 50.0 there, 51.0 here" in row["message"]


def test_two_files_judged_at_once_do_not_double_a_row(
    take: Take, lake: Lakehouse, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer commits the same record between the judgement and the commit."""
    from battery_platform.records import ingest as module

    short = write("one.csv", points("T,1,0,1,3.5,1,20"))
    longer = write("other.csv", points("T,1,0,1,3.5,1,20", "T,2,1,1,3.5,1,20"))
    deliver, met = module.deliver, []

    def overtaken(*words: Any, **more: Any) -> Any:
        if not met:
            met.append(True)
            ingest(lake, longer)
        return deliver(*words, **more)

    monkeypatch.setattr(module, "deliver", overtaken)
    ingest(lake, short)
    assert lake.rows("SELECT point, count(*) FROM raw_test_points GROUP BY 1 ORDER BY 1") == [
        (1, 1),
        (2, 1),
    ]
    assert balance(lake).broken == ()


def test_time_running_backwards_and_a_lone_spike(take: Take, lake: Lakehouse) -> None:
    times = (0, 1, 2, 900, 3, 4, 2.5, 5)
    report = take("p.csv", points(*[f"T,{i},{t},1,3.5,1,20" for i, t in enumerate(times)]))
    assert (report.total("rows_accepted"), report.total("rows_quarantined")) == (6, 2)
    assert [(row["row_number"], row["rule"], row["field"]) for row in quarantine(lake)] == [
        (5, "time_spike", "test_time_s"),
        (8, "time_backwards", "test_time_s"),
    ]


def test_interleaved_tests_are_no_fault(take: Take) -> None:
    rows = [f"{test},{i},{i},1,3.5,1,20" for i in range(20) for test in ("A", "B", "C")]
    report = take("p.csv", points(*rows))
    assert report.total("rows_accepted") == 60


def test_a_restart_within_interleaved_tests_is_found(take: Take, lake: Lakehouse) -> None:
    times = {"A": (0, 1, 2, 0, 1), "B": (0, 1, 2, 3, 4)}
    rows = [f"{test},{i},{times[test][i]},1,3.5,1,20" for i in range(5) for test in ("A", "B")]
    report = take("p.csv", points(*rows))
    assert report.total("rows_quarantined") == 2
    assert {row["rule"] for row in quarantine(lake)} == {"time_backwards"}


# -- the same thing again -------------------------------------------------------------------


def test_the_same_bytes_twice_and_under_two_names(take: Take, lake: Lakehouse) -> None:
    content = sheet({}, {"sample": "E2", "porosity (%)": "x"})
    take("first.csv", content)
    before = lake.snapshot()
    for name in ("first.csv", "second.csv"):
        report = take(name, content)
        assert report.status == "known"
        assert "first.csv" in report.reason
    assert lake.snapshot() == before
    assert lake.value("SELECT count(*) FROM raw_files") == 1


def test_a_cumulative_export_doubles_no_row(take: Take, lake: Lakehouse) -> None:
    yesterday = [f"T,{i},{i},1,3.5,1,20" for i in range(100)]
    today = [f"T,{i},{i},1,3.5,1,20" for i in range(100, 150)]
    take("monday.csv", points(*yesterday))
    report = take("tuesday.csv", points(*yesterday, *today))
    outcome = report.outcomes[0]
    assert (outcome.rows_in, outcome.rows_accepted, outcome.rows_new) == (150, 150, 50)
    assert lake.value("SELECT count(*) FROM raw_test_points") == 150
    assert audit(lake, TABLES["test_points"]).problems == ((), (), ())


def test_a_cumulative_export_without_identifiers_doubles_no_row(
    take: Take, lake: Lakehouse
) -> None:
    """Without a mapping the source is named after the file; the records are the same all the same."""
    header = "active material content [%];solid content [%];gap (µm);porosity (%)\n"
    yesterday = "96;60;100;50\n96;60;100;51\n"
    take("monday.csv", header + yesterday)
    take("tuesday.csv", header + yesterday + "95;60;100;52\n")
    assert lake.value("SELECT count(*) FROM raw_electrode_sheets") == 3


def test_a_cumulative_export_of_one_source_without_identifiers(take: Take, lake: Lakehouse) -> None:
    header = "active material content [%];solid content [%];gap (µm);porosity (%)\n"
    mapping = {
        "source": "lab",
        "table": "electrode_sheets",
        "columns": {
            "active_material_pct": "active material content [%]",
            "solid_content_pct": "solid content [%]",
            "comma_gap_um": "gap (µm)",
            "porosity_pct": "porosity (%)",
        },
    }
    yesterday = "96;60;100;50\n96;60;100;51\n"
    take("monday.csv", header + yesterday, mapping)
    take("tuesday.csv", header + yesterday + "96;60;100;52\n", mapping)
    assert lake.value("SELECT count(*) FROM raw_electrode_sheets") == 3


def test_a_corrected_file_takes_the_place_of_another(take: Take, lake: Lakehouse) -> None:
    take("old.csv", sheet({}, {"sample": "E2", "porosity (%)": "x"}))
    report = take("new.csv", sheet({"porosity (%)": "51"}, {"sample": "E2"}), replaces=["old.csv"])
    assert (report.status, report.total("rows_accepted")) == ("taken", 2)
    assert quarantine(lake) == []
    assert lake.rows("SELECT DISTINCT file_name FROM raw_files") == [("new.csv",)]
    assert lake.rows("SELECT electrode_id, porosity_pct FROM raw_electrode_sheets ORDER BY 1") == [
        ("E1", 51.0),
        ("E2", 50.0),
    ]


def test_replacing_a_file_keeps_what_another_file_states_too(take: Take, lake: Lakehouse) -> None:
    """Point 2 stands in the cumulative export as well, which still says that it was accepted."""
    take("a.csv", points("T,1,0,1,3.5,1,20", "T,2,1,1,3.5,1,20"))
    take("b.csv", points("T,1,0,1,3.5,1,20", "T,2,1,1,3.5,1,20", "T,3,2,1,3.5,1,20"))
    take("c.csv", points("T,9,9,1,3.6,1,20"), replaces=["a.csv"])
    stored = lake.rows("SELECT point FROM raw_test_points ORDER BY 1")
    assert stored == [(1,), (2,), (3,), (9,)]


# -- names of files -------------------------------------------------------------------------


NAMES = (
    "..csv",
    "...csv",
    'it\'s "quoted".csv',
    "two  words .csv",
    "'; DROP TABLE raw_files; --.csv",
    "a$b{c}%s%d\\n.csv",
    "-rf.csv",
    "*.csv",
    "[1-9]?.csv",
    "Elektrode_µm_é_测试_🔋.csv",
    "new\nline.csv",
    "x" * 240 + ".csv",
    "no_ending",
)


def test_any_file_name_is_taken(take: Take, lake: Lakehouse) -> None:
    for number, name in enumerate(NAMES):
        rows = ({"sample": f"A{number}"}, {"sample": f"B{number}", "porosity (%)": "x"})
        report = take(name, sheet(*rows))
        assert (report.total("rows_accepted"), report.total("rows_quarantined")) == (1, 1), name
    for table in ("raw_files", "quarantine"):
        names = lake.rows(f"SELECT DISTINCT file_name FROM {table}")
        assert {name for (name,) in names} == set(NAMES)
    assert lake.value("SELECT count(*) FROM raw_electrode_sheets") == len(NAMES)


def test_a_name_that_is_no_text_is_taken_or_refused(lake: Lakehouse, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv"))
    path.write_text(sheet({}))
    try:
        report = ingest(lake, path)
    except RefusedFile:
        pytest.fail("a refusal must be a report")
    assert report.status in {"taken", "refused"}
    report.reason.encode()


# -- mappings that are wrong ----------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"missing": 5},
        {"missing": "NA"},
        {"synthetic": "no"},
        {"encoding": 5},
        {"encoding": "nonsense"},
        {"datetime_format": 5},
        {"delimiter": 5},
        {"delimiter": ";;"},
        {"decimal": 5},
        {"header_row": "abc"},
        {"header_row": -1},
        {"values": {"test_id": ["a"]}},
        {"values": {"test_id": 5}},
        {"assumed": 5},
        {"table": ["test_points"]},
        {"table": "no_such_table"},
        {"source": "../up"},
        {"source": None},
        {"sheets": {"A": 5}},
        {"sheets": [1]},
        {"columns": {"test_id": {"column": "abc"}}},
        {"columns": {"test_id": {"column": -1}}},
        {"columns": {"test_id": None}},
        {"columns": [1, 2]},
        {"columns": POINTS_MAPPING["columns"] | {"no_such": "x"}},  # type: ignore[operator]
        {
            "columns": POINTS_MAPPING["columns"]
            | {"voltage_v": {"header": "voltage_v", "unit": "kg"}}
        },  # type: ignore[operator]
        {
            "columns": POINTS_MAPPING["columns"]
            | {"voltage_v": {"header": "voltage_v", "unit": [1]}}
        },  # type: ignore[operator]
        {"constants": [1]},
        {"constants": {"step": "abc"}},
        {"constants": {"step": [1]}},
        {"constants": {"recorded_at": "yesterday"}},
        {"timezone": "Mars/Olympus"},
        {"timezone": 5},
        {"no_such_entry": 1},
    ],
    ids=lambda change: str(change)[-60:],
)
def test_a_wrong_mapping_is_told_in_a_sentence(
    empty_lake: Lakehouse, write: Write, change: dict[str, Any]
) -> None:
    import yaml

    path = write("points.csv", points("T,1,0,1,3.5,1,20"))
    write("points.map.yaml", yaml.safe_dump(POINTS_MAPPING | change))
    report = ingest(empty_lake, path)
    assert report.status == "refused"
    assert report.reason.startswith("points.")
    assert "\n" not in report.reason


@pytest.mark.parametrize(
    "text",
    [
        "- a\n- b\n",
        "just words",
        "",
        "{unbalanced: [",
        "a: b: c",
        "\x00\x01",
        "!!python/object:x {}",
    ],
)
def test_a_mapping_file_that_is_no_mapping(empty_lake: Lakehouse, write: Write, text: str) -> None:
    path = write("points.csv", points("T,1,0,1,3.5,1,20"))
    write("points.map.yaml", text)
    report = ingest(empty_lake, path)
    assert_refused_mapping(report)


def test_a_mapping_file_in_another_encoding(empty_lake: Lakehouse, write: Write) -> None:
    path = write("points.csv", points("T,1,0,1,3.5,1,20"))
    write("points.map.yaml", "source: müller\n".encode("latin-1"))
    assert_refused_mapping(ingest(empty_lake, path))


def assert_refused_mapping(report: Report) -> None:
    assert report.status == "refused"
    assert report.reason.startswith("points.map.yaml: ")
    assert "\n" not in report.reason


# -- size -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_big_file_is_streamed_within_memory(tmp_path: Path) -> None:
    """60 MB of points, one row in a hundred thousand wrong, in a process below 1 GiB."""
    path = tmp_path / "big.csv"
    block = "test-{0},{1},{1},1,3.5123,0.00012,25.25\n"
    rows = 1_800_000
    with path.open("w") as stream:
        stream.write(POINTS + "\n")
        for start in range(0, rows, 100_000):
            stream.writelines(block.format(start, k) for k in range(99_999))
            stream.write(block.format(start, 99_999).replace("3.5123", "99.123"))
    assert path.stat().st_size > 58 * 10**6
    child = textwrap.dedent(
        """
        import re, sys
        from pathlib import Path
        from battery_platform.records.ingest import ingest
        from battery_platform.settings import Settings
        from battery_platform.store.lakehouse import Lakehouse
        report = ingest(Lakehouse(Settings(home=Path(sys.argv[2]))), Path(sys.argv[1]))
        # `ru_maxrss` would begin with the size of the process of the tests
        peak = re.search("VmHWM: *([0-9]+)", Path("/proc/self/status").read_text().replace("\\t", " "))
        print(report.status, report.total("rows_accepted"), report.total("rows_quarantined"), peak[1])
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", child, path, tmp_path / "home"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    status, accepted, held, peak_kib = done.stdout.split()
    assert (status, int(accepted), int(held)) == ("taken", rows - 18, 18)
    assert int(peak_kib) < 1024**2


# -- the command line -----------------------------------------------------------------------


def test_exit_statuses(command: Callable[..., Any], write: Write) -> None:
    good = write("good.csv", sheet({}))
    mixed = write("mixed.csv", sheet({"sample": "E2"}, {"sample": "E3", "porosity (%)": "x"}))
    bad = write("bad.csv", sheet({"sample": "E4", "porosity (%)": "x"}))
    empty = write("empty.csv", b"")
    expected = [
        (("check", good), 0, "good.csv"),
        (("check", mixed), 1, "a number in % is expected"),
        (("ingest", good), 0, "taken"),
        (("ingest", good), 0, "known"),
        (("ingest", mixed), 0, "1 row(s) wait in quarantine"),
        (("ingest", bad), 1, "quarantine"),
        (("check", empty), 1, "empty.csv: the file is empty."),
        (("ingest", good.parent / ".." / "files" / "good.csv"), 0, "known"),
        (("ingest", good, "--replaces", "never.csv"), 1, "never.csv"),
        (("ingest", good, "--map", "never.yaml"), 1, "never.yaml"),
        (("ingest", good, "--nonsense"), 2, "No such option"),
        (("quarantine", "list"), 0, "number"),
        (("quarantine", "show", "bad.csv"), 0, "porosity_pct"),
        (("quarantine", "retry"), 0, "2 are left"),
        (("sql", "select * from raw_files", "--at", "99999"), 1, "99999"),
        (("sql", "delete from raw_files"), 1, "read-only"),
    ]
    for words, status, says in expected:
        answer = command(*words)
        assert (answer.status, "Traceback" in answer.text) == (status, False), (words, answer)
        assert says in answer.text, (words, answer)


def test_a_relative_path_upwards(command: Callable[..., Any], write: Write, tmp_path: Path) -> None:
    write("x.csv", sheet({}))
    below = tmp_path / "below"
    below.mkdir()
    answer = command("ingest", "../files/x.csv", "--json", cwd=below)
    assert (answer.status, '"status": "taken"' in answer.out) == (0, True)


def test_settings_that_cannot_be_used(command: Callable[..., Any], write: Write) -> None:
    good = write("good.csv", sheet({}))
    for name, value in (
        ("BATTERY_PLATFORM_MEMORY_MIB", "0"),
        ("BATTERY_PLATFORM_CATALOGUE", "postgresql://nobody@127.0.0.1:1/none"),
        ("BATTERY_PLATFORM_HOME", "/dev/null/home"),
    ):
        answer = command("check", good, **{name: value})
        assert (answer.status, "Traceback" in answer.text) == (1, False), answer
        assert "Error: " in answer.text


def test_checking_stores_nothing(lake: Lakehouse, write: Write, settings: Any) -> None:
    path = write("sheet.csv", sheet({}, {"sample": "E2", "porosity (%)": "x"}))
    lake.snapshot()
    before = lake.snapshot()
    report = check(lake, path)
    assert (report.status, report.total("rows_accepted")) == ("checked", 1)
    assert lake.snapshot() == before
    assert list(Path(settings.data_path).rglob("*.parquet")) == []
