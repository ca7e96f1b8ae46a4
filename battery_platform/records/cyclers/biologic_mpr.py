"""BioLogic's .mpr file: a sequence of modules, one of which holds the rows.

The data module says by numbers which columns a row has, and nothing says how wide they are. The
rows must fill the module to its last byte, or the file is refused: so the width of numbers that
are not known here follows from the size of a row, if they stand next to each other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from battery_platform.records.cyclers import formats
from battery_platform.records.cyclers.judging import Judge
from battery_platform.records.cyclers.model import Block, LeftOut, PositiveCurrent, Stream
from battery_platform.records.reading import refuse

MAGIC = b"BIO-LOGIC MODULAR FILE\x1a"
FIRST_MODULE = 52
UNKNOWN = "unknown"
_FLAGS = frozenset({1, 2, 3, 21, 31, 65})
_SINGLES = frozenset(
    {
        5,
        6,
        8,
        9,
        16,
        17,
        19,
        20,
        26,
        27,
        *range(32, 39),
        69,
        70,
        75,
        76,
        77,
        78,
        96,
        *range(98, 102),
    }
    | {163, 168, 169, 172, 173, 174, 178, 179, 185, 217, 218, 220, 221, 223, 224}
    | {*range(230, 243), 271, 272, 301, 302, 331, 332, 361, 362, 391, 392}
    | {*range(422, 427), *range(430, 436), 441, 462, 471, 473, 474, 476, 477, 479, 480}
    | {*range(486, 498), 505}
)
_DOUBLES = frozenset(
    {4, 7, 11, 13, 23, 24, 74, *range(123, 127), 182, 211, 438, 467, *range(498, 503)}
)
_WIDTHS = {
    **dict.fromkeys(_SINGLES, "<f4"),
    **dict.fromkeys(_DOUBLES, "<f8"),
    **dict.fromkeys((212, 213, 468, 469), "<u4"),
    **dict.fromkeys((39, 131), "<u2"),
    509: "u1",
}
TIME, STEP, CYCLE = (4,), (131,), (24,)
VOLTAGE = {6: "Ewe", 77: "<Ewe>", 174: "<Ewe>", 185: "<Ewe>"}
CURRENT_MA = (8, 11, 76)
PASSED_MAH, PASSED_C = (7, 23), (179, 435)
ENERGY_WH = {123: "charge_wh", 124: "discharge_wh"}
WARMTH, FREQUENCY = 462, 32
_KEPT = {
    13: "(Q-Qo)/mA.h",
    211: "Q charge/discharge/mA.h",
    467: "Q charge/discharge/mA.h",
    212: "half cycle",
    468: "half cycle",
    9: "Ece/V",
    32: "freq/Hz",
}
_OLE_DAYS = 25569
_STARTED_AT = (465, 469, 473, 585)
"""Offsets in the log module at which the start of the test has been seen."""


@dataclass(frozen=True)
class Module:
    """A part of the file: its name, its version and its bytes."""

    name: str
    version: int
    date: str
    body: bytes


def read_modules(path: Path, raw: bytes) -> list[Module]:
    """The modules of a file, each of the length that it states."""
    read = []
    at = FIRST_MODULE
    while at < len(raw):
        if raw[at : at + 6] != b"MODULE" or at + 57 > len(raw):
            raise _cut(path, f"no module begins at byte {at}")
        name = raw[at + 6 : at + 16].decode("latin-1").strip()
        (length,) = struct.unpack_from("<I", raw, at + 41)
        if length == 0xFFFFFFFF:
            if at + 65 > len(raw):
                raise _cut(path, f"module '{name}' has no end")
            length, version = struct.unpack_from("<II", raw, at + 45)
            date, body = raw[at + 57 : at + 65], at + 65
        else:
            (version,) = struct.unpack_from("<I", raw, at + 45)
            date, body = raw[at + 49 : at + 57], at + 57
        at = body + length
        if at > len(raw):
            raise _cut(path, f"module '{name}' is {at - len(raw)} bytes shorter than it says")
        read.append(Module(name, version, date.decode("latin-1"), raw[body:at]))
    return read


def _cut(path: Path, why: str) -> Exception:
    return refuse(
        path,
        f"the file is cut or damaged: {why}.",
        "Copy it again after the technique has ended, or export it as .mpt in EC-Lab.",
    )


def rows_of(path: Path, module: Module) -> tuple[list[int], np.ndarray]:
    """The column numbers, and the rows as a record array whose fields are named by them."""
    body = module.body
    if len(body) < 5:
        raise _cut(path, "the data module has no rows")
    count, columns = struct.unpack_from("<IB", body)
    numbers, begin = _numbers(path, module, columns)
    fields: list[tuple[str, str]] = []
    unknown = [at for at, number in enumerate(numbers) if number not in _FLAGS | set(_WIDTHS)]
    for at, number in enumerate(numbers):
        if number in _FLAGS:
            if not any(name == "flags" for name, _ in fields):
                fields.append(("flags", "u1"))
        elif number in _WIDTHS:
            again = sum(name.split(".")[0] == str(number) for name, _ in fields)
            fields.append((f"{number}.{again}" if again else str(number), _WIDTHS[number]))
        elif at == unknown[0]:
            fields.append((UNKNOWN, ""))
    shape = np.dtype([field for field in fields if field[1]])
    if unknown:
        size, rest = divmod(len(body) - begin, count) if count else (shape.itemsize, 0)
        width = size - shape.itemsize
        together = unknown[-1] - unknown[0] + 1 == len(unknown)
        if rest or width < 0 or not together:
            shown = ", ".join(str(numbers[at]) for at in unknown)
            raise refuse(
                path,
                f"the columns of number {shown} are not known, and the size of a row does not tell "
                "how wide each is.",
                "Export the file as text (.mpt) in EC-Lab; that is read.",
            )
        shape = np.dtype([(name, kind or f"V{width}") for name, kind in fields if kind or width])
    if len(body) - begin != count * shape.itemsize:
        raise refuse(
            path,
            f"{count} rows of {shape.itemsize} bytes are announced, the file has "
            f"{len(body) - begin} bytes for them: a column is of another width than known.",
            "Export the file as text (.mpt) in EC-Lab; that is read.",
        )
    return numbers, np.frombuffer(body, dtype=shape, offset=begin, count=count)


def _numbers(path: Path, module: Module, columns: int) -> tuple[list[int], int]:
    """The column numbers and the offset of the rows, according to the module's version."""
    body = module.body
    if module.version in {2, 3}:
        kind, begin = "<u2", 405 if module.version == 2 else 406
    elif module.version == 0:
        wide = body[5] == 0
        kind, begin = (">u2", 1007) if wide else ("u1", 100)
    else:
        raise refuse(
            path,
            f"its data module is of version {module.version}, which is not known.",
            "Export the file as text (.mpt) in EC-Lab; that is read.",
        )
    size = np.dtype(kind).itemsize
    if 5 + size * columns > min(begin, len(body)):
        raise _cut(path, f"{columns} columns do not fit its head")
    return np.frombuffer(body, kind, columns, 5).tolist(), begin


