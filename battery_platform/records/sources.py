"""What a refresh takes in: the public data that was fetched, the synthetic plant, dropped files.

Each function walks one source and returns a report per file; none of them knows Dagster.
"""

from __future__ import annotations

import json
from pathlib import Path

from battery_platform.records import mapping as mappings
from battery_platform.records.case_plant import write_cell_cases
from battery_platform.records.catalogue import Entry
from battery_platform.records.ingest import (
    NO_PROGRESS,
    Progress,
    Report,
    content_hash,
    in_order,
    ingest,
    known_report,
)
from battery_platform.records.plant import write_plant
from battery_platform.store.commit import known
from battery_platform.store.lakehouse import Lakehouse

SIZES = {"demo": 200, "nightly": 400, "full": 1000}
"""Batches of the synthetic plant by the size of a refresh."""


def take_public(lake: Lakehouse, entry: Entry, progress: Progress = NO_PROGRESS) -> list[Report]:
    """Ingest an entry's files, if they were fetched."""
    if not entry.fetched(lake.settings):
        return []
    folder = entry.folder(lake.settings)
    reports = []
    for item in entry.takeable(lake.settings):
        path = folder / item.name
        ours = _handed_in(lake, entry, path)
        reports.append(
            ours or ingest(lake, path, mappings.parse(entry.mapping(item), path), progress=progress)
        )
    return reports


def _handed_in(lake: Lakehouse, entry: Entry, path: Path) -> Report | None:
    """What became of these bytes when a person handed them in under a mapping: that stays."""
    before = known(lake, content_hash(path))
    if not before or before[0]["source_id"] == entry.id:
        return None
    automatic = any(part.get("automatic") for part in json.loads(before[0]["mapping"])["parts"])
    return None if automatic else known_report(path, before)


def take_plant(
    lake: Lakehouse, batches: int, seed: int = 20260101, progress: Progress = NO_PROGRESS
) -> list[Report]:
    """Let the synthetic plant write its files and ingest them like anybody's."""
    folder: Path = lake.settings.plant_folder / f"{batches}-batches"
    written = [path for path in write_plant(folder, batches, seed) if path.suffix != ".yaml"]
    return [ingest(lake, path, progress=progress) for path in in_order(lake, written)]


def take_cell_cases(lake: Lakehouse, progress: Progress = NO_PROGRESS) -> list[Report]:
    """Let the synthetic table of graphite cells be written, and ingest it like anybody's."""
    written = write_cell_cases(lake.settings.plant_folder / "cell-cases")
    return [ingest(lake, path, progress=progress) for path in in_order(lake, written)]
