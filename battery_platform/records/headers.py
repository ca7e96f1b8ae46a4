"""Headers as people write them, split into words and unit, and the contract column they mean.

What the words mean stands in `vocabulary.yaml`, in English, French and German. A header is taken
apart into concepts; it names a column if it says all that names the column and nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

from battery_platform.contracts.base import Column, columns
from battery_platform.contracts.registry import TABLES, table
from battery_platform.contracts.units import conversion, is_unit, normalise_unit, unit_of
from battery_platform.records.vocabulary import (
    Concepts,
    Meaning,
    Reading,
    plain,
    readings_of,
    usual_units,
    vocabulary,
    words_of,
)

CERTAIN = 0.9
"""Placements at least this sure are used without asking; weaker ones are only proposed."""
CERTAINLY, NEARLY, GUESSED, TORN = 0.95, 0.7, 0.6, 0.5
ENOUGH = 3
"""So many quantities beside its key make a table, however many columns it does not know."""
READINGS = 64
"""So many ways of reading a header are looked at; one with more words of several meanings names nothing."""


@dataclass(frozen=True)
class Header:
    """A header's words, its unit if it states one, and the shear rate at which it was measured."""

    words: str
    unit: str | None
    shear_rate: float | None = None


@dataclass(frozen=True)
class Match:
    """A contract column, how sure the match is, and why."""

    column: str
    confidence: float
    why: str


_BRACKETED = re.compile(r"^(?P<words>.*?)\s*[(\[{<](?P<unit>[^()\[\]{}<>]*)[)\]}>]\s*\*?$")
_DIVIDED = re.compile(r"^(?P<words>[^/]*[^/\s])\s*/\s*(?P<unit>[^\s/]+.*)$")
_TRAILING = re.compile(r"^(?P<words>.+?)(?:,| in | en )\s*(?P<unit>\S+(?: \S+)?)$")
_LAST = re.compile(r"^(?P<words>.*[^\s/])[\s_](?P<unit>[^\s/]\S*)$")
_FIRST = re.compile(r"^(?P<unit>\S*%)\s*(?P<words>\S.*)$")
_R_STYLE = re.compile(r"^(?P<words>[^\s]+?)\.{2,}(?P<unit>[^\s]+?)\.*$")
_PLAIN_UNIT = re.compile(
    r"[/%²³°µμ^]|^(um|mm|nm|cm2|pct|microns?|m?pas|cps?|ppm|mah|m?wh|degc|mv|gsm|k?pa|mg)$", re.I
)
_SHEAR_RATE = re.compile(
    r"\s*(?:@|\b(?:at|bei|à|a)\b)\s*(\d+(?:[.,]\d+)?)\s*(?:1/s|/s|s\^?[-\u2212\u207b][1\u00b9])",
    re.I,
)


@lru_cache(maxsize=16384)
def split_header(text: str) -> Header:
    """`Coating thickness [µm]` -> `Coating thickness`, `µm`."""
    text = " ".join(text.replace("\u00a0", " ").split())
    at = _SHEAR_RATE.search(text)
    if at:
        rest = split_header(" ".join((text[: at.start()] + " " + text[at.end() :]).split()))
        return Header(rest.words, rest.unit, float(at[1].replace(",", ".")))
    for pattern in (_BRACKETED, _TRAILING):
        match = pattern.match(text)
        if match and is_unit(match["unit"]):
            return Header(match["words"].strip(), match["unit"].strip())
    suffix = unit_of(text.casefold())
    if suffix is not None and len(suffix.suffix) < len(text):
        unit = "C" if suffix.suffix == "_c" else suffix.pint  # C is a rate or a temperature
        return Header(text[: -len(suffix.suffix)], unit)
    for pattern in (_LAST, _FIRST, _DIVIDED):
        match = pattern.match(text)
        bare = pattern is not _DIVIDED
        if match and (not bare or _PLAIN_UNIT.search(match["unit"])) and is_unit(match["unit"]):
            return Header(match["words"].strip(), match["unit"].strip())
    return _r_style(text) or Header(text, None)


def _r_style(text: str) -> Header | None:
    """`Active.material..wt.` and `speed..m.min.`: R puts a dot for what is no letter."""
    match = _R_STYLE.match(text)
    if match:
        for mark in ("/", "*", " "):
            unit = match["unit"].replace(".", mark)
            if is_unit(unit):
                return Header(match["words"].replace(".", " "), unit)
    words = text.split(".")
    for length in (3, 2):
        if " " not in text and len(words) > length and all(words):
            unit = "/".join(("*".join(words[-length:-1]) or "1", words[-1]))
            if is_unit(unit):
                return Header(" ".join(words[:-length]), unit)
    return None


