"""Which records the lake holds, as one version: of all of them, and of one table."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from battery_platform.contracts.registry import TABLES
from battery_platform.store.expected import contracts_digest
from battery_platform.store.lakehouse import LAKE, Lakehouse


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
    """By raw table, what an audit is valid for: the rules, all deliveries, and the table's last change.

    An audit with the same version need not be made again. The lake is asked once for each of its
    snapshots.
    """
    return _audited_versions_at(lake, lake.snapshot())


@lru_cache(maxsize=4)
def _audited_versions_at(lake: Lakehouse, snapshot: int) -> dict[str, str]:
    changed = _last_changes_at(lake, snapshot)
    state = f"{contracts_digest()} {data_version(lake)}"
    return {name: _digest(f"{state} {changed[table.raw]}") for name, table in TABLES.items()}


RESULTS = ("model_", "design", "made_", "critical_factors", "literature_", "lake_", "snapshot_pins")
"""What names of tables begin with from which no model learns: what comes of models, and notes."""


def learning_version(lake: Lakehouse) -> str:
    """Changes with any table but results of learning: what a model's rows can rest on."""
    changes = _last_changes_at(lake, lake.snapshot())
    return _digest(
        "; ".join(
            f"{name} {change}" for name, change in changes.items() if not name.startswith(RESULTS)
        )
    )


@lru_cache(maxsize=4)
def _last_changes_at(lake: Lakehouse, snapshot: int) -> dict[str, str]:
    """By table, which one it is, and the snapshot that changed it last."""
    return dict(
        lake.rows(
            f"""SELECT t.table_name, concat_ws(' ', t.table_uuid, max(s.snapshot_id))
                FROM ducklake_table_info('{LAKE}') t
                LEFT JOIN (SELECT snapshot_id, unnest(flatten(map_values(changes))) AS table_id
                           FROM ducklake_snapshots('{LAKE}')) s
                  ON s.table_id = t.table_id::VARCHAR
                GROUP BY t.table_name, t.table_uuid ORDER BY t.table_name"""
        )
    )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
