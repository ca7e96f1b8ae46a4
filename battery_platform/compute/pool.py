"""The worker processes of this process: one crew for all maps, watched from outside.

They outlive a map and serve any other, so that what one has imported and built is there for the next.
One thread keeps all of them busy, whichever threads map: there are never more than there are cores,
the map that has the fewest is served next, and a process that hangs is killed. Those that had nothing
to do for `IDLE_S` end, as all do when the interpreter ends. A process that was started under another
environment, module path or folder than a map's does not serve it.

No item is blamed before it failed alone in a batch: of a batch that fails, the results that were
sent are kept and the rest is cut and handed out again.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import math
import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Pipe, wait
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread, current_thread
from typing import Any

from battery_platform.compute.child import BEGUN, BROKEN, END, FAILED, READY, RESULT
from battery_platform.compute.job import Done, Job, chunks, pieces, text_of
from battery_platform.compute.worker import Surroundings, Worker
from battery_platform.errors import PlatformError

IDLE_S = 60.0
"""A process that has been idle for this long ends."""
PULSE_S = 0.5
"""How often to check whether the work is still wanted and whether a slow reader has caught up."""
BAD_STARTS = 3
"""Consecutive processes that may end without a result."""
AHEAD = 1000
"""Results that may wait for a slow reader before its map gets no more batches."""


class CalledOff(Exception):  # noqa: N818 -- not an error: nobody wants the work any more
    """The work was stopped from outside."""


class _Finished:
    """The last message of a map: every batch has ended."""


@dataclass(frozen=True)
class _Sent:
    """A result as sent by the process; the reader unpacks it."""

    index: int
    content: bytes


Message = _Sent | Done[Any] | PlatformError | _Finished


@dataclass(eq=False)
class _Map:
    """One caller's map: what is to be done, and the messages back to the caller."""

    job: Job
    items: Sequence[Any]
    waiting: deque[range]
    most: int
    """Most processes that it may use at once."""
    surroundings: Surroundings
    messages: SimpleQueue[Message] = field(default_factory=SimpleQueue)
    workers: set[Worker] = field(default_factory=set)
    """Processes that work for it or are being started for it."""
    bad_starts: int = 0
    turn: int = 0
    """When it was served last."""
    gone: Event = field(default_factory=Event)

    @property
    def starting(self) -> int:
        return sum(not worker.ready for worker in self.workers)

    @property
    def wants_more(self) -> bool:
        return (
            len(self.waiting) > self.starting
            and len(self.workers) < self.most
            and self.messages.qsize() < AHEAD
        )


def run(
    job: Job,
    items: Sequence[Any],
    batch: int,
    workers: int | None = None,
    called_off: Callable[[], bool] = lambda: False,
) -> Generator[Done[Any], None, None]:
    """`Done` of each item as it becomes available; ending the generator early ends its working processes."""
    if not len(items):
        return
    crew = _crew()
    wanted = _Map(
        job, items, deque(chunks(len(items), batch)), workers or crew.size, Surroundings.now()
    )
    crew.take(wanted)
    try:
        while True:
            with contextlib.suppress(Empty):
                message = wanted.messages.get(timeout=PULSE_S)
                if isinstance(message, _Finished):
                    return
                if isinstance(message, PlatformError):
                    raise message
                yield _unpacked(message) if isinstance(message, _Sent) else message
            if called_off():
                raise CalledOff
            crew.require_alive()
    finally:
        crew.drop(wanted)