def language_of(header: Iterable[str]) -> str | None:
    """The language that most telling words of a header line belong to, if one leads clearly."""
    tells = vocabulary().languages
    votes = Counter(
        tells[word]
        for text in header
        for word in words_of(split_header(text).words, ())
        if word in tells
    )
    leading = votes.most_common(2)
    if not leading or (len(leading) > 1 and leading[0][1] < 2 * leading[1][1]):
        return None
    return leading[0][0]


# -- from concepts to columns --------------------------------------------------------------


@lru_cache(maxsize=64)
def _meanings(table_name: str) -> tuple[tuple[Column, Meaning], ...]:
    return tuple(
        (column, meaning)
        for column in columns(table(table_name).contract)
        if (meaning := usual_units(column.name, table_name)) is not None
    )


@lru_cache(maxsize=64)
def _names(table_name: str) -> dict[str, tuple[Column, ...]]:
    """Plain words of columns that only their own contract knows; several may claim a word."""
    words: dict[str, tuple[Column, ...]] = {}
    for column in columns(table(table_name).contract):
        unit = unit_of(column.name)
        stem = column.name.removesuffix(unit.suffix) if unit else column.name
        known = usual_units(column.name, table_name) is not None
        own = () if known else (stem, stem.removesuffix("_id"), *column.names)
        for word in dict.fromkeys(plain(name) for name in (column.name, *own)):
            words[word] = (*words.get(word, ()), column)
    return words


def match_header(
    text: str, table_name: str, numeric: bool | None = None, language: str | None = None
) -> Match | None:
    """The column of that table which a header means, if any.

    `numeric` says what stands below the header; it decides where one word names both a quantity
    and a text (`Active material`: a share or a name). `language` is that of the whole header line.
    """
    names = _names(table_name)
    own = names.get(plain(text), ())
    for column in own:
        if column.name == text.strip():
            return Match(column.name, 1.0, "the column's own name")
    header = split_header(text)
    own = own or names.get(plain(header.words), ())
    named = _fitting([(column, 1) for column in own], header, numeric)
    if len(named) == 1:
        return _sure(named[0][0], header, numeric, f"'{plain(header.words)}' is a known name")
    return _by_meaning(header, table_name, numeric, language)


def _by_meaning(
    header: Header, table_name: str, numeric: bool | None, language: str | None
) -> Match | None:
    words, unknown, guessed = readings_of(header.words)
    if unknown > 1 or not _holds_known_word(header.words):
        return None
    if language is not None:
        words = tuple(
            tuple(one for one in readings if one[1] is None or language in one[1]) or readings
            for readings in words
        )
    fitting = _fitting(_claims(words, table_name), header, numeric)
    if not fitting:
        return None
    best = max(size for _, size in fitting)
    leading = [column for column, size in fitting if size == best]
    doubt = _doubt(header, table_name, leading, words, unknown, guessed)
    if doubt is not None:
        return Match(leading[0].name, *doubt)
    return _sure(leading[0], header, numeric, f"'{header.words}' means it")


def _claims(words: tuple[tuple[Reading, ...], ...], table_name: str) -> list[tuple[Column, int]]:
    """The columns that some reading of the words names, and by how many concepts."""
    if prod(len(readings) for readings in words) > READINGS:
        return []
    free = vocabulary().free
    claims: dict[str, tuple[Column, int]] = {}
    for combination in product(*words):
        concepts = frozenset().union(*(concepts for concepts, _ in combination))
        for column, meaning in _meanings(table_name):
            size = _named(meaning, concepts, free)
            if size and size > claims.get(column.name, (column, 0))[1]:
                claims[column.name] = (column, size)
    return list(claims.values())


def _doubt(
    header: Header,
    table_name: str,
    leading: list[Column],
    words: tuple[tuple[Reading, ...], ...],
    unknown: int,
    guessed: int,
) -> tuple[float, str] | None:
    """How sure a match is that is not certain, and why; None for one that is."""
    said, column = header.words, leading[0]
    if len(leading) > 1:
        return TORN, f"'{said}' could be {' or '.join(column.name for column in leading)}"
    if unknown or guessed:
        near = f"'{said}' is close to a known name"
        return (GUESSED, f"'{said}' holds a word that is not known") if unknown else (NEARLY, near)
    if header.unit is not None:
        return None
    meaning = usual_units(column.name, table_name)
    if meaning and meaning.asks:
        return NEARLY, f"'{said}' states no unit"
    torn = any(len(readings) > 1 and any(tongues for _, tongues in readings) for readings in words)
    if torn and (len(words) == 1 or unit_of(column.name) is not None):
        return TORN, f"'{said}' has several meanings and states no unit"
    return None


def _named(meaning: Meaning, concepts: Concepts, free: Concepts) -> int:
    """How many concepts name the column; 0 if they do not, or if the header says more."""
    size = 0
    absent = (
        frozenset(("without", meaning.without))
        if meaning.without and {"without", meaning.without} <= concepts
        else frozenset()
    )
    for means in meaning.means:
        if len(means) > size and means <= concepts:
            more = concepts - means - meaning.also - free - absent
            size = size if more else len(means)
    return size


