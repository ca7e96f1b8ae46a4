"""A saved version asked without MLflow: its own code and arrays, as they lie in its folder.

The code of a version is one file that imports two names of MLflow, to say what it is. Those names
are lent to it while it is read; MLflow itself would take seconds to import and adds nothing here,
for what it checks of the input is checked before.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    import pandas as pd

_LENDING = Lock()


@dataclass(frozen=True)
class _Context:
    """What MLflow hands to `load_context`: where the files of the version are."""

    artifacts: dict[str, str]


class _PythonModel:
    """The base that a saved model names; it asks nothing of it."""


def inputs(folder: Path) -> tuple[list[str], list[str]]:
    """The columns that a version must be asked with, and those that it may be."""
    columns = yaml.safe_load(_description(folder)["signature"]["inputs"])
    return (
        [column["name"] for column in columns if column["required"]],
        [column["name"] for column in columns if not column["required"]],
    )


def load(folder: Path) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The `predict` of the version that lies in a folder."""
    flavour = _description(folder)["flavors"]["python_function"]
    model = _read(folder / Path(flavour["model_code_path"]).name)
    context = _Context(
        {name: str(folder / about["path"]) for name, about in flavour["artifacts"].items()}
    )
    model.load_context(context)

    def predict(rows: pd.DataFrame) -> pd.DataFrame:
        answer: pd.DataFrame = model.predict(context, rows)
        return answer

    return predict


def _description(folder: Path) -> dict[str, Any]:
    described: dict[str, Any] = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    return described


def _read(path: Path) -> Any:
    """Run the file of code; what it sets as its model is returned."""
    given: list[Any] = []
    lent = {name: types.ModuleType(name) for name in ("mlflow", *_LENT)}
    lent["mlflow.models"].__dict__["set_model"] = given.append
    lent["mlflow.pyfunc.model"].__dict__["PythonModel"] = _PythonModel
    with _LENDING:
        kept = {name: sys.modules[name] for name in lent if name in sys.modules}
        sys.modules.update(lent)
        try:
            exec(compile(path.read_bytes(), path, "exec"), {"__name__": f"saved_{path.stem}"})  # noqa: S102
        finally:
            for name in lent:
                del sys.modules[name]
            sys.modules.update(kept)
    return given[-1]


_LENT = ("mlflow.models", "mlflow.pyfunc", "mlflow.pyfunc.model")
