"""The commit protocol: a delivered file is stored completely and once, or not at all.

Parquet is written first, under a unique name. Then, in one transaction, the file's hash is looked up,
the Parquet is added to the lake, manifest and quarantine are written and the balance is checked. On any
failure the Parquet is deleted; after a kill it is an orphan that upkeep removes.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from battery_platform.contracts.base import keys
from battery_platform.contracts.registry import Table, table
from battery_platform.errors import StoreError
from battery_platform.store.lakehouse import LAKE, Lakehouse, is_disk_full, sql_name, sql_text
from battery_platform.store.schema import COLUMNS, FILES

PARQUET: dict[str, Any] = {"compression": "zstd", "compression_level": 3, "statistics": True}


@dataclass
class Part:
    """What a sheet of a file delivers to a table."""

    table: Table
    sheet: str
    accepted: list[Path] = field(default_factory=list)
    quarantine: list[Path] = field(default_factory=list)
    known: list[Path] = field(default_factory=list)
    extra: list[Path] = field(default_factory=list)
    columns: list[dict[str, Any]] = field(default_factory=list)
    """What became of each column, as rows of `raw_columns` without the file's identifier."""
    rows_in: int = 0
    rows_accepted: int = 0
    rows_new: int = 0
    rows_quarantined: int = 0

    @property
    def files(self) -> list[Path]:
        """All Parquet that joins the lake."""
        return [*self.accepted, *self.quarantine, *self.known, *self.extra]


@dataclass(frozen=True)
class Origin:
    """The file behind a delivery and how it was read."""

    file_id: str
    source_id: str
    path: Path
    size_bytes: int
    content_hash: str
    mapping_hash: str
    mapping: dict[str, Any]
    licence: str
    citation: str
    is_synthetic: bool


@dataclass(frozen=True)
class Receipt:
    """The result of a commit: the snapshot it made, or the one that already held the file."""

    snapshot: int
    committed: bool


class Overtaken(Exception):  # noqa: N818 -- a signal for the caller, who judges again
    """Another file delivered one of these records between judgement and commit."""


class Workbench:
    """Parquet under construction, inside the lake's data path; removed unless committed."""

    def __init__(self, lake: Lakehouse) -> None:
        self._lake = lake
        self._made: list[Path] = []

    def path(self, table_name: str) -> Path:
        """A unique path for a new Parquet file of that table."""
        folder = Path(self._lake.settings.data_path) / "main" / table_name
        folder.mkdir(parents=True, exist_ok=True)
        made = folder / f"ingest-{uuid.uuid4().hex}.parquet"
        self._made.append(made)
        return made

    def keep(self, paths: Sequence[Path]) -> None:
        self._made = [path for path in self._made if path not in set(paths)]

    def clear(self) -> None:
        for path in self._made:
            path.unlink(missing_ok=True)
        self._made = []


@contextlib.contextmanager
def workbench(lake: Lakehouse) -> Iterator[Workbench]:
    """A workbench that removes unfinished files and reports a full disk in a sentence."""
    with lake.cursor():
        bench = Workbench(lake)
    try:
        yield bench
    except (OSError, pl.exceptions.PolarsError) as error:
        if is_disk_full(error):
            raise StoreError(
                f"The disk under {lake.settings.data_path} is full; nothing was stored.",
                "Free some space and run the same command again.",
            ) from error
        raise
    finally:
        bench.clear()


def known(
    lake: Lakehouse, content_hash: str, mapping_hash: str | None = None
) -> list[dict[str, Any]]:
    """The manifest of a file with exactly these bytes, if it is in the lake (under that mapping)."""
    condition = "content_hash = ?" + ("" if mapping_hash is None else " AND mapping_hash = ?")
    parameters = [content_hash] if mapping_hash is None else [content_hash, mapping_hash]
    return lake.records(f"SELECT * FROM raw_files WHERE {condition} ORDER BY sheet", parameters)


def known_file(lake: Lakehouse, file_id: str) -> list[dict[str, Any]]:
    """The manifest of a file by its identifier."""
    return lake.records("SELECT * FROM raw_files WHERE file_id = ? ORDER BY sheet", [file_id])


