"""What a question from the shell imports: none of the packages that cost seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from battery_platform.design.inverse import design_id
from battery_platform.design.stored import keep
from battery_platform.design.targets import DEFAULT, answering, parse
from battery_platform.models import registry, registry_file, saved
from battery_platform.models.registry import connected as registry_of
from battery_platform.models.specification import MODELS, RECIPE, Specification
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse

HEAVY = {"mlflow", "pandera", "pybamm", "dagster", "dbt", "sklearn", "scipy", "pandas", "polars"}
_ASK = """
import json, sys
from battery_platform.cli import main
sys.argv = ["battery-platform", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    status = end.code or 0
print(json.dumps([status, sorted(sys.modules)]))
"""


@pytest.fixture
def imported_by(settings: Settings, lake: Lakehouse) -> Callable[..., set[str]]:
    lake.snapshot()  # a lake is there, and what the code expects of it is remembered
    lake.close()

    def ask(*words: str, before: str = "") -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", before + _ASK, *words],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "BATTERY_PLATFORM_HOME": str(settings.home)},
        )
        status, modules = json.loads(done.stdout.splitlines()[-1])
        assert status == 0, done.stderr
        return set(modules) | {name.split(".")[0] for name in modules}

    return ask


@pytest.mark.parametrize("words", [("models", "list"), ("models", "events"), ("sql", "select 1")])
def test_questions_to_the_lake_are_light(
    words: tuple[str, ...], imported_by: Callable[..., set[str]], registry: Path
) -> None:
    assert registry.is_file()
    assert imported_by(*words) & HEAVY == set()


def test_doctor_is_light(imported_by: Callable[..., set[str]], registry: Path) -> None:
    from battery_platform.defs.dbt_project import prepare_manifest

    prepare_manifest()
    assert imported_by("doctor") & HEAVY == set()


_KNOWN = """
from battery_platform.design import inverse
inverse.answering_versions = lambda lake, models: {}
"""
"""Versions of models are no matter here."""


def test_a_design_that_is_known_is_found_without_what_searches(
    imported_by: Callable[..., set[str]], lake: Lakehouse
) -> None:
    target = parse(DEFAULT)
    rows = {
        "designs": [
            {
                **{"probability": 0.9, "residual_correlation": 0.0, "in_domain": True},
                **{"distance": 0.1, "note": None, "candidates": 7, "active_material": "NMC"},
                **{"loading_basis": "coating", "snapshot_id": 1, "code_hash": "c"},
                **{"licence": "CC0-1.0", "is_synthetic": True},
            }
        ],
        "design_targets": [
            {
                **{"quantity": wanted.quantity, "place": place, "wanted": wanted.value},
                **{"tolerance": wanted.tolerance, "predicted": wanted.value},
                **{"standard_deviation": 1.0, "probability": 0.9, "version": 1},
                "model_name": answering()[wanted.quantity].name,
            }
            for place, wanted in enumerate(target, start=1)
        ],
        "design_variables": [
            {"variable": name, "place": place, "value": 1.0}
            for place, name in enumerate(RECIPE, start=1)
        ],
    }
    keep(lake, design_id(target, []), rows, is_standing=True)
    lake.close()
    modules = imported_by("design", "--target", DEFAULT, before=_KNOWN)
    # DuckDB itself imports pandas for any question with parameters
    assert modules & (HEAVY - {"pandas", "polars"}) == set()


def test_a_prediction_imports_what_reads_the_file_and_no_more(
    settings: Settings, imported_by: Callable[..., set[str]], registry: Path, tmp_path: Path
) -> None:
    model = MODELS["mass-loading"]
    code, recipes = tmp_path / "loading.py", tmp_path / "recipes.csv"
    code.write_text(_ANSWERS.format(outputs=list(model.outputs.values())))
    recipes.write_text(f"{','.join(model.inputs)}\n94,60,5,120\n")
    _register(settings, code, model)
    modules = imported_by("predict", model.name, "--input", str(recipes))
    assert modules & {"mlflow", "sklearn", "dagster", "dbt", "pybamm"} == set()
    assert "battery_platform.records.ingest" not in modules


_ANSWERS = """
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Same(PythonModel):
    def load_context(self, context):
        pass

    def predict(self, context, model_input, params=None):
        answers = pd.DataFrame({{name: 1.0 for name in {outputs}}}, index=model_input.index)
        return answers.assign(in_domain=True, distance=0.1, note="", synthetic=True)


set_model(Same())
"""


def _register(settings: Settings, code: Path, model: Specification) -> None:
    """As champion, a version that answers the same to everything."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    with registry_of(settings) as client:
        place = settings.registry_artifacts.as_uri()
        mlflow.set_experiment(experiment_id=client.create_experiment("e", artifact_location=place))
        mlflow.pyfunc.log_model(
            name=model.name,
            python_model=str(code),
            artifacts={"code": str(code)},
            signature=ModelSignature(Schema([ColSpec("double", name) for name in model.inputs])),
            pip_requirements=["pandas"],
            registered_model_name=model.name,
        )
        mlflow.end_run()
        client.set_registered_model_alias(model.name, "champion", "1")


def test_help_does_not_even_open_a_database(imported_by: Callable[..., set[str]]) -> None:
    assert imported_by("--help") & {*HEAVY, "duckdb"} == set()


def test_the_file_of_the_registry_says_what_mlflow_says(settings: Settings, registry: Path) -> None:
    from battery_platform.models.registry import connected

    with connected(settings) as client:
        client.create_registered_model("mass-loading")
        for number in range(3):
            client.create_model_version(
                "mass-loading", source="file:///nowhere", tags={"number": str(number)}
            )
        client.set_registered_model_alias("mass-loading", "champion", "2")
        client.delete_model_version("mass-loading", "3")
        told = {
            int(version.version): dict(version.tags)
            for version in client.search_model_versions("name = 'mass-loading'")
        }
    assert registry_file.can_be_read(settings)
    assert registry_file.aliases(settings) == {"mass-loading": {"champion": 2}}
    assert (
        registry_file.tags(settings, "mass-loading")
        == told
        == {
            1: {"number": "0"},
            2: {"number": "1"},
        }
    )
    assert registry_file.folder_of(settings, "mass-loading", 1) is None
    assert registry_file.folder_of(settings, "mass-loading", 3) is None


def test_a_registry_that_is_not_there_is_not_made_by_asking(settings: Settings) -> None:
    assert not registry_file.can_be_read(settings)
    assert not (settings.home / "registry").exists()


_SAVED = """
import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Doubles(PythonModel):
    def load_context(self, context):
        with np.load(context.artifacts["state"]) as arrays:
            self.factor = float(arrays["factor"])

    def predict(self, context, model_input, params=None):
        return pd.DataFrame({"answer": self.factor * model_input["gap"].astype(float)})


set_model(Doubles())
"""


def test_a_saved_version_answers_alike_with_and_without_mlflow(
    settings: Settings, registry: Path, tmp_path: Path
) -> None:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    from battery_platform.models.registry import connected

    code, state = tmp_path / "doubles.py", tmp_path / "state.npz"
    code.write_text(_SAVED)
    np.savez(state, factor=2.0)
    with connected(settings) as client:
        place = settings.registry_artifacts.as_uri()
        mlflow.set_experiment(experiment_id=client.create_experiment("e", artifact_location=place))
        logged = mlflow.pyfunc.log_model(
            name="mass-loading",
            python_model=str(code),
            artifacts={"state": str(state)},
            signature=ModelSignature(
                Schema([ColSpec("double", "gap"), ColSpec("double", "more", required=False)])
            ),
            pip_requirements=["numpy"],
            registered_model_name="mass-loading",
        )
        mlflow.end_run()
        served = mlflow.pyfunc.load_model("models:/mass-loading/1")
    rows = pd.DataFrame({"gap": [80.0, 200.0]})
    folder = registry_file.folder_of(settings, "mass-loading", 1)
    assert logged.registered_model_version is not None
    assert folder is not None
    assert saved.inputs(folder) == (["gap"], ["more"])
    before = {name: module for name, module in sys.modules.items() if name.startswith("mlflow")}
    pd.testing.assert_frame_equal(saved.load(folder)(rows), served.predict(rows))
    assert {n: m for n, m in sys.modules.items() if n.startswith("mlflow")} == before


def test_known_models_are_those_that_are_specified() -> None:
    assert [registry.known(name).name for name in MODELS] == list(MODELS)
