"""Which columns of its parents each column of a dbt model is made from, read from its SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from battery_platform.store.lakehouse import LAKE, Lakehouse

if TYPE_CHECKING:
    from sqlglot.lineage import Node
    from sqlglot.schema import MappingSchema

DIALECT = "duckdb"


def columns_of_lake(lake: Lakehouse) -> dict[str, dict[str, str]]:
    """Columns with their types of every table and view, in one query."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in lake.rows(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        f"WHERE database_name = '{LAKE}' ORDER BY table_name, column_index"
    ):
        found.setdefault(table, {})[column] = kind
    return found


def schema_of(columns: Mapping[str, Mapping[str, str]]) -> MappingSchema:
    """The same, as sqlglot takes it."""
    from sqlglot.schema import MappingSchema

    return MappingSchema({LAKE: {"main": dict(columns)}}, dialect=DIALECT)


def column_lineage(
    sql: str, schema: MappingSchema, parents: Mapping[str, dg.AssetKey]
) -> dg.TableColumnLineage | None:
    """Where the columns of a query come from, in its direct parents; None if it cannot be read."""
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage

    try:
        nodes = lineage(None, sql, schema, dialect=DIALECT)
    except SqlglotError:
        return None
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(parents[table], name)
                for table, name in sorted(_origins(node))
                if table in parents
            ]
            for column, node in nodes.items()
        }
    )


def _origins(node: Node) -> set[tuple[str, str]]:
    """Tables and their columns at the ends of a column's lineage."""
    from sqlglot import exp

    ends = [leaf for leaf in node.walk() if not leaf.downstream]
    return {
        (table.name, exp.to_column(leaf.name).name)
        for leaf in ends
        for table in leaf.expression.find_all(exp.Table)
    }
