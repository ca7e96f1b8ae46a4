"""Physics as assets: assumptions, discharges of electrodes and cells, sweeps, published values."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from battery_platform.defs.products import Check, Outcome, Verdict, product_asset, some
from battery_platform.sizes import NIGHTLY, SIZES

if TYPE_CHECKING:
    from battery_platform.store.lakehouse import Lakehouse

GROUP = "electrochemistry"
DESIGN_KEY = dg.AssetKey(["design", "recommended_recipes"])
ASSUMPTIONS_KEY = dg.AssetKey([GROUP, "assumptions"])
DISCHARGES_KEY = dg.AssetKey([GROUP, "half_cell_discharges"])
REPLICATION_KEY = dg.AssetKey([GROUP, "replication_002"])
EFFECTS_KEY = dg.AssetKey([GROUP, "assumption_sweep_002"])
SWEEP_KEY = dg.AssetKey([GROUP, "graded_sweep"])
GRADED_SPACE_KEY = dg.AssetKey([GROUP, "graded_space"])
OPTIMA_KEY = dg.AssetKey([GROUP, "graded_optima"])
HALF_CELL_SWEEP_KEY = dg.AssetKey([GROUP, "half_cell_sweep"])
RAGONE_KEY = dg.AssetKey([GROUP, "ragone_curves"])
CODE = "battery_platform.electrochemistry"
SIMULATIONS = "simulations"
"""Pool of the long sweeps: one of them keeps all worker processes busy, so that they take turns, and
what reads records and builds marts goes on beside them.
"""
HALF_CELL_SOLVES = f"{CODE}.half_cell_runs:solve_batch"
GRADED_SOLVES = f"{CODE}.graded_runs:solve_batch"
REPLICATED = "published_values_are_met"
REACHED = "discharges_reached_the_cut_off"
BRANCHES = "energy_and_power_part_ways_at_the_limit"
INDEPENDENT = "the_best_profiles_hold_at_every_thickness"
RAGONE_UM = 160.0
LIMITS = ("nothing", "electrolyte", "electrons", "particles")
SHOWN = (
    "subject",
    "c_rate",
    "specific_energy_wh_kg",
    "specific_power_w_kg",
    "capacity_mah_g",
    "discharge_time_s",
    "limited_by",
    "ended_by",
    "is_synthetic",
)


def _version(rows: list[dict[str, Any]], key: str) -> str:
    """What a set of discharges rests on: their names hold design, assumptions and code."""
    from battery_platform.made.kept import digest_of

    return digest_of(*sorted(row[key] for row in rows))


def _solved(count: int) -> str:
    return f"{count} new discharges" if count else ""


def _failures(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"{row['subject']}, {row['c_rate']:g}C: {row['reason']}" for row in rows if row["failed"]
    ]


# -- assumptions --------------------------------------------------------------------------


def _assumptions(context: Any, lake: "Lakehouse", config: Any) -> Outcome:
    from battery_platform.electrochemistry.kept_assumptions import keep_assumptions

    kept = keep_assumptions(lake)
    names = ("model", "name", "value", "unit", "low", "high", "reason", "source")
    return Outcome(
        len(kept.rows),
        kept.basis.digest,
        kept.because,
        tables={"assumptions": some(kept.rows, *names)},
    )


assumptions = product_asset(
    ASSUMPTIONS_KEY,
    _assumptions,
    made_by=[f"{CODE}.kept_assumptions:keep_assumptions"],
    description="Every number and choice of the simulations that no data give, with its range, reason and "
    "source.",
)


# -- half cells ---------------------------------------------------------------------------


def _half_cell_discharges(context: Any, lake: "Lakehouse", config: Any) -> Outcome:
    from battery_platform.design.physics import discharge_designs
    from battery_platform.electrochemistry.half_cell_runs import curve_figure

    studied = discharge_designs(lake)
    drawn = [row for row in studied.rows if row["curve_time_s"]]
    failed = _failures(studied.rows)
    return Outcome(
        len(studied.rows),
        _version(studied.rows, "discharge_id"),
        _solved(studied.solved),
        any(row["is_synthetic"] for row in studied.rows),
        tables={"discharges": some(studied.rows, *SHOWN)},
        pictures={"curve": partial(curve_figure, drawn[0])} if drawn else {},
        verdicts={REACHED: Verdict(not failed, "; ".join(failed) or "all reached it")},
    )


half_cell_discharges = product_asset(
    DISCHARGES_KEY,
    _half_cell_discharges,
    made_by=[HALF_CELL_SOLVES, "battery_platform.design.physics:discharge_designs"],
    upstream=[DESIGN_KEY, ASSUMPTIONS_KEY],
    checks=[Check(REACHED, "No solver gave up on a recommended electrode.")],
    description="A 1C discharge to 3.2 V of each recommended electrode against lithium (PyBaMM, DFN), with "
    "energy and power on the electrode's mass.",
)


class HalfCellSweep(dg.Config):
    """Which electrodes are swept, and how."""

    table: str = Field(
        default="",
        description="Table or view of the lake with electrode properties, such as mart_electrodes; "
        "empty for points that fill the space of the six properties.",
    )
    points: int = Field(
        default=SIZES[NIGHTLY].half_cells,
        ge=1,
        le=100_000,
        description="Points of that space; a quarter as many more at loads from C/2 to 11C.",
    )
    c_rate: float = Field(default=1.0, description="Multiple of 1C.")
    lower_v: float = Field(default=3.2, description="Cut-off in volts against lithium.")


def _half_cell_sweep(context: Any, lake: "Lakehouse", config: HalfCellSweep) -> Outcome:
    from battery_platform.electrochemistry.electrode_tables import (
        Electrodes,
        loading_series,
        of_table,
        sweep_space,
    )
    from battery_platform.electrochemistry.half_cell_runs import (
        RATED_SPACE,
        SERIES,
        sweep,
        volcano,
    )
    from battery_platform.electrochemistry.pictures import branches_figure

    many = Electrodes()
    if config.table:
        many = of_table(lake, config.table, [config.c_rate], config.lower_v)
        studied = sweep(lake, [*many.asked, *loading_series()])
    else:
        studied = sweep_space(lake, config.points, config.c_rate, config.lower_v)
    along = [row for row in studied.rows if row["origin"] == SERIES]
    at_loads = [row for row in studied.rows if row["origin"] == RATED_SPACE]
    rows = [row for row in studied.rows if row["origin"] not in (SERIES, RATED_SPACE)]
    shape = volcano(along)
    title = f"{config.c_rate:g}C, {config.table or 'space of six properties'}"
    return Outcome(
        len(rows),
        _version(studied.rows, "discharge_id"),
        _solved(studied.solved),
        any(row["is_synthetic"] for row in rows),
        numbers={
            "failed": sum(row["failed"] for row in rows),
            "left_out": len(many.refused),
            "second_try": sum(row.get("first_failure") is not None for row in rows),
            "at_other_loads": len(at_loads),
            "at_other_loads_failed": sum(row["failed"] for row in at_loads),
            **{f"limited_by_{name}": sum(r["limited_by"] == name for r in rows) for name in LIMITS},
        },
        tables={
            "failures": [
                {"electrode": row["subject"], "reason": row["reason"]}
                for row in rows
                if row["failed"]
            ],
            "left_out_because": [
                {"electrode": name, "reason": reason} for name, reason in many.refused
            ],
            "series": some(along, *SHOWN),
        },
        pictures={
            "picture": partial(branches_figure, rows, title),
            "picture_of_series": partial(branches_figure, along, "Loading from 8 to 40 mg/cm²"),
        },
        verdicts={
            BRANCHES: Verdict(
                shape is not None and shape.stands,
                shape.in_words if shape else "energy has no peak within the series",
            )
        },
    )


half_cell_sweep = product_asset(
    HALF_CELL_SWEEP_KEY,
    _half_cell_sweep,
    pool=SIMULATIONS,
    made_by=[
        HALF_CELL_SOLVES,
        f"{CODE}.electrode_tables:space",
        f"{CODE}.electrode_tables:rated_space",
        f"{CODE}.electrode_tables:loading_series",
        f"{CODE}.electrode_tables:of_table",
    ],
    upstream=[ASSUMPTIONS_KEY],
    checks=[
        Check(
            BRANCHES,
            "Along ever heavier coatings of one structure energy and power rise together up to a peak; "
            "beyond it salt runs out and energy falls while power rises, as paper 000 says.",
        )
    ],
    config=HalfCellSweep,
    description="1C discharges over a table of electrode properties, each labelled by what limits it; unless "
    "a table is named, over points that fill the space of the six properties of paper 000.",
)


def _ragone_curves(context: Any, lake: "Lakehouse", config: Any) -> Outcome:
    from battery_platform.design.physics import ragone_of_designs
    from battery_platform.electrochemistry.pictures import ragone_figure
    from battery_platform.electrochemistry.replications import ragone_002

    cells, electrodes = ragone_002(lake), ragone_of_designs(lake)
    names = ("cell", "c_rate", "specific_energy_wh_kg", "specific_power_w_kg", "ended_by")
    failed = _failures(electrodes.rows) + _failures(cells.rows)
    thick = [row for row in cells.rows if row["positive_thickness_um"] == RAGONE_UM]
    title = f"Paper 002, {RAGONE_UM:g} µm"
    pictures = {"picture_of_cells": partial(ragone_figure, thick, "cell", title)}
    if electrodes.rows:
        title = "Recommended electrodes, 0.2C to 5C"
        draw = partial(ragone_figure, electrodes.rows, "subject", title)
        pictures["picture_of_electrodes"] = draw
    return Outcome(
        len(cells.rows) + len(electrodes.rows),
        _version(cells.rows, "run_id") + _version(electrodes.rows, "discharge_id"),
        _solved(cells.solved + electrodes.solved),
        any(row["is_synthetic"] for row in electrodes.rows),
        numbers={"failed": len(failed), "failures": "; ".join(failed) or "none"},
        tables={
            "electrodes": some(electrodes.rows, *SHOWN),
            "cells": some(cells.rows, *names),
        },
        pictures=pictures,
    )


ragone_curves = product_asset(
    RAGONE_KEY,
    _ragone_curves,
    made_by=[
        HALF_CELL_SOLVES,
        GRADED_SOLVES,
        f"{CODE}.replications:ragone_002",
        "battery_platform.design.physics:ragone_of_designs",
    ],
    upstream=[DISCHARGES_KEY, REPLICATION_KEY],
    description="Energy against power from 0.2C to 5C: the recommended electrodes against lithium, and the "
    "uniform and graded cells of paper 002.",
)


# -- graded cells -------------------------------------------------------------------------


def _replication_002(context: Any, lake: "Lakehouse", config: Any) -> Outcome:
    from battery_platform.electrochemistry.replications import figure, replicated

    kept = replicated(lake, "002")
    missed = [
        f"{row['quantity']}, case {row['case_name']}" for row in kept.rows if not row["passed"]
    ]
    names = ("quantity", "case_name", "paper", "ours", "unit", "deviation_pct", "passed")
    return Outcome(
        len(kept.rows),
        kept.basis.digest,
        kept.because,
        numbers={"missed": len(missed)},
        tables={"comparison": some(kept.rows, *names)},
        pictures={"picture": partial(figure, kept.rows)},
        verdicts={REPLICATED: Verdict(not missed, "; ".join(missed) or "all are met")},
    )


replication_002 = product_asset(
    REPLICATION_KEY,
    _replication_002,
    pool=SIMULATIONS,
    made_by=[f"{CODE}.replications:replicated"],
    checks=[
        Check(
            REPLICATED,
            "Each published value is met within its tolerance, each stated law holds.",
        )
    ],
    description="Table 4 and the statements of Nejati Amiri et al. (Batteries 2024, 10, 336), computed again "
    "beside the paper's numbers (PyBaMM, DFN with graded porosity).",
)


def _assumption_sweep_002(context: Any, lake: "Lakehouse", config: Any) -> Outcome:
    from battery_platform.electrochemistry.effects import effects, figure

    kept = effects(lake)
    names = ("assumption", "end", "value", "unit", "energy_uniform_wh_kg", "energy_graded_wh_kg")
    return Outcome(
        len(kept.rows),
        kept.basis.digest,
        kept.because,
        tables={"effects": some(kept.rows, *names, "gain_pct")},
        pictures={"picture": partial(figure, kept.rows)},
    )


assumption_sweep_002 = product_asset(
    EFFECTS_KEY,
    _assumption_sweep_002,
    pool=SIMULATIONS,
    made_by=[f"{CODE}.effects:effects"],
    description="How far the headline gain of paper 002 moves when one assumption goes to the ends of its "
    "range.",
)

SWEEP_PARTS = {
    f"case{case}_{um:g}um": (case, um)
    for case in (1, 2, 3, 4)
    for um in (120.0, 130.0, 140.0, 150.0, 160.0)
}


def _graded_cells(rows: list[dict[str, Any]], solved: int) -> Outcome:
    failed = [row for row in rows if row["failed"]]
    return Outcome(
        len(rows),
        _version(rows, "run_id"),
        _solved(solved),
        numbers={
            "failed": len(failed),
            "electrolyte_depleted": sum(row["electrolyte_depleted"] for row in rows),
            "second_try": sum(row.get("first_failure") is not None for row in rows),
        },
        tables={"failures": some(failed, "c_rate", "reason")},
    )


def _graded_sweep(context: dg.AssetExecutionContext, lake: "Lakehouse", config: Any) -> Outcome:
    from battery_platform.electrochemistry.graded_runs import paper_designs, sweep

    designs = paper_designs(*SWEEP_PARTS[context.partition_key])
    # One partition is too small for a compiler; all of them are not, and share what is compiled.
    studied = sweep(lake, designs, compiled=True)
    return _graded_cells(studied.rows, studied.solved)


graded_sweep = product_asset(
    SWEEP_KEY,
    _graded_sweep,
    pool=SIMULATIONS,
    made_by=[GRADED_SOLVES, f"{CODE}.graded_runs:paper_designs"],
    partitions=dg.StaticPartitionsDefinition(list(SWEEP_PARTS)),
    description="The 12,100 discharges of paper 002: 11 x 11 profiles at 1C to 5C, one partition for each "
    "case and thickness. What the lake has is not solved again.",
)


class GradedSpace(dg.Config):
    """How many cells with profiles of their own are simulated."""

    points: int = Field(
        default=SIZES[NIGHTLY].graded_cells,
        ge=64,
        le=100_000,
        description="Cells, each a fresh pair.",
    )


def _graded_space(context: Any, lake: "Lakehouse", config: GradedSpace) -> Outcome:
    from battery_platform.electrochemistry.graded_runs import sweep_space
    from battery_platform.electrochemistry.pictures import space_figure

    studied = sweep_space(lake, config.points)
    outcome = _graded_cells(studied.rows, studied.solved)
    return replace(outcome, pictures={"picture": partial(space_figure, studied.rows)})


graded_space = product_asset(
    GRADED_SPACE_KEY,
    _graded_space,
    pool=SIMULATIONS,
    made_by=[GRADED_SOLVES, f"{CODE}.graded_runs:diverse_designs"],
    upstream=[ASSUMPTIONS_KEY],
    config=GradedSpace,
    description="Discharges of graded cells that fill the space around those of paper 002, a fresh pair of "
    "profiles each: what `graded-energy` learns from. What the lake has is not solved again.",
)


def _graded_optima(context: Any, lake: "Lakehouse", config: Any) -> Outcome:
    from battery_platform.electrochemistry.optima import depends_on_thickness, rank

    kept = rank(lake, SWEEP_PARTS)
    dependent = depends_on_thickness(kept.rows)
    names = ("part", "place", "gain_sum_wh_kg", "gain_5c_pct", "place_at_160_um")
    more = ("share_of_best_at_160_um", "n_pairs")
    holds = f"holds for {len(kept.rows) // 3} parts"
    return Outcome(
        len(kept.rows),
        kept.basis.digest,
        kept.because,
        numbers={"parts": len({row["part"] for row in kept.rows})},
        tables={"optima": some(kept.rows, *names, *more)},
        verdicts={INDEPENDENT: Verdict(not dependent, "; ".join(dependent) or holds)},
    )


graded_optima = product_asset(
    OPTIMA_KEY,
    _graded_optima,
    made_by=[f"{CODE}.optima:rank"],
    upstream=[SWEEP_KEY],
    checks=[
        Check(
            INDEPENDENT,
            "Paper 002: the best pair of profiles does not depend on the thickness. Passes where the best "
            "pair of each thickness is among the best three at 160 µm.",
        )
    ],
    description="The best three pairs of profiles of each case and thickness, by their gains over the uniform "
    "cell summed over 1C to 5C; of the parts of the sweep that are there.",
)


ASSETS = [
    assumptions,
    half_cell_discharges,
    half_cell_sweep,
    ragone_curves,
    replication_002,
    assumption_sweep_002,
    graded_sweep,
    graded_space,
    graded_optima,
]
