"""Mappings: which header of a source is which column of a contract, in what unit.

A mapping is a small YAML file, written by a person or proposed from the headers. Whatever is
assumed rather than read is listed in it, so that nothing is defaulted in silence.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from math import isfinite
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from battery_platform.contracts.base import Column, columns
from battery_platform.contracts.registry import TABLES, table
from battery_platform.contracts.units import conversion, shown_unit, unit_of
from battery_platform.errors import RefusedFile
from battery_platform.records.headers import split_header
from battery_platform.records.identity import derivable
from battery_platform.records.reading import Sheet, refuse

MISSING = ("", "-", "--", "na", "n/a", "null", "none", "#n/a", "#na")
CYCLER = "cycler"
IMPORTERS = (
    "brat_standoff",
    "measeval_tsv",
    "property_records",
    "capacity_matrices",
    "labelled_volume",
    "diameter_list",
)
READERS = (CYCLER, "rheocompass", "ta_rheometer", "assembly_log", "peel_test", *IMPORTERS)
"""Readers that know the layout of an instrument's file; a mapping that names one places no columns."""
SOURCE_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")


@dataclass(frozen=True)
class Place:
    """Where a column's values are found, and in what unit."""

    header: str = ""
    column: int | None = None
    unit: str | None = None
    minus: str = ""
    """The header of what is taken off: a foil's thickness."""
    clock: str = ""
    """The header of the time of day that belongs to a date."""


@dataclass(frozen=True)
class Mapping:
    """How one sheet of one source is read into one table."""

    source: str
    table: str
    columns: dict[str, Place]
    sheet: str | None = None
    files: str | None = None
    id_prefix: str = ""
    synthetic: bool = False
    licence: str = "not stated"
    citation: str = ""
    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    header_row: int | None = None
    timezone: str = "UTC"
    datetime_format: str | None = None
    missing: tuple[str, ...] = MISSING
    constants: dict[str, Any] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    """Headers that are left out on purpose; `*` stands for any characters."""
    extra: tuple[str, ...] = ()
    """Headers without a column whose values are kept beside the rows; `*` as above."""
    automatic: bool = False
    """Whether it was made from the headers, without anybody naming the source."""
    reader: str | None = None
    positive_current: str = "charge"
    """The meaning of a positive current in a cycler's file."""
    efficiency: str = "discharge_per_charge"
    """The definition of coulombic efficiency for a cycler's file."""

    def as_dict(self) -> dict[str, Any]:
        """The YAML form, without default values."""
        places = {
            name: {
                key: value
                for key, value in (
                    ("header", place.header),
                    ("column", place.column),
                    ("unit", place.unit),
                    ("minus", place.minus),
                    ("clock", place.clock),
                )
                if value not in (None, "")
            }
            for name, place in self.columns.items()
        }
        made: dict[str, Any] = {"source": self.source}
        if self.table:
            made["table"] = self.table
        default = Mapping("", "", {})
        for name in (
            "sheet",
            "files",
            "id_prefix",
            "synthetic",
            "licence",
            "citation",
            "encoding",
            "delimiter",
            "decimal",
            "header_row",
            "timezone",
            "datetime_format",
            "reader",
            "positive_current",
            "efficiency",
        ):
            if getattr(self, name) != getattr(default, name):
                made[name] = getattr(self, name)
        if self.missing != MISSING:
            made["missing"] = list(self.missing)
        for name in ("leave_out", "extra"):
            if getattr(self, name):
                made[name] = list(getattr(self, name))
        if places:
            made["columns"] = places
        for name in ("constants", "values"):
            if getattr(self, name):
                made[name] = getattr(self, name)
        if self.automatic:
            made["automatic"] = True
        if self.assumed:
            made["assumed"] = list(self.assumed)
        return made


