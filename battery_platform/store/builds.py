"""Which records the lake holds, as one version: of all of them, and of one table."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from battery_platform.contracts.registry import TABLES
from battery_platform.store.expected import contracts_digest
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
    return _table_versions_at(lake, lake.snapshot()).get(table, _NO_DELIVERIES)


_NO_DELIVERIES = hashlib.md5(b"", usedforsecurity=False).hexdigest()


@lru_cache(maxsize=4)
def _table_versions_at(lake: Lakehouse, snapshot: int) -> dict[str, str]:
    """Of all tables that have deliveries; the lake is asked once for each of its snapshots."""
    return dict(
        lake.rows(
            """SELECT table_name,
                      md5(coalesce(string_agg(delivery_id || rows_accepted, ',' ORDER BY delivery_id), ''))
               FROM raw_files GROUP BY table_name"""
        )
    )


def audited_versions(lake: Lakehouse) -> dict[str, str]:
    """By table, what an audit is valid for: the rules, all deliveries, and the rows that are counted.

    An audit with the same version need not be made again. Rows that came or went by another way than
    a delivery show in the count; a value overwritten in place does not. The lake is asked once for each
    of its snapshots.
    """
    return _versions_at(lake, lake.snapshot())


@lru_cache(maxsize=4)
def _versions_at(lake: Lakehouse, snapshot: int) -> dict[str, str]:
    counts = " UNION ALL ".join(
        f"SELECT '{table.name}', count(*) FROM {table.raw}" for table in TABLES.values()
    )
    state = f"{contracts_digest()} {data_version(lake)}"
    return {
        name: hashlib.blake2b(f"{state} {name} {rows}".encode(), digest_size=8).hexdigest()
        for name, rows in lake.rows(counts)
    }
