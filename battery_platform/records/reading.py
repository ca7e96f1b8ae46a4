"""Bytes to cells of text: what kind of file it is, its encoding, delimiter, header and rows.

Everything is read as text, with the line it came from, so that a bad value can be shown as it
stood. What a column means is `mapping`'s business.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from battery_platform.contracts.units import is_unit
from battery_platform.errors import RefusedFile
from battery_platform.settings import MIB, Settings

BATCH_ROWS = 200_000
DELIMITERS = (";", "\t", ",", "|")
SAMPLE_BYTES = MIB // 4
HEAD_BYTES = 64 * 1024

STRAY_BYTES, STRAY_SHARE = 2, 1e-3
"""Control bytes that a faulty line puts into a text; a binary file has many more."""
_NO_TABLES = (b"\x89PNG", b"%PDF")

csv.field_size_limit(16 * MIB)

if TYPE_CHECKING:
    import fastexcel


@dataclass(frozen=True)
class Dialect:
    """How a delimited text file is written."""

    encoding: str
    delimiter: str
    decimal: str


@dataclass
class Batch:
    """Consecutive rows: cells as text in columns `c0`, `c1`, ... and their row numbers."""

    cells: pl.DataFrame
    ragged: list[tuple[int, int, str]] = field(default_factory=list)


@dataclass
class Sheet:
    """One table of a file. `rows` may be walked once."""

    name: str
    header: list[str]
    header_row: int
    first_row: int
    """Number of the first line below header and units."""
    rows: Iterator[Batch]
    dialect: Dialect | None = None
    notes: list[str] = field(default_factory=list)
    again: Callable[[], Iterator[Batch]] | None = None
    """Yields the rows again, if they cannot be read from the file a second time."""


def refuse(path: Path, says: str, remedy: str) -> RefusedFile:
    return RefusedFile(f"{readable_name(path)}: {' '.join(says.split())}", remedy)


def readable_name(path: Path) -> str:
    """A file's name as text, even if its bytes are not valid text."""
    return os.fsencode(path.name).decode("utf-8", "replace")


@dataclass(frozen=True)
class Look:
    """The first bytes of a file, enough to tell what it is; of a small file all of them."""

    head: bytes
    size: int

    @property
    def whole(self) -> bool:
        return len(self.head) == self.size


def look(path: Path) -> Look:
    """The first bytes of a file, read once for all who ask what it is.

    What changed a moment ago may change again without its time showing it, and is read anew.
    """
    stat = path.stat()
    state = (path, stat.st_size, stat.st_mtime_ns, stat.st_ino)
    settled = time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > FRESH_NS
    return _remembered_look(*state) if settled else _remembered_look.__wrapped__(*state)


FRESH_NS = 50_000_000


@lru_cache(maxsize=8)
def _remembered_look(path: Path, size: int, changed: int, inode: int) -> Look:
    with path.open("rb") as stream:
        return Look(stream.read(SAMPLE_BYTES), size)


