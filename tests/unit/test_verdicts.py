"""One verdict however a row is judged: by Pandera, by compiled expressions, or in a stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandera.errors
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from battery_platform.contracts.base import Column, Contract, columns, rules, sequence
from battery_platform.contracts.registry import TABLES
from battery_platform.contracts.verdicts import judge, passes
from battery_platform.records.ingest import Report, ingest
from battery_platform.records.mapping import parse
from battery_platform.settings import Settings
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str | bytes], Path]

MOMENTS = [None, datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 0, 1), datetime(2027, 1, 1)]
TEXTS = [None, "", "A", "E-17", "x" * 200, "x" * 201, "é", " "]


def around(low: float, high: float) -> list[float]:
    """The limits of a range, their neighbours, zero, and values well inside and outside."""
    return [
        low,
        high,
        math.nextafter(low, -math.inf),
        math.nextafter(low, math.inf),
        math.nextafter(high, math.inf),
        (low + high) / 2,
        0.0,
        -1.0,
        2 * high + 1,
    ]


def values(column: Column) -> st.SearchStrategy[Any]:
    """Values of a column's type, most of them where a verdict may tip; nulls too."""
    if column.dtype == pl.Float64:
        low = -1e3 if column.low is None else column.low
        high = 1e3 if column.high is None else column.high
        return st.one_of(
            st.sampled_from([None, *around(low, high)]),
            st.floats(low, high),
            st.sampled_from([math.nan, math.inf, -math.inf]),
        )
    if column.dtype == pl.Int64:
        return st.sampled_from([None, -1, 0, 1, 2, 10**6, 10**6 + 1, 10**9, 10**9 + 1, 2**62])
    if column.allowed:
        return st.sampled_from(
            [None, *column.allowed, "", "other words", column.allowed[0].upper()]
        )
    if column.dtype == pl.String:
        return st.sampled_from(TEXTS)
    return st.sampled_from(MOMENTS)


def frames(contract: type[Contract]) -> st.SearchStrategy[pl.DataFrame]:
    made = columns(contract)
    row = st.tuples(*[values(column) for column in made])
    schema = {column.name: column.dtype for column in made}

    def frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
        typed = pl.DataFrame(rows, schema=schema, orient="row")
        return typed.with_row_index("row_number", 2).cast({"row_number": pl.Int64})

    return st.lists(row, min_size=1, max_size=25).map(frame)


def sound(frame: pl.DataFrame) -> pl.Expr:
    """Reading turns what is not finite into null and a problem, so Pandera never sees it."""
    numbers = [name for name, dtype in frame.schema.items() if dtype == pl.Float64]
    return pl.all_horizontal(
        [pl.col(name).is_finite().fill_null(True) for name in numbers] or [True]
    )


def accepted_by_pandera(frame: pl.DataFrame, contract: type[Contract]) -> list[int]:
    """Rows in which Pandera, asked about all of them, finds nothing wrong."""
    try:
        contract.to_schema().validate(frame.drop("row_number"), lazy=True)
        wrong: set[int] = set()
    except pandera.errors.SchemaErrors as error:
        wrong = set(error.failure_cases["index"].to_list())
    return [row for place, row in enumerate(frame["row_number"]) if place not in wrong]


@pytest.mark.parametrize("name", list(TABLES))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_pandera_and_the_compiled_expressions_agree(name: str, data: st.DataObject) -> None:
    contract = TABLES[name].contract
    frame = data.draw(frames(contract))
    asked = frame.select("row_number", passes(contract).alias("passes"))
    assert asked["passes"].null_count() == 0
    finite = frame.filter(sound(frame))
    accepted = judge(finite, contract).accepted["row_number"].to_list()
    assert accepted == asked.filter("passes")["row_number"].to_list()
    assert accepted == accepted_by_pandera(finite, contract)


@pytest.mark.parametrize("name", list(TABLES))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_violation_has_a_message_and_a_remedy(name: str, data: st.DataObject) -> None:
    contract = TABLES[name].contract
    frame = data.draw(frames(contract))
    verdict = judge(frame.filter(sound(frame)), contract)
    violations = verdict.violations
    assert violations["message"].null_count() == violations["remedy"].null_count() == 0
    assert set(violations["field"]) <= {column.name for column in columns(contract)}
    assert not any("{" in message for message in violations["message"])
    assert (
        verdict.accepted.height + violations["row_number"].n_unique()
        == frame.filter(sound(frame)).height
    )


