"""Contracts of what the platform makes itself: versions of models, designs, curves, mined text.

Records that come from outside are in `process`, `cells` and `sheets`. A product that breaks its
contract is a fault of ours: nothing of it is stored, and the step that made it fails.
"""

from __future__ import annotations

import polars as pl

from battery_platform.contracts.base import (
    Contract,
    Moment,
    choice,
    count,
    flag,
    key,
    key_count,
    moment,
    number,
    rule,
    text,
)

LARGE = 1e12
DECISIONS = ("champion", "challenger")
MODEL_EVENTS = ("promoted", "refused", "rolled back")
DECIDERS = ("gate", "person")
HOW_REPORTED = ("exact", "approximate", "range", "bound", "missing")
QUALIFIERS = ("exact", "approximate", "range", "at_least", "at_most")
PROPERTIES = ("porosity_pct", "thickness_um", "mass_loading_mg_cm2")


class ModelVersions(Contract):
    """A registered version of a model: what it learnt from, why it was trained, how it was judged."""

    model_name: str = key("Name in the registry")
    version: int = key_count("Version in the registry")
    registered_at: Moment = moment("When it was registered", optional=False)
    algorithm: str = text("What was fitted", optional=False)
    target: str = text("Columns that it predicts", optional=False)
    decision: str = choice(DECISIONS, "What the gate made of it")
    decision_reason: str = text("The gate's reasons, with its numbers", optional=False)
    trained_because: str = text("What had changed: data, code or parameters", optional=False)
    snapshot_id: int = count("Snapshot of the lake that it was trained on")
    data_hash: str = text("Hash of the training rows", optional=False)
    code_hash: str = text("Hash of the modelling code", optional=False)
    parameters_hash: str = text("Hash of the model's specification", optional=False)
    n_rows: int = count("Electrodes that it was trained on", ge=1)
    n_groups: int = count("Slurry batches that they come from", ge=1)
    left_out: str = text("Rows that were not used, by reason", optional=False)
    active_material: str = text("Active material of the training rows")
    loading_basis: str = text("What their mass loading counts")
    licence: str = text("Licences of the training rows", optional=False)
    is_synthetic: bool = flag("Whether it was trained on synthetic rows")
    run_id: str = text("MLflow run", optional=False)
    card: str = text("The model card, in Markdown", optional=False)


class ModelEvents(Contract):
    """A version became champion, was refused by the gate, or was withdrawn: what consumers must know."""

    event_id: str = key("Hash of what happened and when")
    happened_at: Moment = moment("When", optional=False)
    model_name: str = text("Name in the registry", optional=False)
    event: str = choice(MODEL_EVENTS, "What happened")
    version: int = count("Version that it happened to", ge=1)
    champion_before: int = count("Champion before", ge=1, optional=True)
    champion_after: int = count("Champion after", ge=1, optional=True)
    decided_by: str = choice(DECIDERS, "Whether the gate or a person decided")
    reason: str = text("Why", optional=False)


class ModelForecasts(Contract):
    """A prediction that was frozen before the measurement came, and what came."""

    model_name: str = key("Name in the registry")
    electrode_id: str = key("Electrode that waited for its measurement")
    version: int = count("Champion that predicted it", ge=1)
    predicted: float = number("Prediction", -LARGE, LARGE)
    standard_deviation: float = number("Its standard deviation", 0, LARGE)
    low_90: float = number("Lower end of the 90 % interval", -LARGE, LARGE)
    high_90: float = number("Upper end of the 90 % interval", -LARGE, LARGE)
    in_domain: bool = flag("Whether the recipe lay in the data")
    frozen_at: Moment = moment("When it was predicted", optional=False)
    measured: float = number("What was measured afterwards", -LARGE, LARGE, optional=True)
    scored_at: Moment = moment("When the measurement was seen")
    is_synthetic: bool = flag("Whether the electrode is synthetic")


class ModelEvaluations(Contract):
    """One metric of one candidate on one slice, from predictions of batches that it never saw."""

    model_name: str = key("Name in the registry")
    version: int = key_count("Version that was evaluated")
    target: str = key("Quantity that is predicted")
    candidate: str = key("The model itself or a baseline")
    slice: str = key("All rows, means of conditions, or a part of the data")
    metric: str = key("Metric")
    value: float = number("Value of the metric", -LARGE, LARGE)
    low: float = number(
        "Lower end of its 95 % interval, batches resampled", -LARGE, LARGE, optional=True
    )
    high: float = number("Upper end of its 95 % interval", -LARGE, LARGE, optional=True)
    n: int = count("Rows behind it", ge=1)


