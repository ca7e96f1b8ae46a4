"""Headers as people write them, split into words and unit, and the contract column they mean.

What the words mean stands in `vocabulary.yaml`, in English, French and German. A header is taken
apart into concepts; it names a column if it says all that names the column and nothing else.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from battery_platform.contracts.base import Column, columns
from battery_platform.contracts.registry import TABLES, table
from battery_platform.contracts.units import conversion, is_unit, normalise_unit, unit_of

CERTAIN = 0.9
"""Placements at least this sure are used without asking; weaker ones are only proposed."""
CERTAINLY, NEARLY, GUESSED, TORN = 0.95, 0.7, 0.6, 0.5
VOCABULARY = Path(__file__).with_name("vocabulary.yaml")
LANGUAGES = ("en", "de", "fr")
READINGS = 64
"""So many ways of reading a header are looked at; one with more words of several meanings names nothing."""

Concepts = frozenset[str]
Tongues = tuple[str, ...] | None
Reading = tuple[Concepts, Tongues]
"""What a word can mean, and in which languages it means that, if not in all."""
Usual = dict[str, tuple[float, float]]
"""Within which values people write which unit, when they state none."""


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


@dataclass(frozen=True)
class Meaning:
    """The headers that name a column, as sets of concepts."""

    means: tuple[Concepts, ...]
    also: Concepts
    without: str | None
    """A thing whose absence may be said: `thickness without foil`."""
    usual: Usual
    asks: bool
    """Whether a number without a unit could be anything, unless `usual` tells."""


@dataclass(frozen=True)
class Vocabulary:
    """What `vocabulary.yaml` says, in the form in which it is looked up."""

    phrases: dict[tuple[str, ...], tuple[Reading, ...]]
    """The readings of a word or phrase."""
    languages: dict[str, str]
    """Words that tell a language."""
    longest: int
    idle: frozenset[str]
    free: Concepts
    columns: dict[str, Meaning]


# -- text ----------------------------------------------------------------------------------


@lru_cache(maxsize=16384)
def plain(text: str) -> str:
    """Lower case without accents, punctuation and double blanks, so that spellings become equal."""
    text = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    text = "".join(mark for mark in text if not unicodedata.combining(mark)).casefold()
    return re.sub(r"[\s_\-./:,;#°*']+", " ", text).strip()


def _folded(text: str) -> str:
    """`plain` with ä, ae and a as one letter, and a sign for 'number' as its word."""
    text = re.sub(r"(?<=[a-zäöüß])(?=[A-Z])", " ", unicodedata.normalize("NFC", text))
    text = re.sub(r"#", " no ", text)
    return re.sub(r"(?<=[aou])e(?=[^\s])", "", plain(re.sub("[’'`´\u2019]", " ", text)))


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


# -- the vocabulary ------------------------------------------------------------------------


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """The words of `vocabulary.yaml`."""
    loader: type[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # all words: `no`, `on`
    content = yaml.load(VOCABULARY.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 -- safe
    idle = frozenset(word for words in content["idle"].values() for word in words)
    readings: dict[tuple[str, ...], dict[Concepts, Tongues]] = {}
    tells: dict[str, set[str]] = {}
    for concept, by_language in content["words"].items():
        concepts = frozenset(concept.split(" + "))
        for language, phrases in by_language.items():
            for phrase in phrases:
                words = _words(str(phrase), idle)
                readings.setdefault(words, {})[concepts] = None
                for word in words if language in LANGUAGES else ():
                    tells.setdefault(word, set()).add(language)
    for word, several in content["ambiguous"].items():
        readings[_words(word, frozenset())] = _several(several)
    return Vocabulary(
        {words: tuple(meant.items()) for words, meant in readings.items()},
        {word: next(iter(langs)) for word, langs in tells.items() if len(langs) == 1},
        max(len(words) for words in readings),
        idle - {_words(word, frozenset())[0] for word in content["ambiguous"]},
        frozenset(content["free"]),
        {name: _meaning(given) for name, given in content["columns"].items()},
    )


def _several(given: Any) -> dict[Concepts, Tongues]:
    """The readings of a word of several meanings, by language where that decides."""
    if isinstance(given, list):
        return {frozenset(filter(None, reading.split(" + "))): None for reading in given}
    meant: dict[Concepts, Tongues] = {}
    for language, concepts in given.items():
        for concept in [concepts] if isinstance(concepts, str) else concepts:
            key = frozenset((concept,))
            meant[key] = (*(meant.get(key) or ()), language)
    return meant


def _meaning(given: dict[str, Any]) -> Meaning:
    return Meaning(
        tuple(frozenset(str(concepts).split()) for concepts in given["means"]),
        frozenset(given.get("also", ())),
        given.get("without"),
        {unit: (float(low), float(high)) for unit, (low, high) in given.get("usual", {}).items()},
        given.get("ask") == "true",
    )


def _words(text: str, idle: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in _folded(text).split() if word not in idle)


def usual_units(column: str, table_name: str) -> Meaning | None:
    """What the vocabulary knows of a column of a table."""
    known = vocabulary().columns
    return known.get(f"{table_name}.{column}") or known.get(column)


# -- from words to concepts ----------------------------------------------------------------


@lru_cache(maxsize=16384)
def _readings(words: str) -> tuple[tuple[tuple[Reading, ...], ...], int, int]:
    """For each word or phrase of a header what it can mean; the unknown words; those only guessed."""
    known = vocabulary()
    tokens = _words(re.sub(r"[^\w\s.\-/'’%#°]", " ", words), known.idle)
    dotted = set(_folded(word) for word in re.findall(r"(\w+)\.", words))
    meant: list[tuple[Reading, ...]] = []
    unknown = guessed = position = 0
    while position < len(tokens):
        for length in range(min(known.longest, len(tokens) - position), 0, -1):
            reading = known.phrases.get(tokens[position : position + length])
            if reading is not None:
                meant.append(reading)
                position += length
                break
        else:
            pieces = _taken_apart(tokens[position], tokens[position] in dotted)
            if pieces is None:
                near = _near(tokens[position])
                unknown += near is None
                guessed += near is not None
                pieces = (known.phrases[(near,)],) if near else ()
            meant += pieces
            position += 1
    return tuple(meant), unknown, guessed


@lru_cache(maxsize=16384)
def _taken_apart(token: str, abbreviated: bool) -> tuple[tuple[Reading, ...], ...] | None:
    """A plural, a word with a number, an abbreviation or a compound, as the words it is made of."""
    known = vocabulary().phrases
    for ending in ("s", "e", "es", "n", "en", "er", "x"):
        if token.endswith(ending) and (token[: -len(ending)],) in known and len(token) > 3:
            return (known[(token[: -len(ending)],)],)
    if token.isdecimal():
        number = token.lstrip("0") or "0"
        first: tuple[Reading, ...] = ((frozenset(("first",)), None),) if number == "1" else ()
        return (((frozenset((number,)), None), *first),)
    split = re.fullmatch(r"([a-z]+)(\d+)|(\d+)([a-z]+)", token)
    if split:
        both = [_word(piece, False) for piece in split.groups() if piece]
        return tuple(reading for one in both for reading in one or ()) if all(both) else None
    return _compound(token, abbreviated)


def _word(token: str, abbreviated: bool) -> tuple[tuple[Reading, ...], ...] | None:
    reading = vocabulary().phrases.get((token,))
    return (reading,) if reading is not None else _taken_apart(token, abbreviated)


def _compound(token: str, abbreviated: bool) -> tuple[tuple[Reading, ...], ...] | None:
    """`nassfilmdicke` -> `nass`, `film`, `dicke`; the last word may be cut short."""
    known = vocabulary().phrases
    if (token,) in known:
        return (known[(token,)],)
    for length in range(len(token) - 1, 2, -1):
        first = known.get((token[:length],))
        if first is None:
            continue
        for link in ("", "s", "n", "en", "er", "es", "e"):
            rest = token[length:].removeprefix(link) if token[length:].startswith(link) else ""
            others = _compound(rest, abbreviated) if len(rest) > 2 else None
            if others is not None:
                return (first, *others)
    if abbreviated and len(token) > 2:
        full = {known[word] for word in known if len(word) == 1 and word[0].startswith(token)}
        if len(full) == 1:
            return (full.pop(),)
    return None


def _near(token: str) -> str | None:
    """The word that a misspelt one is close to."""
    if len(token) < 5 or not token.isalpha():
        return None
    words = [phrase[0] for phrase in vocabulary().phrases if len(phrase) == 1]
    return next(iter(difflib.get_close_matches(token, words, n=1, cutoff=0.85)), None)


def language_of(header: Iterable[str]) -> str | None:
    """The language that most telling words of a header line belong to, if one leads clearly."""
    tells = vocabulary().languages
    votes = Counter(
        tells[word]
        for text in header
        for word in _words(split_header(text).words, ())
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
    words, unknown, guessed = _readings(header.words)
    if not words or unknown > 1 or unknown >= len(words) + unknown:
        return None
    if language is not None:
        words = tuple(
            tuple(one for one in readings if one[1] is None or language in one[1]) or readings
            for readings in words
        )
    torn = any(len(readings) > 1 and any(tongues for _, tongues in readings) for readings in words)
    several = 1
    for readings in words:
        several *= len(readings)
    if several > READINGS:
        return None
    free = vocabulary().free
    hits: dict[str, tuple[Column, int]] = {}
    for combination in product(*words):
        concepts = frozenset().union(*(concepts for concepts, _ in combination))
        for column, meaning in _meanings(table_name):
            size = _named(meaning, concepts, free)
            if size and size > hits.get(column.name, (column, 0))[1]:
                hits[column.name] = (column, size)
    fitting = _fitting(list(hits.values()), header, numeric)
    if not fitting:
        return None
    best = max(size for _, size in fitting)
    leading = [column for column, size in fitting if size == best]
    said = " ".join(header.words.split())
    if len(leading) > 1:
        names = " or ".join(column.name for column in leading)
        return Match(leading[0].name, TORN, f"'{said}' could be {names}")
    column = leading[0]
    if unknown:
        return Match(column.name, GUESSED, f"'{said}' holds a word that is not known")
    if guessed:
        return Match(column.name, NEARLY, f"'{said}' is close to a known name")
    meaning = usual_units(column.name, table_name)
    if meaning and meaning.asks and header.unit is None:
        return Match(column.name, NEARLY, f"'{said}' states no unit")
    if header.unit is None and torn and (len(words) == 1 or unit_of(column.name) is not None):
        return Match(column.name, TORN, f"'{said}' has several meanings and states no unit")
    return _sure(column, header, numeric, f"'{said}' means it")


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
    words, unknown, guessed = _readings(header.words)
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
    words, unknown, guessed = _readings(split_header(text).words)
    meant = [{concept for concepts, _ in readings for concept in concepts} for readings in words]
    return not unknown and not guessed and len(meant) == 1 and "clock" in meant[0]


def counts_active_material(text: str) -> bool:
    """Whether the header of a loading says that it is that of the active material alone."""
    words, _, _ = _readings(split_header(text).words)
    return any(concepts == {"active"} for readings in words for concepts, _ in readings)


def means_identifier(text: str) -> bool:
    """Whether a header says that it numbers or names things."""
    words, _, _ = _readings(split_header(text).words)
    naming = frozenset(("id",))
    return any(concepts == naming for readings in words for concepts, _ in readings)


def _sure(column: Column, header: Header, numeric: bool | None, why: str) -> Match:
    if numeric is False and unit_of(column.name) is not None:
        return Match(column.name, 0.92, f"{why}, but the cells are text")
    return Match(column.name, CERTAINLY, why)


def best_table(header: list[str]) -> str | None:
    """The table whose contract fits the headers best, or None if none fits.

    One header never picks a table: it takes the table's key, or enough to derive one, and a share
    of the headers.
    """
    from battery_platform.records.identity import derivable

    named = [text for text in header if text]
    language = language_of(named)
    scores: list[tuple[float, int, str]] = []
    for rank, name in enumerate(TABLES):
        placed = {
            match.column
            for text in named
            if (match := match_header(text, name, language=language)) is not None
        }
        wanted = columns(TABLES[name].contract)
        derived = derivable(name)
        missing = sum(
            column.required and column.name not in placed and column.name not in derived
            for column in wanted
        )
        own_key = wanted[0].name in placed
        if not own_key and (wanted[0].name not in derived or len(placed - derived) < 2):
            continue
        if 3 * len(placed) < len(named):
            continue
        score = len(placed) - 2.0 * missing + (0.5 if own_key else 0.0)
        scores.append((score, -rank, name))
    best = max(scores, default=None)
    return best[2] if best and best[0] > 0 else None
