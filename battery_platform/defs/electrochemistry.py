"""Physics of the recommended electrodes as assets: the assumptions, and one discharge each."""

from typing import Any

import dagster as dg

from battery_platform.defs.design import DESIGN_KEY
from battery_platform.defs.metadata import OWNERS, markdown_table, picture
from battery_platform.defs.resources import LakehouseResource

GROUP = "electrochemistry"
ASSUMPTIONS_KEY = dg.AssetKey([GROUP, "assumptions"])
DISCHARGES_KEY = dg.AssetKey([GROUP, "half_cell_discharges"])
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
        "SELECT name, value, unit, low, high, reason, source FROM assumptions ORDER BY name"
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "changed": changed,
            "snapshot": lake.snapshot(),
            "assumptions": markdown_table(rows, limit=60),
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


ASSETS = [assumptions, half_cell_discharges]
