"""Mined text as an asset: the watched folder, read once per version of the extraction."""

import dagster as dg

from battery_platform.defs.metadata import OWNERS, markdown_table
from battery_platform.defs.resources import LakehouseResource

MENTIONS_KEY = dg.AssetKey(["literature", "mentions"])
ROUND_TRIP = "offsets_lead_to_their_quotes"


@dg.asset(
    key=MENTIONS_KEY,
    group_name="literature",
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            ROUND_TRIP,
            asset=MENTIONS_KEY,
            blocking=True,
            description="The untouched text from start to end is the quote, for every mention.",
        )
    ],
    description="Porosity, thickness and mass loading found in the texts of the literature folder, "
    "with unit, qualifier and exact place, and what each document leaves out. The sample texts are "
    "SYNTHETIC.",
)
def mentions(
    context: dg.AssetExecutionContext, lakehouse: LakehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Read what is new in the folder."""
    from battery_platform.literature.folder import broken_offsets, place_samples, take, watched

    lake = lakehouse.lake()
    place_samples(lake.settings)
    readings = take(lake, watched(lake.settings))
    for one in readings:
        context.log.info("%s: %s, %d mentions %s", one.file, one.status, one.mentions, one.reason)
    broken = broken_offsets(lake)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": lake.value("SELECT count(*) FROM literature_mentions"),
            "documents": lake.value("SELECT count(*) FROM literature_documents"),
            "quarantined": sum(one.status == "quarantined" for one in readings),
            "snapshot": lake.snapshot(),
            "files": markdown_table([vars(one) for one in readings]),
            "completeness": markdown_table(
                lake.records(
                    """SELECT property, how, count(*) AS documents, is_synthetic
                       FROM literature_completeness GROUP BY ALL ORDER BY ALL"""
                )
            ),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=ROUND_TRIP,
                passed=not broken,
                description="; ".join(broken[:5]) or "every offset leads to its quote",
            )
        ],
    )


ASSETS = [mentions]
