"""Recommended recipes as an asset: every target that anybody asked for, by today's champions."""

import dagster as dg

from battery_platform.defs.metadata import OWNERS, markdown_table
from battery_platform.defs.models import DESIGN_MODEL_KEYS
from battery_platform.defs.resources import LakehouseResource

DESIGN_KEY = dg.AssetKey(["design", "recommended_recipes"])
WITHIN_DATA = "recipes_lie_within_the_data"
ANSWERED = "a_pair_of_models_answers"


@dg.asset(
    key=DESIGN_KEY,
    deps=DESIGN_MODEL_KEYS,
    group_name="design",
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            WITHIN_DATA, asset=DESIGN_KEY, description="Both models know recipes like these."
        ),
        dg.AssetCheckSpec(
            ANSWERED,
            asset=DESIGN_KEY,
            description="Versions of both models that speak of the same electrodes passed the gate; "
            "without them the recipes stay as they are and everything else goes on.",
        ),
    ],
    description="For each standing target the recipe within the data that most likely meets it, "
    "with its probability and the three nearest electrodes that were really made.",
)
def recommended_recipes(
    context: dg.AssetExecutionContext, lakehouse: LakehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Answer the standing targets again where a champion or the code is new."""
    from battery_platform.design.inverse import NoPair, design, standing_targets
    from battery_platform.models.specification import RECIPE

    lake = lakehouse.lake()
    refusal = ""
    answers = []
    try:
        answers = [design(lake, target) for target in standing_targets(lake)]
    except NoPair as error:
        refusal = str(error)
        context.log.warning(refusal)
    rows = [row for row, _ in answers]
    outside = [row["design_id"] for row in rows if not row["in_domain"]]
    shown = (
        "design_id",
        *dict.fromkeys(f"target_{name}" for row in rows for name in row["wanted"]),
        *RECIPE,
        "probability",
        "note",
        "is_synthetic",
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "searched": sum(new for _, new in answers),
            "synthetic": any(row["is_synthetic"] for row in rows),
            "snapshot": lake.snapshot(),
            "recipes": markdown_table([{name: row.get(name) for name in shown} for row in rows]),
            "made_nearby": markdown_table(
                [
                    {"design_id": row["design_id"], **nearest}
                    for row in rows
                    for nearest in row["neighbours"]
                ]
            ),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=WITHIN_DATA,
                passed=not outside,
                severity=dg.AssetCheckSeverity.WARN,
                description="outside the data: " + ", ".join(outside)
                if outside
                else "all lie within the data",
            ),
            dg.AssetCheckResult(
                check_name=ANSWERED,
                passed=not refusal,
                description=refusal or "both models answered",
            ),
        ],
    )


ASSETS = [recommended_recipes]
