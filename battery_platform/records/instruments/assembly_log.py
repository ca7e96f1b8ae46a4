"""Event log of a robotic line that assembles coin cells (AutoBASS): runs, steps and every line.

Runs overlap: the crimper works on one cell while the next is put together. Events that name a cell
go to its run; those at the post to the run whose part was named last; those at the crimper to the
run that was sent there last; those of storing to the run that was completed last.

Nothing made from a line depends on later lines, except the summary of a run that is not over yet,
so a longer version of the same log yields the same identifiers. Understanding single lines belongs
in `assembly_lines`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from battery_platform.records.instruments.assembly_lines import (
    LINE_WITHOUT_NAME,
    Entry,
    LineEvent,
    Session,
    event_of,
    is_assembly_log,
    month_first,
    sessions,
)
from battery_platform.records.instruments.model import Instrument, Tidy
from battery_platform.records.reading import refuse

CARRIED_WITHIN = timedelta(hours=1)
"""A run continues across the ruler at midnight if no more time than this has passed."""


@dataclass(slots=True)
class _Doses:
    count: int = 0
    volume_ul: Decimal = Decimal(0)
    unknown: int = 0
    begun: int = 0

    def take(self, event: LineEvent) -> None:
        """Count a dose, or the beginning of one."""
        if event.dosing:
            self.begun += 1
        elif event.kind == "dose":
            self.count += 1
            self.begun = max(0, self.begun - 1)
            self.unknown += not event.dose_ul
            self.volume_ul += Decimal(event.dose_ul or 0)

    def total(self) -> str:
        """Total electrolyte; empty if any dose has no volume or was not confirmed."""
        return "" if self.unknown or self.begun else str(self.volume_ul)


@dataclass(slots=True)
class _Step:
    name: str
    line: int
    started: str
    doses: _Doses = field(default_factory=_Doses)


@dataclass(slots=True)
class _Run:
    run_id: str
    line_name: str
    number: int
    line: int
    started: str
    ended: str
    first: str
    """The run's first step."""
    steps: list[_Step] = field(default_factory=list)
    doses: _Doses = field(default_factory=_Doses)
    completed: bool = False
    over: bool = False
    """Whether the latest event ended the run."""


