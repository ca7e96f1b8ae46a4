"""Exports of tensile testers: force over displacement while a coating is peeled off its collector.

Adhesion is the mean force on the plateau divided by the strip's width. The width must be stated,
because no column contains it and a guess would scale every result.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from battery_platform.contracts.units import conversion
from battery_platform.errors import RefusedFile
from battery_platform.records.instruments.curve_tables import CurveTables, Units, identifier
from battery_platform.records.instruments.grid import (
    Grid,
    Names,
    Table,
    grids,
    heads,
    moment_of,
    name_and_unit,
    number,
    open_table,
    places_of,
    plain,
    take_rows,
    written,
)
from battery_platform.records.instruments.model import Instrument, Tidy
from battery_platform.records.reading import refuse

TITLE = "tensile tester, 180 degree peel"
COLUMNS = {"displacement": "displacement_mm", "force": "force_n"}
NAMES: Names = {
    "displacement": (
        "extension",
        "peel extension",
        "tensile extension",
        "displacement",
        "standardweg",
        "standard travel",
        "traversenweg",
        "traversenweg absolut",
        "crosshead displacement",
        "cross-head displacement",
        "crosshead travel",
        "crosshead",
        "crosshead position",
        "schälweg",
        "abzugsweg",
        "verschiebung",
        "verlängerung",
        "verformung",
        "dehnung",
        "weg",
        "déplacement",
        "deplacement",
        "allongement",
        "course",
        "stroke",
        "travel",
        "position",
    ),
    "force": (
        "load",
        "force",
        "standard force",
        "standardkraft",
        "peel force",
        "peel load",
        "schälkraft",
        "abzugskraft",
        "prüfkraft",
        "kraft",
        "effort",
        "charge",
    ),
}
_ELECTRICAL = ("x_v", "x_a", "x_ah", "x_wh", "x_ohm")
_META = {
    "width": (
        "width",
        "specimen width",
        "sample width",
        "strip width",
        "tape width",
        "peel width",
        "width of specimen",
        "probenbreite",
        "probenbreite b0",
        "breite",
        "streifenbreite",
        "breite b0",
        "b0",
        "largeur",
        "largeur éprouvette",
        "largeur de l'éprouvette",
    ),
    "angle": ("peel angle", "peeling angle", "angle", "schälwinkel", "abzugswinkel", "winkel"),
    "speed": (
        "speed",
        "test speed",
        "peel speed",
        "crosshead speed",
        "cross-head speed",
        "testing speed",
        "rate",
        "prüfgeschwindigkeit",
        "geschwindigkeit",
        "vitesse",
        "vitesse d'essai",
    ),
    "specimen": (
        "specimen",
        "specimen label",
        "specimen name",
        "specimen id",
        "specimen no.",
        "sample",
        "sample name",
        "sample id",
        "probe",
        "proben-id",
        "probenname",
        "probenbezeichnung",
        "probenkennung",
        "éprouvette",
    ),
    "date": ("date", "test date", "date/time", "datum", "prüfdatum", "datum/uhrzeit", "start time"),
}
_KEYS = {name: key for key, names in _META.items() for name in names}
_FROM, _TO = 0.2, 0.9
_LEAST_MM, _LEAST_POINTS = 5.0, 20
_RISE = 0.5
_UNEVEN = 0.3
_GONE = 0.1
_STATE_WIDTH = "State it in a line above the table, such as 'Width,25 mm'."


# -- recognising ---------------------------------------------------------------------------


def is_peel_test(path: Path) -> bool:
    """Whether a file has a table of displacement and force with units, and nothing electrical."""
    return any(_has_table(rows) for rows in heads(path))


def _has_table(rows: list[list[str]]) -> bool:
    grid = Grid("", list(enumerate(rows, start=1)), ".")
    for position, (_, cells) in enumerate(grid.rows):
        if _is_header(cells):
            table, _ = open_table(grid, position, NAMES, COLUMNS)
            below = rows[position + 1] if position + 1 < len(rows) else []
            if _fits(table) and not _is_electrical([*cells, *below]):
                return True
    return False


def _is_header(cells: list[str]) -> bool:
    return len(places_of(cells, NAMES)) == len(COLUMNS)


def _fits(table: Table) -> bool:
    return all(
        table.units[name] and conversion(table.units[name] or "", column) is not None
        for name, column in COLUMNS.items()
    )


def _is_electrical(cells: list[str]) -> bool:
    """Whether a table is electrical: rigs that press cells during cycling log force and travel too."""
    for cell in cells:
        name, unit = name_and_unit(cell)
        unit = unit or cell.strip("[]()<> ")
        if re.search(r"voltage|current|capacity|strom\b", name):
            return True
        if unit and any(conversion(unit, column) is not None for column in _ELECTRICAL):
            return True
    return False


# -- reading -------------------------------------------------------------------------------


@dataclass
class _Specimen:
    """One curve, with the values stated in the lines above its table."""

    name: str
    line: int
    grid: Grid
    table: Table
    header: dict[str, tuple[str, str]]


@dataclass
class _HeaderLines:
    """Values stated above the tables: those of the file, and those of the current specimen."""

    file: dict[str, tuple[str, str]] = field(default_factory=dict)
    specimen: dict[str, tuple[str, str]] | None = None
    curves_since: int = 0

    def take(self, key: str, value: tuple[str, str]) -> None:
        if key == "specimen":
            if not self.curves_since:  # a second name of the specimen, or the name of its sample
                self.file |= self.specimen or {}
            self.specimen, self.curves_since = {key: value}, 0
        elif self.specimen is None:
            self.file[key] = value
        else:
            self.specimen[key] = value

    def all(self) -> dict[str, tuple[str, str]]:
        return self.file | (self.specimen or {})


def read_peel_test(path: Path) -> list[Tidy]:
    """The specimens of an export, each with its mean force on the plateau, and their points."""
    notes: list[str] = []
    header = _HeaderLines()
    specimens: list[_Specimen] = []
    for grid in grids(path, lambda cells: len(places_of(cells, NAMES))):
        specimens += _walk(path, grid, header, notes, len(specimens))
    if not specimens:
        raise refuse(
            path,
            "no table with displacement and force was found.",
            "Export the raw data with both columns and their units.",
        )
    return _tables(path, specimens, notes)


def _walk(
    path: Path, grid: Grid, header: _HeaderLines, notes: list[str], before: int
) -> list[_Specimen]:
    specimens: list[_Specimen] = []
    position = 0
    while position < len(grid.rows):
        line, cells = grid.rows[position]
        if not _is_header(cells):
            _take_header_line(header, cells, grid.decimal)
            position += 1
            continue
        _refuse_side_by_side(path, line, cells)
        table, position = open_table(grid, position, NAMES, COLUMNS)
        if not _fits(table):
            raise refuse(
                path,
                f"line {line}: displacement and force state no units of length and force, and "
                "none is guessed.",
                "Add a line of units below the header, such as 'mm' and 'N'.",
            )
        position = take_rows(path, grid, table, position, _ends, notes)
        now = header.all()
        header.curves_since += 1
        name = now.get("specimen", (f"specimen {before + len(specimens) + 1}", ""))[0]
        specimens.append(_Specimen(name, line, grid, table, now))
    return specimens


def _refuse_side_by_side(path: Path, line: int, cells: list[str]) -> None:
    titles = [name_and_unit(cell)[0] for cell in cells]
    forces = [title for title in titles if title in NAMES["force"]]
    if len(forces) > len(set(forces)):
        raise refuse(
            path,
            f"line {line}: several specimens stand side by side.",
            "Export each specimen to a file of its own, or one below the other.",
        )


def _ends(cells: list[str]) -> bool:
    key = _key(cells[0])[0] if cells and cells[0] else ""
    return key in _KEYS or _is_header(cells)


def _key(cell: str) -> tuple[str, str | None]:
    """The name that begins a line, without the group that Instron prefixes (`Dimension : Width`)."""
    name, unit = name_and_unit(cell)
    if name not in _KEYS and " : " in name:
        name = name.rpartition(" : ")[2].strip()
    return name, unit


def _take_header_line(header: _HeaderLines, cells: list[str], decimal: str) -> None:
    filled = [cell for cell in cells if cell]
    if not filled:
        return
    key, unit = _key(filled[0])
    values = filled[1:]
    if key not in _KEYS and ":" in filled[0]:
        before, _, inline = filled[0].partition(":")
        key, unit = _key(before)
        values = [inline.strip(), *values] if inline.strip() else values
    if key not in _KEYS or not values:
        return
    value = values[0]
    if _KEYS[key] in {"specimen", "date"}:
        header.take(_KEYS[key], (" ".join(values) if _KEYS[key] == "date" else value, ""))
        return
    quantity = re.fullmatch(r"([+-]?[\d.,]+(?:[eE][+-]?\d+)?)\s*(\D.*)?", value)
    if not quantity:
        return
    stated = unit or quantity[2] or (values[1] if len(values) > 1 else "")
    header.take(_KEYS[key], (plain(_pointed(quantity[1], decimal), decimal), stated.strip("[]() ")))


def _pointed(value: str, decimal: str) -> str:
    """The value with a decimal point; a lone comma in a line above a table is a decimal comma."""
    alone = decimal == "." and value.count(",") == 1 and not re.search(r",\d{3}$|\.", value)
    return value.replace(",", ".") if alone else value


# -- the plateau ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Plateau:
    """Where the force is steady, with its mean, its scatter and a note for the reader."""

    begins: float
    ends: float
    mean: float
    deviation: float
    note: str


def plateau_of(displacement: np.ndarray, force: np.ndarray) -> Plateau | str:
    """The plateau of a curve in mm and N, or why there is none.

    The strip is stretched first, so peeling counts from where the force passes half its maximum;
    the return travel of the cross-head does not count.
    """
    if len(force) < _LEAST_POINTS:
        return f"{len(force)} points with displacement and force, at least {_LEAST_POINTS} needed"
    highest = float(force.max())
    if highest <= 0:
        return "the force is nowhere above zero: export tension as positive"
    out = slice(0, int(displacement.argmax()) + 1)
    displacement, force = displacement[out], force[out]
    risen = np.flatnonzero(force > _RISE * highest)
    if not len(risen):
        return "the force passes half its maximum only on the way back of the cross-head"
    start = float(displacement[risen[0]])
    length = float(displacement[-1]) - start
    begins, ends = start + _FROM * length, start + _TO * length
    inside = (displacement >= begins) & (displacement <= ends)
    inside[: risen[0]] = False
    count = int(inside.sum())
    if ends - begins < _LEAST_MM or count < _LEAST_POINTS:
        return (
            f"the plateau would be {ends - begins:.3g} mm long with {count} points, at least "
            f"{_LEAST_MM:g} mm and {_LEAST_POINTS} points needed"
        )
    mean, deviation = float(force[inside].mean()), float(force[inside].std(ddof=1))
    if mean <= 0:
        return f"the mean force on the plateau is {mean:.3g} N: check its sign"
    return Plateau(begins, ends, mean, deviation, _note(displacement, force, ends, mean, deviation))


def _note(
    displacement: np.ndarray, force: np.ndarray, ends: float, mean: float, deviation: float
) -> str:
    remarks = []
    if deviation > _UNEVEN * mean:
        remarks.append(f"uneven: the force scatters by {100 * deviation / mean:.0f} % of its mean")
    held = np.flatnonzero(force >= _GONE * float(force.max()))
    if held[-1] + 1 < len(force):
        gone = float(displacement[held[-1] + 1])
        where = "within" if gone <= ends else "after"
        remarks.append(
            f"the force jumps to zero at {gone:.4g} mm, {where} the range of the mean: the coating "
            "tore or the strip came off"
        )
    return "; ".join(remarks)


# -- tables --------------------------------------------------------------------------------

_TESTS = (
    "peel_test_id",
    "test_name",
    "width_mm",
    "peel_angle_deg",
    "speed_mm_min",
    "points",
    "plateau_from_mm",
    "plateau_to_mm",
    "force_mean_n",
    "force_sd_n",
    "adhesion_n_m",
    "adhesion_note",
    "measured_at",
)


def _tables(path: Path, specimens: list[_Specimen], notes: list[str]) -> list[Tidy]:
    several = len({specimen.grid.name for specimen in specimens}) > 1
    made = CurveTables("peel", "peel tests", _TESTS, several, notes)
    why = ""
    for specimen in specimens:
        table, sheet = specimen.table, specimen.grid.name
        width = _width(path, specimen)
        cells = [
            (line, table.cell(row, "displacement"), table.cell(row, "force"))
            for line, row in table.rows
        ]
        of = identifier(specimen.name, [number(text) for _, *pair in cells for text in pair])
        if made.again(of, f"specimen '{specimen.name}'", specimen.line):
            continue
        plateau = plateau_of(*_numbers(table, cells))
        if isinstance(plateau, str):
            why = f"specimen '{specimen.name}' (line {specimen.line}) has no plateau: {plateau}"
            notes.append(f"{why}; it is not taken")
            continue
        made.add_test(sheet, specimen.line, _test_cells(of, specimen, width, plateau, notes))
        made.points(sheet, _point_units(table)).extend(
            (line, (of, str(running), displacement, force))
            for running, (line, displacement, force) in enumerate(cells, start=1)
        )
    tables = made.tables()
    if not tables:
        raise refuse(path, f"{why}.", "Export the whole curve, with every logged point.")
    return tables


def _point_units(table: Table) -> Units:
    stated = {column: table.units[name] for name, column in COLUMNS.items()}
    return {"peel_test_id": None, "point": None, **stated}


def _width(path: Path, specimen: _Specimen) -> float:
    """The strip's width in mm."""
    if "width" not in specimen.header:
        raise _refused_width(path, specimen, "states no width of the strip")
    text, unit = specimen.header["width"]
    value, both = number(text), conversion(unit, "width_mm") if unit else None
    if value is None or value <= 0 or both is None:
        shown = f"{text} {unit}".strip()
        raise _refused_width(path, specimen, f"states a width of '{shown}', which is no length")
    return value * both[0]


