"""What readers of rheometers share: the cells of a file, its tables, and viscosities at rates.

Cells are text with a decimal point: the tables handed on do not say which mark a file uses.
Viscosities are interpolated in the logarithms, where flow curves are nearly straight, and only
between measured points.
"""

from __future__ import annotations

import csv
import html
import io
import math
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from battery_platform.contracts.units import conversion, is_unit
from battery_platform.errors import RefusedFile
from battery_platform.records.instruments.model import Tidy
from battery_platform.records.reading import (
    _exact_cells,
    _guard_zip,
    encoding_of,
    kind_of,
    refuse,
    sniff_decimal,
    sniff_encoding,
)
from battery_platform.settings import MIB, Settings

HEAD_BYTES = 64 * 1024
HEAD_SHARED_BYTES = 256 * 1024
HEAD_ROWS = 40
HEAD_SHEETS = 6
HEAD_XLS_BYTES = 32 * MIB
DELIMITERS = ("\t", ";", ",", "|")
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"

Row = tuple[int, list[str]]
Names = dict[str, tuple[str, ...]]
"""What a quantity is called in headers, the preferred name first."""


# -- the cells of a file -------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """The cells of a text file or of one sheet, each row with its line."""

    name: str
    rows: list[Row]
    decimal: str
    unfinished: bool = False
    """The text ends without a line end."""


def grids(path: Path, known: Callable[[list[str]], int]) -> list[Grid]:
    """All cells of a file. `known` counts the columns that a row names: it tells the delimiter."""
    settings = Settings.from_env()
    if path.stat().st_size > settings.max_workbook_mib * MIB:
        raise refuse(
            path,
            f"no instrument of this kind writes more than {settings.max_workbook_mib} MiB.",
            "Export single tests, or raise BATTERY_PLATFORM_MAX_WORKBOOK_MIB.",
        )
    if kind_of(path) == "workbook":
        return _sheets(path, settings)
    text = path.read_bytes().decode(encoding_of(path), "replace").removeprefix("\ufeff")
    try:
        readings = [_split(text, delimiter) for delimiter in DELIMITERS]
    except csv.Error as error:
        raise refuse(
            path, f"the lines cannot be told apart: {error}.", "Export it again."
        ) from error
    best = max(readings, key=lambda rows: max((known(cells) for _, cells in rows), default=0))
    return [Grid("", best, _decimal(best), text[-1:] not in {"\n", "\r", ""})]


