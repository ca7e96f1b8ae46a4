"""Contracts of cells, their formation and their tests, from one row a test to one row a point.

Currents are positive while the cell is charged. A gravimetric value needs a mass whose source
is named.
"""

from __future__ import annotations

import polars as pl

from battery_platform.contracts.base import (
    Contract,
    Moment,
    choice,
    count,
    key,
    key_count,
    moment,
    number,
    reference,
    rule,
    text,
)
from battery_platform.contracts.bounds import COUNTERS_AGREE_PCT
from battery_platform.contracts.laws import CapacityLaws, TimeLaws

CELL_FORMATS = ("coin", "pouch", "cylindrical", "prismatic", "swagelok", "other")
EFFICIENCIES = ("discharge_per_charge", "charge_per_discharge")
MASS_SOURCES = ("weighed", "from_loading_and_area", "from_recipe", "stated_by_supplier")


class Cells(Contract):
    """An assembled cell and the electrode under test in it."""

    cell_id: str = key("Identifier of the cell")
    electrode_id: str = reference("electrodes", "Electrode under test")
    cell_format: str = choice(CELL_FORMATS, "Housing of the cell")
    counter_electrode: str = text(
        "What stands against it, e.g. lithium metal",
    )
    active_mass_mg: float = number(
        "Mass of active material in the electrode under test",
        0.01,
        1e6,
        optional=True,
    )
    active_mass_source: str = choice(MASS_SOURCES, "How that mass is known", optional=True)
    assembled_at: Moment = moment("Time of sealing")
    operator: str = text("Who did it")
    remark: str = text("What was remarked")

    @rule(
        "active_mass_source",
        "An active mass of {active_mass_mg} mg is given without saying how it is known.",
        "Fill in active_mass_source, or leave the mass empty: it is never assumed.",
    )
    def mass_has_a_source(cls) -> pl.Expr:
        return pl.col("active_mass_mg").is_null() | pl.col("active_mass_source").is_not_null()


class Formations(CapacityLaws, TimeLaws):
    """The first cycles of a cell, as one row."""

    formation_id: str = key("Identifier of the formation")
    cell_id: str = reference("cells", "Cell that was formed")
    charge_capacity_mah: float = number(
        "Charge put in during the first cycle",
        0,
        1e6,
    )
    discharge_capacity_mah: float = number(
        "Charge taken out during the first cycle",
        0,
        1e6,
    )
    coulombic_efficiency_pct: float = number(
        "Charge taken out over charge put in, or the reverse for a half cell discharged first",
        0,
        110,
        optional=True,
    )
    specific_capacity_mah_g: float = number(
        "Discharge capacity per active mass",
        0,
        4400,
        optional=True,
    )
    theoretical_capacity_mah_g: float = number(
        "Capacity above which the material cannot go",
        1,
        4300,
        optional=True,
    )
    active_mass_source: str = choice(MASS_SOURCES, "How the active mass is known", optional=True)
    ir_drop_mv: float = number(
        "Voltage step at the start of the first discharge after formation",
        0,
        3000,
        optional=True,
    )
    started_at: Moment = moment("Start")
    ended_at: Moment = moment("End")

    @rule(
        "coulombic_efficiency_pct",
        "A coulombic efficiency of {coulombic_efficiency_pct} % contradicts {charge_capacity_mah} mAh "
        "in and {discharge_capacity_mah} mAh out.",
        "Correct it or leave it empty; it follows from the two capacities.",
    )
    def efficiency_matches_capacities(cls) -> pl.Expr:
        ratio = 100 * pl.col("discharge_capacity_mah") / pl.col("charge_capacity_mah")
        given = pl.col("coulombic_efficiency_pct")
        inverse = 100 * pl.col("charge_capacity_mah") / pl.col("discharge_capacity_mah")
        return ((given - ratio).abs() <= 1) | ((given - inverse).abs() <= 1)


class CyclingTests(TimeLaws):
    """One test of a cell: its protocol in a row."""

    test_id: str = key("Identifier of the test")
    cell_id: str = reference("cells", "Cell under test")
    charge_rate_c: float = number("Charge rate", 0.001, 100, optional=True)
    discharge_rate_c: float = number("Discharge rate", 0.001, 100, optional=True)
    lower_cutoff_v: float = number("Voltage at which discharge ends", -0.5, 6, optional=True)
    upper_cutoff_v: float = number("Voltage at which charge ends", -0.5, 6, optional=True)
    temperature_degc: float = number("Chamber temperature", -60, 120, optional=True)
    formation_cycles: int = count(
        "Cycles at the beginning of the test that are its formation; the features begin after them",
        le=100,
        optional=True,
    )
    started_at: Moment = moment("Start")
    ended_at: Moment = moment("End")

    @rule(
        "lower_cutoff_v",
        "The lower cut-off of {lower_cutoff_v} V is not below the upper one of {upper_cutoff_v} V.",
        "Check whether the two were swapped.",
    )
    def cutoffs_ordered(cls) -> pl.Expr:
        return pl.col("lower_cutoff_v") < pl.col("upper_cutoff_v")


