"""Contract of a wide table of cells: recipe, process, electrode, what was measured, and the fade.

For laboratories that keep one sparse row per cell instead of a record per step, as paper 001 does.
Nothing but the identifiers is required: an empty field means that nobody measured it.
"""

from __future__ import annotations

import polars as pl

from battery_platform.contracts.base import Contract, choice, count, key, number, rule, text
from battery_platform.contracts.laws import solid_density_g_cm3

GRAPHITE_MAH_G = 372.0
ABOVE_THEORY = 1.02
"""Tolerance for a slightly wrong measured mass."""
VERDICTS = ("ok", "formation_incomplete", "cycling_incomplete", "electrode_out_of_tolerance")
SHARES = (
    "graphite_pct",
    "carbon_black_pct",
    "cmc_pct",
    "sbr_pct",
    "long_cnt_pct",
    "short_cnt_pct",
    "carbon_fibre_pct",
    "dispersant_pct",
)
_NUMBER = r"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|null"
_LIST = rf"^\s*\[\s*(?:{_NUMBER})(?:\s*,\s*(?:{_NUMBER}))*\s*\]\s*$"


def _share(description: str, names: tuple[str, ...]) -> float:
    full_description = f"{description}, share of the dry coating"
    return number(full_description, 0, 100, names, optional=True)  # type: ignore[no-any-return]


def _theory() -> pl.Expr:
    return pl.col("theoretical_capacity_mah_g").fill_null(GRAPHITE_MAH_G) * ABOVE_THEORY


def _curve() -> pl.Expr:
    """The capacities in the list; entries that are no numbers become null."""
    capacity = pl.element().str.strip_chars().cast(pl.Float64, strict=False)
    return pl.col("capacities_mah_g").str.strip_chars(" []").str.split(",").list.eval(capacity)


