"""The stored tables, judged again: contract, identifiers, references.

Ingest lets nothing wrong in; this catches a contract that became stricter after rows entered,
and anything that reached the lake by another way.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from battery_platform.contracts.base import columns, keys
from battery_platform.contracts.registry import TABLES, Table
from battery_platform.contracts.verdicts import judge, passes
from battery_platform.store.lakehouse import Lakehouse

BATCH_ROWS = 500_000

SHEET_KEYS = {"slurry_batches": "slurry_id", "coatings": "coating_id", "electrodes": "electrode_id"}
"""Records that a flat electrode sheet states beside the step tables."""


@dataclass(frozen=True)
class Audit:
    """Rows seen, and sentences on contract, identifiers and references."""

    rows: int
    contract: tuple[str, ...]
    identifiers: tuple[str, ...]
    references: tuple[str, ...]

    @property
    def problems(self) -> tuple[tuple[str, ...], ...]:
        return (self.contract, self.identifiers, self.references)


def known_ids(table: Table) -> str:
    """SQL for all identifiers of a table's records, wherever they are stated."""
    query = f"SELECT {keys(table.contract)[0]} AS id FROM {table.raw}"
    if table.name in SHEET_KEYS:
        query += f" UNION SELECT {SHEET_KEYS[table.name]} FROM raw_electrode_sheets"
    return query


def stated_ids(table: Table, target: Table) -> str | None:
    """The column of `table` that states records of `target`, if it states any."""
    if table.name == target.name:
        return keys(target.contract)[0]
    return SHEET_KEYS.get(target.name) if table.name == "electrode_sheets" else None


def audit(lake: Lakehouse, table: Table) -> Audit:
    """Judge a raw table as it stands."""
    rows = int(lake.value(f"SELECT count(*) FROM {table.raw}"))
    if rows == 0:
        return Audit(0, (), (), ())
    key = ", ".join(keys(table.contract))
    doubled = lake.rows(
        f"SELECT {key} FROM {table.raw} GROUP BY {key} HAVING count(*) > 1 ORDER BY ALL LIMIT 5"
    )
    identifiers = tuple(f"{' / '.join(map(str, record))} is stored twice" for record in doubled)
    references = []
    for column in columns(table.contract):
        if column.refers_to is None:
            continue
        unknown = lake.rows(
            f"SELECT DISTINCT {column.name} FROM {table.raw} WHERE {column.name} IS NOT NULL "
            f"AND {column.name} NOT IN ({known_ids(TABLES[column.refers_to])}) ORDER BY 1 LIMIT 5"
        )
        references += [
            f"{column.name} {identifier} is not in {column.refers_to}" for (identifier,) in unknown
        ]
    return Audit(rows, tuple(_contract_problems(lake, table)), identifiers, tuple(references))


def _contract_problems(lake: Lakehouse, table: Table) -> list[str]:
    names = ", ".join(column.name for column in columns(table.contract))
    messages: list[str] = []
    with lake.cursor() as cursor:
        result = cursor.execute(f"SELECT row_number, file_id, {names} FROM {table.raw}")
        for arrow in result.to_arrow_reader(BATCH_ROWS):
            batch = pl.DataFrame(pl.from_arrow(arrow))
            wrong = batch.filter(~passes(table.contract))
            if wrong.height:
                verdict = judge(wrong.drop("file_id"), table.contract)
                messages += verdict.violations["message"].head(5).to_list()
            if len(messages) >= 5:
                break
    return messages[:5]
