"""Reading, evaluating and fitting a surrogate: one quantity after the other, all from the same inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from battery_platform.compute.spread import spread
from battery_platform.models.algorithms import algorithm as algorithm_of
from battery_platform.models.card import card
from battery_platform.models.evaluation import evaluate
from battery_platform.models.gate import Judged, Standing, decide, pick
from battery_platform.models.rows import Rows
from battery_platform.models.served.surrogate import State
from battery_platform.models.specification import Specification
from battery_platform.models.states import together
from battery_platform.models.training import TrainingSet
from battery_platform.store.lakehouse import Lakehouse

Standings = Callable[[Specification], Standing | None]
Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Learnt:
    """What a registered version consists of."""

    model: Specification
    judged: Sequence[Judged]
    state: Mapping[str, Any]
    card: Callable[[str], str]
    """Returns the card, given the reason for training."""
    further_scores: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    """Rows of evaluations beyond those that the gate looks at."""


@dataclass(frozen=True, eq=False)
class Material:
    """The data to learn from, read at one snapshot."""

    training: TrainingSet
    digest: str
    learn: Callable[[Mapping[str, str], Standings, Progress], Learnt]


def read_material(lake: Lakehouse, model: Specification) -> Material:
    """The rows of each quantity of a surrogate."""
    trainings = [quantity.source.read(lake, quantity) for quantity in model.quantities]

    def learn(hashes: Mapping[str, str], standings: Standings, progress: Progress) -> Learnt:
        judged, tasks = [], []
        for quantity, rows in zip(model.quantities, trainings, strict=True):
            evaluation = evaluate(quantity, rows, progress=progress)
            algorithm = pick(evaluation)
            decision = decide(evaluation, algorithm, standings(quantity), hashes["data"])
            judged.append(Judged(quantity, evaluation, algorithm, decision))
            about = {
                "synthetic": rows.is_synthetic,
                "model": model.name,
                "data_hash": rows.digest,
            }
            tasks.append((quantity, algorithm, rows.rows, about))
        states = list(spread(fitted, tasks))
        return Learnt(
            model,
            judged,
            together(states),
            lambda because: card(model, judged, states, hashes, because),
        )

    return Material(trainings[0], _joined([training.digest for training in trainings]), learn)


def fitted(quantity: Specification, algorithm: str, rows: Rows, about: dict[str, Any]) -> State:
    """The state that predicts one quantity, fitted to all of its rows."""
    return algorithm_of(quantity, algorithm)(quantity, rows, about)


def _joined(digests: Sequence[str]) -> str:
    if len(digests) == 1:
        return digests[0]
    return hashlib.blake2b("/".join(digests).encode(), digest_size=8).hexdigest()
