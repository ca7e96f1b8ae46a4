"""Arbin's .res file: an Access database, whose pages are read directly.

A Jet 4 file is a row of pages of 4096 bytes. A page of type 2 defines a table: its columns and
the number of its rows. A page of type 1 holds rows of the table it names as its owner. The rows
of one table have their fixed columns at fixed places, so that all of them are cut out at once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from battery_platform.records.cyclers import formats
from battery_platform.records.cyclers.judging import Judge
from battery_platform.records.cyclers.model import Block, LeftOut, PositiveCurrent, Stream
from battery_platform.records.reading import refuse

MAGIC = (b"\x00\x01\x00\x00Standard Jet DB\x00", b"\x00\x01\x00\x00Standard ACE DB\x00")
PAGE = 4096
DATA, DEFINITION = 1, 2
_DTYPES = {2: "u1", 3: "<i2", 4: "<i4", 5: "<i8", 6: "<f4", 7: "<f8", 8: "<f8"}
BOOLEAN, TEXT = 1, 10
_DELETED, _ELSEWHERE, _PLACE = 0x8000, 0x4000, 0x1FFF
_LOCAL_TABLE = 1
_EPOCH_DAYS = 25569
"""Days from 1899-12-30, where the dates of Access begin, to 1970-01-01."""
_WANTED = {
    "Data_Point": "record",
    "Test_Time": "test_time_s",
    "Step_Time": "step_time_s",
    "Voltage": "voltage_v",
    "Current": "current_a",
    "Cycle_Index": "cycle",
    "Step_Index": "step",
    "Charge_Capacity": "charge_ah",
    "Discharge_Capacity": "discharge_ah",
    "Charge_Energy": "charge_wh",
    "Discharge_Energy": "discharge_wh",
}
_KEPT = ("Charge_Capacity", "Discharge_Capacity", "Charge_Energy", "Discharge_Energy")


@dataclass(frozen=True)
class Field:
    """A column of a table: its place within a row."""

    name: str
    type: int
    number: int
    fixed: bool
    offset: int
    variable: int


@dataclass(frozen=True)
class Table:
    """A table of the database: its columns and the number of rows that it states."""

    page: int
    rows: int
    fields: dict[str, Field]


class Database:
    """The pages of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = path.read_bytes()
        if len(self.bytes) % PAGE or len(self.bytes) < 4 * PAGE:
            raise self.cut(f"its {len(self.bytes)} bytes are no whole number of pages")
        if self.bytes[0x14] == 0:
            raise refuse(
                path,
                "this is an Access database of before 2000 (Jet 3).",
                "Open it in Arbin's Data Pro and export as CSV.",
            )
        self.pages = np.frombuffer(self.bytes, dtype=np.uint8).reshape(-1, PAGE)
        self.owners = self.pages[:, 4:8].copy().view("<u4").ravel()

    def cut(self, why: str) -> Exception:
        return refuse(
            self.path,
            f"the file is cut or damaged: {why}.",
            "Copy it again from the cycler's computer after the test was closed; nothing was stored.",
        )

    def tables(self) -> list[Table]:
        """Every table that can be read from its definition."""
        pages = np.flatnonzero((self.pages[:, 0] == DEFINITION) & (self.pages[:, 1] == 1))
        follow = {
            int(page)
            for page in self.pages[pages, 4:8].copy().view("<u4").ravel()
            if 0 < page < len(self.pages)
        }
        return [self._table(int(page)) for page in pages if int(page) not in follow]

    def check_catalogue(self, tables: list[Table]) -> None:
        """Refuse a file in which a table of the catalogue is missing, as its end is lost."""
        catalogue = next((t for t in tables if {"Id", "Type", "ParentId"} <= set(t.fields)), None)
        if catalogue is None:
            return
        begins, _ = self.rows(catalogue)
        columns = self.fixed(catalogue, begins)
        for page in columns["Id"][columns["Type"] == _LOCAL_TABLE] & 0xFFFFFF:
            if page >= len(self.pages) or self.pages[page, 0] != DEFINITION:
                raise self.cut(f"a table is to begin on page {page} of {len(self.pages)}")

    def _table(self, page: int) -> Table:
        raw = self._definition(page)
        rows, names = struct.unpack_from("<I", raw, 16)[0], {}
        columns, indices = (
            struct.unpack_from("<H", raw, 45)[0],
            struct.unpack_from("<I", raw, 51)[0],
        )
        at = 63 + 12 * indices
        shapes = [struct.unpack_from("<B4xH H 4x2xB5xH", raw, at + 25 * n) for n in range(columns)]
        at += 25 * columns
        for kind, number, variable, flags, offset in shapes:
            length = struct.unpack_from("<H", raw, at)[0]
            name = raw[at + 2 : at + 2 + length].decode("utf-16-le", "replace")
            names[name] = Field(name, kind, number, bool(flags & 1), offset, variable)
            at += 2 + length
        return Table(page, rows, names)

    def _definition(self, page: int) -> bytes:
        """A table's definition, which may run over several pages."""
        raw: bytes = self.pages[page].tobytes()
        following = struct.unpack_from("<I", raw, 4)[0]
        seen = {page}
        while following:
            if following >= len(self.pages) or following in seen:
                raise self.cut(f"the definition of a table on page {page} does not end")
            seen.add(following)
            more = self.pages[following].tobytes()
            raw += more[8:]
            following = struct.unpack_from("<I", more, 4)[0]
        return raw

    def rows(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """Begin and end of each row of a table that is not deleted, as offsets in the file."""
        begins, ends = [], []
        pages = np.flatnonzero((self.pages[:, 0] == DATA) & (self.owners == table.page))
        for page in pages:
            body = self.pages[page]
            count = int(body[12]) | int(body[13]) << 8
            if 14 + 2 * count > PAGE:
                raise self.cut(f"page {page} counts {count} rows")
            marks = body[14 : 14 + 2 * count].view("<u2")
            places = (marks & _PLACE).astype(np.int64)
            stops = np.concatenate(([PAGE], places[:-1]))
            alive = (marks & (_DELETED | _ELSEWHERE)) == 0
            begins.append(page * PAGE + places[alive])
            ends.append(page * PAGE + stops[alive])
        if not begins:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate(begins), np.concatenate(ends)

    def fixed(self, table: Table, begins: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of fixed width of all rows at once."""
        data = np.frombuffer(self.bytes, dtype=np.uint8)
        out = {}
        for field in table.fields.values():
            if field.fixed and field.type in _DTYPES:
                kind = np.dtype(_DTYPES[field.type])
                places = begins[:, None] + 2 + field.offset + np.arange(kind.itemsize)
                out[field.name] = data[places].view(kind).ravel()
        return out

    def texts(self, table: Table, begin: int, end: int) -> dict[str, str]:
        """The short texts of one row."""
        row = self.bytes[begin:end]
        count = struct.unpack_from("<H", row, 0)[0]
        mask = (count + 7) // 8
        held = struct.unpack_from("<H", row, len(row) - mask - 2)[0]
        out = {}
        for field in table.fields.values():
            if field.fixed or field.type != TEXT or field.variable >= held:
                continue
            at = len(row) - mask - 4 - 2 * field.variable
            start, stop = (
                struct.unpack_from("<H", row, at)[0],
                struct.unpack_from("<H", row, at - 2)[0],
            )
            raw = row[start:stop]
            packed = raw.startswith(b"\xff\xfe")
            text = raw[2:].decode("latin-1") if packed else raw.decode("utf-16-le", "replace")
            if text:
                out[field.name] = text.replace("\x00", "")
        return out


def open_res(path: Path, positive_current: PositiveCurrent = "charge") -> Stream:
    """A stream of a .res file, which is a single block."""
    database = Database(path)
    try:
        tables = database.tables()
        database.check_catalogue(tables)
        points = next(
            (t for t in tables if {"Test_Time", "Voltage", "Current"} <= set(t.fields)), None
        )
        if points is None:
            raise refuse(
                path,
                "the database has no table of a channel's points.",
                "Hand in the .res file of one test, as Arbin's software writes it.",
            )
        frame = _points(database, points)
        metadata = _metadata(database, tables)
    except (struct.error, LookupError, ValueError, OverflowError) as error:
        raise database.cut(f"a page cannot be read ({error})") from error
    notes: list[str] = []
    left_out = tuple(
        LeftOut(name, "no quantity of a cycler's points")
        for name in points.fields
        if name not in {*_WANTED, "DateTime", "Test_ID"}
    )
    if any("Auxiliary_Index" in t.fields and "X" in t.fields and t.rows for t in tables):
        notes.append("auxiliary channels (temperatures) are in the file and were not read")
    judge = Judge(
        path,
        formats.ARBIN_RES,
        notes,
        record_name="Data_Point",
        positive_current=positive_current,
    )

    def blocks() -> Iterator[Block]:
        yield judge.judge(frame, [])
        judge.finish()

    counted = "cycle" in frame.columns
    return Stream(formats.ARBIN_RES, metadata, notes, blocks(), left_out, counted)


def _points(database: Database, table: Table) -> pl.DataFrame:
    begins, _ = database.rows(table)
    if len(begins) != table.rows:
        raise database.cut(f"{table.rows} points are announced and {len(begins)} are there")
    if not table.rows:
        raise refuse(database.path, "the test has no points.", "Export the test again.")
    columns = database.fixed(table, begins)
    if len(tests := np.unique(columns["Test_ID"])) > 1:
        raise refuse(
            database.path,
            f"the file holds the points of {len(tests)} tests.",
            "Export each test to a file of its own in Arbin's Data Pro.",
        )
    order = np.argsort(columns["Data_Point"], kind="stable")
    named = {ours: columns[theirs][order] for theirs, ours in _WANTED.items() if theirs in columns}
    frame = pl.DataFrame(
        {"row_number": np.arange(1, len(order) + 1), **named}
        | {name: columns[name][order] for name in _KEPT if name in columns}
    )
    numbers = [pl.col(n).cast(pl.Float64) for n in ("voltage_v", "current_a") if n in named]
    counts = [pl.col(n).cast(pl.Int64) for n in ("cycle", "step", "record") if n in named]
    frame = frame.with_columns(*numbers, *counts)
    if "DateTime" in columns:
        days = pl.Series("recorded_at", columns["DateTime"][order])
        since = ((days - _EPOCH_DAYS) * 86_400_000).round().cast(pl.Int64, strict=False)
        frame = frame.with_columns(since.cast(pl.Datetime("ms")).cast(pl.Datetime("us")))
    return frame


def _metadata(database: Database, tables: list[Table]) -> dict[str, str]:
    metadata = {
        "sign_of_current": formats.ARBIN_RES.current,
        "cycles": formats.ARBIN_RES.cycles,
        "counters_reset": formats.ARBIN_RES.resets,
    }
    table = next((t for t in tables if {"Test_Name", "Start_DateTime"} <= set(t.fields)), None)
    if table is not None:
        begins, ends = database.rows(table)
        if len(begins):
            metadata |= database.texts(table, int(begins[0]), int(ends[0]))
    return metadata
