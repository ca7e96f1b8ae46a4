"""Models as assets: trained when data, code or specification changed, judged, registered."""

from typing import Any

import dagster as dg

from battery_platform.defs.gates import require_passed
from battery_platform.defs.marts import DBT_CHECKS
from battery_platform.defs.metadata import OWNERS, markdown_table, picture
from battery_platform.defs.raw_tables import RAW_CHECKS
from battery_platform.defs.resources import LakehouseResource

GROUP = "models"
TRAINED_FROM = [
    dg.AssetKey(["marts", "mart_electrodes"]),
    dg.AssetKey(["core", "core_links"]),
    dg.AssetKey(["core", "core_provenance"]),
]
NAMES = {
    "mass-loading": "Mass loading from composition, solid content, viscosity and comma gap.",
    "porosity": "Porosity before calendering, from the same four.",
}
CHAMPION_STANDS = "a_champion_stands"
NEWEST_PASSED = "newest_version_passed_the_gate"


def model_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["models", name.replace("-", "_")])


def _model(name: str, description: str) -> dg.AssetsDefinition:
    key = model_key(name)

    @dg.asset(
        key=key,
        deps=TRAINED_FROM,
        group_name=GROUP,
        kinds={"mlflow", "python"},
        owners=OWNERS,
        code_version="1",
        check_specs=[
            dg.AssetCheckSpec(
                CHAMPION_STANDS,
                asset=key,
                description="A version answers under @champion; without one nothing can be designed.",
            ),
            dg.AssetCheckSpec(
                NEWEST_PASSED,
                asset=key,
                description="No worse than any baseline, calibrated, and no step back.",
            ),
        ],
        description=f"{description} A Gaussian process beside a mean, a nearest neighbour and a "
        f"ridge, in groups by slurry batch; registered as models:/{name}.",
        metadata={"registry": f"models:/{name}@champion"},
    )
    def train(
        context: dg.AssetExecutionContext, lakehouse: LakehouseResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from battery_platform.models.release import release
        from battery_platform.models.specification import MODELS

        require_passed(context, [*RAW_CHECKS, *DBT_CHECKS])
        lake = lakehouse.lake()
        made = release(lake, MODELS[name], context.log.info)
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
                    """SELECT candidate, metric, value, low, high FROM model_evaluations
                       WHERE model_name = ? AND version = ? AND slice = 'all electrodes'
                       ORDER BY metric, candidate""",
                    [name, made.version],
                )
            ),
        }
        if made.evaluation is not None:
            from battery_platform.models.pictures import parity_figure

            metadata["parity"] = picture(parity_figure(MODELS[name], made.evaluation))
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


ASSETS = [_model(name, description) for name, description in NAMES.items()]
MODEL_KEYS = [model_key(name) for name in NAMES]