def _refused_width(path: Path, specimen: _Specimen, what: str) -> RefusedFile:
    return refuse(
        path,
        f"specimen '{specimen.name}' (line {specimen.line}) {what}: adhesion is force per width.",
        _STATE_WIDTH,
    )


def _numbers(table: Table, cells: list[tuple[int, str, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Displacement in mm and force in N of the rows that have both."""
    pairs = [(number(displacement), number(force)) for _, displacement, force in cells]
    whole = np.array([pair for pair in pairs if None not in pair], dtype=np.float64).reshape(-1, 2)
    scaled = []
    for place, (name, column) in enumerate(COLUMNS.items()):
        factor, offset = conversion(table.units[name] or "", column) or (1.0, 0.0)
        scaled.append(whole[:, place] * factor + offset)
    return scaled[0], scaled[1]


def _test_cells(
    of: str, specimen: _Specimen, width: float, plateau: Plateau, notes: list[str]
) -> tuple[str, ...]:
    return (
        of,
        specimen.name,
        written(width),
        _angle(specimen, notes),
        _speed(specimen, notes),
        str(len(specimen.table.rows)),
        written(plateau.begins),
        written(plateau.ends),
        written(plateau.mean),
        written(plateau.deviation),
        written(1000 * plateau.mean / width),
        plateau.note,
        moment_of(specimen.header["date"][0]) if "date" in specimen.header else "",
    )


def _angle(specimen: _Specimen, notes: list[str]) -> str:
    text, unit = specimen.header.get("angle", ("", ""))
    value = number(text)
    degrees = re.fullmatch(r"°|deg|degrees?|grad|degrés?", unit, re.IGNORECASE)
    if value is not None and (degrees or (not unit and value > 7)):
        return written(value)  # above 7 without a unit: more than a full turn if it were radians
    if text:
        notes.append(f"the angle {text} is not taken: '{unit}' is no unit of an angle")
    return ""


def _speed(specimen: _Specimen, notes: list[str]) -> str:
    text, unit = specimen.header.get("speed", ("", ""))
    value, both = number(text), conversion(unit, "speed_mm_min") if unit else None
    if value is not None and both is not None:
        return written(value * both[0])
    if text:
        notes.append(f"the speed '{text}' is not taken: '{unit}' is no unit of a speed")
    return ""


PEEL = Instrument("peel_test", TITLE, is_peel_test, read_peel_test)
