"""Sweeps over graded cells: designs in, rows of the lake out, nothing solved twice.

A row is known by the hash of its design, the assumptions and the code. What the lake has is not
solved again; the others are mapped over processes or a cluster and stored while they come, so that
a sweep that was stopped goes on where it was. A design that fails is a row with its reason.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from battery_platform.compute.batches import map_batches
from battery_platform.electrochemistry.assumptions import Assumptions, digest
from battery_platform.electrochemistry.graded import cell
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.cell import Design, Result, Settings
from battery_platform.electrochemistry.graded.profiles import random_profiles, uniform
from battery_platform.electrochemistry.graded.replication import CASES
from battery_platform.store.builds import code_digest
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.products import put

Progress = Callable[[int, int], None]
BATCH = 16
LIMIT_S = 60.0
"""A solve takes a tenth of a second; one that needs a minute will not end."""
STORE_EVERY_S = 20.0
COMPILE_FROM = 1000
"""Compiling the model takes about a minute; fewer solves do not pay for it."""
KNOWN_AT_ONCE = 5000
PROFILES = 10
SWEPT_RATES = (1.0, 2.0, 3.0, 4.0, 5.0)


@lru_cache(maxsize=1)
def code_version() -> str:
    """Hash of the code that decides what a discharge comes to."""
    return code_digest(Path(__file__).parent / "graded", ["replication"])


def run_id(design: Design, assumptions_hash: str) -> str:
    """The same cell, load, assumptions and code have the same name."""
    text = json.dumps([asdict(design), assumptions_hash, code_version()], sort_keys=True)
    return "graded-" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def solve_batch(designs: Sequence[Design]) -> Iterator[Result]:
    """What a process of the map does: one result at a time, so that none is lost with the next."""
    for design in designs:
        yield cell.solve([design])[0]


def solve_batch_compiled(designs: Sequence[Design]) -> Iterator[Result]:
    """The same on a compiled model."""
    for design in designs:
        yield cell.solve([design], compiled=True)[0]


def sweep(
    lake: Lakehouse, designs: Sequence[Design], progress: Progress = lambda done, total: None
) -> list[dict[str, Any]]:
    """A row for each design, in order; refused before any solve if one of them cannot be."""
    for design in designs:
        cell.check(design)
    wanted = digest(GRADED)
    names = [run_id(design, wanted) for design in designs]
    rows = _stored(lake, names)
    missing = {name: one for name, one in zip(names, designs, strict=True) if name not in rows}
    done = len(set(names)) - len(missing)
    progress(done, done + len(missing))
    for row in _new(lake, missing, lambda here: progress(done + here, done + len(missing))):
        rows[row["run_id"]] = row
    return [rows[name] for name in names]


def _stored(lake: Lakehouse, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(names), KNOWN_AT_ONCE):
        some = list(names[start : start + KNOWN_AT_ONCE])
        query = "SELECT * FROM graded_discharges WHERE run_id IN (SELECT unnest(?))"
        found |= {row["run_id"]: row for row in lake.records(query, [some])}
    return found


def _new(
    lake: Lakehouse, missing: dict[str, Design], progress: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    """Solve, and store every few seconds what has come."""
    if not missing:
        return
    names, designs = list(missing), list(missing.values())
    waiting: list[dict[str, Any]] = []
    stored_at = time.monotonic()
    function = solve_batch_compiled if len(designs) >= COMPILE_FROM else solve_batch
    try:
        for done in map_batches(
            function,
            designs,
            settings=lake.settings,
            batch=BATCH,
            limit_s=LIMIT_S,
            progress=lambda here, total: progress(here),
        ):
            row = _row(names[done.index], designs[done.index], done.result, done.error)
            waiting.append(row)
            yield row
            if time.monotonic() - stored_at > STORE_EVERY_S:
                put(lake, {"graded_discharges": waiting})
                waiting, stored_at = [], time.monotonic()
    finally:
        if waiting:
            put(lake, {"graded_discharges": waiting})


def _row(name: str, design: Design, result: Result | None, error: str) -> dict[str, Any]:
    common = {
        "run_id": name,
        "positive_mean": design.positive_mean,
        "negative_mean": design.negative_mean,
        "positive_profile": json.dumps(design.positive.points),
        "negative_profile": json.dumps(design.negative.points),
        "positive_layers": _layers(design.positive_layers),
        "negative_layers": _layers(design.negative_layers),
        "positive_direction": design.positive_direction,
        "negative_direction": design.negative_direction,
        "positive_thickness_um": float(design.positive_um),
        "c_rate": float(design.c_rate),
        "lower_cutoff_v": float(design.lower_v),
        "assumptions_hash": digest(GRADED),
        "code_version": code_version(),
        "made_at": datetime.now(UTC).replace(tzinfo=None),
    }
    if result is None:
        return common | {
            "ended_by": "stopped",
            "electrolyte_depleted": False,
            "failed": True,
            "reason": error,
            "solver": json.dumps(asdict(Settings())),
            "solve_s": LIMIT_S,
        }
    return common | {
        "negative_thickness_um": result.sizing.negative_um if result.sizing else None,
        "specific_energy_wh_kg": result.energy_wh_kg,
        "specific_power_w_kg": result.power_w_kg,
        "areal_capacity_mah_cm2": result.capacity_mah_cm2,
        "temperature_rise_k": result.temperature_rise_k,
        "discharge_time_s": result.discharge_time_s,
        "ended_by": result.ended_by,
        "electrolyte_depleted": result.depleted,
        "failed": result.failed,
        "reason": result.reason,
        "first_failure": result.first_failure,
        "solver": json.dumps(asdict(result.settings)),
        "solve_s": result.seconds,
    }


def _layers(layers: Any) -> str | None:
    return None if layers is None else json.dumps([asdict(one) for one in layers])


def paper_designs(case: int, positive_um: float) -> list[Design]:
    """The cells of paper 002 for one case and thickness: 11 x 11 profiles at 1C to 5C.

    Ten graded profiles per electrode are drawn with a seed, for the paper prints only its best.
    """
    positive_mean, negative_mean = CASES[case]
    positives = [uniform(positive_mean), *random_profiles(positive_mean, PROFILES, seed=case)]
    negatives = [uniform(negative_mean), *random_profiles(negative_mean, PROFILES, seed=10 + case)]
    return [
        Design(positive, negative, positive_mean, negative_mean, positive_um, rate)
        for positive in positives
        for negative in negatives
        for rate in SWEPT_RATES
    ]


def unsolved(design: Design) -> Result:
    """What stands for a discharge that is asked for and not there yet."""
    return restored(_row("", design, None, "not solved yet"), design)


def restored(row: dict[str, Any], design: Design, assumptions: Assumptions = GRADED) -> Result:
    """A stored discharge as the result that it came from, without its curve."""
    nothing = np.array([])
    return Result(
        design=design,
        sizing=None,
        energy_wh_kg=row.get("specific_energy_wh_kg"),
        power_w_kg=row.get("specific_power_w_kg"),
        capacity_mah_cm2=row.get("areal_capacity_mah_cm2"),
        temperature_rise_k=row.get("temperature_rise_k"),
        discharge_time_s=row.get("discharge_time_s"),
        time_s=nothing,
        voltage_v=nothing,
        ended_by=row["ended_by"],
        depleted=row["electrolyte_depleted"],
        failed=row["failed"],
        reason=row["reason"],
        first_failure=row.get("first_failure"),
        settings=Settings(**json.loads(row["solver"])),
        seconds=row["solve_s"],
        assumptions_digest=digest(assumptions),
    )
