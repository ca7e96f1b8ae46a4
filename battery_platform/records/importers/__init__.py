"""Readers of public data sets in forms of their own.

None of them knows its files by content (a plain text is no corpus): each is used only where a
mapping names it as `reader`. What they make goes through the contracts like any form.
"""

from __future__ import annotations

from battery_platform.records.importers.capacity import CAPACITY_MATRICES
from battery_platform.records.importers.corpora import BRAT, MEASEVAL, PROPERTY_RECORDS
from battery_platform.records.importers.particles import DIAMETER_LIST
from battery_platform.records.importers.voxels import LABELLED_VOLUME
from battery_platform.records.instruments.model import Instrument

IMPORTERS: dict[str, Instrument] = {
    importer.name: importer
    for importer in (
        BRAT,
        MEASEVAL,
        PROPERTY_RECORDS,
        CAPACITY_MATRICES,
        LABELLED_VOLUME,
        DIAMETER_LIST,
    )
}
