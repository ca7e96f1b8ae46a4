"""What was worked out once and follows from code and arguments alone, kept in a file beside the lake.

It saves time and decides nothing: without the file, or with another digest, the answer is worked out
anew. Of each name only the newest answer is kept.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from battery_platform.settings import Settings

FILE = "remembered.sqlite"


def recall(settings: Settings, name: str, digest: str) -> Any:
    """The answer of that name, if it was worked out by the same code from the same arguments."""
    with contextlib.suppress(OSError, ValueError, sqlite3.Error), _memory(settings) as memory:
        answers = memory.execute(
            "SELECT answer FROM answers WHERE name = ? AND digest = ?", [name, digest]
        ).fetchall()
        return json.loads(answers[0][0]) if answers else None
    return None


def remember(settings: Settings, name: str, digest: str, answer: Any) -> None:
    """Keep an answer, which must be JSON, in place of the last one of that name."""
    with contextlib.suppress(OSError, sqlite3.Error), _memory(settings) as memory:
        memory.execute(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", [name, digest, json.dumps(answer)]
        )


@contextlib.contextmanager
def _memory(settings: Settings) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(settings.home / "lake" / FILE, timeout=1)
    try:
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS answers "
                "(name TEXT PRIMARY KEY, digest TEXT NOT NULL, answer TEXT NOT NULL)"
            )
            yield connection
    finally:
        connection.close()