def _split(text: str, delimiter: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows, before = [], 0
    for cells in reader:
        rows.append((before + 1, [cell.strip() for cell in cells]))
        before = reader.line_num
    return rows


def _decimal(rows: list[Row]) -> str:
    return sniff_decimal(cell for _, cells in rows for cell in cells)


def _sheets(path: Path, settings: Settings) -> list[Grid]:
    import fastexcel

    if zipfile.is_zipfile(path) or path.read_bytes()[:2] == ZIP[:2]:
        _guard_zip(path, settings)
    found = []
    try:
        book = fastexcel.read_excel(path)
        for name in book.sheet_names:
            frame = _exact_cells(book, name)
            rows = [
                (line, [(cell or "").strip() for cell in cells])
                for line, cells in enumerate(frame.iter_rows(), start=1)
            ]
            found.append(Grid(name, rows, _decimal(rows)))
    except RefusedFile:
        raise
    except Exception as error:  # fastexcel raises its own family
        raise refuse(path, f"the workbook cannot be read ({error}).", "Save it again.") from error
    return found


def heads(path: Path) -> list[list[list[str]]]:
    """The first rows of a file, once per delimiter or sheet; nothing of what cannot be read."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        if head.startswith(ZIP):
            return list(_xlsx_heads(path))
        if head.startswith(OLE):
            return list(_xls_heads(path))
        text = head.decode(sniff_encoding(path, head), "replace").removeprefix("\ufeff")
        return [[cells for _, cells in _split(text, delimiter)] for delimiter in DELIMITERS]
    except Exception:  # whatever a foreign file does to a parser, it is not of this kind
        return []


def head_text(path: Path) -> str:
    """The beginning of a text file, nothing for any other."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        return head.decode(sniff_encoding(path, head), "replace").removeprefix("\ufeff")
    except (OSError, RefusedFile):
        return ""


def _xls_heads(path: Path) -> Iterator[list[list[str]]]:
    import fastexcel

    if path.stat().st_size > HEAD_XLS_BYTES:
        return
    try:
        book = fastexcel.read_excel(path)
        for name in book.sheet_names[:HEAD_SHEETS]:
            sheet = book.load_sheet(
                name, dtypes="string", header_row=None, skip_rows=0, n_rows=HEAD_ROWS
            )
            yield [[(cell or "").strip() for cell in row] for row in sheet.to_polars().iter_rows()]
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            return
        raise


_SHARED = re.compile(r"<(?:\w+:)?si\b[^>]*>(.*?)</(?:\w+:)?si>", re.DOTALL)
_TEXT = re.compile(r"<(?:\w+:)?t\b[^>]*>(.*?)</(?:\w+:)?t>", re.DOTALL)
_ROW = re.compile(r"<(?:\w+:)?row\b[^>]*>(.*?)</(?:\w+:)?row>", re.DOTALL)
_CELL = re.compile(r"<(?:\w+:)?c\b([^>]*?)(?:/>|>(.*?)</(?:\w+:)?c>)", re.DOTALL)
_VALUE = re.compile(r"<(?:\w+:)?v\b[^>]*>(.*?)</(?:\w+:)?v>", re.DOTALL)
_PLACE = re.compile(r'\br="([A-Z]{1,3})\d+"')


def _xlsx_heads(path: Path) -> Iterator[list[list[str]]]:
    """From the first bytes of the XML: a library would unpack all of it, a bomb as well."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        shared = []
        if "xl/sharedStrings.xml" in names:
            xml = _beginning(archive, "xl/sharedStrings.xml", HEAD_SHARED_BYTES)
            shared = [_joined(item) for item in _SHARED.findall(xml)]
        sheets = sorted(name for name in names if name.startswith("xl/worksheets/sheet"))
        for name in sheets[:HEAD_SHEETS]:
            rows = _ROW.findall(_beginning(archive, name, HEAD_BYTES))
            yield [_xml_cells(row, shared) for row in rows[:HEAD_ROWS]]


def _beginning(archive: zipfile.ZipFile, name: str, size: int) -> str:
    with archive.open(name) as member:
        return member.read(size).decode("utf-8", "replace")


def _joined(item: str) -> str:
    return html.unescape("".join(_TEXT.findall(item))).strip()


def _xml_cells(row: str, shared: list[str]) -> list[str]:
    cells: list[str] = []
    for attributes, content in _CELL.findall(row):
        place = _PLACE.search(attributes)
        column = 0
        for letter in place[1] if place else "":
            column = 26 * column + ord(letter) - 64
        if column > 512:
            break
        cells += [""] * (column - 1 - len(cells))
        value = _VALUE.search(content)
        text = html.unescape(value[1]).strip() if value else _joined(content)
        if 't="s"' in attributes and text.isdecimal():
            text = shared[int(text)] if int(text) < len(shared) else ""
        cells.append(text)
    return cells


# -- numbers and names ---------------------------------------------------------------------

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+,\d+")
_BRACKETED = re.compile(r"^(.*?)\s*(?:[\[(<]\s*([^\[\]()<>]*)\s*[\])>]|\s(?:in|/)\s(\S+))\s*:?$")


def plain(cell: str, decimal: str) -> str:
    """A cell with a decimal point; what is no number stays as it stands.

    A point in a number of a file of decimal commas could group thousands: such a cell is marked,
    so that nobody reads it as a number.
    """
    text = re.sub("[\u00a0\u202f]", "", cell).strip().replace("\u2212", "-")
    if decimal == ".":
        return text
    if _GROUPED.fullmatch(text):
        text = text.replace(".", "")
    if "." in text and _NUMBER.fullmatch(text):
        return f"{text} (a point in a file of decimal commas)"
    pointed = text.replace(",", ".", 1)
    return pointed if _NUMBER.fullmatch(pointed) else text


def number(text: str) -> float | None:
    """The number that a cell with a decimal point is, or nothing."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def written(value: float) -> str:
    """A number without the noise of the last bits."""
    return repr(float(f"{value:.15g}"))


_LONGEST_UNIT = 16


def name_and_unit(header: str) -> tuple[str, str | None]:
    """A column's name as it is compared, and the unit that its header states in brackets."""
    text = " ".join(unicodedata.normalize("NFC", header).split())
    found = _BRACKETED.match(text)
    unit = (found[2] or found[3] or "").strip() if found else ""
    if found and 0 < len(unit) <= _LONGEST_UNIT and is_unit(unit):
        return found[1].strip(" :_").casefold(), unit
    return text.strip(" :").casefold(), None


@lru_cache(maxsize=16)
def _known_beginnings(names: tuple[tuple[str, ...], ...]) -> frozenset[str]:
    """The first letters of all names: most cells of foreign files need no closer look."""
    return frozenset(name[:2] for candidates in names for name in candidates)


def places_of(header: Sequence[str], names: Names) -> dict[str, int]:
    """Where each quantity stands: under the most preferred of its names, the first of these."""
    known = _known_beginnings(tuple(names.values()))
    titles = [name_and_unit(cell)[0] if cell[:2].casefold() in known else "" for cell in header]
    found = {}
    for quantity, candidates in names.items():
        place = next((titles.index(name) for name in candidates if name in titles), None)
        if place is not None:
            found[quantity] = place
    return found


_DAY_FIRST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:[ ,T]+(\d{1,2}:\d\d(?::\d\d)?))?")
_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[ ,T]+(\d{1,2}:\d\d(?::\d\d)?))?")