def kind_of(path: Path) -> str:
    """`parquet`, `workbook` or `text`, judged by content; the file name does not matter."""
    try:
        if path.is_dir():
            raise refuse(path, "this is a folder.", "Name the files in it.")
        seen = look(path)
        size, head = seen.size, seen.head[:HEAD_BYTES]
    except FileNotFoundError as error:
        raise refuse(path, "there is no such file.", f"Looked for {path.absolute()}.") from error
    except OSError as error:
        raise refuse(
            path, f"the file cannot be read ({error.strerror}).", "Check its permissions."
        ) from error
    if size == 0 or not head.strip(b"\x00\r\n\t ,;\xef\xbb\xbf\xff\xfe"):
        raise refuse(path, "the file is empty.", "Export it again; nothing was stored.")
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return "workbook"
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return "workbook"
    if head.startswith((b"\x1f\x8b", b"BZh", b"7z\xbc\xaf", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        raise refuse(
            path, "this is a compressed archive.", "Unpack it and hand in the files in it."
        )
    sniff_encoding(path, head)
    return "text"


def sniff_encoding(path: Path, head: bytes) -> str:
    """Encoding of a text file, judged by its first bytes; a file that is not text is refused."""
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(head) >= 4 and head[1::2].count(0) > 0.4 * len(head[1::2]) and 0 not in head[0:20:2]:
        return "utf-16-le"
    if len(head) >= 4 and head[0::2].count(0) > 0.4 * len(head[0::2]) and 0 not in head[1:21:2]:
        return "utf-16-be"
    control = sum(head.count(bytes([code])) for code in (*range(9), *range(14, 27), *range(28, 32)))
    if head.startswith(_NO_TABLES) or control > STRAY_BYTES + STRAY_SHARE * len(head):
        kind = "a PNG picture" if head.startswith(b"\x89PNG") else "a binary file"
        kind = "a PDF document" if head.startswith(b"%PDF") else kind
        raise refuse(
            path,
            f"this is {kind}, not a table.",
            "Hand in CSV, TSV, XLSX or Parquet; other instruments' files have readers of their own.",
        )
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=False)
    except UnicodeDecodeError:
        return "cp1252" if not any(byte in head for byte in b"\x81\x8d\x8f\x90\x9d") else "latin-1"
    return "utf-8"


def encoding_of(path: Path) -> str:
    """Encoding of the whole file, as a single late byte can rule out UTF-8."""
    seen = look(path)
    encoding = sniff_encoding(path, seen.head[:HEAD_BYTES])
    if encoding not in {"utf-8", "utf-8-sig"}:
        return encoding
    decoder = codecs.getincrementaldecoder("utf-8")()
    with io.BytesIO(seen.head) if seen.whole else path.open("rb") as stream:
        try:
            while block := stream.read(4 * MIB):
                if not block.isascii() or decoder.getstate()[0]:
                    decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return encoding


def sniff_delimiter(sample: str) -> str | None:
    """The delimiter whose count varies least from line to line, or None."""
    lines = [line for line in sample.splitlines() if line.strip()][:60]
    best: tuple[float, int, str] | None = None
    for delimiter in DELIMITERS:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        common = max(set(widths), key=lambda width: (widths.count(width), width), default=1)
        if common < 2:
            continue
        score = (widths.count(common) / len(widths), common, delimiter)
        best = max(best, score) if best else score
    return best[2] if best and best[0] >= 0.5 else None


_COMMA_NUMBER = re.compile(r"^[+-]?\d+,\d+$")
_POINT_NUMBER = re.compile(r"^[+-]?\d*\.\d+([eE][+-]?\d+)?$")
_BOTH_NUMBER = re.compile(r"^[+-]?\d{1,3}(\.\d{3})+,\d+$")


def sniff_decimal(cells: Iterator[str]) -> str:
    """The decimal mark of the numbers; a comma only if it cannot be the delimiter."""
    commas = points = 0
    for cell in cells:
        text = cell.strip()
        commas += bool(_COMMA_NUMBER.match(text)) + 2 * bool(_BOTH_NUMBER.match(text))
        points += bool(_POINT_NUMBER.match(text))
    return "," if commas > points else "."


def sheets(
    path: Path,
    settings: Settings,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header_row: int | None = None,
    only: str | None = None,
) -> list[Sheet]:
    """The tables of a file, or `only` one sheet; arguments that are given override detection."""
    kind = kind_of(path)
    if kind == "workbook":
        return _workbook(path, settings, header_row, only)
    if kind == "parquet":
        return [_parquet(path)]
    return [_delimited(path, encoding, delimiter, decimal, header_row)]


# -- delimited text ------------------------------------------------------------------------


def dialect_of(
    path: Path,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
) -> Dialect:
    """Encoding, delimiter and decimal mark of a text file."""
    encoding = encoding or encoding_of(path)
    try:
        seen = look(path)
        decoder = codecs.getincrementaldecoder(encoding)()
        sample = decoder.decode(seen.head, final=seen.whole)
    except (UnicodeError, LookupError) as error:
        raise refuse(
            path, f"the text is not {encoding}: {error}.", "Correct `encoding` in the mapping."
        ) from error
    sniffed = sniff_delimiter(sample)
    if delimiter is None:
        if sniffed is None:
            raise refuse(
                path,
                "no delimiter was found: the lines have no comma, semicolon, tab or bar in common.",
                "Name `delimiter` in the mapping, or export the table as CSV.",
            )
        delimiter = sniffed
    elif delimiter not in sample and sniffed is not None:
        raise refuse(
            path,
            f"the mapping says that {delimiter!r} separates the fields, the file uses {sniffed!r}.",
            f"Set `delimiter: {sniffed!r}` in the mapping.",
        )
    if decimal is None:
        reader = csv.reader(io.StringIO(sample), delimiter=delimiter)
        decimal = sniff_decimal(cell for row in islice(reader, 400) for cell in row)
    return Dialect(encoding, delimiter, decimal)


def _delimited(
    path: Path,
    encoding: str | None,
    delimiter: str | None,
    decimal: str | None,
    header_row: int | None,
) -> Sheet:
    dialect = dialect_of(path, encoding, delimiter, decimal)

    def lines() -> Iterator[tuple[int, list[str]]]:
        with path.open(encoding=dialect.encoding, newline="") as stream:
            reader = csv.reader(stream, delimiter=dialect.delimiter)
            before = 0
            try:
                for row in reader:
                    yield before + 1, row
                    before = reader.line_num
            except (csv.Error, UnicodeError) as error:
                raise refuse(
                    path,
                    f"line {before + 1} cannot be read: {error}.",
                    "Correct the line, or `encoding` in the mapping.",
                ) from error

    sheet = _sheet(path, "", lines(), header_row)
    sheet.dialect = dialect
    if _last_byte(path) not in b"\r\n\x00":
        sheet.notes.append("the last line has no line end: check that the file is complete")
    return sheet


def _last_byte(path: Path) -> bytes:
    seen = look(path)
    if seen.whole:
        return seen.head[-1:]
    with path.open("rb") as stream:
        stream.seek(-1, io.SEEK_END)
        return stream.read(1)


def _sheet(
    path: Path, name: str, lines: Iterator[tuple[int, list[str]]], header_row: int | None
) -> Sheet:
    """The sheet whose header is found among the first lines; the rows follow it."""
    head = list(islice(lines, 80))
    rows = [(number, [cell.strip() for cell in row]) for number, row in head]
    if header_row == 0:
        width = max((len(row) for _, row in rows), default=0)
        header = [f"#{position}" for position in range(1, width + 1)]
        return Sheet(name, header, 0, 1, _batches(width, iter(head), lines))
    position = _find_header(rows) if header_row is None else _at_line(rows, header_row)
    if position is None:
        what = f"sheet '{name}'" if name else "the file"
        raise refuse(
            path,
            f"{what} has no header line with column names.",
            "Give the table a header, or name `header_row` (0 for none) in the mapping.",
        )
    number, header = rows[position]
    following = position + 1
    if following < len(rows) and _is_unit_row(rows[following][1]):
        units = rows[following][1]
        header = [
            f"{title} [{unit}]" if unit else title
            for title, unit in zip(header, units + [""] * len(header), strict=False)
        ]
        following += 1
    while header and not header[-1]:
        header.pop()
    if not any(any(row) for _, row in rows[following:]):
        later = list(islice(lines, 1))
        if not later:
            raise refuse(
                path,
                "there is a header but no row below it.",
                "Export the table with its rows; nothing was stored.",
            )
        head = [*head, *later]
    first_row = head[following][0] if following < len(head) else number + 1
    return Sheet(
        name, header, number, first_row, _batches(len(header), iter(head[following:]), lines)
    )


def _at_line(rows: list[tuple[int, list[str]]], line: int) -> int | None:
    return next((position for position, (number, _) in enumerate(rows) if number == line), None)


def _find_header(rows: list[tuple[int, list[str]]]) -> int | None:
    """The first line of words that is as wide as the table below it is."""
    filled = [sum(1 for cell in row if cell) for _, row in rows]
    widest = sorted(filled)[int(0.75 * (len(filled) - 1))] if filled else 0
    for position, (_, row) in enumerate(rows):
        words = [cell for cell in row if cell]
        if len(words) < max(2, 0.6 * widest):
            continue
        numeric = sum(1 for cell in words if _looks_like_number(cell))
        if numeric <= 0.25 * len(words):
            return position
    return None


def _looks_like_number(cell: str) -> bool:
    return bool(re.match(r"^[+-]?[\d.,]+([eE][+-]?\d+)?\s*%?$", cell))


def _is_unit_row(row: list[str]) -> bool:
    words = [cell for cell in row if cell]
    if not words or any(_looks_like_number(word) for word in words):
        return False
    return all(is_unit(word) for word in words)


def _batches(width: int, *sources: Iterator[tuple[int, list[str]]]) -> Iterator[Batch]:
    numbers: list[int] = []
    columns: list[list[str]] = [[] for _ in range(width)]
    ragged: list[tuple[int, int, str]] = []

    def flush() -> Batch:
        cells = pl.DataFrame(
            {"row_number": numbers} | {f"c{i}": values for i, values in enumerate(columns)},
            schema={"row_number": pl.Int64} | {f"c{i}": pl.String for i in range(width)},
        )
        return Batch(cells, list(ragged))

    for source in sources:
        for number, row in source:
            if not any(cell and not cell.isspace() for cell in row):
                continue
            extra = row[width:]
            if len(row) < width or any(cell.strip() for cell in extra):
                ragged.append((number, len(row), "\x1f".join(row)))
                continue
            numbers.append(number)
            for position, values in enumerate(columns):
                values.append(row[position])
            if len(numbers) == BATCH_ROWS:
                yield flush()
                numbers, columns, ragged = [], [[] for _ in range(width)], []
    if numbers or ragged:
        yield flush()


# -- workbooks and Parquet -----------------------------------------------------------------


@dataclass
class _Extent:
    """The extent of a workbook's cells, as readers allocate all cells in between."""

    rows: int = 0
    columns: int = 0
    rest: bytes = b""

    def see(self, block: bytes) -> None:
        """Take in a block of a sheet's XML."""
        for letters, number in _CELL.findall(self.rest + block):
            self.rows = max(self.rows, int(number))
            column = 0
            for letter in letters:
                column = 26 * column + letter - 64
            self.columns = max(self.columns, column)
        self.rest = block[-16:]


_CELL = re.compile(rb'r="([A-Z]{1,3})(\d{1,7})"')
MAX_CELLS = 40_000_000


def guard_zip(path: Path, settings: Settings) -> None:
    """Unpack without keeping anything, so that a zip bomb is refused by its size."""
    limit = settings.max_workbook_mib * MIB
    total = 0
    extent = _Extent()
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if not any(name.startswith("xl/") for name in names):
                raise refuse(
                    path,
                    "this is a zip archive, not a workbook.",
                    "Unpack it and hand in its files.",
                )
            for name in names:
                with archive.open(name) as member:
                    while block := member.read(1 * MIB):
                        total += len(block)
                        if name.startswith("xl/worksheets/"):
                            extent.see(block)
                        if total > limit:
                            raise refuse(
                                path,
                                f"the workbook unpacks to more than {settings.max_workbook_mib} MiB.",
                                "Save the sheet as CSV, which is streamed, or raise "
                                "BATTERY_PLATFORM_MAX_WORKBOOK_MIB.",
                            )
                extent.rest = b""
        if extent.rows * extent.columns > MAX_CELLS:
            raise refuse(
                path,
                f"a sheet reaches to row {extent.rows} and column {extent.columns}, "
                f"{extent.rows * extent.columns:,} cells in all.",
                "Delete the stray cell at its end, or save the table as CSV.",
            )
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise refuse(
            path, f"the workbook is damaged ({error}).", "Save it again from Excel."
        ) from error


def _workbook(
    path: Path, settings: Settings, header_row: int | None, only: str | None
) -> list[Sheet]:
    import fastexcel

    if zipfile.is_zipfile(path) or path.read_bytes()[:2] == b"PK":
        guard_zip(path, settings)
    elif path.stat().st_size > settings.max_workbook_mib * MIB:
        raise refuse(path, "the workbook is too large.", "Save the sheet as CSV.")
    tables = []
    try:
        book = fastexcel.read_excel(path)
        for name in book.sheet_names:
            if only is not None and name != only and only in book.sheet_names:
                continue
            frame = exact_cells(book, name)
            if frame.is_empty():
                continue
            lines = (
                (number, ["" if cell is None else cell for cell in row])
                for number, row in enumerate(frame.iter_rows(), start=1)
            )
            tables.append((name, lines))
    except RefusedFile:
        raise
    except Exception as error:  # fastexcel raises its own family and Rust panics
        raise refuse(path, f"the workbook cannot be read ({error}).", "Save it again.") from error
    if not tables:
        raise refuse(path, "the workbook has no filled sheet.", "Export it again.")
    made: list[Sheet] = []
    skipped: list[str] = []
    for name, lines in tables:
        try:
            sheet = _sheet(path, name, lines, header_row)
        except RefusedFile as error:
            if len(tables) == 1:
                raise
            skipped.append(f"sheet '{name}' was not taken: {error.says}")
            continue
        sheet.dialect = Dialect("utf-8", "", ".")
        made.append(sheet)
    if not made:
        raise refuse(path, "no sheet has a header line.", "Give the table a header line.")
    made[0].notes += skipped
    return made


_FORMULA_ERRORS = {
    "Div0": "#DIV/0!",
    "NA": "#N/A",
    "Name": "#NAME?",
    "Null": "#NULL!",
    "Num": "#NUM!",
    "Ref": "#REF!",
    "Value": "#VALUE!",
}


def exact_cells(book: fastexcel.ExcelReader, name: str) -> pl.DataFrame:
    """Cells as text with every digit; read as strings they would be rounded to nine decimals.

    A formula that failed reads as Excel shows it, so that it is not taken for an empty cell.
    """
    cells, errors = book.load_sheet(
        name, dtypes="string", header_row=None, skip_rows=0, skip_whitespace_tail_rows=True
    ).to_arrow_with_errors()
    text = pl.DataFrame(pl.from_arrow(cells))
    exact = book.load_sheet(
        name,
        dtypes="float",
        dtype_coercion="coerce",
        header_row=None,
        skip_rows=0,
        skip_whitespace_tail_rows=True,
    ).to_polars()
    repaired = []
    for column in text.columns:
        rounded = text[column].cast(pl.Float64, strict=False)
        value = exact[column] if column in exact.columns else pl.Series([None] * text.height)
        differs = (rounded != value.cast(pl.Float64)).fill_null(False)
        repaired.append(value.cast(pl.String).zip_with(differs, text[column]).alias(column))
    for error in errors.errors if errors else []:
        row, column_number = error.position
        kind = re.search(r"Error\((\w+)\)", error.detail)
        if kind and row < text.height and column_number < len(repaired):
            shown = _FORMULA_ERRORS.get(kind[1], f"#{kind[1]}")
            repaired[column_number] = repaired[column_number].scatter(row, shown)
    return pl.DataFrame(repaired)


def _parquet(path: Path) -> Sheet:
    try:
        frame = pl.scan_parquet(path)
        header = frame.collect_schema().names()
        height = frame.select(pl.len()).collect().item()
    except Exception as error:
        raise refuse(path, f"the Parquet file is damaged ({error}).", "Write it again.") from error

    if height == 0:
        raise refuse(path, "there are columns but no row.", "Write it again with its rows.")

    def rows() -> Iterator[Batch]:
        for start in range(0, height, BATCH_ROWS):
            try:
                batch = frame.slice(start, BATCH_ROWS).collect()
            except pl.exceptions.PolarsError as error:
                raise refuse(
                    path, f"the Parquet file is damaged ({error}).", "Write it again."
                ) from error
            cells = batch.select(
                pl.int_range(start + 1, start + batch.height + 1, dtype=pl.Int64).alias(
                    "row_number"
                ),
                *[
                    _as_text(batch.schema[name], name).fill_null("").alias(f"c{i}")
                    for i, name in enumerate(header)
                ],
            )
            yield Batch(cells)

    return Sheet("", list(header), 0, 1, rows(), Dialect("utf-8", "", "."))


def _as_text(dtype: pl.DataType, name: str) -> pl.Expr:
    value = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone:
            return value.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%d %H:%M:%S%.f+00:00")
        return value.dt.strftime("%Y-%m-%d %H:%M:%S%.f")
    if isinstance(dtype, pl.List | pl.Struct | pl.Array | pl.Binary):
        return pl.lit(None, dtype=pl.String)
    return value.cast(pl.String)


def first_cells(sheet: Sheet) -> pl.DataFrame:
    """The first batch of a sheet, which stays in front of the others."""
    first = next(sheet.rows, None)
    if first is None:
        return pl.DataFrame(schema={f"c{i}": pl.String for i in range(len(sheet.header))})
    sheet.rows = chain([first], sheet.rows)
    return first.cells


def goes_on(sheet: Sheet) -> bool:
    """Whether a sheet has more rows than its first batch; both stay in front of the others."""
    ahead = list(islice(sheet.rows, 2))
    sheet.rows = chain(ahead, sheet.rows)
    return len(ahead) > 1
