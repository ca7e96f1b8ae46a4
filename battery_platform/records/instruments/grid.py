"""The cells of an instrument's file, and the tables with units that stand among them.

Cells are text, with the line they stand in, out of text files, xlsx and xls. `heads` gives the
first of them in bounded time, for a reader to recognise its files. What the columns mean is the
readers' business.
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
from functools import lru_cache
from pathlib import Path

from battery_platform.contracts.units import conversion, is_unit
from battery_platform.errors import RefusedFile
from battery_platform.records.cyclers.lines import is_whole
from battery_platform.records.reading import (
    HEAD_BYTES,
    encoding_of,
    exact_cells,
    guard_zip,
    kind_of,
    look,
    refuse,
    sniff_decimal,
    sniff_encoding,
)
from battery_platform.settings import MIB, Settings

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
    """The cells of a text file or of one sheet, each row with its line number."""

    name: str
    rows: list[Row]
    decimal: str
    unfinished: bool = False
    """The text ends without a line end."""


def grids(path: Path, known: Callable[[list[str]], int]) -> list[Grid]:
    """All cells of a file; the delimiter is the one for which `known` counts most columns."""
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
        guard_zip(path, settings)
    sheets = []
    try:
        book = fastexcel.read_excel(path)
        for name in book.sheet_names:
            frame = exact_cells(book, name)
            rows = [
                (line, [(cell or "").strip() for cell in cells])
                for line, cells in enumerate(frame.iter_rows(), start=1)
            ]
            sheets.append(Grid(name, rows, _decimal(rows)))
    except RefusedFile:
        raise
    except Exception as error:  # fastexcel raises its own family
        raise refuse(path, f"the workbook cannot be read ({error}).", "Save it again.") from error
    return sheets


def heads(path: Path) -> list[list[list[str]]]:
    """The first rows of a file, once per delimiter or sheet; empty if it cannot be read."""
    try:
        head = _first_bytes(path)
        if head.startswith(ZIP):
            return list(_xlsx_heads(path))
        if head.startswith(OLE):
            return list(_xls_heads(path))
        text = _decoded(path, head)
        return [[cells for _, cells in _split(text, delimiter)] for delimiter in DELIMITERS]
    except Exception:  # whatever a foreign file does to a parser, it is not of this kind
        return []


def head_text(path: Path) -> str:
    """The beginning of a text file; empty for any other."""
    try:
        return _decoded(path, _first_bytes(path))
    except (OSError, RefusedFile):
        return ""


def _first_bytes(path: Path) -> bytes:
    return look(path).head[:HEAD_BYTES]


def _decoded(path: Path, head: bytes) -> str:
    return head.decode(sniff_encoding(path, head), "replace").removeprefix("\ufeff")


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
    """Rows from the first bytes of the XML; a library would unpack all of it, even a zip bomb."""
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
    """A cell with a decimal point; a cell that is not a number is left as it is.

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
    """The number in a cell with a decimal point, or None."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def written(value: float) -> str:
    """A number as text, without noise in its last bits."""
    return repr(float(f"{value:.15g}"))


_LONGEST_UNIT = 16


def name_and_unit(header: str) -> tuple[str, str | None]:
    """A column's name in the form used for comparison, and the unit in its header's brackets."""
    text = " ".join(unicodedata.normalize("NFC", header).split())
    match = _BRACKETED.match(text)
    unit = (match[2] or match[3] or "").strip() if match else ""
    if match and 0 < len(unit) <= _LONGEST_UNIT and is_unit(unit):
        return match[1].strip(" :_").casefold(), unit
    return text.strip(" :").casefold(), None


@lru_cache(maxsize=16)
def _known_beginnings(names: tuple[tuple[str, ...], ...]) -> frozenset[str]:
    """The first letters of all names, by which most cells of foreign files are ruled out at once."""
    return frozenset(name[:2] for candidates in names for name in candidates)


def places_of(header: Sequence[str], names: Names) -> dict[str, int]:
    """The position of each quantity: the first column with the most preferred of its names."""
    known = _known_beginnings(tuple(names.values()))
    titles = [name_and_unit(cell)[0] if cell[:2].casefold() in known else "" for cell in header]
    places = {}
    for quantity, candidates in names.items():
        place = next((titles.index(name) for name in candidates if name in titles), None)
        if place is not None:
            places[quantity] = place
    return places


_DAY_FIRST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:[ ,T]+(\d{1,2}:\d\d(?::\d\d)?))?")
_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[ ,T]+(\d{1,2}:\d\d(?::\d\d)?))?")


def moment_of(text: str) -> str:
    """Date and time as ISO; empty if day and month cannot be told apart."""
    text = text.strip()
    if re.search(r"\b[AaPp]\.?[Mm]\b", text):
        return ""
    if match := _YEAR_FIRST.match(text):
        year, month, day, clock = match.groups()
    elif match := _DAY_FIRST.match(text):
        day, mark, month, year, clock = match.groups()
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


# -- tables within the cells ---------------------------------------------------------------


@dataclass
class Table:
    """A header with its units, and the rows below it."""

    line: int
    header: list[str]
    places: dict[str, int]
    units: dict[str, str | None]
    labelled: bool
    """Whether the header begins with a label, below which rows leave a cell empty."""
    decimal: str
    rows: list[Row] = field(default_factory=list)

    def cell(self, cells: list[str], quantity: str) -> str:
        place = self.places.get(quantity)
        return plain(cells[place], self.decimal) if place is not None else ""

    def add(self, line: int, cells: list[str]) -> None:
        """Take a row; one that does not leave the label's cell empty begins a cell early."""
        if self.labelled and cells and cells[0]:
            cells = ["", *cells]
        self.rows.append((line, cells))


