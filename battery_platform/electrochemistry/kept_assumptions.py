"""The tables of assumptions as rows of the lake."""

from __future__ import annotations

from dataclasses import asdict

from battery_platform.electrochemistry.assumptions import digest
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.half_cell.assumptions import HALF_CELL
from battery_platform.made.fingerprint import fingerprint
from battery_platform.made.kept import Basis, Kept, Made, digest_of, unless_same
from battery_platform.store.lakehouse import Lakehouse

TABLES = {"half_cell": HALF_CELL, "graded_full_cell": GRADED}


def keep_assumptions(lake: Lakehouse) -> Kept:
    """Store the tables in the lake if they are not there yet."""
    hashes = [digest(table) for table in TABLES.values()]
    basis = Basis(fingerprint(keep_assumptions), digest_of(*hashes))
    return unless_same(lake, "assumptions", {}, basis, lambda: Made({"assumptions": _rows()}))


def _rows() -> list[dict[str, str]]:
    return [
        {
            "model": name,
            **{field: _as_text(value) for field, value in asdict(assumption).items()},
            "digest": digest(table),
        }
        for name, table in TABLES.items()
        for assumption in table
    ]


def _as_text(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, int | float) else value
