"""Designs checked by physics: the discharge of the electrode that a design recommends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from battery_platform.design.inverse import NoPair, answering_versions
from battery_platform.electrochemistry.runs import electrode_of, simulate
from battery_platform.store.lakehouse import Lakehouse


def discharge_designs(
    lake: Lakehouse, progress: Callable[[str], None] = lambda said: None
) -> list[tuple[dict[str, Any], bool]]:
    """A discharge of each standing design of today's models; true where it was simulated."""
    try:
        versions = answering_versions(lake)
    except NoPair:
        return []
    designs = lake.records(
        """SELECT * FROM designs WHERE mass_loading_version = ? AND porosity_version = ? AND is_standing
           QUALIFY row_number() OVER (
             PARTITION BY target_mass_loading_mg_cm2, target_porosity_pct,
               tolerance_mass_loading_mg_cm2, tolerance_porosity_pct ORDER BY made_at DESC) = 1
           ORDER BY made_at""",
        [versions["mass-loading"], versions["porosity"]],
    )
    found = []
    for number, design in enumerate(designs, start=1):
        row, new = simulate(lake, electrode_of(design), design["is_synthetic"], design["design_id"])
        progress(f"{number} of {len(designs)}: {design['design_id']}: {row['end_reason']}")
        found.append((row, new))
    return found
