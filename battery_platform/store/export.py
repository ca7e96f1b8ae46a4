"""The marts and products as a plain DuckDB file and as Parquet, for tools that do not speak DuckLake.

Both are built beside their place and published by an atomic rename: a reader sees the old
export or the new one.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import duckdb

from battery_platform.store.lakehouse import LAKE, Lakehouse, sql_name, sql_text

_NEWEST = (
    f"SELECT snapshot_id, snapshot_time FROM ducklake_snapshots('{LAKE}') ORDER BY 1 DESC LIMIT 1"
)


@dataclass(frozen=True)
class Export:
    """What was published, from which snapshot."""

    snapshot: int
    warehouse: Path
    rows: dict[str, int]
    is_new: bool = True


def export_marts(lake: Lakehouse) -> Export:
    """Publish every mart and product of the newest snapshot; nothing is done where that stands already."""
    standing = standing_export(lake)
    if standing is not None:
        return standing
    from battery_platform.contracts.products import PRODUCTS

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
            snapshot, taken_at = cursor.execute(_NEWEST).fetchall()[0]
            for name in names:
                target = sql_text(str(tables / f"{name}.parquet"))
                cursor.execute(
                    f"COPY {sql_name(name)} TO {target} (FORMAT parquet, COMPRESSION zstd)"
                )
            cursor.execute("COMMIT")
        with duckdb.connect(str(database)) as plain:
            plain.execute(
                "CREATE TABLE export_info AS SELECT ? AS snapshot_id, now()::TIMESTAMP AS made_at, "
                "?::TIMESTAMPTZ AS snapshot_at",
                [snapshot, taken_at],
            )
            for name in names:
                source = sql_text(str(tables / f"{name}.parquet"))
                plain.execute(f"CREATE TABLE {sql_name(name)} AS FROM read_parquet({source})")
                found = plain.execute(f"SELECT count(*) FROM {sql_name(name)}").fetchone()
                rows[name] = int(found[0]) if found else 0
        database.replace(folder / "warehouse.duckdb")
        _publish(tables, folder / "parquet")
    finally:
        database.unlink(missing_ok=True)
        shutil.rmtree(tables, ignore_errors=True)
    return Export(snapshot, folder / "warehouse.duckdb", rows)


def standing_export(lake: Lakehouse) -> Export | None:
    """What was published before, if it is whole and the lake still stands at its snapshot."""
    warehouse = lake.settings.export_folder / "warehouse.duckdb"
    tables = lake.settings.export_folder / "parquet"
    if not warehouse.is_file():
        return None
    try:
        with duckdb.connect(str(warehouse), read_only=True) as plain:
            newest = plain.execute("SELECT snapshot_id, snapshot_at FROM export_info").fetchall()
            rows = dict(
                plain.execute(
                    """SELECT table_name, estimated_size FROM duckdb_tables()
                       WHERE table_name <> 'export_info' ORDER BY table_name"""
                ).fetchall()
            )
    except duckdb.Error:
        return None
    whole = all((tables / f"{name}.parquet").is_file() for name in rows)
    if not whole or newest != lake.rows(_NEWEST):
        return None
    return Export(newest[0][0], warehouse, rows, False)


def _publish(made: Path, place: Path) -> None:
    """Swap a symbolic link to the new folder; the old one goes."""
    kept = place.with_name(f"parquet-{made.name.rsplit('-', 1)[-1]}")
    made.rename(kept)
    old = place.resolve() if place.is_symlink() else None
    link = place.with_name(f".{kept.name}.link")
    link.symlink_to(kept.name)
    link.replace(place)
    if old is not None and old != kept and old.is_dir():
        shutil.rmtree(old)
