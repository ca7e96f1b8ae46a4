"""Designs checked by physics: the discharge of the electrode that a design recommends."""

from __future__ import annotations

from typing import Any

from battery_platform.design.inverse import NoPair, answering_versions, models_for
from battery_platform.design.stored import (
    all_designs,
    newest,
    target_of,
    unknown_of_electrode,
    version_name,
)
from battery_platform.design.targets import is_answerable
from battery_platform.electrochemistry.half_cell_runs import Asked, at_rates, of_design, sweep
from battery_platform.errors import PlatformError
from battery_platform.made.studies import Progress, Studied, silent
from battery_platform.store.lakehouse import Lakehouse


def electrode_of(design: dict[str, Any]) -> Asked:
    """The electrode that a design recommends; refused if the design does not specify it fully."""
    unknown = unknown_of_electrode(design)
    if unknown:
        raise PlatformError(
            f"{design['design_id']} says nothing about {' and '.join(unknown)}: its electrode cannot be "
            "discharged.",
            "Ask for it with `battery-platform design --target ...`.",
        )
    return of_design(design)


def asked_of_designs(lake: Lakehouse) -> list[Asked]:
    """The electrodes of standing designs by the current models, where fully specified."""
    today: dict[tuple[str, ...], dict[str, int]] = {}
    current = []
    for design in all_designs(lake):
        target = target_of(design)
        says_enough = is_answerable(target) and not unknown_of_electrode(design)
        if not design["is_standing"] or not says_enough:
            continue
        models = tuple(models_for(target))
        if models not in today:
            today[models] = _versions_today(lake, models)
        versions = {name: design.get(version_name(name)) for name in models}
        if versions == today[models]:
            current.append(design)
    return [of_design(design) for design in newest(current)]


def _versions_today(lake: Lakehouse, models: tuple[str, ...]) -> dict[str, int]:
    """The current versions of the models; none if they do not match."""
    try:
        return answering_versions(lake, models)
    except NoPair:
        return {}


def discharge_designs(lake: Lakehouse, progress: Progress = silent) -> Studied:
    """A 1C discharge of each design's electrode."""
    return sweep(lake, asked_of_designs(lake), progress)


def ragone_of_designs(lake: Lakehouse, progress: Progress = silent) -> Studied:
    """Discharges of each design's electrode from 0.2C to 5C."""
    every = [each for asked in asked_of_designs(lake) for each in at_rates(asked)]
    return sweep(lake, every, progress)