def open_mpr(path: Path, positive_current: PositiveCurrent = "charge") -> Stream:
    """A stream of an .mpr file, which is a single block."""
    modules = read_modules(path, path.read_bytes())
    data = next((module for module in modules if module.name == "VMP data"), None)
    if data is None:
        raise _cut(path, "it has no module with data")
    numbers, rows = rows_of(path, data)
    if not len(rows):
        raise refuse(path, "the technique has logged no rows.", "Export the test again.")
    metadata = {
        "sign_of_current": formats.BIOLOGIC_MPR.current,
        "cycles": formats.BIOLOGIC_MPR.cycles,
        "counters_reset": "never: the charge passed is added up from the column 'dq'",
    }
    notes: list[str] = []
    frame = _frame(path, numbers, rows, metadata, notes)
    started = _started(modules, data.date)
    if started is not None:
        frame = frame.with_columns(
            (pl.lit(started) + pl.duration(microseconds=(pl.col("test_time_s") * 1e6).round()))
            .cast(pl.Datetime("us"))
            .alias("recorded_at")
        )
        metadata["started_at"] = started.isoformat()
    judge = Judge(path, formats.BIOLOGIC_MPR, notes, positive_current=positive_current)

    def blocks() -> Iterator[Block]:
        yield judge.judge(frame, [])
        judge.finish()

    left_out = _left_out(numbers)
    counted = "cycle" in frame.columns
    return Stream(formats.BIOLOGIC_MPR, metadata, notes, blocks(), left_out, counted)


