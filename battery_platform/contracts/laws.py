"""Physics that several contracts share, as bases to inherit from.

A law uses columns that the inheriting contract must have.
"""

from __future__ import annotations

import polars as pl

from battery_platform.contracts.base import Contract, rule


def fractions_sum(*columns: str) -> pl.Expr:
    """Percentages that are all given add up to 100 within half a percentage point."""
    return (pl.sum_horizontal(*[pl.col(c) for c in columns], ignore_nulls=False) - 100).abs() <= 0.5


def solid_density_g_cm3() -> pl.Expr:
    """Density of the pore-free coating that loading, thickness and porosity imply."""
    return pl.col("mass_loading_mg_cm2") / (
        0.1 * pl.col("thickness_um") * (1 - pl.col("porosity_pct") / 100)
    )


class RecipeLaws(Contract):
    """The shares of the dry coating."""

    @rule(
        "active_material_pct",
        "Active material {active_material_pct} %, conductive additive {conductive_additive_pct} % "
        "and binder {binder_pct} % do not add up to 100 %.",
        "Check the recipe: the three shares of the dry coating must sum to 100 % within 0.5.",
    )
    def fractions_sum_to_100(cls) -> pl.Expr:
        return fractions_sum("active_material_pct", "conductive_additive_pct", "binder_pct")


class GeometryLaws(Contract):
    """Loading, thickness, porosity and density of one coating."""

    @rule(
        "mass_loading_mg_cm2",
        "A loading of {mass_loading_mg_cm2} mg/cm² contradicts a thickness of {thickness_um} µm, "
        "a porosity of {porosity_pct} % and a solid density of {composite_density_g_cm3} g/cm³.",
        "Loading = 0.1 x thickness x (1 - porosity) x density within 12 %: check the unit of each, "
        "and whether the thickness includes the collector.",
    )
    def loading_matches_geometry(cls) -> pl.Expr:
        ratio = solid_density_g_cm3() / pl.col("composite_density_g_cm3")
        return ratio.is_between(0.88, 1.12) | (pl.col("loading_basis") != "coating")

    @rule(
        "mass_loading_mg_cm2",
        "A loading of {mass_loading_mg_cm2} mg/cm² on {thickness_um} µm at a porosity of "
        "{porosity_pct} % would need a solid density that no electrode material has.",
        "The density that follows must lie between 0.8 and 8 g/cm³: check the unit of each, "
        "and whether the thickness includes the collector.",
    )
    def loading_is_possible(cls) -> pl.Expr:
        return solid_density_g_cm3().is_between(0.8, 8)


class CapacityLaws(Contract):
    """Specific capacity against theory and mass."""

    @rule(
        "specific_capacity_mah_g",
        "A specific capacity of {specific_capacity_mah_g} mAh/g lies above the theoretical "
        "{theoretical_capacity_mah_g} mAh/g.",
        "Check the active mass and the unit of the current (A labelled mA is the usual cause).",
    )
    def capacity_below_theory(cls) -> pl.Expr:
        return pl.col("specific_capacity_mah_g") <= 1.02 * pl.col("theoretical_capacity_mah_g")

    @rule(
        "specific_capacity_mah_g",
        "A specific capacity of {specific_capacity_mah_g} mAh/g is given without a sourced mass.",
        "Fill in active_mass_source, or hand in the capacity in mAh only.",
    )
    def gravimetric_value_has_a_mass(cls) -> pl.Expr:
        return (
            pl.col("specific_capacity_mah_g").is_null() | pl.col("active_mass_source").is_not_null()
        )


class TimeLaws(Contract):
    """Something that starts and ends."""

    @rule(
        "ended_at",
        "It ends at {ended_at}, before it starts at {started_at}.",
        "Check the date format and the time zone in the mapping.",
    )
    def ends_after_start(cls) -> pl.Expr:
        return pl.col("ended_at") >= pl.col("started_at")
