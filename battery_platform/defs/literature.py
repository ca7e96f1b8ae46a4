"""Mined text as an asset: the watched folder, read once per version of the extraction."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from battery_platform.defs.products import ERROR, Check, Outcome, Verdict, product_asset

if TYPE_CHECKING:
    from battery_platform.store.lakehouse import Lakehouse

MENTIONS_KEY = dg.AssetKey(["literature", "mentions"])
ROUND_TRIP = "offsets_lead_to_their_quotes"


def _mentions(context: dg.AssetExecutionContext, lake: "Lakehouse", config: Any) -> Outcome:
    from battery_platform.literature.folder import (
        broken_offsets,
        extraction_code,
        place_samples,
        take,
        watched,
    )
    from battery_platform.made.kept import digest_of

    place_samples(lake.settings)
    readings = take(lake, watched(lake.settings))
    for reading in readings:
        context.log.info(
            "%s: %s, %d mentions %s",
            reading.file,
            reading.status,
            reading.mentions,
            reading.reason,
        )
    broken = broken_offsets(lake)
    documents = lake.rows("SELECT document_id FROM literature_documents ORDER BY 1")
    new = sum(reading.status == "read" for reading in readings)
    return Outcome(
        lake.value("SELECT count(*) FROM literature_mentions"),
        digest_of(extraction_code(), *(name for (name,) in documents)),
        f"{new} text(s) read" if new else "",
        numbers={
            "documents": len(documents),
            "quarantined": sum(reading.status == "quarantined" for reading in readings),
        },
        tables={
            "files": [vars(reading) for reading in readings],
            "completeness": lake.records(
                """SELECT property, how, count(*) AS documents, is_synthetic
                   FROM literature_completeness GROUP BY ALL ORDER BY ALL"""
            ),
        },
        verdicts={
            ROUND_TRIP: Verdict(
                not broken, "; ".join(broken[:5]) or "every offset leads to its quote"
            )
        },
    )


mentions = product_asset(
    MENTIONS_KEY,
    _mentions,
    made_by=["battery_platform.literature.folder:take"],
    checks=[
        Check(
            ROUND_TRIP,
            "The untouched text from start to end is the quote, for every mention.",
            blocking=True,
            severity=ERROR,
        )
    ],
    description="Porosity, thickness and mass loading found in the texts of the literature folder, with unit, "
    "qualifier and exact place, and what each document leaves out. The sample texts are SYNTHETIC.",
)

ASSETS = [mentions]
