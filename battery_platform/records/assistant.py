"""How the platform would read a file: which header is which column, and a mapping to start from.

For a form the mapping places every header. For an instrument's file the reader knows where what
stands; its mapping says what the file does not: whose it is, the clock's zone, the sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from battery_platform.errors import RefusedFile
from battery_platform.records import mapping as mappings
from battery_platform.records.cyclers import open_file
from battery_platform.records.cyclers.header import find_table
from battery_platform.records.ingest import reader_of
from battery_platform.records.instruments.readers import INSTRUMENTS
from battery_platform.records.mapping import Placement
from battery_platform.records.reading import first_cells, kind_of, refuse, sheets
from battery_platform.settings import Settings

_CYCLER = """\
source: {source}
reader: cycler
# What a positive current means in the file: charge or discharge.
positive_current: charge
# Which way round; a half cell that is discharged first gives back by charging: charge_per_discharge.
efficiency: discharge_per_charge
# Where the cycler's clock stands, e.g. Europe/Berlin.
timezone: UTC
# Whose test it is; the active mass comes with the cell, if its form says how it is known.
# constants: {{cell_id: CELL-1, formation_cycles: 4}}
"""
_INSTRUMENT = """\
source: {source}
reader: {reader}
# Where the instrument's clock stands, e.g. Europe/Berlin.
timezone: UTC
# What the file does not say; columns of {tables}.
# constants: {{}}
"""


@dataclass(frozen=True)
class Suggestion:
    """Headers with their columns, and the mapping as text."""

    placements: list[tuple[str, Placement]]
    """Each header's sheet and the column it was assigned to."""
    text: str
    notes: list[str]
    missing: dict[str, tuple[str, ...]]
    """Columns that a table requires and no header provides."""


def suggest(
    path: Path, settings: Settings, source: str, table_name: str | None = None
) -> Suggestion:
    """Suggest how to read a file; one that cannot be read at all is refused."""
    reader = reader_of(path) if table_name is None and path.is_file() else None
    if reader == mappings.CYCLER:
        return _of_a_cycler(path, source)
    if reader is not None:
        return _of_an_instrument(path, reader, source)
    return _of_a_form(path, settings, source, table_name)


def _of_a_form(path: Path, settings: Settings, source: str, table_name: str | None) -> Suggestion:
    placements: list[tuple[str, Placement]] = []
    proposals = []
    for sheet in sheets(path, settings):
        proposal = mappings.propose(sheet, source, first_cells(sheet), table_name)
        if proposal is None:
            lost = [Placement(text, None, None, 0.0, "no table fits") for text in sheet.header]
            placements += [(sheet.name, placement) for placement in lost]
            continue
        proposals.append(proposal)
        placements += [(sheet.name, placement) for placement in proposal.placements]
    return Suggestion(
        placements,
        mappings.as_yaml([made.mapping for made in proposals]) if proposals else "",
        [f"assumed: {note}" for made in proposals for note in made.mapping.assumed],
        {made.mapping.table: made.missing for made in proposals if made.missing},
    )


def _of_a_cycler(path: Path, source: str) -> Suggestion:
    stream = open_file(path)
    about = stream.format
    why = f"read as an export of {about.instrument} ({about.name})"
    placements: list[tuple[str, Placement]] = []
    table = find_table(path) if _is_text(path) else None
    if table is not None:
        placed = {column.index: column.quantity for column in table.columns}
        placements = [
            ("", Placement(header, placed.get(index), None, 1.0, why))
            if index in placed
            else ("", Placement(header, None, None, 0.0, "not read"))
            for index, header in enumerate(table.headers)
            if header
        ]
    notes = [why, about.current, f"cycles: {about.cycles}", *stream.notes]
    return Suggestion(placements, _CYCLER.format(source=source), notes, {})


def _is_text(path: Path) -> bool:
    try:
        return kind_of(path) == "text"
    except RefusedFile:
        return False


def _of_an_instrument(path: Path, reader: str, source: str) -> Suggestion:
    instrument = INSTRUMENTS[reader]
    tables = instrument.read(path)
    if not tables:
        raise refuse(path, f"{instrument.title} wrote nothing in it.", "Export it again.")
    why = f"read as a file of {instrument.title}"
    placements = [
        (tidy.sheet, Placement(name, f"{tidy.table}.{name}", unit, 1.0, why))
        for tidy in tables
        for name, unit in tidy.units.items()
    ]
    names = " and ".join(dict.fromkeys(tidy.table for tidy in tables))
    text = _INSTRUMENT.format(source=source, reader=reader, tables=names)
    return Suggestion(placements, text, [why, *(n for tidy in tables for n in tidy.notes)], {})
