"""What vendors' files have done to cycles, columns and rows; every file here is written by code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from battery_platform.errors import RefusedFile
from battery_platform.records.cyclers import read_export
from battery_platform.records.cyclers.summary import cycles

Write = Callable[[str, str | bytes], Path]


def lines(header: str, *rows: str, mark: str = ",") -> str:
    return "\n".join((header, *rows)).replace(",", mark) + "\n"


# -- a step's last row ---------------------------------------------------------------------

MACCOR = "Rec#,Cyc#,Step,TestTime,StepTime,Amp-hr,Watt-hr,Amps,Volts,State,DPt Time"


def maccor(*steps: tuple[int, int, str, float]) -> str:
    """Steps of ten rows each, at a row a minute: cycle, step, states of its rows, amperes."""
    rows = []
    record, minute = 0, 0
    for cycle, step, states, amperes in steps:
        for n in range(10):
            record, minute = record + 1, minute + 1
            state = states[min(n, len(states) - 1)] if n < 9 else states[-1]
            ah = abs(amperes) * n / 60
            rows.append(
                f"{record},{cycle},{step},0d 00:{minute:02d}:00,0d 00:{n:02d}:00,{ah:.6f},"
                f"{3.5 * ah:.6f},{abs(amperes) * (state != 'R'):.4f},3.5,{state},"
                f"05/01/2024 09:{minute:02d}:00"
            )
    return lines(MACCOR, *rows, mark="\t")


@pytest.mark.parametrize("block_bytes", [1 << 23, 700])
def test_a_step_that_ends_suspended_keeps_its_charge(block_bytes: int, write: Write) -> None:
    from battery_platform.records.cyclers.header import find_table
    from battery_platform.records.cyclers.summary import Summary
    from battery_platform.records.cyclers.text import open_text

    path = write("a.txt", maccor((1, 1, "C", 1.5), (1, 2, "DS", 1.5), (2, 1, "C", 1.0)))
    table = find_table(path)
    assert table is not None
    summary = Summary("step")
    for block in open_text(path, table, block_bytes=block_bytes).blocks:
        summary.add(block.points)
    made = summary.cycles()
    assert made["discharge_ah"].to_list() == pytest.approx([1.5 * 9 / 60, 0])
    assert made["counters_off_pct"].to_list() == pytest.approx([0, 0], abs=1e-3)


def test_a_counter_that_runs_downwards_is_a_magnitude(write: Write) -> None:
    content = lines(
        "time/s,Ecell/V,I/mA,cycle number,Q discharge/mA.h,Energy discharge/W.h",
        "0,3.9,-1000,1,0,0",
        "36,3.8,-1000,1,10,-0.0385",
        "72,3.7,-1000,1,20,-0.0765",
        mark="\t",
    )
    file = read_export(write("a.mpt", "BT-Lab ASCII FILE\n" + content))
    assert file.points["discharge_wh"].to_list() == pytest.approx([0, 0.0385, 0.0765])
    assert cycles(file.points)["discharge_wh"].to_list() == pytest.approx([0.0765])
    assert any("'Energy discharge/W.h' runs downwards" in note for note in file.notes)


# -- bytes that are no text ----------------------------------------------------------------

PLAIN = "Test Time / s,Voltage / V,Current / A,Cycle Count / 1"


def test_two_stray_bytes_make_no_binary_file(write: Write) -> None:
    rows = [f"{n},3.5,0.1,1" for n in range(2000)]
    rows[700] = "700,3\x03.5,0.1,1"
    rows[1200] = "1200,3.5,0.\x001,1"
    file = read_export(write("a.csv", lines(PLAIN, *rows)))
    assert file.points.height == 1998
    assert [(finding.row, finding.rule) for finding in file.quarantine] == [
        (702, "readable"),
        (1202, "readable"),
    ]


def test_the_encoding_that_is_stated_is_used(write: Write) -> None:
    from battery_platform.records.cyclers import open_file

    header = "Zeit / s;Voltage / V;Current / A;Temperature (\u00b0C)"
    header = header.replace("Zeit", "Test Time")
    content = lines(header, "0;3,5;0;25", "10;3,6;0,1;25").encode("utf-16-le")
    content += bytes(4) * 100  # what a copy that broke off leaves
    path = write("a.csv", content[:-400])
    for encoding in (None, "utf-16-le"):
        (block,) = open_file(path, encoding=encoding).blocks
        assert block.points["temperature_degc"].to_list() == [25, 25]
    noisy = write("b.csv", lines(PLAIN, *(f"{n},3.5,0.1,\x011" for n in range(9))))
    with pytest.raises(RefusedFile, match="binary"):
        open_file(noisy)
    (block,) = open_file(noisy, encoding="utf-8").blocks
    assert len(block.quarantine) == 9


# -- columns -------------------------------------------------------------------------------


def test_columns_of_one_name_are_settled_or_refused(write: Write) -> None:
    header = "Test Time / s,Voltage / V,Current / A,Voltage / mV,Note"
    same = lines(header, "0,3.5,0.1,3500,x", "10,3.6,0.1,3600,y")
    file = read_export(write("a.csv", same))
    assert file.points["voltage_v"].to_list() == [3.5, 3.6]
    assert {out.name: out.why for out in file.left_out} == {
        "Voltage / mV": "column 2, 'Voltage / V', is of the same name and read instead",
        "Note": "no quantity of a cycler's points",
    }
    with pytest.raises(RefusedFile, match="differ from line 3 on") as refused:
        read_export(write("b.csv", same.replace("3600", "4600")))
    assert "columns 2 and 4" in refused.value.says
    twice = lines("Test Time / s,Current / A,Current / A,Voltage / V", "0,0.1,0.1,3", "9,0.1,,3")
    with pytest.raises(RefusedFile, match="'Current / A' and 'Current / A'"):
        read_export(write("c.csv", twice))


def test_two_thermocouples_of_one_name_are_named(write: Write) -> None:
    header = "Test Time / s,Voltage / V,Current / A,Temperature (C),Temperature (C)"
    file = read_export(write("a.csv", lines(header, "0,3.5,0.1,25,31", "10,3.6,0.1,25,32")))
    assert file.points["temperature_degc"].to_list() == [25, 25]
    assert [out.name for out in file.left_out] == ["Temperature (C)"]


def test_a_spectrum_is_no_cycling(write: Write) -> None:
    header = "freq/Hz,Re(Z)/Ohm,-Im(Z)/Ohm,time/s,<Ewe>/V,<I>/mA,cycle number"
    sweep = [f"{10 ** (5 - n / 10)},10,{n},{10 + n},3.7,0.01,1" for n in range(60)]
    content = "EC-Lab ASCII FILE\n" + lines(header, *sweep, mark="\t")
    with pytest.raises(RefusedFile, match="impedance spectrum") as refused:
        read_export(write("a.mpt", content))
    assert "cycling technique" in refused.value.remedy
    cycling = [f"0,0,0,{10 * n},3.7,5,1" for n in range(200)]
    mixed = "EC-Lab ASCII FILE\n" + lines(header, *cycling, mark="\t")
    assert read_export(write("b.mpt", mixed)).points.height == 200


def test_a_rest_without_a_current_is_refused_as_what_it_is(write: Write) -> None:
    content = lines("mode,time/s,Ewe/V", "3,0,3.7", "3,10,3.7", mark="\t")
    with pytest.raises(RefusedFile, match="open-circuit"):
        read_export(write("a.mpt", "EC-Lab ASCII FILE\n" + content))


# -- cycles that no column counts ----------------------------------------------------------


def cycled(halves: list[tuple[float, int]], noise: float = 0.0) -> str:
    """A file without cycles: amperes and minutes of each half, a rest of five minutes between."""
    rows = []
    minute = 0
    for amperes, minutes in [(0.0, 5), *(h for half in halves for h in (half, (0.0, 5)))]:
        for n in range(minutes):
            current = amperes or noise * (-1) ** n
            rows.append(
                f"{60 * minute},{3.5 + 0.1 * (amperes > 0) - 0.1 * (amperes < 0)},{current}"
            )
            minute += 1
    return lines("Test Time / s,Voltage / V,Current / A", *rows)


@pytest.mark.parametrize("noise", [0.0, 1e-6, 2e-4])
def test_cycles_come_from_where_the_current_turns(noise: float, write: Write) -> None:
    file = read_export(write("a.csv", cycled([(1, 60), (-1, 59), (0.5, 118), (-2, 29)], noise)))
    summed = cycles(file.points)
    assert summed["cycle"].to_list() == [1, 2]
    assert summed["charge_ah"].to_list() == pytest.approx([1, 1], rel=0.05)
    assert summed["discharge_ah"].to_list() == pytest.approx([1, 1], rel=0.05)
    assert "derived" in file.format.cycles
    assert any("2 derived from where the current turns" in note for note in file.notes)


def test_a_half_cell_begins_its_cycles_with_the_discharge(write: Write) -> None:
    file = read_export(write("a.csv", cycled([(-1, 60), (1, 50), (-1, 50), (1, 49), (-1, 49)])))
    summed = cycles(file.points)
    assert summed["cycle"].to_list() == [1, 2, 3]
    assert (summed["discharge_ah"] > 0.7).to_list() == [True, True, True]


def test_pulses_make_no_cycles(write: Write) -> None:
    pulses = [(1.0, 600)] + [(-1.0, 58), (-2.0, 1), (1.5, 1)] * 9 + [(1.0, 500)]
    file = read_export(write("a.csv", cycled(pulses)))
    assert file.points["cycle"].unique().sort().to_list() == [1, 2]


def test_many_blocks_give_the_cycles_of_one(write: Write) -> None:
    from battery_platform.records.cyclers.derived_cycles import with_cycles
    from battery_platform.records.cyclers.header import find_table
    from battery_platform.records.cyclers.text import open_text

    path = write("a.csv", cycled([(1, 60), (-1, 59)] * 5))
    table = find_table(path)
    assert table is not None
    known = table

    def opened():  # type: ignore[no-untyped-def]
        return open_text(path, known, block_bytes=900)

    blocks = list(with_cycles(opened(), opened).blocks)
    assert len(blocks) > 3
    counted = [c for block in blocks for c in block.points["cycle"].to_list()]
    assert counted == read_export(path).points["cycle"].to_list()
    assert max(counted) == 5


# -- rests and indices ---------------------------------------------------------------------


def test_the_sign_of_a_resting_current_says_nothing(write: Write) -> None:
    header = "Test Time / s,Voltage / V,Current / A,Step Type,Cycle Count / 1"
    rest = [f"{10 * n},{3.5 + 0.01 * (n % 2)},{1e-6 * (-1) ** n},rest,1" for n in range(40)]
    against = [f"{10 * n},{3.5 - 0.002 * (n % 2)},{1e-6 * (n % 2)},charge,1" for n in range(40)]
    turned = [f"{10 * n},3.5,{-1e-6},charge,1" for n in range(40)]
    for rows in (rest, against, turned):
        assert read_export(write("a.csv", lines(header, *rows))).points.height == 40
    with pytest.raises(RefusedFile, match="wrong sign"):
        read_export(write("a.csv", lines(header, *turned).replace("-1e-06", "-1e-05")))


@pytest.mark.parametrize("block_bytes", [1 << 23, 150])
def test_exports_that_were_joined_go_on(block_bytes: int, write: Write) -> None:
    from battery_platform.records.cyclers.header import find_table
    from battery_platform.records.cyclers.text import open_text

    header = "Data_Point,Test_Time(s),Cycle_Index,Current(A),Voltage(V)"
    rows = [f"{n % 20 + 1},{10 * n},{n % 20 // 10 + 1},0.1,3.5" for n in range(60)]
    path = write("a.csv", lines(header, *rows))
    table = find_table(path)
    assert table is not None
    stream = open_text(path, table, block_bytes=block_bytes)
    blocks = list(stream.blocks)
    assert not any(block.quarantine for block in blocks)
    counted = [c for block in blocks for c in block.points["cycle"].to_list()]
    assert counted == [n // 10 + 1 for n in range(60)]
    shown = [c for block in blocks for c in block.points["Data_Point"].to_list()]
    assert shown == [n % 20 + 1 for n in range(60)]
    assert sum("begins again" in note for note in stream.notes) == 2
    pasted = write("b.csv", lines(header, *rows[:20], *rows[5:8], *rows[20:]))
    assert [finding.row for finding in read_export(pasted).quarantine] == [22, 23, 24]
