"""Readers of cyclers' exports: small files of each format, made by hand, and every kind of damage."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from battery_platform.errors import RefusedFile
from battery_platform.records.cyclers import open_file, read_export, recognise_format
from battery_platform.records.cyclers.summary import cycles, largest_deviation, steps

Write = Callable[[str, str | bytes], Path]

MACCOR = (
    "Today's Date\t1 May 2024\tDate of Test:\t1 May 2024, 09:00:00 AM\n"
    "Rec#\tCyc#\tStep\tTestTime\tStepTime\tAmp-hr\tWatt-hr\tAmps\tVolts\tState\tDPt Time\n"
    "1\t0\t1\t  0d 00:00:00\t  0d 00:00:00\t0.0\t0.0\t0.0\t3.0\tR\t05/01/2024 09:00:00\n"
    "2\t0\t2\t  0d 00:00:10\t  0d 00:00:00\t0.0\t0.0\t3.6\t3.1\tC\t05/01/2024 09:00:10\n"
    "3\t0\t2\t  0d 01:00:10\t  0d 01:00:00\t3.6\t11.5\t3.6\t3.3\tC\t05/01/2024 10:00:10\n"
    "4\t0\t3\t  0d 01:00:10.5\t  0d 00:00:0.5\t0.0005\t0.0016\t3.6\t3.2\tD\t05/01/2024 10:00:10\n"
    "5\t0\t3\t  1d 02:00:10\t  1d 00:59:59.5\t3.4\t10.5\t0.1\t3.0\tD\t05/02/2024 11:00:10\n"
)
NEWARE_NESTED = (
    "Cycle Index,Chg. Cap.(Ah),DChg. Cap.(Ah),Chg. Time\n"
    ",Step Index,Step Number,Step Type,Step Time,End Voltage(V)\n"
    ",,DataPoint,Time,Total Time,Current(A),Voltage(V),Capacity(Ah),Date\n"
    "1,1.0,0.9,01:00:00,1,1,Rest,00:00:02,3.0\n"
    ",,1,00:00:00,00:00:00,0.0,3.0,0.0,2026-03-06 12:00:00\n"
    ",,2,00:00:02,00:00:02,0.0,3.0,0.0,2026-03-06 12:00:02\n"
    ",2,2,CC Chg,01:00:00,4.0\n"
    ",,3,00:00:00,00:00:02,1.0,3.2,0.0,2026-03-06 12:00:02\n"
    ",,4,01:00:00,01:00:02,1.0,4.0,1.0,2026-03-06 13:00:02\n"
    "2,1.0,0.9,01:00:00,3,3,CC DChg,01:00:00,3.0\n"
    ",,5,01:00:00,30:00:02,-0.9,3.0,0.9,2026-03-07 18:00:02\n"
)
PEC = (
    "Test:,187\nTestRegime Name:,slow\n#RESULTS CHECK\n"
    "Test,Cell,Rack,Cell ID,Step,Cycle,Total Time (Seconds),Step Time (Seconds),Real Time,"
    "Voltage (mV),Current (mA),Charge Capacity (mAh),Discharge Capacity (mAh),"
    "Charge Capacity (mWh),Discharge Capacity (mWh),Position Start Time,Temp (°C)\n"
    "187,1,S1,,0,0,1,1,02/22/2019 16:23:27,3272.6,0,0,0,0,0,02/22/2019 16:23:26,25.8,,\n"
    "187,1,S1,,1,0,2,0.5,02/22/2019 16:23:28,3269.2,-1633.9,0,0.2,0,0.7,02/22/2019 16:23:26,,,\n"
)
NOVONIX = (
    "[Summary]\nNovonix UHPC data file\nMass (g): 1.000\n[End Summary]\n[Data]\n"
    "Date and Time,Cycle Number,Step Type,Run Time (h),Step Time (h),Current (A),Potential (V),"
    "Capacity (Ah),Temperature (°C),Step Number\n"
    "2025-07-19 15:26:20,1,0,0.0,0.0,0.0,3.84,0.0,24.6,1\n"
    "2025-07-19 15:56:20,1,7,0.5,0.5,0.5,3.95,0.25,24.7,2\n"
)
LANDT = (
    "cell id:,,,,,,,,\n"
    "channel_index,cycle_index,step_index,date_time_iso_string,test_time_s,current_A,voltage_V,"
    "charge_capacity_Ah,step_name\n"
    "1,1,1,04/30/2024 14:33:19,0.02,0.0,2.92,0,rest,\n"
    "2,1,2,04/30/2024 14:33:34,15.02,0.5,2.95,0.002,charge,\n"
)
LANDT_OLD = (
    "Record,Cycle-Index,Step-Index,TestTime/Sec,StepTime/Sec,Voltage/V,Current/mA,Capacity/mAh\n"
    "1,1,1,0,0,3.20,0,0\n2,1,2,10,10,3.21,100,0.2\n3,1,3,20,10,3.19,-100,0.2\n"
)
BASYTEC = (
    b"~Resultfile from Basytec Battery Test System\n~Start of Test: 19.06.2023 17:56:53\n~\n"
    b"~Time[h]\tDataSet\tt-Step[h]\tLine\tCommand\tU[V]\tI[A]\tAh[Ah]\tT1[\xb0C]\tCyc-Count\tState\n"
    b"0\t1\t0\t3\tPause\t3.5\t0\t0\t25.4\t0\t3\n0.004\t2\t0.004\t4\tCharge\t3.6\t0.5\t0\t25.4\t1\t0\n"
)
MPT = (
    "EC-Lab ASCII FILE\nNb header lines : 4\n\n"
    "time/s\tEwe/V\t<I>/mA\tcycle number\tNs\tQ charge/mA.h\tQ discharge/mA.h\n"
    "0,000\t3,800\t0,0\t0\t1\t0,0\t0,0\n3600,0\t4,050\t500,0\t0\t1\t500,0\t0,0\n"
    "7200,0\t3,500\t-500,0\t1\t2\t500,0\t500,0\n"
)
ARBIN = (
    "Test_ID,Data_Point,Test_Time(s),Date_Time,Step_Time(s),Step_Index,Cycle_Index,Current(A),"
    "Voltage(V),Charge_Capacity(Ah),Discharge_Capacity(Ah),Charge_Energy(Wh),Discharge_Energy(Wh)\n"
    "7,1,0.5,2020-01-01 10:00:00,0.5,1,1,0,3.1,0,0,0,0\n"
    "7,2,3600.5,2020-01-01 11:00:00,3600,2,1,0.5,3.2,0.5,0,1.6,0\n"
    "7,3,7200.5,2020-01-01 12:00:00,3600,3,1,-0.5,3.0,0.5,0.5,1.6,1.5\n"
)
BDF = (
    "Test Time / s,Voltage / V,Current / A,Cycle Count / 1,Step Count / 1,Unix Time / s,"
    "Ambient Temperature / degC\n"
    "0,3.7,0.1,1,1,1700000000,25.0\n1,3.71,0.1,1,1,1700000001,25.1\n2,3.5,-0.1,1,2,1700000002,25.1\n"
)


def custom(rows: int = 6) -> str:
    """A hand-made format: words, a header further down, semicolons."""
    head = "# INSTRUMENT\noperator;me;;;;\nindex;test_time;step;cycle;current;voltage\n"
    lines = [f"{n};{60 * n}.00;1;1;0.50;{3 + n / 100:.2f}" for n in range(rows)]
    return head + "\n".join(lines) + "\n"


FIRST_AND_LAST = {
    "maccor_text": (MACCOR, 5, (0.0, 3.0, 0.0), (93610.0, 3.0, -0.1)),
    "neware_text": (NEWARE_NESTED, 5, (0.0, 3.0, 0.0), (108002.0, 3.0, -0.9)),
    "pec_text": (PEC, 2, (1.0, 3.2726, 0.0), (2.0, 3.2692, -1.6339)),
    "novonix_text": (NOVONIX, 2, (0.0, 3.84, 0.0), (1800.0, 3.95, 0.5)),
    "landt_text": (LANDT, 2, (0.02, 2.92, 0.0), (15.02, 2.95, 0.5)),
    "basytec_text": (BASYTEC, 2, (0.0, 3.5, 0.0), (14.4, 3.6, 0.5)),
    "biologic_mpt": (MPT, 3, (0.0, 3.8, 0.0), (7200.0, 3.5, -0.5)),
    "arbin_text": (ARBIN, 3, (0.5, 3.1, 0.0), (7200.5, 3.0, -0.5)),
    "bdf": (BDF, 3, (0.0, 3.7, 0.1), (2.0, 3.5, -0.1)),
    "generic_text": (custom(), 6, (0.0, 3.0, 0.5), (300.0, 3.05, 0.5)),
}


@pytest.mark.parametrize("name", FIRST_AND_LAST)
def test_format_is_known_by_content_and_read_to_the_end(name: str, write: Write) -> None:
    content, rows, first, last = FIRST_AND_LAST[name]
    path = write("export.dat", content)
    export_format = recognise_format(path)
    assert export_format is not None
    assert export_format.name == name
    file = read_export(path)
    assert (file.points.height, file.quarantine) == (rows, ())
    values = file.points.select("test_time_s", "voltage_v", "current_a").rows()
    assert values[0] == pytest.approx(first)
    assert values[-1] == pytest.approx(last)
    assert file.metadata["sign_of_current"]
    assert file.metadata["cycles"]


def test_maccor_state_gives_the_sign_and_the_counters_keep_their_names(write: Write) -> None:
    file = read_export(write("a.txt", MACCOR))
    assert file.points["current_a"].to_list() == [0.0, 3.6, 3.6, -3.6, -0.1]
    assert file.points["charge_ah"].to_list() == [0.0, 0.0, 3.6, 0.0, 0.0]
    assert file.points["discharge_ah"].to_list() == [0.0, 0.0, 0.0, 0.0005, 3.4]
    assert file.points["Amp-hr"].to_list() == [0.0, 0.0, 3.6, 0.0005, 3.4]
    assert file.points["row_number"].to_list() == [3, 4, 5, 6, 7]


def test_layers_of_neware_give_cycle_and_step_and_lines_keep_their_numbers(write: Write) -> None:
    file = read_export(write("a.csv", NEWARE_NESTED))
    assert file.points["cycle"].to_list() == [1, 1, 1, 1, 2]
    assert file.points["step"].to_list() == [1, 1, 2, 2, 3]
    assert file.points["row_number"].to_list() == [5, 6, 8, 9, 11]
    assert file.points["discharge_ah"].to_list() == [0, 0, 0, 0, 0.9]


def test_basytec_command_is_the_state(write: Write) -> None:
    file = read_export(write("a.txt", BASYTEC))
    assert file.points["Command"].to_list() == ["Pause", "Charge"]
    turned = BASYTEC.replace(b"\t0.5\t", b"\t-0.5\t")
    with pytest.raises(RefusedFile, match="wrong sign"):
        read_export(write("b.txt", turned))


def test_old_landt_in_milliampere(write: Write) -> None:
    file = read_export(write("a.csv", LANDT_OLD))
    assert file.format.instrument == "Landt"
    assert file.points["current_a"].to_list() == pytest.approx([0, 0.1, -0.1])


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-8-sig"])
def test_encodings(encoding: str, write: Write) -> None:
    file = read_export(write("a.csv", NOVONIX.encode(encoding)))
    assert file.points["temperature_degc"].to_list() == [24.6, 24.7]


def test_workbook_is_read_like_its_text(write: Write) -> None:
    import xlsxwriter

    held = io.BytesIO()
    book = xlsxwriter.Workbook(held)
    book.add_worksheet("Global_Info").write_row(0, 0, ["Test Name", "x"])
    sheet = book.add_worksheet("Channel_1-006")
    for number, line in enumerate(ARBIN.splitlines()):
        cells = line.split(",")
        sheet.write_row(
            number, 0, [float(c) if number and i != 3 else c for i, c in enumerate(cells)]
        )
    book.close()
    file = read_export(write("a.bin", held.getvalue()))
    assert file.format.name == "arbin_text"
    names = ["test_time_s", "voltage_v", "current_a", "cycle", "step", "charge_ah"]
    assert file.points.select(names).equals(read_export(write("a.csv", ARBIN)).points.select(names))


def test_bdf_as_parquet(write: Write, tmp_path: Path) -> None:
    frame = pl.read_csv(BDF.encode())
    frame.write_parquet(tmp_path / "a")
    file = read_export(tmp_path / "a")
    assert file.format.name == "bdf"
    assert file.points["unix_time_s"].to_list() == [1.7e9, 1.7e9 + 1, 1.7e9 + 2]


# -- damage --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (bytes(5000), "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(90), "PNG"),
        (bytes(range(256)) * 9, "binary"),
        (b"a,b\n1,2\n", "header"),
        (custom().replace("voltage", "colour"), "no column of the voltage"),
        (custom() + custom().split("\n", 2)[2], "header comes again"),
        (custom(0), "no rows"),
        (PEC + PEC.splitlines()[-1].replace("187,1,", "187,2,") + "\n", "more than one cell"),
        (ARBIN + ARBIN.split("\n", 1)[1].replace("7,", "8,", 1), "more than one cell"),
        (BDF + BDF.split("\n", 1)[1], "second test"),
    ],
)
def test_files_refused_as_a_whole(content: str | bytes, says: str, write: Write) -> None:
    path = write("export.csv", content)
    with pytest.raises(RefusedFile, match=says) as refused:
        read_export(path)
    assert refused.value.remedy


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "", "3,4x"])
def test_values_that_are_none_hold_the_row_back(value: str, write: Write) -> None:
    content = custom().replace("2;120.00;1;1;0.50;3.02", f"2;120.00;1;1;0.50;{value}")
    file = read_export(write("a.csv", content))
    assert (file.points.height, file.rows) == (5, 6)
    assert [finding.row for finding in file.quarantine] == [6]
    assert file.quarantine[0].message
    assert file.quarantine[0].remedy


def test_lines_with_other_widths_are_held_back(write: Write) -> None:
    content = custom().replace("2;120.00;1;1;0.50;3.02", "2;120.00;1;0.50;3.02")
    content = content.replace("4;240.00;1", "4;240.00;1;1")
    file = read_export(write("a.csv", content))
    assert [(f.row, f.rule) for f in file.quarantine] == [(6, "fields"), (8, "fields")]


def test_missing_cycles_are_told_and_not_renumbered(write: Write) -> None:
    content = (
        custom().replace("4;240.00;1;1", "4;240.00;1;3").replace("5;300.00;1;1", "5;300.00;1;3")
    )
    file = read_export(write("a.csv", content))
    assert file.points["cycle"].to_list() == [1, 1, 1, 1, 3, 3]
    assert any("cycle 2 is missing" in note for note in file.notes)


def test_repeated_cycles_and_records_are_held_back(write: Write) -> None:
    content = custom().replace("3;180.00;1;1", "3;180.00;1;2")
    file = read_export(write("a.csv", content))
    assert {(f.row, f.field) for f in file.quarantine} == {(8, "cycle"), (9, "cycle")}
    twice = custom().replace("4;240", "3;240")
    assert [f.field for f in read_export(write("b.csv", twice)).quarantine] == ["record"]


def test_test_clock_that_goes_back_an_hour(write: Write) -> None:
    content = BDF.replace("2,3.5,-0.1", "7000,3.5,-0.1") + "3400,3.5,-0.1,1,2,1700000003,25\n"
    file = read_export(write("a.csv", content))
    assert [(f.row, f.rule) for f in file.quarantine] == [(5, "clock")]
    assert "7000 s to 3400 s" in file.quarantine[0].message


def test_wall_clock_that_goes_back_is_told_and_the_rows_stay(write: Write) -> None:
    file = read_export(write("a.csv", BDF.replace("1700000002", "1699996402")))
    assert file.points.height == 3
    assert any("wall clock goes back 1 times by at most 3599" in note for note in file.notes)


def test_the_sign_is_checked_and_not_guessed(write: Write) -> None:
    turned = ARBIN.replace(",0.5,3.2", ",-0.5,3.2").replace(",-0.5,3.0", ",0.5,3.0")
    path = write("a.csv", turned)
    with pytest.raises(RefusedFile, match="wrong sign"):
        read_export(path)
    right = read_export(write("b.csv", ARBIN)).points
    assert read_export(path, positive_current="discharge").points.equals(right)


def test_unsigned_current_without_a_state_is_refused_where_it_must_discharge(write: Write) -> None:
    content = (
        "Rec,Cycle C,Step,Test Time (sec),Current,Voltage,DPT Time\n"
        "1,1,1,0,0,3.6,23-Nov-23 3:56:11 PM\n2,1,2,9,20,3.4,23-Nov-23 3:56:20 PM\n"
    )
    with pytest.raises(RefusedFile, match="without sign"):
        read_export(write("a.csv", content))
    file = read_export(write("b.csv", content.replace("20,3.4", "20,3.8")))
    assert any("taken as charging" in note for note in file.notes)


WHOLE = {
    name: content if isinstance(content, bytes) else content.encode()
    for name, (content, *_) in FIRST_AND_LAST.items()
}


@limits(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_cutting_a_file_anywhere_makes_no_false_row(data: st.DataObject, tmp_path: Path) -> None:
    name = data.draw(st.sampled_from(sorted(WHOLE)))
    content = WHOLE[name]
    path = tmp_path / "whole"
    path.write_bytes(content)
    whole = read_export(path).points
    cut = data.draw(st.integers(0, len(content) - 1))
    path.write_bytes(content[:cut])
    try:
        file = read_export(path)
    except RefusedFile:
        return
    assert [f.rule for f in file.quarantine] in ([], ["cut"])
    if file.points.is_empty():
        return
    names = ["row_number", "test_time_s", "voltage_v", "current_a"]
    counters = [n for n in ("cycle", "step", "charge_ah") if n in whole.columns]
    assert file.points.select(names + counters).equals(
        whole.head(file.points.height).select(names + counters)
    )


def test_blocks_join_to_the_same_rows(write: Write) -> None:
    from battery_platform.records.cyclers.header import find_table
    from battery_platform.records.cyclers.text import open_text

    for name, content in WHOLE.items():
        path = write("a", content)
        table = find_table(path)
        assert table is not None
        whole = read_export(path)
        parts = list(open_text(path, table, block_bytes=40).blocks)
        assert (
            pl.concat([p.points for p in parts], how="diagonal_relaxed")
            .select("row_number", "test_time_s", "current_a")
            .equals(whole.points.select("row_number", "test_time_s", "current_a"))
        ), name


# -- binary formats ------------------------------------------------------------------------


def mpr(
    rows: list[tuple[float, float, float, float]],
    ids: tuple[int, ...] = (1, 4, 6, 8, 7, 131),
    flags: int = 0,
) -> bytes:
    """A file with a settings, a data and a log module."""

    def module(name: str, body: bytes, version: int = 0) -> bytes:
        head = name.encode().ljust(10) + name.encode().ljust(25)
        return b"MODULE" + head + struct.pack("<II", len(body), version) + b"03.15.17" + body

    body = struct.pack("<IB", len(rows), len(ids)) + struct.pack(f"<{len(ids)}H", *ids)
    body = body.ljust(405, b"\0")
    for time, volts, milliampere, passed in rows:
        body += struct.pack("<BdffdH", flags, time, volts, milliampere, passed, 1)
    log = bytes(465) + struct.pack("<d", 42809.5) + bytes(20)
    magic = b"BIO-LOGIC MODULAR FILE\x1a".ljust(48) + bytes(4)
    return magic + module("VMP Set", b"") + module("VMP data", body, 2) + module("VMP LOG", log)


MPR_ROWS = [(0.0, 3.5, 0.0, 0.0), (3600.0, 3.75, 2.0, 2.0), (7200.0, 3.25, -2.0, -2.0)]


def test_biologic_binary(write: Write) -> None:
    file = read_export(write("a.txt", mpr(MPR_ROWS)))
    assert file.format.name == "biologic_mpr"
    assert file.points["current_a"].to_list() == pytest.approx([0.0, 2e-3, -2e-3])
    assert file.points["charge_ah"].to_list() == pytest.approx([0, 2e-3, 2e-3])
    assert file.points["discharge_ah"].to_list() == pytest.approx([0, 0, 2e-3])
    assert str(file.points["recorded_at"][0]) == "2017-03-15 12:00:00"


def test_biologic_refuses_what_it_cannot_tell_apart(write: Write) -> None:
    whole = mpr(MPR_ROWS)
    with pytest.raises(RefusedFile, match="998, 999 are not known"):
        read_export(write("a.mpr", mpr(MPR_ROWS, (1, 4, 998, 8, 7, 999))))
    with pytest.raises(RefusedFile, match="another width"):
        read_export(write("a.mpr", mpr(MPR_ROWS, (1, 4, 6, 8, 7, 131, 9))))
    for cut in (*range(0, 700, 7), len(whole) - 1):
        with pytest.raises(RefusedFile):
            read_export(write("a.mpr", whole[:cut]))


def test_biologic_columns_whose_width_follows_from_the_row_are_named(write: Write) -> None:
    file = read_export(write("a.mpr", mpr(MPR_ROWS, (1, 4, 6, 8, 7, 999))))
    assert file.points["current_a"].to_list() == pytest.approx([0.0, 2e-3, -2e-3])
    assert [(out.name, out.why) for out in file.left_out] == [
        ("number 999", "its number is not known")
    ]
    both = read_export(write("b.mpr", mpr(MPR_ROWS, (1, 4, 6, 8, 998, 999))))
    assert [out.name for out in both.left_out] == ["number 998", "number 999"]


def test_a_flag_of_biologic_is_no_cycle(write: Write) -> None:
    rows = [(36.0 * n, 3.5, 2.0 * (-1) ** (n // 50), 0.02 * (-1) ** (n // 50)) for n in range(650)]
    file = read_export(write("a.mpr", mpr(rows, (1, 65, 4, 6, 8, 7, 131), flags=0x80)))
    assert file.points["cycle"].n_unique() == 7


def test_a_binary_spectrum_is_no_cycling(write: Write) -> None:
    with pytest.raises(RefusedFile, match="impedance spectrum"):
        read_export(write("a.mpr", mpr([(1.0, 3.5, 1e5, 0.0)] * 9, (1, 4, 6, 32, 7, 131))))
    with pytest.raises(RefusedFile, match="open-circuit"):
        read_export(write("b.mpr", mpr([(1.0, 3.5, 0.1, 0.0)] * 9, (1, 4, 6, 9, 13, 131))))


def res(rows: int, announced: int | None = None) -> bytes:
    """A Jet 4 database with one table of points: a definition page and a page of rows."""
    shapes = {
        "Test_ID": (4, "<i4", 0),
        "Data_Point": (4, "<i4", 4),
        "Test_Time": (7, "<f8", 8),
        "Voltage": (6, "<f4", 16),
        "Current": (6, "<f4", 20),
        "Cycle_Index": (4, "<i4", 24),
    }
    page = bytearray(4096)
    page[:2] = b"\x02\x01"
    struct.pack_into("<I", page, 16, rows if announced is None else announced)
    struct.pack_into("<HHHII", page, 41, len(shapes), 0, len(shapes), 0, 0)
    at = 63
    for number, (kind, _, offset) in enumerate(shapes.values()):
        struct.pack_into("<B4xHH", page, at, kind, number, 0)
        page[at + 15] = 1
        struct.pack_into("<H", page, at + 21, offset)
        at += 25
    for name in shapes:
        raw = name.encode("utf-16-le")
        struct.pack_into("<H", page, at, len(raw))
        page[at + 2 : at + 2 + len(raw)] = raw
        at += 2 + len(raw)
    data = bytearray(4096)
    data[:2] = b"\x01\x01"
    struct.pack_into("<I", data, 4, 2)
    struct.pack_into("<H", data, 12, rows)
    end = 4096
    for n in range(rows):
        row = struct.pack("<Hiidffi", 6, 1, n + 1, 60.0 * n, 3.0 + n / 8, 0.5, 1) + b"\x3f"
        end -= len(row)
        data[end : end + len(row)] = row
        struct.pack_into("<H", data, 14 + 2 * n, end)
    first = bytearray(4096)
    first[:20] = b"\x00\x01\x00\x00Standard Jet DB\x00"
    first[0x14] = 1
    return bytes(first) + bytes(4096) + bytes(page) + bytes(data)


def test_arbin_database(write: Write) -> None:
    file = read_export(write("a.csv", res(5)))
    assert file.format.name == "arbin_res"
    assert file.points["test_time_s"].to_list() == [0, 60, 120, 180, 240]
    assert file.points["voltage_v"].to_list() == [3, 3.125, 3.25, 3.375, 3.5]
    assert file.points["Data_Point"].to_list() == [1, 2, 3, 4, 5]


def test_arbin_database_cut_or_damaged_is_refused(write: Write) -> None:
    whole = res(5)
    for content in (whole[:-1], whole[:-4096], whole[:5000], res(5, announced=6), whole[:40]):
        with pytest.raises(RefusedFile):
            read_export(write("a.res", content))


def test_neware_binary_without_its_reader_names_the_package(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("data.ndc", bytes(100))
    path = write("a.zip", held.getvalue())
    assert recognise_format(path) is not None
    monkeypatch.setitem(__import__("sys").modules, "fastnda", None)
    with pytest.raises(RefusedFile, match="fastnda"):
        read_export(path)


def test_neware_binary_cut_is_refused(write: Write) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("EditStep.xml", "<root/>")
        archive.writestr("data.ndc", bytes(100))
    with pytest.raises(RefusedFile, match="cut"):
        read_export(write("a.ndax", held.getvalue()[:-20]))


# -- per step and per cycle ----------------------------------------------------------------


def test_charge_of_steps_is_their_end_minus_what_came_before(write: Write) -> None:
    file = read_export(write("a.csv", ARBIN))
    table = steps(file.points, file.format.resets)
    assert table["charge_ah"].to_list() == [0, 0.5, 0]
    assert table["discharge_ah"].to_list() == [0, 0, 0.5]
    assert table["direction"].to_list() == [0, 1, -1]
    per_cycle = cycles(file.points, file.format.resets)
    row = per_cycle.row(0, named=True)
    assert (row["charge_ah"], row["discharge_ah"], row["coulombic_efficiency"]) == (0.5, 0.5, 1.0)
    assert (row["charge_end_v"], row["discharge_end_v"]) == (3.2, 3.0)
    assert largest_deviation(table) < 1e-9


def test_counters_that_start_again_with_each_step(write: Write) -> None:
    file = read_export(write("a.csv", NEWARE_NESTED))
    table = cycles(file.points, file.format.resets)
    assert table["charge_ah"].to_list() == [1.0, 0.0]
    assert table["discharge_ah"].to_list() == [0.0, 0.9]
    assert table["charge_ah_integral"].to_list() == pytest.approx([1.0, 0.0])
    assert table["coulombic_efficiency"].to_list() == [None, None]


def test_efficiency_without_charge_is_undefined_and_its_way_round_is_said(write: Write) -> None:
    resting = custom().replace("0.50", "0.00")
    assert cycles(read_export(write("a.csv", resting)).points)[
        "coulombic_efficiency"
    ].to_list() == [None]
    points = read_export(write("b.csv", MACCOR)).points
    table = cycles(points, "step", efficiency="charge_per_discharge")
    assert table["coulombic_efficiency"].item() == pytest.approx(3.6 / 3.4)
    assert table["efficiency_is"].item() == "charge_per_discharge"


def test_format_says_what_it_means(write: Write) -> None:
    stream = open_file(write("a.csv", BDF))
    assert "positive while charging" in stream.metadata["sign_of_current"]
    assert next(stream.blocks).points.height == 3
