"""The lines of an assembly line's event log: sessions of entries, and the event of each message.

A line reads `[Time: dd/mm/yyyy, hh:mm:ss];<tab>Event: ...`; the day always comes first, and a
stamp that is no date that way is left as it stands for the contract to reject. A ruler is written
whenever the date changes, and after every text that runs over several lines.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Literal

from battery_platform.records.reading import HEAD_BYTES, look

LINE_WITHOUT_NAME = "AutoBASS"
_SHARE_OF_EVENTS = 1 / 3
"""Least share of stamped lines in a log; multi-line texts take up at most two lines of three."""

_EVENT = re.compile(r"\[Time: ?([^\]]*)\];?\s*Event: ?(.*)", re.DOTALL)
_STAMP = re.compile(r"(\d\d)/(\d\d)/(\d{4}), ?(\d\d):(\d\d):(\d\d)")
_RULER = re.compile(r"[-=_*]{4,}")
_HEADER = re.compile(r"([\w ./-]{0,60}?)\s*\blog\b[\w ]{0,60}:?", re.IGNORECASE)
_WHOLE = re.compile(
    r"Processing .+ of NO\. ?\d+:|Moving to tray \[.+\]|.+ electrolyte added to .+!|.+\.\.\."
    r"|Cell \[\d+\] complete\.|Storing cell complete, .+ Tray: \[\d+\]",
    re.IGNORECASE,
)
"""Messages whose last character shows that they were not cut off by the end of the file."""

_PROCESSING = re.compile(r"Processing (.+?) of NO\. ?\[?(\d{1,9})\]?[:.]?", re.IGNORECASE)
_STORED = re.compile(r"Storing cell complete, Cell \[?(\d{1,9})\]?.*", re.IGNORECASE)
_COMPLETE = re.compile(
    r"Cell \[?(\d{1,9})\]? complete[.!]?|Cell complete, Cell \[?(\d{1,9})\]?.*", re.IGNORECASE
)
_DOSE = re.compile(
    r"(?:(\d+(?:[.,]\d+)?)\s*(\S{1,4})?\s+)?Electrolyte added to .+"
    r"|Dropping electrolyte on .+ complete!?",
    re.IGNORECASE,
)
_MICROLITRE = re.compile(r"(?:u|\xb5|\u03bc|[^\x00-\x7f]{1,3})l?", re.IGNORECASE)
"""The micro sign in any form that changes of encoding may have left."""
_DOSING = re.compile(r"Dropping electrolyte on .+", re.IGNORECASE)
_NAMED = re.compile(r"\b(?:Cell|NO\.)\s*\[?(\d{1,9})\b", re.IGNORECASE)
_FAULT = re.compile(
    r"error|fail|abort|(?<!avoid )collision|\bretr(?:y|ies)|interr?upt|not in connection"
    r"|time ?out|timed out|emergency|cannot|could not|unable|not found|missing|stuck|exception"
    r"|crash|alarm|warning|malfunction",
    re.IGNORECASE,
)
_INTERRUPTED = re.compile(r"mann?ually interr?upt", re.IGNORECASE)

Place = Literal["post", "sending", "crimper", "store", "anywhere"]
_STEPS: tuple[tuple[str, Place, str], ...] = (
    (r"Aligning cell on post", "post", "aligning"),
    (r"Pressing components on the post", "post", "pressing"),
    (r"Sending cell to the crimper", "sending", "sending to crimper"),
    (r"Start(?:ing)? crimping", "crimper", "crimping"),
    (r"Collecting finished cell from crimper", "crimper", "collecting from crimper"),
    (r"Retrieving cell from post", "store", "retrieving from post"),
    (r"Transporting cell to tray", "store", "storing"),
)
_BEGINS = tuple(
    (re.compile(words + r"[.:! ]*", re.IGNORECASE), place, step) for words, place, step in _STEPS
)
_KINDS: dict[str, tuple[str, Place]] = {
    "snap shot taken": ("image", "post"),
    "crimping complete": ("step_ended", "crimper"),
}
_PLACES: tuple[tuple[re.Pattern[str], Place], ...] = (
    (re.compile(r"\bstor(?:e|ing)\b|retriev|cell to tray", re.IGNORECASE), "store"),
    (
        re.compile(
            r"moving to tray|\bgrab|\bto post|\bon post|snap ?shot|electrolyte"
            r"|assembly robot moving|\balign|\bpress",
            re.IGNORECASE,
        ),
        "post",
    ),
    (re.compile(r"crimp", re.IGNORECASE), "crimper"),
)


@dataclass(frozen=True, slots=True)
class LineEvent:
    """The meaning of a message, whichever run it belongs to."""

    kind: str
    place: Place = "anywhere"
    number: int | None = None
    begins: str = ""
    """The step that begins with this event."""
    part: bool = False
    """Whether that step puts a part on the post: the first one begins a run."""
    ends: Literal["", "complete", "stored"] = ""
    dose_ul: str = ""
    dosing: bool = False
    interrupts: bool = False


@dataclass(slots=True)
class Entry:
    """A line of the log, which is an event or garbled."""

    line: int
    time: str
    """`YYYY-MM-DD HH:MM:SS`, or the log's own text if that is not a day-first time."""
    dated: bool
    message: str
    garbled: bool = False


@dataclass(slots=True)
class Session:
    """Events between headers and rulers."""

    line_name: str
    entries: list[Entry]
    ruled_off: bool
    """Whether a ruler, not a new header, separates it from the session before."""


# -- lines -----------------------------------------------------------------------------------


