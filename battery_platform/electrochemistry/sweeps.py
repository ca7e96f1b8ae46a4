"""Sweeps: designs in, rows of the lake out, nothing solved twice.

A row is known by the hash of its design, the assumptions and the code. What the lake has is not
solved again; the others are mapped over processes or a cluster and stored while they come, so that
a sweep that was stopped goes on where it was. A design that fails is a row with its reason.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from battery_platform.compute.batches import map_batches
from battery_platform.compute.job import Function
from battery_platform.store.builds import code_digest
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.products import put

D = TypeVar("D")
Progress = Callable[[int, int], None]
BATCH = 16
LIMIT_S = 60.0
"""A solve takes a tenth of a second; one that needs a minute will not end."""
STORE_EVERY_S = 20.0
COMPILE_FROM = 6000
"""Compiling a model takes about a minute; fewer solves do not pay for it."""
KNOWN_AT_ONCE = 5000


@dataclass(frozen=True)
class Kind(Generic[D]):
    """What a sweep must know of a cell: its table, and how a design becomes a row.

    `solve` and `solve_compiled` are generators over designs, at the level of their module, so that
    another process finds them; `row` takes a name, the design, its result or None, and the error.
    """

    table: str
    key: str
    name: Callable[[D], str]
    check: Callable[[D], None]
    solve: Function
    solve_compiled: Function
    row: Callable[[str, D, Any, str], dict[str, Any]]


def sweep(
    lake: Lakehouse,
    kind: Kind[D],
    designs: Sequence[D],
    progress: Progress = lambda done, total: None,
    compiled: bool | None = None,
) -> list[dict[str, Any]]:
    """A row for each design, in order; refused before any solve if one of them cannot be.

    Unless told, a model is compiled where there are enough designs to pay for it.
    """
    for design in designs:
        kind.check(design)
    names = [kind.name(design) for design in designs]
    rows = stored(lake, kind, names)
    missing = {name: one for name, one in zip(names, designs, strict=True) if name not in rows}
    done = len(set(names)) - len(missing)
    progress(done, done + len(missing))
    if missing:
        pays = len(missing) >= COMPILE_FROM if compiled is None else compiled
        shown: Callable[[int], None] = lambda here: progress(done + here, done + len(missing))  # noqa: E731
        for row in _new(lake, kind, missing, pays, shown):
            rows[row[kind.key]] = row
    return [rows[name] for name in names]


def stored(lake: Lakehouse, kind: Kind[D], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The rows that the lake has, by name."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(names), KNOWN_AT_ONCE):
        some = list(names[start : start + KNOWN_AT_ONCE])
        query = f"SELECT * FROM {kind.table} WHERE {kind.key} IN (SELECT unnest(?))"
        found |= {row[kind.key]: row for row in lake.records(query, [some])}
    return found


def _new(
    lake: Lakehouse,
    kind: Kind[D],
    missing: dict[str, D],
    compiled: bool,
    progress: Callable[[int], None],
) -> Iterator[dict[str, Any]]:
    """Solve, and store every few seconds what has come."""
    names, designs = list(missing), list(missing.values())
    waiting: list[dict[str, Any]] = []
    stored_at = time.monotonic()
    try:
        for done in map_batches(
            kind.solve_compiled if compiled else kind.solve,
            designs,
            settings=lake.settings,
            batch=BATCH,
            limit_s=LIMIT_S,
            progress=lambda here, total: progress(here),
        ):
            row = kind.row(names[done.index], designs[done.index], done.result, done.error)
            waiting.append(row)
            yield row
            if time.monotonic() - stored_at > STORE_EVERY_S:
                put(lake, {kind.table: waiting})
                waiting, stored_at = [], time.monotonic()
    finally:
        if waiting:
            put(lake, {kind.table: waiting})


def name_of(prefix: str, *asked: Any) -> str:
    """The same question has the same name."""
    text = json.dumps(asked, sort_keys=True)
    return f"{prefix}-" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def code_version(folder: str) -> str:
    """Hash of the code that decides what a discharge comes to; assumptions are hashed apart."""
    here = Path(__file__).parent
    shared = [path.stem for path in here.glob("*.py") if path.stem not in _DECISIVE]
    others = [path.name for path in here.iterdir() if path.is_dir() and path.name != folder]
    return code_digest(here, [*shared, *others, "replication"])


_DECISIVE = ("materials", "solving", "expanding")


def curve(time_s: npt.NDArray[np.float64], voltage_v: npt.NDArray[np.float64]) -> dict[str, Any]:
    """The two columns of a curve as text that casts to lists; none where nothing was discharged."""
    if not time_s.size:
        return {"curve_time_s": None, "curve_voltage_v": None}
    return {
        "curve_time_s": json.dumps(time_s.round(2).tolist()),
        "curve_voltage_v": json.dumps(voltage_v.round(5).tolist()),
    }


def curve_of(row: dict[str, Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Seconds and volts of a row that has a curve."""
    times, volts = json.loads(row["curve_time_s"]), json.loads(row["curve_voltage_v"])
    return np.array(times, dtype=float), np.array(volts, dtype=float)