def _left_out(numbers: list[int]) -> tuple[LeftOut, ...]:
    """The columns that are not among the points; the file names them by numbers only."""
    passed = (*PASSED_MAH, *PASSED_C)
    groups = (TIME, STEP, CYCLE, tuple(VOLTAGE), CURRENT_MA, passed, (WARMTH,))
    read = {next((n for n in group if n in numbers), 0) for group in groups} | set(ENERGY_WH)
    out = []
    for number in dict.fromkeys(numbers):
        if number in read | _FLAGS:
            continue
        why = "no quantity of a cycler's points" if number in _WIDTHS else "its number is not known"
        if any(number in group for group in groups):
            why = "another column of the same quantity is read"
        out.append(LeftOut(_KEPT.get(number, f"number {number}"), why))
    return tuple(out)


def _frame(
    path: Path, numbers: list[int], rows: np.ndarray, metadata: dict[str, str], notes: list[str]
) -> pl.DataFrame:
    def first(candidates: tuple[int, ...]) -> np.ndarray | None:
        names = rows.dtype.names or ()
        column = next((number for number in candidates if str(number) in names), None)
        return None if column is None else rows[str(column)].astype(np.float64)

    time, volts = first(TIME), first(tuple(VOLTAGE))
    swept = first((FREQUENCY,))
    if swept is not None and 2 * np.count_nonzero(swept > 0) > len(swept):
        raise refuse(
            path,
            "this is an impedance spectrum (its rows have a frequency), no cycling.",
            "Hand in the file of the cycling technique; spectra have no table here yet.",
        )
    if time is None or volts is None:
        raise refuse(
            path,
            f"it has no column of the {'time' if time is None else 'potential Ewe'}: no cycling.",
            "Hand in the file of the cycling technique.",
        )
    metadata["column voltage_v"] = "Ewe, the working electrode against the reference"
    passed = first(PASSED_MAH)
    if passed is None and (coulombs := first(PASSED_C)) is not None:
        passed = coulombs / 3.6
    current = _current(path, first(CURRENT_MA), passed, time, notes)
    frame: dict[str, np.ndarray] = {
        "row_number": np.arange(1, len(rows) + 1),
        "test_time_s": time,
        "voltage_v": volts,
        "current_a": current * 1e-3,
    }
    if (cycle := first(CYCLE)) is not None:
        frame["cycle"] = cycle.astype(np.int64)
    if (step := first(STEP)) is not None:
        frame["step"] = step.astype(np.int64)
    if passed is not None:
        frame["charge_ah"] = np.cumsum(np.maximum(passed, 0.0)) * 1e-3
        frame["discharge_ah"] = np.cumsum(np.maximum(-passed, 0.0)) * 1e-3
    for number, name in ENERGY_WH.items():
        if number in numbers:
            frame[name] = np.abs(rows[str(number)])
    if (warmth := first((WARMTH,))) is not None:
        frame["temperature_degc"] = warmth
    for number, name in _KEPT.items():
        if number in numbers:
            frame[name] = rows[str(number)]
    return pl.DataFrame({name: np.ascontiguousarray(values) for name, values in frame.items()})


def _current(
    path: Path,
    measured: np.ndarray | None,
    passed: np.ndarray | None,
    time: np.ndarray,
    notes: list[str],
) -> np.ndarray:
    """The current in mA, derived from the charge passed if the technique logs no current."""
    if measured is not None:
        return measured
    if passed is None:
        raise refuse(
            path,
            "it has neither a column of the current nor one of the charge passed: an open-circuit "
            "measurement, no cycling.",
            "Hand in the file of the cycling technique; a rest alone has no cycles.",
        )
    notes.append("the current is the charge passed (dq) over the time between the rows")
    spans = np.diff(time, prepend=time[0])
    current: np.ndarray = np.divide(
        passed * 3600, spans, out=np.zeros_like(passed), where=spans > 0
    )
    return current


def _started(modules: list[Module], date: str) -> datetime | None:
    """The start according to the log module, if it lies on the day that the data module names."""
    log = next((module.body for module in modules if module.name == "VMP LOG"), b"")
    for at in _STARTED_AT:
        if at + 8 > len(log):
            continue
        (days,) = struct.unpack_from("<d", log, at)
        if not 30000 < days < 80000:
            continue
        moment = np.datetime64(round((days - _OLE_DAYS) * 86_400_000), "ms")
        text = str(moment)
        if f"{text[5:7]}{text[8:10]}{text[2:4]}" == "".join(c for c in date if c.isdigit()):
            return datetime.fromisoformat(text)
    return None
