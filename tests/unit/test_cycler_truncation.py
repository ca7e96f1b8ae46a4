"""Any truncation of any vendor's file: what is accepted is the beginning of the whole file's points.

The files are written by code in the layout of each maker, from random steps.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from battery_platform.errors import RefusedFile
from battery_platform.records.cyclers import read_export


@dataclass(frozen=True)
class Row:
    """What a cycler knows when it logs a row."""

    record: int
    seconds: float
    in_step: float
    cycle: int
    step: int
    way: int
    volts: float
    amperes: float
    step_ah: float
    charge_ah: float
    discharge_ah: float

    @property
    def clock(self) -> str:
        days, rest = divmod(round(self.seconds), 86400)
        return f"2024-03-{days + 1:02d} {rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"


def logged(steps: Sequence[tuple[int, int, float]]) -> list[Row]:
    """Rows of steps that are given by direction, number of rows and amperes."""
    rows: list[Row] = []
    seconds, counters, cycle, before = 0.0, {1: 0.0, -1: 0.0, 0: 0.0}, 1, 0
    for number, (way, length, amperes) in enumerate(steps, start=1):
        cycle += way == 1 and before == -1
        before = way or before
        start, begun = counters[way], seconds
        for n in range(length):
            counters[way] = start + abs(way) * amperes * n * 30 / 3600
            volts = 3.5 + 0.1 * way + 0.001 * n
            rows.append(
                Row(
                    *(len(rows) + 1, seconds, seconds - begun, cycle, number, way, volts),
                    *(way * amperes, counters[way] - start, counters[1], counters[-1]),
                )
            )
            seconds += 30
        seconds += 0.5
    return rows


def arbin(rows: list[Row]) -> str:
    return (
        "Data_Point,Test_Time(s),Date_Time,Step_Time(s),Step_Index,Cycle_Index,Current(A),Voltage(V),"
        "Charge_Capacity(Ah),Discharge_Capacity(Ah)\n"
    ) + "".join(
        f"{r.record},{r.seconds:.4f},{r.clock},{r.in_step:.4f},{r.step},{r.cycle},{r.amperes:.6f},"
        f"{r.volts:.5f},{r.charge_ah:.7f},{r.discharge_ah:.7f}\n"
        for r in rows
    )


def maccor(rows: list[Row]) -> str:
    return (
        "Today's Date\t05/01/2024\nRec#\tCyc#\tStep\tTestTime\tStepTime\tAmp-hr\tAmps\tVolts\tState\n"
    ) + "".join(
        f"{r.record}\t{r.cycle}\t{r.step}\t{_duration(r.seconds)}\t{_duration(r.in_step)}\t"
        f"{r.step_ah:.9f}\t{abs(r.amperes):.6f}\t{r.volts:.5f}\t{'DRC'[r.way + 1]}\n"
        for r in rows
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"  {hours // 24}d {hours % 24:02d}:{minutes:02d}:{rest:05.2f}"


def neware(rows: list[Row]) -> str:
    out = [
        "Cycle Index,Chg. Cap.(Ah),DChg. Cap.(Ah)",
        ",Step Index,Step Type,Step Time",
        ",,DataPoint,Time,Total Time,Current(A),Voltage(V),Capacity(Ah),Date",
    ]
    cycle = step = 0
    for r in rows:
        if r.cycle != cycle:
            out.append(f"{r.cycle},0,0")
        if r.step != step:
            out.append(f",{r.step},{('CC DChg', 'Rest', 'CC Chg')[r.way + 1]},0")
        cycle, step = r.cycle, r.step
        out.append(
            f",,{r.record},{_duration(r.in_step)[5:]},{_duration(r.seconds).strip()},{r.amperes:.6f},"
            f"{r.volts:.4f},{r.step_ah:.8f},{r.clock}"
        )
    return "\n".join(out) + "\n"


def pec(rows: list[Row]) -> str:
    return (
        "Test:,12\nTestRegime Name:,made\n"
        "Test,Cell,Step,Cycle,Total Time (Seconds),Step Time (Seconds),Voltage (mV),Current (mA),"
        "Charge Capacity (mAh),Discharge Capacity (mAh),Position Start Time,Load On Time (Seconds)\n"
    ) + "".join(
        f"12,1,{r.step},{r.cycle},{r.seconds},{r.in_step},{1000 * r.volts:.2f},{1000 * r.amperes:.3f},"
        f"{1000 * r.charge_ah:.4f},{1000 * r.discharge_ah:.4f},x,0,,\n"
        for r in rows
    )


def mpt(rows: list[Row]) -> str:
    return (
        "EC-Lab ASCII FILE\nNb header lines : 3\ntime/s\tEwe/V\t<I>/mA\tNs\tQ charge/mA.h\t\n"
    ) + "".join(
        f"{r.seconds:.3E}\t{r.volts:.6E}\t{1000 * r.amperes:.6E}\t{r.step}\t{1000 * r.charge_ah:.5E}\n"
        for r in rows
    ).replace(".", ",")


def landt(rows: list[Row]) -> str:
    return ("Record,Cycle-Index,Step-Index,TestTime/Sec,Voltage/V,Current/mA\n") + "".join(
        f"{r.record},{r.cycle},{r.step},{r.seconds:.0f},{r.volts:.4f},{1000 * r.amperes:.3f}\n"
        for r in rows
    )


def bdf(rows: list[Row]) -> str:
    return ("Test Time / s,Voltage / V,Current / A\n") + "".join(
        f"{r.seconds},{r.volts},{r.amperes}\n" for r in rows
    )


def mpr(rows: list[Row]) -> bytes:
    def module(name: str, body: bytes, version: int = 0) -> bytes:
        head = name.encode().ljust(10) + name.encode().ljust(25)
        return b"MODULE" + head + struct.pack("<II", len(body), version) + b"03.15.17" + body

    ids = (1, 4, 6, 8, 131)
    body = struct.pack("<IB", len(rows), len(ids)) + struct.pack(f"<{len(ids)}H", *ids)
    body = body.ljust(405, b"\0")
    for r in rows:
        body += struct.pack("<BdffH", 0x80, r.seconds, r.volts, 1000 * r.amperes, r.step)
    magic = b"BIO-LOGIC MODULAR FILE\x1a".ljust(48) + bytes(4)
    return (
        magic + module("VMP Set", b"") + module("VMP data", body, 2) + module("VMP LOG", bytes(9))
    )


MAKERS: dict[str, Callable[[list[Row]], str | bytes]] = {
    made.__name__: made for made in (arbin, maccor, neware, pec, mpt, landt, bdf, mpr)
}
STEPS = st.lists(
    st.tuples(st.sampled_from([1, 0, -1]), st.integers(1, 9), st.sampled_from([0.01, 0.5, 2.0])),
    min_size=1,
    max_size=6,
).map(lambda steps: [(1, 3, 0.5), *steps])
OURS = ("row_number", "test_time_s", "voltage_v", "current_a", "step", "charge_ah", "discharge_ah")


@limits(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.parametrize("maker", MAKERS)
@given(steps=STEPS, data=st.data())
def test_points_of_a_cut_file_begin_those_of_the_whole(
    maker: str, steps: list[tuple[int, int, float]], data: st.DataObject, tmp_path: Path
) -> None:
    rows = logged(steps)
    made = MAKERS[maker](rows)
    path = tmp_path / "export"
    windows = data.draw(st.booleans(), label="CRLF")
    if isinstance(made, str):
        made = (made.replace("\n", "\r\n") if windows else made).encode()
    path.write_bytes(made)
    whole = read_export(path)
    assert whole.points.height == len(rows)
    assert whole.points["current_a"].to_list() == pytest.approx([r.amperes for r in rows], abs=1e-6)
    path.write_bytes(made[: data.draw(st.integers(0, len(made) - 1), label="bytes kept")])
    try:
        cut = read_export(path)
    except RefusedFile:
        return
    assert {finding.rule for finding in cut.quarantine} <= {"cut"}
    names = [name for name in OURS if name in cut.points.columns]
    if whole.format.cycles == cut.format.cycles and "derived" not in cut.format.cycles:
        names += [name for name in ("cycle",) if name in cut.points.columns]
    if cut.points.is_empty():
        return
    begun = whole.points.head(cut.points.height)
    assert cut.points.select(names).equals(begun.select(pl.col(name) for name in names))
