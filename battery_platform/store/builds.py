"""What results were made from: data, models and code, so that nothing is made twice."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

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


def code_digest(folder: Path, without: Sequence[str] = ()) -> str:
    """Hash of the Python files of a folder: results made by other code are out of date.

    Comments, docstrings and layout do not count, for they change no result; neither do the modules
    and folders that `without` names.
    """
    return files_digest(
        folder,
        [
            path
            for path in sorted(folder.rglob("*.py"))
            if not {path.stem, *path.relative_to(folder).parts[:-1]} & set(without)
        ],
    )


def files_digest(folder: Path, paths: Iterable[Path]) -> str:
    """As `code_digest`, of these files in the folder only."""
    hasher = hashlib.blake2b(digest_size=8)
    for path in paths:
        hasher.update(path.relative_to(folder).as_posix().encode())
        hasher.update(_meaning(path.read_text(encoding="utf-8")))
    return hasher.hexdigest()


@lru_cache(maxsize=1024)
def _meaning(source: str) -> bytes:
    """What counts of a file; kept, for many assets ask for the same files."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [one for one in body if not _is_docstring(one)]
            body[:] = kept
    return ast.dump(tree).encode()


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
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
