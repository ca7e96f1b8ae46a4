"""Discharges of graded cells as rows, and the designs that are swept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from battery_platform.electrochemistry.assumptions import Assumptions, digest
from battery_platform.electrochemistry.curves import curve
from battery_platform.electrochemistry.graded import cell
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.cell import Design, Result
from battery_platform.electrochemistry.graded.profiles import random_profiles, uniform
from battery_platform.electrochemistry.graded.replication import CASES
from battery_platform.electrochemistry.solving import (
    BATCH,
    COMPILE_FROM,
    LIMIT_S,
    Settings,
)
from battery_platform.made.fingerprint import fingerprint
from battery_platform.made.kept import digest_of, now
from battery_platform.made.remembered import recall, remember
from battery_platform.made.studies import (
    Progress,
    Studied,
    Study,
    missing_of,
    name_of,
    silent,
    study,
    unless_missing,
)
from battery_platform.store.lakehouse import Lakehouse

PROFILES = 10
SWEPT_RATES = (1.0, 2.0, 3.0, 4.0, 5.0)
DIVERSE_BOUNDS = {
    "positive_mean": (0.63, 0.72),
    "negative_mean": (0.63, 0.72),
    "positive_thickness_um": (105.0, 175.0),
    "c_rate": (0.8, 5.2),
}
UNIFORM_SHARE = 0.1
"""Share of uniform profiles among diverse cells, as every comparison starts from a uniform electrode."""


def graded_code() -> str:
    """Hash of the code that decides the result of a discharge."""
    return fingerprint(solve_batch, _row)


def run_id(design: Design) -> str:
    """An identifier; the same cell, load, assumptions and code have the same one."""
    return name_of("graded", asdict(design), digest(GRADED), graded_code())


def solve_batch(designs: Sequence[Design]) -> Iterator[Result]:
    """Solve in a worker process, one result at a time, so that a failure does not lose earlier results."""
    for design in designs:
        yield cell.solve([design])[0]


def solve_batch_compiled(designs: Sequence[Design]) -> Iterator[Result]:
    """The same on a compiled model."""
    for design in designs:
        yield cell.solve([design], compiled=True)[0]


def sweep(
    lake: Lakehouse,
    designs: Sequence[Design],
    progress: Progress = silent,
    compiled: bool | None = None,
) -> Studied:
    """A row for each design, in order; by default the model is compiled where that pays off."""
    if compiled is None:
        compiled = missing_of(lake, GRADED_CELLS, designs) >= COMPILE_FROM
    plan = replace(GRADED_CELLS, solve=solve_batch_compiled) if compiled else GRADED_CELLS
    return study(lake, plan, designs, progress)


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
        "code_version": graded_code(),
        "made_at": now(),
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
        **curve(result.time_s, result.voltage_v),
    }


def _layers(layers: Any) -> str | None:
    return None if layers is None else json.dumps([asdict(layer) for layer in layers])


GRADED_CELLS: Study[Design] = Study(
    "graded_discharges", "run_id", run_id, cell.check_graded_cell, solve_batch, _row, BATCH, LIMIT_S
)


def paper_designs(case: int, positive_um: float) -> list[Design]:
    """The cells of paper 002 for one case and thickness: 11 x 11 profiles at 1C to 5C.

    Ten graded profiles per electrode are drawn with a seed, as the paper prints only its best ones.
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


def diverse_designs(count: int, seed: int = 20260101) -> list[Design]:
    """Cells that evenly fill the space around those of paper 002, each with its own pair of profiles.

    A surrogate learns more from many different profiles than from a few at every thickness and rate.
    """
    from scipy.stats import qmc

    low, high = zip(*DIVERSE_BOUNDS.values(), strict=True)
    drawn = qmc.Sobol(len(DIVERSE_BOUNDS), rng=seed).random_base2(max(count - 1, 1).bit_length())
    uniforms = np.random.default_rng(seed).random((count, 2)) < UNIFORM_SHARE
    designs = []
    for number, point in enumerate(qmc.scale(drawn, low, high)[:count].tolist()):
        at = dict(zip(DIVERSE_BOUNDS, point, strict=True))
        positive, negative = (
            uniform(at[name])
            if uniforms[number, side]
            else random_profiles(at[name], 1, seed + 2 * number + side)[0]
            for side, name in enumerate(("positive_mean", "negative_mean"))
        )
        means = at["positive_mean"], at["negative_mean"]
        designs.append(
            Design(positive, negative, *means, at["positive_thickness_um"], at["c_rate"])
        )
    return designs


def sweep_space(lake: Lakehouse, count: int) -> Studied:
    """A row for each of the diverse designs, which are made only where a row is missing."""
    digest_now = digest_of(fingerprint(diverse_designs, run_id), graded_code(), digest(GRADED))
    title = f"graded space of {count}"
    names = recall(lake.settings, title, digest_now)
    there = unless_missing(lake, GRADED_CELLS, names) if names else None
    if there is not None:
        return there
    studied = sweep(lake, diverse_designs(count))
    remember(lake.settings, title, digest_now, [row["run_id"] for row in studied.rows])
    return studied


def unsolved(design: Design) -> Result:
    """Placeholder for a discharge that has not been solved yet."""
    return restored(_row("", design, None, "not solved yet"), design)


def restored(row: dict[str, Any], design: Design, assumptions: Assumptions = GRADED) -> Result:
    """The result of a stored discharge, without its curve."""
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