def moment_of(text: str) -> str:
    """Date and time as ISO; nothing where day and month could be either."""
    text = text.strip()
    if re.search(r"\b[AaPp]\.?[Mm]\b", text):
        return ""
    if found := _YEAR_FIRST.match(text):
        year, month, day, clock = found.groups()
    elif found := _DAY_FIRST.match(text):
        day, mark, month, year, clock = found.groups()
        if mark != "." and int(month) > 12:
            day, month = month, day
        elif mark != "." and int(day) <= 12 and day != month:
            return ""
    else:
        return ""
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return ""
    date = f"{year}-{int(month):02}-{int(day):02}"
    hour, _, rest = (clock or "").partition(":")
    return f"{date} {int(hour):02}:{rest}" if hour else date


def identifier(name: str, values: Sequence[float | None]) -> str:
    """Name and content: the same test in two exports has one, two tests of one name have two."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9._-]", "", re.sub(r"\s+", "_", ascii_name.strip()))[:100]
    content = "\n".join("" if value is None else repr(value) for value in values)
    return f"{safe or 'test'}-{blake2b(content.encode(), digest_size=4).hexdigest()}"


# -- tables within the cells ---------------------------------------------------------------


@dataclass
class Table:
    """A header with its units, and the rows below it."""

    line: int
    header: list[str]
    places: dict[str, int]
    units: dict[str, str | None]
    labelled: bool
    """The header begins with a label, below which the rows leave a cell free."""
    decimal: str
    rows: list[Row] = field(default_factory=list)

    def cell(self, cells: list[str], quantity: str) -> str:
        place = self.places.get(quantity)
        return plain(cells[place], self.decimal) if place is not None else ""

    def add(self, line: int, cells: list[str]) -> None:
        """Take a row; where it does not leave the label's cell free, it begins a cell early."""
        if self.labelled and cells and cells[0]:
            cells = ["", *cells]
        self.rows.append((line, cells))


