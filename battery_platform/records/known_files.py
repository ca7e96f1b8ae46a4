"""What is known of files before they are opened: the hash of their bytes, and their manifest.

Hashes are remembered beside the lake, so that a file which has not changed since is not read
again. The memory is a convenience: without it, or after its deletion, files are hashed anew.
Whether a known file has to be taken again is decided in `ingest`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from blake3 import blake3

from battery_platform.errors import PlatformError, RefusedFile
from battery_platform.records.reading import refuse
from battery_platform.settings import MIB, Settings
from battery_platform.store.commit import known
from battery_platform.store.lakehouse import Lakehouse

HASH_WINDOW = 4 * MIB
FRESH_NS = 50_000_000
"""A file changed more recently may change again without its time of change showing it."""
FRESH_IN_SECONDS_NS = 2_500_000_000
"""The same where a file system keeps times of change in whole seconds only."""


@dataclass(frozen=True)
class KnownBytes:
    """The hash of a file's bytes, and what the lake's manifest said of these bytes.

    `manifest` is None where it has to be looked up when the file's turn comes.
    """

    fingerprint: str
    manifest: list[dict[str, Any]] | None = None

    def manifest_in(self, lake: Lakehouse) -> list[dict[str, Any]]:
        """The manifest, looked up if that was not done."""
        return known(lake, self.fingerprint) if self.manifest is None else self.manifest


def check_name(lake: Lakehouse, name: str) -> None:
    """Refuse a name that no file, file_id and source of the lake goes by, with those like it."""
    names = {
        each
        for row in lake.rows(
            "SELECT file_name, file_id, source_id FROM raw_files "
            "UNION SELECT file_name, file_id, source_id FROM quarantine"
        )
        for each in row
    }
    if name in names:
        return
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    raise PlatformError(
        f"No file, file_id or source in the lake is called {name!r}.",
        f"Did you mean {' or '.join(near)}?"
        if near
        else "`battery-platform quarantine list` names those with quarantined rows.",
    )


def content_hash(path: Path) -> str:
    """Hash of a file's bytes, read window by window so that a large file is never held."""
    try:
        hasher = blake3(max_threads=2)
        window = memoryview(bytearray(HASH_WINDOW))
        with path.open("rb", buffering=0) as stream:
            while length := stream.readinto(window):
                hasher.update(window[:length])
        return hasher.hexdigest()
    except OSError as error:
        raise refuse(
            path,
            f"the file cannot be read ({error.strerror}).",
            "Check that it exists and its permissions.",
        ) from error


def look_up(lake: Lakehouse, paths: Iterable[Path]) -> dict[Path, KnownBytes]:
    """What is known of each file that can be read, with one question to the lake for all.

    Where several of these files have the same bytes no manifest is handed back: the first of
    them that is taken changes it.
    """
    fingerprints = remembered_hashes(lake.settings, paths)
    if not fingerprints:
        return {}
    copies = Counter(fingerprints.values())
    manifests: dict[str, list[dict[str, Any]]] = {fingerprint: [] for fingerprint in copies}
    for entry in lake.records(
        "SELECT * FROM raw_files WHERE list_contains(?, content_hash) ORDER BY sheet",
        [list(copies)],
    ):
        manifests[entry["content_hash"]].append(entry)
    return {
        path: KnownBytes(fingerprint, manifests[fingerprint] if copies[fingerprint] == 1 else None)
        for path, fingerprint in fingerprints.items()
    }


def remembered_hashes(settings: Settings, paths: Iterable[Path]) -> dict[Path, str]:
    """The hash of each file that can be read; only files that are new or changed are opened."""
    remembered = _recall(settings)
    hashes: dict[Path, str] = {}
    learnt: list[tuple[bytes, str, str]] = []
    for path in paths:
        name = os.fsencode(path.resolve())
        try:
            before, began = path.stat(), time.time_ns()
            state, fingerprint = remembered.get(name, ("", ""))
            if state != _state(before):
                fingerprint = content_hash(path)
                if _state(path.stat()) == _state(before) and not _is_fresh(before, began):
                    learnt.append((name, _state(before), fingerprint))
        except (OSError, RefusedFile):
            continue
        hashes[path] = fingerprint
    if learnt:
        _remember(settings, learnt)
    return hashes


def _state(stat: os.stat_result) -> str:
    """What changes with a file's bytes: its size, times of change and place on the disk."""
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_dev} {stat.st_ino}"


def _is_fresh(stat: os.stat_result, now: int) -> bool:
    changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
    whole_seconds = stat.st_mtime_ns % 1_000_000_000 == 0 and stat.st_ctime_ns % 1_000_000_000 == 0
    return now - changed < (FRESH_IN_SECONDS_NS if whole_seconds else FRESH_NS)


@contextlib.contextmanager
def _memory(settings: Settings) -> Iterator[sqlite3.Connection]:
    folder = settings.home / "lake"
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(folder / "file_hashes.sqlite", timeout=1)
    try:
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS file_hashes "
                "(path BLOB PRIMARY KEY, state TEXT NOT NULL, hash TEXT NOT NULL)"
            )
            yield connection
    finally:
        connection.close()


def _recall(settings: Settings) -> dict[bytes, tuple[str, str]]:
    with contextlib.suppress(OSError, sqlite3.Error), _memory(settings) as memory:
        rows = memory.execute("SELECT path, state, hash FROM file_hashes").fetchall()
        return {path: (state, fingerprint) for path, state, fingerprint in rows}
    return {}


def _remember(settings: Settings, learnt: list[tuple[bytes, str, str]]) -> None:
    with contextlib.suppress(OSError, sqlite3.Error), _memory(settings) as memory:
        memory.executemany("INSERT OR REPLACE INTO file_hashes VALUES (?, ?, ?)", learnt)
