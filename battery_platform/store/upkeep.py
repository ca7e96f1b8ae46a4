"""Upkeep of the lake: compaction, expiry of old snapshots, removal of orphaned files.

A snapshot that a registered model or a release refers to is pinned and never expires.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from battery_platform.store.lakehouse import LAKE, Lakehouse

ORPHAN_AGE = timedelta(hours=24)


@dataclass(frozen=True)
class Upkeep:
    """What a round of upkeep did."""

    files_before: int
    files_after: int
    snapshots_before: int
    snapshots_after: int
    orphans_removed: int


def pin(lake: Lakehouse, snapshot_id: int, holder: str, note: str = "") -> None:
    """Keep a snapshot for as long as `holder` needs it."""

    def work(cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute(
            "DELETE FROM snapshot_pins WHERE snapshot_id = ? AND holder = ?", [snapshot_id, holder]
        )
        cursor.execute(
            "INSERT INTO snapshot_pins VALUES (?, ?, ?, ?)",
            [snapshot_id, holder, note, datetime.now(UTC).replace(tzinfo=None)],
        )

    lake.write(work)


def unpin(lake: Lakehouse, snapshot_id: int, holder: str) -> None:
    """Release a snapshot."""
    lake.write(
        lambda cursor: cursor.execute(
            "DELETE FROM snapshot_pins WHERE snapshot_id = ? AND holder = ?", [snapshot_id, holder]
        )
    )


def upkeep(
    lake: Lakehouse, keep_days: int | None = None, orphan_age: timedelta = ORPHAN_AGE
) -> Upkeep:
    """Merge small files, expire old snapshots that are not pinned, and remove unreferenced files."""
    keep = timedelta(days=lake.settings.keep_snapshots_days if keep_days is None else keep_days)
    files_before, snapshots_before = _files(lake), _snapshots(lake)
    expired = _expirable(lake, datetime.now(UTC) - keep)

    def work(cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute(f"CALL ducklake_merge_adjacent_files('{LAKE}')")
        for start in range(0, len(expired), 500):
            chunk = ", ".join(str(snapshot) for snapshot in expired[start : start + 500])
            cursor.execute(f"CALL ducklake_expire_snapshots('{LAKE}', versions => [{chunk}])")

    lake.write(work)
    removed = _clean(lake, orphan_age)
    return Upkeep(files_before, _files(lake), snapshots_before, _snapshots(lake), removed)


def _expirable(lake: Lakehouse, before: datetime) -> list[int]:
    newest = lake.snapshot()
    rows = lake.rows(
        f"""SELECT snapshot_id FROM ducklake_snapshots('{LAKE}')
            WHERE epoch_us(snapshot_time) < ? AND snapshot_id <> ?
              AND snapshot_id NOT IN (SELECT snapshot_id FROM snapshot_pins)
            ORDER BY 1""",
        [int(before.timestamp() * 1e6), newest],
    )
    return [number for (number,) in rows]


def _clean(lake: Lakehouse, orphan_age: timedelta) -> int:
    """Remove files of expired snapshots, and Parquet left behind by killed ingests."""
    age = f"now() - INTERVAL '{int(orphan_age.total_seconds())} seconds'"
    with lake.cursor() as cursor:
        cursor.execute(f"CALL ducklake_cleanup_old_files('{LAKE}', older_than => {age})")
        orphans = cursor.execute(
            f"CALL ducklake_delete_orphaned_files('{LAKE}', older_than => {age})"
        ).fetchall()
    return len(orphans)


def _files(lake: Lakehouse) -> int:
    total = 0
    for name in lake.tables():
        with contextlib.suppress(duckdb.Error):
            total += lake.value(f"SELECT count(*) FROM ducklake_list_files('{LAKE}', '{name}')")
    return total


def _snapshots(lake: Lakehouse) -> int:
    return int(lake.value(f"SELECT count(*) FROM ducklake_snapshots('{LAKE}')"))


def data_size_mib(lake: Lakehouse) -> float:
    """Size of the lake's Parquet on disk."""
    folder = Path(lake.settings.data_path)
    return sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 2**20