def open_table(
    grid: Grid, position: int, names: Names, columns: dict[str, str], labelled: bool = False
) -> tuple[Table, int]:
    """The table whose header stands at `position`, and where its rows begin.

    Units stand in the header's brackets or in a line of their own, before which there may be
    lines of symbols or meanings. `columns` are those whose unit a line of units must fit.
    """
    line, header = grid.rows[position]
    header = list(header)
    while header and not header[-1]:
        header.pop()
    places = places_of(header, names)
    units = {quantity: name_and_unit(header[place])[1] for quantity, place in places.items()}
    table = Table(line, header, places, units, labelled, grid.decimal)
    for ahead in range(position + 1, min(position + 6, len(grid.rows))):
        cells = grid.rows[ahead][1]
        if labelled and cells and cells[0]:
            cells = ["", *cells]
        cells = cells + [""] * (len(header) - len(cells))
        if any(number(plain(cells[place], grid.decimal)) is not None for place in places.values()):
            return table, ahead
        stated = {quantity: _spelled(cells[place]) for quantity, place in places.items()}
        fits = [conversion(stated[name], columns[name]) for name in columns if name in stated]
        if fits and 2 * sum(fit is not None for fit in fits) >= len(fits):
            own = {quantity: units[quantity] or stated[quantity] or None for quantity in places}
            table.units = own
            return table, ahead + 1
        if any(units.values()) and any(cells):
            return table, ahead
    return table, position + 1


def _spelled(unit: str) -> str:
    """A unit without brackets; `mNm` with the dot that tells it apart."""
    return re.sub(r"^([mkµμu]?N)m$", r"\1·m", unit.strip("[]()<> "))


def settle_rows(table: Table, grid: Grid, notes: list[str]) -> bool:
    """Bring rows to the header's width; whether they can be told apart at all.

    A last line that was cut is emptied, so that half a number is not taken for a whole one.
    """
    width = len(table.header)
    last = grid.rows[-1][0] if grid.rows else 0
    wide = 0
    settled = []
    for line, cells in table.rows:
        if grid.unfinished and line == last and len(cells) < width:
            notes.append(f"line {line} is cut: the file ends within it, nothing of it is taken")
            settled.append((line, [""] * width))
        elif any(cells[width:]):
            wide += 1
            settled.append((line, [""] * width))
        else:
            settled.append((line, (cells + [""] * width)[:width]))
    table.rows = settled
    if wide:
        notes.append(f"{wide} lines have more fields than the header of line {table.line}")
    return 2 * wide <= len(settled)


# -- flow curves ---------------------------------------------------------------------------

COLUMNS = {
    "time": "time_s",
    "rate": "shear_rate_1_s",
    "stress": "shear_stress_pa",
    "viscosity": "viscosity_pa_s",
    "torque": "torque_un_m",
    "temperature": "temperature_degc",
}
DECISIVE = ("rate", "stress", "viscosity")
NAMES: Names = {
    "point": (
        "point no.",
        "point no",
        "meas. pts.",
        "meas. pt.",
        "messpkt.",
        "messpunkt",
        "messpunkt nr.",
        "messpunkt-nr.",
        "punkt nr.",
        "punkt-nr.",
        "datenpunkt",
        "n° de point",
        "no. point",
        "point n°",
        "point",
    ),
    "time": (
        "interval time",
        "intervallzeit",
        "abschnittszeit",
        "intervalle temps",
        "step time",
        "schrittzeit",
        "time",
        "zeit",
        "messzeit",
        "temps",
    ),
    "rate": (
        "shear rate",
        "scherrate",
        "schergeschwindigkeit",
        "gradient de cisaillement",
        "taux de cisaillement",
        "vitesse de cisaillement",
        "velocidad de cizalla",
        "velocidad de corte",
        "steady shear rate",
        "rate",
    ),
    "stress": (
        "shear stress",
        "schubspannung",
        "scherspannung",
        "contrainte de cisaillement",
        "esfuerzo de corte",
        "esfuerzo cortante",
        "stress",
        "spannung",
        "contrainte",
        "tau",
    ),
    "viscosity": (
        "viscosity",
        "viskosität",
        "viskositaet",
        "scherviskosität",
        "viscosité",
        "viscosidad",
        "shear viscosity",
        "steady shear viscosity",
        "eta",
    ),
    "torque": ("torque", "drehmoment", "moment", "couple"),
    "temperature": ("temperature", "temperatur", "température", "temperatura", "temp.", "temp"),
    "status": ("status", "state", "etat", "état", "estado", "meas. status"),
    "step": ("step",),
}
OSCILLATION: Names = {
    "storage": ("storage modulus", "speichermodul", "module de stockage", "g'"),
    "loss": ("loss modulus", "verlustmodul", "module de perte", "g''", 'g"'),
    "frequency": ("angular frequency", "kreisfrequenz", "frequency", "frequenz", "fréquence"),
    "strain": ("oscillation strain", "oscillation stress", "complex viscosity", "tan(delta)"),
}
TARGETS = {
    "viscosity_at_0p1_pa_s": 0.1,
    "viscosity_at_1_pa_s": 1.0,
    "viscosity_at_10_pa_s": 10.0,
    "viscosity_at_100_pa_s": 100.0,
}
_FEW_DIGITS = 3


