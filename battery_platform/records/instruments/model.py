"""What a reader returns for an instrument's file: tidy tables of text, each row with its line.

Readers convert neither types nor units: cells stay as they are in the file, under the column they
belong to and in the unit that the file states. Contracts judge them like the cells of any form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tidy:
    """One table of an instrument's file."""

    table: str
    sheet: str
    """The name under which people see it in the report and in the quarantine."""
    units: dict[str, str | None]
    """Columns of the contract in order, each with the file's unit; None is the contract's own."""
    rows: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    """Line of the file (the first of several that a row summarises) and cells; empty is missing."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Instrument:
    """A kind of file: how it is recognised, and its reader."""

    name: str
    title: str
    recognise: Callable[[Path], bool]
    """Decides by content, cheaply; the file name does not matter, and no file is an error."""
    read: Callable[[Path], list[Tidy]]
    """Returns the tables of a file; one that cannot be read reliably is refused with a remedy."""
