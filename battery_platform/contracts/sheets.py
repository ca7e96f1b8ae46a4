"""Contracts of flat tables: one row that spans several steps, as labs and papers hand them in.

The step tables are in `process` and `cells`; the core models in `dbt/` bring both together.
"""

from __future__ import annotations

import polars as pl

from battery_platform.contracts.base import (
    Contract,
    Moment,
    choice,
    count,
    key,
    moment,
    number,
    rule,
    text,
)
from battery_platform.contracts.laws import (
    CapacityLaws,
    GeometryLaws,
    RecipeLaws,
    fractions_sum,
)
from battery_platform.contracts.process import LOADING_BASES, collector_thickness, zone

ADDED_TO_SHEETS = (
    "shear_rate_1_s",
    "mixing_time_min",
    "wet_thickness_um",
    *(f"drying_zone_{place}_degc" for place in range(1, 9)),
    "drying_time_min",
    "residual_solvent_ppm",
    "roll_temperature_degc",
    "line_load_n_mm",
    "area_cm2",
    "collector_thickness_um",
    "operator",
    "remark",
)
"""Columns that sheets of earlier versions had not: where a sheet does not fill them, they take no part
in an identifier that is derived from the row, so that it stays what it was."""

CLASS_LABELS = ("low", "medium", "high")