def known_columns(cells: list[str]) -> int:
    """How many quantities of a rheometer a row names."""
    return len(places_of(cells, NAMES)) + len(places_of(cells, OSCILLATION))


@dataclass
class Curve:
    """One test of a file: its name, where it begins, and its intervals' tables."""

    name: str
    line: int
    grid: Grid
    intervals: list[tuple[str, Table]] = field(default_factory=list)
    measured_at: str = ""
    sample: str = ""
    """Where it is not the name: what was measured, which may end with a temperature."""


@dataclass
class Point:
    """A logged point: cells as they go out, and numbers in the units of the contract."""

    line: int
    interval: str
    table: Table
    cells: dict[str, str]
    rate: float | None
    stress: float | None
    viscosity: float | None
    printed: tuple[float | None, ...]
    usable: bool = True


def why_no_flow(table: Table) -> str:
    """Why a table is no flow curve, empty where it is one."""
    if not table.rows:
        return "it has no points"
    oscillation = places_of(table.header, OSCILLATION)
    for place in oscillation.values():
        if any(number(plain(cells[place], table.decimal)) is not None for _, cells in table.rows):
            return "it is an oscillation"
    if "rate" not in table.places:
        return "it has no shear rate"
    if all(number(table.cell(cells, "rate")) is None for _, cells in table.rows):
        return "it has no shear rate"
    if "stress" not in table.places and "viscosity" not in table.places:
        return "it has neither viscosity nor shear stress"
    return ""


def check_units(path: Path, table: Table, notes: list[str], how: str) -> None:
    """Refuse a curve without the units that decide its meaning; drop what else has none."""
    missing = [name for name in DECISIVE if name in table.places and not table.units[name]]
    if missing:
        shown = ", ".join(f"'{table.header[table.places[name]]}'" for name in missing)
        raise refuse(
            path,
            f"line {table.line}: the columns {shown} state no unit, and none is guessed.",
            f"{how} Or add a line of units below the header, such as [1/s], [Pa], [mPa·s].",
        )
    for quantity, column in COLUMNS.items():
        if quantity not in table.places:
            continue
        unit = table.units[quantity] or ""
        if conversion(unit, column) is not None:
            continue
        title = table.header[table.places[quantity]]
        if quantity in DECISIVE:
            raise refuse(
                path,
                f"line {table.line}: '{title}' is stated in '{unit}', which is no unit of it.",
                "Correct the line of units, or export the test again.",
            )
        del table.places[quantity]
        told = f"column '{title}' is not taken: " + (
            f"'{unit}' is no unit of it" if unit else "it has no unit"
        )
        if told not in notes:
            notes.append(told)