def digest(mappings: list[Mapping]) -> str:
    """Hash of everything in a mapping that decides what is stored of a file."""
    stored = [replace(mapping, leave_out=()).as_dict() for mapping in mappings]
    text = json.dumps(stored, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# -- reading a mapping file -----------------------------------------------------------------


def load(path: Path) -> list[Mapping]:
    """Mappings of a YAML file: one, or one per sheet under `sheets`."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 -- safe either way
    except FileNotFoundError as error:
        raise refuse(
            path, "there is no such mapping file.", "Write one with `map FILE`."
        ) from error
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise refuse(
            path, f"the mapping cannot be read: {_one_line(error)}.", "Correct the YAML."
        ) from error
    return parse(content, path)


def parse(content: Any, path: Path) -> list[Mapping]:
    """Mappings from YAML content; every mistake is named."""
    if not isinstance(content, dict):
        raise refuse(path, "a mapping is a list of `name: value` lines.", _SEE)
    common = {key: value for key, value in content.items() if key != "sheets"}
    if "sheets" not in content:
        return [_one(common, path)]
    if not isinstance(content["sheets"], dict):
        raise refuse(path, "`sheets` must name each sheet with its mapping.", _SEE)
    for name, own in content["sheets"].items():
        if not isinstance(own, dict | None):
            raise refuse(path, f"the mapping of sheet '{name}' must be `name: value` lines.", _SEE)
    return [
        _one({**common, "sheet": str(name), **(own or {})}, path)
        for name, own in content["sheets"].items()
    ]


_SEE = "See docs/how-to/process-engineer.md, or let `battery-platform map FILE` write it."
_KIND_WORDS: dict[type, str] = {
    tuple: "a list",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    list: "a list",
    dict: "`name: value` lines",
}
_KINDS: dict[str, tuple[type, ...]] = {
    "table": (str,),
    "sheet": (str, type(None)),
    "files": (str, type(None)),
    "id_prefix": (str,),
    "synthetic": (bool,),
    "automatic": (bool,),
    "licence": (str,),
    "citation": (str,),
    "encoding": (str, type(None)),
    "delimiter": (str, type(None)),
    "decimal": (str, type(None)),
    "header_row": (int, type(None)),
    "timezone": (str,),
    "datetime_format": (str, type(None)),
    "missing": (list, tuple),
    "constants": (dict,),
    "values": (dict,),
    "assumed": (list, tuple),
    "leave_out": (list, tuple),
    "extra": (list, tuple),
    "reader": (str, type(None)),
    "positive_current": (str,),
    "efficiency": (str,),
}
_ONE_OF = {
    "reader": READERS,
    "positive_current": ("charge", "discharge"),
    "efficiency": ("discharge_per_charge", "charge_per_discharge"),
}
_OF_FORMS = ("encoding", "delimiter", "decimal", "header_row", "datetime_format")
_KNOWN = set(Mapping.__dataclass_fields__)


def _one(content: dict[str, Any], path: Path) -> Mapping:
    unknown = sorted(str(name) for name in set(content) - _KNOWN)
    if unknown:
        raise refuse(
            path,
            f"the mapping has the unknown entry '{unknown[0]}'.",
            f"Known: {', '.join(sorted(_KNOWN))}.",
        )
    for name in ("source",) if content.get("reader") else ("source", "table", "columns"):
        if not content.get(name):
            raise refuse(path, f"the mapping lacks `{name}`.", _SEE)
    source = str(content["source"])
    if not SOURCE_ID.match(source):
        raise refuse(
            path,
            f"the source name {source!r} cannot be used.",
            "Use letters, digits, dot, dash and underscore, 80 at most.",
        )
    for name, kinds in _KINDS.items():
        if name in content and not isinstance(content[name], kinds):
            wanted = " or ".join(_KIND_WORDS[kind] for kind in kinds if kind is not type(None))
            raise refuse(path, f"`{name}: {content[name]!r}` is not {wanted}.", _SEE)
    if content.get("reader"):
        return _of_reader(content, path)
    of_readers = [name for name in _ONE_OF if content.get(name) is not None]
    if of_readers:
        raise refuse(path, f"`{of_readers[0]}` is for an instrument's file.", "Add a `reader`.")
    given = dict(content)
    given["source"] = source
    given["columns"] = _places(content, path)
    for name, words in given.get("values", {}).items():
        if not isinstance(words, dict) or any(
            isinstance(word, dict | list) for word in words.values()
        ):
            raise refuse(
                path, f"`values` of {name} must be `plant word: contract word` lines.", _SEE
            )
    _check_columns(given, path)
    if "missing" in given:
        given["missing"] = tuple(str(word) for word in given["missing"])
    for name in ("assumed", "leave_out", "extra"):
        given[name] = tuple(str(word) for word in given.get(name, ()))
    _check_words(given, path)
    return Mapping(**given)


def _of_reader(content: dict[str, Any], path: Path) -> Mapping:
    """A mapping for a reader that knows the layout of an instrument's file."""
    for name, words in _ONE_OF.items():
        if content.get(name) is not None and content[name] not in words:
            raise refuse(
                path,
                f"`{name}: {content[name]}` is not known.",
                f"It is one of {', '.join(words)}.",
            )
    of_forms = set(_OF_FORMS) - ({"encoding"} if content["reader"] == CYCLER else set())
    idle = [name for name in _OF_FORMS if name in of_forms and content.get(name) is not None]
    if idle:
        raise refuse(
            path,
            f"`{idle[0]}` says nothing to `reader: {content['reader']}`, which knows how its files "
            "are written.",
            "Leave it out.",
        )
    given = {"table": "", **content, "columns": {}, "assumed": ()}
    given["source"] = str(content["source"])
    given["missing"] = tuple(str(word) for word in content.get("missing", MISSING))
    _check_words(given, path)
    return Mapping(**given)


def _places(content: dict[str, Any], path: Path) -> dict[str, Place]:
    if not isinstance(content["columns"], dict):
        raise refuse(path, "`columns` must name each contract column.", _SEE)
    places = {}
    for name, given in content["columns"].items():
        place = {"header": given} if isinstance(given, str) else given
        if not isinstance(place, dict) or not set(place) <= set(Place.__dataclass_fields__):
            raise refuse(
                path,
                f"the place of '{name}' must be a header, or header/column and unit, minus, clock.",
                _SEE,
            )
        unit = place.get("unit")
        if unit is not None and str(unit) == "fraction":
            unit = "fraction"
        if unit is not None and conversion(str(unit), str(name)) is None:
            raise refuse(
                path,
                f"the unit '{unit}' cannot be brought to {shown_unit(str(name)) or 'a column without unit'}"
                f" for {name}.",
                "Correct `unit` in the mapping.",
            )
        column = place.get("column")
        if column is not None and (not isinstance(column, int) or column < 1):
            raise refuse(
                path, f"`column: {column!r}` of '{name}' is no position (1 is the first).", _SEE
            )
        places[str(name)] = Place(
            str(place.get("header", "")),
            column,
            None if unit is None else str(unit),
            str(place.get("minus", "")),
            str(place.get("clock", "")),
        )
    return places


def _check_columns(given: dict[str, Any], path: Path) -> None:
    if given["table"] not in TABLES:
        raise refuse(
            path, f"there is no table '{given['table']}'.", f"Tables: {', '.join(TABLES)}."
        )
    known = {column.name: column for column in columns(table(given["table"]).contract)}
    for name in (*given["columns"], *given.get("values", {})):
        if name not in known:
            raise refuse(
                path, f"{given['table']} has no column '{name}'.", f"It has: {', '.join(known)}."
            )
    check_constants(given.get("constants", {}), (given["table"],), path)
    required = [
        column.name
        for column in known.values()
        if column.required
        and column.name not in given["columns"]
        and column.name not in given.get("constants", {})
        and column.name not in derivable(given["table"])
    ]
    if required:
        raise refuse(
            path,
            f"the mapping places no header for {', '.join(required)}, which {given['table']} requires.",
            "Place a header, or give a value under `constants`.",
        )


def check_constants(
    given: dict[str, Any], tables: Sequence[str], path: Path, also: dict[str, str] | None = None
) -> None:
    """Each constant is a column of one of these tables, and could be its value.

    `also` names columns of other tables that are allowed: column and table.
    """
    known = {column.name: column for name in tables for column in columns(table(name).contract)}
    for name, owner in (also or {}).items():
        known[name] = next(
            column for column in columns(table(owner).contract) if column.name == name
        )
    for name, value in given.items():
        if name not in known:
            raise refuse(
                path,
                f"{' and '.join(dict.fromkeys(tables))} {'have' if len(set(tables)) > 1 else 'has'} "
                f"no column '{name}'.",
                f"It has: {', '.join(known)}.",
            )
        problem = _constant_problem(known[name], value)
        if problem:
            raise refuse(path, f"the constant {name}: {value!r} {problem[0]}.", problem[1])


def _constant_problem(column: Column, value: Any) -> tuple[str, str] | None:
    """What is wrong with a constant and its remedy, or None."""
    if column.role == "moment":
        return "cannot be a constant", "Place a header for it."
    if column.dtype in (pl.Float64, pl.Int64):
        return _number_problem(column, value)
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int | float)
        or not str(value).strip()
    ):
        return "is no word", "Write a word or a number, or leave the line out."
    if column.allowed and value not in column.allowed:
        return "is not known", f"It is one of {', '.join(column.allowed)}."
    return None


