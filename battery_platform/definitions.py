"""The code location: assembles what `defs/` holds.

Nothing is computed or contacted here; the dbt manifest is prepared before (`make install` and
every command of `battery-platform` do that).
"""

from __future__ import annotations

from collections.abc import Mapping
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
    return dg.Definitions(
        assets=[asset for module in modules for asset in module.ASSETS],
        asset_checks=[check for module in modules for check in getattr(module, "CHECKS", ())],
        jobs=jobs.JOBS,
        schedules=jobs.SCHEDULES,
        sensors=jobs.SENSORS,
        resources={**default_resources(), **(overrides or {})},
        executor=threads_executor,
    )


defs = build_defs()
