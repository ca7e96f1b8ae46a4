"""Models as assets: trained when data, code or specification changed, judged, registered."""

from typing import Any

import dagster as dg

from battery_platform.defs.gates import require_passed
from battery_platform.defs.marts import DBT_CHECKS
from battery_platform.defs.metadata import OWNERS, markdown_table, picture
from battery_platform.defs.raw_tables import RAW_CHECKS, raw_key
from battery_platform.defs.resources import LakehouseResource
from battery_platform.models.specification import CELL_CASES, MODELS, SLURRY, Specification

GROUP = "models"
ELECTRODE_TABLES = [
    dg.AssetKey(["marts", "mart_electrodes"]),
    dg.AssetKey(["core", "core_links"]),
    dg.AssetKey(["core", "core_provenance"]),
]
TRAINED_FROM = {
    "electrodes": ELECTRODE_TABLES,
    "half cells": [dg.AssetKey(["electrochemistry", "half_cell_sweep"])],
    "loaded half cells": [dg.AssetKey(["electrochemistry", "half_cell_sweep"])],
    "graded cells": [dg.AssetKey(["electrochemistry", "graded_space"])],
    CELL_CASES: [raw_key("cell_cases")],
    "mesostructures": [raw_key("mesostructures")],
    "slurry simulations": [raw_key("slurry_simulations")],
    "faded cells": [raw_key("capacity_curves"), raw_key("cycle_lives")],
}
SIMULATED = ("half cells", "loaded half cells", "graded cells", CELL_CASES)
"""Rows that a refresh makes itself."""
CHAMPION_STANDS = "a_champion_stands"
COMPARISON_KEY = dg.AssetKey([GROUP, "cell_outcome_candidates"])
FORECASTS_KEY = dg.AssetKey([GROUP, "forecasts"])
FORECASTS_HOLD = "frozen_predictions_hold"
NO_DRIFT = "nothing_drifts"
FORECAST = ("mass-loading", "porosity")
NEWEST_PASSED = "newest_version_passed_the_gate"


def model_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["models", name.replace("-", "_")])


def _model(model: Specification) -> dg.AssetsDefinition:
    name, key = model.name, model_key(model.name)
    needed = model.rows in SIMULATED or model.rows == "electrodes"

    @dg.asset(
        key=key,
        deps=TRAINED_FROM[model.rows],
        group_name=GROUP,
        kinds={"mlflow", "python"},
        owners=OWNERS,
        code_version="1",
        check_specs=[
            dg.AssetCheckSpec(
                CHAMPION_STANDS,
                asset=key,
                description="A version answers under @champion.",
            ),
            dg.AssetCheckSpec(
                NEWEST_PASSED,
                asset=key,
                description="No worse than any baseline, calibrated, and no step back.",
            ),
        ],
        description=f"{model.title}. {', '.join(model.algorithms).capitalize()} beside a mean, a nearest "
        f"neighbour and a ridge, whole {model.groups} held out; registered as models:/{name}."
        + ("" if needed else " Without rows to learn from it is passed over."),
        metadata={"registry": f"models:/{name}@champion"},
    )
    def train(
        context: dg.AssetExecutionContext, lakehouse: LakehouseResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from battery_platform.errors import NoRows
        from battery_platform.models.release import release

        checks = [*RAW_CHECKS, *DBT_CHECKS] if model.rows == "electrodes" else RAW_CHECKS
        require_passed(context, checks)
        lake = lakehouse.lake()
        try:
            made = release(lake, model, context.log.info)
        except NoRows as none:
            if needed:
                raise
            return _passed_over(str(none))
        version = lake.records(
            "SELECT * FROM model_versions WHERE model_name = ? AND version = ?",
            [name, made.version],
        )[0]
        metadata: dict[str, Any] = {
            "trained": made.trained,
            "because": made.because,
            "newest_version": made.version,
            "champion": made.champion or 0,
            "synthetic": made.is_synthetic,
            "licence": version["licence"],
            "snapshot": version["snapshot_id"],
            "dagster/row_count": version["n_rows"],
            "gate": f"{version['decision']}: {version['decision_reason']}",
            "card": dg.MetadataValue.md(version["card"]),
            "metrics": markdown_table(
                lake.records(
                    """SELECT target, candidate, metric, value, low, high FROM model_evaluations
                       WHERE model_name = ? AND version = ? AND slice = 'all rows'
                       ORDER BY target, metric, candidate""",
                    [name, made.version],
                ),
                limit=160,
            ),
        }
        for one in made.judged:
            from battery_platform.models.pictures import judged_figure, map_figure
            from battery_platform.models.registry import load

            metadata[f"held_out: {one.part.target}"] = picture(judged_figure(one))
            if one.part.classes and set(SLURRY) <= set(one.part.inputs):
                predict = load(lake.settings, name, made.version)
                metadata["map"] = picture(map_figure(one, predict))
        passed = version["decision"] == "champion"
        return dg.MaterializeResult(
            metadata=metadata,
            tags={"synthetic": "true"} if made.is_synthetic else {},
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHAMPION_STANDS,
                    passed=made.champion is not None,
                    description=f"version {made.champion} answers"
                    if made.champion
                    else f"no version passed the gate: {version['decision_reason']}",
                ),
                dg.AssetCheckResult(
                    check_name=NEWEST_PASSED,
                    passed=passed,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=version["decision_reason"],
                ),
            ],
        )

    return train


