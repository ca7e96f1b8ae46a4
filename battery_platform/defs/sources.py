"""Source assets: each takes the files of one source into the raw tables."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from battery_platform.defs.gates import AUDITED, audited, last_verdicts
from battery_platform.defs.metadata import OWNERS, ingest_metadata
from battery_platform.defs.resources import LakehouseResource
from battery_platform.made.fingerprint import fingerprint
from battery_platform.records.catalogue import Entry, entries

if TYPE_CHECKING:
    from battery_platform.records.ingest import Report

GROUP = "sources"
BALANCED = "rows_in_equals_accepted_plus_quarantined"
DAILY = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=50), warn_window=timedelta(hours=26)
)


class PlantConfig(dg.Config):
    """Size of the synthetic plant; a size once chosen is kept in the lake beside others."""

    batches: int = 200


def _result(
    context: dg.AssetExecutionContext,
    lakehouse: LakehouseResource,
    reports: "Sequence[Report]",
    source_ids: Sequence[str] | None,
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    for report in reports:
        context.log.info(
            "%s: %s, %d rows in, %d accepted, %d quarantined %s",
            report.path.name,
            report.status,
            report.total("rows_in"),
            report.total("rows_accepted"),
            report.total("rows_quarantined"),
            report.reason,
        )
    lake = lakehouse.lake()
    return dg.MaterializeResult(
        metadata=ingest_metadata(reports, lake.snapshot()),
        check_results=[_balance(context, lakehouse, source_ids)],
    )


def _balance(
    context: dg.AssetExecutionContext,
    lakehouse: LakehouseResource,
    source_ids: Sequence[str] | None,
) -> dg.AssetCheckResult:
    """Rows in = accepted + quarantined, and the tables hold what the manifest says."""
    from battery_platform.made.kept import digest_of
    from battery_platform.store.balance import balance
    from battery_platform.store.builds import audited_versions

    lake = lakehouse.lake()
    version = digest_of(repr(audited_versions(lake)))
    check = dg.AssetCheckKey(context.asset_key, BALANCED)
    last = last_verdicts(context.instance, [check])[check]
    if last is not None and audited(last) == version:
        return last.again(check, "no table has changed")
    found = balance(lake, source_ids)
    return dg.AssetCheckResult(
        check_name=BALANCED,
        passed=not found.broken,
        metadata={
            "rows_in": found.rows_in,
            "rows_accepted": found.rows_accepted,
            "rows_quarantined": found.rows_quarantined,
            "broken": ", ".join(found.broken) or "none",
            AUDITED: version,
        },
        description="; ".join(found.broken) or "every row is accounted for",
    )


def _check_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        BALANCED,
        asset=key,
        blocking=True,
        description="Every row of every file is stored, known or quarantined; none is lost.",
    )


def _public(entry: Entry) -> dg.AssetsDefinition:
    key = dg.AssetKey(["sources", entry.id])

    @dg.asset(
        key=key,
        group_name=GROUP,
        kinds={"python", "ducklake"},
        owners=OWNERS,
        code_version=fingerprint("battery_platform.records.sources:take_public"),
        check_specs=[_check_spec(key)],
        description=f"{entry.title}. {entry.citation} Licence: {entry.licence}. "
        f"Fetched by `battery-platform catalogue fetch {entry.id}`; without it this asset is empty.",
        metadata={"licence": entry.licence, "citation": entry.citation, "address": entry.address},
    )
    def take_entry(
        context: dg.AssetExecutionContext, lakehouse: LakehouseResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from battery_platform.records.sources import take_public

        reports = take_public(lakehouse.lake(), entry)
        if not reports:
            context.log.info("not fetched: run `battery-platform catalogue fetch %s`", entry.id)
        _raise_if_refused(reports)
        return _result(context, lakehouse, reports, [entry.id])

    return take_entry


def _raise_if_refused(reports: "Sequence[Report]") -> None:
    refused = [report.reason for report in reports if report.status == "refused"]
    if refused:
        raise dg.Failure(description="A file of ours was refused: " + "; ".join(refused))


PLANT_TABLES = {
    "material_lots",
    "slurry_batches",
    "coatings",
    "dryings",
    "calenderings",
    "electrodes",
    "cells",
    "formations",
    "cycling_tests",
    "test_cycles",
}
PLANT_KEY = dg.AssetKey(["sources", "synthetic_plant"])
CASES_KEY = dg.AssetKey(["sources", "synthetic_graphite_cells"])
DROP_KEY = dg.AssetKey(["sources", "drop_folder"])


@dg.asset(
    key=PLANT_KEY,
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version=fingerprint("battery_platform.synthetic.deliveries:take_plant"),
    check_specs=[_check_spec(PLANT_KEY)],
    freshness_policy=DAILY,
    tags={"synthetic": "true"},
    description="SYNTHETIC. An electrode plant that we simulate, handed in as files with noise, "
    "drift, missing values and faults, so that a fresh machine has something to refresh.",
)
def synthetic_plant(
    context: dg.AssetExecutionContext, config: PlantConfig, lakehouse: LakehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Write the plant's files and take them."""
    from battery_platform.synthetic.deliveries import take_plant

    reports = take_plant(lakehouse.lake(), config.batches)
    _raise_if_refused(reports)
    return _result(context, lakehouse, reports, ["synthetic_plant"])


@dg.asset(
    key=CASES_KEY,
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version=fingerprint("battery_platform.synthetic.deliveries:take_cell_cases"),
    check_specs=[_check_spec(CASES_KEY)],
    tags={"synthetic": "true"},
    description="SYNTHETIC. A sparse table of graphite half cells with the shape of paper 001, whose own data "
    "cannot be had; the relations put into it are our reading of its figures.",
)
def synthetic_graphite_cells(
    context: dg.AssetExecutionContext, lakehouse: LakehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Write the table and take it."""
    from battery_platform.synthetic.deliveries import take_cell_cases

    reports = take_cell_cases(lakehouse.lake())
    _raise_if_refused(reports)
    return _result(context, lakehouse, reports, ["synthetic_graphite_cells"])


@dg.asset(
    key=DROP_KEY,
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version=fingerprint("battery_platform.records.dropfolder:take"),
    check_specs=[_check_spec(DROP_KEY)],
    freshness_policy=DAILY,
    description="Files that people put into the drop folder. Each ends in `done` or `refused`, "
    "with a .reason.txt beside it where something was not accepted.",
)
def drop_folder(
    context: dg.AssetExecutionContext, lakehouse: LakehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Take what has settled in the drop folder."""
    from battery_platform.records.dropfolder import take

    return _result(context, lakehouse, take(lakehouse.lake()), None)


ASSETS: list[dg.AssetsDefinition] = [
    synthetic_plant,
    synthetic_graphite_cells,
    drop_folder,
    *[_public(entry) for entry in entries().values()],
]
SOURCE_KEYS = [asset.key for asset in ASSETS]


def sources_of(table_name: str) -> list[dg.AssetKey]:
    """The sources that may bring rows of a table."""
    public = [
        dg.AssetKey(["sources", entry.id])
        for entry in entries().values()
        if table_name in entry.tables
    ]
    plant = [PLANT_KEY] if table_name in PLANT_TABLES else []
    cases = [CASES_KEY] if table_name == "cell_cases" else []
    return [DROP_KEY, *plant, *cases, *public]