class ElectrodeSheets(RecipeLaws, GeometryLaws, CapacityLaws):
    """Recipe, settings and measured properties of one electrode in one row.

    Identifiers that the sheet does not give are derived from the campaign and the recipe, so
    that replicates share slurry and coating.
    """

    electrode_id: str = key(
        "Identifier of the electrode",
    )
    coating_id: str = text("Identifier of the coating run", optional=False)
    slurry_id: str = text("Identifier of the slurry batch", optional=False)
    replicate: int = count(
        "Running number among electrodes of one condition",
        1,
        10**6,
    )
    active_material: str = text(
        "Name of the active material",
    )
    active_material_pct: float = number(
        "Active material in the dry coating, by weight",
        50,
        100,
        optional=True,
    )
    conductive_additive_pct: float = number(
        "Conductive additive in the dry coating, by weight",
        0,
        50,
        optional=True,
    )
    binder_pct: float = number(
        "Binder in the dry coating, by weight",
        0,
        50,
        optional=True,
    )
    solid_content_pct: float = number(
        "Solids in the slurry, by weight",
        5,
        95,
        optional=True,
    )
    viscosity_pa_s: float = number(
        "Slurry viscosity at the coating shear rate",
        1e-3,
        1e4,
        optional=True,
    )
    comma_gap_um: float = number(
        "Gap between comma bar and roll",
        5,
        2000,
        optional=True,
    )
    coating_speed_m_min: float = number(
        "Web speed",
        0.01,
        200,
        optional=True,
    )
    drying_temperature_degc: float = number(
        "Highest air temperature of the dryer",
        15,
        250,
        optional=True,
    )
    compression_degree_pct: float = number(
        "Loss of coating thickness in the calender, 0 for an electrode that was not calendered",
        0,
        80,
        optional=True,
    )
    thickness_um: float = number(
        "Coating thickness without collector",
        1,
        1500,
        optional=True,
    )
    mass_loading_mg_cm2: float = number(
        "Dry mass per area, on the stated basis",
        0.05,
        300,
        optional=True,
    )
    loading_basis: str = choice(
        LOADING_BASES,
        "Whether the loading counts the whole dry coating or its active material alone",
        optional=True,
    )
    porosity_pct: float = number(
        "Share of the coating's volume that is pores",
        1,
        95,
        optional=True,
    )
    composite_density_g_cm3: float = number(
        "Density of the coating without its pores",
        0.8,
        8,
        optional=True,
    )
    adhesion_n_m: float = number(
        "Peel force per width",
        0,
        2000,
        optional=True,
    )
    specific_capacity_mah_g: float = number(
        "First discharge capacity per active mass",
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
    active_mass_source: str = text("How the active mass behind the specific capacity is known")
    measured_at: Moment = moment("Time of the measurements")
    shear_rate_1_s: float = number(
        "Shear rate at which the viscosity was read", 1e-3, 1e5, optional=True
    )
    mixing_time_min: float = number("Duration of mixing", 0.1, 2880, optional=True)
    wet_thickness_um: float = number("Thickness of the wet film", 5, 2000, optional=True)
    drying_zone_1_degc: float = zone(1)
    drying_zone_2_degc: float = zone(2)
    drying_zone_3_degc: float = zone(3)
    drying_zone_4_degc: float = zone(4)
    drying_zone_5_degc: float = zone(5)
    drying_zone_6_degc: float = zone(6)
    drying_zone_7_degc: float = zone(7)
    drying_zone_8_degc: float = zone(8)
    drying_time_min: float = number("Time in the dryer", 0.05, 4320, optional=True)
    residual_solvent_ppm: float = number(
        "Solvent left in the dry coating, by weight", 0, 200000, optional=True
    )
    roll_temperature_degc: float = number(
        "Roll temperature of the calender", 10, 250, optional=True
    )
    line_load_n_mm: float = number(
        "Force of the calender's rolls per width", 0.1, 5000, optional=True
    )
    area_cm2: float = number("Coated area of the electrode", 0.01, 10000, optional=True)
    collector_thickness_um: float = collector_thickness()
    operator: str = text("Who did it")
    remark: str = text("What was remarked")

    @rule(
        "active_material_pct",
        "The shares that are given (active material {active_material_pct} %) already exceed 100 % "
        "of the dry coating.",
        "Check active material, conductive additive and binder.",
    )
    def fractions_do_not_exceed_100(cls) -> pl.Expr:
        shares = ("active_material_pct", "conductive_additive_pct", "binder_pct")
        return pl.sum_horizontal(*[pl.col(c) for c in shares]) <= 100.5

    @rule(
        "mass_loading_mg_cm2",
        "No property is given: neither loading nor porosity nor thickness.",
        "A row needs at least one measured property; check that the columns were placed (`map`).",
    )
    def something_was_measured(cls) -> pl.Expr:
        properties = ("mass_loading_mg_cm2", "porosity_pct", "thickness_um")
        return pl.any_horizontal([pl.col(name).is_not_null() for name in properties])

    @rule(
        "loading_basis",
        "A loading of {mass_loading_mg_cm2} mg/cm² is given without its basis.",
        "State in the mapping, under `constants`, whether `loading_basis` is `coating` or "
        "`active_material`.",
    )
    def loading_has_a_basis(cls) -> pl.Expr:
        return pl.col("mass_loading_mg_cm2").is_null() | pl.col("loading_basis").is_not_null()


class ConditionMeans(Contract):
    """Averages over the electrodes of one condition, where the source gives no single values."""

    condition_id: str = key("Identifier of the condition", ("condition", "case"))
    active_material_pct: float = number("Active material in the dry coating, by weight", 50, 100)
    solid_content_pct: float = number("Solids in the slurry, by weight", 5, 95)
    viscosity_pa_s: float = number(
        "Slurry viscosity at the coating shear rate", 1e-3, 1e4, optional=True
    )
    shear_rate_1_s: float = number(
        "Shear rate in the coating gap",
        1e-3,
        1e5,
        optional=True,
    )
    electrode_mass_mg: float = number(
        "Mean mass of an electrode", 0.01, 1e6, ("electrode mass",), optional=True
    )
    electrode_mass_sd_mg: float = number(
        "Standard deviation of that mass", 0, 1e6, ("s mass",), optional=True
    )
    active_mass_loading_mg_cm2: float = number(
        "Mean active mass per area", 0.05, 300, ("areal am mass",), optional=True
    )
    areal_capacity_mah_cm2: float = number(
        "Theoretical capacity per area", 0.01, 50, ("theoretical areal capacity",), optional=True
    )
    thickness_with_collector_um: float = number(
        "Mean thickness including the collector",
        5,
        1500,
        ("thickness with collector",),
        optional=True,
    )
    thickness_sd_um: float = number(
        "Standard deviation of that thickness", 0, 200, ("s thick",), optional=True
    )
    porosity_pct: float = number("Mean porosity", 1, 95, optional=True)
    coating_density_mg_cm3: float = number(
        "Mean density of the coating with its pores",
        100,
        8000,
        ("density (complete)",),
        optional=True,
    )
    mass_loading_class: str = choice(
        CLASS_LABELS, "Class of loading that the source assigns", ("mload", "class"), optional=True
    )
    measured_at: Moment = moment("Day of the condition")


class Mesostructures(Contract):
    """One simulated electrode structure and the properties computed on it."""

    structure_id: str = key("Identifier of the structure", ("structure", "structure id"))
    calender_gap_um: float = number("Displacement of the calender", 0, 500, ("gap",))
    active_material_pct: float = number("Active material, by weight", 50, 100)
    carbon_binder_pct: float = number("Carbon-binder domain, by weight", 0, 50, ("cbd",))
    porosity_uncalendered_pct: float = number(
        "Porosity before calendering", 1, 95, ("porous", "porosity")
    )
    size_x_um: float = number("Length of the box", 1, 5000, ("x",))
    size_y_um: float = number("Width of the box", 1, 5000, ("y",))
    size_z_um: float = number("Height of the box", 1, 5000, ("z",))
    voxel_um: float = number("Edge of a voxel", 0.001, 50, ("res",))
    tortuosity_liquid: float = number(
        "Tortuosity factor of the pores", 1, 500, ("tliq",), optional=True
    )
    tortuosity_solid: float = number(
        "Tortuosity factor of the solid", 1, 500, ("tsol",), optional=True
    )
    collector_active_contact_pct: float = number(
        "Collector area in contact with active material", 0, 100, ("cc/am",), optional=True
    )
    collector_binder_contact_pct: float = number(
        "Collector area in contact with carbon-binder", 0, 100, ("cc/cbd",), optional=True
    )
    active_surface_pct: float = number(
        "Active material surface that electrolyte wets", 0, 100, ("active_surface",), optional=True
    )

    @rule(
        "active_material_pct",
        "Active material {active_material_pct} % and carbon-binder {carbon_binder_pct} % do not add "
        "up to 100 %.",
        "The two phases make up the solid: they must sum to 100 % within 0.5.",
    )
    def fractions_sum_to_100(cls) -> pl.Expr:
        return fractions_sum("active_material_pct", "carbon_binder_pct")
