"""Studies: designs in, rows of the lake out, nothing solved twice.

A row is named by the hash of its design and of all that decides its result. What the lake has is not
solved again; the others are mapped over processes or a cluster and stored while they come, so that a
study that was stopped goes on where it was. A design that fails is a row with its reason.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from battery_platform.compute.batches import map_batches
from battery_platform.compute.job import Function
from battery_platform.made.products import put
from battery_platform.store.lakehouse import Lakehouse, sql_name

D = TypeVar("D")
Progress = Callable[[int, int], None]
STORE_EVERY_S = 20.0
KNOWN_AT_ONCE = 5000


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Study(Generic[D]):
    """What a study must know of its designs: how they are named, checked, solved and put into rows.

    `solve` is a generator over designs at the level of its module, so that another process finds it.
    `row` takes a name, the design, its result or None, and the error.
    """

    table: str
    key: str
    name: Callable[[D], str]
    check: Callable[[D], None]
    solve: Function
    row: Callable[[str, D, Any, str], dict[str, Any]]
    batch: int
    limit_s: float
    """Longest time of one design, after which it is given up as a failure."""


@dataclass(frozen=True, eq=False)
class Studied:
    """A row for each design, in order, and how many of them were solved just now."""

    rows: list[dict[str, Any]]
    solved: int


def study(
    lake: Lakehouse, plan: Study[D], designs: Sequence[D], progress: Progress = silent
) -> Studied:
    """A row for each design; all are refused before any solve if one of them cannot be."""
    for design in designs:
        plan.check(design)
    names = [plan.name(design) for design in designs]
    rows = stored(lake, plan, names)
    missing = {
        name: design for name, design in zip(names, designs, strict=True) if name not in rows
    }
    known = len(set(names)) - len(missing)
    progress(known, known + len(missing))
    if missing:
        for solved, row in enumerate(_solve(lake, plan, missing), start=1):
            rows[row[plan.key]] = row
            progress(known + solved, known + len(missing))
    return Studied([rows[name] for name in names], len(missing))


def unless_missing(lake: Lakehouse, plan: Study[D], names: Sequence[str]) -> Studied | None:
    """The rows of these names, if the lake has all of them: then their designs need not be made."""
    rows = stored(lake, plan, names)
    return Studied([rows[name] for name in names], 0) if all(n in rows for n in names) else None


def stored(lake: Lakehouse, plan: Study[D], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The rows that the lake has, by name."""
    rows: dict[str, dict[str, Any]] = {}
    for start in range(0, len(names), KNOWN_AT_ONCE):
        some = list(names[start : start + KNOWN_AT_ONCE])
        query = f"SELECT * FROM {sql_name(plan.table)} WHERE {plan.key} IN (SELECT unnest(?))"
        rows |= {row[plan.key]: row for row in lake.records(query, [some])}
    return rows


def missing_of(lake: Lakehouse, plan: Study[D], designs: Sequence[D]) -> int:
    """How many different designs would have to be solved."""
    names = {plan.name(design) for design in designs}
    return len(names) - len(stored(lake, plan, list(names)))


def _solve(lake: Lakehouse, plan: Study[D], missing: dict[str, D]) -> Iterator[dict[str, Any]]:
    """Solve, and store every few seconds what has come."""
    names, designs = list(missing), list(missing.values())
    waiting: list[dict[str, Any]] = []
    stored_at = time.monotonic()
    try:
        for done in map_batches(
            plan.solve, designs, settings=lake.settings, batch=plan.batch, limit_s=plan.limit_s
        ):
            row = plan.row(names[done.index], designs[done.index], done.result, done.error)
            waiting.append(row)
            yield row
            if time.monotonic() - stored_at > STORE_EVERY_S:
                put(lake, {plan.table: waiting})
                waiting, stored_at = [], time.monotonic()
    finally:
        if waiting:
            put(lake, {plan.table: waiting})


def name_of(prefix: str, *asked: Any) -> str:
    """The same question has the same name."""
    text = json.dumps(asked, sort_keys=True)
    return f"{prefix}-" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
