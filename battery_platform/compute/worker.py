"""One worker process as its parent sees it: what it does, until when, and how it ended."""

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
"""How names of variables begin that libraries set for themselves while they are imported; a process is
no staler for them."""


@dataclass(frozen=True)
class Surroundings:
    """What a process inherits; one that inherited something else serves no longer."""

    environment: dict[str, str] = field(compare=False)
    settings: dict[str, str]
    """The environment but for what libraries set."""
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
    """Items that one process has, and what is not there yet of them."""

    todo: range
    given: int
    begun: bool = False
    """Whether the function is ready there: before that no item can be to blame."""


@dataclass(eq=False)
class Worker:
    """A process, its batch if it has one, and the moment at which it is stopped."""

    surroundings: Surroundings
    deadline: float
    ready: bool = False
    batch: Batch | None = None
    served: set[tuple[str, str]] = field(default_factory=set)
    """Functions, with what prepared them, that it has built."""
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
                process_group=0,  # Ctrl-C is for the parent, and its children's children go along
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
        """Kill and reap the process; says how it ended."""
        self.kill()
        status = self._process.wait()
        self.leave()
        if status >= 0:
            return f"its process died (exit status {status})"
        return f"its process died ({signal.Signals(-status).name})"

    def leave(self) -> None:
        """Close what leads to it; where nobody else holds that, the process ends."""
        self.pipe.close()
        self._life.close()
