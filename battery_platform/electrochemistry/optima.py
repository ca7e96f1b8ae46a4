"""The best graded cells of the sweep, ranked as in paper 002, and whether the ranking depends on thickness.

A pair of profiles is scored by its gains over the uniform cell, summed over 1C to 5C. The paper says
that the best pair does not depend on the thickness; here this is checked, not assumed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from battery_platform.electrochemistry.assumptions import digest
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.profiles import uniform
from battery_platform.electrochemistry.graded.replication import CASES
from battery_platform.electrochemistry.graded_runs import (
    SWEPT_RATES,
    paper_designs,
    run_id,
)
from battery_platform.made.fingerprint import fingerprint
from battery_platform.made.kept import Basis, Kept, Made, digest_of, now, unless_same
from battery_platform.made.products import made_from
from battery_platform.store.lakehouse import Lakehouse

KEPT = 3
REFERENCE_UM = 160.0
PAIR = ["positive_profile", "negative_profile"]


Parts = dict[str, tuple[int, float]]
"""Case and thickness of each part of the sweep, by name."""


def rank(lake: Lakehouse, parts: Parts) -> Kept:
    """The three best pairs of each part that was swept completely; stored in the lake."""
    swept = {name: part for name, part in parts.items() if _is_swept(lake, *part)}
    basis = Basis(fingerprint(rank), digest(GRADED), digest_of(*sorted(swept)))
    return unless_same(
        lake, "graded_optima", {"part": list(parts)}, basis, lambda: _made(lake, swept, basis)
    )


def _made(lake: Lakehouse, parts: Parts, basis: Basis) -> Made:
    rows = _ranked(lake, parts, basis)
    parents = [
        link
        for name in dict.fromkeys(row["part"] for row in rows)
        for link in made_from(
            "graded optimum",
            f"optima/{name}",
            "graded discharge",
            [run_id(design) for design in paper_designs(*parts[name])],
        )
    ]
    return Made(
        {"graded_optima": rows, "made_from": parents},
        {"made_from": {"child_kind": ["graded optimum"]}},
    )


def _ranked(lake: Lakehouse, parts: Parts, basis: Basis) -> list[dict[str, Any]]:
    scores = {name: scored(lake, *part) for name, part in parts.items()}
    rows = []
    for name, (case, thickness) in parts.items():
        reference = next(
            (scores[other] for other, part in parts.items() if part == (case, REFERENCE_UM)), None
        )
        if scores[name].is_empty() or reference is None or reference.is_empty():
            continue
        places = {
            (pair["positive_profile"], pair["negative_profile"]): (place, pair["gain_sum_wh_kg"])
            for place, pair in enumerate(reference.iter_rows(named=True), start=1)
        }
        best = reference["gain_sum_wh_kg"][0]
        for place, pair in enumerate(scores[name].head(KEPT).iter_rows(named=True), start=1):
            profiles = pair["positive_profile"], pair["negative_profile"]
            if profiles not in places:
                continue  # a discharge of it failed at 160 µm
            place_at_160, gain_at_160 = places[profiles]
            rows.append(
                {
                    "part": name,
                    "case_number": case,
                    "positive_thickness_um": thickness,
                    "place": place,
                    **pair,
                    "place_at_160_um": place_at_160,
                    "share_of_best_at_160_um": gain_at_160 / best if best else None,
                    "n_pairs": scores[name].height,
                    "code_version": basis.code,
                    "assumptions_hash": basis.parameters,
                    "made_at": now(),
                }
            )
    return rows


def _is_swept(lake: Lakehouse, case: int, positive_um: float) -> bool:
    """Whether the lake has all discharges of a part of the sweep."""
    names = [run_id(design) for design in paper_designs(case, positive_um)]
    there = lake.value(
        "SELECT count(*) FROM graded_discharges WHERE run_id IN (SELECT unnest(?))", [names]
    )
    return bool(there == len(names))


def scored(lake: Lakehouse, case: int, positive_um: float) -> pl.DataFrame:
    """All pairs of a completely swept part with their summed gains, the best first."""
    names = [run_id(design) for design in paper_designs(case, positive_um)]
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
        .filter(pl.col("rates") == len(SWEPT_RATES))
        .drop("rates")
        .sort(["gain_sum_wh_kg", *PAIR], descending=[True, False, False])
    )


def depends_on_thickness(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Parts whose best pair is not among the best three at 160 µm, in sentences."""
    return [
        f"{row['part']}: its best pair is no. {row['place_at_160_um']} of {row['n_pairs']} at 160 µm, "
        f"with {row['share_of_best_at_160_um']:.0%} of the best one's gain there"
        for row in rows
        if row["place"] == 1 and row["place_at_160_um"] > KEPT
    ]
