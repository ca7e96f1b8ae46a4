"""Recommended recipes as an asset: every target that anybody asked for, by today's champions."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from battery_platform.defs.models import model_key
from battery_platform.defs.products import ERROR, Check, Outcome, Verdict, product_asset, some

if TYPE_CHECKING:
    from battery_platform.store.lakehouse import Lakehouse

DESIGN_KEY = dg.AssetKey(["design", "recommended_recipes"])
WITHIN_DATA = "recipes_lie_within_the_data"
ANSWERED = "a_pair_of_models_answers"


def _recommended_recipes(
    context: dg.AssetExecutionContext, lake: "Lakehouse", config: Any
) -> Outcome:
    from battery_platform.design.inverse import NoPair, design, standing_targets
    from battery_platform.made.kept import digest_of
    from battery_platform.models.specification import RECIPE

    refusals: list[str] = []
    answers = []
    for target in standing_targets(lake):
        try:
            answers.append(design(lake, target))
        except NoPair as error:
            refusals.append(str(error))
            context.log.warning(str(error))
    rows = [row for row, _ in answers]
    searched = sum(is_new for _, is_new in answers)
    outside = [row["design_id"] for row in rows if not row["in_domain"]]
    shown = (
        "design_id",
        *dict.fromkeys(f"target_{name}" for row in rows for name in row["wanted"]),
        *RECIPE,
        "probability",
        "note",
        "is_synthetic",
    )
    return Outcome(
        len(rows),
        digest_of(*(row["design_id"] for row in rows)),
        f"{searched} target(s) answered anew" if searched else "",
        any(row["is_synthetic"] for row in rows),
        tables={
            "recipes": some(rows, *shown),
            "made_nearby": [
                {"design_id": row["design_id"], **neighbour}
                for row in rows
                for neighbour in row["neighbours"]
            ],
        },
        verdicts={
            WITHIN_DATA: Verdict(
                not outside,
                f"outside the data: {', '.join(outside)}" if outside else "all lie within the data",
            ),
            ANSWERED: Verdict(not refusals, "; ".join(refusals) or "all targets are answered"),
        },
    )


recommended_recipes = product_asset(
    DESIGN_KEY,
    _recommended_recipes,
    made_by=["battery_platform.design.inverse:design"],
    upstream=[model_key(name) for name in ("mass-loading", "porosity")],
    checks=[
        Check(WITHIN_DATA, "Both models know recipes like these."),
        Check(
            ANSWERED,
            "Versions of both models that speak of the same electrodes passed the gate; without them the "
            "recipes stay as they are and everything else goes on.",
            severity=ERROR,
        ),
    ],
    description="For each standing target the recipe within the data that most likely meets it, with its "
    "probability and the three nearest electrodes that were really made.",
)

ASSETS = [recommended_recipes]