def deliver(
    lake: Lakehouse,
    bench: Workbench,
    origin: Origin,
    parts: Sequence[Part],
    replaces: Sequence[str] = (),
    judged_at: int | None = None,
    again: bool = False,
    corrects: Sequence[str] = (),
) -> Receipt:
    """Commit a judged file. Rows that an earlier judgement of it stored are replaced.

    `replaces` names files that this one supersedes; their rows are removed in the same transaction.
    Those of them that it `corrects` are remembered as withdrawn, should somebody hand them in again.
    `judged_at` is the snapshot against which the records were compared: if the lake has moved on
    and holds one of them now, `Overtaken` is raised and nothing is stored. With `again` the lake has
    the file as it was read before: its rows stay its own, whoever else states them.
    """
    written = [path for part in parts for path in part.files]

    delivery_id = uuid.uuid4().hex

    def work(cursor: duckdb.DuckDBPyConnection) -> bool:
        same = cursor.execute(
            "SELECT delivery_id FROM raw_files WHERE content_hash = ? AND mapping_hash = ?",
            [origin.content_hash, origin.mapping_hash],
        ).fetchone()
        if same and same[0] == delivery_id:
            return True  # a commit whose confirmation was lost
        if same and not replaces and not again:
            return False
        leaving = {origin.file_id, *replaces}
        moved_on = judged_at is not None and _snapshot(cursor) != judged_at
        for file_id in corrects:
            why = f"replaced by {printable(origin.path.name)}"
            _remember_withdrawal(cursor, file_id, person(), why, origin.file_id)
        for file_id in sorted(leaving):
            _withdraw(
                cursor, file_id, leaving, parts if again and file_id == origin.file_id else ()
            )
        _forget_withdrawal(cursor, origin.file_id)
        for part in parts if moved_on else ():
            _assert_still_new(cursor, part)
        for part in parts:
            for path in part.accepted:
                _add(cursor, part.table.raw, path)
            for path in part.quarantine:
                _add(cursor, "quarantine", path)
            for path in part.known:
                _add(cursor, "raw_known", path)
            for path in part.extra:
                _add(cursor, "raw_extra", path)
            _insert_columns(cursor, origin, part)
            _insert_manifest(cursor, origin, part, delivery_id)
        cursor.execute(
            f"CALL ducklake_set_commit_message('{LAKE}', 'battery-platform', "
            f"{sql_text(f'ingest {printable(origin.path.name)}')})"
        )
        _assert_balance(cursor, origin, parts)
        return True

    try:
        committed = lake.write(work)
    except BaseException:
        if _may_have_landed(lake, delivery_id):
            bench.keep(written)
        raise
    if committed:
        bench.keep(written)
    return Receipt(lake.snapshot(), committed)


def withdraw(lake: Lakehouse, file_id: str, why: str) -> None:
    """Take a file's rows out of the lake; its manifest is kept, and the snapshot that has its rows.

    Rows that another file states as well become that file's.
    """

    def work(cursor: duckdb.DuckDBPyConnection) -> None:
        _remember_withdrawal(cursor, file_id, person(), why, None)
        _withdraw(cursor, file_id, {file_id})
        cursor.execute(
            f"CALL ducklake_set_commit_message('{LAKE}', 'battery-platform', "
            f"{sql_text(f'withdraw {file_id}')})"
        )

    lake.write(work)


def withdrawn(lake: Lakehouse, content_hash: str) -> list[dict[str, Any]]:
    """What is remembered of a file with exactly these bytes that was taken back."""
    return lake.records(
        f"SELECT * FROM raw_withdrawn WHERE content_hash = {sql_text(content_hash)} ORDER BY sheet"
    )


def how_withdrawn(gone: dict[str, Any]) -> str:
    """Who took a file back, when and why; or what took its place."""
    when = f"{gone['withdrawn_at']:%Y-%m-%d %H:%M} UTC"
    if gone["replaced_by"]:
        return (
            f"{gone['file_name']} was {gone['why']} ({gone['replaced_by']}) by "
            f"{gone['withdrawn_by']} on {when}"
        )
    return f"{gone['file_name']} was withdrawn by {gone['withdrawn_by']} on {when}: {gone['why']}"


