"""The words of plants and laboratories, and what they mean: `vocabulary.yaml`, ready to look up.

A text is taken apart into words and phrases, compounds into what they are made of; each has one or
several readings, as sets of concepts. Which column a header means is the business of `headers`.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

VOCABULARY = Path(__file__).with_name("vocabulary.yaml")
LANGUAGES = ("en", "de", "fr")

Concepts = frozenset[str]
Tongues = tuple[str, ...] | None
Reading = tuple[Concepts, Tongues]
"""What a word can mean, and in which languages it means that, if not in all."""
Usual = dict[str, tuple[float, float]]
"""Within which values people write which unit, when they state none."""


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
                words = words_of(str(phrase), idle)
                readings.setdefault(words, {})[concepts] = None
                for word in words if language in LANGUAGES else ():
                    tells.setdefault(word, set()).add(language)
    for word, several in content["ambiguous"].items():
        readings[words_of(word, frozenset())] = _several(several)
    return Vocabulary(
        {words: tuple(meant.items()) for words, meant in readings.items()},
        {word: next(iter(langs)) for word, langs in tells.items() if len(langs) == 1},
        max(len(words) for words in readings),
        idle - {words_of(word, frozenset())[0] for word in content["ambiguous"]},
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


def words_of(text: str, idle: Iterable[str]) -> tuple[str, ...]:
    """The words of a text in their plainest spelling, without the idle ones."""
    return tuple(word for word in _folded(text).split() if word not in idle)


def spoken(column: str, table_name: str) -> str:
    """The concepts that name a column, for people who look up what is recognised."""
    meaning = usual_units(column, table_name)
    if meaning is None:
        return ""
    return ", ".join(" + ".join(sorted(concepts)) for concepts in meaning.means)


def usual_units(column: str, table_name: str) -> Meaning | None:
    """What the vocabulary knows of a column of a table."""
    known = vocabulary().columns
    return known.get(f"{table_name}.{column}") or known.get(column)


# -- from words to concepts ----------------------------------------------------------------


@lru_cache(maxsize=16384)
def readings_of(words: str) -> tuple[tuple[tuple[Reading, ...], ...], int, int]:
    """For each word or phrase of a header what it can mean; the unknown words; those only guessed."""
    known = vocabulary()
    tokens = words_of(re.sub(r"[^\w\s.\-/'’%#°]", " ", words), known.idle)
    dotted = {_folded(word) for word in re.findall(r"(\w+)\.", words)}
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


@lru_cache(maxsize=16384)
def _near(token: str) -> str | None:
    """The word that a misspelt one is close to."""
    if len(token) < 5 or not token.isalpha():
        return None
    words = [phrase[0] for phrase in vocabulary().phrases if len(phrase) == 1]
    return next(iter(difflib.get_close_matches(token, words, n=1, cutoff=0.85)), None)
