"""What results were made from: data, models and code, so that nothing is made twice."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb

from battery_platform.store.lakehouse import Lakehouse


def data_version(lake: Lakehouse) -> str:
    """Changes whenever a delivery is added, judged anew or replaced, or the quarantine changes."""
    found = lake.value(
        """SELECT md5(coalesce(string_agg(delivery_id, ',' ORDER BY delivery_id), '')
                      || (SELECT count(*) || coalesce(max(quarantined_at)::VARCHAR, '') FROM quarantine))
           FROM raw_files"""
    )
    return str(found)


def table_version(lake: Lakehouse, table: str) -> str:
    """The same for the deliveries of one raw table."""
    return str(
        lake.value(
            """SELECT md5(coalesce(string_agg(delivery_id || rows_accepted, ',' ORDER BY delivery_id), ''))
               FROM raw_files WHERE table_name = ?""",
            [table],
        )
    )


def is_built(lake: Lakehouse, code_version: str) -> bool:
    """Whether the newest build saw these data and these models, and its marts still stand."""
    newest = lake.rows(
        "SELECT data_version, code_version FROM raw_builds ORDER BY built_at DESC LIMIT 1"
    )
    return newest == [(data_version(lake), code_version)] and "mart_electrodes" in lake.tables()


def record_build(lake: Lakehouse, data: str, code_version: str) -> None:
    """Remember a finished build."""

    def work(cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute(
            "INSERT INTO raw_builds VALUES (?, ?, ?)",
            [data, code_version, datetime.now(UTC).replace(tzinfo=None)],
        )

    lake.write(work)
