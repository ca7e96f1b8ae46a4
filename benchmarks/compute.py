"""A heavy map on two Dask workers, against our own pool of two processes in the same run.

The task burns 50 ms of CPU per item, as a short simulation does; batches are of ten. The clock runs
from the begin of the first item to the arrival of the last result: starting processes and
connecting are in neither figure, handing out and bringing back are in both.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Result, median

ROOT = Path(__file__).resolve().parent.parent
ITEMS, BATCH, CPU_S, WORKERS, ROUNDS = 160, 10, 0.05, 2, 3


def burn(items: Sequence[int]) -> Iterator[float]:
    """Each item's 50 ms of CPU; the result is when it began, on the clock of all processes."""
    for _ in items:
        begun = time.monotonic()
        end = time.process_time() + CPU_S
        while time.process_time() < end:
            pass
        yield begun


def run() -> list[Result]:
    """Items per second of both, medians of three."""
    with _cluster() as address:
        _per_second(address, WORKERS * BATCH)
        pairs = [(_per_second(""), _per_second(address)) for _ in range(ROUNDS)]
    pool, dask = median([one for one, _ in pairs]), median([two for _, two in pairs])
    detail = f"[{dask:.1f} against {pool:.1f} items/s]"
    return [
        Result("throughput of two Dask workers over two processes", dask / pool, 0.85, True, detail)
    ]


def _per_second(address: str, count: int = ITEMS) -> float:
    from battery_platform.compute import map_batches
    from battery_platform.settings import Settings

    begun = [
        done.result
        for done in map_batches(
            burn,
            range(count),
            settings=Settings(dask=address),
            batch=BATCH,
            limit_s=30,
            workers=WORKERS,
        )
        if done.result is not None
    ]
    seconds = time.monotonic() - min(begun)
    assert len(begun) == count
    return count / seconds


@contextmanager
def _cluster() -> Iterator[str]:
    """A scheduler and two workers of one thread each on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    scheduler = ["dask_scheduler", "--host=127.0.0.1", f"--port={port}"]
    worker = ["dask_worker", address, "--nthreads=1", "--no-nanny"]
    with tempfile.TemporaryDirectory() as folder:
        started = [
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{words[0]}", *words[1:], "--no-dashboard"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for words in (scheduler, *[worker] * WORKERS)
        ]
        try:
            yield address
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait(20)
