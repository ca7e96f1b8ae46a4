"""Headers as people write them, split into words and unit, and the contract column they mean.

The words themselves stand in the contracts (`names`), in English, French and German.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from battery_platform.contracts.base import Column, columns
from battery_platform.contracts.registry import TABLES, table
from battery_platform.contracts.units import conversion, is_unit, normalise_unit, unit_of

CERTAIN = 0.9
"""Placements at least this sure are used without asking; weaker ones are only proposed."""


@dataclass(frozen=True)
class Header:
    """A header's words, and its unit if it states one."""

    words: str
    unit: str | None


@dataclass(frozen=True)
class Match:
    """A contract column, how sure the match is, and why."""

    column: str
    confidence: float
    why: str


def plain(text: str) -> str:
    """Lower case without accents, punctuation and double blanks, so that spellings become equal."""
    text = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    text = "".join(mark for mark in text if not unicodedata.combining(mark)).casefold()
    return re.sub(r"[\s_\-./:,;#°*']+", " ", text).strip()


_BRACKETED = re.compile(r"^(?P<words>.*?)\s*[(\[{<](?P<unit>[^()\[\]{}<>]*)[)\]}>]\s*\*?$")
_DIVIDED = re.compile(r"^(?P<words>[^/]*[^/\s])\s*/\s*(?P<unit>[^\s/]+.*)$")
_TRAILING = re.compile(r"^(?P<words>.+?)(?:,| in | en )\s*(?P<unit>\S+(?: \S+)?)$")


@lru_cache(maxsize=4096)
def split_header(text: str) -> Header:
    """`Coating thickness [µm]` -> `Coating thickness`, `µm`."""
    text = " ".join(text.replace("\u00a0", " ").split())
    for pattern in (_BRACKETED, _DIVIDED, _TRAILING):
        match = pattern.match(text)
        if match and is_unit(match["unit"]):
            return Header(match["words"].strip(), match["unit"].strip())
    unit = unit_of(text.casefold())
    if unit is not None:
        return Header(text[: -len(unit.suffix)], unit.pint)
    return Header(text, None)


def _column_words(column: Column) -> list[str]:
    unit = unit_of(column.name)
    stem = column.name.removesuffix(unit.suffix) if unit else column.name
    words = [plain(stem), *(plain(name) for name in column.names)]
    if column.name.endswith("_id"):
        base = plain(column.name.removesuffix("_id"))
        words += [f"{base} id", f"{base} no", f"{base} nr", f"{base} number", f"id {base}"]
    if column.name.endswith("_at"):
        base = plain(column.name.removesuffix("_at"))
        words += [f"{base} on", f"{base} at", f"{base} time", f"date {base}"]
    return words


@lru_cache(maxsize=32)
def vocabulary(table_name: str) -> dict[str, tuple[Column, ...]]:
    """Plain words of a table's columns; a word may be claimed by several."""
    words: dict[str, tuple[Column, ...]] = {}
    for column in columns(table(table_name).contract):
        for word in dict.fromkeys([plain(column.name), *_column_words(column)]):
            words[word] = (*words.get(word, ()), column)
    return words


def match_header(text: str, table_name: str, numeric: bool | None = None) -> Match | None:
    """The column of that table which a header means, if any.

    `numeric` says what stands below the header; it decides where one word names both a quantity
    and a text (`Active material`: a share or a name).
    """
    words = vocabulary(table_name)
    for column in columns(table(table_name).contract):
        if column.name == text.strip():
            return Match(column.name, 1.0, "the column's own name")
    header = split_header(text)
    bare = plain(header.words)
    for candidate in (plain(text), bare, _without_qualifier(bare)):
        known = _fitting(words.get(candidate, ()), header, numeric)
        if known is not None:
            if numeric is False and unit_of(known.name) is not None:
                return Match(
                    known.name, 0.92, f"'{candidate}' is a known name, but the cells are text"
                )
            return Match(known.name, 0.95, f"'{candidate}' is a known name")
    near = difflib.get_close_matches(bare, list(words), n=1, cutoff=0.82)
    close = _fitting(words[near[0]], header, numeric) if near and len(bare) > 3 else None
    if close is None:
        return None
    ratio = difflib.SequenceMatcher(None, bare, near[0]).ratio()
    return Match(close.name, round(0.85 * ratio, 2), f"close to '{near[0]}'")


def _fitting(claimed: tuple[Column, ...], header: Header, numeric: bool | None) -> Column | None:
    """The column that a word means beside this unit and these values.

    A unit of another kind rules a column out: `Dicke [mg]` is no thickness.
    """
    if header.unit is not None:
        claimed = tuple(
            column
            for column in claimed
            if conversion(header.unit, column.name) is not None
            or (unit_of(column.name) is None and normalise_unit(header.unit) == "dimensionless")
        )
    quantities = [column for column in claimed if unit_of(column.name) is not None]
    others = [column for column in claimed if unit_of(column.name) is None]
    ordered = [*others, *quantities] if numeric is False else [*quantities, *others]
    return ordered[0] if ordered else None


def _without_qualifier(words: str) -> str:
    """The words without a last one that adds no meaning (`thickness measured`)."""
    idle = (
        r" (pct|percent|value|wert|valeur|mean|avg|measured|gemessen|mesuree?|total|nominal|wt|%)$"
    )
    return re.sub(idle, "", words)


def best_table(header: list[str]) -> str | None:
    """The table whose contract fits the headers best, or None if none fits."""
    scores: list[tuple[float, int, str]] = []
    for rank, name in enumerate(TABLES):
        placed = {match.column for text in header if text and (match := match_header(text, name))}
        wanted = columns(TABLES[name].contract)
        required = [
            column.name
            for column in wanted
            if column.required and column.name not in _derived(name)
        ]
        if not placed:
            continue
        missing = sum(1 for column in required if column not in placed)
        own_key = wanted[0].name in placed
        score = len(placed) - 2.0 * missing + (0.5 if own_key else 0.0)
        scores.append((score, -rank, name))
    if not scores:
        return None
    best = max(scores)
    return best[2] if best[0] > 0 else None


def _derived(name: str) -> set[str]:
    from battery_platform.records.identity import derivable

    return derivable(name)
