"""Kinds of models: how one is read, judged and fitted, and which code decides how it turns out.

Both kinds go the same way from `release` on: one gate, one card, one registry. What is named here as
text is imported by whoever trains, not by whoever only asks for a version.
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
    """Its `read` hands out what there is to learn from."""
    makers: Callable[[Specification], list[str]]
    """What decides how a version turns out, beside that module."""
    dispatches: tuple[str, ...]
    """Tables of all algorithms, which are not followed: only those count that a model tries."""


def read_material(lake: Lakehouse, model: Specification) -> Material:
    """What a model is to learn from, read at one snapshot."""
    material: Material = import_module(KINDS[model.kind].module).read(lake, model)
    return material


def code_of(model: Specification) -> str:
    """Hash of the code that decides how a version of this model turns out."""
    kind = KINDS[model.kind]
    return fingerprint(
        f"{kind.module}:read",
        f"{MODELS}.served.{model.served}",
        *(part.source.read for part in model.parts),
        *kind.makers(model),
        without=kind.dispatches,
    )


def _algorithms(model: Specification) -> list[str]:
    return [
        makers_of(part)[name]
        for part in model.parts
        for name in (*part.algorithms, *part.when_many)
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