def open_table(
    grid: Grid, position: int, names: Names, columns: dict[str, str], labelled: bool = False
) -> tuple[Table, int]:
    """The table with its header at `position`, and the position of its first row.

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
    """A unit without brackets; `mNm` gets the dot that makes it unambiguous."""
    return re.sub(r"^([mkµμu]?N)m$", r"\1·m", unit.strip("[]()<> "))


def take_rows(
    path: Path,
    grid: Grid,
    table: Table,
    position: int,
    ends: Callable[[list[str]], bool],
    notes: list[str],
    label: str | None = None,
) -> int:
    """Give a table its rows from `position` up to the one that `ends` it; returns its position.

    `label` is how rows begin that fill the label's cell.
    """
    while position < len(grid.rows) and not ends(grid.rows[position][1]):
        line, cells = grid.rows[position]
        if any(cells):
            begins = label is not None and cells[0].casefold().startswith(label)
            table.add(line, ["", *cells[1:]] if begins else cells)
        position += 1
    if not _settle_rows(table, grid, notes):
        raise refuse(
            path,
            f"the lines below line {table.line} have more fields than their header: commas stand "
            "in numbers and between them.",
            "Export it with tabs or semicolons between the fields.",
        )
    return position


def _may_be_cut(cells: list[str], above: list[tuple[int, list[str]]], width: int) -> bool:
    """Whether the last line may have been cut off by the end of the file."""
    if len(cells) != width:
        return len(cells) < width
    return not is_whole(cells[-1], [row[-1] for _, row in above])


def _settle_rows(table: Table, grid: Grid, notes: list[str]) -> bool:
    """Bring rows to the header's width; returns whether cells can be assigned to columns.

    A last line that was cut is emptied, so that half a number is not taken for a whole one.
    """
    width = len(table.header)
    last = grid.rows[-1][0] if grid.rows else 0
    wide = 0
    settled: list[tuple[int, list[str]]] = []
    for line, cells in table.rows:
        if grid.unfinished and line == last and _may_be_cut(cells, settled, width):
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
