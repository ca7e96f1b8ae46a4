"""Exports of battery cyclers, recognised by content and read as quantities of the Battery Data Format.

`recognise_format` names a file's format, `read_export` reads a file to its end, `open_file`
streams it in blocks. Each reader has a module of its own; only here is decided which one is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from battery_platform.errors import RefusedFile
from battery_platform.records.cyclers import arbin_res, biologic_mpr, formats, neware_binary
from battery_platform.records.cyclers.derived_cycles import with_cycles
from battery_platform.records.cyclers.header import find_table, head_of
from battery_platform.records.cyclers.model import (
    Block,
    CyclerFile,
    Finding,
    Format,
    LeftOut,
    PositiveCurrent,
    Stream,
)
from battery_platform.records.cyclers.tables import open_table, table_format
from battery_platform.records.cyclers.text import open_text
from battery_platform.records.reading import kind_of, refuse

__all__ = [
    "Block",
    "CyclerFile",
    "Finding",
    "Format",
    "LeftOut",
    "Stream",
    "open_file",
    "read_blocks",
    "read_export",
    "recognise_format",
]

_HEAD = 64
_SHOWN = 12
_TEXT_REMEDY = (
    "Export the points as text (Maccor: ASCII export in MIMS Client; Arbin: CSV; BioLogic: .mpt; "
    "Neware, Landt, PEC, Novonix: CSV)."
)
_Open = Callable[[Path, PositiveCurrent], Stream]


def recognise_format(path: Path) -> Format | None:
    """The format of a file, recognised by content; None if it is not an export that we read."""
    try:
        if (binary := _binary(path)) is not None:
            return binary[0]
        table = find_table(path) if kind_of(path) == "text" else table_format(path)
    except RefusedFile:
        return None
    return table.format if table is not None and not table.missing() else None


def _binary(path: Path) -> tuple[Format, _Open] | None:
    """Format and reader of a file that is recognised by its first bytes."""
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if head.startswith(arbin_res.MAGIC):
        return formats.ARBIN_RES, arbin_res.open_res
    if head.startswith(biologic_mpr.MAGIC):
        return formats.BIOLOGIC_MPR, biologic_mpr.open_mpr
    zipped = head.startswith(b"PK\x03\x04") and neware_binary.is_ndax(path)
    if zipped or head.startswith(neware_binary.MAGIC):
        return formats.NEWARE_BINARY, neware_binary.open_neware
    return None


def open_file(
    path: Path, positive_current: PositiveCurrent = "charge", encoding: str | None = None
) -> Stream:
    """A stream of a file's blocks; `positive_current` is the file's sign convention.

    A text is taken to be in the `encoding` that is given; otherwise its bytes decide.
    """
    stream = _open(path, positive_current, encoding)
    if not stream.counts_cycles:
        stream = with_cycles(stream, lambda: _open(path, positive_current, encoding))
    if stream.left_out:
        names = [column.name or "a column without a name" for column in stream.left_out]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        stream.notes.append(f"columns not read: {', '.join(names[:_SHOWN])}{more}")
    if positive_current == "discharge":
        stream.metadata["sign_of_current"] = "stated: positive while discharging; turned round here"
    return stream


def _open(path: Path, positive_current: PositiveCurrent, encoding: str | None) -> Stream:
    if (binary := _binary(path)) is not None:
        return binary[1](path, positive_current)
    try:
        kind = "text" if encoding else kind_of(path)
    except RefusedFile as error:
        if "a binary file" not in error.says:
            raise
        raise refuse(
            path, "this is a binary file of no cycler that is read.", _TEXT_REMEDY
        ) from error
    if kind != "text":
        return open_table(path, positive_current)
    table = find_table(path, encoding)
    if table is None and head_of(path, encoding)[1].lstrip()[:1] in {"{", "["}:
        raise refuse(
            path,
            "this is JSON, not a table of lines.",
            "Write the points as CSV or Parquet, with the same column names.",
        )
    if table is None:
        raise refuse(
            path,
            "no line is the header of a cycler's points (time, voltage, current).",
            _TEXT_REMEDY,
        )
    return open_text(path, table, positive_current)


def read_blocks(path: Path, positive_current: PositiveCurrent = "charge") -> Iterator[Block]:
    """The blocks of a file, each judged; text and Parquet in bounded memory."""
    return open_file(path, positive_current).blocks


def read_export(path: Path, positive_current: PositiveCurrent = "charge") -> CyclerFile:
    """A file read to its end. Positive current charges, whatever the file's own convention."""
    stream = open_file(path, positive_current)
    blocks = list(stream.blocks)
    points = pl.concat([block.points for block in blocks], how="diagonal_relaxed")
    return CyclerFile(
        stream.format,
        stream.format.instrument,
        points,
        stream.metadata,
        tuple(finding for block in blocks for finding in block.quarantine),
        tuple(stream.notes),
        stream.left_out,
    )
