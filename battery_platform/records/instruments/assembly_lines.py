"""The lines of an assembly line's event log: sessions of entries, and what a message says.

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

LINE_WITHOUT_NAME = "AutoBASS"
_HEAD_BYTES = 64 * 1024
_SHARE_OF_EVENTS = 1 / 3
"""Least share of stamped lines in a log; texts over several lines take at most two of three."""

_EVENT = re.compile(r"\[Time: ?([^\]]*)\];?\s*Event: ?(.*)", re.DOTALL)
_STAMP = re.compile(r"(\d\d)/(\d\d)/(\d{4}), ?(\d\d):(\d\d):(\d\d)")
_RULER = re.compile(r"[-=_*]{4,}")
_HEADER = re.compile(r"([\w ./-]{0,60}?)\s*\blog\b[\w ]{0,60}:?", re.IGNORECASE)
_WHOLE = re.compile(
    r"Processing .+ of NO\. ?\d+:|Moving to tray \[.+\]|.+ electrolyte added to .+!|.+\.\.\."
    r"|Cell \[\d+\] complete\.|Storing cell complete, .+ Tray: \[\d+\]",
    re.IGNORECASE,
)
"""Messages whose last sign shows that the end of the file did not cut them."""

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
"""However the micro sign came through the encodings that the file went through."""
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
class Said:
    """What a message says, whatever run it belongs to."""

    kind: str
    place: Place = "anywhere"
    number: int | None = None
    begins: str = ""
    """Step that begins with it."""
    part: bool = False
    """Whether that step puts a part on the post: the first one begins a run."""
    ends: Literal["", "complete", "stored"] = ""
    dose_ul: str = ""
    dosing: bool = False
    interrupts: bool = False


@dataclass(slots=True)
class Entry:
    """An event of the log, or a line that is none."""

    line: int
    time: str
    """`YYYY-MM-DD HH:MM:SS`, or the text of the log where that is no day-first time."""
    dated: bool
    message: str
    garbled: bool = False


@dataclass(slots=True)
class Session:
    """Events between headers and rulers."""

    line_name: str
    entries: list[Entry]
    ruled_off: bool
    """Whether a ruler, and no new header, parts it from the one before."""


# -- lines -----------------------------------------------------------------------------------


def recognise(path: Path) -> bool:
    """Whether the beginning of a file consists of events of such a line."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
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

    A ruler after a line without a stamp is one that the line's program writes after any such
    text; it parts sessions only where the date changes.
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
        found = _EVENT.match(body)
        if found is None and last is not None and _RULER.fullmatch(last.message):
            last.message, last, stamped = body, None, False
            continue
        if found is None and (header := _HEADER.fullmatch(body)) is not None:
            name, apart, stamped = header[1].strip() or LINE_WITHOUT_NAME, "header", True
            continue
        entry = _entry(number, body, found, ended=number < unended)
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


def _entry(number: int, body: str, found: re.Match[str] | None, ended: bool) -> Entry:
    """One event; a line that is none, or that is cut, stands as its own time for all to see."""
    if found is None or "[Time:" in found[2] or not (ended or _WHOLE.fullmatch(found[2])):
        return Entry(number, body, dated=False, message=body, garbled=True)
    stamp = _STAMP.fullmatch(found[1].strip())
    message = found[2].strip()
    if stamp is None:
        return Entry(number, found[1].strip() or body, dated=False, message=message)
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
def said_by(message: str) -> Said:
    """What a message says; messages are few, lines are many."""
    return _said_of_a_cell(message) or _said_of_a_step(message) or _said_else(message)


def _said_of_a_cell(message: str) -> Said | None:
    """Messages that move the run they name."""
    if found := _PROCESSING.fullmatch(message):
        return Said("step_started", "post", int(found[2]), found[1].lower(), part=True)
    if found := _STORED.fullmatch(message):
        return Said("run_ended", "store", int(found[1]), ends="stored")
    if found := _COMPLETE.fullmatch(message):
        return Said("step_ended", "crimper", int(found[1] or found[2]), ends="complete")
    return None


def _said_of_a_step(message: str) -> Said | None:
    """Messages known word by word, which name no run."""
    for words, place, step in _BEGINS:
        if words.fullmatch(message):
            return Said("step_started", place, begins=step)
    if found := _DOSE.fullmatch(message):
        return Said("dose", "post", dose_ul=_microlitres(found[1], found[2]))
    kind = _KINDS.get(message.rstrip(".:! ").lower())
    return Said(kind[0], kind[1]) if kind else None


def _said_else(message: str) -> Said:
    """Messages of unknown wording, by the words in them."""
    named = _NAMED.search(message)
    number = int(named[1]) if named else None
    place: Place = next((place for words, place in _PLACES if words.search(message)), "anywhere")
    if _FAULT.search(message):
        broken = _INTERRUPTED.search(message) is not None
        return Said("fault", place, number, interrupts=broken)
    return Said("note", place, number, dosing=_DOSING.fullmatch(message) is not None)


def _microlitres(value: str | None, unit: str | None) -> str:
    """A dose as the log states it; nothing where it states none, or in no volume we know."""
    if value is None or unit is None:
        return ""
    if _MICROLITRE.fullmatch(unit):
        return value.replace(",", ".")
    if unit.lower() == "ml":
        return str(1000 * Decimal(value.replace(",", ".")))
    return ""
