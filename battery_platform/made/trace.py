"""Where anything in the lake comes from, to file and line, and what rests on it and would fall with it.

One walk over `lineage` answers for records, files and every product; this module finds out what an
identifier is and puts the answer into the words of a trace.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from battery_platform.contracts.products import PRODUCTS
from battery_platform.contracts.products.declaring import Product, has_column
from battery_platform.errors import PlatformError
from battery_platform.made.lineage import (
    FILE,
    NEARBY,
    Node,
    downward,
    kinds_of,
    lines_behind,
    upward,
)
from battery_platform.store.commit import how_withdrawn
from battery_platform.store.lakehouse import Lakehouse, sql_name, sql_text

VERSION = re.compile(r"^(?:models:/)?([a-z][a-z0-9-]*)[/:](\d+)$")
DOCUMENT, MENTION = "document", "mention"


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
    """Products that rest on it."""
    is_synthetic: bool | None = None
    snapshot: int = 0


def trace(lake: Lakehouse, identifier: str) -> Trace:
    """Walk from anything back to file and line, and forward to all that was made from it."""
    try:
        traced = _product(lake, identifier) or _file(lake, identifier)
        if traced is None:
            _refuse_withdrawn(lake, identifier)
            traced = _record(lake, identifier)
    except duckdb.CatalogException as error:
        raise PlatformError(
            "The core tables are not built yet.", "Run `battery-platform refresh` first."
        ) from error
    traced.snapshot = lake.snapshot()
    return traced


def _refuse_withdrawn(lake: Lakehouse, identifier: str) -> None:
    """A file that was taken back has no ties; what became of it is known."""
    gone = lake.records(
        f"""SELECT * FROM raw_withdrawn WHERE {sql_text(identifier)} IN (file_id, file_name)
               OR path = {sql_text(str(Path(identifier).expanduser().resolve()))}"""
    )
    if gone:
        successor = gone[0]["replaced_by"]
        raise PlatformError(
            f"{how_withdrawn(gone[0])}.",
            f"`battery-platform trace {successor}` shows what took its place."
            if successor
            else f"`battery-platform withdraw --undo {gone[0]['file_id']}` brings it back.",
        )


# -- products -------------------------------------------------------------------------------


def _product(lake: Lakehouse, identifier: str) -> Trace | None:
    name = _product_name(lake, identifier)
    kinds = kinds_of(lake, name)
    product = next(
        (one for one in PRODUCTS.values() if not one.is_part and one.kind in kinds), None
    )
    if product is None and not (set(kinds) - _record_kinds(lake)):
        return None
    kind = product.kind if product else next(iter(set(kinds) - _record_kinds(lake)))
    above = upward(lake, [(kind, name)])
    below = downward(lake, [(kind, name)])
    traced = Trace(name, kind)
    traced.upstream = [row for row in above if row["kind"] != FILE]
    traced.origins = lines_behind(lake, [(kind, name), *_nodes(above)])
    traced.downstream = below
    if product is not None:
        traced.is_synthetic = _is_synthetic(lake, product, name)
    _explain(lake, traced)
    return traced


def _product_name(lake: Lakehouse, identifier: str) -> str:
    """The name under which a product is known: versions and documents have several."""
    version = VERSION.match(identifier)
    if version and lake.value(
        "SELECT count(*) FROM model_versions WHERE model_name = ?", [version[1]]
    ):
        name = f"{version[1]}/{version[2]}"
        if not kinds_of(lake, name):
            raise PlatformError(
                f"There is no version {version[2]} of {version[1]}.",
                "`battery-platform models list` shows them.",
            )
        return name
    documents = lake.rows(
        "SELECT document_id FROM literature_documents WHERE file_name = $it OR $folder || path = $it",
        {"it": identifier, "folder": f"{lake.settings.literature_folder}/"},
    )
    return documents[0][0] if documents else identifier


def _record_kinds(lake: Lakehouse) -> set[str]:
    """Kinds of records that were handed in."""
    if "core_provenance" not in lake.tables():
        return set()
    return {kind for (kind,) in lake.rows("SELECT DISTINCT entity_kind FROM core_provenance")}


def _is_synthetic(lake: Lakehouse, product: Product, name: str) -> bool | None:
    if not has_column(product, "is_synthetic"):
        return None
    answer = lake.value(
        f"SELECT bool_or(is_synthetic) FROM {sql_name(product.name)} WHERE {product.identifier} = ?",
        [name],
    )
    return None if answer is None else bool(answer)


def _explain(lake: Lakehouse, traced: Trace) -> None:
    """Add what a name alone does not say: where nearby electrodes and mentions stand."""
    nearby = [row for row in traced.upstream if row["kind"] == NEARBY]
    if nearby:
        places = dict(
            lake.rows("SELECT electrode_id, file_name || ':' || line FROM design_neighbours")
        )
        for row in nearby:
            row["files"] = places.get(row["id"], "")
    documents = [row["id"] for row in traced.upstream if row["kind"] == DOCUMENT]
    documents += [traced.subject] if traced.kind == DOCUMENT else []
    if documents:
        traced.origins += _texts(lake, documents)
        if traced.kind == MENTION:
            traced.downstream = _mentions(lake, "mention_id", [traced.subject])
        else:
            traced.downstream = _mentions(lake, "document_id", documents)


def _texts(lake: Lakehouse, documents: Sequence[str]) -> list[dict[str, Any]]:
    folder = lake.settings.literature_folder
    return [
        row
        | {
            "path": str(folder / row["path"]),
            "sheet": "",
            "source_id": "literature",
            "licence": "as the text's own",
        }
        for row in lake.records(
            """SELECT file_name, path, is_synthetic FROM literature_documents
               WHERE document_id IN (SELECT unnest(?)) ORDER BY file_name""",
            [list(documents)],
        )
    ]


def _mentions(lake: Lakehouse, column: str, identifiers: Sequence[str]) -> list[dict[str, Any]]:
    return lake.records(
        f"""SELECT 'mention' AS kind, mention_id AS id, property, quote, start_offset, end_offset
            FROM literature_mentions WHERE {column} IN (SELECT unnest(?)) ORDER BY start_offset""",
        [list(identifiers)],
    )


# -- files and records ----------------------------------------------------------------------


def _file(lake: Lakehouse, identifier: str) -> Trace | None:
    files = lake.records(
        """SELECT DISTINCT file_id, file_name, path, source_id, licence, is_synthetic
           FROM raw_files WHERE file_id = ? OR file_name = ? OR path = ?""",
        [identifier, identifier, str(Path(identifier).expanduser().resolve())],
    )
    if not files:
        return None
    if len({row["file_id"] for row in files}) > 1:
        named = ", ".join(f"{row['file_id']} ({row['path']})" for row in files)
        raise PlatformError(f"Several files have that name: {named}.", "Give the file_id.")
    traced = Trace(files[0]["file_name"], FILE, origins=files[:1])
    below = downward(lake, [(FILE, files[0]["file_id"])])
    _sort_below(lake, traced, below, [])
    records: dict[str, list[dict[str, Any]]] = {}
    for row in traced.downstream:
        records.setdefault(row["kind"], []).append(row)
    traced.downstream = [
        {
            "kind": kind,
            "records": len(rows),
            "stated_in_the_file": sum(row["distance"] == 1 for row in rows),
            "first_id": min(row["id"] for row in rows),
        }
        for kind, rows in records.items()
    ]
    return traced


def _record(lake: Lakehouse, identifier: str) -> Trace:
    kinds = lake.rows(
        "SELECT DISTINCT entity_kind FROM core_provenance WHERE entity_id = ? ORDER BY 1",
        [identifier],
    )
    if not kinds:
        return _recipe(lake, identifier)
    node = (kinds[0][0], identifier)
    traced = Trace(identifier, node[0], origins=lines_behind(lake, [node]))
    above = upward(lake, [node])
    traced.upstream = [row for row in above if row["kind"] != FILE]
    for row in traced.upstream:
        row["files"] = ", ".join(
            f"{line['file_name']}:{line['row_number']}"
            for line in lines_behind(lake, [(row["kind"], row["id"])])[:3]
        )
    _sort_below(lake, traced, downward(lake, [node]), [identifier])
    return traced


def _recipe(lake: Lakehouse, identifier: str) -> Trace:
    electrodes = [
        name
        for (name,) in lake.rows(
            "SELECT electrode_id FROM mart_electrodes WHERE recipe_id = ?", [identifier]
        )
    ]
    if not electrodes:
        raise PlatformError(
            f"Nothing that the last refresh saw is called '{identifier}'.",
            "Give an identifier of a record, a recipe_id, a file name or a file_id, a model version "
            "such as mass-loading/1, a design, a discharge or a document; what was ingested since "
            "is there after `battery-platform refresh`.",
        )
    nodes = [("electrode", name) for name in electrodes]
    traced = Trace(identifier, "recipe", origins=lines_behind(lake, nodes))
    _sort_below(lake, traced, downward(lake, nodes), [identifier, *electrodes])
    traced.downstream = []
    return traced


def _sort_below(
    lake: Lakehouse, traced: Trace, below: list[dict[str, Any]], named: list[str]
) -> None:
    """Records that followed, rows of marts about them, and products that would fall."""
    records = _record_kinds(lake)
    traced.downstream = [row for row in below if row["kind"] in records]
    traced.falls = [row for row in below if row["kind"] not in records]
    traced.marts = _marts(lake, [*named, *(row["id"] for row in traced.downstream)])


def _nodes(rows: Sequence[dict[str, Any]]) -> list[Node]:
    return [(row["kind"], row["id"]) for row in rows]


_MART_KEYS = ("electrode_id", "cell_id", "recipe_id", "slurry_id", "condition_id", "structure_id")


def _marts(lake: Lakehouse, identifiers: list[str]) -> list[dict[str, Any]]:
    """Rows of each mart that carry one of these identifiers."""
    counted = []
    for name in lake.tables():
        if not name.startswith("mart_"):
            continue
        with lake.cursor() as cursor:
            columns = {row[0] for row in cursor.execute(f"DESCRIBE {sql_name(name)}").fetchall()}
            keys = [key for key in _MART_KEYS if key in columns]
            if not keys:
                continue
            condition = " OR ".join(f"{key} IN (SELECT unnest($ids))" for key in keys)
            row = cursor.execute(
                f"SELECT count(*) FROM {sql_name(name)} WHERE {condition}", {"ids": identifiers}
            ).fetchone()
        if row and row[0]:
            counted.append({"mart": name, "rows": row[0]})
    return counted


def line_of(path: str, row_number: int, sheet: str) -> str | None:
    """The line of a text file as it stands there now, if it is still there."""
    source = Path(path)
    if sheet or not source.is_file():
        return None
    with source.open("rb") as stream:
        line = next(islice(stream, row_number - 1, row_number), None)
    if line is None or b"\x00" in line:
        return None
    return line.decode("utf-8", "replace").strip()[:300]
