"""How a surrogate is read, judged and fitted: one quantity after the other, all from the same inputs."""

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
    """From why it was trained."""
    further_scores: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    """Rows of evaluations beside those that the gate looks at."""


@dataclass(frozen=True, eq=False)
class Material:
    """What there is to learn from, read at one snapshot."""

    training: TrainingSet
    digest: str
    learn: Callable[[Mapping[str, str], Standings, Progress], Learnt]


def read(lake: Lakehouse, model: Specification) -> Material:
    """The rows of each quantity of a surrogate."""
    trainings = [part.source.read(lake, part) for part in model.parts]

    def learn(hashes: Mapping[str, str], standings: Standings, progress: Progress) -> Learnt:
        judged, tasks = [], []
        for part, rows in zip(model.parts, trainings, strict=True):
            evaluation = evaluate(part, rows, progress=progress)
            algorithm = pick(evaluation)
            decision = decide(evaluation, algorithm, standings(part), hashes["data"])
            judged.append(Judged(part, evaluation, algorithm, decision))
            said = {
                "synthetic": rows.is_synthetic,
                "model": model.name,
                "data_hash": rows.digest,
            }
            tasks.append((part, algorithm, rows.rows, said))
        states = list(spread(fitted, tasks))
        return Learnt(
            model,
            judged,
            together(states),
            lambda because: card(model, judged, states, hashes, because),
        )

    return Material(trainings[0], _joined([one.digest for one in trainings]), learn)


def fitted(part: Specification, algorithm: str, rows: Rows, about: dict[str, Any]) -> State:
    """What answers for one quantity, learnt from all of its rows."""
    return algorithm_of(part, algorithm)(part, rows, about)


def _joined(digests: Sequence[str]) -> str:
    if len(digests) == 1:
        return digests[0]
    return hashlib.blake2b("/".join(digests).encode(), digest_size=8).hexdigest()
