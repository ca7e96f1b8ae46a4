"""What only one process at a time may do with a home: a refresh, serving the pages.

The kernel holds the lock, so it ends with the process that took it, however that ends. Beside the lock
lies a note for people who find it taken; without the lock the note means nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Self

from filelock import FileLock, Timeout

from battery_platform.settings import Settings, made_folder

REFRESH, PAGES = "refresh", "ui"


@dataclass(frozen=True)
class Holder:
    """Who has the turn: the process, since when, and the run or address that it goes by."""

    pid: int
    since: str
    name: str


class Turn:
    """The turn of this process. It may be taken several times, and is over after as many releases."""

    def __init__(self, settings: Settings, what: str) -> None:
        folder = made_folder(settings.home / "dagster")
        self._lock = FileLock(folder / f"{what}.lock", is_singleton=True, thread_local=False)
        self._note = folder / f"{what}.json"

    def take(self) -> bool:
        """Take the turn if nobody else has it."""
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        return True

    def sign(self, name: str) -> None:
        """Tell those who wait who it is that has the turn."""
        holder = Holder(os.getpid(), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", name)
        self._note.write_text(json.dumps(asdict(holder)), encoding="utf-8")

    def holder(self) -> Holder | None:
        """Who has the turn, if they signed already."""
        try:
            return Holder(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def release(self) -> None:
        """Give it up; a turn that this process does not have is no fault."""
        if self._lock.is_locked and self._lock.lock_counter == 1:
            self._note.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