def person() -> str:
    """Who runs the program, as the host knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "an unnamed user"


def _remember_withdrawal(
    cursor: duckdb.DuckDBPyConnection, file_id: str, by: str, why: str, replaced_by: str | None
) -> None:
    snapshot = _snapshot(cursor)
    _forget_withdrawal(cursor, file_id)
    at = datetime.now(UTC).replace(tzinfo=None)
    cursor.execute(
        """INSERT INTO raw_withdrawn BY NAME
           SELECT *, ?::TIMESTAMP AS withdrawn_at, ? AS withdrawn_by, ? AS why, ? AS replaced_by,
                  ?::BIGINT AS snapshot_id
           FROM raw_files WHERE file_id = ?""",
        [at, by, why, replaced_by, snapshot, file_id],
    )
    cursor.execute(
        "INSERT INTO snapshot_pins VALUES (?, ?, ?, ?)", [snapshot, _holder(file_id), why, at]
    )


def _forget_withdrawal(cursor: duckdb.DuckDBPyConnection, file_id: str) -> None:
    if cursor.execute(
        "SELECT 1 FROM raw_withdrawn WHERE file_id = ? LIMIT 1", [file_id]
    ).fetchone():
        cursor.execute("DELETE FROM raw_withdrawn WHERE file_id = ?", [file_id])
        cursor.execute("DELETE FROM snapshot_pins WHERE holder = ?", [_holder(file_id)])


def _holder(file_id: str) -> str:
    return f"withdrawn {file_id}"


def printable(name: str) -> str:
    """A file name as text that any database accepts, even if its bytes are not valid text."""
    return os.fsencode(name).decode("utf-8", "replace")


def _may_have_landed(lake: Lakehouse, delivery_id: str) -> bool:
    """Whether Parquet must be kept although the commit failed; if unneeded, upkeep removes it later."""
    try:
        return bool(
            lake.value("SELECT count(*) FROM raw_files WHERE delivery_id = ?", [delivery_id])
        )
    except duckdb.Error:
        return True


def _add(cursor: duckdb.DuckDBPyConnection, table_name: str, path: Path) -> None:
    cursor.execute(
        f"CALL ducklake_add_data_files('{LAKE}', {sql_text(table_name)}, {sql_text(str(path))})"
    )


def _snapshot(cursor: duckdb.DuckDBPyConnection) -> int:
    return _count(cursor, f"SELECT max(snapshot_id) FROM ducklake_snapshots('{LAKE}')", [])


def _assert_still_new(cursor: duckdb.DuckDBPyConnection, part: Part) -> None:
    if not part.accepted:
        return
    files = ", ".join(sql_text(str(path)) for path in part.accepted)
    on = " AND ".join(
        f"n.{sql_name(name)} = o.{sql_name(name)}" for name in keys(part.table.contract)
    )
    met = f"SELECT 1 FROM read_parquet([{files}]) n JOIN {part.table.raw} o ON {on} LIMIT 1"
    if cursor.execute(met).fetchone():
        raise Overtaken


def _withdraw(
    cursor: duckdb.DuckDBPyConnection,
    file_id: str,
    leaving: set[str],
    returning: Sequence[Part] = (),
) -> None:
    """Remove a file's rows; rows that another file also states become that file's.

    Rows that come back at once, in the parts `returning`, are nobody else's.
    """
    tables = cursor.execute(
        "SELECT DISTINCT table_name FROM raw_files WHERE file_id = ?", [file_id]
    ).fetchall()
    if not tables:
        return
    others = ", ".join(sql_text(identifier) for identifier in sorted(leaving))
    cursor.execute(f"DELETE FROM raw_known WHERE file_id IN ({others})")
    heirs = cursor.execute(
        """SELECT table_name, owner_sheet, owner_row_number, file_id, sheet, row_number
           FROM raw_known WHERE owner_file_id = ?
           QUALIFY row_number() OVER (
             PARTITION BY table_name, owner_sheet, owner_row_number ORDER BY file_id, row_number
           ) = 1""",
        [file_id],
    ).pl()
    for part in returning if heirs.height else ():
        heirs = _without_returning(heirs, part)
    if heirs.height:
        _hand_over(cursor, file_id, heirs)
    for (name,) in tables:
        cursor.execute(f"DELETE FROM {sql_name(table(name).raw)} WHERE file_id = ?", [file_id])
    for name in ("quarantine", "raw_columns", "raw_extra", "raw_files"):
        cursor.execute(f"DELETE FROM {name} WHERE file_id = ?", [file_id])


def _without_returning(heirs: pl.DataFrame, part: Part) -> pl.DataFrame:
    if not part.accepted:
        return heirs
    returning = pl.scan_parquet(part.accepted).select(
        pl.lit(part.table.name).alias("table_name"),
        pl.lit(part.sheet).alias("owner_sheet"),
        pl.col("row_number").alias("owner_row_number"),
    )
    return heirs.join(returning.collect(), on=returning.collect_schema().names(), how="anti")


def _hand_over(cursor: duckdb.DuckDBPyConnection, file_id: str, heirs: pl.DataFrame) -> None:
    """Transfer rows of a removed file to other files that state the same."""
    cursor.register("heirs", heirs.to_arrow())
    for name in heirs["table_name"].unique().to_list():
        cursor.execute(
            f"""UPDATE {sql_name(table(name).raw)} AS r
                SET file_id = h.file_id, sheet = h.sheet, row_number = h.row_number,
                    source_id = f.source_id, is_synthetic = f.is_synthetic
                FROM heirs h JOIN raw_files f ON f.file_id = h.file_id AND f.sheet = h.sheet
                WHERE h.table_name = {sql_text(name)} AND r.file_id = ?
                  AND r.sheet = h.owner_sheet AND r.row_number = h.owner_row_number""",
            [file_id],
        )
    cursor.execute(
        """UPDATE raw_files AS f SET rows_new = f.rows_new + n.gained
           FROM (SELECT file_id, sheet, table_name, count(*) AS gained FROM heirs GROUP BY ALL) n
           WHERE f.file_id = n.file_id AND f.sheet = n.sheet AND f.table_name = n.table_name"""
    )
    cursor.execute(
        """UPDATE raw_known AS k
           SET owner_file_id = h.file_id, owner_sheet = h.sheet, owner_row_number = h.row_number
           FROM heirs h
           WHERE k.owner_file_id = ? AND k.table_name = h.table_name
             AND k.owner_sheet = h.owner_sheet AND k.owner_row_number = h.owner_row_number""",
        [file_id],
    )
    cursor.execute(
        "DELETE FROM raw_known WHERE file_id = owner_file_id AND sheet = owner_sheet "
        "AND row_number = owner_row_number"
    )
    cursor.unregister("heirs")


def _insert_manifest(
    cursor: duckdb.DuckDBPyConnection, origin: Origin, part: Part, delivery_id: str
) -> None:
    row = {
        "file_id": origin.file_id,
        "delivery_id": delivery_id,
        "source_id": origin.source_id,
        "file_name": printable(origin.path.name),
        "path": printable(str(origin.path)),
        "sheet": part.sheet,
        "table_name": part.table.name,
        "size_bytes": origin.size_bytes,
        "content_hash": origin.content_hash,
        "mapping_hash": origin.mapping_hash,
        "mapping": json.dumps(origin.mapping, sort_keys=True, ensure_ascii=False),
        "licence": origin.licence,
        "citation": origin.citation,
        "is_synthetic": origin.is_synthetic,
        "rows_in": part.rows_in,
        "rows_accepted": part.rows_accepted,
        "rows_new": part.rows_new,
        "rows_quarantined": part.rows_quarantined,
        "ingested_at": datetime.now(UTC).replace(tzinfo=None),
    }
    marks = ", ".join("?" for _ in FILES)
    cursor.execute(f"INSERT INTO raw_files VALUES ({marks})", [row[name] for name in FILES])


def _insert_columns(cursor: duckdb.DuckDBPyConnection, origin: Origin, part: Part) -> None:
    if not part.columns:
        return
    types = {"BIGINT": pl.Int64, "DOUBLE": pl.Float64}
    rows = [{"file_id": origin.file_id, **column} for column in part.columns]
    schema = {name: types.get(kind, pl.String) for name, kind in COLUMNS.items()}
    cursor.register("accounted", pl.DataFrame(rows, schema=schema).to_arrow())
    cursor.execute("INSERT INTO raw_columns FROM accounted")
    cursor.unregister("accounted")


def _assert_balance(
    cursor: duckdb.DuckDBPyConnection, origin: Origin, parts: Sequence[Part]
) -> None:
    """Abort the transaction unless the lake holds exactly what the manifest says."""
    for part in parts:
        where = "WHERE file_id = ? AND sheet = ?"
        parameters = [origin.file_id, part.sheet]
        stored = _count(cursor, f"SELECT count(*) FROM {part.table.raw} {where}", parameters)
        held = _count(
            cursor,
            f"SELECT count(DISTINCT row_number) FROM quarantine {where} AND table_name = ?",
            [*parameters, part.table.name],
        )
        if (
            stored != part.rows_new
            or held != part.rows_quarantined
            or part.rows_in != part.rows_accepted + part.rows_quarantined
        ):
            raise StoreError(
                f"{origin.path.name}: the balance is broken ({part.rows_in} rows in, "
                f"{part.rows_accepted} accepted, {part.rows_quarantined} quarantined; "
                f"{stored} and {held} in the lake). Nothing was stored.",
                "This is a fault of the platform: please report it with the file.",
            )


def _count(cursor: duckdb.DuckDBPyConnection, sql: str, parameters: list[str]) -> int:
    row = cursor.execute(sql, parameters).fetchone()
    return int(row[0]) if row else 0
