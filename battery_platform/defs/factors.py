"""Critical factors as an asset: which settings of a campaign matter, by several methods."""

from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from battery_platform.defs.models import model_key
from battery_platform.defs.products import Check, Outcome, Verdict, product_asset, some
from battery_platform.defs.raw_tables import raw_key

if TYPE_CHECKING:
    from battery_platform.defs.metadata import Draw
    from battery_platform.factors.campaigns import Findings
    from battery_platform.store.lakehouse import Lakehouse

FACTORS_KEY = dg.AssetKey(["factors", "critical_factors"])
ASKED = ("mass-loading", "porosity", "mesostructure")
ANALYSED = "every_campaign_was_analysed"
SHOWN = ("campaign", "target", "method", "factor", "value", "low", "high", "p", "verdict")


def _critical_factors(context: Any, lake: "Lakehouse", config: Any) -> Outcome:
    from battery_platform.factors.campaigns import analyse
    from battery_platform.factors.relevance import order_of_liu
    from battery_platform.models.surrogates import champions, surrogate_of

    versions = champions(lake.settings, ASKED)
    findings = analyse(lake, surrogate_of(lake.settings, versions), versions)
    rows = findings.rows
    return Outcome(
        len(rows),
        findings.kept.basis.digest,
        findings.kept.because,
        any(row["is_synthetic"] for row in rows),
        numbers={
            "relevance": "; ".join(order_of_liu(rows, "mass_loading_mg_cm2")) or "no such campaign"
        },
        tables={"factors": some(rows, *SHOWN)},
        pictures=_pictures(findings),
        verdicts={
            ANALYSED: Verdict(not findings.refused, "; ".join(findings.refused) or "all were")
        },
    )


def _pictures(findings: "Findings") -> "dict[str, Draw]":
    """Those of each campaign that was analysed just now."""
    if not findings.analyses:
        return {}
    from battery_platform.factors.pictures import (
        kinds_figure,
        quadrants_figure,
        relevance_figure,
        sobol_figure,
    )

    drawn: dict[str, Draw] = {}
    for campaign in dict.fromkeys(analysis.campaign for analysis in findings.analyses):
        about, synthetic = campaign.name, campaign.is_synthetic
        analyses = [each for each in findings.analyses if each.campaign is campaign]
        selections = [analysis.selection for analysis in analyses]
        drawn[f"quadrants: {about}"] = partial(quadrants_figure, selections, synthetic)
        relevant = [each.relevances for each in analyses if each.relevances is not None]
        if relevant:
            drawn[f"relevance: {about}"] = partial(relevance_figure, relevant, synthetic)
        for analysis in analyses:
            if analysis.sensitivity is not None:
                drawn[f"Sobol: {about}, {analysis.target}"] = partial(
                    sobol_figure, analysis.sensitivity, analysis.target, synthetic
                )
    for campaign, kinds in findings.kinds:
        drawn[f"kinds: {campaign.name}"] = partial(kinds_figure, kinds, campaign.is_synthetic)
    return drawn


critical_factors = product_asset(
    FACTORS_KEY,
    _critical_factors,
    made_by=["battery_platform.factors.campaigns:analyse"],
    upstream=[
        dg.AssetKey(["marts", "mart_electrodes"]),
        raw_key("mesostructures"),
        *(model_key(name) for name in ASKED),
    ],
    checks=[Check(ANALYSED, "No method had to give up on a campaign.")],
    description="Which settings matter in each campaign: LASSO-LARS with one-way ANOVA (Thiede), signs of "
    "correlation and components (Duquesnoy), ANCOVA and kinds of electrodes (Primo), relevance by the lengths "
    "of four kernels (Liu), Sobol indices of the champions (Wu) and the cost of two percent of scatter "
    "(Schmidt).",
)

ASSETS = [critical_factors]
