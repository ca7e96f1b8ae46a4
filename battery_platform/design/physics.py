"""Designs checked by physics: the discharge of the electrode that a design recommends."""

from __future__ import annotations

from typing import Any

from battery_platform.design.inverse import NoPair, answering_versions
from battery_platform.electrochemistry.half_cell_runs import Asked, at_rates, of_design, sweep
from battery_platform.electrochemistry.sweeps import Progress
from battery_platform.store.lakehouse import Lakehouse


def asked_of_designs(lake: Lakehouse) -> list[Asked]:
    """The electrode of each standing design of today's models."""
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
    return [of_design(design) for design in designs]


def discharge_designs(
    lake: Lakehouse, progress: Progress = lambda done, total: None
) -> list[dict[str, Any]]:
    """A 1C discharge of each of them."""
    return sweep(lake, asked_of_designs(lake), progress)


def ragone_of_designs(
    lake: Lakehouse, progress: Progress = lambda done, total: None
) -> list[dict[str, Any]]:
    """Their discharges from 0.2C to 5C."""
    return sweep(
        lake, [one for asked in asked_of_designs(lake) for one in at_rates(asked)], progress
    )