def flow_tables(path: Path, curves: list[Curve], instrument: str, notes: list[str]) -> list[Tidy]:
    """The tables of a file's flow curves; notes of the file go with the first."""
    seen: dict[str, int] = {}
    tests: dict[str, Tidy] = {}
    points: dict[tuple[str, tuple[tuple[str, str | None], ...]], Tidy] = {}
    sheets = {curve.grid.name for curve in curves}
    for curve in curves:
        found = [_point(*place) for place in _rows(curve)]
        of = identifier(curve.name, [value for point in found for value in point.printed])
        if of in seen:
            notes.append(
                f"test '{curve.name}' stands twice in the file (lines {seen[of]} and "
                f"{curve.line}), with the same points: taken once"
            )
            continue
        seen[of] = curve.line
        sheet = f"{curve.grid.name}: " if len(sheets) > 1 else ""
        _settle_viscosities(found)
        test = tests.setdefault(curve.grid.name, _tests_tidy(f"{sheet}flow curves"))
        test.rows.append((curve.line, _test_cells(of, curve, found, instrument)))
        for running, point in enumerate(found, start=1):
            units = _point_units(point)
            group = (curve.grid.name, tuple(units.items()))
            if group not in points:
                others = sum(of_sheet == curve.grid.name for of_sheet, _ in points)
                suffix = f" ({others + 1})" if others else ""
                points[group] = Tidy("flow_points", f"{sheet}points{suffix}", units)
            given = {"flow_test_id": of, "point": str(running), "interval": point.interval}
            row = tuple((given | point.cells).get(column, "") for column in units)
            points[group].rows.append((point.line, row))
    if not tests:
        raise refuse(path, "no flow curve with points was found.", "Export the test again.")
    found_tables = [*tests.values(), *points.values()]
    found_tables[0].notes = list(dict.fromkeys(notes))
    return found_tables


def _rows(curve: Curve) -> Iterator[tuple[str, Table, int, list[str]]]:
    for interval, table in curve.intervals:
        for line, cells in table.rows:
            yield interval, table, line, cells


def _point(interval: str, table: Table, line: int, row: list[str]) -> Point:
    cells = {column: table.cell(row, name) for name, column in COLUMNS.items()}
    place = table.places.get("status")
    status = row[place] if place is not None else ""
    numbering = row[table.places["point"]] if "point" in table.places else ""
    flagged = re.search(r"inval|ungült", numbering, re.IGNORECASE)
    if flagged:
        status = f"{status} ({numbering})".strip()
    if "step" in table.places and not interval:
        interval = table.cell(row, "step")
    cells |= {"status": status, "viscosity_note": ""}
    rate, stress, viscosity = (
        _converted(table, name, cells[COLUMNS[name]]) for name in ("rate", "stress", "viscosity")
    )
    printed = tuple(number(cells[COLUMNS[name]]) for name in ("rate", "stress", "viscosity"))
    return Point(line, interval, table, cells, rate, stress, viscosity, printed, usable=not flagged)


def _converted(table: Table, quantity: str, cell: str) -> float | None:
    value = number(cell)
    both = conversion(table.units.get(quantity) or "", COLUMNS[quantity])
    if value is None or both is None:
        return None
    return float(f"{value * both[0] + both[1]:.15g}")


def _point_units(point: Point) -> dict[str, str | None]:
    table = point.table
    units: dict[str, str | None] = {"flow_test_id": None, "point": None, "interval": None}
    for quantity, column in COLUMNS.items():
        if quantity in table.places:
            units[column] = table.units[quantity]
        elif quantity == "viscosity":
            units[column] = None
        if quantity == "viscosity":
            units["viscosity_note"] = None
    return units | {"status": None}


# -- viscosities of points -----------------------------------------------------------------


@dataclass(frozen=True)
class _Precision:
    """How finely a column is printed. Zeros at the end do not count: workbooks have none."""

    decimals: int
    digits: int

    @classmethod
    def of(cls, cells: Iterator[str]) -> _Precision:
        values = [Decimal(cell).normalize() for cell in cells if number(cell)]
        exponents = [int(value.as_tuple().exponent) for value in values]
        digits = [len(value.as_tuple().digits) for value in values]
        return cls(max((-exponent for exponent in exponents), default=0), max(digits, default=0))

    def digits_of(self, cell: str) -> int:
        return min(Decimal(cell).adjusted() + 1 + self.decimals, self.digits)


def _settle_viscosities(points: list[Point]) -> None:
    """Empty what is no viscosity, and take stress over rate where the print is too coarse."""
    for table in {id(point.table): point.table for point in points}.values():
        own = [point for point in points if point.table is table]
        fine = {
            column: _Precision.of(point.cells[column] for point in own)
            for column in ("viscosity_pa_s", "shear_stress_pa")
        }
        for point in own:
            _settle_viscosity(point, fine["viscosity_pa_s"], fine["shear_stress_pa"])


