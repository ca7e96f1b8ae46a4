"""Where sentences begin and end in a text.

Only spans are returned; the text is never changed. Limitations: English abbreviations only, and a
sentence that begins with a lower-case word is not separated from the one before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Characters `start` to `end` (exclusive) of a text."""

    start: int
    end: int


_ABBREVIATIONS = re.compile(
    r"al|approx|avg|ca|cf|circa|co|dr|eqn?s?|etc|figs?|inc|int|ltd|max|min|nos?|nr|prof|refs?|resp"
    r"|sec|st|suppl|tab|temp|viz|vol|vs|wt",
    re.IGNORECASE,
)
_BLANK_LINE = re.compile(r"(?:\r?\n|\r)[ \t]*(?:\r?\n|\r)")
_BREAK = re.compile(
    rf"{_BLANK_LINE.pattern}|(?:\r?\n|\r)(?=[ \t]{{0,8}}(?:[-*•·|#]|[0-9]{{1,2}}[.)])[ \t])"
    r"|[.!?][\"'”’)\]]{0,2}(?:\[[0-9,–\- ]{1,20}\]|[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,6})?\s+(?=[\"'“‘(\[*$]{0,2}[A-Z0-9~≈])"
)
_LAST_WORD = re.compile(r"([A-Za-z.]{1,12})$")


def sentences(text: str) -> list[Span]:
    """The sentences of a text in order; together they cover all of it."""
    spans, start = [], 0
    for match in _BREAK.finditer(text):
        ends_paragraph = _BLANK_LINE.search(match[0]) is not None
        if not ends_paragraph and match[0].startswith(".") and _abbreviated(text, match.start()):
            continue
        if match.end() > start:
            spans.append(Span(start, match.end()))
        start = match.end()
    if start < len(text):
        spans.append(Span(start, len(text)))
    return spans


def _abbreviated(text: str, dot: int) -> bool:
    """Whether the dot at this position ends an abbreviation or an initial instead of a sentence."""
    before = text[max(0, dot - 13) : dot]
    word = _LAST_WORD.search(before)
    if word is None:
        return False
    last = word[1].rpartition(".")[2]
    initial = len(last) == 1 and (last.isupper() or "." in word[1] or last == "c")
    return initial or _ABBREVIATIONS.fullmatch(last) is not None
