"""Physics of the recommended electrodes as assets: the assumptions, and one discharge each."""

from typing import Any

import dagster as dg

from battery_platform.defs.design import DESIGN_KEY
from battery_platform.defs.metadata import OWNERS, markdown_table, picture
from battery_platform.defs.resources import LakehouseResource

GROUP = "electrochemistry"
ASSUMPTIONS_KEY = dg.AssetKey([GROUP, "assumptions"])
DISCHARGES_KEY = dg.AssetKey([GROUP, "half_cell_discharges"])
REPLICATION_KEY = dg.AssetKey([GROUP, "replication_002"])
EFFECTS_KEY = dg.AssetKey([GROUP, "assumption_sweep_002"])
SWEEP_KEY = dg.AssetKey([GROUP, "graded_sweep"])
REPLICATED = "published_values_are_met"
REACHED = "discharges_reached_the_cut_off"


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
    from battery_platform.electrochemistry.runs import keep_assumptions

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
    "DFN), with energy and power on the electrode's mass; the curves lie beside the lake.",
)
def half_cell_discharges(
    context: dg.AssetExecutionContext, lakehouse: LakehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Simulate what is not in the lake yet."""
    from battery_platform.design.physics import discharge_designs

    lake = lakehouse.lake()
    found = discharge_designs(lake, context.log.info)
    rows = [row for row, _ in found]
    failed = [f"{row['design_id']}: {row['end_reason']}" for row in rows if row["failed"]]
    shown = (
        "discharge_id",
        "design_id",
        "specific_energy_wh_kg",
        "specific_power_w_kg",
        "capacity_mah_g",
        "discharge_time_s",
        "end_reason",
        "is_synthetic",
    )
    metadata: dict[str, Any] = {
        "dagster/row_count": len(rows),
        "simulated": sum(new for _, new in found),
        "synthetic": any(row["is_synthetic"] for row in rows),
        "snapshot": lake.snapshot(),
        "discharges": markdown_table([{name: row[name] for name in shown} for row in rows]),
    }
    drawn = [row for row in rows if not row["failed"]]
    if drawn:
        from battery_platform.electrochemistry.runs import curve_figure

        metadata["curve"] = picture(curve_figure(lake, drawn[0]))
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
    from battery_platform.electrochemistry.sweeps import paper_designs, sweep

    lake = lakehouse.lake()
    rows = sweep(lake, paper_designs(*SWEEP_PARTS[context.partition_key]))
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


ASSETS = [assumptions, half_cell_discharges, replication_002, assumption_sweep_002, graded_sweep]
