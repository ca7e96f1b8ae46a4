"""The validation protocol of paper 000 as an asset: how a surrogate does over 75 random splits."""

from typing import Any

import dagster as dg

from battery_platform.defs.electrochemistry import HALF_CELL_SWEEP_KEY
from battery_platform.defs.metadata import OWNERS, markdown_table, picture
from battery_platform.defs.models import GROUP
from battery_platform.defs.resources import LakehouseResource
from battery_platform.models.specification import MODELS

RESEEDS_KEY = dg.AssetKey([GROUP, "reseeds"])
HOLDS = "mean_test_r2_is_high"
LOWEST_R2 = 0.97
MODEL = MODELS["half-cell-performance"]
SHOWN = ("target", "part", "metric", "mean", "mean_low_95", "mean_high_95", "low_2_5", "high_97_5")


@dg.asset(
    key=RESEEDS_KEY,
    deps=[HALF_CELL_SWEEP_KEY],
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            HOLDS,
            asset=RESEEDS_KEY,
            description=f"R² of the held-out rows, mean over the seeds, is {LOWEST_R2} or more for energy and "
            "power; paper 000 has 0.975 and 0.984.",
        )
    ],
    description="Energy and power of the half cells under the protocol of paper 000: 75 random splits of 80 "
    "to 20, a plain Gaussian process on standardised inputs, R² and RMSE of train and test with the interval "
    "of the mean and the percentiles over the seeds.",
)
def reseeds(
    context: dg.AssetExecutionContext, lakehouse: LakehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Split and learn again, unless neither data nor code changed."""
    from battery_platform.models.reseeds import TEST, protocol

    lake = lakehouse.lake()
    rows, found = protocol(lake, MODEL, progress=lambda done, total: _tell(context, done, total))
    metadata: dict[str, Any] = {
        "dagster/row_count": len(rows),
        "computed": bool(found),
        "synthetic": any(row["is_synthetic"] for row in rows),
        "seeds": rows[0]["n_seeds"],
        "snapshot": lake.snapshot(),
        "metrics": markdown_table([{name: row[name] for name in SHOWN} for row in rows], limit=40),
    }
    if found:
        from battery_platform.models.reseed_pictures import reseeds_figure

        metadata["picture"] = picture(reseeds_figure(found))
    reached = {
        row["target"]: row["mean"] for row in rows if (row["part"], row["metric"]) == (TEST, "r2")
    }
    return dg.MaterializeResult(
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                check_name=HOLDS,
                passed=all(value >= LOWEST_R2 for value in reached.values()),
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(f"{name}: {value:.4f}" for name, value in reached.items()),
            )
        ],
    )


def _tell(context: dg.AssetExecutionContext, done: int, total: int) -> None:
    if done % 25 == 0:
        context.log.info("%d of %d splits", done, total)


ASSETS = [reseeds]
