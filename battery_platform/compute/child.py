"""What runs in a worker process: take a batch, send each result as soon as it is there.

It ends with its parent however that ends. A thread that watches would not do: C code that hangs
with the GIL lets no thread run. So the kernel is told to send SIGIO, which ends a process, when
the last writer of a pipe that only the parent holds is gone.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import select
import signal
import sys
from collections.abc import Iterator, Sized
from multiprocessing.connection import Connection
from typing import Any

from battery_platform.compute.job import Function, find, text_of

READY, RESULT, END, FAILED, BROKEN = b"S", b"R", b"E", b"F", b"B"
"""The first byte of a message: started, one result, end of a batch, its failure, no use going on."""

START = (
    "import sys; sys.path[:] = sys.argv[5:]; "
    "from battery_platform.compute.child import main; main(*sys.argv[1:5])"
)


class _NotOneEach(Exception):  # noqa: N818 -- it names what is wrong
    """The function does not give one result per item."""


def main(pipe_fd: str, life_fd: str, function: str, prepare: str) -> None:
    """Serve batches until the pipe ends."""
    _end_with_parent(int(life_fd))
    pipe: Connection[bytes, bytes] = Connection(int(pipe_fd))
    try:
        work = find(function)
        if prepare:
            find(prepare)()
    except BaseException as error:
        pipe.send_bytes(BROKEN + f"it does not start: {text_of(error)}".encode())
        return
    pipe.send_bytes(READY)
    while (batch := _next(pipe)) is not None:
        pipe.send_bytes(_work_off(pipe, work, batch))


def _end_with_parent(life: int) -> None:
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([life], [], [], 0)[0]:
        sys.exit("the parent is gone")


def _next(pipe: Connection[bytes, bytes]) -> bytes | None:
    try:
        return pipe.recv_bytes()
    except EOFError:
        return None


def _work_off(pipe: Connection[bytes, bytes], work: Function, batch: bytes) -> bytes:
    """Send the results; what is returned is the last message about the batch."""
    try:
        items = pickle.loads(batch)  # noqa: S301 -- from our own parent
        for result in _one_each(work(items), len(items)):
            pipe.send_bytes(RESULT + pickle.dumps(result))
    except _NotOneEach as error:
        return BROKEN + str(error).encode()
    except BaseException as error:
        return FAILED + text_of(error).encode("utf-8", "replace")
    return END


def _one_each(results: Any, count: int) -> Iterator[Any]:
    """The results, as long as there is one for each item."""
    if isinstance(results, Sized) and len(results) != count:
        raise _NotOneEach(f"it gave {len(results)} results for {count} items")
    given = 0
    for result in results:
        if given == count:
            raise _NotOneEach(f"it gave more than {count} results for {count} items")
        given += 1
        yield result
    if given < count:
        raise _NotOneEach(f"it gave {given} results for {count} items")
