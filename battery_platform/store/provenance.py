"""Where a record comes from, and what everything of a file went into.

`core_provenance` (entity -> file and row) and `core_links` (parent -> child) are built by dbt;
this module walks them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from battery_platform.errors import PlatformError
from battery_platform.store.lakehouse import Lakehouse, sql_name
from battery_platform.store.lineage import (
    VERSION,
    of_design,
    of_discharge,
    of_text,
    of_version,
    resting_on,
)

SHOWN = 20


@dataclass
class Trace:
    """An identifier's or a file's ties in both directions, ready to print or to dump."""

    subject: str
    kind: str
    origins: list[dict[str, Any]] = field(default_factory=list)
    upstream: list[dict[str, Any]] = field(default_factory=list)
    downstream: list[dict[str, Any]] = field(default_factory=list)
    marts: list[dict[str, Any]] = field(default_factory=list)
    falls: list[dict[str, Any]] = field(default_factory=list)
    """Model versions, designs and discharges that rest on it."""
    is_synthetic: bool | None = None
    snapshot: int = 0


def trace(lake: Lakehouse, identifier: str) -> Trace:
    """Walk from anything back to file and line, or from a file forward to all that used it."""
    try:
        product = _trace_product(lake, identifier)
        if product is not None:
            product.snapshot = lake.snapshot()
            return product
        files = lake.records(
            """SELECT DISTINCT file_id, file_name, path, source_id, licence, is_synthetic
               FROM raw_files WHERE file_id = ? OR file_name = ? OR path = ?""",
            [identifier, identifier, str(Path(identifier).expanduser().resolve())],
        )
        found = _trace_file(lake, files) if files else _trace_record(lake, identifier)
    except duckdb.CatalogException as error:
        raise PlatformError(
            "The core tables are not built yet.", "Run `battery-platform refresh` first."
        ) from error
    found.snapshot = lake.snapshot()
    return found


def _trace_product(lake: Lakehouse, identifier: str) -> Trace | None:
    version = VERSION.match(identifier)
    if version and lake.value(
        "SELECT count(*) FROM model_versions WHERE model_name = ?", [version[1]]
    ):
        found: dict[str, Any] | None = of_version(lake, version[1], int(version[2]))
    else:
        found = (
            of_design(lake, identifier)
            or of_discharge(lake, identifier)
            or of_text(lake, identifier)
        )
    return Trace(identifier, **found) if found is not None else None


def _trace_record(lake: Lakehouse, identifier: str) -> Trace:
    kinds = lake.rows(
        "SELECT DISTINCT entity_kind FROM core_provenance WHERE entity_id = ? ORDER BY 1",
        [identifier],
    )
    if not kinds:
        recipe = lake.rows(
            "SELECT electrode_id FROM mart_electrodes WHERE recipe_id = ?", [identifier]
        )
        if not recipe:
            raise PlatformError(
                f"Nothing that the last refresh saw is called '{identifier}'.",
                "Give an identifier of a record, a recipe_id, a file name or a file_id, a model version "
                "such as mass-loading/1, a design, a discharge or a document; what was ingested since "
                "is there after `battery-platform refresh`.",
            )
        made = Trace(identifier, "recipe")
        made.origins = lake.records(
            """SELECT p.file_name, p.sheet, p.row_number, p.table_name, p.source_id, p.is_synthetic,
                      p.entity_id, f.path
               FROM core_provenance p
               JOIN mart_electrodes e ON p.entity_kind = 'electrode' AND p.entity_id = e.electrode_id
               JOIN raw_files f ON f.file_id = p.file_id AND f.sheet = p.sheet
               WHERE e.recipe_id = ? ORDER BY p.file_name, p.row_number""",
            [identifier],
        )
        made.marts = _marts(lake, [identifier, *[one for (one,) in recipe]])
        made.falls = resting_on(lake, [], [one for (one,) in recipe])
        return made
    made = Trace(identifier, kinds[0][0])
    made.upstream = _walk(lake, identifier, "child", "parent")
    made.downstream = _walk(lake, identifier, "parent", "child")
    made.origins = _origins(lake, [identifier])
    for row in made.upstream:
        row["files"] = ", ".join(
            f"{one['file_name']}:{one['row_number']}" for one in _origins(lake, [row["id"]])[:3]
        )
    below = [identifier, *[row["id"] for row in made.downstream]]
    made.marts = _marts(lake, below)
    made.falls = resting_on(lake, [], below)
    return made


def _walk(lake: Lakehouse, identifier: str, here: str, there: str) -> list[dict[str, Any]]:
    """All records that links reach from one, nearest first."""
    return lake.records(
        f"""WITH RECURSIVE reach(kind, id, distance) AS (
              SELECT {there}_kind, {there}_id, 1 FROM core_links WHERE {here}_id = ?
              UNION
              SELECT l.{there}_kind, l.{there}_id, r.distance + 1
              FROM core_links l JOIN reach r ON l.{here}_id = r.id AND l.{here}_kind = r.kind
              WHERE r.distance < 12)
            SELECT kind, id, min(distance) AS distance FROM reach
            GROUP BY ALL ORDER BY distance, kind, id""",
        [identifier],
    )


def _origins(lake: Lakehouse, identifiers: list[str]) -> list[dict[str, Any]]:
    return lake.records(
        """SELECT p.file_name, p.sheet, p.row_number, p.table_name, p.source_id, p.is_synthetic,
                  f.path, f.licence
           FROM core_provenance p JOIN raw_files f ON f.file_id = p.file_id AND f.sheet = p.sheet
           WHERE p.entity_id IN (SELECT unnest(?)) ORDER BY p.file_name, p.row_number""",
        [identifiers],
    )


def _trace_file(lake: Lakehouse, files: list[dict[str, Any]]) -> Trace:
    if len({row["file_id"] for row in files}) > 1:
        named = ", ".join(f"{row['file_id']} ({row['path']})" for row in files)
        raise PlatformError(f"Several files have that name: {named}.", "Give the file_id.")
    file_id = files[0]["file_id"]
    made = Trace(files[0]["file_name"], "file", origins=files[:1])
    made.downstream = lake.records(
        """WITH RECURSIVE reach(kind, id, distance) AS (
             SELECT DISTINCT entity_kind, entity_id, 0 FROM core_provenance WHERE file_id = ?
             UNION
             SELECT l.child_kind, l.child_id, r.distance + 1
             FROM core_links l JOIN reach r ON l.parent_id = r.id AND l.parent_kind = r.kind
             WHERE r.distance < 12)
           SELECT kind, count(DISTINCT id) AS records,
                  count(DISTINCT id) FILTER (WHERE distance = 0) AS stated_in_the_file,
                  min(id) AS first_id
           FROM reach GROUP BY kind ORDER BY min(distance), kind""",
        [file_id],
    )
    reached = lake.rows(
        """WITH RECURSIVE reach(kind, id, distance) AS (
             SELECT DISTINCT entity_kind, entity_id, 0 FROM core_provenance WHERE file_id = ?
             UNION
             SELECT l.child_kind, l.child_id, r.distance + 1
             FROM core_links l JOIN reach r ON l.parent_id = r.id AND l.parent_kind = r.kind
             WHERE r.distance < 12)
           SELECT DISTINCT id FROM reach""",
        [file_id],
    )
    made.marts = _marts(lake, [one for (one,) in reached])
    made.falls = resting_on(lake, [file_id], [one for (one,) in reached])
    return made


_MART_KEYS = ("electrode_id", "cell_id", "recipe_id", "slurry_id", "condition_id", "structure_id")


def _marts(lake: Lakehouse, identifiers: list[str]) -> list[dict[str, Any]]:
    """Rows of each mart that carry one of these identifiers."""
    found = []
    for name in lake.tables():
        if not name.startswith("mart_"):
            continue
        with lake.cursor() as cursor:
            described = cursor.execute(f"DESCRIBE {sql_name(name)}").fetchall()
            have = [key for key in _MART_KEYS if key in {row[0] for row in described}]
            if not have:
                continue
            condition = " OR ".join(f"{key} IN (SELECT unnest($ids))" for key in have)
            row = cursor.execute(
                f"SELECT count(*) FROM {sql_name(name)} WHERE {condition}", {"ids": identifiers}
            ).fetchone()
        if row and row[0]:
            found.append({"mart": name, "rows": row[0]})
    return found


def line_of(path: str, row_number: int, sheet: str) -> str | None:
    """The line of a text file as it stands there now, if it is still there."""
    source = Path(path)
    if sheet or not source.is_file():
        return None
    from itertools import islice

    with source.open("rb") as stream:
        found = next(islice(stream, row_number - 1, row_number), None)
    if found is None or b"\x00" in found:
        return None
    return found.decode("utf-8", "replace").strip()[:300]
