"""Dialects of cyclers' exports: small files of the shape of real ones, with numbers of our own."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from battery_platform.errors import RefusedFile
from battery_platform.records.cyclers import neware_binary, read_export, recognise_format
from battery_platform.records.cyclers.lines import is_whole
from battery_platform.records.cyclers.model import PositiveCurrent
from battery_platform.records.cyclers.summary import cycles, largest_deviation
from battery_platform.records.cyclers.values import to_seconds

Write = Callable[[str, str | bytes], Path]


@dataclass(frozen=True)
class Dialect:
    format: str
    content: str | bytes
    times: tuple[float, ...]
    volts: tuple[float, ...]
    amperes: tuple[float, ...]
    more: dict[str, tuple[float | int, ...]] = field(default_factory=dict)
    """Further columns of ours."""
    positive: PositiveCurrent = "charge"
    rows_held: int = 0


def table(head: str, header: str, *rows: str, end: str = "\n") -> str:
    return head + "\n".join((header, *rows)) + end


MACCOR_MINUTES = table(
    "Today''s Date,04/08/2019 1:39:09 PM\nDate of Test:,02/28/2018 11:12:44 AM\n",
    "Rec#,Cyc#,Step,TestTime,StepTime,Amp-hr,Watt-hr,Amps,Volts,State,ES,DPt Time,Temp 1,",
    "1,0,1,0,0,0.00,0.00,0.00,3.90,R,0,02/28/2018 11:12:44 AM,24.2",
    "2,0,1,0.5,0.5,0.00,0.00,0.00,3.90,R,1,02/28/2018 11:13:14 AM,24.2",
    "3,0,2,1,0.5,0.00,0.00,1.50,3.98,C,0,02/28/2018 11:13:44 AM,24.2",
    "4,0,2,2,1.5,0.025,0.10,1.50,3.99,C,1,02/28/2018 11:14:44 AM,24.3",
    "5,0,3,4,2,0.05,0.20,1.50,3.88,D,1,02/28/2018 11:16:44 AM,24.3",
)
BIOLOGIC_DATES = (
    "BT-Lab ASCII FILE\nNb header lines : 9\n\nModulo Bat\n\nAcquisition started on : x\n"
    "\tTemperature max = 70.00 °C\n\n"
    "Ns changes\tNs\ttime/s\tEcell/V\tI/mA\t(Q-Qo)/mA.h\tstep time/s\tQ discharge/mA.h\t"
    "Q charge/mA.h\tcycle number\tTemperature/°C\t\n"
    "0\t0\t11/20/2024 23:59:58.500\t4.10E+000\t0.0E+000\t0\t0\t0\t0\t0.0E+000\t1.9E+001\n"
    "1\t1\t11/21/2024 00:00:03.500\t4.15E+000\t4.5E+002\t0\t5\t0\t0\t0.0E+000\t1.9E+001\n"
    "0\t1\t11/21/2024 00:00:13.500\t4.16E+000\t-4.5E+002\t0\t15\t0\t0\t1.0E+000\t1.9E+001\n"
).encode("latin-1")
NEWARE_OLD = (
    "Cycle ID,Cap_Chg(mAh),Cap_DChg(mAh)\n,Step ID,Step Name,Step Time(h:min:s.ms)\n"
    ",,Record ID,Time(h:min:s.ms),Voltage(V),Current(mA),Capacity(mAh),CmpCap(mAh/g),Realtime\n"
    "1,5.0,2.0\n,1,CC_Chg,00:30:00.000\n"
    ",,1,00:00:00.000,3.5,10.0,0.0,0,2019-03-01 10:00:00\n"
    ",,2,00:30:00.000,3.9,10.0,5.0,0,2019-03-01 10:30:00\n"
    ",2,Rest,00:10:00.000\n"
    ",,3,00:00:00.000,3.8,0.0,0.0,0,2019-03-01 10:30:00\n"
    ",,4,00:10:00.000,3.7,0.0,0.0,0,2019-03-01 10:40:00\n"
    "2,0,2.0\n,3,CC_DChg,00:12:00.500\n"
    ",,5,00:00:00.500,3.6,-10.0,0.0,0,2019-03-01 10:40:00\n"
    ",,6,00:12:00.500,3.4,-10.0,2.0,0,2019-03-01 10:52:00\n"
)
NEWARE_CHINESE = table(
    "",
    "数据序号,循环号,工步号,工步类型,时间(h:min:s.ms),总时间(h:min:s.ms),电流(mA),电压(V),容量(mAh)",
    "1,1,1,搁置,0:00:00.000,0:00:00.000,0,3.0,0",
    "2,1,2,恒流充电,0:00:00.000,0:00:10.000,20,3.1,0",
    "3,1,2,恒流充电,1:00:00.000,1:00:10.000,20,3.4,20",
    "4,1,3,恒流放电,0:30:00.000,1:30:10.000,-20,3.2,10",
)
ARBIN_NEW = table(
    "",
    "Data Point,Date Time,Test Time (s),Step Time (s),Cycle Index,Step Index,Current (A),Voltage (V),"
    "Charge Capacity (Ah),Discharge Capacity (Ah),Aux_Temperature_1 (C)",
    "1,\t10/31/2021 02:59:59.500,0.5,0.5,1,1,0,3.1,0,0,25",
    "2,\t10/31/2021 02:00:00.500,1.5,1.5,1,1,0,3.1,0,0,25",
    "3,\t10/31/2021 02:00:02.500,3.5,1.0,1,2,0.5,3.2,0.0003,0,25",
)
ARBIN_SQL = table(
    "",
    "Test_ID,Channel_ID,Date_Time,Data_Point,Test_Time,Step_Time,Cycle_ID,Step_ID,Current,Voltage,"
    "Charge_Capacity,Discharge_Capacity,Charge_Energy,Discharge_Energy,Data_Flags",
    "7,3,16120000000000000,1,0.5,0.5,1,1,0,3.1,0,0,0,0,0",
    "7,3,16120000360000000,2,36.5,36,1,2,0.5,3.2,0.005,0,0.016,0,0",
    "7,3,16120000720000000,3,72.5,36,1,3,-0.5,3.0,0.005,0.005,0.016,0.015,0",
)
DIGATRON = table(
    "",
    "Step,Status,Timestamp,Program Duration#s,Step Duration#s,Voltage#V,Current#A,AhCha#Ah,AhDch#Ah",
    "V\tV\tV\tV\tV\tV\tV\tV\tV",
    "1,CC_CHG,2025-01-01 00:00:00+01:00,0.0,0.0,3.8,0.0,0.0,0.0",
    "1,CC_CHG,2025-01-01 00:00:10+01:00,10.0,10.0,4.0,2.0,0.005,0.0",
    "2,CC_DCH,2025-01-01 00:00:20+01:00,20.0,10.0,3.7,-2.0,0.005,0.005",
)
UNITS_BELOW = table(
    "", "Time;Voltage;Current;Capacity", "min;mV;mA;mAh/g", "0;3700;0;0", "1;3800,5;100,5;3"
)
BDF_MACHINE = table(
    "",
    "test_time_second,voltage_volt,current_ampere,unix_time_second,cycle_count,step_index,"
    "ambient_temperature_celsius,charging_capacity_ah",
    "0,3.5,0.1,1700000000,1,1,25,0",
    "36,3.6,0.1,1700000036,1,1,25,0.001",
)
BDF_OTHER_UNITS = table(
    "",
    "Test Time / h,Voltage / mV,Current / mA,Step Type / 1,Cycle Count / 1,Ambient Temperature / degC",
    "0,3500,0,rest,1,25",
    "0.5,3600,-100,discharge,1,25",
    "1.0,3650,100,charge,2,25",
)
BATTERY_ARCHIVE = table(
    "",
    "Date_Time,Test_Time (s),Cycle_Index,Current (A),Voltage (V),Charge_Capacity (Ah),"
    "Discharge_Capacity (Ah),Charge_Energy (Wh),Discharge_Energy (Wh),Cell_Temperature (C)",
    "2018-02-15 18:26:41,10.0,1.0,0.0,3.1,0.0,0.0,0.0,0.0,22.1",
    "2018-02-15 18:26:51,20.0,1.0,1.0,3.2,0.0027,0.0,0.0,0.0,22.1",
)
BEEP_ARBIN = table(
    "",
    "data_point,test_time,datetime,step_time,step_index,cycle_index,current,voltage,charge_capacity",
    "0,0.0,1494352400,0.0,1,0,0.0,3.2,0.0",
    "1,10.0,1494352410,10.0,1,0,0.0,3.2,0.0",
    "2,20.0,1494352420,10.0,2,0,1.0,3.3,0.0",
    "3,30.0,1494352430,20.0,2,0,1.0,3.3,0.003",
)
LANDT = table(
    "",
    "Record,Cycle-Index,Step-Index,SysTime,TestTime,StepTime,Voltage/V,Current/mA,Capacity/mAh,"
    "SpeCap/mAh/g",
    "1,1,1,2022-06-01 10:00:00,0-00:00:00,0-00:00:00,3.0,0,0,0",
    "2,1,2,2022-06-02 10:00:01,1-00:00:01,0-00:00:01,3.1,5,0.1,9",
    "3,1,3,2022-06-02 10:00:11,1-00:00:11,0-00:00:10,2.9,-5,0.1,9",
)
MPT_GCPL = (
    "EC-Lab ASCII FILE\nNb header lines : 4\n\n"
    "mode\tox/red\terror\tcontrol changes\tNs changes\tcounter inc.\tNs\ttime/s\tcontrol/V/mA\t"
    "Ewe/V\t<I>/mA\tdQ/mA.h\t(Q-Qo)/mA.h\thalf cycle\tQ charge/discharge/mA.h\tcycle number\n"
    "1\t1\t0\t1\t0\t0\t1\t1,0E+000\t2,0\t3,25\t0,0\t0\t0\t0\t0\t0,0E+000\n"
    "1\t1\t0\t0\t0\t0\t1\t3,7E+001\t2,0\t3,50\t2,5\t0\t0\t0\t0\t0,0E+000\n"
    "1\t0\t0\t0\t1\t0\t2\t7,3E+001\t-2,0\t3,30\t-2,5\t0\t0\t1\t0\t1,0E+000\n"
)
BASYTEC_SPACES = (
    "~Resultfile from Basytec Battery Test System\n~Start of Test: 14.11.2022 10:40:01\n~\n"
    "~Time[h] DataSet t-Set[h] Line Command U[V] I[A] T1[°C] Cyc-Count State\n"
    "0 1 0 1 Pause 3.40 0 25 1 1\n0.01 2 0.01 2 Charge 3.50 0.2 26 1 1\n"
    "0.02 3 0.02 3 Discharge 3.30 -0.2 26 1 1\n"
)
MACCOR_MILLI = table(
    "",
    "Rec#\tCycle P\tCycle C\tStep\tTest (Min)\tStep (Min)\tmAmp-hr\tmAmps\tVolts\tMD",
    "1\t7\t0\t1\t0.0\t0.0\t0.0\t0.0\t3.0\tR",
    "2\t7\t0\t2\t6.0\t6.0\t10.0\t100.0\t3.4\tC",
    "3\t7\t1\t3\t12.0\t6.0\t10.0\t100.0\t3.1\tD",
)
SAMPLE_BDF = table(
    "", "Test Time / s,Voltage / V,Current / A", "0,3.7,0.1", "1,3.6,0.1", "2,3.5,0.1", end=""
)
PYBDF_LANDT = table(
    "",
    "test_time_s,voltage_v,current_a,step_time_s,cycle_index,step_index,channel_index",
    "0.0,3.8,0.0,0.0,1,1,1",
    "1.0,4.0,2.0,1.0,1,1,2",
)
STEP_TIMES_ONLY = table(
    "",
    "System Time,Relative Time(Sec),Voltage(V),Current(A),Cycle ID,Step ID,Step State",
    " 2025-01-01 00:00:00,0,3.4,0.1,1,1,Charge",
    " 2025-01-01 00:00:10,10,3.5,0.1,1,1,Charge",
    " 2025-01-01 00:00:11,1,3.3,-0.1,1,2,Discharge",
    " 2025-01-01 00:00:41,31,3.2,-0.1,1,2,Discharge",
    " 2025-01-01 00:01:41,60,3.3,0,1,3,Rest",
)

DIALECTS = {
    "maccor in minutes without a unit (galv)": Dialect(
        "maccor_text",
        MACCOR_MINUTES,
        (0, 30, 60, 120, 240),
        (3.9, 3.9, 3.98, 3.99, 3.88),
        (0, 0, 1.5, 1.5, -1.5),
        {"step_time_s": (0, 30, 30, 90, 120), "discharge_ah": (0, 0, 0, 0, 0.05)},
    ),
    "maccor in milliampere, Cycle C (BEEP, PyProBE)": Dialect(
        "maccor_text",
        MACCOR_MILLI,
        (0, 360, 720),
        (3.0, 3.4, 3.1),
        (0, 0.1, -0.1),
        {"cycle": (0, 0, 1), "charge_ah": (0, 0.01, 0), "discharge_ah": (0, 0, 0.01)},
    ),
    "maccor, discharge stated positive": Dialect(
        "maccor_text",
        MACCOR_MILLI,
        (0, 360, 720),
        (3.0, 3.4, 3.1),
        (0, 0.1, -0.1),
        positive="discharge",
    ),
    "biologic with dates for time, latin-1 (PyProBE)": Dialect(
        "biologic_mpt",
        BIOLOGIC_DATES,
        (0, 5, 15),
        (4.1, 4.15, 4.16),
        (0, 0.45, -0.45),
        {"cycle": (0, 0, 1), "temperature_degc": (19, 19, 19)},
    ),
    "biologic gcpl, decimal comma (yadg)": Dialect(
        "biologic_mpt", MPT_GCPL, (1, 37, 73), (3.25, 3.5, 3.3), (0, 2.5e-3, -2.5e-3)
    ),
    "neware in layers, time of the step only (BEEP)": Dialect(
        "neware_text",
        NEWARE_OLD,
        (0, 1800, 1800, 2400, 2400.5, 3120.5),
        (3.5, 3.9, 3.8, 3.7, 3.6, 3.4),
        (0.01, 0.01, 0, 0, -0.01, -0.01),
        {"cycle": (1, 1, 1, 1, 2, 2), "step": (1, 1, 2, 2, 3, 3)},
    ),
    "neware in Chinese, GBK": Dialect(
        "neware_text",
        NEWARE_CHINESE.encode("gbk"),
        (0, 10, 3610, 5410),
        (3.0, 3.1, 3.4, 3.2),
        (0, 0.02, 0.02, -0.02),
        {"charge_ah": (0, 0, 0.02, 0), "discharge_ah": (0, 0, 0, 0.01)},
    ),
    "neware in Chinese, utf-8": Dialect(
        "neware_text",
        NEWARE_CHINESE,
        (0, 10, 3610, 5410),
        (3.0, 3.1, 3.4, 3.2),
        (0, 0.02, 0.02, -0.02),
    ),
    "arbin with spaces, clock back an hour (MITS)": Dialect(
        "arbin_text", ARBIN_NEW, (0.5, 1.5, 3.5), (3.1, 3.1, 3.2), (0, 0, 0.5)
    ),
    "arbin in snake case, clock from 1970 (BEEP)": Dialect(
        "arbin_text",
        BEEP_ARBIN,
        (0, 10, 20, 30),
        (3.2, 3.2, 3.3, 3.3),
        (0, 0, 1, 1),
        {"unix_time_s": (1494352400, 1494352410, 1494352420, 1494352430)},
    ),
    "battery archive": Dialect(
        "arbin_text", BATTERY_ARCHIVE, (10, 20), (3.1, 3.2), (0, 1), {"cycle": (1, 1)}
    ),
    "arbin from its SQL server, clock in 100 ns": Dialect(
        "arbin_text",
        ARBIN_SQL,
        (0.5, 36.5, 72.5),
        (3.1, 3.2, 3.0),
        (0, 0.5, -0.5),
        {
            "unix_time_s": (1612000000, 1612000036, 1612000072),
            "cycle": (1, 1, 1),
            "step": (1, 2, 3),
            "discharge_ah": (0, 0, 0.005),
            "charge_wh": (0, 0.016, 0.016),
        },
    ),
    "digatron with its row of marks, clock with offset (bdf)": Dialect(
        "generic_text",
        DIGATRON,
        (0, 10, 20),
        (3.8, 4.0, 3.7),
        (0, 2, -2),
        {"unix_time_s": (1735686000, 1735686010, 1735686020), "charge_ah": (0, 0.005, 0.005)},
    ),
    "units in a row of their own": Dialect(
        "generic_text", UNITS_BELOW, (0, 60), (3.7, 3.8005), (0, 0.1005)
    ),
    "bdf, machine-readable": Dialect(
        "bdf",
        BDF_MACHINE,
        (0, 36),
        (3.5, 3.6),
        (0.1, 0.1),
        {"charge_ah": (0, 0.001), "temperature_degc": (25, 25), "cycle": (1, 1)},
    ),
    "bdf in mV, mA, h": Dialect(
        "bdf", BDF_OTHER_UNITS, (0, 1800, 3600), (3.5, 3.6, 3.65), (0, -0.1, 0.1)
    ),
    "bdf, last line without end (bdf tests)": Dialect(
        "bdf", SAMPLE_BDF, (0, 1, 2), (3.7, 3.6, 3.5), (0.1, 0.1, 0.1)
    ),
    "landt with SysTime": Dialect(
        "landt_text", LANDT, (0, 86401, 86411), (3.0, 3.1, 2.9), (0, 0.005, -0.005)
    ),
    "landt in snake case (bdf)": Dialect("landt_text", PYBDF_LANDT, (0, 1), (3.8, 4.0), (0, 2)),
    "basytec with spaces": Dialect(
        "basytec_text", BASYTEC_SPACES, (0, 36, 72), (3.4, 3.5, 3.3), (0, 0.2, -0.2)
    ),
    "repower: relative time": Dialect(
        "generic_text",
        STEP_TIMES_ONLY,
        (0, 10, 11, 41, 101),
        (3.4, 3.5, 3.3, 3.2, 3.3),
        (0.1, 0.1, -0.1, -0.1, 0),
    ),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_dialect(name: str, write: Write) -> None:
    known = DIALECTS[name]
    path = write("export.txt", known.content)
    export_format = recognise_format(path)
    assert export_format is not None
    assert export_format.name == known.format
    file = read_export(path, known.positive)
    assert len(file.quarantine) == known.rows_held, file.quarantine
    ours = {"test_time_s": known.times, "voltage_v": known.volts, "current_a": known.amperes}
    for column, values in (ours | known.more).items():
        assert file.points[column].to_list() == pytest.approx(list(values)), column


# -- signs -----------------------------------------------------------------------------------


def turned(content: str) -> str:
    """The same Arbin file with discharging positive."""
    lines = content.splitlines()
    rows = [line.split(",") for line in lines[1:]]
    for row in rows:
        row[3] = str(-float(row[3]))
    return "\n".join([lines[0], *(",".join(row) for row in rows)]) + "\n"


SIGNED = table(
    "",
    "Data_Point,Test_Time(s),Cycle_Index,Current(A),Voltage(V),Charge_Capacity(Ah)",
    "1,0,1,0,3.0,0",
    "2,60,1,1,3.2,0",
    "3,120,1,1,3.3,0.0167",
    "4,180,1,0,3.1,0.0167",
    "5,240,1,-1,2.9,0.0167",
)


def test_stated_sign_turns_every_reader_round(write: Write) -> None:
    wanted = read_export(write("a.csv", SIGNED)).points["current_a"].to_list()
    inverted = write("b.csv", turned(SIGNED))
    assert read_export(inverted, "discharge").points["current_a"].to_list() == wanted
    with pytest.raises(RefusedFile, match="wrong sign"):
        read_export(inverted)


@pytest.mark.parametrize("positive", ["charge", "discharge"])
def test_current_against_the_voltage_is_refused(positive: PositiveCurrent, write: Write) -> None:
    rows = []
    for n in range(8):
        on = n % 2
        amperes, volts = on * (-1) ** (n // 2), 3.5 - 0.1 * on * (-1) ** (n // 2)
        rows.append(f"{10 * n},{volts},{amperes}")
    path = write("a.csv", table("", "Test Time / s,Voltage / V,Current / A", *rows))
    if positive == "discharge":
        assert read_export(path, positive).points.height == 8
    else:
        with pytest.raises(RefusedFile, match="the voltage moves the other way"):
            read_export(path)


def test_simulated_bdf_with_discharge_positive_is_refused_and_read_when_stated(
    write: Write,
) -> None:
    content = BDF_OTHER_UNITS.replace("-100,discharge", "100,discharge").replace(
        "100,charge", "-100,charge"
    )
    with pytest.raises(RefusedFile, match="wrong sign"):
        read_export(write("a.csv", content))
    points = read_export(write("b.csv", content), "discharge").points
    assert points["current_a"].to_list() == pytest.approx([0, -0.1, 0.1])


def test_unsigned_current_in_a_state_without_direction_is_held_back(write: Write) -> None:
    content = MACCOR_MILLI + "4\t7\t1\t4\t13.0\t1.0\t1.0\t90.0\t3.0\tP\n"
    file = read_export(write("a.txt", content))
    assert [(f.row, f.rule) for f in file.quarantine] == [(5, "direction")]


def test_unsigned_current_with_counters_both_ways_is_refused(write: Write) -> None:
    content = table(
        "",
        "Test Time / s,Voltage / V,Current / A,Charging Capacity / Ah,Discharging Capacity / Ah",
        "0,3.5,1,0,0",
        "36,3.6,1,0.01,0",
        "72,3.4,1,0.01,0.01",
    )
    with pytest.raises(RefusedFile, match="without sign"):
        read_export(write("a.csv", content))


# -- units and clocks ------------------------------------------------------------------------


def clocked(unit: str, step: float, seconds: int = 10, rows: int = 12) -> str:
    lines = [
        f"{n * step},3.5,0.1,2025-01-01 00:{n * seconds // 60:02d}:{n * seconds % 60:02d}"
        for n in range(rows)
    ]
    return table("", f"Test Time{unit},Voltage / V,Current / A,Date Time", *lines)


@pytest.mark.parametrize(("step", "says"), [(10.0, None), (1 / 6, "minutes"), (1 / 360, "hours")])
def test_time_without_a_unit_goes_by_the_wall_clock(
    step: float, says: str | None, write: Write
) -> None:
    file = read_export(write("a.csv", clocked("", step)))
    assert file.points["test_time_s"].to_list() == pytest.approx([10 * n for n in range(12)])
    assert any("by the wall clock" in note for note in file.notes) == (says is not None)


@pytest.mark.parametrize("step", [10_000.0, 1 / 6])
def test_time_that_the_wall_clock_belies_is_refused(step: float, write: Write) -> None:
    with pytest.raises(RefusedFile, match="as fast as the wall clock"):
        read_export(write("a.csv", clocked(" / s", step)))


def test_volts_without_a_unit_that_are_millivolts_are_refused(write: Write) -> None:
    content = table("", "time,voltage,current", "0,3700,0", "1,3701,0")
    with pytest.raises(RefusedFile, match="hardly volts"):
        read_export(write("a.csv", content))


def test_counters_of_another_unit_than_current_over_time_are_refused(write: Write) -> None:
    rows = [f"{36 * n},3.5,1,{10 * n}" for n in range(12)]
    header = "Test Time / s,Voltage / V,Current / A,Charging Capacity / {}"
    wrong = table("", header.format("Ah"), *rows)
    with pytest.raises(RefusedFile, match="1000 times"):
        read_export(write("a.csv", wrong))
    file = read_export(write("b.csv", table("", header.format("mAh"), *rows)))
    assert largest_deviation(cycles(file.points)) < 1e-9


@pytest.mark.parametrize("unit", ["kV", "ohm"])
def test_a_unit_that_is_not_known_is_refused(unit: str, write: Write) -> None:
    content = table("", f"Test Time / s,Voltage / {unit},Current / A,Cycle Count / 1", "0,3,0,1")
    with pytest.raises(RefusedFile, match="no column of the voltage"):
        read_export(write("a.csv", content))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0d 01:02:03", 3723),
        ("1 day, 02:03:04", 93784),
        ("2 days, 0:00:01.5", 172801.5),
        ("01:02:03.5", 3723.5),
        ("30:49:13", 110953),
        ("1-02:00:00", 93600),
        ("1.02:03:04.5", 93784.5),
        ("01:02:03,250", 3723.25),
        ("1899-12-31 00:00:05", 5),
        ("1900-01-06 12:00:00.500", 561600.5),
        ("12:34", None),
        ("0:00:00:05", None),
        ("2023-01-01 00:00:00", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert to_seconds(pl.Series("t", ["00:00:00", text])).to_list() == [0, seconds]
    assert to_seconds(pl.Series("t", [text, text])).to_list() == [seconds, seconds]


@pytest.mark.parametrize(
    ("clock", "moment"),
    [
        ("1/31/2011 10:38:25 AM", "2011-01-31 10:38:25"),
        ("31/01/2011 22:38", "2011-01-31 22:38:00"),
        ("31.01.2011 22:38:25,5", "2011-01-31 22:38:25.500000"),
        ("2011-01-31 9:12:44 PM", "2011-01-31 21:12:44"),
        ("31-Jan-11 3:56:08 PM", "2011-01-31 15:56:08"),
        ("1/31/11 10:38", "2011-01-31 10:38:00"),
        ("2011-01-31T22:38:25+02:00", "2011-01-31 22:38:25"),
    ],
)
def test_wall_clocks(clock: str, moment: str, write: Write) -> None:
    content = table("", "Date Time;Test Time / s;Voltage / V;Current / A", f"{clock};0;3;0")
    points = read_export(write("a.csv", content)).points
    assert str(points["recorded_at"][0]) == moment
    if "+" in clock:
        assert points["unix_time_s"].to_list() == [1296506305]


# -- the last line ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "above", "whole"),
    [
        ("0.10", ["0.25", "1.50"], True),
        ("0.1", ["0.25", "1.50"], False),
        ("0.25", ["0.2", "1.50"], False),
        ("12", ["13", "14"], False),
        ("11:00:10", ["09:00:00", "10:00:00"], True),
        ("11:00:1", ["09:00:00", "10:00:00"], False),
        ("1.5E-03", ["1.2E+00", "1.3E+01"], True),
        ("Rest", ["Rest", "Chg"], True),
        ("CC", ["CC", "CCCV"], False),
        ("", ["", ""], True),
        ("", ["0.1", "0.2"], False),
        ("0.10", ["0.25"], False),
    ],
)
def test_last_cell_without_line_end(cell: str, above: list[str], whole: bool) -> None:
    assert is_whole(cell, above) == whole


def test_last_line_that_may_be_cut_is_held_back(write: Write) -> None:
    file = read_export(write("a.csv", SAMPLE_BDF.replace("2,3.5,0.1", "2,3.5,0")))
    assert [f.rule for f in file.quarantine] == ["cut"]


# -- workbooks, Parquet, JSON ------------------------------------------------------------------


def workbook(sheets: dict[str, list[list[object]]], durations: tuple[int, ...] = ()) -> bytes:
    import xlsxwriter

    held = io.BytesIO()
    book = xlsxwriter.Workbook(held)
    clock = book.add_format({"num_format": "hh:mm:ss"})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for at, row in enumerate(rows):
            for column, cell in enumerate(row):
                span = column in durations and isinstance(cell, float)
                sheet.write(at, column, cell, clock if span else None)
    book.close()
    return held.getvalue()


ARBIN_HEADER: list[object] = [
    *("Data_Point", "Test_Time(s)", "Date_Time", "Step_Index", "Cycle_Index"),
    *("Current(A)", "Voltage(V)"),
]


def test_arbin_workbook_of_several_sheets(write: Write) -> None:
    rows: list[list[object]] = [
        [n, 10.0 * n, f"2022-01-01 00:00:{10 * n:02d}", 1, 1, 0.1 * (n % 3), 3 + n / 10]
        for n in range(1, 6)
    ]
    statistics: list[list[object]] = [[5, 50.0, "2022-01-01 00:00:50", 1, 1, 0.0, 3.5]]
    content = workbook(
        {
            "Global_Info": [["TEST REPORT"], ["Channel", "Start DateTime"], [1, "2022-01-01"]],
            "Channel_1_1": [ARBIN_HEADER, *rows[:3]],
            "Channel_1_2": [ARBIN_HEADER, *rows[3:]],
            "Statistics_1": [ARBIN_HEADER, *statistics],
        }
    )
    file = read_export(write("a.xlsx", content))
    assert file.format.name == "arbin_text"
    assert file.points["test_time_s"].to_list() == [10, 20, 30, 40, 50]
    assert file.quarantine == ()
    assert any("Channel_1_1, Channel_1_2" in note for note in file.notes)


def test_neware_workbook_with_durations_of_days(write: Write) -> None:
    header: list[object] = [
        *("DataPoint", "Cycle Index", "Step Index", "Step Type", "Time", "Total Time"),
        *("Current(mA)", "Voltage(V)", "Capacity(mAh)"),
    ]
    rows: list[list[object]] = [
        [1, 1, 1, "Rest", 0.0, 0.0, 0, 3.0, 0],
        [2, 1, 2, "CC Chg", 0.5, 0.5, 10, 3.3, 120],
        [3, 1, 2, "CC Chg", 1.5, 1.5, 10, 3.5, 360],
        [4, 1, 3, "CC DChg", 0.25, 1.75, -10, 3.1, 60],
    ]
    cycle: list[list[object]] = [["Cycle Index", "Chg. Cap.(mAh)"], [1, 360]]
    sheets = {"unit": [["a", "b"]], "cycle": cycle, "record": [header, *rows]}
    file = read_export(write("a.xlsx", workbook(sheets, durations=(4, 5))))
    assert file.format.name == "neware_text"
    assert file.points["test_time_s"].to_list() == [0, 43200, 129600, 151200]
    assert file.points["current_a"].to_list() == pytest.approx([0, 0.01, 0.01, -0.01])
    assert file.points["discharge_ah"].to_list() == pytest.approx([0, 0, 0, 0.06])


def test_neware_workbook_in_three_levels(write: Write) -> None:
    rows: list[list[object]] = [
        ["Cycle Index", "Chg. Cap.(mAh)", "DChg. Cap.(mAh)"],
        ["", "Step Index", "Step Number", "Step Type", "Step Time"],
        *[
            [
                "",
                "",
                "DataPoint",
                "Time",
                "Total Time",
                "Current(mA)",
                "Voltage(V)",
                "Capacity(mAh)",
            ]
        ],
        [1, 5.0, 0.0],
        ["", 1, 1, "CC Chg", "00:30:00"],
        ["", "", 1, "00:00:00", "00:00:00", 10, 3.5, 0],
        ["", "", 2, "00:30:00", "00:30:00", 10, 3.9, 5],
        [2, 0.0, 2.5],
        ["", 2, 2, "CC DChg", "00:15:00"],
        ["", "", 3, "00:15:00", "00:45:00", -10, 3.4, 2.5],
    ]
    file = read_export(write("a.xlsx", workbook({"Sheet1": rows})))
    points = file.points
    assert points["cycle"].to_list() == [1, 1, 2]
    assert points["step"].to_list() == [1, 1, 2]
    assert points["test_time_s"].to_list() == [0, 1800, 2700]
    assert points["charge_ah"].to_list() == pytest.approx([0, 0.005, 0])
    assert points["discharge_ah"].to_list() == pytest.approx([0, 0, 0.0025])
    assert points["row_number"].to_list() == [6, 7, 10]


def test_two_channels_in_a_workbook_are_refused(write: Write) -> None:
    rows: list[list[object]] = [
        [n, 10.0 * n, f"2022-01-01 00:00:{10 * n:02d}", 1, 1, 0.0, 3.0] for n in range(1, 6)
    ]
    content = workbook({"Channel_1-1": [ARBIN_HEADER, *rows], "Channel_1-2": [ARBIN_HEADER, *rows]})
    with pytest.raises(RefusedFile, match="second test"):
        read_export(write("a.xlsx", content))


def test_bdf_as_parquet_with_machine_names_and_a_zone(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "test_time_second": [0.0, 1.0],
            "voltage_volt": [3.5, 3.6],
            "current_ampere": [0.1, -0.1],
            "date_time": pl.Series([1_700_000_000_000_000, 1_700_000_001_000_000]).cast(
                pl.Datetime("us", "Europe/Berlin")
            ),
        }
    )
    frame.write_parquet(tmp_path / "a.bdf.parquet")
    file = read_export(tmp_path / "a.bdf.parquet")
    assert file.format.name == "bdf"
    assert file.points["unix_time_s"].to_list() == [1_700_000_000, 1_700_000_001]


def test_json_and_archives_are_refused_by_what_they_are(write: Write) -> None:
    with pytest.raises(RefusedFile, match="JSON"):
        read_export(write("a.json", '{"Test Time / s": [0, 1], "Voltage / V": [3, 3]}\n'))
    with pytest.raises(RefusedFile, match="compressed"):
        read_export(write("a.csv.gz", b"\x1f\x8b\x08\x00" + bytes(40)))


# -- Neware's binary files -------------------------------------------------------------------


def test_what_fastnda_says_is_a_note_and_nothing_on_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    import warnings

    notes: list[str] = []
    with neware_binary._noting_warnings(notes):
        logging.getLogger("fastnda.main").warning("Raw cycle column missing for this file type")
        warnings.warn("not verified", UserWarning, stacklevel=1)
    assert any("Raw cycle column missing" in note for note in notes)
    assert any("not verified" in note for note in notes)
    assert capfd.readouterr().err == ""


def test_a_pulse_counts_by_the_sign_of_its_counter() -> None:
    records = pl.DataFrame(
        {
            "total_time_s": [0.0, 1.0, 2.0, 3.0],
            "voltage_V": [3.0, 3.1, 2.9, 3.0],
            "current_mA": [1.0, 1.0, -1.0, -1.0],
            "cycle_count": [1, 1, 1, 1],
            "step_index": [1, 2, 2, 3],
            "step_time_s": [0.0, 0.0, 1.0, 0.0],
            "unix_time_s": [0.0, 1.0, 2.0, 3.0],
            "capacity_mAh": [1.0, 2.0, -3.0, -4.0],
            "energy_mWh": [1.0, 2.0, -3.0, -4.0],
            "index": [1, 2, 3, 4],
            "step_count": [1, 2, 2, 3],
        }
    )
    way = pl.Series([1, 0, 0, -1])
    state = pl.Series(["CC_Chg", "Pulse", "Pulse", "CC_DChg"])
    frame = neware_binary._frame(records, way, state)
    assert frame["charge_ah"].to_list() == pytest.approx([1e-3, 2e-3, 0, 0])
    assert frame["discharge_ah"].to_list() == pytest.approx([0, 0, 3e-3, 4e-3])
