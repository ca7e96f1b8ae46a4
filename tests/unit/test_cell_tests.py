"""What a mapping says of an export that no export knows, and what follows for cells and features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from battery_platform.records.cyclers.summary import Summary, cycles, steps
from battery_platform.records.ingest import Report, ingest, retry
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str], Path]
Take = Callable[..., Report]

HEADER = "Test Time / s,Voltage / V,Current / A,Cycle Count / 1,Step Count / 1\n"


def export(cycles_: int, first: int = 1, current: float = 0.36, fade: float = 0.0) -> str:
    """Cycles of ten points each way; each 10 s at 0.36 A pass 1 mAh: 9 mAh in, 10 out."""
    lines, time = [], 0.0
    for cycle in range(first, first + cycles_):
        there = current * (1 - fade * (cycle - first))
        for number in range(20):
            charging = number < 10
            volts = 3.0 + 0.05 * number if charging else 3.45 - 0.05 * (number - 10)
            amperes = there if charging else -there
            lines.append(f"{time},{volts:.3f},{amperes:.6f},{cycle},{1 if charging else 2}")
            time += 10.0
    return HEADER + "\n".join(lines) + "\n"


def beside(write: Write, name: str, text: str, mapping: str) -> Path:
    write(name.replace(".csv", ".map.yaml"), "source: lab\nreader: cycler\n" + mapping)
    return write(name, text)


def put(lake: Lakehouse, table: str, **values: object) -> None:
    marks = ", ".join("?" for _ in values)
    sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
    lake.write(lambda cursor: cursor.execute(sql, [*values.values()]) and True)


@pytest.fixture
def known_cell(lake: Lakehouse) -> Lakehouse:
    """A lake with cell C1: 0.01 g of a material of 400 mAh/g."""
    for table, values in {
        "raw_material_lots": {
            "lot_id": "L1",
            "material_kind": "active_material",
            "theoretical_capacity_mah_g": 400,
        },
        "raw_slurry_batches": {"slurry_id": "S1", "active_lot_id": "L1"},
        "raw_coatings": {"coating_id": "K1", "slurry_id": "S1"},
        "raw_electrodes": {"electrode_id": "E1", "coating_id": "K1"},
        "raw_cells": {
            "cell_id": "C1",
            "electrode_id": "E1",
            "active_mass_mg": 100,
            "active_mass_source": "weighed",
        },
    }.items():
        put(lake, table, **values)
    return lake


def test_a_test_finds_its_cell_and_the_mass_of_it(known_cell: Lakehouse, write: Write) -> None:
    path = beside(write, "a.csv", export(2), "constants: {cell_id: C1, formation_cycles: 1}\n")
    report = ingest(known_cell, path)
    assert [outcome.table for outcome in report.outcomes] == [
        "test_points",
        "test_cycles",
        "cycling_tests",
    ]
    assert report.total("rows_quarantined") == 0
    (first, _) = known_cell.records("SELECT * FROM raw_test_cycles ORDER BY cycle")
    assert first["discharge_capacity_mah"] == pytest.approx(10.0)
    assert first["specific_capacity_mah_g"] == pytest.approx(100.0)
    assert first["active_mass_source"] == "weighed"
    (row,) = known_cell.records("SELECT * FROM test_features")
    assert (row["cell_id"], row["formation_cycles"], row["cycles"]) == ("C1", 1, 2)


def test_without_a_mass_there_is_no_gravimetric_value(take: Take, lake: Lakehouse) -> None:
    take("a.csv", export(5))
    assert lake.value("SELECT count(specific_capacity_mah_g) FROM raw_test_cycles") == 0
    assert lake.records("SELECT d5_mah, d5_mah_g FROM test_features") == [
        {"d5_mah": pytest.approx(10.0), "d5_mah_g": None}
    ]


def test_an_unknown_cell_holds_the_test_back_until_it_is_there(
    lake: Lakehouse, write: Write
) -> None:
    path = beside(write, "a.csv", export(1), "constants: {cell_id: C9}\n")
    ingest(lake, path)
    (held,) = lake.records("SELECT field, value, remedy FROM quarantine")
    assert (held["field"], held["value"]) == ("cell_id", "C9")
    put(lake, "raw_cells", cell_id="C9", electrode_id="E")
    (again,) = retry(lake)
    assert again.total("rows_quarantined") == 0
    assert lake.value("SELECT count(*) FROM raw_cycling_tests") == 1
    assert lake.value("SELECT count(*) FROM raw_test_points") == 20


def test_capacity_above_theory_is_held_back(known_cell: Lakehouse, write: Write) -> None:
    """100 mg that give 9 Ah: the current is in mA and labelled A."""
    path = beside(write, "a.csv", export(1, current=360.0), "constants: {cell_id: C1}\n")
    ingest(known_cell, path)
    held = known_cell.records("SELECT DISTINCT table_name, rule, remedy FROM quarantine")
    assert {row["table_name"] for row in held} == {"test_cycles"}
    assert any("A labelled mA" in row["remedy"] for row in held)


def test_counters_that_contradict_the_current_refuse_the_file(
    lake: Lakehouse, write: Write
) -> None:
    rows = [f"{10 * n},3.{n:02d},0.36,1,1,{n / 1000:.6f}" for n in range(20)]
    header = HEADER.replace("Current / A", "Current / mA").rstrip("\n")
    text = header + ",Charging Capacity / Ah\n" + "\n".join(rows) + "\n"
    report = ingest(lake, write("a.csv", text))
    assert report.status == "refused"
    assert "unit" in report.reason
    assert lake.value("SELECT count(*) FROM raw_test_points") == 0


def test_the_mapping_says_what_a_positive_current_means(lake: Lakehouse, write: Write) -> None:
    ingest(lake, beside(write, "a.csv", export(1), "positive_current: discharge\n"))
    assert lake.rows("SELECT sign(current_a) FROM raw_test_points ORDER BY point LIMIT 1") == [
        (-1,)
    ]


def test_the_mapping_says_which_way_round_the_efficiency_is(lake: Lakehouse, write: Write) -> None:
    text = export(1).replace("-0.360000", "-0.720000")
    ingest(lake, beside(write, "a.csv", text, "efficiency: charge_per_discharge\n"))
    (row,) = lake.records("SELECT coulombic_efficiency_pct, efficiency_basis FROM raw_test_cycles")
    assert row == {
        "coulombic_efficiency_pct": pytest.approx(45.0),
        "efficiency_basis": "charge_per_discharge",
    }


def test_a_longer_export_takes_the_place_of_the_shorter(take: Take, lake: Lakehouse) -> None:
    whole = export(4)
    shorter = "".join(whole.splitlines(keepends=True)[:61])
    first = take("monday.csv", shorter)
    (test_before,) = lake.rows("SELECT DISTINCT test_id FROM raw_test_points")
    second = take("tuesday.csv", whole)
    assert any("longer export" in note for note in second.notes)
    assert lake.rows("SELECT DISTINCT test_id, file_id FROM raw_test_points") == [
        (test_before[0], second.file_id)
    ]
    assert lake.value("SELECT count(*) FROM raw_test_points") == 80
    assert lake.value("SELECT count(*) FROM raw_files WHERE file_id = ?", [first.file_id]) == 0


def test_a_like_beginning_is_not_the_same_test(take: Take, lake: Lakehouse) -> None:
    whole = export(3)
    take("a.csv", whole)
    take("b.csv", whole[:-700] + whole[-700:].replace("-0.360000", "-0.300000"))
    names = lake.rows("SELECT DISTINCT test_id FROM raw_test_points")
    assert len(names) == 2


def test_a_shorter_or_equal_export_is_known(take: Take, lake: Lakehouse) -> None:
    whole = export(4)
    longer = take("wednesday.csv", whole)
    before = lake.snapshot()
    for text in ("".join(whole.splitlines(keepends=True)[:61]), whole + "\n"):
        report = take("monday.csv", text)
        assert (report.status, report.file_id) == ("known", longer.file_id)
        assert "wednesday.csv" in report.reason
    assert lake.snapshot() == before


def test_cells_at_rest_are_not_the_same_cell(take: Take, lake: Lakehouse) -> None:
    resting = HEADER + "".join(f"{10 * n}.0,3.3000,0.0,1,1\n" for n in range(60))
    take("a.csv", resting)
    later = export(2).removeprefix(HEADER).splitlines()
    begins = [
        ",".join([str(600 + 10 * n) + ".0", *line.split(",")[1:]]) for n, line in enumerate(later)
    ]
    take("b.csv", resting + "\n".join(begins) + "\n")
    assert lake.value("SELECT count(DISTINCT test_id) FROM raw_test_points") == 2


def test_tests_of_other_cells_are_other_tests(lake: Lakehouse, write: Write) -> None:
    whole = export(4)
    shorter = "".join(whole.splitlines(keepends=True)[:61])
    ingest(lake, beside(write, "a.csv", shorter, "constants: {test_id: TA}\n"))
    ingest(lake, beside(write, "b.csv", whole, "constants: {test_id: TB}\n"))
    assert lake.rows("SELECT test_id, count(*) FROM raw_test_points GROUP BY 1 ORDER BY 1") == [
        ("TA", 60),
        ("TB", 80),
    ]


def test_a_longer_export_inherits_the_mapping_of_the_shorter(
    known_cell: Lakehouse, write: Write
) -> None:
    whole = export(4)
    shorter = "".join(whole.splitlines(keepends=True)[:61])
    stated = "constants: {cell_id: C1, formation_cycles: 1}\n"
    ingest(known_cell, beside(write, "monday.csv", shorter, stated))
    report = ingest(known_cell, write("tuesday.csv", whole))
    assert any("that of the shorter export" in note for note in report.notes)
    (row,) = known_cell.records("SELECT cell_id, formation_cycles, cycles FROM test_features")
    assert row == {"cell_id": "C1", "formation_cycles": 1, "cycles": 4}


def test_an_export_takes_the_place_of_one_with_the_same_name(lake: Lakehouse, write: Write) -> None:
    ingest(lake, beside(write, "a.csv", export(2), "constants: {test_id: TT}\n"))
    other = beside(write, "b.csv", export(3, current=0.2), "constants: {test_id: TT}\n")
    assert "is in the lake with other points" in ingest(lake, other).reason
    assert ingest(lake, other, replaces=["a.csv"]).status == "taken"
    assert lake.rows("SELECT test_id, count(*) FROM raw_test_points GROUP BY 1") == [("TT", 60)]


def test_a_cycle_that_discharges_twice_counts_for_no_feature(take: Take, lake: Lakehouse) -> None:
    lines = export(3).splitlines(keepends=True)
    twice = [line.replace(",3,1\n", ",2,3\n").replace(",3,2\n", ",2,4\n") for line in lines]
    report = take("a.csv", "".join(twice))
    assert any("discharges more than once" in note for note in report.notes)
    (row,) = lake.records("SELECT cycles, complete_cycles, max_capacity_mah FROM test_features")
    assert row == {"cycles": 2, "complete_cycles": 1, "max_capacity_mah": pytest.approx(10.0)}


CLOCK = "Date Time,Test Time / s,Voltage / V,Current / A,Cycle Count / 1\n"


def test_an_hour_that_the_clock_shows_twice(lake: Lakehouse, write: Write) -> None:
    """Berlin, 26 October 2025: 02:30 comes an hour after 02:30."""
    stamps = ("01:30", "02:30", "02:30", "03:30")
    rows = [f"2025-10-26 {at}:00,{3600 * n},3.{n},0.36,1" for n, at in enumerate(stamps)]
    text = CLOCK + "\n".join(rows) + "\n"
    report = ingest(lake, beside(write, "a.csv", text, "timezone: Europe/Berlin\n"))
    hours = lake.rows("SELECT hour(recorded_at) FROM raw_test_points ORDER BY point")
    assert hours == [(23,), (0,), (1,), (2,)]
    assert any("showed twice" in note for note in report.notes)


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ("positive_current: backwards\n", "is not known"),
        ("efficiency: high\n", "is not known"),
        ("constants: {colour: red}\n", "has no column 'colour'"),
        ("constants: {active_mass_mg: 10}\n", "without saying how"),
        ("constants: {cell_id: C, formation_cycles: many}\n", "is not a number"),
        ("constants: {formation_cycles: 2}\n", "without its cell"),
        ("constants: {active_mass_mg: -3}\n", "lies outside"),
        ("constants: {active_mass_mg: true}\n", "is not a number"),
        ("constants: {test_id: [1]}\n", "is no word"),
        ("constants: {cell_id: ''}\n", "is no word"),
        ("decimal: ','\n", "says nothing to"),
        ("timezone: Mars/Olympus\n", "no time zone"),
    ],
)
def test_a_mapping_that_cannot_be_followed_is_refused(
    lake: Lakehouse, write: Write, mapping: str, says: str
) -> None:
    report = ingest(lake, beside(write, "a.csv", export(1), mapping))
    assert report.status == "refused"
    assert says in report.reason


def random_points(seed: int, resets: str) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 30, 12)
    kind = np.repeat(rng.integers(-1, 2, 12), sizes)
    step = np.repeat(np.arange(12), sizes)
    time = np.cumsum(rng.uniform(0.5, 20, len(kind)))
    current = kind * rng.uniform(0.1, 0.5, len(kind))
    spans = np.diff(time, prepend=time[0]) * (np.diff(step, prepend=0) == 0)
    before = np.where(np.diff(step, prepend=0) == 0, np.roll(current, 1), current)
    passed = (before + current) / 2 * spans / 3600
    charge = pl.DataFrame(
        {"step": step, "up": np.maximum(passed, 0), "down": np.maximum(-passed, 0)}
    )
    over = ["step"] if resets == "step" else []
    counted = charge.select(
        (pl.col(name).cum_sum().over(over) if over else pl.col(name).cum_sum())
        for name in ("up", "down")
    )
    return pl.DataFrame(
        {
            "row_number": np.arange(2, len(kind) + 2),
            "test_time_s": time,
            "voltage_v": rng.uniform(2.5, 4.2, len(kind)),
            "current_a": current,
            "cycle": np.repeat(np.arange(12) // 4, sizes),
            "step": step,
            "charge_ah": counted["up"],
            "discharge_ah": counted["down"],
        }
    )


@pytest.mark.parametrize("resets", ["step", "unknown"])
@pytest.mark.parametrize("seed", range(5))
def test_blocks_sum_up_to_what_the_whole_sums_up_to(seed: int, resets: str) -> None:
    points = random_points(seed, resets)
    summary = Summary(resets)  # type: ignore[arg-type]
    cuts = sorted(np.random.default_rng(seed).integers(0, points.height, 7).tolist())
    for start, end in zip([0, *cuts], [*cuts, points.height], strict=True):
        summary.add(points[start:end])
    whole = steps(points, resets)  # type: ignore[arg-type]
    assert whole.height == 12
    assert_frame_equal(
        summary.steps(), whole, check_column_order=False, check_exact=False, abs_tol=1e-12
    )
    assert_frame_equal(
        summary.cycles(),
        cycles(points, resets),
        check_exact=False,
        abs_tol=1e-12,  # type: ignore[arg-type]
    )


def test_dqdv_finds_the_plateau() -> None:
    """Charge that flows at one voltage is the peak; what flows at the cut-off is none."""
    charge = np.linspace(0, 1, 2001)
    volts = 3.3 + 4 * (charge - 0.5) ** 3
    held = np.full(1500, volts[-1])
    points = pl.DataFrame(
        {
            "row_number": np.arange(3501),
            "test_time_s": np.arange(3501) * 1.8,
            "voltage_v": np.concatenate((volts, held)),
            "current_a": np.ones(3501),
            "cycle": np.ones(3501, dtype=np.int64),
        }
    )
    (row,) = cycles(points).to_dicts()
    assert row["dqdv_peak_charge_v"] == pytest.approx(3.3, abs=0.01)
    assert row["dqdv_peak_discharge_v"] is None


def test_resistance_is_the_voltage_step_over_the_current_step() -> None:
    points = pl.DataFrame(
        {
            "row_number": [2, 3, 4, 5],
            "test_time_s": [0.0, 60.0, 61.0, 121.0],
            "voltage_v": [3.5, 3.5, 3.4, 3.0],
            "current_a": [0.0, 0.0, -0.5, -0.5],
            "cycle": [1, 1, 1, 1],
            "step": [1, 1, 2, 2],
        }
    )
    (row,) = cycles(points).to_dicts()
    assert row["ir_drop_mv"] == pytest.approx(100.0)
    assert row["resistance_ohm"] == pytest.approx(0.2)
    late = points.with_columns(pl.Series("test_time_s", [0.0, 60.0, 120.0, 180.0]))
    assert cycles(late)["ir_drop_mv"].to_list() == [None]


def test_features_begin_after_formation_and_leave_an_unfinished_cycle_out(
    lake: Lakehouse, write: Write
) -> None:
    unfinished = "".join(export(12, fade=0.06).splitlines(keepends=True)[:-5])
    path = beside(write, "a.csv", unfinished, "constants: {cell_id: C1, formation_cycles: 2}\n")
    put(lake, "raw_cells", cell_id="C1", electrode_id="E")
    ingest(lake, path)
    (row,) = lake.records("SELECT * FROM test_features")
    assert (row["cycles"], row["complete_cycles"]) == (12, 11)
    assert row["max_capacity_mah"] == pytest.approx(10 * 0.88)
    assert row["d5_mah"] == pytest.approx(10 * 0.64)
    assert row["d10_mah"] is None
    assert row["retention_pct"] == pytest.approx(100 * 0.40 / 0.88)
    assert row["cycle_at_50pct_of_max"] == 9
