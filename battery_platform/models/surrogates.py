"""Champions as plain functions of arrays, for analyses that explore them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np

from battery_platform.models import registry
from battery_platform.models.specification import MODELS
from battery_platform.settings import Settings

Ask = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def champions(settings: Settings, names: Sequence[str]) -> dict[str, int | None]:
    """The champion version of each model, if there is one."""
    return {name: registry.aliases(settings, name).get(registry.CHAMPION) for name in names}


def surrogate_of(
    settings: Settings, versions: Mapping[str, int | None]
) -> Callable[[str, str, tuple[str, ...]], Ask | None]:
    """A function that returns, for a model, target and inputs, the champion's predictor if there is one."""
    import pandas as pd

    @cache
    def loaded(name: str, version: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
        return registry.load(settings, name, version)

    def surrogate(name: str, target: str, inputs: tuple[str, ...]) -> Ask | None:
        version = versions.get(name)
        if version is None or set(inputs) != set(MODELS[name].inputs):
            return None
        quantity = next(
            candidate for candidate in MODELS[name].quantities if candidate.target == target
        )
        predict = loaded(name, version)

        def ask(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            answers = predict(pd.DataFrame(at, columns=list(inputs)))
            return (
                answers[quantity.outputs["value"]].to_numpy(),
                answers[quantity.outputs["standard_deviation"]].to_numpy(),
            )

        return ask

    return surrogate
