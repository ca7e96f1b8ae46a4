"""A worker process as seen by its parent: what it is doing, its deadline, and how it ended."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Pipe
from pathlib import Path

from battery_platform.compute.child import START
from battery_platform.compute.job import Job

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)


OF_LIBRARIES = ("_", "KMP_", "CASADIPATH")
"""Prefixes of environment variables that libraries set for themselves when imported; they do not make a
process stale."""


@dataclass(frozen=True)
class Surroundings:
    """What a process inherits; a process with other surroundings is no longer used."""

    environment: dict[str, str] = field(compare=False)
    settings: dict[str, str]
    """The environment, except for what libraries set."""
    path: tuple[str, ...]
    folder: str

    @classmethod
    def now(cls) -> Surroundings:
        environment = dict(os.environ)
        settings = {
            name: value for name, value in environment.items() if not name.startswith(OF_LIBRARIES)
        }
        folder = ""
        with contextlib.suppress(FileNotFoundError):
            folder = str(Path.cwd())
        path = tuple(filter(None, (place or folder for place in sys.path)))
        return cls(environment, settings, path, folder)


@dataclass(eq=False)
class Batch:
    """Items given to a process, and which of them are not done yet."""

    todo: range
    given: int
    begun: bool = False
    """Whether the function has started; before that no item can be to blame."""


@dataclass(eq=False)
class Worker:
    """A process, its batch if it has one, and its deadline."""

    surroundings: Surroundings
    deadline: float
    ready: bool = False
    batch: Batch | None = None
    served: set[tuple[str, str]] = field(default_factory=set)
    """Functions, with their `prepare`, that this process has already built."""
    idle_since: float = math.inf

    def __post_init__(self) -> None:
        self.pipe, theirs = Pipe()
        life, self._life = Pipe(duplex=False)
        with theirs, life:
            fds = (theirs.fileno(), life.fileno())
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                [sys.executable, "-c", START, *map(str, fds), *self.surroundings.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**self.surroundings.environment, **ONE_THREAD},
                pass_fds=fds,
                process_group=0,  # Ctrl-C goes to the parent only, and killing the group ends grandchildren
            )

    @property
    def idle(self) -> bool:
        return self.ready and self.batch is None

    def give(self, job: Job, chunk: range, content: bytes) -> bool:
        """Hand over a batch; False if the process is gone."""
        try:
            self.pipe.send_bytes(f"{job.function}\n{job.prepare}".encode())
            self.pipe.send_bytes(content)
        except OSError:
            return False
        self.batch = Batch(chunk, len(chunk))
        self.deadline = time.monotonic() + job.start_s
        return True

    def rest(self) -> None:
        self.batch, self.deadline, self.idle_since = None, math.inf, time.monotonic()

    def kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def bury(self) -> str:
        """Kill and reap the process; returns how it ended."""
        self.kill()
        status = self._process.wait()
        self.leave()
        if status >= 0:
            return f"its process died (exit status {status})"
        return f"its process died ({signal.Signals(-status).name})"

    def leave(self) -> None:
        """Close the pipes to the process; if nobody else holds them, the process ends."""
        self.pipe.close()
        self._life.close()
