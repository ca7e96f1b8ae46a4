"""Physics as assets: assumptions, discharges of electrodes and cells, sweeps, published values."""

from typing import Any

import dagster as dg
from pydantic import Field

from battery_platform.defs.design import DESIGN_KEY
from battery_platform.defs.metadata import OWNERS, markdown_table, picture
from battery_platform.defs.resources import LakehouseResource

GROUP = "electrochemistry"
ASSUMPTIONS_KEY = dg.AssetKey([GROUP, "assumptions"])
DISCHARGES_KEY = dg.AssetKey([GROUP, "half_cell_discharges"])
REPLICATION_KEY = dg.AssetKey([GROUP, "replication_002"])
EFFECTS_KEY = dg.AssetKey([GROUP, "assumption_sweep_002"])
SWEEP_KEY = dg.AssetKey([GROUP, "graded_sweep"])
GRADED_SPACE_KEY = dg.AssetKey([GROUP, "graded_space"])
OPTIMA_KEY = dg.AssetKey([GROUP, "graded_optima"])
HALF_CELL_SWEEP_KEY = dg.AssetKey([GROUP, "half_cell_sweep"])
RAGONE_KEY = dg.AssetKey([GROUP, "ragone_curves"])
REPLICATED = "published_values_are_met"
REACHED = "discharges_reached_the_cut_off"
BRANCHES = "energy_and_power_part_ways_at_the_limit"
INDEPENDENT = "the_best_profiles_hold_at_every_thickness"
RAGONE_UM = 160.0


@dg.asset(
    key=ASSUMPTIONS_KEY,
    group_name=GROUP,
    kinds={"ducklake"},
    owners=OWNERS,
    code_version="1",
    description="Every number and choice of the half cell that no data give, with its range, "
    "reason and source.",
)
def assumptions(lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Keep the lake's table in step with the code."""
    from battery_platform.electrochemistry.kept_assumptions import keep_assumptions

    lake = lakehouse.lake()
    changed = keep_assumptions(lake)
    rows = lake.records(
        "SELECT model, name, value, unit, low, high, reason, source FROM assumptions ORDER BY model DESC, name"
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "changed": changed,
            "snapshot": lake.snapshot(),
            "assumptions": markdown_table(rows, limit=120),
        }
    )


@dg.asset(
    key=DISCHARGES_KEY,
    deps=[DESIGN_KEY, ASSUMPTIONS_KEY],
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            REACHED,
            asset=DISCHARGES_KEY,
            description="No solver gave up on a recommended electrode.",
        )
    ],
    description="A 1C discharge to 3.2 V of each recommended electrode against lithium (PyBaMM, "
    "DFN), with energy and power on the electrode's mass.",
)
def half_cell_discharges(lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Simulate what is not in the lake yet."""
    from battery_platform.design.physics import discharge_designs

    lake = lakehouse.lake()
    studied = discharge_designs(lake)
    rows = studied.rows
    failed = _failures(rows)
    metadata: dict[str, Any] = {
        "dagster/row_count": len(rows),
        "simulated": studied.solved,
        "synthetic": any(row["is_synthetic"] for row in rows),
        "snapshot": lake.snapshot(),
        "discharges": markdown_table([{name: row[name] for name in SHOWN} for row in rows]),
    }
    drawn = [row for row in rows if row["curve_time_s"]]
    if drawn:
        from battery_platform.electrochemistry.half_cell_runs import curve_figure

        metadata["curve"] = picture(curve_figure(drawn[0]))
    return dg.MaterializeResult(
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                check_name=REACHED,
                passed=not failed,
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(failed) or "all reached it",
            )
        ],
    )


def _failures(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"{row['subject']}, {row['c_rate']:g}C: {row['reason']}" for row in rows if row["failed"]
    ]


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


LIMITS = ("nothing", "electrolyte", "electrons", "particles")


class HalfCellSweep(dg.Config):
    """Which electrodes are swept, and how."""

    table: str = Field(
        default="",
        description="Table or view of the lake with electrode properties, such as mart_electrodes; "
        "empty for points that fill the space of the six properties.",
    )
    points: int = Field(
        default=1024,
        ge=1,
        le=100_000,
        description="Points of that space; a quarter as many more at loads from C/2 to 11C.",
    )
    c_rate: float = Field(default=1.0, description="Multiple of 1C.")
    lower_v: float = Field(default=3.2, description="Cut-off in volts against lithium.")


@dg.asset(
    key=HALF_CELL_SWEEP_KEY,
    deps=[ASSUMPTIONS_KEY],
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            BRANCHES,
            asset=HALF_CELL_SWEEP_KEY,
            description="Along ever heavier coatings of one structure energy and power rise together up "
            "to a peak; beyond it salt runs out and energy falls while power rises, as paper 000 says.",
        )
    ],
    description="1C discharges over a table of electrode properties, each labelled by what limits it; "
    "unless a table is named, over points that fill the space of the six properties of paper 000.",
)
def half_cell_sweep(config: HalfCellSweep, lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Solve what the lake does not have."""
    from battery_platform.electrochemistry.electrode_tables import (
        Electrodes,
        loading_series,
        of_table,
        rated_space,
        space,
    )
    from battery_platform.electrochemistry.half_cell_runs import sweep, volcano
    from battery_platform.electrochemistry.pictures import branches_figure

    lake = lakehouse.lake()
    loaded = []
    if config.table:
        many = of_table(lake, config.table, [config.c_rate], config.lower_v)
    else:
        many = Electrodes(space(config.points, config.c_rate, config.lower_v))
        loaded = rated_space(config.points // 4, config.lower_v)
    before = lake.value("SELECT count(*) FROM discharges")
    series = loading_series()
    rows = sweep(lake, [*many.asked, *series, *loaded])
    first, second = len(many.asked), len(many.asked) + len(series)
    rows, along, at_loads = rows[:first], rows[first:second], rows[second:]
    shape = volcano(along)
    left = [{"electrode": name, "reason": reason} for name, reason in many.refused]
    failed = [{"electrode": r["subject"], "reason": r["reason"]} for r in rows if r["failed"]]
    title = f"{config.c_rate:g}C, {config.table or 'space of six properties'}"
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "simulated": lake.value("SELECT count(*) FROM discharges") - before,
            "synthetic": any(row["is_synthetic"] for row in rows),
            "failed": len(failed),
            "failures": markdown_table(failed),
            "left_out": len(left),
            "left_out_because": markdown_table(left),
            "second_try": sum(row.get("first_failure") is not None for row in rows),
            "at_other_loads": len(at_loads),
            "at_other_loads_failed": sum(row["failed"] for row in at_loads),
            **{f"limited_by_{n}": sum(r["limited_by"] == n for r in rows) for n in LIMITS},
            "snapshot": lake.snapshot(),
            "picture": picture(branches_figure(rows, title)),
            "picture_of_series": picture(branches_figure(along, "Loading from 8 to 40 mg/cm²")),
            "series": markdown_table([{n: row[n] for n in SHOWN} for row in along]),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=BRANCHES,
                passed=shape is not None and shape.stands,
                severity=dg.AssetCheckSeverity.WARN,
                description=shape.told if shape else "energy has no peak within the series",
            )
        ],
    )


