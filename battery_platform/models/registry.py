"""The registry: versions go in with all that a consumer needs, and come out by name and alias.

A saved version is one file of code and one of arrays. What it was trained on is in the lake.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from battery_platform.errors import PlatformError
from battery_platform.models import registry_file, saved
from battery_platform.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from battery_platform.models.specification import Specification

EXPERIMENT = "battery_platform"
CHAMPION, CHALLENGER = "champion", "challenger"
JUDGED = "gate"
"""Tag that a version gets last: without it a release was interrupted."""
SERVED = Path(__file__).with_name("served")


@dataclass(frozen=True)
class Registered:
    """What the registry answered."""

    version: int
    run_id: str


@contextlib.contextmanager
def connected(settings: Settings) -> Iterator[MlflowClient]:
    """MLflow pointed at our registry, quiet and without telemetry."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    settings.registry_artifacts.mkdir(parents=True, exist_ok=True)
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.set_tracking_uri(settings.registry_url)
        mlflow.set_registry_uri(settings.registry_url)
        try:
            yield mlflow.MlflowClient()
        except mlflow.exceptions.MlflowException as error:
            raise PlatformError(
                f"The model registry at {settings.registry_url.split('@')[-1]} refused: "
                f"{str(error).splitlines()[0][:300]}",
                "Check BATTERY_PLATFORM_REGISTRY and that the server runs.",
            ) from error


def register(
    settings: Settings,
    model: Specification,
    state: Mapping[str, Any],
    card: str,
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    example: Mapping[str, float],
) -> Registered:
    """Save a version with its card, signature and pinned requirements; it gets no alias yet."""
    with connected(settings) as client, tempfile.TemporaryDirectory() as folder:
        import mlflow
        import numpy as np
        import pandas as pd
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema
        from mlflow.types.schema import AnyType

        arrays, words = Path(folder) / "state.npz", Path(folder) / "card.md"
        np.savez_compressed(arrays, **state)
        words.write_text(card, encoding="utf-8")
        outputs = [ColSpec("double", name) for name in model.columns]
        for part in model.quantities:
            outputs += [
                ColSpec("string" if kind == "class" else "double", name)
                for kind, name in part.class_outputs.items()
            ]
        outputs += [ColSpec(kind, name) for name, kind in model.more_outputs]
        flags = [
            ColSpec("boolean", "in_domain"),
            ColSpec("double", "distance"),
            ColSpec("string", "note"),
            ColSpec("boolean", "synthetic"),
        ]
        any_number = AnyType()  # type: ignore[no-untyped-call]
        # MLflow refuses whole numbers for "double"; the model itself tells what it cannot read
        inputs = Schema(
            [
                *(ColSpec(any_number, name) for name in model.inputs),
                *(ColSpec(any_number, name, required=False) for name in model.known),
            ]
        )
        mlflow.set_experiment(experiment_id=_experiment(client, settings))
        with mlflow.start_run(run_name=model.name, tags=dict(tags)) as run:
            mlflow.log_metrics(dict(metrics))
            logged = mlflow.pyfunc.log_model(
                name=model.name,
                python_model=str(SERVED / f"{model.served}.py"),
                artifacts={"state": str(arrays), "card": str(words)},
                signature=ModelSignature(inputs, Schema([*outputs, *flags])),
                input_example=pd.DataFrame([dict(example)]),
                pip_requirements=requirements(),
                metadata=dict(tags),
                registered_model_name=model.name,
            )
        version = str(logged.registered_model_version)
        client.update_model_version(model.name, version, description=card)
        for name, value in tags.items():
            client.set_model_version_tag(model.name, version, name, value)
        return Registered(int(version), run.info.run_id)


def _experiment(client: MlflowClient, settings: Settings) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    served = settings.registry_url.startswith(("http:", "https:"))
    place = None if served else settings.registry_artifacts.as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=place))


def requirements() -> list[str]:
    """What a consumer installs: exact versions of three packages."""
    from importlib.metadata import version

    return [
        f"{name}=={version(package)}"
        for name, package in (
            ("mlflow-skinny", "mlflow"),
            ("numpy", "numpy"),
            ("pandas", "pandas"),
        )
    ]


