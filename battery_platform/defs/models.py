"""Models as assets: trained when data, code or specification changed, judged, registered."""

from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from battery_platform.defs.products import ERROR, Check, Outcome, Verdict, product_asset, some
from battery_platform.made.kept import digest_of
from battery_platform.models.kinds.kind import code_of
from battery_platform.models.specification import MODELS, SLURRY, Specification

if TYPE_CHECKING:
    import pandas as pd

    from battery_platform.defs.metadata import Draw
    from battery_platform.models.release import Release
    from battery_platform.settings import Settings
    from battery_platform.store.lakehouse import Lakehouse

GROUP = "models"
CHAMPION_STANDS = "a_champion_stands"
NEWEST_PASSED = "newest_version_passed_the_gate"
COMPARISON_KEY = dg.AssetKey([GROUP, "cell_outcome_candidates"])
FORECASTS_KEY = dg.AssetKey([GROUP, "forecasts"])
FORECASTS_HOLD = "frozen_predictions_hold"
NO_DRIFT = "nothing_drifts"
FORECAST = ("mass-loading", "porosity")


def model_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["models", name.replace("-", "_")])


def upstream_of(model: Specification) -> list[dg.AssetKey]:
    """The assets that fill the rows that a model learns from."""
    return [dg.AssetKey(path.split("/")) for path in model.source.upstream]


def model_asset(model: Specification) -> dg.AssetsDefinition:
    """A registered model, trained anew whenever what it rests on has changed."""

    def make(context: dg.AssetExecutionContext, lake: "Lakehouse", config: Any) -> Outcome:
        from battery_platform.errors import NoRows
        from battery_platform.models.release import release

        try:
            released = release(lake, model, context.log.info)
        except NoRows as none:
            if model.source.always_there:
                raise
            return _passed_over(str(none))
        return _outcome(lake, model, released)

    beside = "" if model.source.always_there else " Without rows to learn from it is passed over."
    return product_asset(
        model_key(model.name),
        make,
        made_by=[],
        code=digest_of(code_of(model), model.digest),
        upstream=upstream_of(model),
        kinds=frozenset({"mlflow", "python"}),
        checks=[
            Check(CHAMPION_STANDS, "A version answers under @champion.", severity=ERROR),
            Check(NEWEST_PASSED, "No worse than any baseline, calibrated, and no step back."),
        ],
        description=f"{model.title}. {', '.join(model.algorithms).capitalize()} beside "
        f"{', '.join(model.baselines)}, whole {model.groups} held out; registered as models:/{model.name}."
        + beside,
        metadata={"registry": f"models:/{model.name}@champion"},
    )


def _outcome(lake: "Lakehouse", model: Specification, released: "Release") -> Outcome:
    version = lake.records(
        "SELECT * FROM model_versions WHERE model_name = ? AND version = ?",
        [model.name, released.version],
    )[0]
    stands = (
        f"version {released.champion} answers"
        if released.champion
        else f"no version passed the gate: {version['decision_reason']}"
    )
    return Outcome(
        version["n_rows"],
        digest_of(version["data_hash"], version["code_hash"], version["parameters_hash"]),
        released.because if released.trained else "",
        released.is_synthetic,
        numbers={
            "newest_version": released.version,
            "champion": released.champion or 0,
            "licence": version["licence"],
            "trained_at_snapshot": version["snapshot_id"],
            "gate": f"{version['decision']}: {version['decision_reason']}",
            "card": dg.MetadataValue.md(version["card"]),
        },
        tables={
            "metrics": lake.records(
                """SELECT target, candidate, metric, value, low, high FROM model_evaluations
                   WHERE model_name = ? AND version = ? AND slice = 'all rows'
                   ORDER BY target, metric, candidate""",
                [model.name, released.version],
            )
        },
        pictures=_pictures(lake, released),
        verdicts={
            CHAMPION_STANDS: Verdict(released.champion is not None, stands),
            NEWEST_PASSED: Verdict(version["decision"] == "champion", version["decision_reason"]),
        },
    )