@dg.asset(
    key=RAGONE_KEY,
    deps=[DISCHARGES_KEY, REPLICATION_KEY],
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    description="Energy against power from 0.2C to 5C: the recommended electrodes against lithium, and "
    "the uniform and graded cells of paper 002.",
)
def ragone_curves(lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Solve what the lake does not have, and draw."""
    from battery_platform.design.physics import ragone_of_designs
    from battery_platform.electrochemistry.pictures import ragone_figure
    from battery_platform.electrochemistry.replications import ragone_002

    lake = lakehouse.lake()
    before = _solved(lake)
    cells, electrodes = ragone_002(lake), ragone_of_designs(lake).rows
    names = ("cell", "c_rate", "specific_energy_wh_kg", "specific_power_w_kg", "ended_by")
    failed = _failures(electrodes) + _failures(cells)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(cells) + len(electrodes),
            "simulated": _solved(lake) - before,
            "failed": len(failed),
            "failures": dg.MetadataValue.md("; ".join(failed) or "none"),
            "snapshot": lake.snapshot(),
            "electrodes": markdown_table([{n: row[n] for n in SHOWN} for row in electrodes], 40),
            "cells": markdown_table([{n: row[n] for n in names} for row in cells], 200),
            **(
                {
                    "picture_of_electrodes": picture(
                        ragone_figure(electrodes, "subject", "Recommended electrodes, 0.2C to 5C")
                    )
                }
                if electrodes
                else {}
            ),
            "picture_of_cells": picture(
                ragone_figure(
                    [row for row in cells if row["positive_thickness_um"] == RAGONE_UM],
                    "cell",
                    f"Paper 002, {RAGONE_UM:g} µm, 0.2C to 5C",
                )
            ),
        }
    )


def _solved(lake: Any) -> int:
    tables = ("discharges", "graded_discharges")
    return sum(lake.value(f"SELECT count(*) FROM {table}") for table in tables)


@dg.asset(
    key=REPLICATION_KEY,
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            REPLICATED,
            asset=REPLICATION_KEY,
            description="Each published value is met within its tolerance, each stated law holds.",
        )
    ],
    description="Table 4 and the statements of Nejati Amiri et al. (Batteries 2024, 10, 336), "
    "computed again beside the paper's numbers (PyBaMM, DFN with graded porosity).",
)
def replication_002(lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Compare, unless neither code nor assumptions changed."""
    from battery_platform.electrochemistry.replications import figure, replicated

    lake = lakehouse.lake()
    rows = replicated(lake, "002")
    missed = [f"{row['quantity']}, case {row['case_name']}" for row in rows if not row["passed"]]
    names = ("quantity", "case_name", "paper", "ours", "unit", "deviation_pct", "passed")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "missed": len(missed),
            "snapshot": lake.snapshot(),
            "comparison": markdown_table([{n: row[n] for n in names} for row in rows], limit=60),
            "picture": picture(figure(rows)),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=REPLICATED,
                passed=not missed,
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(missed) or "all are met",
            )
        ],
    )


