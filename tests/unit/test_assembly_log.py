"""Logs of an assembly line: runs, steps, doses and every line, as the robots wrote them."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from battery_platform.contracts.base import columns
from battery_platform.contracts.instruments import EVENT_KINDS, LineEvents, LineRuns, LineSteps
from battery_platform.errors import RefusedFile
from battery_platform.records.instruments.assembly_lines import is_assembly_log
from battery_platform.records.instruments.assembly_log import ASSEMBLY_LOG, read_assembly_log
from battery_platform.records.instruments.model import Tidy

PARTS = (
    "anode case",
    "anode spacer",
    "anode",
    "separator",
    "cathode",
    "cathode spacer",
    "spring",
    "cathode case",
)
AFTER = (
    "Assembly Robot moving away",
    "Aligning cell on post",
    "Assembly Robot moving back to post",
    "Pressing COMPONENTS on the post",
    "Assembly Robot moving Home, ready for crimping",
    "Sending cell to the crimper",
)
CRIMPED = ("Starting crimping", "Collecting finished cell from crimper")
RULER = "-----------------------------"


def assembled(number: int, dose: str = "17.5\u00b5L") -> list[str]:
    """Messages of a cell up to the crimper, a dose on anode and separator."""
    out = []
    for part in PARTS:
        out += [f"Processing {part} of NO. {number}:", f"Moving to tray [{part}]"]
        out += [f"Grabing {part}", f"Transporting {part} to post", f"Dropping {part} on post"]
        if part in {"anode", "separator"}:
            out += [f"Taking snap shot on {part}", "Snap shot taken"]
            out += [f"Dropping electrolyte on {part}...", f"{dose} Electrolyte added to {part}!"]
    return [*out, *AFTER]


def stored(number: int) -> list[str]:
    return [
        f"Cell [{number}] complete.",
        "Retrieving cell from post",
        "Transporting cell to tray",
        f"Storing cell complete, Cell [{number}] is now stored on Tray: [7]",
    ]


def cell(number: int) -> list[str]:
    return [*assembled(number), *CRIMPED, *stored(number)]


def stamped(messages: list[str], day: str = "14/04/2022", start: int = 36_000) -> list[str]:
    """Lines ten seconds apart."""
    lines = []
    for place, message in enumerate(messages):
        at = start + 10 * place
        clock = f"{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}"
        lines.append(f"[Time: {day}, {clock}];\tEvent: {message}")
    return lines


def log(*lines: str, encoding: str = "latin-1") -> bytes:
    return ("\r\n".join(["AutoBASS Log:", "", RULER, *lines]) + "\r\n").encode(encoding)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


def table(tidy: Tidy) -> list[dict[str, str]]:
    return [dict(zip(tidy.units, cells, strict=True)) for _, cells in tidy.rows]


def tables(path: Path, content: bytes) -> tuple[list[dict[str, str]], ...]:
    path.write_bytes(content)
    assert is_assembly_log(path)
    return tuple(table(tidy) for tidy in read_assembly_log(path))


def of(events: list[dict[str, str]], message: str) -> list[str]:
    return [event["run_id"] for event in events if event["message"] == message]


@pytest.fixture
def real(mirror: Path) -> Path:
    path = mirror / "line_logs" / "AutoBaSS_log.txt"
    if not path.is_file():
        pytest.skip("the mirror has no line_logs")
    return path


def test_real_log(real: Path) -> None:
    assert is_assembly_log(real)
    made = read_assembly_log(real)
    assert [(tidy.table, tidy.sheet) for tidy in made] == [
        ("line_runs", "runs"),
        ("line_steps", "steps"),
        ("line_events", "events"),
    ]
    runs, steps, events = map(table, made)
    assert Counter(run["outcome"] for run in runs) == {"completed": 63, "abandoned": 4}
    assert len({run["run_id"] for run in runs}) == 67
    assert len({run["run_number"] for run in runs}) < 67
    assert Counter(run["steps"] for run in runs)["15"] == 63
    assert len({event["session_id"] for event in events}) == 2
    stamps = [line for line in real.read_bytes().split(b"\r\n") if line.startswith(b"[Time")]
    assert len(events) == len(stamps) == 3989
    assert all(event["run_id"] for event in events)
    doses = [float(event["dose_ul"]) for event in events if event["kind"] == "dose"]
    assert (len(doses), sum(doses)) == (129, 2257.5)
    assert sum(float(run["dose_total_ul"]) for run in runs) == 2257.5
    assert sum(float(step["dose_total_ul"]) for step in steps) == 2257.5
    assert sum(int(run["doses"]) for run in runs) == 129
    assert sum(tidy.notes != [] for tidy in made) == 0
    assert made[0].rows[0][0] == made[2].rows[0][0] == 4


def test_real_log_is_read_fast(real: Path) -> None:
    begun = time.process_time()
    read_assembly_log(real)
    assert time.process_time() - begun < 0.5


def test_tables_have_the_columns_of_their_contracts_in_order(file: Path) -> None:
    file.write_bytes(log(*stamped(cell(4))))
    for tidy, contract in zip(
        read_assembly_log(file), (LineRuns, LineSteps, LineEvents), strict=True
    ):
        wanted = [column.name for column in columns(contract) if column.name != "cell_id"]
        assert list(tidy.units) == wanted
        assert set(tidy.units.values()) == {None}
        assert all(len(cells) == len(wanted) for _, cells in tidy.rows)
    events = table(read_assembly_log(file)[2])
    assert {event["kind"] for event in events} <= set(EVENT_KINDS)


def test_one_cell(file: Path) -> None:
    runs, steps, events = tables(file, log(*stamped(cell(4))))
    assert [run["run_id"] for run in runs] == ["AutoBASS-20220414T100000-4"]
    assert runs[0]["line"] == "AutoBASS"
    assert (runs[0]["outcome"], runs[0]["last_step"]) == ("completed", "storing")
    assert (runs[0]["doses"], runs[0]["dose_total_ul"]) == ("2", "35.0")
    assert runs[0]["started_at"] == events[0]["occurred_at"] == "2022-04-14 10:00:00"
    assert runs[0]["ended_at"] == events[-1]["occurred_at"]
    assert [step["step"] for step in steps] == [
        *PARTS,
        "aligning",
        "pressing",
        "sending to crimper",
        "crimping",
        "collecting from crimper",
        "retrieving from post",
        "storing",
    ]
    assert [step["ended_by"] for step in steps] == ["next_step"] * 14 + ["end_of_run"]
    assert all(a["ended_at"] == b["started_at"] for a, b in itertools.pairwise(steps))
    assert [step["doses"] for step in steps][2:4] == ["1", "1"]
    kinds = Counter(event["kind"] for event in events)
    assert (kinds["run_started"], kinds["run_ended"], kinds["image"]) == (1, 1, 2)
    assert {event["session_id"] for event in events} == {"AutoBASS-20220414T100000"}
    assert [event["event"] for event in events] == [str(n + 1) for n in range(len(events))]


def test_runs_overlap(file: Path) -> None:
    """The next cell is begun while the crimper and the store still have the one before."""
    first, second = assembled(4), assembled(5)
    messages = [
        *first,
        *second[:3],
        "Starting crimping",
        *second[3:12],
        "Crimper error, retrying",
        "Collecting finished cell from crimper",
        second[12],
        "Cell [4] complete.",
        second[13],
        "Retrieving cell from post",
        *second[14:20],
        "Transporting cell to tray",
        "Storing cell complete, Cell [4] is now stored on Tray: [1]",
        *second[20:],
        *CRIMPED,
        *stored(5),
    ]
    runs, steps, events = tables(file, log(*stamped(messages)))
    four, five = (run["run_id"] for run in runs)
    assert [run["outcome"] for run in runs] == ["completed", "completed"]
    assert [run["dose_total_ul"] for run in runs] == ["35.0", "35.0"]
    assert [run["steps"] for run in runs] == ["15", "15"]
    for message in ("Starting crimping", "Retrieving cell from post", "Transporting cell to tray"):
        assert of(events, message) == [four, five]
    assert of(events, "Moving to tray [spring]") == [four, five]
    assert all(event["run_id"] for event in events)
    assert runs[1]["started_at"] < runs[0]["ended_at"] < runs[1]["ended_at"]
    crimping = [step for step in steps if step["run_id"] == four and step["step"] == "crimping"]
    collected = next(e for e in events if e["message"].startswith("Collecting"))
    assert crimping[0]["ended_at"] == collected["occurred_at"]
    fault = [event for event in events if event["kind"] == "fault"]
    assert [event["run_id"] for event in fault] == [four]


def test_cell_is_sent_after_the_next_was_begun(file: Path) -> None:
    first, second = assembled(4), assembled(5)
    messages = [*first[:-1], *second[:2], first[-1], *second[2:], *CRIMPED, *stored(4)]
    runs, _, events = tables(file, log(*stamped(messages)))
    assert of(events, "Sending cell to the crimper") == [run["run_id"] for run in runs]


def test_restart_of_a_number_abandons_the_run_before(file: Path) -> None:
    begun = assembled(28)[:2]
    lines = [*stamped(begun), *stamped(begun), *stamped(cell(28), start=40_000)]
    runs, steps, events = tables(file, log(*lines))
    assert [run["outcome"] for run in runs] == ["abandoned", "abandoned", "completed"]
    assert len({run["run_id"] for run in runs}) == 3
    assert [step["ended_by"] for step in steps][:2] == ["last_event", "last_event"]
    assert Counter(event["kind"] for event in events)["run_started"] == 3


def test_number_that_was_completed_but_not_stored_starts_again(file: Path) -> None:
    messages = [*assembled(1), *CRIMPED, "Cell [1] complete.", *cell(1)]
    runs, _, _ = tables(file, log(*stamped(messages)))
    assert [run["outcome"] for run in runs] == ["completed", "completed"]


def test_interrupted_run_is_abandoned_and_takes_no_later_events(file: Path) -> None:
    messages = [*assembled(8), "Mannually interupted, homing system...", "Crimping complete"]
    runs, _, events = tables(file, log(*stamped(messages)))
    assert [run["outcome"] for run in runs] == ["abandoned"]
    assert (events[-2]["kind"], events[-2]["run_id"]) == ("fault", runs[0]["run_id"])
    assert (events[-1]["kind"], events[-1]["run_id"]) == ("step_ended", "")
    assert runs[0]["ended_at"] == events[-2]["occurred_at"]


def test_fault_that_names_no_place_is_nobodys_while_two_are_under_way(file: Path) -> None:
    messages = [*assembled(4), *assembled(5)[:3], "Connection to controller failed"]
    _, _, events = tables(file, log(*stamped(messages)))
    assert (events[-1]["kind"], events[-1]["run_id"]) == ("fault", "")


def test_line_that_begins_with_the_other_case(file: Path) -> None:
    """Old logs lay the cathode case first; rulers follow texts over several lines there."""
    lines = ["Mecademic assembly log:", "", RULER]
    for number, part in enumerate((*reversed(PARTS), *reversed(PARTS))):
        clock = f"[Time: 14/10/2021, 17:{number:02}:51];\tEvent: "
        lines += [f"{clock}------", f"Processing {part} of NO. 1:", "", RULER]
        lines += [f"{clock}Moving to tray [{part}]"]
    runs, steps, events = tables(file, "\r\n".join([*lines, ""]).encode())
    assert [run["steps"] for run in runs] == ["8", "8"]
    assert {event["session_id"] for event in events} == {"Mecademic-assembly-20211014T170051"}
    assert {run["line"] for run in runs} == {"Mecademic assembly"}
    assert len(events) == 32
    assert len(steps) == 16


def test_days_come_first_and_are_not_swapped(file: Path) -> None:
    lines = [
        *stamped(assembled(4)[:3], day="05/04/2022"),
        *stamped(["Grabing anode case"], day="04/14/2022"),
        *stamped(["Grabing anode case"], day="31/02/2022"),
        *stamped(["Grabing anode case"], day="06/04/2022"),
    ]
    _, _, events = tables(file, log(*lines))
    assert [event["occurred_at"][:10] for event in events[:3]] == ["2022-04-05"] * 3
    assert events[3]["occurred_at"] == "04/14/2022, 10:00:00"
    assert events[4]["occurred_at"] == "31/02/2022, 10:00:00"
    assert events[5]["occurred_at"] == "2022-04-06 10:00:00"
    notes = " ".join(read_assembly_log(file)[2].notes)
    assert "lines 7, 8" in notes
    assert "above 12" in notes
    assert "line 7" in notes


def test_run_whose_start_has_no_date_is_left_to_the_contract(file: Path) -> None:
    lines = stamped(cell(4))
    lines[0] = lines[0].replace("14/04", "31/02")
    runs, _, _ = tables(file, log(*lines))
    assert runs[0]["started_at"] == "31/02/2022, 10:00:00"
    assert runs[0]["run_id"] == "AutoBASS-L4-4"


def test_broken_lines_are_rows(file: Path) -> None:
    whole = stamped(cell(4))
    lines = [*whole[:10], "[Time: 14/04/2022, 10:0", "Event: ???", whole[10] + whole[11]]
    _, _, events = tables(file, log(*lines, *whole[12:]))
    assert len(events) == len(whole) + 1
    broken = events[10:13]
    assert [event["occurred_at"] for event in broken] == lines[10:13]
    assert [event["message"] for event in broken] == lines[10:13]
    assert {event["run_id"] for event in broken} == {""}


@pytest.mark.parametrize("cut", [3, 12, 30, 50])
def test_cut_last_line(file: Path, cut: int) -> None:
    content = log(*stamped([*cell(4), "Processing anode case of NO. 12:"]))
    _, _, events = tables(file, content[: -2 - cut])
    last = stamped([*cell(4), "Processing anode case of NO. 12:"])[-1]
    assert events[-1]["occurred_at"] == last[:-cut].strip()
    runs, _, events = tables(file, content[:-2])
    assert [run["run_number"] for run in runs] == ["4", "12"]


@pytest.mark.parametrize(
    ("sign", "encoding"),
    [("\u00b5", "latin-1"), ("\u00b5", "utf-8"), ("\u03bc", "utf-8"), ("\u00b5", "utf-16")],
)
def test_micro_signs(file: Path, sign: str, encoding: str) -> None:
    messages = assembled(4, dose=f"30.0{sign}L")
    runs, _, events = tables(file, log(*stamped(messages), encoding=encoding))
    assert runs[0]["dose_total_ul"] == "60.0"
    assert [event["dose_ul"] for event in events if event["kind"] == "dose"] == ["30.0", "30.0"]


def test_a_log_in_two_encodings(file: Path) -> None:
    latin = log(*stamped(cell(4)))
    utf8 = "\r\n".join([*stamped(cell(5), start=50_000), ""]).encode()
    runs, _, events = tables(file, latin + utf8)
    assert [run["dose_total_ul"] for run in runs] == ["35.0", "35.0"]
    assert not any("\u00c2" in event["message"] for event in events)


def test_doses_without_volume_or_confirmation(file: Path) -> None:
    messages = assembled(4)
    unconfirmed = [
        f"Dropping electrolyte on component {part} complete!" for part in ("anode", "cathode")
    ]
    without = [m for m in messages if "added" not in m]
    runs, _, events = tables(file, log(*stamped([*without[:19], unconfirmed[0], *without[19:]])))
    assert (runs[0]["doses"], runs[0]["dose_total_ul"]) == ("1", "")
    assert [event["dose_ul"] for event in events if event["kind"] == "dose"] == [""]
    assert "total is left open" in read_assembly_log(file)[0].notes[-1]


@pytest.mark.parametrize(
    ("dose", "cell_text"), [("17,5\u00b5L", "17.5"), ("0.035mL", "35.000"), ("3 g", "")]
)
def test_doses_in_other_words(file: Path, dose: str, cell_text: str) -> None:
    _, _, events = tables(file, log(*stamped(assembled(4, dose=dose))))
    assert {event["dose_ul"] for event in events if event["kind"] == "dose"} == {cell_text}


def test_clock_that_goes_back(file: Path) -> None:
    whole = cell(4)
    lines = [
        *stamped(whole[:20], day="30/10/2022", start=2 * 3600 + 3000),
        *stamped(whole[20:], day="30/10/2022", start=2 * 3600),
    ]
    runs, _, events = tables(file, log(*lines))
    assert [event["message"] for event in events] == whole
    assert len({event["session_id"] for event in events}) == 1
    assert runs[0]["ended_at"] < runs[0]["started_at"]
    assert read_assembly_log(file)[2].notes == [
        "the clock goes back, events keep the order of the log and times across it are no "
        "durations: line 24"
    ]


def test_sessions_and_numbers_that_come_again(file: Path) -> None:
    lines = [
        *stamped(assembled(4)[:5]),
        "",
        RULER,
        *stamped(cell(4), day="22/04/2022"),
        "",
        RULER,
        *stamped(["Cell [4] complete."], day="23/04/2022"),
    ]
    runs, _, events = tables(file, log(*lines))
    assert [run["outcome"] for run in runs] == ["abandoned", "completed"]
    assert list(dict.fromkeys(event["session_id"] for event in events)) == [
        "AutoBASS-20220414T100000",
        "AutoBASS-20220422T100000",
        "AutoBASS-20220423T100000",
    ]
    assert (events[-1]["run_id"], events[-1]["run_number"]) == ("", "4")


def test_a_run_goes_on_over_midnight(file: Path) -> None:
    whole = cell(4)
    lines = [
        *stamped(whole[:20], start=24 * 3600 - 300),
        "",
        RULER,
        *stamped(whole[20:], day="15/04/2022", start=0),
    ]
    runs, _, events = tables(file, log(*lines))
    assert [run["outcome"] for run in runs] == ["completed"]
    assert len({event["session_id"] for event in events}) == 2


def test_start_of_a_run_may_be_missing(file: Path) -> None:
    lines = stamped([*cell(4)[7:], *cell(5)])
    runs, _, _ = tables(file, "\n".join([*lines, ""]).encode("latin-1"))
    assert [(run["run_number"], run["outcome"]) for run in runs] == [
        ("4", "completed"),
        ("5", "completed"),
    ]
    assert "start of the run is not in the log" in read_assembly_log(file)[0].notes[0]


def test_a_longer_version_keeps_what_was_over(file: Path) -> None:
    whole = log(*stamped([*cell(4), *assembled(5)[:9], *cell(5), *cell(6)]))
    runs, steps, events = tables(file, whole)
    for size in range(len(whole) // 2, len(whole), 997):
        early_runs, early_steps, early_events = tables(file, whole[:size])
        ended = [run for run in early_runs[:-1] if run["last_step"] == "storing"]
        assert all(run in runs for run in ended)
        over = {run["run_id"] for run in ended}
        assert all(step in steps for step in early_steps if step["run_id"] in over)
        assert early_events[:-1] == events[: len(early_events) - 1]
        assert [run["run_id"] for run in early_runs] == [
            run["run_id"] for run in runs[: len(early_runs)]
        ]


def test_open_run_at_the_end_is_told(file: Path) -> None:
    runs, _, _ = tables(file, log(*stamped([*cell(4), *assembled(5)[:9]])))
    assert runs[1]["outcome"] == "abandoned"
    assert read_assembly_log(file)[0].notes[0].endswith(runs[1]["run_id"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 4096,
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8,
        b"AutoBASS Log:\r\n\r\n-----------------------------\r\n",
        b"lot_id,material_kind\r\nL1,binder\r\n",
        b"The log reads\n[Time: 14/04/2022, 10:00:00];\tEvent: Test\nand so on\nand so on\nend\n",
    ],
)
def test_other_files_are_not_recognised(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert not is_assembly_log(file)
    if b"Event" not in content:
        with pytest.raises(RefusedFile):
            read_assembly_log(file)


def test_what_cannot_be_opened_is_not_recognised(tmp_path: Path) -> None:
    assert not is_assembly_log(tmp_path)
    assert not is_assembly_log(tmp_path / "absent.txt")
    assert not is_assembly_log(Path("a\x00b"))
    with pytest.raises(RefusedFile, match="cannot be read"):
        read_assembly_log(tmp_path / "absent.txt")


def test_long_logs_take_time_in_proportion(file: Path) -> None:
    lines = "\n".join(stamped(cell(4), start=0) * 800).encode("latin-1")
    file.write_bytes(lines + b"\n")
    begun = time.process_time()
    runs, _, events = read_assembly_log(file)
    assert len(runs.rows) == 800
    assert time.process_time() - begun < 20e-6 * len(events.rows) + 0.5


def test_cells_are_text_that_polars_takes(file: Path) -> None:
    file.write_bytes(log(*stamped(cell(4)), "\x00\x00garbled\x00"))
    for tidy in read_assembly_log(file):
        frame = pl.DataFrame([cells for _, cells in tidy.rows], list(tidy.units), orient="row")
        assert set(frame.dtypes) == {pl.String}
    assert ASSEMBLY_LOG.name == "assembly_log"
