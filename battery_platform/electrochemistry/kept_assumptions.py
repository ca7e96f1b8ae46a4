"""The tables of assumptions as rows of the lake."""

from __future__ import annotations

from dataclasses import asdict

from battery_platform.electrochemistry.assumptions import digest
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.half_cell.assumptions import HALF_CELL
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.products import put

TABLES = {"half_cell": HALF_CELL, "graded_full_cell": GRADED}


def keep_assumptions(lake: Lakehouse) -> bool:
    """Put the tables into the lake where they are not there; true if they were not."""
    wanted = {(name, digest(table)) for name, table in TABLES.items()}
    if set(lake.rows("SELECT DISTINCT model, digest FROM assumptions")) == wanted:
        return False
    rows = [
        {
            "model": name,
            **{field: _said(value) for field, value in asdict(one).items()},
            "digest": digest(table),
        }
        for name, table in TABLES.items()
        for one in table
    ]
    put(lake, {"assumptions": rows}, instead_of={"assumptions": ("model", list(TABLES))})
    return True


def _said(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, int | float) else value
