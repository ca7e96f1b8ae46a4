"""Which row was made from which, over the whole lake, as one relation that is walked both ways.

Links of records are built by dbt (`core_links`, and `core_provenance` from records to files); links of
products follow from their declarations. Nothing here knows what a product is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from battery_platform.contracts.products import PRODUCTS
from battery_platform.store.lakehouse import Lakehouse, sql_name, sql_text

FILE = "file"
NEARBY = "electrode made nearby"
_RECORDS = {
    "core_links": "SELECT child_kind, child_id, parent_kind, parent_id FROM core_links",
    "core_provenance": f"SELECT DISTINCT entity_kind, entity_id, '{FILE}', file_id FROM core_provenance",
}
Node = tuple[str, str]
"""A kind and a name."""


def upward(lake: Lakehouse, start: Sequence[Node]) -> list[dict[str, Any]]:
    """Everything that these rows were made from, nearest first: kind, id, distance."""
    return _walk(lake, start, "child", "parent")


def downward(lake: Lakehouse, start: Sequence[Node]) -> list[dict[str, Any]]:
    """Everything that was made from these rows, nearest first."""
    return _walk(lake, start, "parent", "child")


def kinds_of(lake: Lakehouse, identifier: str) -> list[str]:
    """What products, and rows that they were made from, are called so."""
    queries = [
        f"SELECT {sql_text(product.kind)} AS kind FROM {sql_name(product.name)} "
        f"WHERE {product.identifier} = $id"
        for product in PRODUCTS.values()
        if not product.is_part
    ]
    queries += [
        "SELECT child_kind FROM made_from WHERE child_id = $id",
        "SELECT parent_kind FROM made_from WHERE parent_id = $id",
    ]
    found = lake.rows(
        f"SELECT DISTINCT kind FROM ({' UNION ALL '.join(queries)}) ORDER BY 1", {"id": identifier}
    )
    return [kind for (kind,) in found]


def lines_behind(lake: Lakehouse, nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """Lines of files that state records among these, or that products among them name themselves."""
    named = [
        f"""SELECT {sql_text(product.kind)} AS kind, l.*
            FROM ({product.lines}) l(child_id, file_id, sheet, row_number, table_name, file_name,
                                     source_id, entity_id)"""
        for product in PRODUCTS.values()
        if product.lines
    ]
    if "core_provenance" in lake.tables():
        named.append(
            """SELECT entity_kind AS kind, entity_id AS child_id, file_id, sheet, row_number,
                      table_name, file_name, source_id, entity_id FROM core_provenance"""
        )
    kinds, identifiers = _columns(nodes)
    return lake.records(
        f"""WITH wanted AS (SELECT unnest($kinds::VARCHAR[]) AS kind, unnest($ids::VARCHAR[]) AS child_id)
            SELECT DISTINCT l.file_name, l.sheet, l.row_number, l.table_name, l.source_id,
                   l.entity_id, l.file_id, f.path, f.licence, f.is_synthetic
            FROM ({" UNION ALL ".join(named)}) l JOIN wanted USING (kind, child_id)
            LEFT JOIN (SELECT file_id, sheet, any_value(path) AS path, any_value(licence) AS licence,
                              any_value(is_synthetic) AS is_synthetic
                       FROM raw_files GROUP BY ALL) f
              ON f.file_id = l.file_id AND f.sheet = l.sheet
            ORDER BY l.file_name, l.sheet, l.row_number, l.entity_id""",
        {"kinds": kinds, "ids": identifiers},
    )


def _walk(lake: Lakehouse, start: Sequence[Node], here: str, there: str) -> list[dict[str, Any]]:
    kinds, identifiers = _columns(start)
    return lake.records(
        f"""WITH RECURSIVE edges AS MATERIALIZED ({_edges(lake)}),
              start AS (SELECT unnest($kinds::VARCHAR[]) AS kind, unnest($ids::VARCHAR[]) AS id),
              reach(kind, id, distance) AS (
                SELECT kind, id, 0 FROM start
                UNION
                SELECT e.{there}_kind, e.{there}_id, r.distance + 1
                FROM edges e JOIN reach r ON e.{here}_kind = r.kind AND e.{here}_id = r.id
                WHERE r.distance < 24)
            SELECT kind, id, min(distance) AS distance FROM reach
            WHERE distance > 0 GROUP BY ALL ORDER BY distance, kind, id""",
        {"kinds": kinds, "ids": identifiers},
    )


def _edges(lake: Lakehouse) -> str:
    """All links of the lake: child_kind, child_id, parent_kind, parent_id."""
    tables = set(lake.tables())
    links = ["SELECT child_kind, child_id, parent_kind, parent_id FROM made_from"]
    links += [query for table, query in _RECORDS.items() if table in tables]
    links += [
        f"SELECT {sql_text(product.kind)}, p.* FROM ({query}) p(child_id, parent_kind, parent_id)"
        for product in PRODUCTS.values()
        for query in product.parents
    ]
    return " UNION ".join(links)


def _columns(nodes: Sequence[Node]) -> tuple[list[str], list[str]]:
    return [kind for kind, _ in nodes], [identifier for _, identifier in nodes]