def aliases(settings: Settings, name: str) -> dict[str, int]:
    """Which version each alias of a model names."""
    return all_aliases(settings).get(name, {})


def all_aliases(settings: Settings) -> dict[str, dict[str, int]]:
    """Which version each alias names, by model."""
    if registry_file.can_be_read(settings):
        return registry_file.aliases(settings)
    with connected(settings) as client:
        return {
            model.name: {alias: int(version) for alias, version in model.aliases.items()}
            for model in client.search_registered_models()
        }


def tags(settings: Settings, name: str) -> dict[int, dict[str, str]]:
    """What each version in the registry says of itself."""
    if registry_file.can_be_read(settings):
        return registry_file.tags(settings, name)
    with connected(settings) as client:
        versions = client.search_model_versions(f"name = '{name}'")
        return {int(version.version): dict(version.tags) for version in versions}


def finish(settings: Settings, name: str, version: int, promoted: bool) -> None:
    """Give a version its alias; what it says of itself then is that it was judged."""
    alias = CHAMPION if promoted else CHALLENGER
    with connected(settings) as client:
        client.set_registered_model_alias(name, alias, str(version))
        client.set_model_version_tag(name, str(version), JUDGED, alias)


def load(settings: Settings, name: str, version: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A version's `predict`: from its files where they can be reached, else as consumers load it."""
    there = tags(settings, name)
    if version not in there:
        raise PlatformError(
            f"The registry has no version {version} of {name}.",
            f"Versions: {', '.join(map(str, sorted(there))) or 'none'}; see `battery-platform models "
            "list`.",
        )
    folder = _folder(settings, name, version)
    if folder is not None:
        return saved.load(folder)
    with connected(settings):
        import mlflow

        try:
            loaded = mlflow.pyfunc.load_model(f"models:/{name}/{version}")
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise PlatformError(
                f"The files of {name} {version} are not where the registry has them: "
                f"{' '.join(str(error).split())[:200]}",
                "Was the data folder moved? Move it back, or run `battery-platform refresh`: what is "
                "gone is trained anew.",
            ) from error

    def predict(recipes: pd.DataFrame) -> pd.DataFrame:
        answer: pd.DataFrame = loaded.predict(recipes)
        return answer

    return predict


def inputs_of(settings: Settings, name: str, version: int) -> tuple[list[str], list[str]]:
    """The columns that a version must be asked with, and those that it may be."""
    folder = _folder(settings, name, version)
    if folder is not None:
        return saved.inputs(folder)
    with connected(settings):
        import mlflow

        signature = mlflow.models.get_model_info(f"models:/{name}/{version}").signature
    columns = signature.inputs.inputs
    return (
        [column.name for column in columns if column.required],
        [column.name for column in columns if not column.required],
    )


def _folder(settings: Settings, name: str, version: int) -> Path | None:
    if not registry_file.can_be_read(settings):
        return None
    return registry_file.folder_of(settings, name, version)


def known(name: str) -> Specification:
    """The specification of a model by name."""
    from battery_platform.models.specification import MODELS

    if name not in MODELS:
        raise PlatformError(f"There is no model '{name}'.", f"Models are: {', '.join(MODELS)}.")
    return MODELS[name]


def champion(settings: Settings, name: str) -> int:
    """The version that answers for a model."""
    known(name)
    found = aliases(settings, name).get(CHAMPION)
    if found is None:
        raise PlatformError(
            f"{name} has no champion yet.",
            "Run `battery-platform refresh`; `battery-platform models list` shows what the gate said.",
        )
    return found


def hand_over(settings: Settings, name: str, version: int, withdrawn: int | None) -> None:
    """Make a version the champion; the one that it takes the place of becomes challenger."""
    with connected(settings) as client:
        client.set_registered_model_alias(name, CHAMPION, str(version))
        if withdrawn is not None:
            client.set_registered_model_alias(name, CHALLENGER, str(withdrawn))
