"""Contracts of what the public catalogue holds beside electrodes, exports and flow curves.

Simulated slurries, particle sizes, segmented volumes, capacity curves of aged cells, and texts
with the annotations that people made in them.
"""

from __future__ import annotations

from typing import Any

import pandera.polars as pa
import polars as pl

from battery_platform.contracts.base import (
    Contract,
    choice,
    count,
    key,
    key_count,
    number,
    rule,
    text,
)

FORMS = ("span", "relation", "event", "attribute", "normalisation", "note", "equivalence", "record")
ORIGINS = ("measured", "generated")
NOISE_OF_A_CURVE = 0.05
"""Share of the capacity by which interpolation may let a curve fall."""


def _parameter(description: str, ge: float, le: float, header: str) -> Any:
    """A parameter of a simulation; together they are its name, as its source gives it none."""
    return pa.Field(
        ge=ge,
        le=le,
        description=description,
        metadata={
            "role": "key",
            "names": (header,),
            "remedy": "Give all parameters: together they name the simulation.",
        },
    )


class SlurrySimulations(Contract):
    """One coarse-grained simulation of a slurry: parameters of its force field and what came out.

    Parameters are in the reduced units of the source, so no unit ends their names.
    """

    epsilon_active: float = _parameter(
        "Depth of the attraction between particles of active material", 0, 100, "Epsi_AM"
    )
    sigma_active: float = _parameter(
        "Length of that attraction, relative to the diameter", 0, 100, "Sigma_AM"
    )
    epsilon_binder: float = _parameter(
        "Depth of the attraction between carbon-binder particles", 0, 100, "Epsi_CBD"
    )
    rho_binder: float = _parameter("Density parameter of the carbon-binder", 0, 100, "Rho_CBD")
    normal_stiffness: float = _parameter("Elastic constant of a contact (Kn)", 0, 1e6, "Kn")
    normal_damping: float = _parameter("Damping of a contact (gamma n)", 0, 1e6, "Gamman")
    friction: float = _parameter("Friction of a contact (Xu)", 0, 100, "Xu")
    slurry_density_g_cm3: float = number("Density of the slurry", 0.3, 6, ("slurry_density",))
    viscosity_at_18_pa_s: float = number("Viscosity at 18 1/s", 1e-5, 1e4, ("visco1(18)",))
    viscosity_at_125_pa_s: float = number("Viscosity at 125 1/s", 1e-5, 1e4, ("visco2(125)",))


class ParticleSizes(Contract):
    """One particle of a list of diameters."""

    list_id: str = key("Identifier of the list")
    place: int = key_count("Place in the list")
    material: str = text("Material of the particles", optional=False)
    diameter_um: float = number("Diameter", 1e-3, 1e3)


class VoxelVolumes(Contract):
    """A segmented volume of an electrode: its size and how much each phase takes up."""

    volume_id: str = key("Identifier of the volume")
    nx: int = count("Voxels along x, within a line of a slice", ge=1)
    ny: int = count("Voxels along y, lines of a slice", ge=1)
    nz: int = count("Voxels along z, slices", ge=1)
    voxel_um: float = number("Edge of a voxel", 1e-3, 100)
    voxel_source: str = text("How the edge of a voxel is known", optional=False)
    pore_label: int = count("Value of a voxel that is pore")
    active_label: int = count("Value of a voxel that is active material")
    binder_label: int = count("Value of a voxel that is carbon-binder")
    pore_fraction: float = number("Share of the volume that is pore", 0, 1)
    active_fraction: float = number("Share that is active material", 0, 1)
    binder_fraction: float = number("Share that is carbon-binder", 0, 1)
    voxels_by_label: str = text("Voxels of each value, as JSON", optional=False)
    content_hash: str = text("SHA-256 of the voxels, slice by slice", optional=False)
    origin: str = choice(ORIGINS, "Whether it was imaged, or generated from images")
    note: str = text("What is to be known of the volume")

    @rule(
        "pore_fraction",
        "Pore {pore_fraction}, active material {active_fraction} and carbon-binder "
        "{binder_fraction} do not add up to 1; voxels by value: {voxels_by_label}.",
        "The volume holds other values: segment it into the three phases.",
    )
    def fractions_sum_to_1(cls) -> pl.Expr:
        shares = pl.sum_horizontal("pore_fraction", "active_fraction", "binder_fraction")
        return (shares - 1).abs() <= 1e-6


