"""Versions of the records in the lake: of all tables, and of one table."""

from __future__ import annotations

from battery_platform.store.lakehouse import Lakehouse


def data_version(lake: Lakehouse) -> str:
    """A hash that changes when a delivery is added, judged again or replaced, or the quarantine changes."""
    return str(
        lake.value(
            """SELECT md5(coalesce(string_agg(delivery_id, ',' ORDER BY delivery_id), '') || (
                 SELECT count(*) || coalesce(max(quarantined_at)::VARCHAR, '') FROM quarantine))
               FROM raw_files"""
        )
    )


def table_version(lake: Lakehouse, table: str) -> str:
    """A hash of the deliveries to one raw table."""
    return str(
        lake.value(
            """SELECT md5(coalesce(string_agg(delivery_id || rows_accepted, ',' ORDER BY delivery_id), ''))
               FROM raw_files WHERE table_name = ?""",
            [table],
        )
    )
