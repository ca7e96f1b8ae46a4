"""Which reader takes an instrument's file, and the mappings under which its tables are judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import polars as pl

from battery_platform.contracts.base import columns
from battery_platform.contracts.registry import table
from battery_platform.records.importers import IMPORTERS
from battery_platform.records.instruments.ares import ARES
from battery_platform.records.instruments.assembly_log import ASSEMBLY_LOG
from battery_platform.records.instruments.model import Instrument, Tidy
from battery_platform.records.instruments.peel import PEEL
from battery_platform.records.instruments.rheocompass import RHEOCOMPASS
from battery_platform.records.mapping import Mapping, Place, check_constants
from battery_platform.records.reading import BATCH_ROWS, Batch, Sheet

INSTRUMENTS: dict[str, Instrument] = {
    instrument.name: instrument for instrument in (RHEOCOMPASS, ARES, ASSEMBLY_LOG, PEEL)
}


def recognise_instrument(path: Path) -> Instrument | None:
    """The instrument that wrote a file, recognised by content."""
    return next(
        (instrument for instrument in INSTRUMENTS.values() if instrument.recognise(path)), None
    )


def mapped(path: Path, given: list[Mapping]) -> list[tuple[Mapping, Sheet]]:
    """The tables of a file, each under its own mapping.

    `given` names the source and supplies what the file does not contain (`constants`); the position
    of each column is known to the reader, not to the mapping.
    """
    first = given[0]
    constants = {name: value for mapping in given for name, value in mapping.constants.items()}
    tables = (INSTRUMENTS | IMPORTERS)[first.reader or ""].read(path)
    check_constants(constants, [tidy.table for tidy in tables], path)
    return [(_mapping(tidy, first, constants), _sheet(tidy)) for tidy in tables]


def _mapping(tidy: Tidy, given: Mapping, constants: dict[str, object]) -> Mapping:
    wanted = columns(table(tidy.table).contract)
    own = {column.name: constants[column.name] for column in wanted if column.name in constants}
    timed = any(column.role == "moment" and column.name in tidy.units for column in wanted)
    assumed = "timezone: the file does not say; time stamps are taken as UTC"
    return replace(
        given,
        table=tidy.table,
        sheet=tidy.sheet,
        columns={
            name: Place(header=name, unit=unit)
            for name, unit in tidy.units.items()
            if name not in own
        },
        constants=own,
        decimal=None,
        datetime_format=None,
        assumed=(assumed,) if timed and given.timezone == "UTC" else (),
    )


def _sheet(tidy: Tidy) -> Sheet:
    names = list(tidy.units)

    def rows() -> Iterator[Batch]:
        return _batches(tidy, len(names))

    return Sheet(tidy.sheet, names, 0, 0, rows(), notes=list(tidy.notes), again=rows)


def _batches(tidy: Tidy, width: int) -> Iterator[Batch]:
    schema = {"row_number": pl.Int64, **{f"c{i}": pl.String for i in range(width)}}
    rows = iter(tidy.rows)
    while block := list(islice(rows, BATCH_ROWS)):
        yield Batch(
            pl.DataFrame([(line, *cells) for line, cells in block], schema=schema, orient="row")
        )
