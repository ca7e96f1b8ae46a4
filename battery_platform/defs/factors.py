"""Critical factors as an asset: which settings of a campaign matter, by several methods."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from battery_platform.defs.metadata import OWNERS, markdown_table, picture
from battery_platform.defs.models import ELECTRODE_TABLES, model_key
from battery_platform.defs.raw_tables import raw_key
from battery_platform.defs.resources import LakehouseResource

if TYPE_CHECKING:
    from battery_platform.factors.campaigns import Findings

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
    "correlation and components (Duquesnoy), ANCOVA and kinds of electrodes (Primo), relevance by the lengths "
    "of four kernels (Liu), Sobol indices of the champions (Wu) and the cost of two percent of scatter "
    "(Schmidt).",
)
def critical_factors(lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Analyse, unless neither campaigns, code nor champions changed."""
    from battery_platform.factors.campaigns import analyse
    from battery_platform.factors.relevance import order_of_liu
    from battery_platform.models.surrogates import champions, surrogate_of

    lake = lakehouse.lake()
    versions = champions(lake.settings, ASKED)
    found = analyse(lake, surrogate_of(lake.settings, versions), versions)
    rows = found.rows
    metadata: dict[str, Any] = {
        "dagster/row_count": len(rows),
        "computed": bool(found.analyses),
        "synthetic": any(row["is_synthetic"] for row in rows),
        "snapshot": lake.snapshot(),
        "relevance": "; ".join(order_of_liu(rows, "mass_loading_mg_cm2")) or "no such campaign",
        "factors": markdown_table([_shown(row) for row in rows], limit=400),
    }
    if found.analyses:
        metadata |= _pictures(found)
    return dg.MaterializeResult(
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                check_name=ANALYSED,
                passed=not found.refused,
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(found.refused) or "all were",
            )
        ],
    )


def _pictures(found: "Findings") -> dict[str, Any]:
    """Those of each campaign."""
    from battery_platform.factors.pictures import (
        kinds_figure,
        quadrants_figure,
        relevance_figure,
        sobol_figure,
    )

    drawn: dict[str, Any] = {}
    for campaign in dict.fromkeys(one.campaign for one in found.analyses):
        about, synthetic = campaign.name, campaign.is_synthetic
        some = [one for one in found.analyses if one.campaign is campaign]
        selections = [one.selection for one in some]
        drawn[f"quadrants: {about}"] = picture(quadrants_figure(selections, synthetic))
        relevant = [one.relevances for one in some if one.relevances is not None]
        if relevant:
            drawn[f"relevance: {about}"] = picture(relevance_figure(relevant, synthetic))
        for one in some:
            if one.sensitivity is not None:
                figure = sobol_figure(one.sensitivity, one.target, synthetic)
                drawn[f"Sobol: {about}, {one.target}"] = picture(figure)
    for campaign, kinds in found.kinds:
        figure = kinds_figure(kinds, campaign.is_synthetic)
        drawn[f"kinds: {campaign.name}"] = picture(figure)
    return drawn


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in SHOWN}


ASSETS = [critical_factors]
