"""Small maps with results in order: in this process while tasks are few, otherwise over worker processes.

A map over processes must pay off: a process first imports what the function needs, and each task is sent
there and back. So tasks start in this process, and the remaining ones go to the workers once the time
taken so far suggests that they need more than `WORTH_S`. Where a task runs does not affect its result:
all use one thread of linear algebra and take everything they need as arguments.
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
"""CPU seconds of work that justify using the processes; a process needs as long for its imports."""
LIMIT_S = 3600.0
START_S = 120.0


def spread(function: Callable[..., R], tasks: Sequence[Task]) -> Iterator[R]:
    """The results of a module-level function for all tasks, in order.

    Errors are the function's own, with their stack: a task that failed in a worker is repeated here.
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
    """Call functions by name, in a worker process."""
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
