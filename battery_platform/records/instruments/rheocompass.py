"""Exports of Anton Paar's rheometers: RheoCompass, and Rheoplus before it.

A file holds tests, a test results, a result intervals, each announced by a labelled line; below
stand header, units and points. The same layout comes as text in any encoding and as a workbook.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from battery_platform.errors import RefusedFile
from battery_platform.records.instruments.flow import (
    COLUMNS,
    NAMES,
    Curve,
    check_units,
    flow_tables,
    known_columns,
    why_no_flow,
)
from battery_platform.records.instruments.grid import (
    Grid,
    Table,
    grids,
    head_text,
    heads,
    moment_of,
    number,
    open_table,
    places_of,
    plain,
    take_rows,
)
from battery_platform.records.instruments.model import Instrument, Tidy
from battery_platform.records.reading import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

TITLE = "Anton Paar RheoCompass"
_PROJECT = ("project", "projekt", "projet", "proyecto")
_TEST = ("test", "versuch", "messung", "prüfung", "essai", "ensayo")
_RESULT = ("result", "ergebnis", "résultat", "resultat", "resultado")
_SERIES = ("data series information", "datenreihen-informationen", "datenreiheninformationen")
_SAMPLE = ("sample", "probe", "échantillon")
_DATE = ("date", "datum", "date/time", "datum/zeit", "datum/uhrzeit", "date/heure", "measured")
_INTERVAL = re.compile(r"^(data interval|interval|abschnitt|segment)", re.IGNORECASE)
_DATA = re.compile(
    r"^(interval\s*(data|données)|data interval|(intervall|abschnitts?)\s*-?\s*daten|"
    r"datos del? intervalo)\b",
    re.IGNORECASE,
)
_ANNOUNCED = re.compile(
    r"^(interval and data points|(intervall|abschnitt) und (mess|daten)?punkte|"
    r"intervalle et points)",
    re.IGNORECASE,
)
_XML = re.compile(r"^\s*<(\?xml|Export\b)", re.IGNORECASE)
_UNNAMED = "flow curve"
_SHOW_COLUMNS = "Export a test with shear rate, shear stress and viscosity."
_SHOW_UNITS = "Show the units in RheoCompass' table and export it again."


# -- recognising ---------------------------------------------------------------------------


def is_rheocompass_export(path: Path) -> bool:
    """By the labels of its blocks, by its XML, or by a header with points, rates and stresses."""
    text = head_text(path)
    if _XML.match(text):
        return "Rheo.Repository" in text or "RheoCompass" in text
    return any(_is_ours(cells) for rows in heads(path) for cells in rows)


def _is_ours(cells: list[str]) -> bool:
    first = cells[0].casefold() if cells else ""
    if _DATA.match(first) or _ANNOUNCED.match(first) or first.rstrip(": ") in _SERIES:
        return len(cells) > 1 or first.rstrip(": ") in _SERIES
    places = places_of(cells, NAMES)
    return {"point", "rate"} <= places.keys() and bool({"stress", "viscosity"} & places.keys())


# -- reading -------------------------------------------------------------------------------


@dataclass
class _Test:
    name: str
    line: int
    measured_at: str = ""
    results: list[_Result] = field(default_factory=list)


@dataclass
class _Result:
    name: str
    line: int
    tables: list[tuple[str, Table]] = field(default_factory=list)


@dataclass
class _File:
    """What has been read of a sheet so far."""

    grid: Grid
    notes: list[str]
    tests: list[_Test] = field(default_factory=list)
    interval: str = ""
    announced: int | None = None

    def result(self, line: int) -> _Result:
        """Where the next points belong; a table without labels is a test of its own."""
        if not self.tests:
            self.tests.append(_Test(_UNNAMED, line))
        test = self.tests[-1]
        if not test.results:
            test.results.append(_Result("", test.line))
        return test.results[-1]


def read_rheocompass_export(path: Path) -> list[Tidy]:
    """The flow curves of an export, and their points."""
    if _XML.match(head_text(path)):
        raise _refused_xml(path)
    notes: list[str] = []
    files = [_walk(path, grid, notes) for grid in grids(path, known_columns)]
    curves = [curve for file in files for curve in _curves(path, file)]
    return flow_tables(path, curves, TITLE, notes, _SHOW_COLUMNS)


def _walk(path: Path, grid: Grid, notes: list[str]) -> _File:
    file = _File(grid, notes)
    position = 0
    while position < len(grid.rows):
        line, cells = grid.rows[position]
        if not _is_header(cells):
            _take_label(file, line, cells)
            position += 1
            continue
        labelled = bool(_INTERVAL.match(cells[0]) or _DATA.match(cells[0]))
        table, position = open_table(grid, position, NAMES, COLUMNS, labelled)
        ends = partial(_ends, decimal=grid.decimal, labelled=labelled)
        position = take_rows(path, grid, table, position, ends, notes)
        _give(file, table)
    return file


def _is_header(cells: list[str]) -> bool:
    if not cells:
        return False
    filled = sum(bool(cell) for cell in cells)
    return (bool(_DATA.match(cells[0])) and filled > 1) or known_columns(cells) > 1


def _ends(cells: list[str], decimal: str, labelled: bool) -> bool:
    if _is_header(cells):
        return True
    first = cells[0] if cells else ""
    if not first or number(plain(first, decimal)) is not None:
        return False
    known = first.rstrip(": ").casefold() in (*_PROJECT, *_TEST, *_RESULT, *_SERIES, *_SAMPLE)
    return known or first.endswith(":") or (labelled and bool(_INTERVAL.match(first)))


def _take_label(file: _File, line: int, cells: list[str]) -> None:
    filled = [cell for cell in cells if cell]
    if not filled:
        return
    label, _, inline = filled[0].partition(":")
    label = label.strip().casefold()
    values = ([inline.strip()] if inline.strip() else []) + filled[1:]
    value = values[-1] if values else ""
    if label in _PROJECT and (dated := re.search(r"\d+/\d+/\d{4}", " ".join(values))):
        file.notes.append(
            f"the project's date {dated[0]} is not taken as that of a measurement: it is the "
            "project's, and its day and month may be either"
        )
    elif label in _SERIES:
        file.tests.append(_Test(_UNNAMED, line))
        file.interval = ""
    elif label in _TEST and values:
        file.tests.append(_Test(values[0], line))
        file.interval = ""
    elif label in _RESULT and values:
        file.result(line)
        results = file.tests[-1].results
        if results[-1].tables or results[-1].name:
            results.append(_Result(values[0], line))
        else:
            results[-1].name = values[0]
        file.interval = ""
    elif label == "name" and file.tests and file.tests[-1].name == _UNNAMED and value:
        file.tests[-1].name = value
    elif label in _DATE and file.tests:
        file.tests[-1].measured_at = moment_of(" ".join(values))
    elif _INTERVAL.match(label) and values and values[0].isdecimal():
        file.interval = values[0]
        file.announced = int(values[1]) if len(values) > 1 and values[1].isdecimal() else None


def _give(file: _File, table: Table) -> None:
    """Give a table to its result."""
    result = file.result(table.line)
    named = f"test '{file.tests[-1].name}'" + (f", interval {file.interval}" * bool(file.interval))
    if file.announced is not None and file.announced != len(table.rows):
        file.notes.append(
            f"{named}: {file.announced} points are announced, {len(table.rows)} stand in the file"
        )
    file.announced = None
    result.tables.append((file.interval, table))


def _curves(path: Path, file: _File) -> Iterator[Curve]:
    for test in file.tests:
        filled = [result for result in test.results if result.tables]
        for result in filled:
            own = len(filled) > 1 and result.name
            name = f"{test.name}, {result.name}" if own else test.name
            line = test.line if result is filled[0] else result.line
            curve = Curve(name, line, file.grid, [], test.measured_at)
            for interval, table in result.tables:
                if why := why_no_flow(table):
                    where = f", interval {interval}" if interval else ""
                    file.notes.append(f"test '{name}'{where} is not taken: {why}")
                    continue
                check_units(path, table, file.notes, _SHOW_UNITS)
                curve.intervals.append((interval, table))
            if curve.intervals:
                yield curve


# -- XML -----------------------------------------------------------------------------------


def _refused_xml(path: Path) -> RefusedFile:
    """Why the XML is not taken: what has been seen of it holds how tables look, and no point."""
    from defusedxml.ElementTree import iterparse  # type: ignore[import-untyped]

    kinds = set()
    try:
        for _, element in iterparse(path):
            if element.tag == "Object":
                kinds.add(str(element.get("Type", "")).rsplit(".", 1)[-1])
            element.clear()
    except Exception as error:  # the parser's own, and those of what it forbids
        return refuse(path, f"the XML is damaged ({error}).", "Export the test as CSV or Excel.")
    layout = "TableWindow" in kinds
    return refuse(
        path,
        "this XML of RheoCompass holds the layout of a table and no measured point."
        if layout
        else "no measured point was found in this XML of RheoCompass.",
        "Export the test as CSV or Excel in RheoCompass.",
    )


RHEOCOMPASS = Instrument("rheocompass", TITLE, is_rheocompass_export, read_rheocompass_export)
