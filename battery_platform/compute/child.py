"""The worker process: takes batches of any function and sends each result as soon as it is available.

It ends with its parent, however the parent ends. A watching thread would not suffice: C code that hangs
while holding the GIL lets no thread run. So the kernel is asked to send SIGIO, which ends a process, when
the last writer of a pipe held only by the parent is gone.

Nothing is imported before a batch needs it: a process that fits models never loads a solver.
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

from battery_platform.compute import job
from battery_platform.compute.job import Function, find, text_of

READY, BEGUN, RESULT, END, FAILED, BROKEN = b"S", b"P", b"R", b"E", b"F", b"B"
"""The first byte of a message: started, prepared for a batch, one result, end of the batch, failure of
the batch, the function cannot work."""

START = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from battery_platform.compute.child import main; main(*sys.argv[1:3])"
)


class _NotOneEach(Exception):  # noqa: N818 -- it names what is wrong
    """The function does not return one result per item."""


class _DoesNotStart(Exception):  # noqa: N818 -- it names what is wrong
    """The function cannot be imported or prepared."""


def main(pipe_fd: str, life_fd: str) -> None:
    """Process batches until the pipe is closed."""
    _end_with_parent(int(life_fd))
    job.in_worker = True
    pipe: Connection[bytes, bytes] = Connection(int(pipe_fd))
    pipe.send_bytes(READY)
    prepared: dict[tuple[str, str], Function] = {}
    try:
        while True:
            function, prepare = pipe.recv_bytes().decode().split("\n")
            batch = pipe.recv_bytes()
            pipe.send_bytes(_work_off(pipe, prepared, (function, prepare), batch))
    except EOFError:
        return


def _end_with_parent(life: int) -> None:
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([life], [], [], 0)[0]:
        sys.exit("the parent is gone")


def _work_off(
    pipe: Connection[bytes, bytes],
    prepared: dict[tuple[str, str], Function],
    names: tuple[str, str],
    batch: bytes,
) -> bytes:
    """Send the results; returns the final message about the batch."""
    try:
        if names not in prepared:
            prepared[names] = _prepared(*names)
        pipe.send_bytes(BEGUN)
        items = pickle.loads(batch)  # noqa: S301 -- from our own parent
        for result in _one_each(prepared[names](items), len(items)):
            pipe.send_bytes(RESULT + pickle.dumps(result))
    except (_DoesNotStart, _NotOneEach) as error:
        return BROKEN + str(error).encode("utf-8", "replace")
    except BaseException as error:
        return FAILED + text_of(error).encode("utf-8", "replace")
    return END


def _prepared(function: str, prepare: str) -> Function:
    try:
        work = find(function)
        if prepare:
            find(prepare)()
    except BaseException as error:
        raise _DoesNotStart(f"it does not start: {text_of(error)}") from error
    return work


def _one_each(results: Any, count: int) -> Iterator[Any]:
    """The results, checked to be one per item."""
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
