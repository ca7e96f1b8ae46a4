"""A list of particle diameters: one number per line, in micrometres, without a header."""

from __future__ import annotations

from pathlib import Path

from battery_platform.records.importers.members import importer, members
from battery_platform.records.instruments.model import Tidy
from battery_platform.records.reading import refuse


def read_diameters(path: Path) -> list[Tidy]:
    """The diameters in the order of the file; their material is stated by the mapping."""
    (member,) = members(path)
    cells = [cell.strip() for cell in member.text().split("\n")]
    filled = [(line, cell) for line, cell in enumerate(cells, start=1) if cell]
    if not filled:
        raise refuse(path, "the list is empty.", "Export it again; nothing was stored.")
    rows: list[tuple[int, tuple[str, ...]]] = [
        (line, (str(place), cell)) for place, (line, cell) in enumerate(filled, start=1)
    ]
    units: dict[str, str | None] = {"place": None, "diameter_um": "um"}
    return [Tidy("particle_sizes", "diameters", units, rows)]


DIAMETER_LIST = importer("diameter_list", "list of particle diameters", read_diameters)
