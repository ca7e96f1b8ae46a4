"""Contracts of what a lab's instruments write beside the cyclers: rheometer, line, peel tester.

Each has one table of tests (or runs) and one of what was logged during them. Cyclers are in
`cells`. An instrument seldom knows which slurry, electrode or cell it had in hand: the reference
is optional, and a mapping's `constants` gives it.
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
from battery_platform.contracts.laws import TimeLaws

TEMPERATURE_SOURCES = ("measured", "name_of_test", "stated_by_mapping")
RUN_OUTCOMES = ("completed", "abandoned")
EVENT_KINDS = (
    "session_started",
    "run_started",
    "run_ended",
    "step_started",
    "step_ended",
    "dose",
    "image",
    "fault",
    "note",
)


def _viscosity(at: str) -> float:
    return number(  # type: ignore[no-any-return]
        f"Viscosity at {at} 1/s, interpolated between measured points and never beyond them",
        1e-6,
        1e7,
        optional=True,
    )


class FlowTests(Contract):
    """One flow curve of a rheometer: what was measured, and its viscosity at four shear rates."""

    flow_test_id: str = key("Identifier of the flow curve, made of its name and its content")
    test_name: str = text("Name of the test in the instrument's project", optional=False)
    instrument: str = text("Maker and program that wrote the file", optional=False)
    slurry_id: str = reference(
        "slurry_batches", "Slurry that was measured", ("slurry",), optional=True
    )
    temperature_degc: float = number("Temperature of the sample", -60, 400, optional=True)
    temperature_source: str = choice(
        TEMPERATURE_SOURCES, "How that temperature is known", optional=True
    )
    points: int = count("Points of the curve", ge=1)
    points_without_viscosity: int = count("Points whose viscosity is at or below zero")
    shear_rate_min_1_s: float = number("Lowest shear rate with a viscosity", 0, 1e7, optional=True)
    shear_rate_max_1_s: float = number("Highest shear rate with a viscosity", 0, 1e7, optional=True)
    viscosity_at_0p1_pa_s: float = _viscosity("0.1")
    viscosity_at_1_pa_s: float = _viscosity("1")
    viscosity_at_10_pa_s: float = _viscosity("10")
    viscosity_at_100_pa_s: float = _viscosity("100")
    viscosity_note: str = text("Why a viscosity is missing, or how it was taken")
    measured_at: Moment = moment("Time of the measurement")

    @rule(
        "temperature_source",
        "A temperature of {temperature_degc} °C is given without saying how it is known.",
        "State temperature_source.",
    )
    def temperature_has_a_source(cls) -> pl.Expr:
        return pl.col("temperature_degc").is_null() | pl.col("temperature_source").is_not_null()


class FlowPoints(Contract):
    """One measured point of a flow curve."""

    flow_test_id: str = key("Identifier of the flow curve")
    point: int = key_count("Running number of the point within the test")
    interval: int = count("Interval of the test", optional=True)
    time_s: float = number("Time since the interval began", 0, 1e8, optional=True)
    shear_rate_1_s: float = number("Shear rate", 0, 1e7)
    shear_stress_pa: float = number("Shear stress", -1e7, 1e7, optional=True)
    viscosity_pa_s: float = number("Viscosity", 1e-9, 1e9, optional=True)
    viscosity_note: str = text("Why the viscosity is missing, or how it was taken")
    torque_un_m: float = number("Torque", -1e9, 1e9, optional=True)
    temperature_degc: float = number("Temperature of the sample", -60, 400, optional=True)
    status: str = text("What the instrument says of the point")

    @rule(
        "viscosity_pa_s",
        "A viscosity of {viscosity_pa_s} Pa·s contradicts {shear_stress_pa} Pa at "
        "{shear_rate_1_s} 1/s.",
        "Viscosity is stress over rate: check the units in the header.",
    )
    def viscosity_is_stress_over_rate(cls) -> pl.Expr:
        implied = pl.col("shear_stress_pa") / pl.col("shear_rate_1_s")
        printed = pl.col("viscosity_pa_s")
        return (pl.col("shear_rate_1_s") == 0) | ((printed - implied).abs() <= 0.1 * printed + 1e-4)


class LineRuns(TimeLaws):
    """One run of an assembly line: one cell, from its first part to its store."""

    run_id: str = key("Identifier of the run: line, start and number")
    line: str = text("Line that wrote the log", optional=False)
    run_number: int = count("Number that the log gives the run; it may come again")
    outcome: str = choice(RUN_OUTCOMES, "Whether the log says that the run was completed")
    last_step: str = text("Last step that began")
    steps: int = count("Steps that began")
    doses: int = count("Doses of electrolyte")
    dose_total_ul: float = number("Electrolyte in all", 0, 1e6, optional=True)
    cell_id: str = reference("cells", "Cell that was assembled", optional=True)
    started_at: Moment = moment("First event of the run", optional=False)
    ended_at: Moment = moment("Last event of the run", optional=False)


class LineSteps(TimeLaws):
    """One step of a run, from its first event to the next step or the end of the run."""

    run_id: str = key("Identifier of the run")
    position: int = key_count("Place of the step within the run")
    step: str = text("What was done, in the log's words", optional=False)
    ended_by: str = choice(
        ("next_step", "end_of_run", "last_event"), "How the end of the step is known"
    )
    doses: int = count("Doses of electrolyte in the step")
    dose_total_ul: float = number("Electrolyte of the step", 0, 1e6, optional=True)
    started_at: Moment = moment("Start of the step", optional=False)
    ended_at: Moment = moment("End of the step", optional=False)


class LineEvents(Contract):
    """One line of a line's log."""

    session_id: str = key("Identifier of the session: line and time of its first event")
    event: int = key_count("Running number of the event within the session")
    occurred_at: Moment = moment("Time of the event", optional=False)
    kind: str = choice(EVENT_KINDS, "What kind of event it is")
    run_id: str = text("Identifier of the run that the event belongs to")
    run_number: int = count("Number of the run, where the event names it", optional=True)
    step: str = text("Step that the event belongs to")
    dose_ul: float = number("Electrolyte dosed", 0, 1e6, optional=True)
    message: str = text("The event in the log's own words", optional=False)


