"""The tables of the lake that Python writes: raw tables and products from their contracts,
manifest, quarantine.

Staging, core and mart tables belong to dbt.
"""

from __future__ import annotations

from battery_platform.contracts.base import columns
from battery_platform.contracts.products import PRODUCTS
from battery_platform.contracts.registry import TABLES, Table

TECHNICAL: dict[str, str] = {
    "source_id": "VARCHAR",
    "file_id": "VARCHAR",
    "sheet": "VARCHAR",
    "row_number": "BIGINT",
    "is_synthetic": "BOOLEAN",
}

FILES: dict[str, str] = {
    "file_id": "VARCHAR",
    "delivery_id": "VARCHAR",
    "source_id": "VARCHAR",
    "file_name": "VARCHAR",
    "path": "VARCHAR",
    "sheet": "VARCHAR",
    "table_name": "VARCHAR",
    "size_bytes": "BIGINT",
    "content_hash": "VARCHAR",
    "mapping_hash": "VARCHAR",
    "mapping": "VARCHAR",
    "licence": "VARCHAR",
    "citation": "VARCHAR",
    "is_synthetic": "BOOLEAN",
    "rows_in": "BIGINT",
    "rows_accepted": "BIGINT",
    "rows_new": "BIGINT",
    "rows_quarantined": "BIGINT",
    "ingested_at": "TIMESTAMP",
}

QUARANTINE: dict[str, str] = {
    "file_id": "VARCHAR",
    "source_id": "VARCHAR",
    "file_name": "VARCHAR",
    "table_name": "VARCHAR",
    "sheet": "VARCHAR",
    "row_number": "BIGINT",
    "field": "VARCHAR",
    "value": "VARCHAR",
    "rule": "VARCHAR",
    "message": "VARCHAR",
    "remedy": "VARCHAR",
    "record": "VARCHAR",
    "is_synthetic": "BOOLEAN",
    "quarantined_at": "TIMESTAMP",
}

WITHDRAWN: dict[str, str] = FILES | {
    "withdrawn_at": "TIMESTAMP",
    "withdrawn_by": "VARCHAR",
    "why": "VARCHAR",
    "replaced_by": "VARCHAR",
    "snapshot_id": "BIGINT",
}
"""The manifest of files that were taken back, or replaced by another; the snapshot still has their rows."""

KNOWN: dict[str, str] = {
    "file_id": "VARCHAR",
    "sheet": "VARCHAR",
    "table_name": "VARCHAR",
    "row_number": "BIGINT",
    "owner_file_id": "VARCHAR",
    "owner_sheet": "VARCHAR",
    "owner_row_number": "BIGINT",
}
"""Rows that repeat a row of another file: accepted, but stored once."""

COLUMNS: dict[str, str] = {
    "file_id": "VARCHAR",
    "sheet": "VARCHAR",
    "table_name": "VARCHAR",
    "position": "BIGINT",
    "header": "VARCHAR",
    "unit": "VARCHAR",
    "outcome": "VARCHAR",
    "column_name": "VARCHAR",
    "confidence": "DOUBLE",
    "why": "VARCHAR",
}
"""What became of each column of each sheet: placed, left out, extra or unplaced."""

EXTRA: dict[str, str] = {
    "file_id": "VARCHAR",
    "source_id": "VARCHAR",
    "table_name": "VARCHAR",
    "sheet": "VARCHAR",
    "row_number": "BIGINT",
    "position": "BIGINT",
    "name": "VARCHAR",
    "unit": "VARCHAR",
    "value": "VARCHAR",
    "is_synthetic": "BOOLEAN",
}
"""Cells of columns that no contract has, beside their rows, as they stand in the file."""

PINS: dict[str, str] = {
    "snapshot_id": "BIGINT",
    "holder": "VARCHAR",
    "note": "VARCHAR",
    "pinned_at": "TIMESTAMP",
}

LAKE_VERSION: dict[str, str] = {"version": "BIGINT"}
"""One row: the version of these tables."""


def raw_columns(table: Table) -> dict[str, str]:
    """Columns of a raw table with their SQL types."""
    return {column.name: column.sql_type for column in columns(table.contract)} | TECHNICAL


def all_tables() -> dict[str, dict[str, str]]:
    """Every table that Python writes, with its columns."""
    raw = {table.raw: raw_columns(table) for table in TABLES.values()}
    products = {
        product.name: {column.name: column.sql_type for column in columns(product.contract)}
        for product in PRODUCTS.values()
    }
    return (
        raw
        | products
        | {
            "raw_files": FILES,
            "raw_withdrawn": WITHDRAWN,
            "raw_known": KNOWN,
            "raw_columns": COLUMNS,
            "raw_extra": EXTRA,
            "quarantine": QUARANTINE,
            "snapshot_pins": PINS,
            "lake_version": LAKE_VERSION,
        }
    )