def _settle_viscosity(point: Point, fine: _Precision, stress_fine: _Precision) -> None:
    cells, table = point.cells, point.table
    cell = cells["viscosity_pa_s"]
    implied = None
    if point.rate and point.stress and point.rate > 0 and point.stress > 0:
        implied = point.stress / point.rate
        implied = implied if math.isfinite(implied) else None
    if "viscosity" not in table.places:
        if implied is not None:
            point.viscosity = float(f"{implied:.15g}")
            cells["viscosity_pa_s"] = written(implied)
            cells["viscosity_note"] = "stress over rate: the file prints no viscosity"
        return
    unit = table.units["viscosity"] or ""
    if point.viscosity is None:
        if not cell:
            cells["viscosity_note"] = "none printed"
        return
    if point.viscosity <= 0:
        cells["viscosity_pa_s"] = ""
        printed = written(float(cell))  # alike from text and from a workbook
        cells["viscosity_note"] = f"printed as {printed} {unit}: at or below zero, no viscosity"
        point.viscosity = None
        return
    digits = fine.digits_of(cell)
    if implied is None or digits >= _FEW_DIGITS:
        return
    factor = (conversion(unit, "viscosity_pa_s") or (1.0, 0.0))[0]
    shown = implied / factor
    near = abs(shown - float(cell)) <= 0.02 * float(cell) + 10.0**-fine.decimals
    if near and stress_fine.digits_of(cells["shear_stress_pa"]) > digits:
        cells["viscosity_pa_s"] = written(shown)
        printed = written(float(cell))
        cells["viscosity_note"] = f"stress over rate: printed as {printed} {unit}, too few digits"
        point.viscosity = float(f"{implied:.15g}")


def contradicts(rate: float, stress: float | None, viscosity: float) -> bool:
    """Whether the contract will hold the point back: viscosity is not stress over rate."""
    return stress is not None and abs(viscosity - stress / rate) > 0.1 * viscosity + 1e-4


# -- the test: viscosities at rates --------------------------------------------------------

_SAME_RATE = 1e-3
_AT_THE_END = 1e-6
_WIDEST_GAP = 10.0
_HYSTERESIS = 0.1


@dataclass(frozen=True)
class Knot:
    """A measured rate and its viscosity, or the mean of the logarithms of those at one rate."""

    rate: float
    viscosity: float
    spread: float
    lowest: float
    highest: float


def knots(points: Sequence[tuple[float, float]]) -> list[Knot]:
    """Measured rates in order, each once."""
    groups: list[list[tuple[float, float]]] = []
    for rate, viscosity in sorted(points):
        if groups and rate <= groups[-1][0][0] * (1 + _SAME_RATE):
            groups[-1].append((rate, viscosity))
        else:
            groups.append([(rate, viscosity)])
    return [_knot(group) for group in groups]


def _knot(group: list[tuple[float, float]]) -> Knot:
    rates = [rate for rate, _ in group]
    values = [value for _, value in group]
    if len(set(values)) == len(set(rates)) == 1:
        return Knot(rates[0], values[0], 0.0, rates[0], rates[0])
    rate = math.exp(math.fsum(map(math.log, rates)) / len(rates))
    value = math.exp(math.fsum(map(math.log, values)) / len(values))
    return Knot(rate, value, max(values) / min(values) - 1, min(rates), max(rates))


def viscosity_at(curve: Sequence[Knot], target: float) -> tuple[float | None, str]:
    """The viscosity at a rate, or why there is none. Nothing is said beyond the measured range."""
    if not curve:
        return None, "no point has a viscosity"
    low, high = curve[0].lowest, curve[-1].highest
    if target < low * (1 - _AT_THE_END) or target > high * (1 + _AT_THE_END):
        return None, f"viscosities are measured from {low:g} to {high:g} 1/s"
    for knot in curve:
        if knot.lowest * (1 - _AT_THE_END) <= target <= knot.highest * (1 + _AT_THE_END):
            return knot.viscosity, ""
    above = next(i for i, knot in enumerate(curve) if knot.rate > target)
    left, right = curve[above - 1], curve[above]
    if right.rate > left.rate * _WIDEST_GAP * (1 + _AT_THE_END):
        return None, f"no point between {left.rate:g} and {right.rate:g} 1/s"
    share = math.log(target / left.rate) / math.log(right.rate / left.rate)
    return math.exp((1 - share) * math.log(left.viscosity) + share * math.log(right.viscosity)), ""