def _number_problem(column: Column, value: Any) -> tuple[str, str] | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return "is not a number", "Give a number in the contract's unit."
    low, high = column.low, column.high
    if (low is not None and value < low) or (high is not None and value > high):
        return f"lies outside {low:g} to {high:g}", "Give it in the contract's unit."
    return None


def _check_words(given: dict[str, Any], path: Path) -> None:
    if given.get("encoding") is not None:
        try:
            codecs.lookup(given["encoding"])
        except LookupError as error:
            raise refuse(
                path,
                f"there is no encoding '{given['encoding']}'.",
                "Use utf-8, latin-1 or utf-16.",
            ) from error
    if given.get("decimal") not in (None, ".", ","):
        raise refuse(path, "`decimal` must be '.' or ','.", "Correct the mapping.")
    if given.get("delimiter") is not None and len(str(given["delimiter"])) != 1:
        raise refuse(path, "`delimiter` must be one character.", 'Write a tab as "\\t".')
    if given.get("timezone"):
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(str(given["timezone"]))
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise refuse(
                path,
                f"there is no time zone '{given['timezone']}'.",
                "Use a name such as Europe/Berlin.",
            ) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def as_yaml(mappings: list[Mapping], undecided: Sequence[str] = ()) -> str:
    """The YAML of one mapping, or of one per sheet, with the headers that somebody has to decide about."""
    if len(mappings) == 1:
        content: dict[str, Any] = mappings[0].as_dict()
    else:
        content = {
            "source": mappings[0].source,
            "sheets": {
                mapping.sheet: {
                    k: v for k, v in mapping.as_dict().items() if k not in {"source", "sheet"}
                }
                for mapping in mappings
            },
        }
        for name in ("table", "columns"):
            content.setdefault(name, content["sheets"][mappings[0].sheet][name])
        content = {"source": mappings[0].source, "sheets": content["sheets"]}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    if undecided:
        named = yaml.safe_dump(
            list(undecided), allow_unicode=True, width=10**6, default_flow_style=True
        )
        text += (
            "# No column was found for the following; place each under `columns`, or name it under\n"
            "# `leave_out` (not wanted) or `extra` (kept beside the rows).\n"
            f"# leave_out: {named}"
        )
    return text


