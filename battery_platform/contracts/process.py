"""Contracts of the steps that make an electrode: lot, slurry, coating, drying, calendering.

Cells and their tests are in `cells`, flat sheets in `sheets`. Ranges are what the process
permits at all, not what a plant aims at.
"""

from __future__ import annotations

import polars as pl

from battery_platform.contracts.base import (
    Contract,
    Moment,
    choice,
    key,
    moment,
    number,
    reference,
    rule,
    text,
)
from battery_platform.contracts.laws import GeometryLaws, RecipeLaws

MATERIAL_KINDS = (
    "active_material",
    "conductive_additive",
    "binder",
    "solvent",
    "current_collector",
    "separator",
    "electrolyte",
)

LOADING_BASES = ("coating", "active_material")


def zone(place: int) -> float:
    """The air temperature of one zone of a dryer, counted in the direction of the web."""
    said = f"Air temperature in zone {place} of the dryer"
    return number(said, 15, 250, optional=True)  # type: ignore[no-any-return]


def collector_thickness() -> float:
    """The thickness of the foil, without which a coating's thickness is given."""
    return number("Thickness of the collector's foil", 1, 200, optional=True)  # type: ignore[no-any-return]


class MaterialLots(Contract):
    """A delivered lot of one material."""

    lot_id: str = key("Lot number of the material")
    material_kind: str = choice(
        MATERIAL_KINDS,
        "Role of the material in the cell",
    )
    material_name: str = text(
        "Name and grade of the material",
        optional=False,
    )
    supplier: str = text("Maker of the lot")
    d50_um: float = number("Median particle diameter by volume", 0.005, 100, optional=True)
    density_g_cm3: float = number("True density of the material", 0.5, 23, optional=True)
    theoretical_capacity_mah_g: float = number(
        "Capacity above which no measurement of this material can lie",
        1,
        4300,
        optional=True,
    )
    received_at: Moment = moment("Arrival of the lot")

    @rule(
        "theoretical_capacity_mah_g",
        "A theoretical capacity of {theoretical_capacity_mah_g} mAh/g is given for a {material_kind}.",
        "Only active materials store charge: leave the field empty or correct material_kind.",
    )
    def capacity_of_active_material_only(cls) -> pl.Expr:
        return pl.col("theoretical_capacity_mah_g").is_null() | (
            pl.col("material_kind") == "active_material"
        )


class SlurryBatches(RecipeLaws):
    """One mixed batch of slurry."""

    slurry_id: str = key(
        "Identifier of the slurry batch",
    )
    active_lot_id: str = reference("material_lots", "Lot of the active material", optional=True)
    conductive_lot_id: str = reference(
        "material_lots", "Lot of the conductive additive", optional=True
    )
    binder_lot_id: str = reference("material_lots", "Lot of the binder", optional=True)
    active_material_pct: float = number(
        "Active material in the dry coating, by weight",
        50,
        100,
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
    )
    viscosity_pa_s: float = number(
        "Viscosity at the stated shear rate",
        1e-3,
        1e4,
        optional=True,
    )
    shear_rate_1_s: float = number(
        "Shear rate at which the viscosity was read",
        1e-3,
        1e5,
        optional=True,
    )
    mixing_time_min: float = number(
        "Duration of mixing",
        0.1,
        2880,
        optional=True,
    )
    mixed_at: Moment = moment("End of mixing")
    operator: str = text("Who did it")
    remark: str = text("What was remarked")


class Coatings(Contract):
    """One run of a slurry over the coater at fixed settings."""

    coating_id: str = key("Identifier of the coating run")
    slurry_id: str = reference("slurry_batches", "Slurry that was coated")
    comma_gap_um: float = number(
        "Gap between comma bar and roll",
        5,
        2000,
    )
    coating_speed_m_min: float = number(
        "Web speed",
        0.01,
        200,
        optional=True,
    )
    wet_thickness_um: float = number(
        "Thickness of the wet film",
        5,
        2000,
        optional=True,
    )
    coated_at: Moment = moment("End of the run")
    operator: str = text("Who did it")
    remark: str = text("What was remarked")

    @rule(
        "wet_thickness_um",
        "The wet film of {wet_thickness_um} µm is thicker than the gap of {comma_gap_um} µm allows.",
        "Check whether gap and film were swapped, and the unit of both.",
    )
    def wet_film_fits_the_gap(cls) -> pl.Expr:
        return pl.col("wet_thickness_um") <= 1.2 * pl.col("comma_gap_um")