def _held(points: list[Point]) -> set[str]:
    """Intervals that hold one rate beside others that vary it: they prepare the sample."""
    spans = {}
    for name in {point.interval for point in points}:
        rates = [p.rate for p in points if p.interval == name and p.rate and p.rate > 0]
        if rates:
            spans[name] = (max(rates) / min(rates), len(rates))
    if not any(span > 2 for span, _ in spans.values()):
        return set()
    return {name for name, (span, count) in spans.items() if span < 1.05 and count > 1}


def _tests_tidy(sheet: str) -> Tidy:
    columns = (
        "flow_test_id",
        "test_name",
        "instrument",
        "temperature_degc",
        "temperature_source",
        "points",
        "points_without_viscosity",
        "shear_rate_min_1_s",
        "shear_rate_max_1_s",
        *TARGETS,
        "viscosity_note",
        "measured_at",
    )
    return Tidy("flow_tests", sheet, dict.fromkeys(columns))


def _test_cells(of: str, curve: Curve, points: list[Point], instrument: str) -> tuple[str, ...]:
    told = []
    held = _held(points)
    measured = []
    wrong = 0
    for point in points:
        if not (point.usable and point.rate and point.rate > 0 and point.viscosity):
            continue
        if contradicts(point.rate, point.stress, point.viscosity):
            wrong += 1
        elif point.interval not in held:
            measured.append((point.rate, point.viscosity))
    if held:
        names = ", ".join(sorted(held))
        told.append(f"interval {names} holds its rate and is left out of the values at rates")
    if wrong:
        told.append(f"{wrong} points contradict stress over rate and are left out")
    if flagged := sum(not point.usable for point in points):
        told.append(f"{flagged} points that the instrument calls invalid are left out")
    curve_knots = knots(measured)
    values = []
    empty: dict[str, list[str]] = {}
    for target in TARGETS.values():
        value, why = viscosity_at(curve_knots, target)
        values.append("" if value is None else written(value))
        if value is None:
            empty.setdefault(why, []).append(f"{target:g}")
    told += [f"no viscosity at {', '.join(rates)} 1/s: {why}" for why, rates in empty.items()]
    spread = max((knot.spread for knot in curve_knots), default=0.0)
    if spread > _HYSTERESIS:
        told.append(
            f"the same rate gives viscosities that differ by up to {100 * spread:.0f} % "
            "(up and down): the mean of their logarithms is taken"
        )
    temperature, source = _temperature(curve, points)
    without = sum(not point.cells["viscosity_pa_s"] for point in points)
    low, high = (
        (written(curve_knots[0].lowest), written(curve_knots[-1].highest))
        if curve_knots
        else ("", "")
    )
    return (
        *(of, curve.name, instrument, temperature, source, str(len(points)), str(without)),
        *(low, high, *values, "; ".join(told), curve.measured_at),
    )


_IN_NAME = re.compile(r"(?<![\d.,])(\d{1,3}(?:[.,]\d+)?)\s*(?:°\s*|deg\.?\s*)?C$")


def _temperature(curve: Curve, points: list[Point]) -> tuple[str, str]:
    """The mean of what was measured, or what the name ends with: `LO35C`, `slurry 25 °C`."""
    values = []
    for point in points:
        value = _converted(point.table, "temperature", point.cells["temperature_degc"])
        if value is not None:
            values.append(value)
    if values:
        return written(float(f"{math.fsum(values) / len(values):.9g}")), "measured"
    name = (curve.sample or curve.name).strip()
    found = _IN_NAME.search(name)
    if not found:
        return "", ""
    before = name[: found.start()]
    if re.search(r"(^|[\s_(])[-\u2212]\s*$", before):
        return "", ""  # a dash after a blank could be a minus sign
    return written(float(found[1].replace(",", "."))), "name_of_test"