class CellCases(Contract):
    """A cell of a campaign: its case (one recipe and one way of making it) and all that is known."""

    cell_id: str = key("Identifier of the cell")
    case_id: str = text(
        "Recipe and way of making that the cell shares with its replicates",
        ("case", "case no", "fall", "cas"),
        optional=False,
    )
    qc_status_code: str = choice(
        VERDICTS,
        "Whether the cell counts, and if not why",
        ("quality", "qc status", "qualitatsstatus", "statut qualite"),
        optional=True,
    )
    theoretical_capacity_mah_g: float = number(
        "Capacity above which the material cannot go; 372 mAh/g (graphite) where not given",
        1,
        4300,
        optional=True,
    )

    graphite_pct: float = _share("Graphite", ("graphite", "graphit"))
    carbon_black_pct: float = _share("Carbon black", ("carbon black", "c45", "russ", "noir"))
    cmc_pct: float = _share("Carboxymethyl cellulose", ("cmc",))
    sbr_pct: float = _share("Styrene-butadiene rubber", ("sbr",))
    long_cnt_pct: float = _share("Long carbon nanotubes", ("long cnt", "lange cnt"))
    short_cnt_pct: float = _share("Short carbon nanotubes", ("short cnt", "kurze cnt"))
    carbon_fibre_pct: float = _share("Carbon fibre", ("carbon fibre", "kohlefaser"))
    dispersant_pct: float = _share("Dispersant", ("dispersant", "dsa", "dispergator"))
    solid_content_pct: float = number(
        "Solids in the slurry by mass",
        1,
        95,
        optional=True,
    )
    mixing_time_min: float = number("Time of mixing", 0, 1e4, optional=True)
    mixing_temperature_degc: float = number(
        "Temperature while mixing",
        -10,
        120,
        ("mixing temperature", "mischtemperatur"),
        optional=True,
    )
    coating_gap_um: float = number(
        "Gap of the doctor blade",
        5,
        2000,
        optional=True,
    )
    coating_speed_m_min: float = number(
        "Speed of coating",
        0.001,
        200,
        optional=True,
    )
    drying_temperature_degc: float = number(
        "Temperature of drying, of its first step where there are two",
        0,
        250,
        optional=True,
    )
    drying_final_temperature_degc: float = number(
        "Temperature of the last step of drying; the same as the first where there is only one",
        0,
        250,
        ("final drying temperature", "second drying temperature"),
        optional=True,
    )
    drying_time_min: float = number(
        "Time of drying",
        0,
        1e4,
        optional=True,
    )
    ambient_temperature_degc: float = number(
        "Temperature of the room while coating", -10, 60, ("ambient temperature",), optional=True
    )
    ambient_humidity_pct: float = number(
        "Relative humidity of the room while coating",
        0,
        100,
        ("humidity", "luftfeuchte", "humidite"),
        optional=True,
    )
    calendered: str = choice(
        ("yes", "no"),
        "Whether the electrode was calendered",
        ("calendering", "kalandriert", "calandre"),
        optional=True,
    )
    compression_degree_pct: float = number(
        "Thickness lost by calendering; 0 where there was none",
        0,
        90,
        optional=True,
    )
    thickness_um: float = number(
        "Thickness of the coating without the collector",
        1,
        2000,
        optional=True,
    )
    mass_loading_mg_cm2: float = number(
        "Mass of the coating per area",
        0.05,
        200,
        optional=True,
    )
    porosity_pct: float = number("Pore volume of the coating", 1, 95, optional=True)
    active_mass_mg: float = number(
        "Graphite in the electrode of the cell",
        0.01,
        1e6,
        optional=True,
    )
    electrode_diameter_mm: float = number(
        "Diameter of the electrode disc",
        1,
        500,
        ("electrode diameter", "durchmesser"),
        optional=True,
    )
    collector_thickness_um: float = number("Thickness of the collector", 1, 200, optional=True)
    electrolyte_ul: float = number(
        "Volume of electrolyte", 0.1, 1e6, ("electrolyte volume", "elektrolytmenge"), optional=True
    )
    separator_thickness_um: float = number(
        "Thickness of the separator",
        1,
        2000,
        ("separator thickness", "separatordicke"),
        optional=True,
    )
    counter_thickness_um: float = number(
        "Thickness of the counter electrode", 1, 5000, ("counter thickness",), optional=True
    )
    charge_rate_c: float = number("Rate of charging while cycled", 0.001, 100, optional=True)
    discharge_rate_c: float = number(
        "Rate of discharging while cycled",
        0.001,
        100,
        optional=True,
    )

    viscosity_at_0p1_pa_s: float = number(
        "Viscosity of the slurry at 0.1 1/s", 1e-5, 1e5, ("viscosity at 0.1 1/s",), optional=True
    )
    viscosity_at_1_pa_s: float = number(
        "Viscosity of the slurry at 1 1/s", 1e-5, 1e5, ("viscosity at 1 1/s",), optional=True
    )
    viscosity_at_10_pa_s: float = number(
        "Viscosity of the slurry at 10 1/s", 1e-5, 1e5, ("viscosity at 10 1/s",), optional=True
    )
    viscosity_at_100_pa_s: float = number(
        "Viscosity of the slurry at 100 1/s", 1e-5, 1e5, ("viscosity at 100 1/s",), optional=True
    )
    adhesion_n_m: float = number("Peel force per width", 0.01, 5000, optional=True)
    ir_drop_mv: float = number(
        "Voltage step of the first discharge after formation",
        0.01,
        3000,
        optional=True,
    )
    first_efficiency_pct: float = number(
        "Coulombic efficiency of the first formation cycle",
        0,
        110,
        ("first cycle efficiency", "ice"),
        optional=True,
    )
    coulombic_efficiency_pct: float = number(
        "Mean coulombic efficiency of the cycles after formation",
        0,
        110,
        optional=True,
    )
    max_capacity_mah_g: float = number(
        "Greatest discharge capacity after formation", 0, 4400, ("max capacity",), optional=True
    )
    d5_mah_g: float = number(
        "Discharge capacity of the 5th cycle after formation", 0, 4400, ("d5",), optional=True
    )
    d10_mah_g: float = number(
        "Discharge capacity of the 10th cycle after formation", 0, 4400, ("d10",), optional=True
    )
    d30_mah_g: float = number(
        "Discharge capacity of the 30th cycle after formation", 0, 4400, ("d30",), optional=True
    )
    cycle_at_50pct_of_max: int = count(
        "First cycle below half of the greatest capacity; empty where the test ended before",
        1,
        10**6,
        ("cycle at 50 %", "half-life"),
        optional=True,
    )
    capacities_mah_g: str = text(
        "Discharge capacities of the cycles after formation as a JSON list, null where one is missing",
        ("capacity vs cycle", "discharge capacities"),
    )

    @rule(
        "graphite_pct",
        "The shares of the dry coating add up to more than 100 %, or are all given and add up to less.",
        "Check graphite, carbon black, binders and additives: they must sum to 100 % within 0.5.",
    )
    def shares_sum_to_100(cls) -> pl.Expr:
        total = pl.sum_horizontal(*SHARES)
        whole = pl.all_horizontal(pl.col(name).is_not_null() for name in SHARES)
        return (total <= 100.5) & (~whole | (total >= 99.5))

    @rule(
        "mass_loading_mg_cm2",
        "A loading of {mass_loading_mg_cm2} mg/cm² on {thickness_um} µm at a porosity of "
        "{porosity_pct} % would need a solid density that no electrode material has.",
        "The density that follows must lie between 0.8 and 8 g/cm³: check the unit of each, "
        "and whether the thickness includes the collector.",
    )
    def loading_is_possible(cls) -> pl.Expr:
        return solid_density_g_cm3().is_between(0.8, 8)

    @rule(
        "active_mass_mg",
        "An active mass of {active_mass_mg} mg contradicts {mass_loading_mg_cm2} mg/cm² with "
        "{graphite_pct} % graphite on a disc of {electrode_diameter_mm} mm.",
        "Mass = loading x area x graphite share within 12 %: check the unit of each.",
    )
    def mass_matches_loading(cls) -> pl.Expr:
        area_cm2 = (pl.col("electrode_diameter_mm") / 20) ** 2 * 3.141592653589793
        implied = pl.col("mass_loading_mg_cm2") * area_cm2 * pl.col("graphite_pct") / 100
        return (pl.col("active_mass_mg") / implied).is_between(0.88, 1.12)

    @rule(
        "compression_degree_pct",
        "An electrode that was not calendered lost {compression_degree_pct} % of its thickness.",
        "Correct calendered, or leave the compression degree at 0.",
    )
    def compressed_only_by_calendering(cls) -> pl.Expr:
        return (pl.col("calendered") != "no") | (pl.col("compression_degree_pct") == 0)

    @rule(
        "capacities_mah_g",
        "The capacities are no list of numbers from 0 up, such as [351.2, 350.8, null].",
        "Write them as a JSON list in the order of the cycles, with null for one that is missing.",
    )
    def curve_is_a_list(cls) -> pl.Expr:
        return pl.col("capacities_mah_g").str.contains(_LIST)

    @rule(
        "capacities_mah_g",
        "A capacity of the list lies above the theoretical {theoretical_capacity_mah_g} mAh/g "
        "(372 where missing).",
        "Check the active mass and the unit of the current, or state theoretical_capacity_mah_g.",
    )
    def curve_below_theory(cls) -> pl.Expr:
        return _curve().list.max() <= _theory()

    @rule(
        "max_capacity_mah_g",
        "A capacity (max {max_capacity_mah_g}, D5 {d5_mah_g}, D10 {d10_mah_g}, D30 {d30_mah_g} mAh/g) "
        "lies above the theoretical {theoretical_capacity_mah_g} mAh/g (372 where missing).",
        "Check the active mass and the unit of the current, or state theoretical_capacity_mah_g.",
    )
    def capacity_below_theory(cls) -> pl.Expr:
        names = ("max_capacity_mah_g", "d5_mah_g", "d10_mah_g", "d30_mah_g")
        return pl.max_horizontal(*names) <= _theory()

    @rule(
        "max_capacity_mah_g",
        "The greatest capacity, {max_capacity_mah_g} mAh/g, is less than D5 {d5_mah_g}, D10 {d10_mah_g} "
        "or D30 {d30_mah_g} mAh/g.",
        "Correct the capacity that is wrong; the greatest follows from the others.",
    )
    def greatest_is_greatest(cls) -> pl.Expr:
        others = pl.max_horizontal("d5_mah_g", "d10_mah_g", "d30_mah_g")
        return others <= pl.col("max_capacity_mah_g") * ABOVE_THEORY

    @rule(
        "d30_mah_g",
        "D30 is {d30_mah_g} mAh/g, the 30th capacity of the list is another.",
        "The list begins with the first cycle after formation: check where it begins.",
    )
    def d30_stands_in_the_list(cls) -> pl.Expr:
        listed = _curve().list.get(29, null_on_oob=True)
        return (pl.col("d30_mah_g") - listed).abs() <= 1 + 0.02 * listed