class ModelReseeds(Contract):
    """A metric over many random splits of whole groups: the validation protocol of paper 000.

    The interval of the mean says how well so many splits of these rows tell the mean; the percentiles
    say what a single split may show. Neither says what other rows would show.
    """

    model_name: str = key("Name of the specification")
    target: str = key("Quantity that is predicted")
    part: str = key("Rows that are judged: train, which the model saw, or test")
    metric: str = key("Metric; shares are of the mean or the range of the target over all rows")
    n_seeds: int = count("Random splits", ge=2)
    mean: float = number("Mean over the splits", -LARGE, LARGE)
    mean_low_95: float = number("Lower end of the 95 % interval of that mean", -LARGE, LARGE)
    mean_high_95: float = number("Upper end of the 95 % interval of that mean", -LARGE, LARGE)
    low_2_5: float = number("2.5 % of the splits lie below", -LARGE, LARGE)
    high_97_5: float = number("2.5 % of the splits lie above", -LARGE, LARGE)
    n_rows: int = count("Rows that are split", ge=1)
    n_groups: int = count("Groups that stay whole", ge=2)
    is_synthetic: bool = flag("Whether the rows are synthetic")
    data_hash: str = text("Hash of the rows and of the specification", optional=False)
    code_hash: str = text("Hash of the code", optional=False)
    made_at: Moment = moment("When it was computed", optional=False)


class ModelPredictions(Contract):
    """What the model said of an electrode while the electrode's whole batch was held out."""

    model_name: str = key("Name in the registry")
    version: int = key_count("Version that was evaluated")
    target: str = key("Quantity that is predicted")
    electrode_id: str = key("Electrode, or another row's name")
    repeat: int = key_count("Which repetition of the split")
    measured: float = number("Measured value", -LARGE, LARGE)
    predicted: float = number("Prediction", -LARGE, LARGE)
    standard_deviation: float = number("Its standard deviation", 0, LARGE)
    is_synthetic: bool = flag("Whether the electrode is synthetic")


class ModelTrainingRows(Contract):
    """Lines of files that a version rests on: the electrode's own and those of the steps before."""

    model_name: str = key("Name in the registry")
    version: int = key_count("Version that was trained")
    electrode_id: str = key("Electrode, or another row's name, in the training set")
    file_id: str = key("File that states it or a step before it")
    sheet: str = text("Sheet of a workbook", optional=False)
    line: int = key_count("Line in the file")
    table_name: str = key("Table of that line")
    file_name: str = text("Name of the file", optional=False)
    source_id: str = text("Source of the file", optional=False)


class CriticalFactors(Contract):
    """What one method says of one factor of a campaign, and of one target."""

    campaign: str = key("Campaign: electrodes of a source, or generated structures")
    target: str = key("What came of it")
    method: str = key("Method")
    factor: str = key("What was set; of components also the target itself")
    value: float = number(
        "Coefficient, correlation, loading, F or share, as the method has it",
        -LARGE,
        LARGE,
        optional=True,
    )
    low: float = number("Lower end of its 95 % interval", -LARGE, LARGE, optional=True)
    high: float = number("Upper end of its 95 % interval", -LARGE, LARGE, optional=True)
    p: float = number("Probability of such a value by chance", 0, 1, optional=True)
    verdict: str = text("What that means")
    n_rows: int = count("Rows behind it", ge=1)
    n_groups: int = count("Independent groups among them", ge=1)
    is_synthetic: bool = flag("Whether the campaign is synthetic")
    data_hash: str = text("Hash of the campaigns and of the surrogates asked", optional=False)
    code_version: str = text("Hash of the code", optional=False)
    made_at: Moment = moment("When it was found", optional=False)


class Designs(Contract):
    """A recipe within the data that best meets a loading and a porosity."""

    design_id: str = key("Identifier of the design")
    made_at: Moment = moment("When it was made", optional=False)
    target_mass_loading_mg_cm2: float = number("Wanted mass loading", 0.01, 200)
    target_porosity_pct: float = number("Wanted porosity", 1, 99)
    tolerance_mass_loading_mg_cm2: float = number("Allowed deviation either way", 1e-6, 200)
    tolerance_porosity_pct: float = number("Allowed deviation either way", 1e-6, 99)
    active_material_pct: float = number("Recipe: active material of the solids", 1, 100)
    solid_content_pct: float = number("Recipe: solids of the slurry", 1, 100)
    viscosity_pa_s: float = number("Recipe: viscosity at the coating shear rate", 1e-6, 1e6)
    comma_gap_um: float = number("Recipe: comma gap", 1, 5000)
    mass_loading_mg_cm2: float = number("Predicted mass loading", -LARGE, LARGE)
    mass_loading_sd_mg_cm2: float = number("Its standard deviation", 0, LARGE)
    porosity_pct: float = number("Predicted porosity", -LARGE, LARGE)
    porosity_sd_pct: float = number("Its standard deviation", 0, LARGE)
    probability_mass_loading: float = number("Probability that the loading is met", 0, 1)
    probability_porosity: float = number("Probability that the porosity is met", 0, 1)
    probability: float = number("Probability that both are met by one electrode", 0, 1)
    residual_correlation: float = number("Correlation of the two models' errors", -1, 1)
    in_domain: bool = flag("Whether both models know recipes like this one")
    distance: float = number("Distance to the nearest recipe of the training data", 0, LARGE)
    note: str = text("What stands against the recipe")
    candidates: int = count("Recipes that were compared", ge=1)
    is_standing: bool = flag("Whether the target is answered again with each new champion")
    active_material: str = text("Active material")
    loading_basis: str = text("What the mass loading counts", optional=False)
    mass_loading_version: int = count("Version of mass-loading that was asked", ge=1)
    porosity_version: int = count("Version of porosity that was asked", ge=1)
    snapshot_id: int = count("Snapshot of the lake that the made recipes come from")
    code_hash: str = text("Hash of the design code", optional=False)
    licence: str = text("Licences of the data behind it", optional=False)
    is_synthetic: bool = flag("Whether synthetic data stand behind it")

    @rule(
        "probability",
        "Both are met with {probability}, more often than the rarer one alone.",
        "This is a fault of the platform: please report it.",
    )
    def both_are_rarer_than_one(cls) -> pl.Expr:
        alone = pl.min_horizontal("probability_mass_loading", "probability_porosity")
        return pl.col("probability") <= alone + 1e-6