@dg.asset(
    key=EFFECTS_KEY,
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    description="How far the headline gain of paper 002 moves when one assumption goes to the ends "
    "of its range.",
)
def assumption_sweep_002(lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Move one assumption at a time, unless neither code nor assumptions changed."""
    from battery_platform.electrochemistry.effects import effects, figure

    lake = lakehouse.lake()
    rows, new = effects(lake)
    names = ("assumption", "end", "value", "unit", "energy_uniform_wh_kg", "energy_graded_wh_kg")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "computed": new,
            "snapshot": lake.snapshot(),
            "effects": markdown_table(
                [{n: row[n] for n in (*names, "gain_pct")} for row in rows], limit=100
            ),
            "picture": picture(figure(rows)),
        }
    )


SWEEP_PARTS = {
    f"case{case}_{um:g}um": (case, um)
    for case in (1, 2, 3, 4)
    for um in (120.0, 130.0, 140.0, 150.0, 160.0)
}


@dg.asset(
    key=SWEEP_KEY,
    partitions_def=dg.StaticPartitionsDefinition(list(SWEEP_PARTS)),
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    description="The 12,100 discharges of paper 002: 11 x 11 profiles at 1C to 5C, one partition for "
    "each case and thickness. What the lake has is not solved again.",
)
def graded_sweep(
    context: dg.AssetExecutionContext, lakehouse: LakehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Solve what is missing of one partition."""
    from battery_platform.electrochemistry.graded_runs import paper_designs, sweep

    lake = lakehouse.lake()
    designs = paper_designs(*SWEEP_PARTS[context.partition_key])
    # One partition is too small for a compiler; all of them are not, and share what is compiled.
    rows = sweep(lake, designs, compiled=True)
    failed = [row for row in rows if row["failed"]]
    return dg.MaterializeResult(
        metadata={
            "dagster/partition_row_count": len(rows),
            "failed": len(failed),
            "electrolyte_depleted": sum(row["electrolyte_depleted"] for row in rows),
            "second_try": sum(row.get("first_failure") is not None for row in rows),
            "snapshot": lake.snapshot(),
            "failures": markdown_table(
                [{"c_rate": r["c_rate"], "reason": r["reason"]} for r in failed]
            ),
        }
    )


class GradedSpace(dg.Config):
    """How many cells with profiles of their own are simulated."""

    points: int = Field(default=1024, ge=64, le=100_000, description="Cells, each a fresh pair.")


@dg.asset(
    key=GRADED_SPACE_KEY,
    deps=[ASSUMPTIONS_KEY],
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    description="Discharges of graded cells that fill the space around those of paper 002, a fresh pair of "
    "profiles each: what `graded-energy` learns from. What the lake has is not solved again.",
)
def graded_space(config: GradedSpace, lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Solve what is missing."""
    from battery_platform.electrochemistry.graded_runs import diverse_designs, sweep
    from battery_platform.electrochemistry.pictures import space_figure

    lake = lakehouse.lake()
    rows = sweep(lake, diverse_designs(config.points))
    failed = [row for row in rows if row["failed"]]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "failed": len(failed),
            "electrolyte_depleted": sum(row["electrolyte_depleted"] for row in rows),
            "snapshot": lake.snapshot(),
            "failures": markdown_table(
                [{"c_rate": r["c_rate"], "reason": r["reason"]} for r in failed]
            ),
            "picture": picture(space_figure(rows)),
        }
    )


@dg.asset(
    key=OPTIMA_KEY,
    deps=[SWEEP_KEY],
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            INDEPENDENT,
            asset=OPTIMA_KEY,
            description="Paper 002: the best pair of profiles does not depend on the thickness. Passes "
            "where the best pair of each thickness is among the best three at 160 µm.",
        )
    ],
    description="The best three pairs of profiles of each case and thickness, by their gains over the "
    "uniform cell summed over 1C to 5C; of the parts of the sweep that are there.",
)
def graded_optima(lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Rank what the sweep has."""
    from battery_platform.electrochemistry.optima import depends_on_thickness, rank

    lake = lakehouse.lake()
    rows = rank(lake, SWEEP_PARTS)
    dependent = depends_on_thickness(rows)
    names = ("part", "place", "gain_sum_wh_kg", "gain_5c_pct", "place_at_160_um")
    more = ("share_of_best_at_160_um", "n_pairs")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "parts": len({row["part"] for row in rows}),
            "snapshot": lake.snapshot(),
            "optima": markdown_table([{n: row[n] for n in (*names, *more)} for row in rows], 80),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=INDEPENDENT,
                passed=not dependent,
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(dependent) or f"holds for {len(rows) // 3} parts",
            )
        ],
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
