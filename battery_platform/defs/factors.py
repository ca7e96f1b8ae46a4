"""Critical factors as an asset: which settings of a campaign matter, by several methods."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from battery_platform.defs.metadata import OWNERS, markdown_table, picture
from battery_platform.defs.models import ELECTRODE_TABLES, model_key
from battery_platform.defs.raw_tables import raw_key
from battery_platform.defs.resources import LakehouseResource

FACTORS_KEY = dg.AssetKey(["factors", "critical_factors"])
ASKED = ("mass-loading", "porosity", "mesostructure")
ANALYSED = "every_campaign_was_analysed"
SHOWN = ("campaign", "target", "method", "factor", "value", "low", "high", "p", "verdict")


@dg.asset(
    key=FACTORS_KEY,
    deps=[*ELECTRODE_TABLES, raw_key("mesostructures"), *(model_key(name) for name in ASKED)],
    group_name="factors",
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            ANALYSED,
            asset=FACTORS_KEY,
            description="No method had to give up on a campaign.",
        )
    ],
    description="Which settings matter in each campaign: LASSO-LARS with one-way ANOVA (Thiede), signs of "
    "correlation and components (Duquesnoy), ANCOVA (Primo), Sobol indices of the champions (Wu) and the "
    "cost of two percent of scatter (Schmidt).",
)
def critical_factors(lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Analyse, unless neither campaigns, code nor champions changed."""
    from battery_platform.factors.campaigns import analyse
    from battery_platform.models.surrogates import champions, surrogate_of

    lake = lakehouse.lake()
    versions = champions(lake.settings, ASKED)
    rows, analyses, refused = analyse(lake, surrogate_of(lake.settings, versions), versions)
    metadata: dict[str, Any] = {
        "dagster/row_count": len(rows),
        "computed": bool(analyses),
        "synthetic": any(row["is_synthetic"] for row in rows),
        "snapshot": lake.snapshot(),
        "factors": markdown_table([_shown(row) for row in rows], limit=300),
    }
    if analyses:
        from battery_platform.factors.pictures import quadrants_figure, sobol_figure

        for campaign in dict.fromkeys(one.campaign for one in analyses):
            some = [one for one in analyses if one.campaign is campaign]
            drawn = quadrants_figure([one.selection for one in some], campaign.is_synthetic)
            metadata[f"quadrants: {campaign.name}"] = picture(drawn)
            for one in some:
                if one.sensitivity is not None:
                    name = f"Sobol: {campaign.name}, {one.target}"
                    metadata[name] = picture(
                        sobol_figure(one.sensitivity, one.target, campaign.is_synthetic)
                    )
    return dg.MaterializeResult(
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                check_name=ANALYSED,
                passed=not refused,
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(refused) or "all were",
            )
        ],
    )


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in SHOWN}


ASSETS = [critical_factors]
