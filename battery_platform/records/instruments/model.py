"""What a reader makes of an instrument's file: tidy tables of text, each row with its line.

Readers bring no value into a type or unit: cells stand as the file has them, under the column
they belong to and in the unit that the file states. Contracts judge them as those of any form.
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
    """What people see it called, in the report and in the quarantine."""
    units: dict[str, str | None]
    """Columns of the contract in order, each with the file's unit, nothing for the contract's own."""
    rows: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    """Line of the file (the first, where a row sums up several), and cells; empty is missing."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Instrument:
    """A kind of file, how it is known, and its reader."""

    name: str
    title: str
    recognise: Callable[[Path], bool]
    """By content and cheaply: the ending is not asked, a file of another kind is no error."""
    read: Callable[[Path], list[Tidy]]
    """The tables of a file; one that cannot be read right is refused with what to do instead."""
