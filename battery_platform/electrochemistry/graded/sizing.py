"""Capacity, thickness of the negative electrode, current and mass of a graded cell.

In scope: equations 4 to 9 of paper 002, which need no solver. Out of scope: how the mass is distributed,
as a profile does not change the total, and anything that depends on time.

Limitations: equal areal capacities (N = P); each collector is coated on one side.
"""

from __future__ import annotations

from dataclasses import dataclass

from battery_platform.electrochemistry.assumptions import Assumptions, numbers
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.profiles import HIGHEST, LOWEST
from battery_platform.electrochemistry.materials import FARADAY
from battery_platform.electrochemistry.ranges import check_range

THINNEST_UM, THICKEST_UM = 20.0, 400.0


@dataclass(frozen=True)
class Sizing:
    """A cell per square metre of one coating of each electrode."""

    capacity_ah_m2: float
    negative_um: float
    collectors_kg_m2: float
    negative_kg_m2: float
    separator_kg_m2: float
    positive_kg_m2: float

    @property
    def capacity_mah_cm2(self) -> float:
        return 0.1 * self.capacity_ah_m2

    @property
    def cell_kg_m2(self) -> float:
        """Equation 9: the mass that specific energy and power refer to."""
        return (
            self.collectors_kg_m2 + self.negative_kg_m2 + self.separator_kg_m2 + self.positive_kg_m2
        )


def size(
    negative_mean: float,
    positive_mean: float,
    positive_um: float,
    assumptions: Assumptions = GRADED,
) -> Sizing:
    """Equations 4, 5 and 9; impossible values are refused."""
    for field, value, low, high, remedy in (
        ("negative_mean", negative_mean, LOWEST, HIGHEST, "Give a fraction of the volume."),
        ("positive_mean", positive_mean, LOWEST, HIGHEST, "Give a fraction of the volume."),
        ("positive_um", positive_um, THINNEST_UM, THICKEST_UM, "Give micrometres, one side."),
    ):
        check_range(field, value, low, high, remedy)
    given = numbers(assumptions)
    window = given["positive_filling_end"] - given["positive_filling_start"]
    sites = given["positive_maximum_mol_m3"] * positive_mean * 1e-6 * positive_um
    charge = FARADAY * sites * window
    negative_window = given["negative_filling_start"] - given["negative_filling_end"]
    negative_m = charge / (
        FARADAY * given["negative_maximum_mol_m3"] * negative_mean * negative_window
    )
    return Sizing(
        capacity_ah_m2=charge / 3600,
        negative_um=1e6 * negative_m,
        collectors_kg_m2=1e-6
        * (
            given["aluminium_density_kg_m3"] * given["aluminium_thickness_um"]
            + given["copper_density_kg_m3"] * given["copper_thickness_um"]
        ),
        negative_kg_m2=negative_m * electrode_density("negative", negative_mean, assumptions),
        separator_kg_m2=1e-6 * given["separator_thickness_um"] * separator_density(assumptions),
        positive_kg_m2=1e-6
        * positive_um
        * electrode_density("positive", positive_mean, assumptions),
    )


def electrode_density(electrode: str, mean: float, assumptions: Assumptions = GRADED) -> float:
    """Density of an electrode with its pores full of electrolyte, in kg/m³."""
    given = numbers(assumptions)
    binder = given["binder_fraction"]
    return (
        given[f"{electrode}_density_kg_m3"] * mean
        + given["binder_density_kg_m3"] * binder
        + given["electrolyte_density_kg_m3"] * (1 - binder - mean)
    )


def separator_density(assumptions: Assumptions = GRADED) -> float:
    """Density of the separator full of electrolyte, in kg/m³."""
    given = numbers(assumptions)
    pores = given["separator_porosity"]
    return (
        given["separator_density_kg_m3"] * (1 - pores) + pores * given["electrolyte_density_kg_m3"]
    )


def current_a_m2(sizing: Sizing, c_rate: float) -> float:
    """Equation 6: the current density at a rate."""
    return c_rate * sizing.capacity_ah_m2


def specific_energy_wh_kg(energy_wh_m2: float, sizing: Sizing) -> float:
    """Equation 7, from the energy per area."""
    return energy_wh_m2 / sizing.cell_kg_m2


def specific_power_w_kg(energy_wh_m2: float, discharge_s: float, sizing: Sizing) -> float:
    """Equation 8: the mean over the discharge."""
    return 3600 * energy_wh_m2 / discharge_s / sizing.cell_kg_m2
