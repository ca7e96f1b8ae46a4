"""A cycler's file once it has been read: its format, its points, and the rows held back.

Only shapes live here; each reader fills them in its own module.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

Resets = Literal["step", "cycle", "schedule", "unknown"]
PositiveCurrent = Literal["charge", "discharge"]

REQUIRED = ("test_time_s", "voltage_v", "current_a")
NUMBERS = (
    "test_time_s",
    "step_time_s",
    "voltage_v",
    "current_a",
    "charge_ah",
    "discharge_ah",
    "charge_wh",
    "discharge_wh",
    "unix_time_s",
    "temperature_degc",
)
COUNTS = ("cycle", "step", "record")
CANONICAL = (
    "row_number",
    "test_time_s",
    "voltage_v",
    "current_a",
    "cycle",
    "step",
    "step_time_s",
    "recorded_at",
    "unix_time_s",
    "charge_ah",
    "discharge_ah",
    "charge_wh",
    "discharge_wh",
    "temperature_degc",
)
"""Order of our columns in `points`; `record` keeps the instrument's name for it."""


@dataclass(frozen=True)
class Format:
    """A kind of export, and the conventions that its files do not state."""

    name: str
    instrument: str
    resets: Resets
    """When the charge counters restart at zero; `schedule` and `unknown` are detected by a drop."""
    current: str
    """How the sign of the current is known; in `points` positive always means charging."""
    cycles: str
    """Who counts the cycles, and with which half they begin."""
    streamed: bool
    """Whether it is read in blocks; otherwise the file is held in memory once."""


@dataclass(frozen=True)
class Finding:
    """A row that was not accepted: its number, its value, the reason, and the remedy."""

    row: int
    field: str
    value: str
    rule: str
    message: str
    remedy: str


@dataclass(frozen=True)
class LeftOut:
    """A column of the file that is not among the points, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a file: those accepted, and those held back."""

    points: pl.DataFrame
    quarantine: tuple[Finding, ...] = ()


@dataclass
class Stream:
    """A file being read. `blocks` may be walked once; `notes` are complete after it."""

    format: Format
    metadata: dict[str, str]
    notes: list[str]
    blocks: Iterator[Block]
    left_out: tuple[LeftOut, ...] = ()
    counts_cycles: bool = True


@dataclass(frozen=True)
class CyclerFile:
    """A cycler's export, read to its end."""

    format: Format
    instrument: str
    points: pl.DataFrame
    metadata: dict[str, str]
    quarantine: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = field(default=())
    left_out: tuple[LeftOut, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the file: accepted and held back."""
        return self.points.height + len({finding.row for finding in self.quarantine})


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Our columns first and in their order, the instrument's own after them."""
    ours = [name for name in CANONICAL if name in frame.columns]
    return frame.select(*ours, *(name for name in frame.columns if name not in CANONICAL))
