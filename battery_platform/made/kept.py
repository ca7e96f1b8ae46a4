"""Whether a result is computed again: the one place that decides it, and says why.

A result rests on code, on parameters and on data. Their hashes stand beside it in `made_results`,
written in the same transaction as its rows; as long as all three are the same, the rows are handed out
as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from battery_platform.made.products import Rows, Scope, put, where
from battery_platform.store.lakehouse import Lakehouse, sql_name

if TYPE_CHECKING:
    import polars as pl

FIRST = "first time"
RECORDS = "made_results"


@dataclass(frozen=True)
class Basis:
    """What a result rests on, as hashes."""

    code: str
    parameters: str = ""
    data: str = ""

    @property
    def digest(self) -> str:
        """All of it as one version, the one that Dagster is told."""
        return digest_of(self.code, self.parameters, self.data)


@dataclass(frozen=True)
class Made:
    """Rows to be stored, and which rows of other tables leave with those that they replace."""

    rows: Rows
    instead_of: Mapping[str, Scope] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Kept:
    """The rows of a result as the lake has them, and whether they were computed just now."""

    rows: list[dict[str, Any]]
    basis: Basis
    because: str
    """Why they were computed; empty if they were there."""

    @property
    def is_new(self) -> bool:
        return bool(self.because)


def unless_same(
    lake: Lakehouse,
    table: str,
    scope: Mapping[str, Sequence[Any]],
    basis: Basis,
    make: Callable[[], Made],
) -> Kept:
    """The rows of `table` in `scope`, computed by `make` only where they rest on something else.

    What `make` returns for the table replaces all rows of the scope.
    """
    because = why_anew(_stored(lake, table, scope), vars(basis))
    if not because:
        return Kept(_rows(lake, table, scope), basis, "")
    made = make()
    record = _record(table, scope, basis, because, len(made.rows.get(table, ())), lake.snapshot())
    put(
        lake,
        {**made.rows, RECORDS: [record]},
        instead_of={**made.instead_of, table: scope},
    )
    return Kept(_rows(lake, table, scope), basis, because)


def why_rebuild(lake: Lakehouse, name: str, basis: Basis) -> str:
    """What has changed since `remember` of that name: for what others build, such as dbt the marts."""
    record = _record_of(lake, name, {})
    return why_anew(_hashes(record) if record else None, vars(basis))


def remember(lake: Lakehouse, name: str, basis: Basis, because: str) -> None:
    """Note what others have built, and why."""
    put(lake, {RECORDS: [_record(name, {}, basis, because, 0, lake.snapshot())]})


def why_anew(stored: Mapping[str, str] | None, wanted: Mapping[str, str]) -> str:
    """What of code, parameters and data has changed, in words; empty if nothing did."""
    if stored is None:
        return FIRST
    changed = [name for name, value in wanted.items() if stored.get(name) != value]
    return f"{' and '.join(changed)} changed" if changed else ""


def digest_of(*texts: str) -> str:
    """One hash of several texts."""
    return hashlib.blake2b(json.dumps(texts).encode(), digest_size=8).hexdigest()


def frame_digest(frame: pl.DataFrame) -> str:
    """Changes with any name, type or value of a frame."""
    hasher = hashlib.blake2b(repr(frame.schema).encode(), digest_size=8)
    hasher.update(frame.hash_rows(seed=0).to_numpy().tobytes())
    return hasher.hexdigest()


def now() -> datetime:
    """The moment as the lake's tables have it: in UTC, without saying so."""
    return datetime.now(UTC).replace(tzinfo=None)


def _stored(
    lake: Lakehouse, table: str, scope: Mapping[str, Sequence[Any]]
) -> dict[str, str] | None:
    """What the stored rows rest on; none where there are none or some are missing."""
    record = _record_of(lake, table, scope)
    condition, values = where(scope)
    count = f"SELECT count(*) FROM {sql_name(table)} WHERE {condition}"
    if record is None or record["n_rows"] != lake.value(count, values):
        return None
    return _hashes(record)


def _record_of(
    lake: Lakehouse, name: str, scope: Mapping[str, Sequence[Any]]
) -> dict[str, Any] | None:
    records = lake.records(
        f"SELECT * FROM {RECORDS} WHERE table_name = ? AND scope = ?", [name, _text(scope)]
    )
    return records[0] if records else None


def _hashes(record: Mapping[str, Any]) -> dict[str, str]:
    return {name: record[f"{name}_hash"] for name in ("code", "parameters", "data")}


def _record(
    name: str,
    scope: Mapping[str, Sequence[Any]],
    basis: Basis,
    because: str,
    rows: int,
    snapshot: int,
) -> dict[str, Any]:
    return {
        "table_name": name,
        "scope": _text(scope),
        **{f"{part}_hash": value for part, value in vars(basis).items()},
        "n_rows": rows,
        "snapshot_id": snapshot,
        "because": because,
        "made_at": now(),
    }


def _rows(lake: Lakehouse, table: str, scope: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    condition, values = where(scope)
    return lake.records(f"SELECT * FROM {sql_name(table)} WHERE {condition} ORDER BY ALL", values)


def _text(scope: Mapping[str, Sequence[Any]]) -> str:
    return json.dumps({column: list(values) for column, values in scope.items()}, sort_keys=True)
