"""Neware's .nda and .ndax files, read by fastnda (BSD-3-Clause).

fastnda is not among the platform's requirements: it is asked for when such a file comes, and
named when it is not there. It chooses its reader by the file's ending, so a file of another name
is shown to it under the right one. Cycles are taken as the instrument counted them.
"""

from __future__ import annotations

import importlib
import logging
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from battery_platform.records.cyclers import formats
from battery_platform.records.cyclers.judging import Judge
from battery_platform.records.cyclers.model import Block, LeftOut, PositiveCurrent, Stream
from battery_platform.records.cyclers.values import directions
from battery_platform.records.reading import refuse
from battery_platform.settings import MIB

MAGIC = b"NEWARE"
MAX_UNPACKED = 1024 * MIB
_READ = {
    *(
        "index",
        "total_time_s",
        "voltage_V",
        "current_mA",
        "cycle_count",
        "step_index",
        "step_count",
    ),
    *("step_time_s", "unix_time_s", "capacity_mAh", "energy_mWh", "step_type"),
}
_NAMES = (b"data.ndc", b"EditStep.xml", b"VersionInfo.xml", b"TestInfo.xml")


def is_ndax(path: Path) -> bool:
    """Whether a zip archive is Neware's, recognised by the name of its records.

    A cut archive has lost its list of names; those at its beginning are left.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower() == "data.ndc" for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        with path.open("rb") as stream:
            head = stream.read(64 * 1024)
        return any(name in head for name in _NAMES)


def _fastnda(path: Path) -> Any:
    try:
        return importlib.import_module("fastnda")
    except ImportError as error:
        raise refuse(
            path,
            "Neware's binary files are read by the package fastnda, which is not installed.",
            "Run `pip install fastnda` (BSD licence), or export the records as CSV in BTSDA.",
        ) from error


def open_neware(path: Path, positive_current: PositiveCurrent = "charge") -> Stream:
    """A stream of a binary Neware file, which is a single block."""
    with path.open("rb") as stream:
        ending = ".nda" if stream.read(len(MAGIC)) == MAGIC else ".ndax"
    if ending == ".ndax":
        _bounded(path)
    fastnda = _fastnda(path)
    notes: list[str] = []
    try:
        with _noting_warnings(notes), tempfile.TemporaryDirectory() as folder:
            named = Path(folder) / f"file{ending}"
            named.symlink_to(path.absolute())
            records = fastnda.read(named, cycle_mode="raw")
    except Exception as error:  # every kind that a damaged file can raise
        raise _damaged(path, error) from error
    if any("cycle column missing" in note for note in notes):
        records = records.drop("cycle_count", strict=False)
    state = records["step_type"].cast(pl.String)
    frame = _frame(records, directions(state), state)
    judge = Judge(
        path,
        formats.NEWARE_BINARY,
        notes,
        record_name="index",
        positive_current=positive_current,
    )
    metadata = {
        "sign_of_current": formats.NEWARE_BINARY.current,
        "cycles": formats.NEWARE_BINARY.cycles,
        "counters_reset": formats.NEWARE_BINARY.resets,
    }

    def blocks() -> Iterator[Block]:
        yield judge.judge(frame, [], directions(state))
        judge.finish()

    left_out = tuple(
        LeftOut(name, "no quantity of a cycler's points")
        for name in records.columns
        if name.startswith("aux") or name not in _READ
    )
    counted = "cycle" in frame.columns
    return Stream(formats.NEWARE_BINARY, metadata, notes, blocks(), left_out, counted)


class _Listener(logging.Handler):
    """Turns fastnda's log messages into notes instead of printing them."""

    def __init__(self, notes: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        note = f"fastnda says: {record.getMessage()}"
        if note not in self.notes:
            self.notes.append(note)


@contextmanager
def _noting_warnings(notes: list[str]) -> Iterator[None]:
    """Collect fastnda's warnings and log messages as notes."""
    logger = logging.getLogger("fastnda")
    listener, before = _Listener(notes), logger.propagate
    logger.addHandler(listener)
    logger.propagate = False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        logger.removeHandler(listener)
        logger.propagate = before
        notes += sorted(
            {f"fastnda says: {' '.join(str(warning.message).split())}" for warning in caught}
        )


def _bounded(path: Path) -> None:
    """Refuse an archive that is cut off, or that unpacks to more than the limit."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile as error:
        raise _damaged(path, error) from error
    if size > MAX_UNPACKED:
        raise refuse(
            path,
            f"the file unpacks to {size // MIB} MiB.",
            f"More than {MAX_UNPACKED // MIB} MiB is not read; export the records as CSV.",
        )


def _damaged(path: Path, error: Exception) -> Exception:
    return refuse(
        path,
        f"the file is cut, damaged or of an unknown version ({error}).",
        "Copy it again, or export the records as CSV in BTSDA.",
    )


def _frame(records: pl.DataFrame, direction: pl.Series, state: pl.Series) -> pl.DataFrame:
    """fastnda's columns as ours; the single counter is split by the step's direction."""

    def number(name: str, factor: float = 1.0) -> pl.Expr:
        return pl.col(name).cast(pl.Float64) * factor

    capacity, energy = number("capacity_mAh", 1e-3), number("energy_mWh", 1e-3)
    way = pl.lit(direction)

    def counted(counter: pl.Expr, sign: int) -> pl.Expr:
        """The counter of one direction; in a pulse or sweep its own sign decides."""
        this_way = pl.when(way == sign).then(counter.abs()).otherwise(0.0)
        return pl.when(way == 0).then((sign * counter).clip(lower_bound=0.0)).otherwise(this_way)

    return records.select(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row_number"),
        number("total_time_s").alias("test_time_s"),
        number("voltage_V").alias("voltage_v"),
        number("current_mA", 1e-3).alias("current_a"),
        *(
            [pl.col("cycle_count").cast(pl.Int64).alias("cycle")]
            if "cycle_count" in records.columns
            else []
        ),
        pl.col("step_index").cast(pl.Int64).alias("step"),
        number("step_time_s").alias("step_time_s"),
        number("unix_time_s").alias("unix_time_s"),
        counted(capacity, 1).alias("charge_ah"),
        counted(capacity, -1).alias("discharge_ah"),
        counted(energy, 1).alias("charge_wh"),
        counted(energy, -1).alias("discharge_wh"),
        pl.col("index").cast(pl.Int64).alias("record"),
        pl.lit(state).alias("step_type"),
        pl.col("step_count").cast(pl.Int64),
        "capacity_mAh",
        "energy_mWh",
        *(name for name in records.columns if name.startswith("aux")),
    )
