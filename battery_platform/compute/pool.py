"""Processes that work off batches, watched from outside: one that hangs is killed.

No item is blamed before it failed alone in a batch: of a batch that fails, the results that were
sent are kept and the rest is cut and handed out again.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Pipe, wait
from pathlib import Path
from typing import Any

from battery_platform.compute.child import BROKEN, END, FAILED, READY, RESULT, START
from battery_platform.compute.job import Done, Job, chunks, pieces, text_of
from battery_platform.errors import PlatformError

PULSE_S = 0.5
"""How often it is asked whether the work is still wanted."""
BAD_STARTS = 3
"""Processes that may end without a result, one after the other."""

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


class CalledOff(Exception):  # noqa: N818 -- not an error: nobody wants the work any more
    """The work was stopped from outside."""


class _Worker:
    """A process, what of its batch is not there yet, and the moment at which it is stopped."""

    def __init__(self, job: Job) -> None:
        self.pipe, theirs = Pipe()
        life, self._life = Pipe(duplex=False)
        self.ready = False
        self.todo = range(0)
        self.given = 0
        self.deadline = time.monotonic() + job.start_s
        with theirs, life:
            fds = (theirs.fileno(), life.fileno())
            path = [folder or str(Path.cwd()) for folder in sys.path]
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                [sys.executable, "-c", START, *map(str, fds), job.function, job.prepare, *path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD},
                pass_fds=fds,
                process_group=0,  # Ctrl-C is for the parent, and its children's children go along
            )

    @property
    def idle(self) -> bool:
        return self.ready and not self.given

    def give(self, chunk: range, content: bytes, limit_s: float) -> bool:
        """Hand over a batch; False if the process is gone."""
        try:
            self.pipe.send_bytes(content)
        except OSError:
            return False
        self.todo, self.given = chunk, len(chunk)
        self.deadline = time.monotonic() + limit_s
        return True

    def rest(self) -> None:
        self.given, self.deadline = 0, math.inf

    def kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def bury(self) -> str:
        """Kill and reap the process; says how it ended."""
        self.kill()
        status = self._process.wait()
        self.pipe.close()
        self._life.close()
        if status >= 0:
            return f"its process died (exit status {status})"
        return f"its process died ({signal.Signals(-status).name})"


class Pool:
    """Processes for one job; they outlive a run, so that what they built is used again."""

    def __init__(self, job: Job, size: int) -> None:
        self.job = job
        self._size = size
        self._workers: list[_Worker] = []
        self._items: Sequence[Any] = ()
        self._waiting: deque[range] = deque()
        self._bad_starts = 0

    def run(
        self, items: Sequence[Any], batch: int, called_off: Callable[[], bool] = lambda: False
    ) -> Generator[Done[Any], None, None]:
        """Each item's `Done` as it comes; whatever ends this early ends the processes."""
        self._items, self._bad_starts = items, 0
        self._waiting = deque(chunks(len(items), batch))
        done: list[Done[Any]] = []
        try:
            while done or self._unfinished:
                done += self._hand_out()
                yield from done
                done = list(self._listen()) if self._unfinished else []
                if called_off():
                    raise CalledOff
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.bury()
        self._workers.clear()

    @property
    def _unfinished(self) -> bool:
        return bool(self._waiting) or any(worker.given for worker in self._workers)

    def _hand_out(self) -> Iterator[Done[Any]]:
        for worker in [worker for worker in self._workers if worker.idle]:
            while self._waiting and worker.idle:
                chunk = self._waiting.popleft()
                try:
                    content = pickle.dumps([self._items[index] for index in chunk])
                except Exception as error:
                    yield from self._blame(chunk, len(chunk), f"not sent: {text_of(error)}")
                    continue
                if not worker.give(chunk, content, self._limit_s(chunk)):
                    self._waiting.appendleft(chunk)
                    yield from self._lose(worker)
                    break
        self._hire()

    def _limit_s(self, chunk: range) -> float:
        """A generator is watched item by item, any other function as a whole."""
        return self.job.limit_s * (1 if self.job.streams else len(chunk))

    def _hire(self) -> None:
        busy = sum(bool(worker.given) for worker in self._workers)
        while len(self._workers) < min(self._size, busy + len(self._waiting)):
            self._workers.append(_Worker(self.job))

    def _listen(self) -> Iterator[Done[Any]]:
        """Wait until a process says something or is late."""
        left = min(worker.deadline for worker in self._workers) - time.monotonic()
        wait([worker.pipe for worker in self._workers], min(max(left, 0), PULSE_S))
        for worker in tuple(self._workers):
            yield from self._hear(worker)

    def _hear(self, worker: _Worker) -> Iterator[Done[Any]]:
        """All that a process has sent; if it is late or gone, what follows from that."""
        late = not worker.pipe.poll() and time.monotonic() > worker.deadline
        if late:
            worker.kill()  # what it has sent by now is still read
        ended = late
        try:
            while worker.pipe.poll():
                message = worker.pipe.recv_bytes()
                yield from self._told(worker, message[:1], message[1:])
        except (EOFError, OSError):
            ended = True
        if ended:
            yield from self._lose(worker, late)

    def _told(self, worker: _Worker, kind: bytes, content: bytes) -> Iterator[Done[Any]]:
        if kind == BROKEN:
            raise PlatformError(f"{self.job.function} cannot be mapped: {content.decode()}.")
        if kind == RESULT:
            self._bad_starts = 0
            index, worker.todo = worker.todo[0], worker.todo[1:]
            worker.deadline = time.monotonic() + self.job.limit_s
            yield _unpacked(index, content)
        if kind == FAILED:
            yield from self._blame(worker.todo, worker.given, content.decode())
        if kind == READY:
            worker.ready = True
        if kind in {READY, END, FAILED}:
            worker.rest()

    def _lose(self, worker: _Worker, late: bool = False) -> Iterator[Done[Any]]:
        self._workers.remove(worker)
        how = worker.bury()
        if worker.todo:
            why = f"stopped after {self.job.limit_s:g} s" if late else how
            yield from self._blame(worker.todo, worker.given, why)
            return
        self._bad_starts += 1
        if self._bad_starts == BAD_STARTS:
            why = f"not ready after {self.job.start_s:g} s" if late else how
            raise PlatformError(
                f"{BAD_STARTS} processes in a row took no work for {self.job.function}: {why}.",
                "Import its module by hand to see what happens.",
            )

    def _blame(self, chunk: range, given: int, why: str) -> Iterator[Done[Any]]:
        """What is left of a batch of so many items failed: alone, the item is the culprit."""
        if given == 1:
            yield from (Done(index, None, why) for index in chunk)
        else:
            self._waiting.extendleft(reversed(pieces(chunk, self.job.streams)))


def _unpacked(index: int, content: bytes) -> Done[Any]:
    try:
        return Done(index, pickle.loads(content))  # noqa: S301 -- from our own child
    except Exception as error:
        return Done(index, None, f"its result cannot be read: {text_of(error)}")