def cores() -> int:
    """The number of cores that this process may use, if the system reports it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Crew:
    """All worker processes of this process, and the thread that alone touches them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.workers: list[Worker] = []
        self._maps: list[_Map] = []
        self._turns = 0
        self._closed = False
        self._orders: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._ear, self._mouth = Pipe(duplex=False)
        self._talking = Lock()
        self._thread = Thread(target=self._serve, name="worker processes", daemon=True)
        self._thread.start()

    # -- what other threads ask for ----------------------------------------------------------

    def take(self, wanted: _Map) -> None:
        self._order(functools.partial(self._maps.append, wanted))

    def drop(self, wanted: _Map) -> None:
        """Nobody waits for it any more; comes back when no process is at it."""
        if current_thread() is self._thread:  # a forgotten generator may be collected anywhere
            self._end(wanted)
            return
        self._order(functools.partial(self._end, wanted))
        while not wanted.gone.wait(PULSE_S) and self.is_alive:
            pass

    def close(self) -> None:
        """End all processes."""
        self._order(self._close)
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def require_alive(self) -> None:
        if not self.is_alive:
            raise PlatformError("The worker processes were ended while work was waiting for them.")

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.put(order)
        with self._talking, contextlib.suppress(OSError):
            self._mouth.send_bytes(b"")

    # -- what only the thread of the crew does -----------------------------------------------

    def _serve(self) -> None:
        try:
            while not self._closed:
                self._hand_out()
                self._listen()
        finally:
            for worker in self.workers:
                worker.kill()
            for worker in self.workers:
                worker.bury()
            self.workers.clear()

    def _close(self) -> None:
        self._closed = True

    def _listen(self) -> None:
        """Wait until somebody says something, is late or has been idle for long."""
        wait([self._ear, *(worker.pipe for worker in self.workers)], self._patience())
        while self._ear.poll():
            self._ear.recv_bytes()
            self._orders.get()()
        for worker in tuple(self.workers):
            if worker in self.workers:
                self._hear(worker)
        for worker in [each for each in self.workers if each.idle]:
            if time.monotonic() > worker.idle_since + IDLE_S:
                self._let_go(worker)

    def _patience(self) -> float | None:
        ends = [
            worker.idle_since + IDLE_S if worker.idle else worker.deadline
            for worker in self.workers
        ]
        if any(wanted.messages.qsize() >= AHEAD for wanted in self._maps):
            ends.append(time.monotonic() + PULSE_S)
        soonest = min(ends, default=math.inf)
        return max(soonest - time.monotonic(), 0.0) if math.isfinite(soonest) else None

    def _hand_out(self) -> None:
        """Assign processes to the maps that want more, while there are any."""
        left = list(self._maps)
        while hungry := [each for each in left if each in self._maps and each.wants_more]:
            wanted = min(hungry, key=lambda each: (len(each.workers), each.turn))
            idle = [
                worker
                for worker in self.workers
                if worker.idle and worker.surroundings == wanted.surroundings
            ]
            if idle:
                self._give(wanted, max(idle, key=lambda worker: wanted.job.names in worker.served))
            elif not self._hire(wanted):
                left.remove(wanted)

    def _hire(self, wanted: _Map) -> bool:
        """Start a process, in place of an idle one if there is no room for more."""
        if len(self.workers) >= self.size:
            idle = [worker for worker in self.workers if worker.idle]
            if not idle:
                return False
            self._let_go(min(idle, key=lambda worker: worker.idle_since))
        try:
            worker = Worker(wanted.surroundings, time.monotonic() + wanted.job.start_s)
        except OSError as error:
            self._fail(wanted, f"No process can be started for {wanted.job.function}: {error}.")
            return False
        self.workers.append(worker)
        wanted.workers.add(worker)
        return True

    def _give(self, wanted: _Map, worker: Worker) -> None:
        self._turns += 1
        wanted.turn = self._turns
        chunk = wanted.waiting.popleft()
        try:
            content = pickle.dumps([wanted.items[index] for index in chunk])
        except Exception as error:
            self._blame(wanted, chunk, len(chunk), f"not sent: {text_of(error)}")
            self._finish_if_done(wanted)
            return
        wanted.workers.add(worker)
        if not worker.give(wanted.job, chunk, content):
            wanted.waiting.appendleft(chunk)
            self._lose(worker, late=False)

    def _let_go(self, worker: Worker) -> None:
        self.workers.remove(worker)
        for wanted in self._maps:
            wanted.workers.discard(worker)
        worker.bury()

    def _map_of(self, worker: Worker) -> _Map | None:
        return next((wanted for wanted in self._maps if worker in wanted.workers), None)

    def _hear(self, worker: Worker) -> None:
        """Read everything that a process has sent, and handle it being late or gone."""
        late = not worker.pipe.poll() and time.monotonic() > worker.deadline
        if late:
            worker.kill()  # what it has sent by now is still read
        ended = late
        try:
            while worker in self.workers and worker.pipe.poll():
                message = worker.pipe.recv_bytes()
                self._heard(worker, message[:1], message[1:])
        except (EOFError, OSError):
            ended = True
        if ended and worker in self.workers:
            self._lose(worker, late)

    def _heard(self, worker: Worker, kind: bytes, content: bytes) -> None:
        wanted, batch = self._map_of(worker), worker.batch
        if kind == READY:
            worker.ready = True
            self._rest(worker, wanted)
        if batch is None:
            return
        if kind == BROKEN:
            self._let_go(worker)
            if wanted:
                says = f"{wanted.job.function} cannot be mapped: {content.decode()}."
                self._fail(wanted, says)
            return
        if wanted is None:  # all results came, and nobody waited for the end of the batch
            if kind in {END, FAILED}:
                worker.rest()
            return
        job = wanted.job
        if kind == BEGUN:
            batch.begun = True
            worker.served.add(job.names)
            # a generator is watched item by item, any other function as a whole
            worker.deadline = time.monotonic() + job.limit_s * (1 if job.streams else batch.given)
        elif kind == RESULT:
            wanted.bad_starts = 0
            wanted.messages.put(_Sent(batch.todo[0], content))
            batch.todo = batch.todo[1:]
            worker.deadline = time.monotonic() + job.limit_s
        elif kind in {END, FAILED}:
            self._rest(worker, wanted)
            if kind == FAILED:
                self._blame(wanted, batch.todo, batch.given, content.decode())
            self._finish_if_done(wanted)

    def _rest(self, worker: Worker, wanted: _Map | None) -> None:
        worker.rest()
        if wanted:
            wanted.workers.discard(worker)

    def _lose(self, worker: Worker, late: bool) -> None:
        """Handle the batch of a process that is gone."""
        wanted, batch = self._map_of(worker), worker.batch
        self.workers.remove(worker)
        how = worker.bury()
        if wanted is None:
            return
        wanted.workers.discard(worker)
        job = wanted.job
        if batch and batch.begun and batch.todo:
            why = f"stopped after {job.limit_s:g} s" if late else how
            self._blame(wanted, batch.todo, batch.given, why)
            self._finish_if_done(wanted)
            return
        if batch and batch.todo:
            wanted.waiting.appendleft(batch.todo)
        wanted.bad_starts += 1
        if wanted.bad_starts == BAD_STARTS:
            why = f"not ready after {job.start_s:g} s" if late else how
            self._fail(
                wanted,
                f"{BAD_STARTS} processes in a row took no work for {job.function}: {why}.",
                "Import its module by hand to see what happens.",
            )
        self._finish_if_done(wanted)

    def _blame(self, wanted: _Map, chunk: range, given: int, why: str) -> None:
        """Handle the failed rest of a batch: a single item is to blame, several are split up."""
        if given == 1:
            for index in chunk:
                wanted.messages.put(Done(index, None, why))
        else:
            wanted.waiting.extendleft(reversed(pieces(chunk, wanted.job.streams)))

    def _finish_if_done(self, wanted: _Map) -> None:
        if not wanted.waiting and not any(worker.batch for worker in wanted.workers):
            wanted.messages.put(_Finished())
            self._end(wanted)

    def _fail(self, wanted: _Map, says: str, remedy: str = "") -> None:
        wanted.messages.put(PlatformError(says, remedy))
        self._end(wanted)

    def _end(self, wanted: _Map) -> None:
        """End the processes working for a map; those only starting, or finished, may serve another map."""
        if wanted in self._maps:
            self._maps.remove(wanted)
        at_it = [worker for worker in wanted.workers if worker.batch and worker.batch.todo]
        for worker in at_it:
            worker.kill()
        for worker in at_it:
            self._let_go(worker)
        wanted.workers.clear()
        wanted.gone.set()


def _unpacked(sent: _Sent) -> Done[Any]:
    try:
        return Done(sent.index, pickle.loads(sent.content))  # noqa: S301 -- from our own child
    except Exception as error:
        return Done(sent.index, None, f"its result cannot be read: {text_of(error)}")


# -- the crew of this process ----------------------------------------------------------------

_crews: list[Crew] = []
_guard = Lock()


def _crew() -> Crew:
    with _guard:
        if not _crews or not _crews[0].is_alive:
            _crews[:] = [Crew(cores())]
        return _crews[0]


def processes() -> Iterator[Worker]:
    """The current worker processes."""
    for crew in tuple(_crews):
        yield from tuple(crew.workers)


def close() -> None:
    """End all worker processes; the next map starts its own."""
    with _guard:
        for crew in _crews:
            crew.close()
        _crews.clear()


def _forget() -> None:
    """In the child of a fork: the processes are its parent's."""
    _guard._at_fork_reinit()  # type: ignore[attr-defined]
    for crew in _crews:
        for worker in crew.workers:
            worker.leave()
    _crews.clear()


atexit.register(close)
os.register_at_fork(after_in_child=_forget)