class CapacityCurves(Contract):
    """Capacity over voltage of one discharge; `capacities_ah::DOUBLE[]` makes a list of it."""

    cell_id: str = key("Identifier of the cell")
    cycle: int = key_count("Cycle")
    data_set: str = text("Part of the data set that the cell belongs to", optional=False)
    voltage_from_v: float = number("Voltage of the first value", 0, 6)
    voltage_to_v: float = number("Voltage of the last value", 0, 6)
    points: int = count("Values that are numbers, at evenly spaced voltages", ge=2)
    discharge_capacity_ah: float = number("Capacity at the last voltage", 0, 1e4)
    largest_fall_ah: float = number(
        "Most by which the curve falls below what it had reached", 0, 1e4
    )
    capacities_ah: str = text(
        "Capacities as a JSON list, as the source prints them", optional=False
    )
    file: str = text("File of the data set that holds it", optional=False)

    @rule(
        "capacities_ah",
        "Only {points} values of the curve are numbers.",
        "Correct the values that are none.",
    )
    def every_value_is_a_number(cls) -> pl.Expr:
        return pl.col("capacities_ah").str.count_matches(",", literal=True) + 1 == pl.col("points")

    @rule(
        "largest_fall_ah",
        "The capacity falls by {largest_fall_ah} Ah while the cell is discharged; it ends at "
        "{discharge_capacity_ah} Ah.",
        "A discharge only adds capacity: the measurement or its interpolation is damaged. "
        "Leave the cycle out.",
    )
    def capacity_does_not_fall(cls) -> pl.Expr:
        return pl.col("largest_fall_ah") <= NOISE_OF_A_CURVE * pl.col("discharge_capacity_ah")

    @rule(
        "voltage_to_v",
        "A discharge from {voltage_from_v} V to {voltage_to_v} V rises.",
        "Order the values by falling voltage.",
    )
    def voltage_falls(cls) -> pl.Expr:
        return pl.col("voltage_to_v") < pl.col("voltage_from_v")


class CycleLives(Contract):
    """How many cycles a cell lasted."""

    cell_id: str = key("Identifier of the cell")
    data_set: str = text("Part of the data set that the cell belongs to", optional=False)
    cycle_life: int = count("Cycles until 80 % of the nominal capacity were left", 1, 10**6)


class CorpusTexts(Contract):
    """A text that people annotated."""

    corpus: str = key("Name of the corpus")
    document_id: str = key("Name of the text within it")
    split: str = text("Part of the corpus: train, dev, trial, test, ...")
    n_characters: int = count("Characters of the file", ge=1)
    reference: str = text("Publication that it comes from")
    file: str = text("File that holds it", optional=False)
    text: str = text("The text, character by character", optional=False, verbatim=True)

    @rule(
        "text",
        "The text has other than its {n_characters} characters: offsets would not hold.",
        "Hand the text in as it is, in UTF-8.",
    )
    def text_is_whole(cls) -> pl.Expr:
        return pl.col("text").str.len_chars().cast(pl.Int64) == pl.col("n_characters")


class CorpusAnnotations(Contract):
    """One annotation in a text: a span, or what people say of spans."""

    corpus: str = key("Name of the corpus")
    document_id: str = key("Text that it belongs to")
    annotation_id: str = key("Identifier within the text")
    form: str = choice(FORMS, "What it is: a span of the text, or a statement about others")
    kind: str = text("Its type in the corpus's own words", optional=False)
    start_offset: int = count("First character of its first span", optional=True)
    end_offset: int = count("Character after the last of its last span", ge=1, optional=True)
    spans: str = text("All its spans as a JSON list of [start, end]; most have one")
    surface_text: str = text("What the annotation says it covers", verbatim=True)
    text_at_offset: str = text("What the text has there; spans are joined by blanks", verbatim=True)
    attributes: str = text("Arguments, targets, units and notes, as JSON", optional=False)
    unknown_targets: str = text("Identifiers that it names and the text's annotations lack")
    file: str = text("File that states it", optional=False)
    line: int = count("Line of that file", ge=1)

    @rule(
        "end_offset",
        "The span ends at {end_offset}, before it starts at {start_offset}.",
        "Correct the offsets.",
    )
    def ends_after_start(cls) -> pl.Expr:
        return pl.col("end_offset") > pl.col("start_offset")

    @rule(
        "start_offset",
        "A span without offsets.",
        "Give both offsets in characters of the text.",
    )
    def span_has_offsets(cls) -> pl.Expr:
        whole = pl.col("start_offset").is_not_null() & pl.col("end_offset").is_not_null()
        return (pl.col("form") != "span") | whole

    @rule(
        "text_at_offset",
        "The annotation covers '{surface_text}', the text has '{text_at_offset}' at "
        "{start_offset} to {end_offset}.",
        "Correct the offsets (characters, not bytes; the first is 0) or the text.",
    )
    def text_stands_at_offset(cls) -> pl.Expr:
        same = pl.col("text_at_offset") == pl.col("surface_text")
        return (pl.col("form") != "span") | same.fill_null(False)

    @rule(
        "unknown_targets",
        "It names {unknown_targets}, which the text's annotations do not have.",
        "Correct the identifiers.",
    )
    def targets_are_known(cls) -> pl.Expr:
        return pl.col("unknown_targets").is_null()