class DesignNeighbours(Contract):
    """An electrode that was really made, near a design."""

    design_id: str = key("Design")
    rank: int = key_count("1 is the nearest")
    electrode_id: str = text("Electrode", optional=False)
    distance: float = number("Distance in the models' scaled inputs", 0, LARGE)
    active_material_pct: float = number("Its recipe", 0, 100)
    solid_content_pct: float = number("Its recipe", 0, 100)
    viscosity_pa_s: float = number("Its recipe", 0, 1e6)
    comma_gap_um: float = number("Its recipe", 0, 5000)
    mass_loading_mg_cm2: float = number("Measured", 0, 500)
    porosity_pct: float = number("Measured", 0, 100)
    file_name: str = text("File that states it", optional=False)
    line: int = count("Its line")
    is_synthetic: bool = flag("Whether it is synthetic")


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


class DischargeSubjects(Contract):
    """Whose electrode was discharged: the same numbers may stand in several places."""

    origin: str = key("Table or file that states the electrode, such as designs")
    subject: str = key("The electrode's name there, such as a design_id")
    discharge_id: str = key("Its discharge")


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


class LiteratureDocuments(Contract):
    """A plain text that was read; the text itself lies untouched in the literature folder."""

    document_id: str = key("Hash of its bytes")
    file_name: str = text("Name of the file", optional=False)
    path: str = text("Where it lies", optional=False)
    n_characters: int = count("Characters")
    encoding: str = text("How the bytes were read as text", optional=False)
    content_hash: str = text("Hash of the bytes", optional=False)
    n_mentions: int = count("Values found in it")
    code_hash: str = text("Hash of the extraction code", optional=False)
    added_at: Moment = moment("When it was read", optional=False)
    is_synthetic: bool = flag("Whether it was written to demonstrate the platform")


class LiteratureMentions(Contract):
    """A value in a text, with its exact place: the text from start to end is the quote."""

    document_id: str = key("Document")
    mention_id: str = key("Identifier of the mention")
    property: str = choice(PROPERTIES, "What was measured")
    low: float = number("Value, or lower end of a range", -LARGE, LARGE, optional=True)
    high: float = number("Value, or upper end of a range", -LARGE, LARGE, optional=True)
    uncertainty: float = number("Stated uncertainty", 0, LARGE, optional=True)
    qualifier: str = choice(QUALIFIERS, "How exactly it is stated")
    unit_as_written: str = text("Unit in the text", optional=False)
    quote: str = text("The text itself", optional=False)
    start_offset: int = count("First character")
    end_offset: int = count("Character after the last", ge=1)
    sentence: str = text("The sentence around it", optional=False)
    is_plausible: bool = flag("Whether such an electrode can exist")
    note: str = text("What is odd about it")
    is_synthetic: bool = flag("Whether the text was written to demonstrate the platform")

    @rule(
        "end_offset",
        "The mention ends at {end_offset}, before it starts at {start_offset}.",
        "This is a fault of the platform: please report it.",
    )
    def ends_after_start(cls) -> pl.Expr:
        return pl.col("end_offset") > pl.col("start_offset")


class LiteratureCompleteness(Contract):
    """Whether a document reports a property, and how exactly."""

    document_id: str = key("Document")
    property: str = key("Property")
    how: str = choice(HOW_REPORTED, "How exactly it is reported at best")
    n_mentions: int = count("Mentions")
    is_synthetic: bool = flag("Whether the text was written to demonstrate the platform")
