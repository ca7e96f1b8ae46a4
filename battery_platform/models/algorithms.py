"""The algorithms that a model may be fitted by, under the names that cards and tables use.

They are named as `module:function`, so that a name imports nothing, and so that algorithms which a model
does not try are no part of its code hash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from battery_platform.compute.job import find
from battery_platform.models.rows import Rows
from battery_platform.models.specification import Specification

State = dict[str, Any]
Fit = Callable[[Specification, Rows, dict[str, Any] | None], State]
MODELS = "battery_platform.models"
OF_QUANTITIES = {
    "gaussian process": f"{MODELS}.gaussian_process:fit",
    "boosted trees": f"{MODELS}.boosting:fit",
    "network": f"{MODELS}.networks:fit_small",
    "taught network": f"{MODELS}.networks:fit_taught",
    "wide network": f"{MODELS}.networks:fit_wide",
    "elastic net": f"{MODELS}.networks:fit_elastic_net",
}
OF_CLASSES = {
    "gaussian process": f"{MODELS}.gaussian_process:fit",
    "boosted trees": f"{MODELS}.boosting:fit_classes",
    "support vectors": f"{MODELS}.classifying:fit_support",
    "mixture": f"{MODELS}.classifying:fit_mixture",
}


def makers_of(model: Specification) -> dict[str, str]:
    """The algorithms that can fit what the model predicts, quantities or classes."""
    return OF_CLASSES if model.classes else OF_QUANTITIES


def algorithm(model: Specification, name: str) -> Fit:
    """The fitting function of that name."""
    fit: Fit = find(makers_of(model)[name])
    return fit