def _fitting(
    claimed: list[tuple[Column, int]], header: Header, numeric: bool | None
) -> list[tuple[Column, int]]:
    """The columns that a header can mean beside its unit and what stands below it.

    A unit of another kind rules a column out: `Dicke [mg]` is no thickness.
    """
    if header.unit is not None:
        unit = header.unit
        bare = normalise_unit(unit) == "dimensionless"
        claimed = [
            (column, size)
            for column, size in claimed
            if conversion(unit, column.name) is not None or (unit_of(column.name) is None and bare)
        ]
    quantities = [claim for claim in claimed if unit_of(claim[0].name) is not None]
    others = [claim for claim in claimed if unit_of(claim[0].name) is None]
    if numeric is True:
        others = [claim for claim in others if claim[0].role not in {"text", "choice", "moment"}]
    return (quantities if header.unit is not None or numeric is True else others) or (
        others or quantities
    )


def with_foil(text: str, table_name: str) -> str | None:
    """The thickness that a header means which says that it includes the foil, and nothing else."""
    header = split_header(text)
    words, unknown, guessed = readings_of(header.words)
    free = vocabulary().free
    if unknown or guessed or len(words) > 6:
        return None
    for combination in product(*words):
        concepts = frozenset().union(*(concepts for concepts, _ in combination))
        included = concepts & {"total", "with", "foil"}
        if included not in ({"total"}, {"with", "foil"}, {"total", "with", "foil"}):
            continue
        for column, meaning in _meanings(table_name):
            if meaning.without == "foil" and column.name.endswith("_um"):
                more = concepts - included - {"electrode"}
                if _named(meaning, more, free):
                    return column.name
    return None


def is_clock(text: str) -> bool:
    """Whether a header means a time of day."""
    words, unknown, guessed = readings_of(split_header(text).words)
    meant = [{concept for concepts, _ in readings for concept in concepts} for readings in words]
    return not unknown and not guessed and len(meant) == 1 and "clock" in meant[0]


def counts_active_material(text: str) -> bool:
    """Whether the header of a loading says that it is that of the active material alone."""
    words, _, _ = readings_of(split_header(text).words)
    return any(concepts == {"active"} for readings in words for concepts, _ in readings)


def means_identifier(text: str) -> bool:
    """Whether a header says that it numbers or names things."""
    words, _, _ = readings_of(split_header(text).words)
    naming = frozenset(("id",))
    return any(concepts == naming for readings in words for concepts, _ in readings)


def _sure(column: Column, header: Header, numeric: bool | None, why: str) -> Match:
    if numeric is False and unit_of(column.name) is not None:
        return Match(column.name, 0.92, f"{why}, but the cells are text")
    return Match(column.name, CERTAINLY, why)


def says_something(text: str) -> bool:
    """Whether a header holds a known word, or is the name of a column of any table."""
    words = split_header(text).words
    return _holds_known_word(words) or bool({plain(text), plain(words)} & _all_names())


def _holds_known_word(words: str) -> bool:
    readings, _, _ = readings_of(words)
    return any(not concept.isdecimal() for word in readings for one, _ in word for concept in one)


@lru_cache(maxsize=1)
def _all_names() -> frozenset[str]:
    return frozenset(name for table_name in TABLES for name in _names(table_name))


def best_table(header: list[str]) -> str | None:
    """The table whose contract fits the headers best, or None if none fits.

    One header never picks a table: it takes the table's key, or enough to derive one, and a share
    of the headers.
    """
    from battery_platform.records.identity import derivable

    named = [text for text in header if text]
    language = language_of(named)
    speaking = [text for text in dict.fromkeys(named) if says_something(text)]
    scores: list[tuple[float, int, str]] = []
    for rank, name in enumerate(TABLES):
        placed = {
            match.column
            for text in speaking
            if (match := match_header(text, name, language=language)) is not None
        }
        wanted = columns(TABLES[name].contract)
        derived = derivable(name)
        lacking = {
            column.name
            for column in wanted
            if column.required and column.name not in placed and column.name not in derived
        }
        assumed = lacking & {"loading_basis"} if "mass_loading_mg_cm2" in placed else set()
        missing = len(lacking - assumed)
        own_key = wanted[0].name in placed
        quantities = [column for column in placed if unit_of(column) is not None]
        if not own_key and (wanted[0].name not in derived or len(quantities) < 2):
            continue
        if 3 * len(placed) < len(named) and (not own_key or missing or len(quantities) < ENOUGH):
            continue
        score = len(placed) - 2.0 * missing + (0.5 if own_key else 0.0) - (0.5 if assumed else 0.0)
        scores.append((score, -rank, name))
    best = max(scores, default=None)
    return best[2] if best and best[0] > 0 else None
