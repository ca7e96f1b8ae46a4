"""Simulated discharges, the assumptions under them, and published values beside ours."""

from __future__ import annotations

import polars as pl

from battery_platform.contracts.base import (
    Contract,
    Moment,
    count,
    flag,
    key,
    key_count,
    moment,
    number,
    rule,
    text,
)
from battery_platform.contracts.products.declaring import product

LARGE = 1e12


@product(
    "assumptions",
    "numbers of the simulations that no data give",
    "assumptions",
    identifier="digest",
)
class Assumptions(Contract):
    """A number or choice that a simulation needs and no data give."""

    model: str = key("Simulation that uses it")
    name: str = key("Quantity")
    value: str = text("Value", optional=False)
    unit: str = text("Unit", optional=False)
    low: str = text("Lowest plausible value, or the one choice", optional=False)
    high: str = text("Highest plausible value, or the other choice", optional=False)
    reason: str = text("Why this value", optional=False)
    source: str = text("Where it comes from", optional=False)
    digest: str = text("Hash of the whole table of that simulation", optional=False)


@product(
    "discharges",
    "simulated discharges",
    "discharge",
    parents=(
        "SELECT discharge_id, 'assumptions', assumptions_hash FROM discharges",
        """SELECT discharge_id, 'design', subject FROM discharge_subjects
           WHERE origin = 'designs'""",
        """SELECT discharge_id, 'electrode', subject FROM discharge_subjects
           WHERE origin = 'mart_electrodes'""",
    ),
    id_prefix="discharge-",
)
class Discharges(Contract):
    """A simulated discharge of one electrode, with its figures on the electrode's mass."""

    discharge_id: str = key("Hash of electrode, load, assumptions and code")
    c_rate: float = number("C-rate", 0.001, 100)
    lower_cutoff_v: float = number("Cut-off", 0, 6)
    mass_loading_mg_cm2: float = number("Mass loading", 0, 500)
    loading_basis: str = text("What it counts", optional=False)
    porosity_pct: float = number("Porosity", 0, 100)
    active_material_pct: float = number("Active material of the solids", 0, 100)
    thickness_um: float = number("Thickness of the coating", 0.1, 5000)
    tortuosity_factor: float = number("Of the electrolyte in the pores", 0.5, 1000)
    specific_surface_1_um: float = number("Wetted surface per volume of electrode", 0, 100)
    electronic_conductivity_s_m: float = number("Of the electrode as a whole", 0, 1e7)
    size_shares: str = text("Shares of six groups of particle radii, as JSON", optional=False)
    derived: str = text("Which of these were not given but follow from the assumptions")
    specific_energy_wh_kg: float = number("Energy per electrode mass", 0, 2000, optional=True)
    specific_power_w_kg: float = number("Power per electrode mass", 0, 1e5, optional=True)
    capacity_mah_g: float = number("Charge per active mass", 0, 400, optional=True)
    areal_capacity_mah_cm2: float = number("Charge per area", 0, 100, optional=True)
    discharge_time_s: float = number("Time until the cut-off", 0, 1e8, optional=True)
    electrode_mass_mg_cm2: float = number("Mass that energy and power refer to", 0, 1000)
    unused_share: float = number(
        "Share of the usable charge that transport through the electrode left behind",
        0,
        2,
        optional=True,
    )
    unused_in_particles: float = number(
        "Share that is left behind even in the fullest particles: diffusion in them, and overvoltage",
        -0.1,
        2,
        optional=True,
    )
    limited_by: str = text(
        "What left most charge behind, if more than 0.05: electrolyte, electrons, particles, or nothing"
    )
    ended_by: str = text("What ended it", optional=False)
    electrolyte_depleted: bool = flag("Whether the salt was used up somewhere")
    failed: bool = flag("Whether the solver gave up; then there is no curve")
    reason: str = text("Why it failed")
    first_failure: str = text("Why the first try failed, where a finer mesh was needed")
    curve_time_s: str = text("Moments of the curve, as JSON: cast to DOUBLE[]")
    curve_voltage_v: str = text("Voltages at those moments, as JSON: cast to DOUBLE[]")
    solver: str = text("Mesh and tolerances, as JSON", optional=False)
    solve_s: float = number("Time of the solve", 0, 1e6)
    assumptions_hash: str = text("Hash of the assumptions", optional=False)
    code_version: str = text("Hash of the code", optional=False)
    made_at: Moment = moment("When it was simulated", optional=False)
    is_synthetic: bool = flag("Whether synthetic data stand behind the electrode")

    @rule(
        "specific_power_w_kg",
        "A power of {specific_power_w_kg} W/kg is not {specific_energy_wh_kg} Wh/kg in {discharge_time_s} s.",
        "This is a fault of the platform: please report it.",
    )
    def power_is_energy_over_time(cls) -> pl.Expr:
        expected = pl.col("specific_energy_wh_kg") * 3600 / pl.col("discharge_time_s")
        return (pl.col("specific_power_w_kg") - expected).abs() <= 1e-3 * expected


