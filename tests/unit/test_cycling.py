"""Exports of cyclers in the lake: points and cycles, each row accounted for, values as they stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from battery_platform.records.ingest import Report, check, ingest
from battery_platform.store.lakehouse import Lakehouse

Take = Callable[..., Report]
Counted = Callable[[Report], None]

HEADER = "Test Time / s,Voltage / V,Current / A,Cycle Count / 1,Step Count / 1\n"
CYCLE = "".join(
    f"{10 * n},{3.0 + 0.01 * n if n < 10 else 3.2 - 0.01 * n:.2f},{0.36 if n < 10 else -0.36},1,{1 if n < 10 else 2}\n"
    for n in range(20)
)


def test_an_export_becomes_points_and_cycles(take: Take, lake: Lakehouse) -> None:
    report = take("cell7.csv", HEADER + CYCLE)
    assert [
        (outcome.table, outcome.rows_in, outcome.rows_accepted) for outcome in report.outcomes
    ] == [
        ("test_points", 20, 20),
        ("test_cycles", 1, 1),
    ]
    (row,) = lake.records("SELECT charge_capacity_mah, discharge_capacity_mah FROM raw_test_cycles")
    # nine intervals of 10 s at 0.36 A, then ten at -0.36 A
    assert row["charge_capacity_mah"] == pytest.approx(9.0)
    assert row["discharge_capacity_mah"] == pytest.approx(10.0)
    assert any("positive" in note or "sign" in note for note in report.notes)


def test_the_same_bytes_are_taken_once(take: Take, lake: Lakehouse) -> None:
    take("cell7.csv", HEADER + CYCLE)
    before = lake.snapshot()
    assert take("other_name.csv", HEADER + CYCLE).status == "known"
    assert lake.snapshot() == before


def test_checking_stores_nothing(lake: Lakehouse, write: Callable[[str, str], Path]) -> None:
    report = check(lake, write("cell7.csv", HEADER + CYCLE))
    assert report.status == "checked"
    assert lake.value("SELECT count(*) FROM raw_test_points") == 0


def test_a_voltage_that_cannot_be_waits_in_quarantine(take: Take, lake: Lakehouse) -> None:
    report = take("cell7.csv", HEADER + CYCLE + "210,3272,0.36,1,3\n")
    assert report.total("rows_quarantined") >= 1
    held = lake.records("SELECT row_number, field, rule, remedy FROM quarantine")
    assert ("voltage_v", 22) in {(row["field"], row["row_number"]) for row in held}
    assert all(row["remedy"] for row in held)


def test_a_line_that_is_cut_off_is_held_back(take: Take, lake: Lakehouse) -> None:
    report = take("cell7.csv", (HEADER + CYCLE)[:-3])
    assert report.outcomes[0].rows_quarantined == 1
    assert report.outcomes[0].rows_accepted == 19


def test_a_missing_column_is_named(lake: Lakehouse, write: Callable[[str, str], Path]) -> None:
    text = (HEADER + CYCLE).replace("Voltage / V", "Something")
    report = ingest(lake, write("cell7.csv", text))
    assert report.status == "refused"
    assert "voltage" in report.reason.lower()


REAL = {
    "20160805_test001_45_cc_01.res": (10261, 18),
    "biol.mpr": (23561, 1),
    "maccor_001.txt": (6704, 1),
    "neware_uio.csv": (9065, 4),
    "pec.csv": (16255, 3),
}


@pytest.mark.parametrize("name", REAL)
def test_vendor_exports_are_taken_whole(
    lake: Lakehouse, mirror: Path, counted: Counted, name: str
) -> None:
    report = ingest(lake, mirror / "cycler_exports" / name)
    counted(report)
    assert tuple(outcome.rows_accepted for outcome in report.outcomes) == REAL[name]
    assert report.total("rows_quarantined") == 0


def test_cycles_of_a_counter_that_restarts_per_step(lake: Lakehouse, mirror: Path) -> None:
    ingest(lake, mirror / "cycler_exports" / "neware_uio.csv")
    (row,) = lake.records("SELECT * FROM raw_test_cycles WHERE cycle = 1")
    assert row["charge_capacity_mah"] == pytest.approx(4.249, abs=1e-3)
    assert row["discharge_capacity_mah"] == pytest.approx(5.086, abs=1e-3)


def test_damaged_twins_lose_only_their_damage(
    lake: Lakehouse, mirror: Path, counted: Counted
) -> None:
    folder = mirror / "cycler_exports"
    points = {}
    for name in ("good_small", "missing_cycle", "nan_inf", "truncated"):
        report = ingest(lake, folder / f"bad_custom_{name}.csv")
        counted(report)
        points[name] = (report.outcomes[0].rows_accepted, report.outcomes[0].rows_quarantined)
    assert points == {
        "good_small": (60, 0),
        "missing_cycle": (40, 0),
        "nan_inf": (57, 3),
        "truncated": (59, 1),
    }
    refused = ingest(lake, folder / "bad_custom_missing_column.csv")
    assert refused.status == "refused"
    assert "no column of the voltage" in refused.reason


def test_a_cycle_whose_points_are_all_held_back_is_no_cycle(take: Take, lake: Lakehouse) -> None:
    impossible = "".join(f"{200 + 10 * n},4700,0.36,2,3\n" for n in range(5))
    report = take("cell7.csv", HEADER + CYCLE + impossible)
    assert report.outcomes[0].rows_quarantined == 5
    assert lake.rows("SELECT cycle FROM raw_test_cycles") == [(1,)]


def test_exports_whose_rows_all_fail_wait_in_quarantine_and_block_nobody(
    take: Take, lake: Lakehouse
) -> None:
    for offset in (0, 1):
        unreadable = "".join(f"{10 * n + offset},x,0.36,1,1\n" for n in range(4))
        impossible = "".join(f"{10 * n + offset},4700,0.36,1,1\n" for n in range(4))
        for name, rows in (("unreadable", unreadable), ("impossible", impossible)):
            report = take(f"{name}{offset}.csv", HEADER + rows)
            assert report.status == "taken", report.reason
            assert [o.rows_quarantined for o in report.outcomes] == [4]
            held = "SELECT count(DISTINCT row_number) FROM quarantine WHERE file_id = ?"
            assert lake.value(held, [report.file_id]) == 4
    assert take("good.csv", HEADER + CYCLE).outcomes[0].rows_accepted == 20


def test_counters_that_the_current_belies_make_no_complete_cycle(
    take: Take, lake: Lakehouse
) -> None:
    header = HEADER.replace("\n", ",Charging Capacity / Ah,Discharging Capacity / Ah\n")
    lines = []
    for cycle, shown in ((1, 1.0), (2, 0.0), (3, 0.96)):
        for n in range(21):
            charged = 0.001 * min(n, 10)
            gone = shown * 0.001 * max(n - 10, 0)
            amperes = 0.36 if n <= 10 else -0.36
            base = 210 * (cycle - 1)
            lines.append(
                f"{base + 10 * n},{3 + charged * 100:.3f},{amperes},{cycle},"
                f"{2 * cycle + (n > 10)},{charged:.6f},{gone:.6f}\n"
            )
    report = take("cell8.csv", header + "".join(lines))
    complete = lake.rows("SELECT cycle, is_complete FROM judged_cycles ORDER BY cycle")
    assert complete == [(1, True), (2, False), (3, True)]
    off = lake.rows("SELECT counters_off_pct FROM raw_test_cycles WHERE cycle = 2")
    assert off[0][0] > 50
    said = [note for note in report.notes if "not complete" in note]
    assert len(said) == 1
    assert said[0].startswith("cycle 2")


def test_a_mapping_says_the_encoding_of_what_looks_binary(
    lake: Lakehouse, write: Callable[[str, str], Path]
) -> None:
    path = write("cell9.csv", HEADER + CYCLE.replace(",1,", ",\x01\x021,", 8))
    assert "binary" in ingest(lake, path).reason
    said = "source: s\nreader: cycler\nencoding: utf-8\n"
    path.with_name("cell9.map.yaml").write_text(said)
    report = ingest(lake, path)
    assert report.status == "taken", report.reason
    assert (report.outcomes[0].rows_accepted, report.outcomes[0].rows_quarantined) == (12, 8)
    assert {row[0] for row in lake.rows("SELECT DISTINCT field FROM quarantine")} == {
        "Cycle Count / 1"
    }