@dataclass(frozen=True)
class Positions:
    """Where a sheet has what a mapping places, by contract column."""

    columns: dict[str, int]
    minus: dict[str, int]
    clocks: dict[str, int]

    @property
    def taken(self) -> dict[int, str]:
        """The column to which each position of the sheet contributes."""
        return {
            position: name
            for places in (self.clocks, self.minus, self.columns)
            for name, position in places.items()
        }


def positions_of(mapping: Mapping, sheet: Sheet, path: Path) -> Positions:
    """Position of each contract column in the sheet; a missing header refuses the file."""
    spelled: dict[str, int] = {}
    for position, text in enumerate(sheet.header):
        spelled.setdefault(spelling(text), position)
    for position, text in enumerate(sheet.header):
        spelled.setdefault(spelling(split_header(text).words), position)
    absent: list[str] = []
    found = Positions({}, {}, {})
    for name, place in mapping.columns.items():
        for header, into in (
            (place.header, found.columns),
            (place.minus, found.minus),
            (place.clock, found.clocks),
        ):
            if into is found.columns and place.column is not None:
                if not 1 <= place.column <= len(sheet.header):
                    raise refuse(
                        path,
                        f"the mapping takes {name} from column {place.column}, the sheet has "
                        f"{len(sheet.header)}.",
                        "Correct `column` in the mapping.",
                    )
                into[name] = place.column - 1
            elif header or into is found.columns:
                position_or_none = spelled.get(spelling(header))
                if position_or_none is None:
                    absent.append(f"'{header}' ({name})")
                else:
                    into[name] = position_or_none
    if absent:
        raise refuse(
            path,
            f"the column {', '.join(absent)} is missing; line {sheet.header_row or 1} has: "
            f"{', '.join(text for text in sheet.header if text)}.",
            "Export the column, or correct the header in the mapping.",
        )
    return found


