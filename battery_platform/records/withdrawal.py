"""Files that were taken back: what is told of them, and how they come and go.

A withdrawn file leaves all raw tables in one commit and its marts with the next refresh; what was learnt
from it is learnt anew. Its manifest stays, so that the same bytes are not taken again unasked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from battery_platform.errors import PlatformError
from battery_platform.records import mapping as mappings
from battery_platform.records.ingest import NO_PROGRESS, Progress, Report, Settle, ingest
from battery_platform.records.known_files import KnownBytes, content_hash
from battery_platform.store import commit
from battery_platform.store.lakehouse import Lakehouse, sql_text

LISTED = '`battery-platform sql "select distinct file_id, file_name from {}"` lists them.'


def withdraw(lake: Lakehouse, name: str, why: str) -> dict[str, Any]:
    """Take a file back, named by its identifier, its name or its path; the manifest that it had."""
    if not why.strip():
        raise PlatformError("A withdrawal needs a reason.", 'Say it with --why "...".')
    rows = _named(lake, "raw_files", name)
    if not rows:
        gone = _named(lake, "raw_withdrawn", name)
        if gone:
            raise PlatformError(f"{commit.how_withdrawn(gone[0])} already.", "Nothing was changed.")
        raise _unknown(lake, name)
    manifest = _one_file(rows, name)
    commit.withdraw(lake, manifest["file_id"], why.strip())
    return manifest


def undo(lake: Lakehouse, name: str, progress: Progress = NO_PROGRESS) -> Report:
    """Bring a withdrawn file back by judging its bytes again, read as they were read before."""
    path = Path(name)
    fingerprint = content_hash(path) if path.is_file() else None
    rows = (
        commit.withdrawn(lake, fingerprint) if fingerprint else _named(lake, "raw_withdrawn", name)
    )
    if not rows:
        raise PlatformError(
            f"No withdrawn file is called '{name}'.", LISTED.format("raw_withdrawn")
        )
    gone = _one_file(rows, name)
    if gone["replaced_by"]:
        raise PlatformError(
            f"{commit.how_withdrawn(gone)}, which holds its records.",
            f"`battery-platform ingest {gone['path']} --replaces {gone['replaced_by']}` changes back.",
        )
    stored = path if fingerprint else Path(gone["path"])
    if not stored.is_file() or content_hash(stored) != gone["content_hash"]:
        raise PlatformError(
            f"{gone['file_name']} is no longer at {gone['path']}, or was changed.",
            "Name the file itself: `battery-platform withdraw --undo PATH`.",
        )
    chosen = [mappings.parse(part, stored)[0] for part in json.loads(gone["mapping"])["parts"]]
    return ingest(
        lake,
        stored,
        chosen,
        again=True,
        progress=progress,
        seen=KnownBytes(gone["content_hash"]),
        settle=Settle(as_before=True),
    )


def _named(lake: Lakehouse, table: str, name: str) -> list[dict[str, Any]]:
    path = str(Path(name).expanduser().resolve())
    named = " OR ".join(
        f"{column} = {sql_text(value)}"
        for column, value in (("file_id", name), ("file_name", name), ("path", path))
    )
    return lake.records(f"SELECT * FROM {table} WHERE {named} ORDER BY file_id, sheet")


def _one_file(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    files = {row["file_id"]: row["path"] for row in rows}
    if len(files) > 1:
        raise PlatformError(
            f"Several files are called '{name}': "
            + ", ".join(f"{file_id} ({path})" for file_id, path in files.items())
            + ".",
            "Give the file_id.",
        )
    return rows[0]


def _unknown(lake: Lakehouse, name: str) -> PlatformError:
    """A record is not withdrawn by itself: the file that states it is, or a correction replaces it."""
    from battery_platform.made.trace import trace

    try:
        origins = trace(lake, name).origins
    except PlatformError:
        origins = []
    stating = sorted({row["file_name"] for row in origins if row.get("file_name")})
    if stating:
        return PlatformError(
            f"'{name}' is no file; it rests on {', '.join(stating[:3])}"
            f"{f' and {len(stating) - 3} more' if len(stating) > 3 else ''}.",
            "Withdraw the file that is wrong, or hand in a corrected one with `ingest NEW --replaces OLD`.",
        )
    return PlatformError(f"No file in the lake is called '{name}'.", LISTED.format("raw_files"))
