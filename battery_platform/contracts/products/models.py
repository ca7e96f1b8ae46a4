"""Versions of models, how they were judged, and what they said before a measurement came."""

from __future__ import annotations

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
    text,
)
from battery_platform.contracts.products.declaring import product

LARGE = 1e12
DECISIONS = ("champion", "challenger")
MODEL_EVENTS = ("promoted", "refused", "rolled back")
DECIDERS = ("gate", "person")
VERSION_ID = "model_name || '/' || version"


@product(
    "model_versions",
    "model versions",
    "model version",
    identifier=VERSION_ID,
    parents=(
        f"SELECT {VERSION_ID}, 'snapshot', snapshot_id::VARCHAR FROM model_versions",
        f"SELECT DISTINCT {VERSION_ID}, 'file', file_id FROM model_training_rows",
    ),
    lines=f"""SELECT {VERSION_ID}, file_id, sheet, line, table_name, file_name, source_id, electrode_id
              FROM model_training_rows""",
)
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


@product(
    "model_events",
    "promotions, refusals and rollbacks",
    "model event",
    parents=(f"SELECT event_id, 'model version', {VERSION_ID} FROM model_events",),
)
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


@product(
    "model_forecasts",
    "predictions frozen before the measurement",
    "forecast",
    identifier="'forecast/' || model_name || '/' || electrode_id",
    parents=(
        f"""SELECT 'forecast/' || model_name || '/' || electrode_id, 'model version', {VERSION_ID}
            FROM model_forecasts""",
        """SELECT 'forecast/' || model_name || '/' || electrode_id, 'electrode', electrode_id
           FROM model_forecasts""",
    ),
    id_prefix="forecast/",
)
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


@product("model_evaluations", "evaluations of model versions", "model version", is_part=True)
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


@product(
    "model_reseeds",
    "metrics of models over many random splits",
    "reseeds",
    identifier="'reseeds/' || model_name",
    id_prefix="reseeds/",
)
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


@product("model_predictions", "predictions of held-out electrodes", "model version", is_part=True)
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


@product("model_training_rows", "lines that a model was trained on", "model version", is_part=True)
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
