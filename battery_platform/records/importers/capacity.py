"""Matrices of discharge capacity: 1,000 evenly spaced voltages by the cycles 2 to 100 of a cell.

So they were published for the cells of Severson and Attia: a file per cell without a header,
plain or gzipped, and for each part of the data set one file with a cycle life per line, in the
order of the cells' numbers (cell2 before cell10).
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
import polars as pl

from battery_platform.records.importers.members import Member, importer, is_list, members
from battery_platform.records.instruments.model import Tidy
from battery_platform.records.reading import refuse

POINTS, CYCLES, FIRST_CYCLE = 1000, 99, 2
VOLTAGE_FROM, VOLTAGE_TO = "3.5", "2.0"
UNPACKED = 16 * 1024 * 1024
"""No matrix is larger; a file that unpacks to more is a zip bomb."""

_CELL = re.compile(r"cell(\d+)\.csv(?:\.gz)?")
_LIVES = re.compile(r"(\w+)_cycle_lives\.csv")
_CURVE: dict[str, str | None] = {
    "cell_id": None,
    "cycle": None,
    "data_set": None,
    "voltage_from_v": "V",
    "voltage_to_v": "V",
    "points": None,
    "discharge_capacity_ah": "Ah",
    "largest_fall_ah": "Ah",
    "capacities_ah": None,
    "file": None,
}
_LIFE: dict[str, str | None] = {"cell_id": None, "data_set": None, "cycle_life": None}


def read_capacity_matrices(path: Path) -> list[Tidy]:
    """Curves by subset of the data, and the lives of the cells."""
    listed = members(path)
    subsets: dict[str, dict[int, Member]] = {}
    for member in listed:
        if cell := _CELL.fullmatch(PurePosixPath(member.name).name):
            subsets.setdefault(_subset(member), {})[int(cell[1])] = member
    lives = {
        match[1]: member
        for member in listed
        if (match := _LIVES.fullmatch(PurePosixPath(member.name).name))
    }
    if not subsets and not lives:
        raise refuse(
            path,
            "it is no matrix of a cell and no list of cycle lives.",
            "Name matrices cellN.csv or cellN.csv.gz, in a folder named after the part of the data "
            "set, and lives PART_cycle_lives.csv.",
        )
    curves = [_curves(path, name, cells) for name, cells in sorted(subsets.items())]
    return [*curves, *_lives(path, lives, subsets)]


CAPACITY_MATRICES = importer(
    "capacity_matrices",
    "discharge capacities of cells by voltage and cycle",
    read_capacity_matrices,
)


def _subset(member: Member) -> str:
    """The subset of the data, which is the folder of the cell's file."""
    return member.path.parent.name


def _curves(path: Path, subset: str, cells: dict[int, Member]) -> Tidy:
    tidy = Tidy("capacity_curves", subset, dict(_CURVE))
    for number in sorted(cells):
        member = cells[number]
        for column, cycle in enumerate(_cycles(member)):
            line = len(tidy.rows) + 1 if is_list(path) else column + 1
            head = (f"{subset}-cell{number}", str(FIRST_CYCLE + column), subset)
            tidy.rows.append((line, (*head, VOLTAGE_FROM, VOLTAGE_TO, *cycle, member.name)))
    return tidy


def _cycles(member: Member) -> Iterable[tuple[str, str, str, str]]:
    """For each cycle: numbers, last value, largest fall, and the values as they are printed."""
    cells = _matrix(member)
    numbers = cells.select(pl.all().str.strip_chars().cast(pl.Float64, strict=False)).to_numpy()
    numbers[~np.isfinite(numbers)] = np.nan
    reached = np.fmax.accumulate(numbers, axis=0)
    falls = np.nanmax(reached - numbers, axis=0, initial=0.0)
    counts = np.isfinite(numbers).sum(axis=0)
    for position, column in enumerate(cells.columns):
        values = cells[column].fill_null("").str.strip_chars()
        printed = values if counts[position] == POINTS else values.map_elements(_quoted, pl.String)
        yield (
            str(counts[position]),
            values[-1],
            f"{falls[position]:.6g}",
            f"[{','.join(printed)}]",
        )


def _quoted(value: str) -> str:
    """A value, quoted if it is not a finite number, so that the list stays valid JSON."""
    try:
        return value if np.isfinite(float(value)) else json.dumps(value)
    except ValueError:
        return json.dumps(value.replace(",", ";"), ensure_ascii=False)


def _matrix(member: Member) -> pl.DataFrame:
    data = _unpacked(member)
    try:
        cells = pl.read_csv(io.BytesIO(data), has_header=False, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise refuse(
            member.path, f"{member.name} is no matrix: {error}.", "Fetch the file again."
        ) from error
    if cells.shape != (POINTS, CYCLES):
        raise refuse(
            member.path,
            f"{member.name} has {cells.height} rows and {cells.width} columns, a matrix has {POINTS} "
            f"voltages and {CYCLES} cycles.",
            "The file is cut off or another table: fetch it again.",
        )
    return cells


def _unpacked(member: Member) -> bytes:
    data = member.content()
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            unpacked = stream.read(UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise refuse(
            member.path, f"{member.name} cannot be unpacked: {error}.", "Fetch the file again."
        ) from error
    if len(unpacked) > UNPACKED:
        raise refuse(
            member.path,
            f"{member.name} unpacks to more than {UNPACKED // 1024**2} MiB, which no matrix has.",
            "Fetch the file again.",
        )
    return unpacked


def _lives(
    path: Path, lives: dict[str, Member], subsets: dict[str, dict[int, Member]]
) -> list[Tidy]:
    """One life per line, in the order of the cells' numbers; a list of other length is refused."""
    tidy = Tidy("cycle_lives", "cycle lives", dict(_LIFE))
    for subset in sorted(lives):
        member = lives[subset]
        lines = [
            (line, cell.strip())
            for line, cell in enumerate(member.text().split("\n"), start=1)
            if cell.strip()
        ]
        numbers = sorted(subsets.get(subset, {})) or list(range(1, len(lines) + 1))
        if len(lines) != len(numbers):
            raise refuse(
                member.path,
                f"{member.name} has {len(lines)} lives for {len(numbers)} cells.",
                "One life per line is expected, in the order of the cells' numbers.",
            )
        for number, (line, life) in zip(numbers, lines, strict=True):
            place = len(tidy.rows) + 1 if is_list(path) else line
            tidy.rows.append((place, (f"{subset}-cell{number}", subset, life)))
    return [tidy] if tidy.rows else []