class Dryings(Contract):
    """One pass of a coating through the dryer."""

    drying_id: str = key("Identifier of the drying pass")
    coating_id: str = reference("coatings", "Coating that was dried")
    drying_temperature_degc: float = number(
        "Highest air temperature of the dryer",
        15,
        250,
    )
    drying_time_min: float = number(
        "Time in the dryer",
        0.05,
        4320,
        optional=True,
    )
    residual_solvent_ppm: float = number(
        "Solvent left in the dry coating, by weight",
        0,
        200000,
        optional=True,
    )
    dried_at: Moment = moment("End of drying")
    drying_zone_1_degc: float = zone(1)
    drying_zone_2_degc: float = zone(2)
    drying_zone_3_degc: float = zone(3)
    drying_zone_4_degc: float = zone(4)
    drying_zone_5_degc: float = zone(5)
    drying_zone_6_degc: float = zone(6)
    drying_zone_7_degc: float = zone(7)
    drying_zone_8_degc: float = zone(8)
    operator: str = text("Who did it")
    remark: str = text("What was remarked")


class Calenderings(Contract):
    """One pass of a dried coating through the calender."""

    calendering_id: str = key("Identifier of the calendering pass")
    drying_id: str = reference("dryings", "Dried coating that was pressed")
    thickness_before_um: float = number(
        "Coating thickness before the calender, without collector",
        1,
        1500,
    )
    thickness_after_um: float = number(
        "Coating thickness after the calender, without collector",
        1,
        1500,
    )
    compression_degree_pct: float = number(
        "Loss of coating thickness, relative to the thickness before",
        0,
        80,
        optional=True,
    )
    roll_temperature_degc: float = number(
        "Roll temperature",
        10,
        250,
        optional=True,
    )
    line_load_n_mm: float = number(
        "Force of the rolls per width",
        0.1,
        5000,
        optional=True,
    )
    calendered_at: Moment = moment("Time of the pass")
    operator: str = text("Who did it")
    remark: str = text("What was remarked")

    @rule(
        "thickness_after_um",
        "The coating is {thickness_after_um} µm thick after the calender and "
        "{thickness_before_um} µm before.",
        "A calender cannot thicken a coating by more than 2 %: check whether the two were swapped.",
    )
    def calender_does_not_thicken(cls) -> pl.Expr:
        return pl.col("thickness_after_um") <= 1.02 * pl.col("thickness_before_um")

    @rule(
        "compression_degree_pct",
        "A compression of {compression_degree_pct} % contradicts the thickness of "
        "{thickness_before_um} µm before and {thickness_after_um} µm after.",
        "Compression = 100 x (1 - after / before), coating only; correct it or leave it empty.",
    )
    def compression_matches_thickness(cls) -> pl.Expr:
        implied = 100 * (1 - pl.col("thickness_after_um") / pl.col("thickness_before_um"))
        return (pl.col("compression_degree_pct") - implied).abs() <= 2


class Electrodes(GeometryLaws):
    """One punched or cut electrode and what was measured on it."""

    electrode_id: str = key("Identifier of the electrode")
    coating_id: str = reference("coatings", "Coating it was cut from")
    calendering_id: str = reference(
        "calenderings",
        "Calendering pass, empty for an electrode that was not calendered",
        optional=True,
    )
    area_cm2: float = number("Coated area of the electrode", 0.01, 10000, optional=True)
    thickness_um: float = number(
        "Coating thickness without collector",
        1,
        1500,
    )
    mass_loading_mg_cm2: float = number(
        "Dry mass per area, on the stated basis",
        0.05,
        300,
    )
    loading_basis: str = choice(
        LOADING_BASES,
        "Whether the loading counts the whole dry coating or its active material alone",
    )
    porosity_pct: float = number(
        "Share of the coating's volume that is pores",
        1,
        95,
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
    measured_at: Moment = moment("Time of the measurements")
    collector_thickness_um: float = collector_thickness()
    operator: str = text("Who did it")
    remark: str = text("What was remarked")
