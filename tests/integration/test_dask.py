"""The same maps on a real scheduler with two Dask workers: one is lost, items hang, die and raise."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from battery_platform.compute import Done, map_batches
from battery_platform.errors import PlatformError
from battery_platform.settings import Settings

pytest.importorskip("distributed")

ROOT = Path(__file__).resolve().parents[2]
FEWER_TRIES = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}


def act(items: Sequence[Any]) -> Iterator[Any]:
    for item in items:
        if item == "hang":
            time.sleep(60)
        if item == "exit":
            os._exit(3)
        if item == "kill the worker":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        if item == "raise":
            raise ValueError("no such battery")
        time.sleep(0.02)
        yield item


def own_pids(items: Sequence[int]) -> Iterator[tuple[int, int]]:
    for _ in items:
        time.sleep(0.02)
        yield os.getpid(), os.getppid()


def unknown_to_workers(items: Sequence[int]) -> list[int]:
    return list(items)


@dataclass
class Cluster:
    """A scheduler and its workers on loopback."""

    folder: Path
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **FEWER_TRIES},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def worker(self, nanny: str = "--no-nanny") -> subprocess.Popen[bytes]:
        place = f"--local-directory={self.folder}"
        words = ("--nthreads=1", nanny, "--no-dashboard", place)
        return self.start("dask_worker", self.address, *words)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def map(self, function: Any, items: Sequence[Any], batch: int, limit_s: float = 20) -> Any:
        settings = replace(Settings(), dask=self.address)
        return map_batches(function, items, settings=settings, batch=batch, limit_s=limit_s)


@pytest.fixture
def dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.syspath_prepend(str(ROOT))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = Cluster(tmp_path, f"tcp://127.0.0.1:{port}")
    started.start("dask_scheduler", "--host=127.0.0.1", f"--port={port}", "--no-dashboard")
    yield started
    started.stop()


def assert_each_once(found: list[Done[Any]], count: int) -> None:
    assert Counter(done.index for done in found) == Counter(range(count))


def children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_a_lost_worker_loses_nothing(dask: Cluster) -> None:
    first, second = dask.worker(), dask.worker()
    source = dask.map(own_pids, range(200), batch=5)
    found = [next(source)]
    wait_for(lambda: bool(children(first) and children(second)))
    orphans = children(first)
    first.send_signal(signal.SIGKILL)
    found += source
    assert_each_once(found, 200)
    assert not any(done.error for done in found)
    by_second = {done.result[0] for done in found if done.result[1] == second.pid}
    assert len(by_second) == 1, "the child stays between tasks"
    wait_for(lambda: not any(child.is_running() for child in orphans))


def test_culprits_are_found_and_harm_no_worker(dask: Cluster) -> None:
    workers = [dask.worker(), dask.worker()]
    items: list[Any] = [*range(60)]
    items[7], items[8], items[33] = "hang", "exit", "raise"
    found = list(dask.map(act, items, batch=10, limit_s=0.5))
    assert_each_once(found, 60)
    assert {done.index: done.error for done in found if done.error} == {
        7: "stopped after 0.5 s",
        8: "its process died (exit status 3)",
        33: "ValueError: no such battery",
    }
    assert all(done.result == items[done.index] for done in found if not done.error)
    assert [worker.poll() for worker in workers] == [None, None]


def test_closing_early_calls_running_tasks_off(dask: Cluster) -> None:
    """The worker is free for the next map long before the limit of what hangs."""
    dask.worker()
    source = dask.map(act, [0, "hang", "hang"], batch=1, limit_s=60)
    assert next(source).result == 0
    time.sleep(0.5)
    source.close()
    begun = time.monotonic()
    assert_each_once(list(dask.map(act, range(3), batch=1)), 3)
    assert time.monotonic() - begun < 30


def test_what_kills_its_worker_is_found(dask: Cluster) -> None:
    """As where memory ends: Dask blames the neighbours too, we do not."""
    dask.worker("--nanny")
    found = list(dask.map(act, [0, "kill the worker", 2], batch=2))
    assert sorted(found, key=lambda done: done.index) == [
        Done(0, 0),
        Done(1, None, "its Dask worker died, again and again"),
        Done(2, 2),
    ]


def test_a_function_that_workers_lack_is_said(dask: Cluster, tmp_path: Path) -> None:
    dask.worker()
    unknown_to_workers.__module__ = "only_here"
    sys.modules["only_here"] = sys.modules[__name__]
    try:
        with pytest.raises(PlatformError, match="only_here"):
            list(dask.map(unknown_to_workers, range(3), batch=1))
    finally:
        unknown_to_workers.__module__ = __name__
        del sys.modules["only_here"]
