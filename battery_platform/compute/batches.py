"""Heavy maps, with the same call for local processes and for a cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeVar

from battery_platform.compute import cluster, pool
from battery_platform.compute.job import Done, job
from battery_platform.settings import Settings

T = TypeVar("T")
R = TypeVar("R")
Progress = Callable[[int, int], None]


def map_batches(
    function: Callable[[Sequence[T]], Iterable[R]],
    items: Sequence[T],
    *,
    settings: Settings,
    batch: int,
    limit_s: float,
    start_s: float = 120.0,
    prepare: Callable[[], object] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Generator[Done[R], None, None]:
    """The result or error of each item, exactly once, as it becomes available and in any order.

    `function` takes a batch and returns one result per item. If it is a generator, a result counts as
    soon as it is yielded; prefer this where items may hang. Each item is allowed `limit_s`; a batch
    that is not yielded item by item is allowed that time per item. `prepare` is called once in each
    process, to build what all batches use; it and the imports are allowed `start_s`. `workers` limits the
    local processes used at once. There is one process per core, shared by all maps and threads of this
    process and kept for the next map; a cluster has its own.
    """
    if batch < 1 or limit_s <= 0 or (workers is not None and workers < 1):
        raise ValueError("batch and workers must be at least 1, limit_s above 0")
    wanted = job(function, prepare, limit_s, start_s)
    if settings.dask:
        done = cluster.run(settings.dask, wanted, items, batch)
    else:
        done = pool.run(wanted, items, batch, workers)
    return _counted(done, len(items), progress)


def _counted(
    source: Generator[Done[Any], None, None], total: int, progress: Progress | None
) -> Generator[Done[Any], None, None]:
    try:
        for count, done in enumerate(source, 1):
            if progress:
                progress(count, total)
            yield done
    finally:
        source.close()
