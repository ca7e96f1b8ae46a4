"""Kinds of models: how one is read, judged and fitted, and which code decides how it turns out.

Both kinds go the same way from `release` on: one gate, one card, one registry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from battery_platform.made.fingerprint import fingerprint
from battery_platform.models import algorithms, learning
from battery_platform.models.algorithms import algorithms_of
from battery_platform.models.learning import Material
from battery_platform.models.served import cell_outcome, surrogate
from battery_platform.models.sparse import evaluation as sparse_evaluation
from battery_platform.models.sparse import learning as sparse_learning
from battery_platform.models.specification import Specification
from battery_platform.store.lakehouse import Lakehouse

LIBRARIES = ("scikit-learn", "scipy", "xgboost-cpu")
"""What decides a fit beside our own code."""


@dataclass(frozen=True)
class Kind:
    """A way to learn, from reading rows to a state that can be served."""

    read: Callable[[Lakehouse, Specification], Material]
    code: Callable[[Specification], str]
    """Hash of the code that decides how a version turns out."""


def kind_of(model: Specification) -> Kind:
    """The kind that a specification asks for."""
    return KINDS[model.kind]


def _surrogate_code(model: Specification) -> str:
    """Of the algorithms only those that this model tries: another one's code decides nothing here."""
    fits = [
        algorithms_of(part)[name]
        for part in model.parts
        for name in (*part.algorithms, *part.when_many)
    ]
    return fingerprint(
        learning.read,
        surrogate,
        *(part.source.read for part in model.parts),
        *fits,
        libraries=LIBRARIES,
        without=(algorithms,),
    )


def _sparse_code(model: Specification) -> str:
    names = (*model.algorithms, *model.baselines)
    return fingerprint(
        sparse_learning.read,
        cell_outcome,
        *(sparse_evaluation.CANDIDATES[name] for name in names),
        libraries=LIBRARIES,
        without=(sparse_candidates,),
    )


KINDS = {
    "surrogate": Kind(learning.read, _surrogate_code),
    "sparse": Kind(sparse_learning.read, _sparse_code),
}