class PeelTests(Contract):
    """One peel test: the force per width that takes a coating off its collector."""

    peel_test_id: str = key("Identifier of the peel test, made of its name and its content")
    test_name: str = text("Name of the specimen in the file", optional=False)
    electrode_id: str = reference("electrodes", "Electrode that was peeled", optional=True)
    width_mm: float = number("Width of the strip", 0.5, 500)
    peel_angle_deg: float = number("Angle of peeling", 0, 180, optional=True)
    speed_mm_min: float = number("Speed of the cross-head", 0.01, 10000, optional=True)
    points: int = count("Points of the curve", ge=1)
    plateau_from_mm: float = number("Displacement where the mean begins", 0, 1e4)
    plateau_to_mm: float = number("Displacement where the mean ends", 0, 1e4)
    force_mean_n: float = number("Mean force on the plateau", 0, 1e5)
    force_sd_n: float = number("Standard deviation of the force on the plateau", 0, 1e5)
    adhesion_n_m: float = number("Mean force per width", 0, 1e5)
    adhesion_note: str = text("What is to be known of the curve")
    measured_at: Moment = moment("Time of the test")

    @rule(
        "adhesion_n_m",
        "{adhesion_n_m} N/m contradict {force_mean_n} N on {width_mm} mm.",
        "Force per width is the mean force over the strip's width: check the units.",
    )
    def adhesion_is_force_per_width(cls) -> pl.Expr:
        implied = 1000 * pl.col("force_mean_n") / pl.col("width_mm")
        return (pl.col("adhesion_n_m") - implied).abs() <= 0.01 * implied + 1e-9


class PeelPoints(Contract):
    """One logged point of a peel test."""

    peel_test_id: str = key("Identifier of the peel test")
    point: int = key_count("Running number of the point within the test")
    displacement_mm: float = number("Way of the cross-head", -100, 1e4)
    force_n: float = number("Force", -1e4, 1e5)