def spelling(text: str) -> str:
    """A header without differences of case and blanks."""
    return " ".join(text.replace("\u00a0", " ").replace("\ufeff", "").split()).casefold()


def factor(mapping: Mapping, column: str, header: str, path: Path) -> tuple[float, float]:
    """Factor and offset from the source's unit to the contract's."""
    return _factor(column, header, mapping.columns[column].unit, path)


def factor_of_what_is_taken_off(column: str, header: str, path: Path) -> tuple[float, float]:
    """The same for the column that a mapping takes off; its unit stands in its header."""
    return _factor(column, header, None, path)


def _factor(column: str, header: str, unit: str | None, path: Path) -> tuple[float, float]:
    if unit_of(column) is None:
        return 1.0, 0.0
    unit = unit or split_header(header).unit
    if unit is None:
        return 1.0, 0.0
    both = conversion(unit, column)
    if both is None:
        raise refuse(
            path,
            f"the header '{header}' states the unit {unit}, which cannot be {shown_unit(column)} ({column}).",
            "Place another header, or name the right `unit` in the mapping.",
        )
    return both


def for_path(path: Path, folder: Path) -> Path | None:
    """The mapping file of a source file.

    It stands beside the file under the same name, or in the mappings folder under the same name
    or with a `files` pattern (`line1_*.csv`) that the file's name fits.
    """
    own = path.stem + ".map.yaml"
    for candidate in (path.with_name(own), folder / own):
        if candidate.is_file():
            return candidate
    for candidate in sorted(folder.glob("*.map.yaml")) if folder.is_dir() else []:
        try:
            content = yaml.safe_load(candidate.read_text(encoding="utf-8"))
        except (OSError, UnicodeError, yaml.YAMLError):
            continue
        pattern = content.get("files") if isinstance(content, dict) else None
        if pattern and fnmatch(path.name, str(pattern)):
            return candidate
    return None


def safe_source(stem: str) -> str:
    """A source name made from a file name, with underscores for unusable characters."""
    made = re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).strip("_.-")[:80]
    return (
        made or "file-" + hashlib.blake2b(stem.encode(errors="replace"), digest_size=4).hexdigest()
    )


def no_table(path: Path, sheet: Sheet) -> RefusedFile:
    """The refusal of a sheet whose headers fit no contract."""
    seen = ", ".join(text for text in sheet.header if text)[:300]
    return refuse(
        path,
        f"the headers fit no table: {seen}.",
        "Write a mapping file beside it; `battery-platform map FILE --table NAME` begins one.",
    )
