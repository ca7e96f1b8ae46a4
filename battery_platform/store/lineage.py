"""From what the platform made back to files and lines, and from a file to all that would fall.

`provenance` walks records; this module walks versions, designs, discharges and mined text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from battery_platform.errors import PlatformError
from battery_platform.store.lakehouse import Lakehouse

VERSION = re.compile(r"^(?:models:/)?([a-z][a-z0-9-]*)[/:](\d+)$")


def lines_of(lake: Lakehouse, versions: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """Files and lines that versions were trained on, each with its electrode."""
    found = []
    for name, version in versions:
        found += lake.records(
            """SELECT DISTINCT t.file_name, t.sheet, t.line AS row_number, t.table_name, t.source_id,
                      t.electrode_id AS entity_id, t.file_id, f.path, f.licence, f.is_synthetic
               FROM model_training_rows t
               LEFT JOIN raw_files f ON f.file_id = t.file_id AND f.sheet = t.sheet
                 AND f.table_name = t.table_name
               WHERE t.model_name = ? AND t.version = ?
               ORDER BY t.file_name, t.sheet, t.line, t.electrode_id""",
            [name, version],
        )
    unique = {
        (one["file_id"], one["sheet"], one["row_number"], one["entity_id"]): one for one in found
    }
    return list(unique.values())


def of_version(lake: Lakehouse, name: str, version: int) -> dict[str, Any]:
    """A version: the snapshot and lines below it, the designs and discharges above it."""
    rows = lake.records(
        "SELECT * EXCLUDE (card) FROM model_versions WHERE model_name = ? AND version = ?",
        [name, version],
    )
    if not rows:
        raise PlatformError(
            f"There is no version {version} of {name}.",
            "`battery-platform models list` shows them.",
        )
    return {
        "kind": "model version",
        "upstream": [_snapshot(rows[0]["snapshot_id"])],
        "origins": lines_of(lake, [(name, version)]),
        "downstream": _made_from(lake, [(name, version)]),
        "is_synthetic": rows[0]["is_synthetic"],
    }


def of_design(lake: Lakehouse, identifier: str) -> dict[str, Any] | None:
    """A design: its versions, their snapshots, every line behind them, its discharges."""
    rows = lake.records("SELECT * FROM designs WHERE design_id = ?", [identifier])
    if not rows:
        return None
    row = rows[0]
    versions = [
        ("mass-loading", row["mass_loading_version"]),
        ("porosity", row["porosity_version"]),
    ]
    upstream = [
        {"kind": "model version", "id": f"{name}/{version}", "distance": 1}
        for name, version in versions
    ]
    upstream += [
        _snapshot(number) | {"distance": 2}
        for (number,) in lake.rows(
            """SELECT DISTINCT snapshot_id FROM model_versions
               WHERE (model_name = ? AND version = ?) OR (model_name = ? AND version = ?) ORDER BY 1""",
            [part for pair in versions for part in pair],
        )
    ]
    upstream += lake.records(
        """SELECT 'electrode made nearby' AS kind, electrode_id AS id, 3 AS distance,
                  file_name || ':' || line AS files
           FROM design_neighbours WHERE design_id = ? ORDER BY rank""",
        [identifier],
    )
    return {
        "kind": "design",
        "upstream": upstream,
        "origins": lines_of(lake, versions),
        "downstream": _discharges(lake, [identifier]),
        "is_synthetic": row["is_synthetic"],
    }


def of_discharge(lake: Lakehouse, identifier: str) -> dict[str, Any] | None:
    """A discharge: its design and all below that, or the electrode that was given by hand."""
    rows = lake.records("SELECT * FROM discharges WHERE discharge_id = ?", [identifier])
    if not rows:
        return None
    named = lake.rows(
        """SELECT subject FROM discharge_subjects
           WHERE discharge_id = ? AND origin = 'designs' ORDER BY subject""",
        [identifier],
    )
    design = of_design(lake, named[0][0]) if named else None
    assumptions = {"kind": "assumptions", "id": rows[0]["assumptions_hash"], "distance": 1}
    if design is None:
        return {
            "kind": "discharge",
            "upstream": [assumptions],
            "origins": [],
            "downstream": [],
            "is_synthetic": rows[0]["is_synthetic"],
        }
    above = [{"kind": "design", "id": named[0][0], "distance": 1}, assumptions]
    below = [one | {"distance": one["distance"] + 1} for one in design["upstream"]]
    return design | {"kind": "discharge", "upstream": above + below, "downstream": []}


def of_text(lake: Lakehouse, identifier: str) -> dict[str, Any] | None:
    """A document and what was found in it, or a mention and where it stands."""
    documents = lake.records(
        "SELECT * FROM literature_documents WHERE $it IN (document_id, file_name) "
        "OR document_id = split_part($it, ':', 1) OR $folder || path = $it",
        {"it": identifier, "folder": f"{lake.settings.literature_folder}/"},
    )
    if not documents:
        return None
    origins = [
        {
            "file_name": one["file_name"],
            "path": str(lake.settings.literature_folder / one["path"]),
            "sheet": "",
            "source_id": "literature",
            "is_synthetic": one["is_synthetic"],
            "licence": "as the text's own",
        }
        for one in documents
    ]
    one_mention = identifier.startswith("doc-") and ":" in identifier
    mentions = lake.records(
        """SELECT 'mention' AS kind, mention_id AS id, property, quote, start_offset, end_offset
           FROM literature_mentions
           WHERE document_id IN (SELECT unnest($documents)) AND ($one IS NULL OR mention_id = $one)
           ORDER BY start_offset""",
        {
            "documents": [one["document_id"] for one in documents],
            "one": identifier if one_mention else None,
        },
    )
    if one_mention and not mentions:
        return None
    kind = {"kind": "mention" if one_mention else "document", "upstream": [], "origins": origins}
    synthetic = any(one["is_synthetic"] for one in documents)
    return kind | {"downstream": mentions, "is_synthetic": synthetic}


def resting_on(
    lake: Lakehouse, files: Sequence[str], electrodes: Sequence[str]
) -> list[dict[str, Any]]:
    """Versions trained on lines of these files or on these electrodes, and what was made of them.

    This is what falls if the file was wrong. It holds for files that were replaced since.
    """
    versions = lake.rows(
        """SELECT DISTINCT model_name, version FROM model_training_rows
           WHERE file_id IN (SELECT unnest(?::VARCHAR[]))
              OR electrode_id IN (SELECT unnest(?::VARCHAR[]))
           ORDER BY ALL""",
        [list(files), list(electrodes)],
    )
    named = [{"kind": "model version", "id": f"{name}/{version}"} for name, version in versions]
    return named + _made_from(lake, versions)


def _made_from(lake: Lakehouse, versions: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    designs: dict[str, dict[str, Any]] = {}
    for name, version in versions:
        if name not in {"mass-loading", "porosity"}:
            continue
        column = f"{name.replace('-', '_')}_version"
        for one in lake.records(
            f"SELECT 'design' AS kind, design_id AS id FROM designs WHERE {column} = ? ORDER BY 2",
            [version],
        ):
            designs[one["id"]] = one
    return [*designs.values(), *_discharges(lake, list(designs))]


def _discharges(lake: Lakehouse, designs: Sequence[str]) -> list[dict[str, Any]]:
    return lake.records(
        """SELECT DISTINCT 'discharge' AS kind, discharge_id AS id FROM discharge_subjects
           WHERE origin = 'designs' AND subject IN (SELECT unnest(?::VARCHAR[])) ORDER BY 2""",
        [list(designs)],
    )


def _snapshot(number: int) -> dict[str, Any]:
    return {"kind": "snapshot", "id": str(number), "distance": 1}
