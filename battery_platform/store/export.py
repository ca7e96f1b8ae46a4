"""The marts and products as a plain DuckDB file and as Parquet, for tools that do not support DuckLake.

Both are built next to their destination and published by an atomic rename: a reader sees either the old
export or the new one.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import duckdb

from battery_platform.contracts.products import PRODUCTS
from battery_platform.store.lakehouse import LAKE, Lakehouse, sql_name, sql_text


@dataclass(frozen=True)
class Export:
    """What was published, and from which snapshot."""

    snapshot: int
    warehouse: Path
    rows: dict[str, int]


def export_marts(lake: Lakehouse) -> Export:
    """Publish every mart and product of the newest snapshot."""
    folder = lake.settings.export_folder
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in lake.tables() if name.startswith("mart_") or name in PRODUCTS]
    mark = uuid.uuid4().hex[:8]
    database, tables = folder / f".warehouse-{mark}.duckdb", folder / f".parquet-{mark}"
    rows: dict[str, int] = {}
    try:
        tables.mkdir()
        with lake.cursor() as cursor:
            cursor.execute("BEGIN TRANSACTION")
            row = cursor.execute(f"FROM ducklake_current_snapshot('{LAKE}')").fetchone()
            snapshot = int(row[0]) if row else 0
            for name in names:
                target = sql_text(str(tables / f"{name}.parquet"))
                cursor.execute(
                    f"COPY {sql_name(name)} TO {target} (FORMAT parquet, COMPRESSION zstd)"
                )
            cursor.execute("COMMIT")
        with duckdb.connect(str(database)) as plain:
            plain.execute(
                "CREATE TABLE export_info AS SELECT ? AS snapshot_id, now()::TIMESTAMP AS made_at",
                [snapshot],
            )
            for name in names:
                source = sql_text(str(tables / f"{name}.parquet"))
                plain.execute(f"CREATE TABLE {sql_name(name)} AS FROM read_parquet({source})")
                row = plain.execute(f"SELECT count(*) FROM {sql_name(name)}").fetchone()
                rows[name] = int(row[0]) if row else 0
        database.replace(folder / "warehouse.duckdb")
        _publish(tables, folder / "parquet")
    finally:
        database.unlink(missing_ok=True)
        shutil.rmtree(tables, ignore_errors=True)
    return Export(snapshot, folder / "warehouse.duckdb", rows)


def _publish(made: Path, place: Path) -> None:
    """Point a symbolic link to the new folder and delete the old one."""
    kept = place.with_name(f"parquet-{made.name.rsplit('-', 1)[-1]}")
    made.rename(kept)
    old = place.resolve() if place.is_symlink() else None
    link = place.with_name(f".{kept.name}.link")
    link.symlink_to(kept.name)
    link.replace(place)
    if old is not None and old != kept and old.is_dir():
        shutil.rmtree(old)