def is_assembly_log(path: Path) -> bool:
    """Whether the beginning of a file consists of events of such a line."""
    try:
        head = look(path).head[:HEAD_BYTES]
    except (OSError, ValueError):
        return False
    lines = [line for line in map(str.strip, _lines(head)) if line and not _RULER.fullmatch(line)]
    stamped = sum(1 for line in lines if re.match(r"\[Time: ?\d[^\]]*\];?\s*Event:", line))
    return stamped > 0 and stamped >= _SHARE_OF_EVENTS * (len(lines) - 1)


def _lines(content: bytes) -> Iterator[str]:
    """Lines as text, each in its own encoding: a log is appended to by more than one program."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield from content.decode("utf-16", "replace").split("\n")
        return
    for raw in content.removeprefix(codecs.BOM_UTF8).split(b"\n"):
        try:
            yield raw.decode()
        except UnicodeDecodeError:
            yield raw.decode("latin-1")


def sessions(content: bytes) -> Iterator[Session]:
    """The sessions of a log.

    After any text without a time stamp the line's program writes a ruler of its own; such a ruler
    separates sessions only if the date changes there.
    """
    name = LINE_WITHOUT_NAME
    session = Session(name, [], ruled_off=False)
    apart: Literal["", "new day", "ruler", "header"] = ""
    stamped = True
    day = ""
    last: Entry | None = None
    unended = content.count(b"\n") + 1
    for number, raw in enumerate(_lines(content), start=1):
        body = raw.strip()
        if not body:
            continue
        if _RULER.fullmatch(body):
            if apart != "header":
                apart = "ruler" if stamped else apart or "new day"
            continue
        match = _EVENT.match(body)
        if match is None and last is not None and _RULER.fullmatch(last.message):
            last.message, last, stamped = body, None, False
            continue
        if match is None and (header := _HEADER.fullmatch(body)) is not None:
            name, apart, stamped = header[1].strip() or LINE_WITHOUT_NAME, "header", True
            continue
        entry = _entry(number, body, match, ended=number < unended)
        new_day = entry.dated and entry.time[:10] != day
        if apart in {"header", "ruler"} or (apart == "new day" and new_day):
            if session.entries:
                yield session
            session = Session(name, [], ruled_off=apart != "header")
        session.entries.append(entry)
        apart, stamped, last = "", not entry.garbled, entry
        day = entry.time[:10] if entry.dated else day
    if session.entries:
        yield session


def _entry(number: int, body: str, match: re.Match[str] | None, ended: bool) -> Entry:
    """One line of the log; a line that is no event, or is cut off, is kept whole as its own time."""
    if match is None or "[Time:" in match[2] or not (ended or _WHOLE.fullmatch(match[2])):
        return Entry(number, body, dated=False, message=body, garbled=True)
    stamp = _STAMP.fullmatch(match[1].strip())
    message = match[2].strip()
    if stamp is None:
        return Entry(number, match[1].strip() or body, dated=False, message=message)
    day, month, year, hour, minute, second = stamp.groups()
    if not (_is_day(year, month, day) and hour < "24" and minute < "60" and second < "60"):
        return Entry(number, stamp[0], dated=False, message=message)
    return Entry(number, f"{year}-{month}-{day} {hour}:{minute}:{second}", True, message)


@lru_cache(maxsize=4096)
def _is_day(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def month_first(time: str) -> bool:
    """Whether a text would be a date if the month came first."""
    stamp = _STAMP.fullmatch(time)
    return stamp is not None and stamp[1] <= "12" < stamp[2] <= "31"


# -- messages --------------------------------------------------------------------------------


@lru_cache(maxsize=16384)
def event_of(message: str) -> LineEvent:
    """The event that a message reports; cached, as few messages make up many lines."""
    return _event_of_a_cell(message) or _event_of_a_step(message) or _event_by_words(message)


def _event_of_a_cell(message: str) -> LineEvent | None:
    """The event of a message that moves the run named in it."""
    if match := _PROCESSING.fullmatch(message):
        return LineEvent("step_started", "post", int(match[2]), match[1].lower(), part=True)
    if match := _STORED.fullmatch(message):
        return LineEvent("run_ended", "store", int(match[1]), ends="stored")
    if match := _COMPLETE.fullmatch(message):
        return LineEvent("step_ended", "crimper", int(match[1] or match[2]), ends="complete")
    return None


def _event_of_a_step(message: str) -> LineEvent | None:
    """The event of a message of known wording that names no run."""
    for words, place, step in _BEGINS:
        if words.fullmatch(message):
            return LineEvent("step_started", place, begins=step)
    if match := _DOSE.fullmatch(message):
        return LineEvent("dose", "post", dose_ul=_microlitres(match[1], match[2]))
    kind = _KINDS.get(message.rstrip(".:! ").lower())
    return LineEvent(kind[0], kind[1]) if kind else None


def _event_by_words(message: str) -> LineEvent:
    """The event of a message of unknown wording, judged by single words in it."""
    named = _NAMED.search(message)
    number = int(named[1]) if named else None
    place: Place = next((place for words, place in _PLACES if words.search(message)), "anywhere")
    if _FAULT.search(message):
        broken = _INTERRUPTED.search(message) is not None
        return LineEvent("fault", place, number, interrupts=broken)
    return LineEvent("note", place, number, dosing=_DOSING.fullmatch(message) is not None)


def _microlitres(value: str | None, unit: str | None) -> str:
    """A dose in microlitres; empty if the log states none, or in a unit we do not know."""
    if value is None or unit is None:
        return ""
    if _MICROLITRE.fullmatch(unit):
        return value.replace(",", ".")
    if unit.lower() == "ml":
        return str(1000 * Decimal(value.replace(",", ".")))
    return ""
