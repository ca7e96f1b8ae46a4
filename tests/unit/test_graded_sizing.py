"""Equations 4 to 9 and the numbers they rest on."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from battery_platform.electrochemistry.assumptions import changed, numbers
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.replication import sizes
from battery_platform.electrochemistry.graded.sizing import (
    current_a_m2,
    size,
    specific_energy_wh_kg,
    specific_power_w_kg,
)
from battery_platform.errors import PlatformError


def test_the_printed_sizes() -> None:
    sizing = size(0.7, 0.7, 120.0)
    assert round(sizing.capacity_mah_cm2, 2) == 5.27
    assert round(sizing.negative_um, 1) == 102.8
    assert all(row.passed for row in sizes())


def test_capacities_balance_and_scale() -> None:
    base = size(0.7, 0.7, 120.0)
    assert size(0.7, 0.7, 240.0).capacity_ah_m2 == pytest.approx(2 * base.capacity_ah_m2)
    thinner = size(0.65, 0.7, 120.0)
    assert thinner.capacity_ah_m2 == base.capacity_ah_m2
    assert thinner.negative_um == pytest.approx(base.negative_um * 0.7 / 0.65)


def test_current_energy_and_power() -> None:
    sizing = size(0.7, 0.7, 120.0)
    current = current_a_m2(sizing, 5.0)
    assert current == pytest.approx(5 * sizing.capacity_ah_m2)
    energy = current * 3.5 * 0.1
    assert specific_energy_wh_kg(energy, sizing) == pytest.approx(energy / sizing.cell_kg_m2)
    power = specific_power_w_kg(energy, 360.0, sizing)
    assert power == pytest.approx(current * 3.5 / sizing.cell_kg_m2)


def test_the_mass_is_that_of_every_part() -> None:
    sizing = size(0.7, 0.65, 100.0)
    given = numbers(GRADED)
    foils = (2707 * given["aluminium_thickness_um"] + 8954 * given["copper_thickness_um"]) * 1e-6
    positive = 1e-4 * (4210 * 0.65 + 1800 * 0.1 + 1324 * 0.25)
    negative = 1e-6 * sizing.negative_um * (2200 * 0.7 + 1800 * 0.1 + 1324 * 0.2)
    separator = 20e-6 * (855 * 0.6 + 1324 * 0.4)
    assert sizing.cell_kg_m2 == pytest.approx(foils + positive + negative + separator)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ((70.0, 0.7, 120.0), "negative_mean"),
        ((0.7, math.nan, 120.0), "positive_mean"),
        ((0.7, 0.7, 120e-6), "positive_um"),
        ((0.7, 0.7, "120"), "positive_um"),
        ((0.7, True, 120.0), "positive_mean"),
    ],
)
def test_what_cannot_be_is_refused(values: tuple[float, float, float], field: str) -> None:
    with pytest.raises(PlatformError, match=field):
        size(*values)


def test_assumptions_are_complete_and_traceable() -> None:
    assert len({assumption.name for assumption in GRADED}) == len(GRADED)
    for assumption in GRADED:
        assert assumption.reason
        assert assumption.source
        if not isinstance(assumption.value, str):
            assert float(assumption.low) <= assumption.value <= float(assumption.high), (
                assumption.name
            )
    for name in ("heat_transfer_w_m2_k", "transference_number", "positive_shift_v"):
        assert changed(GRADED, **{name: next(a for a in GRADED if a.name == name).low})


def test_the_package_can_be_imported_without_the_solver() -> None:
    code = (
        "import sys; import battery_platform.electrochemistry.graded.cell;"
        "import battery_platform.electrochemistry.graded.replication;"
        "sys.exit(any(m in sys.modules for m in ('pybamm', 'matplotlib', 'scipy', 'dagster')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
