"""How fast a million graded cells are asked about: the registered network beside the paper's size.

Speed does not depend on what a network learnt: both are fitted for a few steps to random profiles. The
peer is paper 002's 2 x 1,024 sigmoids, answered by the same code; the paper itself states two minutes
for 2,500 designs.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from benchmarks.measure import Result

ASKED, STREAMED, CHUNK = 62_500, 10_000_000, 250_000
SECONDS, STREAM_SECONDS, GROWTH_MIB = 0.2, 30.0, 64


def run() -> Iterator[Result]:
    """Seconds for 62,500 designs and for ten million in chunks, and what memory grew by."""
    from threadpoolctl import threadpool_limits

    from battery_platform.models import networks
    from battery_platform.models.rows import Rows
    from battery_platform.models.served.surrogate import predict_rows
    from battery_platform.models.specification import MODELS

    model = MODELS["graded-energy"]
    designs = _designs(ASKED)
    some = designs[:1024]
    target = 150 + 20 * some[:, 0] - 10 * some[:, 23]
    names = np.array([f"{number}" for number in range(len(some))])
    rows = Rows(some, target, names, np.arange(len(some)))
    with threadpool_limits(1), patch.multiple(networks, STEPS=50, WIDE_STEPS=5):
        ours, paper = (fit(model, rows) for fit in (networks.fit_small, networks.fit_wide))
    frame = pd.DataFrame(designs, columns=list(model.inputs))

    def seconds(state: dict[str, Any]) -> float:
        taken = []
        for _ in range(3):
            started = time.perf_counter()
            predict_rows(state, frame)
            taken.append(time.perf_counter() - started)
        return min(taken)

    own, theirs = seconds(ours), seconds(paper)
    said = f"{ASKED:,} graded designs with interval and domain"
    yield Result(f"{said}, seconds", own, SECONDS, False)
    yield Result(f"{said}, times as fast as the paper's network", theirs / own, 1.0, True)
    chunk = pd.DataFrame(_designs(CHUNK), columns=list(model.inputs))
    predict_rows(ours, chunk)
    before = _peak_mib()
    started = time.perf_counter()
    for _ in range(STREAMED // CHUNK):
        predict_rows(ours, chunk)
    taken = time.perf_counter() - started
    yield Result(f"{STREAMED:,} designs streamed, seconds", taken, STREAM_SECONDS, False)
    yield Result("MiB that memory grew by meanwhile", _peak_mib() - before, GROWTH_MIB, False)


def _designs(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    profiles = np.sort(random.uniform(0.3, 0.8, (2, count, 10)), axis=2)
    rest = np.column_stack(
        [
            *(one.mean(axis=1) for one in profiles),
            random.uniform(120, 160, count),
            random.uniform(1, 5, count),
        ]
    )
    return np.hstack([*profiles, rest])


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