def read_assembly_log(path: Path) -> list[Tidy]:
    """Runs, steps and events of a log."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise refuse(
            path, f"the file cannot be read ({error.strerror}).", "Check its permissions."
        ) from error
    log = _Log()
    seen: set[int] = set()
    for session in sessions(content):
        content_hash = hash(tuple((entry.time, entry.message) for entry in session.entries))
        if content_hash in seen:
            log.events.notes.append(
                f"the session from line {session.entries[0].line} on stands twice in the file, word "
                "for word; it is taken once"
            )
            continue
        seen.add(content_hash)
        log.take(session)
    if not log.known:
        raise refuse(
            path,
            "no line is an event of an assembly line.",
            "Lines must read '[Time: dd/mm/yyyy, hh:mm:ss]; Event: ...'.",
        )
    return log.tables()


ASSEMBLY_LOG = Instrument(
    "assembly_log", "event log of an assembly line (AutoBASS)", is_assembly_log, read_assembly_log
)


class _Log:
    """The state while a log is read: where each run is, and the rows made so far."""

    def __init__(self) -> None:
        self.runs: list[_Run] = []
        self.events = Tidy(
            "line_events",
            "events",
            _units("session_id event occurred_at kind run_id run_number step dose_ul message"),
        )
        self.known = False
        """Whether any line was an event."""
        self._identifiers: Counter[str] = Counter()
        self._first_part = "anode case"
        """The part with which this line begins a cell; some lines place the cathode case first."""
        self._now = ""
        self._unreadable: list[int] = []
        self._month_first: list[int] = []
        self._set_back: list[int] = []
        self._clear()

    def _clear(self) -> None:
        self._open: dict[int, _Run] = {}
        self._free()

    def _free(self) -> None:
        """Forget where cells are; a later event may still name an open run."""
        self._post: _Run | None = None
        self._pressed: _Run | None = None
        self._crimper: _Run | None = None
        self._finished: _Run | None = None

    def take(self, session: Session) -> None:
        """Take in the events of the next session."""
        first = next((entry.time for entry in session.entries if entry.dated), "")
        if not (session.ruled_off and _over_midnight(self._now, first)):
            self._clear()
        self._now = ""
        stamp = _stamp(first) if first else f"L{session.entries[0].line}"
        session_id = self._identifier(f"{_slug(session.line_name)}-{stamp}")
        for number, entry in enumerate(session.entries, start=1):
            self._look_at_clock(entry)
            event = LineEvent("note") if entry.garbled else event_of(entry.message)
            self.known |= not entry.garbled
            run, kind = self._placed(entry, event, session.line_name)
            cells = (
                session_id,
                str(number),
                entry.time,
                kind,
                run.run_id if run else "",
                "" if event.number is None else str(event.number),
                run.steps[-1].name if run and run.steps else "",
                event.dose_ul,
                entry.message,
            )
            self.events.rows.append((entry.line, cells))

    def _look_at_clock(self, entry: Entry) -> None:
        if not entry.dated:
            self._unreadable.append(entry.line)
            if month_first(entry.time):
                self._month_first.append(entry.line)
            return
        if entry.time < self._now:
            self._set_back.append(entry.line)
        self._now = entry.time

    def _placed(self, entry: Entry, event: LineEvent, line_name: str) -> tuple[_Run | None, str]:
        """Update the run that an event belongs to; returns the run and the kind of event."""
        if entry.garbled:
            return None, event.kind
        kind = event.kind
        if event.part and event.number is not None:
            run = self._open.get(event.number)
            if run is None or self._starts_again(run, event.begins):
                run, kind = self._start(entry, event, line_name), "run_started"
            self._post = run
        else:
            owner = self._owner(event)
            if owner is None:
                return None, kind
            run = owner
        run.ended, run.over = entry.time, event.ends != ""
        if event.begins:
            run.steps.append(_Step(event.begins, entry.line, entry.time))
        run.doses.take(event)
        if run.steps:
            run.steps[-1].doses.take(event)
        self._move(run, event, entry.message)
        return run, kind

    def _starts_again(self, run: _Run, part: str) -> bool:
        """Whether a part begins a new run under an open run's number rather than continuing it."""
        return run.completed or part in {run.first, self._first_part}

    def _start(self, entry: Entry, event: LineEvent, line_name: str) -> _Run:
        """Begin a run; an open one of the same number was abandoned or never stored."""
        assert event.number is not None
        before = self._open.get(event.number)
        if before is not None:
            self._leave(before)
        elif event.begins.endswith("case"):
            self._first_part = event.begins
        stamp = _stamp(entry.time) if entry.dated else f"L{entry.line}"
        run_id = self._identifier(f"{_slug(line_name)}-{stamp}-{event.number}")
        run = _Run(
            run_id, line_name, event.number, entry.line, entry.time, entry.time, event.begins
        )
        self._open[event.number] = run
        self.runs.append(run)
        return run

    def _owner(self, event: LineEvent) -> _Run | None:
        """The run to which an event belongs that begins no run."""
        if event.number is not None:
            return self._open.get(event.number)
        if event.place == "anywhere":
            return self._only_one() if event.kind == "fault" else None
        unsent = self._post if event.begins else None
        return {
            "post": self._post,
            "sending": self._pressed or self._post,
            "crimper": self._crimper or unsent,
            "store": self._finished or self._crimper,
        }[event.place]

    def _only_one(self) -> _Run | None:
        """The only run under way, to which a fault without a place belongs; None if there are more."""
        busy = {run.run_id: run for run in (self._post, self._crimper) if run}
        busy = {run_id: run for run_id, run in busy.items() if not run.completed}
        return next(iter(busy.values())) if len(busy) == 1 else None

    def _move(self, run: _Run, event: LineEvent, message: str) -> None:
        """Update where the cell of a run is after an event."""
        if event.begins == "pressing":
            self._pressed = run
        elif event.begins in {"sending to crimper", "crimping"}:
            self._crimper = run
            self._pressed = None if self._pressed is run else self._pressed
        elif self._pressed is not run and message.lower().endswith("on post"):
            self._pressed = None  # the post is free: that cell is gone
        if event.ends:
            run.completed = True
            self._finished = run
            self._crimper = None if self._crimper is run else self._crimper
        if event.ends == "stored":
            self._leave(run)
            self._open.pop(run.number, None)
        if event.interrupts:
            self._free()

    def _leave(self, run: _Run) -> None:
        self._post = None if self._post is run else self._post
        self._pressed = None if self._pressed is run else self._pressed
        self._crimper = None if self._crimper is run else self._crimper
        self._finished = None if self._finished is run else self._finished

    def _identifier(self, wanted: str) -> str:
        """The wanted identifier, numbered if it is taken: two runs may start in the same second."""
        self._identifiers[wanted] += 1
        again = self._identifiers[wanted]
        return wanted if again == 1 else f"{wanted}-again{again}"

    # -- tables

    def tables(self) -> list[Tidy]:
        """Tables of runs, steps and events, with their notes."""
        self.events.notes = self._notes_on_events()
        return [self._run_table(), self._step_table(), self.events]

    def _run_table(self) -> Tidy:
        names = (
            "run_id line run_number outcome last_step steps doses dose_total_ul started_at ended_at"
        )
        rows: list[tuple[int, tuple[str, ...]]] = [
            (
                run.line,
                (
                    run.run_id,
                    run.line_name,
                    str(run.number),
                    "completed" if run.completed else "abandoned",
                    run.steps[-1].name,
                    str(len(run.steps)),
                    str(run.doses.count),
                    run.doses.total(),
                    run.started,
                    run.ended,
                ),
            )
            for run in self.runs
        ]
        return Tidy("line_runs", "runs", _units(names), rows, self._notes_on_runs())

    def _step_table(self) -> Tidy:
        names = "run_id position step ended_by doses dose_total_ul started_at ended_at"
        rows = sorted((row for run in self.runs for row in _step_rows(run)), key=lambda row: row[0])
        return Tidy("line_steps", "steps", _units(names), rows)

    def _notes_on_events(self) -> list[str]:
        notes = []
        if self._unreadable:
            notes.append(f"no readable day-first time: {_places(self._unreadable)}")
        if self._month_first:
            notes.append(
                "the second number of the date is above 12; dates of this log are day first and "
                f"are not swapped: {_places(self._month_first)}"
            )
        if self._set_back:
            notes.append(
                "the clock goes back, events keep the order of the log and times across it are "
                f"no durations: {_places(self._set_back)}"
            )
        return notes

    def _notes_on_runs(self) -> list[str]:
        notes = []
        open_runs = [run.run_id for run in self._open.values() if not run.completed]
        busy = {run.run_id for run in (self._post, self._crimper) if run is not None}
        if ended_open := [run_id for run_id in open_runs if run_id in busy]:
            notes.append(
                "under way when the log ends, which counts as abandoned until a longer log is "
                f"handed in: {', '.join(ended_open)}"
            )
        if unsure := [run.line for run in self.runs if run.doses.begun or run.doses.unknown]:
            notes.append(
                "a dose that the log does not confirm or gives no volume for, so the total is "
                f"left open: runs that start in {_places(unsure)}"
            )
        if late := [run.line for run in self.runs if not run.first.endswith("case")]:
            notes.append(f"the start of the run is not in the log: {_places(late)}")
        return notes