def _passed_over(said: str) -> dg.MaterializeResult:  # type: ignore[type-arg]
    return dg.MaterializeResult(
        metadata={"trained": False, "because": said},
        check_results=[
            dg.AssetCheckResult(
                check_name=check,
                passed=True,
                description=f"there is nothing to learn from: {said}",
            )
            for check in (CHAMPION_STANDS, NEWEST_PASSED)
        ],
    )


@dg.asset(
    key=COMPARISON_KEY,
    deps=[model_key("cell-outcome")],
    group_name=GROUP,
    kinds={"python", "ducklake"},
    owners=OWNERS,
    code_version="1",
    description="Every way to tell the outcome of a cell, also the 200 bootstrapped networks of paper 001, "
    "beside lasso, forest, iterative imputation and the mean: whole cases held out, three repeats. Minutes.",
)
def cell_outcome_candidates(
    context: dg.AssetExecutionContext, lakehouse: LakehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Judge all candidates on the rows of the newest version."""
    from threadpoolctl import threadpool_limits

    from battery_platform.models.sparse.learning import compare

    lake = lakehouse.lake()
    version = lake.value(
        "SELECT max(version) FROM model_versions WHERE model_name = 'cell-outcome'"
    )
    with threadpool_limits(1):
        rows = compare(lake, MODELS["cell-outcome"], version, context.log.info)
    names = ("target", "slice", "candidate", "metric", "value", "low", "high")
    medians = [row for row in rows if row["target"].startswith(("median", "class", "d30"))]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "version": version,
            "snapshot": lake.snapshot(),
            "scores": markdown_table([{n: row[n] for n in names} for row in medians], limit=400),
        }
    )


@dg.asset(
    key=FORECASTS_KEY,
    deps=[*ELECTRODE_TABLES, *(model_key(name) for name in FORECAST)],
    group_name=GROUP,
    kinds={"mlflow", "ducklake"},
    owners=OWNERS,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            FORECASTS_HOLD,
            asset=FORECASTS_KEY,
            description="Of at least 20 predictions that were frozen before the measurement came, 90 % "
            "intervals hold three quarters or more.",
        ),
        dg.AssetCheckSpec(
            NO_DRIFT,
            asset=FORECASTS_KEY,
            description="Of at least 20, frozen predictions are not off to one side beyond chance, and no more "
            "than a quarter of the recipes that wait lie outside of the data.",
        ),
    ],
    description="Electrodes that wait for a measurement are predicted once by the champion of the day; when "
    "the measurement comes, the frozen prediction is scored.",
)
def forecasts(lakehouse: LakehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Score what arrived, freeze what waits."""
    from battery_platform.models import registry
    from battery_platform.models.forecasts import scoreboard
    from battery_platform.models.surrogates import champions

    lake = lakehouse.lake()
    boards = []
    for name, version in champions(lake.settings, FORECAST).items():
        predict = registry.load(lake.settings, name, version) if version else None
        boards.append(scoreboard(lake, MODELS[name], version, predict))
    told = [vars(board) for board in boards]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": lake.value("SELECT count(*) FROM model_forecasts"),
            "snapshot": lake.snapshot(),
            "scoreboard": markdown_table(told),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=FORECASTS_HOLD,
                passed=all(board.holds for board in boards),
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(
                    f"{board.model}: {board.scored} scored, hits {board.hits}" for board in boards
                ),
            ),
            dg.AssetCheckResult(
                check_name=NO_DRIFT,
                passed=not any(board.drifts for board in boards),
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(f"{board.model}: {board.drift}" for board in boards),
            ),
        ],
    )


ASSETS = [*(_model(model) for model in MODELS.values()), cell_outcome_candidates, forecasts]
MODEL_KEYS = [model_key(name) for name in MODELS]
DESIGN_MODEL_KEYS = [model_key(name) for name in ("mass-loading", "porosity")]
