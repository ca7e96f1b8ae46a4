"""The best graded cells of the sweep, as paper 002 ranks them, and whether thickness matters to it.

A pair of profiles is scored by its gains over the uniform cell, summed over 1C to 5C. The paper says
that the best pair does not depend on the thickness; here that is looked up, not assumed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from battery_platform.electrochemistry.assumptions import digest
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.profiles import uniform
from battery_platform.electrochemistry.graded.replication import CASES
from battery_platform.electrochemistry.graded_runs import (
    SWEPT_RATES,
    code_version,
    paper_designs,
    run_id,
)
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.products import put

KEPT = 3
REFERENCE_UM = 160.0
PAIR = ["positive_profile", "negative_profile"]


def rank(lake: Lakehouse, parts: dict[str, tuple[int, float]]) -> list[dict[str, Any]]:
    """The three best pairs of each part that was swept as a whole; kept in the lake."""
    scores = {name: scored(lake, *part) for name, part in parts.items()}
    rows = []
    for name, (case, thickness) in parts.items():
        reference = next(
            scores[other] for other, part in parts.items() if part == (case, REFERENCE_UM)
        )
        if scores[name].is_empty() or reference.is_empty():
            continue
        there = {
            (one["positive_profile"], one["negative_profile"]): (place, one["gain_sum_wh_kg"])
            for place, one in enumerate(reference.iter_rows(named=True), start=1)
        }
        best = reference["gain_sum_wh_kg"][0]
        for place, one in enumerate(scores[name].head(KEPT).iter_rows(named=True), start=1):
            pair = one["positive_profile"], one["negative_profile"]
            if pair not in there:
                continue  # a discharge of it failed at 160 µm
            place_there, gain_there = there[pair]
            rows.append(
                {
                    "part": name,
                    "case_number": case,
                    "positive_thickness_um": thickness,
                    "place": place,
                    **one,
                    "place_at_160_um": place_there,
                    "share_of_best_at_160_um": gain_there / best if best else None,
                    "n_pairs": scores[name].height,
                    "code_version": code_version(),
                    "assumptions_hash": digest(GRADED),
                    "made_at": datetime.now(UTC).replace(tzinfo=None),
                }
            )
    known = lake.records("SELECT * FROM graded_optima ORDER BY part, place")
    if _same(known, rows):
        return known
    put(lake, {"graded_optima": rows}, instead_of={"graded_optima": ("part", list(parts))})
    return rows


def scored(lake: Lakehouse, case: int, positive_um: float) -> pl.DataFrame:
    """All pairs of one part with their sum of gains, the best first; empty until it is swept whole."""
    designs = paper_designs(case, positive_um)
    names = [run_id(design) for design in designs]
    there = lake.value(
        "SELECT count(*) FROM graded_discharges WHERE run_id IN (SELECT unnest(?))", [names]
    )
    with lake.cursor() as cursor:
        frame = cursor.execute(
            """SELECT positive_profile, negative_profile, c_rate, specific_energy_wh_kg AS energy
               FROM graded_discharges WHERE NOT failed AND run_id IN (SELECT unnest(?))""",
            [names],
        ).pl()
    flat = {
        name: json.dumps(uniform(mean).points) for name, mean in zip(PAIR, CASES[case], strict=True)
    }
    base = frame.filter(
        (pl.col(PAIR[0]) == flat[PAIR[0]]) & (pl.col(PAIR[1]) == flat[PAIR[1]])
    ).select("c_rate", pl.col("energy").alias("base"))
    gains = frame.join(base, on="c_rate").with_columns(gain=pl.col("energy") - pl.col("base"))
    at_5c = pl.col("c_rate") == SWEPT_RATES[-1]
    return (
        gains.group_by(PAIR)
        .agg(
            pl.len().alias("rates"),
            pl.col("gain").sum().alias("gain_sum_wh_kg"),
            (100 * pl.col("gain").filter(at_5c) / pl.col("base").filter(at_5c))
            .first()
            .alias("gain_5c_pct"),
        )
        .filter((pl.col("rates") == len(SWEPT_RATES)) & (there == len(designs)))
        .drop("rates")
        .sort(["gain_sum_wh_kg", *PAIR], descending=[True, False, False])
    )


def depends_on_thickness(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Where the best pair is not among the best three at 160 µm."""
    return [
        f"{row['part']}: its best pair is no. {row['place_at_160_um']} of {row['n_pairs']} at 160 µm, "
        f"with {row['share_of_best_at_160_um']:.0%} of the best one's gain there"
        for row in rows
        if row["place"] == 1 and row["place_at_160_um"] > KEPT
    ]


def _same(known: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> bool:
    def shown(some: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
        names = ("part", "place", *PAIR, "gain_sum_wh_kg", "n_pairs", "code_version")
        return sorted(tuple(row[name] for name in names) for row in some)

    return shown(known) == shown(rows)