def _step_rows(run: _Run) -> Iterator[tuple[int, tuple[str, ...]]]:
    last = len(run.steps) - 1
    for position, step in enumerate(run.steps):
        if position < last:
            how, ended = "next_step", run.steps[position + 1].started
        else:
            how, ended = "end_of_run" if run.over else "last_event", run.ended
        cells = (
            run.run_id,
            str(position + 1),
            step.name,
            how,
            str(step.doses.count),
            step.doses.total(),
            step.started,
            ended,
        )
        yield step.line, cells


def _over_midnight(before: str, after: str) -> bool:
    """Whether two sessions are separated by nothing but the change of date."""
    if not before or not after or before[:10] == after[:10]:
        return False
    gap = datetime.fromisoformat(after) - datetime.fromisoformat(before)
    return timedelta(0) <= gap <= CARRIED_WITHIN


def _units(names: str) -> dict[str, str | None]:
    """The columns named, all in the contract's own units."""
    return dict.fromkeys(names.split())


def _stamp(time: str) -> str:
    return time.replace("-", "").replace(":", "").replace(" ", "T")


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name).strip("-") or LINE_WITHOUT_NAME


def _places(lines: list[int], shown: int = 5) -> str:
    listed = ", ".join(map(str, lines[:shown]))
    more = f" and {len(lines) - shown} more" if len(lines) > shown else ""
    return f"line{'s' if len(lines) > 1 else ''} {listed}{more}"
