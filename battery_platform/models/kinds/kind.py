"""Kinds of models: how each is read, evaluated and fitted, and which code decides the result.

From `release` on both kinds share the same gate, card and registry. Modules are named here as text so
that only training imports them, not whoever merely looks up a version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from battery_platform.made.fingerprint import fingerprint
from battery_platform.models.algorithms import makers_of
from battery_platform.models.specification import Specification

if TYPE_CHECKING:
    from battery_platform.models.kinds.surrogate import Material
    from battery_platform.store.lakehouse import Lakehouse

MODELS = "battery_platform.models"


@dataclass(frozen=True)
class Kind:
    """A way to learn, from reading rows to a state that can be served."""

    module: str
    """Its `read_material` returns the data to learn from."""
    makers: Callable[[Specification], list[str]]
    """Code beside that module that decides how a version turns out."""
    dispatches: tuple[str, ...]
    """Tables of all algorithms, which are not followed: only the algorithms that a model tries count."""


def read_material(lake: Lakehouse, model: Specification) -> Material:
    """The data that a model learns from, read at one snapshot."""
    material: Material = import_module(KINDS[model.kind].module).read_material(lake, model)
    return material


def code_of(model: Specification) -> str:
    """Hash of the code that decides how a version of this model turns out."""
    kind = KINDS[model.kind]
    return fingerprint(
        f"{kind.module}:read_material",
        f"{MODELS}.served.{model.served}",
        *(quantity.source.read for quantity in model.quantities),
        *kind.makers(model),
        without=kind.dispatches,
    )


def _algorithms(model: Specification) -> list[str]:
    return [
        makers_of(quantity)[name]
        for quantity in model.quantities
        for name in (*quantity.algorithms, *quantity.when_many)
    ]


KINDS = {
    "surrogate": Kind(f"{MODELS}.kinds.surrogate", _algorithms, (f"{MODELS}.algorithms",)),
    "sparse": Kind(
        f"{MODELS}.kinds.sparse.learning",
        lambda model: [
            f"{MODELS}.kinds.sparse.stack:candidate",
            f"{MODELS}.kinds.sparse.simple:SIMPLE",
        ],
        (f"{MODELS}.kinds.sparse.evaluation:CANDIDATES",),
    ),
}
