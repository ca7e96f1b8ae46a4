"""Small maps whose results are wanted in order: here while they are few, else over the worker processes.

A map over processes must pay: a process imports what the function needs before it is of use, and each
task travels there and back. So tasks are done on the spot at first, and what is left goes to the
processes once the tasks done so far say that it is worth `WORTH_S`. Where a task is done changes nothing
of its result: all have one thread of linear algebra and take all they need as arguments.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from battery_platform.compute import job, pool
from battery_platform.compute.job import find, name_of

R = TypeVar("R")
Task = tuple[Any, ...]
"""The arguments of one call."""

WORTH_S = 1.0
"""CPU seconds of work that are worth the way to the processes; importing takes one as long."""
LIMIT_S = 3600.0
START_S = 120.0


def spread(function: Callable[..., R], tasks: Sequence[Task]) -> Iterator[R]:
    """What a function at the level of its module says of each task, in order.

    An error is the function's own, with its stack: what failed elsewhere is done again here.
    """
    spent = 0.0
    for number, task in enumerate(tasks):
        left = len(tasks) - number
        if left > 1 and number and spent / number * left > WORTH_S and _has_processes():
            yield from _over_processes(function, tasks[number:])
            return
        begun = time.thread_time()
        result = function(*task)
        spent += time.thread_time() - begun
        yield result


def apply_each(calls: Sequence[tuple[str, Task]]) -> Iterator[Any]:
    """What the processes do: call functions by name."""
    for function, task in calls:
        yield find(function)(*task)


def _has_processes() -> bool:
    return not job.in_worker and pool.cores() > 1


def _over_processes(function: Callable[..., R], tasks: Sequence[Task]) -> Iterator[R]:
    name = name_of(function)
    each = job.job(apply_each, None, LIMIT_S, START_S)
    there: dict[int, Any] = {}
    wanted = 0
    for done in pool.run(each, [(name, task) for task in tasks], 1):
        there[done.index] = function(*tasks[done.index]) if done.error else done.result
        while wanted in there:
            yield there.pop(wanted)
            wanted += 1
