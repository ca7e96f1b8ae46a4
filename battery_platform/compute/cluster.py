"""The same map on a Dask cluster: each batch is a task, processed by a child of its Dask worker.

If a Dask worker itself dies, the scheduler has its tasks done elsewhere.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from threading import Thread
from typing import Any

from battery_platform.compute.job import Done, Job, chunks, pieces, text_of
from battery_platform.compute.pool import CalledOff
from battery_platform.compute.pool import run as run_here
from battery_platform.errors import PlatformError

SETTING = "BATTERY_PLATFORM_DASK"
CONNECT_S = 8
WORKERS_S = 30
CLOSE_S = 5
RETRIES = 2
"""How often a batch is passed on by Dask workers that cannot start a process."""


def run(
    address: str, job: Job, items: Sequence[Any], batch: int
) -> Generator[Done[Any], None, None]:
    """`Done` of each item as it becomes available; ending the generator early cancels the tasks."""
    client = _connect(address)
    try:
        yield from _Map(client, address, job, items).run(batch)
    finally:
        client.close(timeout=CLOSE_S)


def _distributed() -> Any:
    """Dask's module, which is optional and only partly typed."""
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise PlatformError(
            f"{SETTING} names a Dask scheduler, but Dask is not installed.",
            'Install it with `pip install "battery-platform[dask]"`, or unset the variable.',
        ) from error


def _connect(address: str) -> Any:
    distributed = _distributed()
    try:
        client = _within(
            CONNECT_S + 1,
            lambda: distributed.Client(address, timeout=CONNECT_S, set_as_default=False),
        )
    except Exception as error:  # what answers may be anything
        raise PlatformError(
            f"The Dask scheduler {address} cannot be reached: {text_of(error)}.",
            f"Start it, correct {SETTING}, or unset it to use this machine's processes.",
        ) from error
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except TimeoutError as error:
        client.close(timeout=CLOSE_S)
        raise PlatformError(
            f"The Dask scheduler {address} has had no worker for {WORKERS_S} s.",
            f"Start one with `dask worker {address}`, or unset {SETTING}.",
        ) from error
    return client


def _within(seconds: float, make: Callable[[], Any]) -> Any:
    """The result of `make`, with a time limit, as Dask waits forever for a server that never answers."""
    made: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def run() -> None:
        try:
            made.set_result(make())
        except BaseException as error:
            made.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        return made.result(seconds)
    except concurrent.futures.TimeoutError:
        raise TimeoutError(f"no answer within {seconds:g} s") from None


class _Map:
    """The tasks of one map, and the items of each.

    When a worker dies, Dask blames all of its tasks, not only the one that killed it. So tasks that Dask
    gives up are suspects: each runs again by itself once all others are done.
    """

    def __init__(self, client: Any, address: str, job: Job, items: Sequence[Any]) -> None:
        self._client, self._address, self._job, self._items = client, address, job, items
        self._chunks: dict[str, range] = {}
        self._suspects: deque[range] = deque()
        self._finished = _distributed().as_completed([], loop=client.loop)

    def run(self, batch: int) -> Iterator[Done[Any]]:
        yield from self._submit(chunks(len(self._items), batch))
        yield from self._collect(self._suspects.append)
        while self._suspects:
            culprits: list[range] = []
            yield from self._submit([self._suspects.popleft()])
            yield from self._collect(culprits.append)
            for chunk in culprits:
                yield from self._cut(chunk, "its Dask worker died, again and again")

    def _submit(self, wanted: Iterable[range]) -> Iterator[Done[Any]]:
        """Submit batches as bytes, as Dask would otherwise search each item for tasks."""
        sent: list[range] = []
        contents: list[bytes] = []
        for chunk in wanted:
            try:
                contents.append(pickle.dumps([self._items[index] for index in chunk]))
                sent.append(chunk)
            except Exception as error:
                yield from self._cut(chunk, f"not sent: {text_of(error)}")
        jobs = [self._job] * len(sent)
        futures = self._client.map(work_off, jobs, contents, pure=False, retries=RETRIES)
        self._chunks.update(
            (future.key, chunk) for future, chunk in zip(futures, sent, strict=True)
        )
        self._finished.update(futures)

    def _cut(self, chunk: range, why: str) -> Iterator[Done[Any]]:
        if len(chunk) == 1:
            yield Done(chunk[0], None, why)
        else:
            self._suspects.extendleft(reversed(pieces(chunk, streams=False)))

    def _collect(self, given_up: Callable[[range], None]) -> Iterator[Done[Any]]:
        """Results of all running tasks; batches without a result are passed to `given_up`."""
        for future in self._finished:
            chunk = self._chunks.pop(future.key)
            content = self._content(future)
            if content is None:
                given_up(chunk)
                continue
            for done in pickle.loads(content):  # noqa: S301 -- from our own task
                yield Done(chunk[done.index], done.result, done.error)

    def _content(self, future: Any) -> bytes | None:
        """The result of the task; None if every worker that ran it died."""
        if future.cancelled():
            raise PlatformError(
                f"The Dask scheduler {self._address} was lost or dropped the work.",
                "See its log; what was stored by now need not be done again.",
            )
        try:
            content: bytes = future.result()
        except _distributed().KilledWorker:
            return None
        except PlatformError:
            raise
        except Exception as error:
            raise PlatformError(
                f"The Dask workers of {self._address} cannot do the work: {text_of(error)}.",
                "They need the same Python, battery-platform and modules as this machine.",
            ) from error
        finally:
            future.release()
        return content


def work_off(job: Job, content: bytes) -> bytes:
    """The task: one batch in a child of this Dask worker, which is kept for the next batch."""
    items = pickle.loads(content)  # noqa: S301 -- from our own client
    worker = _distributed().get_worker()
    try:
        done = list(run_here(job, items, len(items), 1, _called_off(worker)))
    except CalledOff:
        raise _distributed().Reschedule from None
    return pickle.dumps(done)


def _called_off(worker: Any) -> Callable[[], bool]:
    """Whether the task has been cancelled, as Dask does not stop running threads."""
    key = worker.get_current_task()

    def asked() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return asked
