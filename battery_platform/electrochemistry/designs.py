"""Cells specified by users: a JSON file with an electrode or a graded cell, and its loads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from battery_platform.electrochemistry.electrode_tables import NEEDED, PROPERTIES, electrode_of
from battery_platform.electrochemistry.graded import cell
from battery_platform.electrochemistry.graded.cell import Design
from battery_platform.electrochemistry.graded.profiles import Layer, Profile, layers, uniform
from battery_platform.electrochemistry.graded.sizing import size
from battery_platform.electrochemistry.half_cell.electrode import Electrode
from battery_platform.electrochemistry.ranges import is_number, shown
from battery_platform.errors import PlatformError

REQUIRED = ("positive_mean", "negative_mean", "positive_um", "c_rate")
OPTIONAL = ("positive", "negative", "lower_v", "positive_direction", "negative_direction")
WANTED = (
    "Give an object with positive_mean and negative_mean (active fractions, 0.2 to 0.8), positive_um and "
    "c_rate (a number or a list); positive and negative are ten fractions each, left out for uniform."
)

ELECTRODE_WANTED = (
    f"Give an object with {', '.join(NEEDED)}; {', '.join(PROPERTIES[4:])}, size_shares (six numbers) "
    "and is_synthetic may be left out."
)


def read_electrode(path: Path) -> tuple[Electrode, bool]:
    """The electrode in a JSON file, and whether the file says that it is synthetic."""
    given = _object(path, ELECTRODE_WANTED)
    synthetic = given.pop("is_synthetic", False)
    wrong = [
        *(f"{name} is missing" for name in NEEDED if name not in given),
        *(f"{name} is unknown" for name in given if name not in (*PROPERTIES, "size_shares")),
        *([] if isinstance(synthetic, bool) else ["is_synthetic must be true or false"]),
    ]
    if wrong:
        raise PlatformError(f"{path}: {'; '.join(wrong)}.", ELECTRODE_WANTED)
    return electrode_of(given), synthetic


def _object(path: Path, wanted: str) -> dict[str, Any]:
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise PlatformError(f"{path} cannot be read as JSON: {error}.", wanted) from error
    if not isinstance(given, dict):
        raise PlatformError(f"{path} holds no object.", wanted)
    return given


def read_designs(path: Path) -> list[Design]:
    """One design per load; an error in the file is reported in a sentence."""
    given = _object(path, WANTED)
    wrong = [
        *(f"{name} is missing" for name in REQUIRED if name not in given),
        *(f"{name} is unknown" for name in given if name not in (*REQUIRED, *OPTIONAL)),
    ]
    if wrong:
        raise PlatformError(f"{path}: {'; '.join(wrong)}.", WANTED)
    loads = given["c_rate"] if isinstance(given["c_rate"], list) else [given["c_rate"]]
    if not loads:
        raise PlatformError(f"{path}: c_rate is an empty list.", WANTED)
    designs = [_design(path, given, load) for load in loads]
    for design in designs:
        cell.check_graded_cell(design)
    return designs


def _design(path: Path, given: dict[str, Any], load: Any) -> Design:
    def number(name: str) -> float:
        return _number(path, name, given[name])

    return Design(
        positive=_profile(path, "positive", given.get("positive"), number("positive_mean")),
        negative=_profile(path, "negative", given.get("negative"), number("negative_mean")),
        positive_mean=number("positive_mean"),
        negative_mean=number("negative_mean"),
        positive_um=number("positive_um"),
        c_rate=_number(path, "c_rate", load),
        lower_v=number("lower_v") if "lower_v" in given else 2.5,
        positive_direction=str(given.get("positive_direction", "graded")),
        negative_direction=str(given.get("negative_direction", "graded")),
    )


def _profile(path: Path, name: str, points: Any, mean: float) -> Profile:
    if points is None:
        return uniform(mean)
    if not isinstance(points, list):
        raise PlatformError(f"{path}: {name} is {points!r}, ten fractions are expected.", WANTED)
    return Profile(tuple(_number(path, name, point) for point in points))


def _number(path: Path, name: str, value: Any) -> float:
    if not is_number(value):
        raise PlatformError(f"{path}: {name} is {shown(value)}, a number is expected.", WANTED)
    return float(value)


def in_layers(design: Design, count: int) -> Design:
    """The same cell as it can be coated: in `count` layers per electrode, one if it is uniform."""

    def plan(profile: Profile) -> tuple[Layer, ...]:
        return layers(profile, count if len(set(profile.points)) > 1 else 1)

    return replace(
        design, positive_layers=plan(design.positive), negative_layers=plan(design.negative)
    )


def layer_plan(design: Design) -> list[dict[str, Any]]:
    """The layers to coat, from separator to collector."""
    sizes = size(design.negative_mean, design.positive_mean, design.positive_um)
    thickness = {"positive": design.positive_um, "negative": sizes.negative_um}
    plans = {"positive": design.positive_layers, "negative": design.negative_layers}
    return [
        {
            "electrode": name,
            "layer": number,
            "thickness_um": layer.thickness_share * thickness[name],
            "active_fraction": layer.active_fraction,
        }
        for name, plan in plans.items()
        for number, layer in enumerate(plan or (), start=1)
    ]