class TestCycles(CapacityLaws):
    """One row per cycle of a test."""

    __test__ = False

    test_id: str = key("Identifier of the test")
    cycle: int = key_count("Cycle number")
    charge_capacity_mah: float = number("Charge put in", 0, 1e6, optional=True)
    discharge_capacity_mah: float = number(
        "Charge taken out",
        0,
        1e6,
    )
    specific_capacity_mah_g: float = number(
        "Discharge capacity per active mass",
        0,
        4400,
        optional=True,
        remedy="Check the active mass and the unit of the current (A labelled mA is the usual cause).",
    )
    theoretical_capacity_mah_g: float = number(
        "Capacity above which the material cannot go",
        1,
        4300,
        optional=True,
    )
    active_mass_source: str = choice(MASS_SOURCES, "How the active mass is known", optional=True)
    discharges: int = count(
        "How often the cycle turns to discharging; more than once, it is several cycles in one",
        optional=True,
    )
    charge_energy_mwh: float = number("Energy put in", 0, 1e7, optional=True)
    discharge_energy_mwh: float = number("Energy taken out", 0, 1e7, optional=True)
    coulombic_efficiency_pct: float = number(
        "Charge that came back over charge that went in before, the way round that is stated",
        0,
        1e4,
        optional=True,
    )
    efficiency_basis: str = choice(
        EFFICIENCIES, "Which way round the coulombic efficiency is", optional=True
    )
    charge_end_v: float = number("Voltage at which charging ended", -5, 6, optional=True)
    discharge_end_v: float = number("Voltage at which discharging ended", -5, 6, optional=True)
    counters_off_pct: float = number(
        "Difference between the counters and the current over time, of the larger charge; beyond "
        f"{COUNTERS_AGREE_PCT:g} % the cycle is not complete",
        0,
        1e6,
        optional=True,
    )
    ir_drop_mv: float = number(
        "Voltage step when the discharge was switched on, seen within 10 s", 0, 5000, optional=True
    )
    resistance_ohm: float = number(
        "That voltage step over the step of the current", 0, 1e6, optional=True
    )
    dqdv_peak_charge_v: float = number(
        "Voltage of the highest dQ/dV on charging, in bins of 10 mV", -5, 6, optional=True
    )
    dqdv_peak_discharge_v: float = number(
        "Voltage of the highest dQ/dV on discharging, in bins of 10 mV", -5, 6, optional=True
    )

    @rule(
        "coulombic_efficiency_pct",
        "A coulombic efficiency of {coulombic_efficiency_pct} % is given without its way round.",
        "State efficiency_basis: what over what.",
    )
    def efficiency_has_a_basis(cls) -> pl.Expr:
        return (
            pl.col("coulombic_efficiency_pct").is_null() | pl.col("efficiency_basis").is_not_null()
        )


class TestPoints(Contract):
    """One row per logged point of a test: the long table."""

    __test__ = False

    class Config:
        """Rows of one test must not run backwards in time."""

        metadata = {"sequence": ("test_id", "test_time_s")}  # noqa: RUF012 -- read by Pandera

    test_id: str = key("Identifier of the test")
    point: int = key_count(
        "Number of the logged point within the test",
        ("point", "data point", "record", "datenpunkt"),
    )
    test_time_s: float = number(
        "Time since the start of the test", 0, 1e10, ("test time", "time", "zeit", "temps")
    )
    recorded_at: Moment = moment("Wall clock", ("date time", "timestamp", "datum"))
    cycle: int = count("Cycle number", optional=True)
    step: int = count(
        "Step of the protocol", names=("step", "step count", "schritt"), optional=True
    )
    voltage_v: float = number("Cell voltage", -5, 6, ("voltage", "spannung", "tension"))
    current_a: float = number(
        "Current, positive while charging", -2000, 2000, ("current", "strom", "courant")
    )
    step_capacity_ah: float = number(
        "Charge passed since the step began", 0, 1e4, ("capacity", "kapazitat"), optional=True
    )
    step_energy_wh: float = number(
        "Energy passed since the step began", 0, 1e5, ("energy", "energie"), optional=True
    )
    temperature_degc: float = number("Temperature at the cell", -60, 200, optional=True)
    charge_ah: float = number("The instrument's counter of charge put in", -1e4, 1e4, optional=True)
    discharge_ah: float = number(
        "The instrument's counter of charge taken out", -1e4, 1e4, optional=True
    )
    charge_wh: float = number("The instrument's counter of energy put in", -1e5, 1e5, optional=True)
    discharge_wh: float = number(
        "The instrument's counter of energy taken out", -1e5, 1e5, optional=True
    )
