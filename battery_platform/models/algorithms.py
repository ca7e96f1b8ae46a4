"""The algorithms that a model may be fitted by, under the names that cards and tables use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from battery_platform.models import boosting, classifying, gaussian_process, networks
from battery_platform.models.rows import Rows
from battery_platform.models.served.surrogate import State
from battery_platform.models.specification import Specification

Fit = Callable[[Specification, Rows, dict[str, Any] | None], State]
OF_QUANTITIES: dict[str, Fit] = {
    "gaussian process": gaussian_process.fit,
    "boosted trees": boosting.fit,
    "network": networks.fit_small,
    "taught network": networks.fit_taught,
    "wide network": networks.fit_wide,
    "elastic net": networks.fit_elastic_net,
}
OF_CLASSES: dict[str, Fit] = {
    "gaussian process": gaussian_process.fit,
    "boosted trees": boosting.fit_classes,
    "support vectors": classifying.fit_support,
    "mixture": classifying.fit_mixture,
}


def algorithms_of(model: Specification) -> dict[str, Fit]:
    """Those that fit what the model predicts."""
    return OF_CLASSES if model.classes else OF_QUANTITIES
