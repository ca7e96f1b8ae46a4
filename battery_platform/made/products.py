"""What the platform made itself goes into the lake: checked, in one transaction, once per key.

Records from outside take the way of `store.commit`, which can quarantine; a product that breaks its
contract is refused as a whole. Contracts cost a second to import, which only storing needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from battery_platform.errors import StoreError
from battery_platform.store.lakehouse import Lakehouse, sql_name

if TYPE_CHECKING:
    import duckdb
    import polars as pl

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]
Scope = Mapping[str, Sequence[Any]]
"""Rows of a table: those with one of these values in each of these columns; empty for all rows."""


def put(lake: Lakehouse, products: Rows, instead_of: Mapping[str, Scope] | None = None) -> int:
    """Store rows by table; rows of the same key are replaced. Returns the snapshot.

    `instead_of` names, by table, the rows that leave in the same transaction.
    """
    from battery_platform.contracts.base import keys
    from battery_platform.contracts.products import PRODUCTS

    frames = {name: _checked(name, rows) for name, rows in products.items() if rows}

    def work(cursor: duckdb.DuckDBPyConnection) -> None:
        for name, scope in (instead_of or {}).items():
            condition, values = where(scope)
            cursor.execute(f"DELETE FROM {sql_name(name)} WHERE {condition}", values)
        for name, frame in frames.items():
            cursor.register("arriving", frame.to_arrow())
            same = " AND ".join(
                f"t.{sql_name(key)} = a.{sql_name(key)}" for key in keys(PRODUCTS[name].contract)
            )
            cursor.execute(
                f"DELETE FROM {sql_name(name)} t WHERE EXISTS (SELECT 1 FROM arriving a WHERE {same})"
            )
            cursor.execute(f"INSERT INTO {sql_name(name)} BY NAME SELECT * FROM arriving")
            cursor.unregister("arriving")

    lake.write(work)
    return lake.snapshot()


def where(scope: Scope) -> tuple[str, list[Any]]:
    """SQL for the rows of a scope, and its parameters."""
    conditions = [f"{sql_name(column)} IN (SELECT unnest(?))" for column in scope]
    return " AND ".join(conditions) or "TRUE", [list(values) for values in scope.values()]


def made_from(
    kind: str, identifier: str, parent_kind: str, parents: Iterable[str]
) -> list[dict[str, str]]:
    """Rows that say what a result was made from, for the table `made_from`."""
    return [
        {
            "child_kind": kind,
            "child_id": identifier,
            "parent_kind": parent_kind,
            "parent_id": parent,
        }
        for parent in dict.fromkeys(parents)
    ]


def _checked(name: str, rows: Sequence[Row]) -> pl.DataFrame:
    import polars as pl

    from battery_platform.contracts.base import columns
    from battery_platform.contracts.products import PRODUCTS
    from battery_platform.contracts.verdicts import judge

    contract = PRODUCTS[name].contract
    schema = {column.name: column.dtype for column in columns(contract)}
    frame = pl.DataFrame([dict(row) for row in rows], schema=schema, strict=True)
    verdict = judge(frame.with_row_index("row_number").cast({"row_number": pl.Int64}), contract)
    if verdict.violations.height:
        first = verdict.violations.row(0, named=True)
        raise StoreError(
            f"{verdict.violations.height} value(s) for {name} break its contract, the first is "
            f"{first['field']} = {first['value']} in {dict(rows[first['row_number']])}: {first['message']}",
            "Nothing was stored. This is a fault of the platform: please report it.",
        )
    return frame
