"""The one way to a heavy map: the same call for local processes and for a cluster."""

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
    """Each item's result or error, exactly once, as it comes and in any order.

    `function` takes a batch and gives one result per item. If it is a generator, a result counts
    from the moment it is yielded: prefer that where items may hang. An item gets `limit_s`, a batch
    that is not yielded item by item gets it times its items. `prepare` is called once in each
    process, to build what is used for all batches; it and the imports get `start_s`. `workers` is
    the most local processes that it has at once. There is one per core, which all maps of this
    process share, whichever thread asks, and which stay for the next map; a cluster has its own.
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
