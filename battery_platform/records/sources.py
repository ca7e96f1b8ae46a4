"""What a refresh takes of the public catalogue: the files that were fetched, a report for each.

Dropped files are taken in `dropfolder`; made-up ones are handed in from outside this folder.
"""

from __future__ import annotations

import json
from pathlib import Path

from battery_platform.records import mapping as mappings
from battery_platform.records.catalogue import Entry
from battery_platform.records.ingest import (
    NO_PROGRESS,
    Progress,
    Report,
    ingest,
    known_report,
)
from battery_platform.records.known_files import KnownBytes, look_up
from battery_platform.store.lakehouse import Lakehouse


def take_public(lake: Lakehouse, entry: Entry, progress: Progress = NO_PROGRESS) -> list[Report]:
    """Ingest an entry's files, if they were fetched."""
    if not entry.fetched(lake.settings):
        return []
    folder = entry.folder(lake.settings)
    items = {folder / item.name: item for item in entry.takeable(lake.settings)}
    seen = look_up(lake, items)
    reports = []
    for path, item in items.items():
        mapping = mappings.parse(entry.mapping(item), path)
        handed_in = _handed_in(lake, entry, path, seen.get(path))
        reports.append(
            handed_in or ingest(lake, path, mapping, progress=progress, seen=seen.get(path))
        )
    return reports


def _handed_in(lake: Lakehouse, entry: Entry, path: Path, seen: KnownBytes | None) -> Report | None:
    """What became of these bytes when a person handed them in under a mapping: that stays."""
    before = seen.manifest_in(lake) if seen else []
    if not before or before[0]["source_id"] == entry.id:
        return None
    automatic = any(part.get("automatic") for part in json.loads(before[0]["mapping"])["parts"])
    return None if automatic else known_report(lake, path, before)