@product("discharge_subjects", "electrodes that were discharged", "discharge", is_part=True)
class DischargeSubjects(Contract):
    """Whose electrode was discharged: the same numbers may stand in several places."""

    origin: str = key("Table or file that states the electrode, such as designs")
    subject: str = key("The electrode's name there, such as a design_id")
    discharge_id: str = key("Its discharge")


@product(
    "graded_discharges",
    "simulated discharges of graded cells",
    "graded discharge",
    parents=("SELECT run_id, 'assumptions', assumptions_hash FROM graded_discharges",),
    id_prefix="graded-",
)
class GradedDischarges(Contract):
    """One simulated discharge of a full cell with graded electrodes (paper 002)."""

    run_id: str = key("Hash of profiles, thickness, load, assumptions and code")
    positive_mean: float = number("Mean active fraction of the positive electrode", 0.2, 0.8)
    negative_mean: float = number("Mean active fraction of the negative electrode", 0.2, 0.8)
    positive_profile: str = text(
        "Ten active fractions from separator to collector, as JSON", optional=False
    )
    negative_profile: str = text(
        "Ten active fractions from separator to collector, as JSON", optional=False
    )
    positive_layers: str = text("The coating in layers that was simulated instead, as JSON")
    negative_layers: str = text("The coating in layers that was simulated instead, as JSON")
    positive_direction: str = text("Whether it is graded towards the collector", optional=False)
    negative_direction: str = text("Whether it is graded towards the collector", optional=False)
    positive_thickness_um: float = number("Thickness of the positive electrode", 1, 1000)
    negative_thickness_um: float = number(
        "Thickness of the negative electrode, by balance", 1, 2000, optional=True
    )
    c_rate: float = number("Multiple of 1C", 0.01, 20)
    lower_cutoff_v: float = number("Voltage at which it ends", 0, 5)
    specific_energy_wh_kg: float = number("Energy on the cell's mass", 0, 1000, optional=True)
    specific_power_w_kg: float = number("That energy over the time", 0, 1e5, optional=True)
    areal_capacity_mah_cm2: float = number("Charge per area", 0, 100, optional=True)
    temperature_rise_k: float = number("Highest rise of temperature", -50, 500, optional=True)
    discharge_time_s: float = number("Duration", 0, 1e6, optional=True)
    ended_by: str = text("What ended it", optional=False)
    electrolyte_depleted: bool = flag("Whether the salt was used up somewhere")
    failed: bool = flag("Whether the solver gave up")
    reason: str = text("Why it failed")
    first_failure: str = text("Why the first try failed, where a finer mesh was needed")
    curve_time_s: str = text("Moments of the curve, as JSON: cast to DOUBLE[]")
    curve_voltage_v: str = text("Voltages at those moments, as JSON: cast to DOUBLE[]")
    solver: str = text("Mesh and tolerances, as JSON", optional=False)
    solve_s: float = number("Time of the solve", 0, 1e6)
    assumptions_hash: str = text("Hash of the assumptions", optional=False)
    code_version: str = text("Hash of the code", optional=False)
    made_at: Moment = moment("When it was simulated", optional=False)


