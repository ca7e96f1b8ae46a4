"""How the platform would read a file: which header is which column, and a mapping to start from.

For a form the mapping places every header. For an instrument's file the reader knows where what
stands; its mapping says what the file does not: whose it is, the clock's zone, the sign.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from battery_platform.errors import RefusedFile
from battery_platform.records import mapping as mappings
from battery_platform.records.accounting import PLACED, UNPLACED, Fate, account, unsettled
from battery_platform.records.cyclers import open_file
from battery_platform.records.cyclers.header import find_table
from battery_platform.records.ingest import NOTHING_SETTLED, Settle, reader_of
from battery_platform.records.instruments.readers import INSTRUMENTS
from battery_platform.records.mapping import Mapping
from battery_platform.records.proposing import propose
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

    fates: list[Fate]
    """What becomes of each header."""
    text: str
    notes: list[str]
    missing: dict[str, tuple[str, ...]]
    """Columns that a table requires and no header provides."""


def suggest(
    path: Path,
    settings: Settings,
    source: str,
    table_name: str | None = None,
    settle: Settle = NOTHING_SETTLED,
) -> Suggestion:
    """Suggest how to read a file; one that cannot be read at all is refused."""
    reader = reader_of(path) if table_name is None and path.is_file() else None
    if reader == mappings.CYCLER:
        return _of_a_cycler(path, source)
    if reader is not None:
        return _of_an_instrument(path, reader, source)
    return _of_a_form(path, settings, source, table_name, settle)


def _of_a_form(
    path: Path, settings: Settings, source: str, table_name: str | None, settle: Settle
) -> Suggestion:
    fates: list[Fate] = []
    made: list[Mapping] = []
    missing: dict[str, tuple[str, ...]] = {}
    for sheet in sheets(path, settings):
        proposal = propose(sheet, source, first_cells(sheet), table_name)
        if proposal is None:
            fates += [
                _fate("", sheet.name, place, text, None, "no table fits")
                for place, text in enumerate(sheet.header)
            ]
            continue
        mapping = settle.said_in(proposal.mapping)
        made.append(mapping)
        fates += account(mapping, sheet, path, proposal.placements)
        if proposal.missing:
            missing[mapping.table] = proposal.missing
    undecided = dict.fromkeys(fate.name for fate in fates if fate.outcome == UNPLACED)
    notes = [f"assumed: {note}" for mapping in made for note in mapping.assumed]
    refusal = unsettled(path, fates)
    return Suggestion(
        fates,
        mappings.as_yaml(made, list(undecided)) if made else "",
        [*notes, *([str(refusal)] if refusal else [])],
        missing,
    )


def _fate(table: str, sheet: str, place: int, header: str, column: str | None, why: str) -> Fate:
    """What becomes of a header of a file whose reader knows the layout."""
    outcome, confidence = (UNPLACED, 0.0) if column is None else (PLACED, 1.0)
    return Fate(table, sheet, place + 1, header, None, outcome, column, confidence, why)


def _of_a_cycler(path: Path, source: str) -> Suggestion:
    stream = open_file(path)
    about = stream.format
    why = f"read as an export of {about.instrument} ({about.name})"
    fates: list[Fate] = []
    table = find_table(path) if _is_text(path) else None
    if table is not None:
        placed = {column.index: column.quantity for column in table.columns}
        fates = [
            _fate(
                "test_points",
                "",
                place,
                header,
                placed.get(place),
                why if place in placed else "not read",
            )
            for place, header in enumerate(table.headers)
            if header
        ]
    notes = [why, about.current, f"cycles: {about.cycles}", *stream.notes]
    return Suggestion(fates, _CYCLER.format(source=source), notes, {})


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
    fates = [
        replace(_fate(tidy.table, tidy.sheet, place, name, name, why), unit=unit)
        for tidy in tables
        for place, (name, unit) in enumerate(tidy.units.items())
    ]
    names = " and ".join(dict.fromkeys(tidy.table for tidy in tables))
    text = _INSTRUMENT.format(source=source, reader=reader, tables=names)
    return Suggestion(fates, text, [why, *(n for tidy in tables for n in tidy.notes)], {})
