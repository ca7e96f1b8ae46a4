"""Exports of TA Instruments' rheometers: ARES and Discovery, from TRIOS.

Text has a head of names and values, then a block per step, each with its name, header, units
and points. A workbook has a sheet 'Details' with the head, and a sheet per step. A step is a
test: a file often holds several sweeps of one sample.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

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
    heads,
    moment_of,
    open_table,
    places_of,
    take_rows,
)
from battery_platform.records.instruments.model import Instrument, Tidy

TITLE = "TA Instruments ARES / TRIOS"
_HEAD = (
    "filename",
    "file name",
    "instrument name",
    "instrument serial number",
    "instrument type",
    "trios version",
    "rundate",
    "run date",
    "proceduresegments",
    "procedure name",
)
_GEOMETRY = ("geometry name", "geometry type", "geometry", "stress constant", "strain constant")
_STEP = re.compile(r"^\[\s*step\s*\]$", re.IGNORECASE)
_HOLDS = re.compile(r"peak hold|relaxation|creep|conditioning|preshear|pre-shear", re.IGNORECASE)
_POINT = "data point"
_SHOW_COLUMNS = "Export a flow sweep or a flow ramp with shear rate, stress and viscosity."
_SHOW_UNITS = "Export the steps again from TRIOS with their units."


def is_ares_export(path: Path) -> bool:
    """Whether a file's head has names that only TRIOS writes, with a rheometer's geometry or table."""
    sheets = heads(path)
    return any(_is_ours(rows) for rows in sheets) or _has_details(sheets)


def _keys(rows: list[list[str]]) -> set[str]:
    return {cells[0].rstrip(": ").casefold() for cells in rows if cells}


def _is_ours(rows: list[list[str]]) -> bool:
    keys = _keys(rows)
    if len(keys & set(_HEAD)) >= 2:
        return bool(keys & set(_GEOMETRY)) or any(_is_table(cells) for cells in rows)
    return _is_step_sheet(rows)


def _has_details(sheets: list[list[list[str]]]) -> bool:
    keys = [_keys(rows) for rows in sheets]
    return any(len(names & set(_HEAD)) >= 2 for names in keys) and any(
        _is_step_sheet(rows) for rows in sheets
    )


def _is_step_sheet(rows: list[list[str]]) -> bool:
    """Whether rows are a title alone in its line, followed by a rheometer's header and units."""
    filled = [cells for cells in rows if any(cells)][:3]
    if len(filled) < 3 or sum(bool(cell) for cell in filled[0]) != 1:
        return False
    if not re.search(r" - \d+$|sweep|ramp|peak hold", filled[0][0], re.IGNORECASE):
        return False
    grid = Grid("", list(enumerate(filled)), ".")
    table, begins = open_table(grid, 1, NAMES, COLUMNS)
    return _is_table(filled[1]) and begins > 2 and any(table.units.values())


def _is_table(cells: list[str]) -> bool:
    return (
        known_columns(cells) > 2
        and not cells[0].endswith(":")
        and "point" not in _quantities(cells)
    )


def _quantities(cells: list[str]) -> set[str]:
    return set(places_of(cells, NAMES))


@dataclass
class _File:
    """The head of a file, which the sheets of a workbook share."""

    sample: str = ""
    name: str = ""
    measured_at: str = ""
    notes: list[str] = field(default_factory=list)
    steps: list[tuple[str, int, Grid, Table]] = field(default_factory=list)


def read_ares_export(path: Path) -> list[Tidy]:
    """The flow sweeps and ramps of an export, and their points."""
    file = _File()
    for grid in grids(path, known_columns):
        _walk(path, grid, file)
    curves = []
    for name, line, grid, table in file.steps:
        why = "its rate is held, no flow curve" if _HOLDS.search(name) else why_no_flow(table)
        if why:
            file.notes.append(f"step '{name}' (line {table.line}) is not taken: {why}")
            continue
        check_units(path, table, file.notes, _SHOW_UNITS)
        sample = file.sample or file.name or "flow curve"
        named = f"{sample}, {name}" if name else sample
        curves.append(Curve(named, line, grid, [("", table)], file.measured_at, sample))
    return flow_tables(path, curves, TITLE, file.notes, _SHOW_COLUMNS)


def _walk(path: Path, grid: Grid, file: _File) -> None:
    position = 0
    begins: tuple[str, int] | None = None
    alone: tuple[str, int] = ("", 0)
    while position < len(grid.rows):
        line, cells = grid.rows[position]
        filled = [cell for cell in cells if cell]
        if filled and _STEP.match(filled[0]):
            begins, alone = ("", line), ("", 0)
        elif len(filled) > 1 and known_columns(cells) > 1:
            name, at = begins or alone
            table, position = _table(path, grid, position, file)
            file.steps.append((name, at or table.line, grid, table))
            begins, alone = None, ("", 0)
            continue
        elif len(filled) == 1 and begins is not None and not begins[0]:
            begins = (filled[0], begins[1])
        elif len(filled) == 1:
            alone = (filled[0], line)
        elif len(filled) > 1:
            _take_head(file, cells)
        position += 1


def _table(path: Path, grid: Grid, position: int, file: _File) -> tuple[Table, int]:
    labelled = grid.rows[position][1][0].casefold() == "variables"
    table, position = open_table(grid, position, NAMES, COLUMNS, labelled)
    label = _POINT if labelled else None
    return table, take_rows(path, grid, table, position, _ends, file.notes, label)


def _ends(cells: list[str]) -> bool:
    first = next((cell for cell in cells if cell), "")
    return first.startswith("[") or known_columns(cells) > 1


def _take_head(file: _File, cells: list[str]) -> None:
    key, value = cells[0].rstrip(": ").casefold(), next((cell for cell in cells[1:] if cell), "")
    if key in {"sample name", "probenname"}:
        file.sample = file.sample or value
    elif key in {"run date", "rundate", "date"}:
        moment = moment_of(value)
        file.measured_at = max(file.measured_at, moment, key=len)
        if not moment:
            file.notes.append(f"the run date {value} is not taken: its day and month may be either")
    elif key == "filename":
        file.name = file.name or value.removesuffix(".tri")


ARES = Instrument("ta_rheometer", TITLE, is_ares_export, read_ares_export)
