"""A text file in blocks of whole lines, as UTF-8, with its damaged lines set apart.

A block is some MiB, so the memory needed does not grow with the file. Separators are counted in
every line before anything is parsed: a parser would fill a short line with nothing and read half
a number as a number.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from battery_platform.settings import MIB

Item = TypeVar("Item")

BLOCK_BYTES = 8 * MIB
NEWLINE = 0x0A
QUOTE = 0x22
ABOVE = 1000
"""Rows above an unterminated last line that show whether it is complete."""


@dataclass(frozen=True)
class Lines:
    """Whole lines of a file, the number of the first, and whether the last one is terminated."""

    text: bytes
    first: int
    ended: bool = True


@dataclass(frozen=True)
class Damaged:
    """A line with the wrong number of fields, or one cut off by the end of the file."""

    line: int
    text: str
    fields: int
    cut: bool


def whole_lines(path: Path, encoding: str, block_bytes: int = BLOCK_BYTES) -> Iterator[Lines]:
    """The file in blocks of whole lines; only the very last line may be unterminated."""
    rest = b""
    number = 1
    decoder = _decoder(encoding)
    with path.open("rb") as stream:
        while raw := stream.read(block_bytes):
            last = len(raw) < block_bytes
            text = rest + _as_utf8(raw, decoder, final=last)
            cut = len(text) if last else text.rfind(b"\n") + 1
            rest = text[cut:]
            if cut:
                ended = not last or text.endswith((b"\n", b"\r"))
                yield Lines(text[:cut], number, ended)
                number += text.count(b"\n", 0, cut)
    if rest:
        yield Lines(rest, number, ended=False)


def ahead(source: Iterator[Item]) -> Iterator[Item]:
    """The same items, each prepared while the one before is in use."""
    with ThreadPoolExecutor(1, "ahead") as pool:
        following: Future[Item | None] = pool.submit(next, source, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, source, None)
            yield item


def _decoder(encoding: str) -> codecs.IncrementalDecoder | None:
    if encoding in {"utf-8", "utf-8-sig"}:
        return None
    return codecs.getincrementaldecoder(encoding)(errors="replace")


def _as_utf8(raw: bytes, decoder: codecs.IncrementalDecoder | None, final: bool) -> bytes:
    if decoder is None:
        return raw
    return decoder.decode(raw, final).encode()


def sort_out(
    lines: Lines,
    separator: str,
    widths: tuple[int, int],
    last_may_be_cut: bool,
    last_field: int | None = None,
) -> tuple[bytes, np.ndarray, list[Damaged]]:
    """The sound lines as text, their numbers, and the damaged lines.

    `widths` are the number of fields a row has, and up to which count trailing empty fields are
    harmless. The last line of a file counts as sound without its end where only a field that is
    not read could have been cut, or where its last field (`last_field`, if it is not the last of
    the row) is as long as those above it say that it must be.
    """
    text = lines.text if lines.text.endswith(b"\n") else lines.text + b"\n"
    if QUOTE in text:
        text = _unquoted(text, separator)
    if lines.ended and (number := _even(text, separator, widths[0])):
        return text, np.arange(lines.first, lines.first + number), []
    codes = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(codes == NEWLINE)
    starts = np.concatenate(([0], ends[:-1] + 1))
    separators = np.flatnonzero(codes == ord(separator))
    fields = 1 + np.diff(np.searchsorted(separators, np.concatenate(([0], ends))))
    bodies = ends - starts - (codes[np.maximum(ends - 1, 0)] == 0x0D)
    blank = bodies <= 0
    sound = fields == widths[0]
    for line in np.flatnonzero((fields > widths[0]) & ~blank):
        body = text[starts[line] : ends[line]].rstrip(b"\r")
        extra = body.split(separator.encode())[widths[0] :]
        sound[line] = fields[line] <= widths[1] and not any(cell.strip() for cell in extra)
    cut = not lines.ended and not blank[-1]
    if cut and not last_may_be_cut and sound[-1]:
        place = widths[0] - 1 if last_field is None else last_field
        above = np.flatnonzero(sound[:-1] & ~blank[:-1])[-ABOVE:]
        mark = separator.encode()
        fields_there = [
            text[starts[line] : ends[line]].split(mark)[place].decode("utf-8", "replace")
            for line in (*above, len(ends) - 1)
        ]
        sound[-1] = is_whole(fields_there[-1].strip(), [cell.strip() for cell in fields_there[:-1]])
    damaged = [
        Damaged(
            lines.first + int(line),
            text[starts[line] : ends[line]].decode("utf-8", "replace").strip("\r"),
            int(fields[line]),
            bool(cut and line == len(ends) - 1),
        )
        for line in np.flatnonzero(~sound & ~blank)
    ]
    keep = np.flatnonzero(sound & ~blank)
    numbers = lines.first + keep
    if len(keep) == len(ends) and (fields[keep] == widths[0]).all():
        return text, numbers, damaged
    mark = separator.encode()
    parts = []
    for line in keep:
        body = text[starts[line] : ends[line]]
        if fields[line] > widths[0]:
            body = mark.join(body.split(mark)[: widths[0]])
        parts.append(body + b"\n")
    return b"".join(parts), numbers, damaged


def _even(text: bytes, separator: str, width: int) -> int:
    """The number of lines, if each has exactly `width` fields; otherwise 0."""
    mark = separator.encode()
    marks = text.translate(None, bytes(code for code in range(256) if code not in mark + b"\n"))
    number = len(marks) // width
    return number if width > 1 and marks == (mark * (width - 1) + b"\n") * number else 0


_TAIL = re.compile(r"([.,:]|[eE][+-]?)(\d+)(\s?[AaPp][Mm])?$")


def is_whole(cell: str, above: list[str]) -> bool:
    """Whether the last cell of an unterminated line is certainly complete.

    It can where every cell above it ends in the same number of digits behind a point, a colon or
    an exponent and it does too, if the number of digits is fixed: a cut would have left fewer. It can
    where the column has had this one value all along, and where it is a word, or nothing, that stands
    above it. Of a whole number it can never be told.
    """
    if len(above) < 2:
        return False
    tails = {_tail(text) for text in (*above, cell)}
    if len(tails) == 1 and None not in tails:
        return _has_fixed_digits(above) or {cell} == set(above)
    if any(character.isdigit() for character in cell):
        return False
    return cell in above and not any(other != cell and other.startswith(cell) for other in above)


MANY = 20
"""As many different numbers do not end in the same number of digits by chance."""


def _has_fixed_digits(cells: list[str]) -> bool:
    """Whether a column fills up with zeros: numbers printed as short as they go never end in one,
    nor does their exponent begin with one.
    """
    filled = any(re.search(r"[.,:]\d+0$|[.,:]\d+0\D|[eE][+-]?0\d", cell) for cell in cells)
    return filled or any(":" in cell for cell in cells) or len(set(cells)) >= MANY


def _tail(cell: str) -> tuple[str, int, int, bool] | None:
    """How a cell ends: its last mark, the digits after it, the number of colons, AM or PM."""
    match = _TAIL.search(cell)
    return (match[1][:1], len(match[2]), cell.count(":"), bool(match[3])) if match else None


def fields_of(line: str, separator: str) -> list[str]:
    """The fields of a line; if its quotation marks are broken they are kept as they are."""
    if '"' not in line:
        return line.rstrip("\r").split(separator)
    try:
        return next(csv.reader([line.rstrip("\r")], delimiter=separator), [])
    except csv.Error:
        return line.split(separator)


def _unquoted(text: bytes, separator: str) -> bytes:
    """The same lines without quotation marks; a separator within them becomes a space."""
    out = []
    for line in text.decode("utf-8", "replace").split("\n")[:-1]:
        if '"' not in line:
            out.append(line)
            continue
        cells = fields_of(line, separator)
        out.append(separator.join(cell.replace(separator, " ") for cell in cells))
    return ("\n".join(out) + "\n").encode()