def _pictures(lake: "Lakehouse", released: "Release") -> "dict[str, Draw]":
    """Of a version that was trained just now."""
    if not released.judged:
        return {}
    from battery_platform.models.pictures import judged_figure, map_figure
    from battery_platform.models.registry import load

    drawn: dict[str, Draw] = {}
    for judged in released.judged:
        drawn[f"held_out: {judged.quantity.target}"] = partial(judged_figure, judged)
        if judged.quantity.classes and set(SLURRY) <= set(judged.quantity.inputs):
            predict = load(lake.settings, released.model, released.version)
            drawn["map"] = partial(map_figure, judged, predict)
    return drawn


def _passed_over(reason: str) -> Outcome:
    nothing = Verdict(True, f"there is nothing to learn from: {reason}")
    return Outcome(
        0,
        "",
        numbers={"passed_over": reason},
        verdicts=dict.fromkeys((CHAMPION_STANDS, NEWEST_PASSED), nothing),
    )


def _candidates(context: dg.AssetExecutionContext, lake: "Lakehouse", config: Any) -> Outcome:
    from threadpoolctl import threadpool_limits

    from battery_platform.models.kinds.sparse.learning import compare

    version = lake.value(
        "SELECT max(version) FROM model_versions WHERE model_name = 'cell-outcome'"
    )
    with threadpool_limits(1):
        rows = compare(lake, MODELS["cell-outcome"], version, context.log.info)
    names = ("target", "slice", "candidate", "metric", "value", "low", "high")
    medians = [row for row in rows if row["target"].startswith(("median", "class", "d30"))]
    return Outcome(
        len(rows),
        "",
        "asked for",
        numbers={"version": version},
        tables={"scores": some(medians, *names)},
    )


cell_outcome_candidates = product_asset(
    COMPARISON_KEY,
    _candidates,
    made_by=["battery_platform.models.kinds.sparse.learning:compare"],
    upstream=[model_key("cell-outcome")],
    description="Every way to tell the outcome of a cell, also the 200 bootstrapped networks of paper 001, "
    "beside lasso, forest, iterative imputation and the mean: whole cases held out, three repeats. Minutes.",
)


def _forecasts(context: Any, lake: "Lakehouse", config: Any) -> Outcome:
    from battery_platform.models.forecasts import scoreboard
    from battery_platform.models.surrogates import champions

    boards = []
    for name, version in champions(lake.settings, FORECAST).items():
        predict = partial(_asked, lake.settings, name, version) if version else None
        boards.append(scoreboard(lake, MODELS[name], version, predict))
    moved = sum(board.frozen_now + board.scored_now for board in boards)
    return Outcome(
        lake.value("SELECT count(*) FROM model_forecasts"),
        "",
        f"{moved} frozen or scored" if moved else "",
        tables={"scoreboard": [vars(board) for board in boards]},
        verdicts={
            FORECASTS_HOLD: Verdict(
                all(board.holds for board in boards),
                "; ".join(
                    f"{board.model}: {board.scored} scored, hits {board.hits}" for board in boards
                ),
            ),
            NO_DRIFT: Verdict(
                not any(board.drifts for board in boards),
                "; ".join(f"{board.model}: {board.drift}" for board in boards),
            ),
        },
    )


def _asked(
    settings: "Settings", name: str, version: int, recipes: "pd.DataFrame"
) -> "pd.DataFrame":
    """What a version answers; it is loaded only when something is asked."""
    from battery_platform.models import registry

    return registry.load(settings, name, version)(recipes)


forecasts = product_asset(
    FORECASTS_KEY,
    _forecasts,
    made_by=["battery_platform.models.forecasts:scoreboard"],
    upstream=[
        dg.AssetKey(["marts", "mart_electrodes"]),
        *(model_key(name) for name in FORECAST),
    ],
    kinds=frozenset({"mlflow", "ducklake"}),
    checks=[
        Check(
            FORECASTS_HOLD,
            "Of at least 20 predictions that were frozen before the measurement came, 90 % intervals hold "
            "three quarters or more.",
        ),
        Check(
            NO_DRIFT,
            "Of at least 20, frozen predictions are not off to one side beyond chance, and no more than a "
            "quarter of the recipes that wait lie outside of the data.",
        ),
    ],
    description="Electrodes that wait for a measurement are predicted once by the champion of the day; when the "
    "measurement comes, the frozen prediction is scored.",
)


ASSETS = [*(model_asset(model) for model in MODELS.values()), cell_outcome_candidates, forecasts]
