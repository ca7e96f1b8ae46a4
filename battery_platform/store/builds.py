"""Which records the lake holds, as one version: of all of them, and of one table."""

from __future__ import annotations

from battery_platform.store.lakehouse import Lakehouse


def data_version(lake: Lakehouse) -> str:
    """Changes whenever a delivery is added, judged anew or replaced, or the quarantine changes."""
    return str(
        lake.value(
            """SELECT md5(coalesce(string_agg(delivery_id, ',' ORDER BY delivery_id), '') || (
                 SELECT count(*) || coalesce(max(quarantined_at)::VARCHAR, '') FROM quarantine))
               FROM raw_files"""
        )
    )


def table_version(lake: Lakehouse, table: str) -> str:
    """The same for the deliveries of one raw table."""
    return str(
        lake.value(
            """SELECT md5(coalesce(string_agg(delivery_id || rows_accepted, ',' ORDER BY delivery_id), ''))
               FROM raw_files WHERE table_name = ?""",
            [table],
        )
    )
