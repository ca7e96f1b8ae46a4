"""Profiles: what they must obey, and what follows from them by geometry."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from battery_platform.electrochemistry.graded import profiles
from battery_platform.electrochemistry.graded.profiles import (
    Layer,
    Profile,
    cell_averages,
    check_layers,
    check_profile,
    layered_averages,
    layers,
    mean,
    random_profiles,
    reversed_,
    uniform,
)
from battery_platform.electrochemistry.graded.replication import CASES, NEGATIVE, POSITIVE
from battery_platform.errors import PlatformError

STEP = POSITIVE[1, 1]
PUBLISHED = [
    (name, key, profile, CASES[key[0]][which])
    for which, (name, table) in enumerate((("positive", POSITIVE), ("negative", NEGATIVE)))
    for key, profile in table.items()
]


def test_all_published_profiles_hold_under_pchip_and_three_fail_under_straight_lines() -> None:
    assert len(PUBLISHED) == 16
    failing = []
    for name, key, profile, target in PUBLISHED:
        check_profile(profile, target)
        straight = np.trapezoid(profile.points, dx=1 / 9)
        if abs(straight - target) > 0.001:
            failing.append((name, key, round(float(straight), 4)))
    assert failing == [
        ("positive", (3, 1), 0.6463),
        ("negative", (2, 2), 0.6468),
        ("negative", (3, 1), 0.7016),
    ]


@pytest.mark.parametrize(
    ("profile", "target", "says"),
    [
        (replace(STEP, points=(*STEP.points[:9], 1.2)), 0.7, "point 10, is 1.2; it must lie"),
        (replace(STEP, points=(0.1, *STEP.points[1:])), 0.7, "point 1, is 0.1; it must lie"),
        (replace(STEP, points=(math.nan, *STEP.points[1:])), 0.7, "point 1, is nan"),
        (replace(STEP, points=("0.6", *STEP.points[1:])), 0.7, "point 1, is '0.6'"),  # type: ignore[arg-type]
        (replace(STEP, points=(True, *STEP.points[1:])), 0.7, "point 1, is True"),
        (Profile(STEP.points[:9]), 0.7, "has 9 points; it must have 10"),
        (Profile((*STEP.points, 0.7966)), 0.7, "has 11 points"),
        (reversed_(STEP), 0.7, "from 0.7966 at point 5 to 0.6053 at point 6"),
        (STEP, 0.65, "has a mean of 0.70"),
        (STEP, 70.0, "_mean is 70.0; it must lie between 0.2 and 0.8"),
        (STEP, math.nan, "_mean is nan"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_range(
    profile: Profile, target: float, says: str
) -> None:
    with pytest.raises(PlatformError, match="positive") as refused:
        check_profile(profile, target, "positive")
    assert says in refused.value.says
    assert refused.value.remedy


def test_the_other_direction_is_allowed_only_when_asked_for() -> None:
    check_profile(reversed_(STEP), 0.7, direction="reversed")
    check_profile(uniform(0.7), 0.7, direction="reversed")
    with pytest.raises(PlatformError, match="must not rise"):
        check_profile(STEP, 0.7, direction="reversed")
    with pytest.raises(PlatformError, match="graded or reversed"):
        check_profile(STEP, 0.7, direction="up")
    assert mean(reversed_(STEP)) == pytest.approx(mean(STEP), abs=1e-12)


def test_pores_are_what_binder_and_active_material_leave() -> None:
    lowest, highest = Profile((0.2,) * 10).porosities, Profile((0.8,) * 10).porosities
    assert lowest[0] == pytest.approx(0.7)
    assert highest[0] == pytest.approx(0.1)


def test_cell_averages_are_exact() -> None:
    edges = np.linspace(0, 1, 21)
    averages = cell_averages(STEP, edges)
    from scipy.interpolate import PchipInterpolator

    curve = PchipInterpolator(np.linspace(0, 1, 10), STEP.points)
    fine = np.linspace(edges[:-1], edges[1:], 20_001)
    assert averages == pytest.approx(np.trapezoid(curve(fine), fine, axis=0) * 20, abs=1e-8)
    assert np.mean(averages) == pytest.approx(mean(STEP), abs=1e-12)
    uneven = np.array([0.0, 0.07, 0.5, 1.0])
    assert np.dot(cell_averages(STEP, uneven), np.diff(uneven)) == pytest.approx(mean(STEP))


@pytest.mark.parametrize("target", [0.3, 0.65, 0.7, 0.79])
def test_random_profiles_keep_their_mean_and_their_seed(target: float) -> None:
    drawn = random_profiles(target, 50, seed=7)
    assert [mean(profile) for profile in drawn] == pytest.approx([target] * 50, abs=1e-9)
    assert drawn == random_profiles(target, 50, seed=7)
    assert drawn != random_profiles(target, 50, seed=8)
    assert random_profiles(target, 5, seed=7) == drawn[:5]
    assert len(set(drawn)) == 50


@pytest.mark.parametrize(("target", "count"), [(0.9, 1), (math.nan, 1), (0.7, -1), (0.7, 1.5)])
def test_random_profiles_that_cannot_be_are_refused(target: float, count: Any) -> None:
    with pytest.raises(PlatformError, match="must lie between"):
        random_profiles(target, count, seed=0)


def test_layers_hold_the_same_material_and_fit_better_the_more_there_are() -> None:
    profile = NEGATIVE[2, 1]
    edges = np.linspace(0, 1, 181)
    errors = []
    for count in range(1, 6):
        plan = layers(profile, count)
        assert len(plan) == count
        check_layers(plan, mean(profile))
        held = sum(layer.thickness_share * layer.active_fraction for layer in plan)
        assert held == pytest.approx(mean(profile), abs=1e-12)
        fractions = [layer.active_fraction for layer in plan]
        assert fractions == sorted(fractions)
        difference = layered_averages(plan, edges) - cell_averages(profile, edges)
        errors.append(float(np.mean(difference**2)))
    assert errors == sorted(errors, reverse=True)
    assert layers(uniform(0.7), 1) == (Layer(1.0, pytest.approx(0.7)),)


def test_two_layers_of_a_step_meet_where_it_rises() -> None:
    low, high = layers(STEP, 2)
    assert low.thickness_share == pytest.approx(0.5, abs=0.01)
    assert (low.active_fraction, high.active_fraction) == pytest.approx((0.61, 0.79), abs=0.01)


@pytest.mark.parametrize("count", [0, 11, 2.5])
def test_an_impossible_number_of_layers_is_refused(count: Any) -> None:
    with pytest.raises(PlatformError, match="layers cannot be coated"):
        layers(STEP, count)


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ((), "has 0 layers"),
        ((Layer(0.5, 0.6),), "add up to 0.5"),
        ((Layer(0.5, 0.6), Layer(0.5, 0.95)), "layer 2: active_fraction is 0.95"),
        ((Layer(0.5, 0.6), Layer(0.5, 0.7)), "has a mean of 0.65"),
        ((Layer(math.nan, 0.6), Layer(0.5, 0.7)), "layer 1: thickness_share is nan"),
    ],
)
def test_impossible_layers_are_refused(plan: tuple[Layer, ...], says: str) -> None:
    with pytest.raises(PlatformError) as refused:
        check_layers(plan, 0.7)
    assert says in refused.value.says


def test_layered_averages_are_exact() -> None:
    plan = (Layer(0.3, 0.6), Layer(0.7, 0.7))
    averages = layered_averages(plan, np.array([0.0, 0.15, 0.5, 1.0]))
    assert averages == pytest.approx([0.6, (0.15 * 0.6 + 0.2 * 0.7) / 0.35, 0.7])


def test_points_lie_between_limits_that_the_paper_gives() -> None:
    assert (profiles.LOWEST, profiles.HIGHEST, profiles.BINDER) == (0.2, 0.8, 0.1)