@product(
    "graded_optima",
    "best pairs of profiles of the sweep",
    "graded optimum",
    identifier="'optima/' || part",
    parents=("SELECT 'optima/' || part, 'assumptions', assumptions_hash FROM graded_optima",),
    id_prefix="optima/",
)
class GradedOptima(Contract):
    """The best pairs of profiles of a case and thickness, by their sum of gains over 1C to 5C."""

    part: str = key("Case and thickness, as the partition of the sweep")
    case_number: int = count("Case of paper 002", ge=1)
    positive_thickness_um: float = number("Thickness of the positive electrode", 1, 1000)
    place: int = key_count("1 is the best")
    positive_profile: str = text(
        "Ten active fractions from separator to collector, as JSON", optional=False
    )
    negative_profile: str = text(
        "Ten active fractions from separator to collector, as JSON", optional=False
    )
    gain_sum_wh_kg: float = number(
        "Sum over the rates of the gain over the uniform cell", -1e4, 1e4
    )
    gain_5c_pct: float = number("Gain at 5C", -100, 1e6, optional=True)
    place_at_160_um: int = count("Place of the same pair at 160 um", ge=1)
    share_of_best_at_160_um: float = number(
        "Its gain there over that of the best pair there", -100, 1.0001, optional=True
    )
    n_pairs: int = count("Pairs compared", ge=1)
    code_version: str = text("Hash of the code", optional=False)
    assumptions_hash: str = text("Hash of the assumptions", optional=False)
    made_at: Moment = moment("When they were compared", optional=False)


@product(
    "replications",
    "published values beside ours",
    "replication",
    identifier="'replication/' || paper_id",
    parents=(
        "SELECT 'replication/' || paper_id, 'assumptions', assumptions_hash FROM replications",
    ),
    id_prefix="replication/",
)
class Replications(Contract):
    """A published number or statement beside ours."""

    paper_id: str = key("Paper, e.g. 002")
    place: int = count("Place in the comparison")
    quantity: str = key("What is compared")
    case_name: str = key("Case of the paper")
    paper: float = number(
        "The paper's value; empty where it states a law", -LARGE, LARGE, optional=True
    )
    ours: float = number("Ours; empty where it could not be computed", -LARGE, LARGE, optional=True)
    unit: str = text("Unit of both")
    deviation_pct: float = number("Ours relative to the paper's", -LARGE, LARGE, optional=True)
    tolerance: float = number("What is allowed, relative", 0, LARGE)
    rule: str = text("What ours must obey", optional=False)
    passed: bool = flag("Whether it does")
    source: str = text("Where the paper says it", optional=False)
    assumptions_hash: str = text("Hash of the assumptions", optional=False)
    code_version: str = text("Hash of the code", optional=False)
    made_at: Moment = moment("When it was computed", optional=False)


@product(
    "assumption_effects",
    "effects of single assumptions",
    "assumption effects",
    identifier="'effects/' || paper_id",
    parents=(
        "SELECT 'effects/' || paper_id, 'assumptions', assumptions_hash FROM assumption_effects",
    ),
    id_prefix="effects/",
)
class AssumptionEffects(Contract):
    """What a headline result becomes when one assumption goes to an end of its range."""

    paper_id: str = key("Paper whose result it is, e.g. 002")
    assumption: str = key("Name of the assumption")
    end: str = key("Which end of its range: low, high, or chosen")
    value: float = number("Value of the assumption", -1e30, 1e30)
    unit: str = text("Its unit")
    energy_uniform_wh_kg: float = number("Energy of the uniform cell", 0, 1000, optional=True)
    energy_graded_wh_kg: float = number("Energy of the graded cell", 0, 1000, optional=True)
    gain_pct: float = number("Gain of the graded cell", -100, 1e6, optional=True)
    assumptions_hash: str = text("Hash of the assumptions that were changed", optional=False)
    code_version: str = text("Hash of the code", optional=False)
    made_at: Moment = moment("When it was computed", optional=False)
