"""The balance of rows: rows delivered equal rows accepted plus rows quarantined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from battery_platform.contracts.registry import table
from battery_platform.store.lakehouse import Lakehouse, sql_name


@dataclass(frozen=True)
class Balance:
    """Totals over files, and a sentence for each file that does not balance."""

    files: int
    rows_in: int
    rows_accepted: int
    rows_quarantined: int
    broken: tuple[str, ...]


def balance(lake: Lakehouse, source_ids: Sequence[str] | None = None) -> Balance:
    """Compare the manifest with the rows actually in the tables."""
    where = "" if source_ids is None else "WHERE source_id IN (SELECT unnest(?))"
    manifest = lake.records(
        "SELECT file_id, file_name, sheet, table_name, rows_in, rows_accepted, rows_new, "
        f"rows_quarantined FROM raw_files {where}",
        [] if source_ids is None else [list(source_ids)],
    )
    stored: dict[tuple[str, str, str], int] = {}
    for name in sorted({row["table_name"] for row in manifest}):
        for file_id, sheet, rows in lake.rows(
            f"SELECT file_id, sheet, count(*) FROM {sql_name(table(name).raw)} GROUP BY ALL"
        ):
            stored[(file_id, sheet, name)] = rows
    held = {
        (file_id, sheet, name): rows
        for file_id, sheet, name, rows in lake.rows(
            "SELECT file_id, sheet, table_name, count(DISTINCT row_number) FROM quarantine GROUP BY ALL"
        )
    }
    broken = []
    for row in manifest:
        key = (row["file_id"], row["sheet"], row["table_name"])
        in_lake = (stored.get(key, 0), held.get(key, 0))
        if row["rows_in"] != row["rows_accepted"] + row["rows_quarantined"] or in_lake != (
            row["rows_new"],
            row["rows_quarantined"],
        ):
            broken.append(
                f"{row['file_name']} {row['sheet']}: {row['rows_in']} rows in, "
                f"{row['rows_accepted']} accepted ({row['rows_new']} new), "
                f"{row['rows_quarantined']} quarantined, but {in_lake[0]} and {in_lake[1]} in the lake"
            )
    total = {
        name: sum(row[name] for row in manifest)
        for name in ("rows_in", "rows_accepted", "rows_quarantined")
    }
    return Balance(
        len(manifest),
        total["rows_in"],
        total["rows_accepted"],
        total["rows_quarantined"],
        tuple(broken),
    )
