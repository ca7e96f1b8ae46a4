"""The code location: assembles what `defs/` holds.

Every module of `defs/` that names `ASSETS` takes part. Nothing is computed or contacted here; the dbt
manifest is prepared before (`make install` and every command of `battery-platform` do that).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import dagster as dg

from battery_platform.defs import __path__ as folder
from battery_platform.defs import jobs, upkeep
from battery_platform.defs.resources import default_resources
from battery_platform.defs.sources import DAILY
from battery_platform.defs.threads import threads_executor

RECORDS = ("sources", "raw", "staging", "core", "marts")
"""Layers that hold what was handed in, and what dbt makes of it."""

OF_OTHER_PROGRAMS = ("storage", "pages", "dbt_child")
"""Modules of `defs/` that define nothing and that other programs load, with what these cost to import."""


def build_defs(overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All definitions; `overrides` replaces resources, which is the one seam tests use."""
    modules = [
        import_module(f"battery_platform.defs.{module.name}")
        for module in iter_modules(folder)
        if module.name not in OF_OTHER_PROGRAMS
    ]
    assets = [asset for module in modules for asset in getattr(module, "ASSETS", ())]
    assets.append(upkeep.export_asset(_exported(assets)))
    return dg.Definitions(
        assets=dg.map_asset_specs(_due_daily, assets),
        jobs=jobs.JOBS,
        schedules=jobs.SCHEDULES,
        sensors=jobs.SENSORS,
        resources={**default_resources(), **(overrides or {})},
        executor=threads_executor,
    )


def _exported(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetKey]:
    """Whatever a refresh computes from records may fill a table of the export."""
    return [
        key
        for asset in assets
        for key in asset.keys
        if key.path[0] not in RECORDS and key not in jobs.ON_DEMAND
    ]


def _due_daily(spec: dg.AssetSpec) -> dg.AssetSpec:
    """All that the nightly refresh makes is due every day."""
    if spec.freshness_policy is not None or spec.key in jobs.ON_DEMAND:
        return spec
    return spec.replace_attributes(freshness_policy=DAILY)


defs = build_defs()
