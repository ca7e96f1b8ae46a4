"""The code location: assembles what `defs/` holds.

Nothing is computed or contacted here; the dbt manifest is prepared before (`make install` and
every command of `battery-platform` do that).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from battery_platform.defs import (
    design,
    electrochemistry,
    factors,
    jobs,
    literature,
    marts,
    models,
    raw_tables,
    reseeds,
    sources,
    upkeep,
)
from battery_platform.defs.resources import default_resources
from battery_platform.defs.sources import DAILY
from battery_platform.defs.threads import threads_executor


def build_defs(overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All definitions; `overrides` replaces resources, which is the one seam tests use."""
    modules = (
        sources,
        raw_tables,
        marts,
        models,
        reseeds,
        design,
        electrochemistry,
        factors,
        literature,
        upkeep,
    )
    assets = [asset for module in modules for asset in module.ASSETS]
    assets.append(upkeep.export_asset(_exported(assets)))
    return dg.Definitions(
        assets=dg.map_asset_specs(_due_daily, assets),
        asset_checks=[check for module in modules for check in getattr(module, "CHECKS", ())],
        jobs=jobs.JOBS,
        schedules=jobs.SCHEDULES,
        sensors=jobs.SENSORS,
        resources={**default_resources(), **(overrides or {})},
        executor=threads_executor,
    )


def _exported(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetKey]:
    """Whatever may fill a table of the export: all that is computed from records."""
    return [
        key
        for asset in assets
        for key in asset.keys
        if key.path[0] not in ("sources", "raw", "staging", "core", "marts", "store")
        and key not in jobs.ON_DEMAND
    ]


def _due_daily(spec: dg.AssetSpec) -> dg.AssetSpec:
    """All that the nightly refresh makes is due every day."""
    if spec.freshness_policy is not None or spec.key in jobs.ON_DEMAND:
        return spec
    return spec.replace_attributes(freshness_policy=DAILY)


defs = build_defs()