@pytest.mark.parametrize("name", list(TABLES))
def test_rules_by_rule_as_pandera_sees_them(name: str) -> None:
    """Each check of the Pandera schema has its expression, and the other way round."""
    contract = TABLES[name].contract
    schema = contract.to_schema()
    checks = sum(len(column.checks) + (not column.nullable) for column in schema.columns.values())
    assert len(rules(contract)) == checks + len(schema.checks)
    assert len({rule.pandera_key for rule in rules(contract)}) == len(rules(contract))


def test_points_of_a_test_are_a_sequence() -> None:
    assert sequence(TABLES["test_points"].contract) == ("test_id", "test_time_s")


@pytest.mark.parametrize(
    ("value", "unit"),
    [(0.1, "mm"), (0.00008, "m"), (80_000.0, "nm")],
)
def test_the_remedy_names_the_unit_that_fits_the_whole_range(value: float, unit: str) -> None:
    contract = TABLES["electrode_sheets"].contract
    row = {column.name: None for column in columns(contract)}
    row |= {"electrode_id": "E", "coating_id": "C", "slurry_id": "S", "replicate": 1}
    row |= {"thickness_um": value}
    schema = {column.name: column.dtype for column in columns(contract)}
    frame = pl.DataFrame([row], schema=schema).with_columns(pl.lit(2, pl.Int64).alias("row_number"))
    violations = judge(frame, contract).violations.filter(pl.col("field") == "thickness_um")
    assert f"given in {unit}:" in violations["remedy"].item()


# -- the streaming pass ---------------------------------------------------------------------

HEADER = (
    "test_id",
    "point",
    "test_time_s",
    "recorded_at",
    "cycle",
    "step",
    "voltage_v",
    "current_a",
    "temperature_degc",
)
STRANGE = (
    (6, "9.5"),
    (6, "abc"),
    (6, ""),
    (6, "NaN"),
    (6, "inf"),
    (6, " 3.5 "),
    (6, "+3.5"),
    (6, "3.5e0"),
    (6, "3."),
    (6, ".5"),
    (6, "1_0"),
    (6, "0x3"),
    (6, "3,5"),
    (6, "−3.5"),
    (6, "3.50000000000000000001"),
    (7, "-999"),
    (7, "1e-300"),
    (7, "1e400"),
    (8, "warm"),
    (8, "-999"),
    (8, "NA"),
    (8, "N/A"),
    (8, "nan"),
    (8, "25 °C"),
    (8, "201"),
    (4, "1.0"),
    (4, "1.5"),
    (4, "-1"),
    (4, "99999999999999999999"),
    (5, "none"),
    (5, "2.0"),
    (5, "x"),
    (3, "2026-07-01"),
    (3, "2026-07-01T12:00:00Z"),
    (3, "yesterday"),
    (3, "2026-10-25 02:30:00"),
    (0, "NA"),
    (0, "n/a"),
    (0, " bench-0"),
    (0, "bench-0 "),
    (0, "T1"),
    (0, "-"),
    (0, ""),
    (0, "é"),
    (0, "x" * 201),
    (2, "-1"),
)


def regular(decimal: str = ".", delimiter: str = ",", rows: int = 600) -> str:
    """A long regular file whose every tenth row holds something strange."""
    lines = [delimiter.join(HEADER)]
    strange = iter(STRANGE * 2)
    for k in range(rows):
        cells = [
            f"bench-{k // 100}",
            str(k),
            f"{k % 100}.25",
            "2026-07-01 12:00:00",
            "1",
            "2",
            "3.5",
            "-0.125",
            "25.5",
        ]
        cells = [cells[0], cells[1], *[cell.replace(".", decimal) for cell in cells[2:]]]
        if k % 10 == 5:
            position, text = next(strange, (6, "9"))
            text = text.replace(".", decimal) if decimal == "," else text
            if delimiter not in text:
                cells[position] = text
        lines.append(delimiter.join(cells))
    return "\n".join(lines) + "\n"


MAPPING: dict[str, Any] = {
    "source": "bench",
    "table": "test_points",
    "columns": {name: name for name in HEADER},
}


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Lakehouse, Lakehouse]]:
    """A lake that judges as text and one that streams."""
    text = Settings(home=tmp_path / "text", threads=2)
    lakes = Lakehouse(text), Lakehouse(replace(text, home=tmp_path / "stream", stream_above_mib=0))
    yield lakes
    for lake in lakes:
        lake.close()


def taken(lake: Lakehouse, path: Path, mapping: dict[str, Any] | None) -> Report:
    report = ingest(lake, path, parse(mapping, path) if mapping else None)
    assert report.status == "taken", report.reason
    assert balance(lake).broken == ()
    return report


