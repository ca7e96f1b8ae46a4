"""Made-up files, handed in to the lake by the way that everybody's files go.

Writing the files belongs to `plant` and `cell_cases`, reading and judging them to `records`.
"""

from __future__ import annotations

from battery_platform.records.ingest import NO_PROGRESS, Progress, Report, ingest_all
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.synthetic.cell_cases import write_cell_cases
from battery_platform.synthetic.plant.files import write_plant


def take_plant(
    lake: Lakehouse, batches: int, seed: int = 20260101, progress: Progress = NO_PROGRESS
) -> list[Report]:
    """Let the synthetic plant write its files and ingest them like anybody's."""
    folder = lake.settings.plant_folder / f"{batches}-batches"
    written = write_plant(folder, batches, seed)
    return ingest_all(lake, written, progress)


def take_cell_cases(lake: Lakehouse, progress: Progress = NO_PROGRESS) -> list[Report]:
    """Let the synthetic table of graphite cells be written, and ingest it like anybody's."""
    written = write_cell_cases(lake.settings.plant_folder / "cell-cases")
    return ingest_all(lake, written, progress)