def assert_alike(
    both: tuple[Lakehouse, Lakehouse], path: Path, mapping: dict[str, Any] | None
) -> None:
    """Both ways store the same rows and the same reasons."""
    first, second = (taken(lake, path, mapping) for lake in both)
    held = "SELECT row_number, field, value, rule, message, remedy, record FROM quarantine ORDER BY ALL"
    text, stream = (lake.rows(held) for lake in both)
    assert stream == text
    (one,), (other,) = first.outcomes, second.outcomes
    stored = f"SELECT * EXCLUDE (file_id) FROM raw_{one.table} ORDER BY row_number"
    text, stream = (lake.rows(stored) for lake in both)
    assert stream == text
    assert (one.rows_in, one.rows_accepted, one.rows_new) == (
        other.rows_in,
        other.rows_accepted,
        other.rows_new,
    )


@pytest.mark.parametrize(
    ("decimal", "delimiter", "change"),
    [
        (".", ",", {}),
        (",", ";", {}),
        (".", "\t", {"timezone": "Europe/Berlin"}),
        (".", ",", {"missing": ["", "-999", "warm"]}),
        (".", ",", {"values": {"test_id": {"bench-1": "first"}, "voltage_v": {"abc": "3.6"}}}),
        (
            ".",
            ",",
            {"columns": MAPPING["columns"] | {"voltage_v": {"header": "voltage_v", "unit": "mV"}}},
        ),
        (
            ".",
            ",",
            {
                "columns": {k: v for k, v in MAPPING["columns"].items() if k != "cycle"},
                "constants": {"cycle": 7},
            },
        ),
    ],
    ids=["point", "comma", "zone", "missing", "values", "unit", "constant"],
)
def test_the_streaming_pass_judges_as_the_text_way_does(
    both: tuple[Lakehouse, Lakehouse],
    write: Write,
    decimal: str,
    delimiter: str,
    change: dict[str, Any],
) -> None:
    path = write("points.csv", regular(decimal, delimiter))
    assert_alike(both, path, MAPPING | change)


@pytest.mark.parametrize(
    "name",
    [
        "crlf",
        "mark",
        "preamble",
        "unit_row",
        "letter_row",
        "no_header",
        "quoted",
        "blank",
        "no_end",
    ],
)
def test_the_streaming_pass_sees_the_same_lines(
    both: tuple[Lakehouse, Lakehouse], write: Write, name: str
) -> None:
    text = regular(rows=60)
    head, body = text.split("\n", 1)
    variants: dict[str, str | bytes] = {
        "crlf": text.replace("\n", "\r\n"),
        "mark": text.encode("utf-8-sig"),
        "preamble": f'# bench "7"\n\n# started, again\n{text}',
        "unit_row": f"{head}\n,,s,,,,V,,°C\n{body}",
        "letter_row": f"{head}\n,,s,,,,V,x,°C\n{body}",
        "no_header": body,
        "quoted": text.replace("bench-0,", '"bench-0",'),
        "blank": f"{head}\n\n{body}\n\n",
        "no_end": text.rstrip("\n"),
    }
    mapping = None if name in {"preamble", "unit_row", "letter_row"} else MAPPING
    if name == "no_header":
        places = {column: {"column": k} for k, column in enumerate(HEADER, start=1)}
        mapping = MAPPING | {"header_row": 0, "columns": places}
    assert_alike(both, write("points.csv", variants[name]), mapping)


@pytest.mark.parametrize("blank", ["\u00a0", "\t", "\u2009", "\x0b"])
def test_any_blank_around_an_identifier_is_no_part_of_it(
    both: tuple[Lakehouse, Lakehouse], write: Write, blank: str
) -> None:
    text = regular(rows=20).replace("\nbench-0,7,", f"\n{blank}bench-0{blank},7,")
    assert_alike(both, write("points.csv", text), MAPPING)
    assert both[1].rows("SELECT DISTINCT test_id FROM raw_test_points") == [("bench-0",)]


def test_text_columns_are_read_alike(both: tuple[Lakehouse, Lakehouse], write: Write) -> None:
    """Words for missing, blanks and capital letters of words and choices."""
    lots = "lot,kind,material,supplier,density\n" + "".join(
        f"L{k},{kind},PVdF,{supplier},{density}\n"
        for k, (kind, supplier, density) in enumerate(
            [
                ("binder", "NA", "1.7"),
                ("Binder", "n/a", "1,7"),
                (" binder", "None", "NA"),
                ("binder", " Ann ", "1.7"),
                ("BINDER ", "-", "-"),
                ("glue", "", ""),
                ("", "NULL", "0"),
            ]
        )
        if "," not in density
    )
    assert_alike(both, write("lots.csv", lots), None)
