"""From a training set to a judged version: trained only when data, code or specification changed.

The order makes a killed run harmless: the registry first, the lake's rows in one transaction, pin and
alias last. What is not in both counts as not trained, and the next run finishes what lacks its alias.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from threadpoolctl import threadpool_limits

from battery_platform.compute.importing import IMPORTING
from battery_platform.errors import NoRows
from battery_platform.made.kept import digest_of, now, why_anew
from battery_platform.made.products import made_from, put
from battery_platform.made.remembered import recall, remember
from battery_platform.models import registry
from battery_platform.models.evaluation import ALL_ROWS
from battery_platform.models.events import GATE, PROMOTED, REFUSED, event
from battery_platform.models.gate import Judged, Standing, of_all
from battery_platform.models.kinds.kind import code_of, read_material
from battery_platform.models.kinds.surrogate import Learnt, Material
from battery_platform.models.registry_file import is_lost
from battery_platform.models.specification import Specification
from battery_platform.models.training import TrainingSet
from battery_platform.store.builds import learning_version
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.upkeep import pin

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Release:
    """What a round of training came to."""

    model: str
    version: int
    champion: int | None
    trained: bool
    because: str
    is_synthetic: bool
    judged: Sequence[Judged] = ()


class _RowsOf:
    """The rows of a model, which are read only if their hash is not known from the last time.

    It is known as long as nothing changed that they can rest on: the lake's tables, the code, the entry.
    """

    def __init__(self, lake: Lakehouse, model: Specification, version: str) -> None:
        self._lake = lake
        self._model = model
        self._version = version
        self._name = f"rows of {model.name}"
        self._material: Material | None = None

    def digest(self) -> str:
        """The hash of the rows; where there are too few of them, that is raised again."""
        known = recall(self._lake.settings, self._name, self._version)
        if known is None:
            return self.read().digest
        if "digest" in known:
            return str(known["digest"])
        raise NoRows(known["says"], known["remedy"])

    def read(self) -> Material:
        """The rows themselves."""
        if self._material is None:
            try:
                with IMPORTING:
                    self._material = read_material(self._lake, self._model)
            except NoRows as lacking:
                self._remember({"says": lacking.says, "remedy": lacking.remedy})
                raise
            self._remember({"digest": self._material.digest})
        return self._material

    def _remember(self, answer: Mapping[str, str]) -> None:
        remember(self._lake.settings, self._name, self._version, answer)


def release(
    lake: Lakehouse, model: Specification, progress: Progress = lambda said: None
) -> Release:
    """Train, judge, register and perhaps promote; or find that nothing has changed."""
    hashes = {"code": code_of(model), "parameters": model.digest}
    rows = _RowsOf(lake, model, digest_of(*hashes.values(), learning_version(lake)))
    hashes["data"] = rows.digest()
    registered = registry.tags(lake.settings, model.name)
    standing = registry.aliases(lake.settings, model.name).get(registry.CHAMPION)
    newest = _newest(lake, model.name)
    if newest is not None and newest["version"] not in registered:
        newest = None  # the registry was lost or changed: its versions are made again
    stored = newest and {name: newest[f"{name}_hash"] for name in hashes}
    because = why_anew(stored, hashes) if stored else "first version"
    lost = {
        version
        for version in (standing, newest and newest["version"])
        if version and is_lost(lake.settings, model.name, version)
    }
    if lost:
        because = f"the files of version {', '.join(map(str, sorted(lost)))} are gone"
        standing = None if standing in lost else standing
    if newest is not None and not because:
        if registry.JUDGED not in registered[newest["version"]]:
            promoted = newest["decision"] == registry.CHAMPION
            made_champion = _finish(
                lake, model.name, newest["version"], newest["snapshot_id"], promoted
            )
            standing = made_champion or standing
        return Release(
            model.name,
            newest["version"],
            standing,
            False,
            "nothing changed: data, code and parameters are those of the newest version",
            newest["is_synthetic"],
        )
    material = rows.read()
    training, hashes["data"] = material.training, material.digest
    progress(f"{model.name}: {because}; evaluating")
    with threadpool_limits(1):  # matrices this small only wait for each other's threads
        learnt = material.learn(
            hashes, lambda part: _standing(standing, registered, part, model), progress
        )
    judged, decision = learnt.judged, of_all(learnt.judged)
    words = learnt.card(because)
    made = registry.register(
        lake.settings,
        learnt.model,
        learnt.state,
        words,
        {
            f"{one.quantity.target}.{score.candidate}.{score.metric}".replace(" ", "_"): score.value
            for one in judged
            for score in one.evaluation.scores
            if score.slice == ALL_ROWS
        },
        _tags(training, hashes, because)
        | {
            _loss_tag(one.quantity, model): repr(
                one.evaluation.score(one.algorithm, one.quantity.loss).value
            )
            for one in judged
        },
        dict(zip(learnt.model.inputs, np.median(training.inputs, axis=0).tolist(), strict=True)),
    )
    _forget(lake, model.name, made.version)
    told = event(
        model.name,
        PROMOTED if decision.promoted else REFUSED,
        made.version,
        standing,
        made.version if decision.promoted else standing,
        GATE,
        decision.reason,
    )
    kept = _rows(learnt, training, made, hashes, because, words)
    put(lake, kept | {"model_events": [told]})
    _finish(lake, model.name, made.version, training.snapshot, decision.promoted)
    return Release(
        model.name,
        made.version,
        made.version if decision.promoted else standing,
        True,
        because,
        training.is_synthetic,
        judged,
    )


def _loss_tag(part: Specification, model: Specification) -> str:
    return part.loss if part.target == model.target else f"{part.loss}.{part.target}"


def _newest(lake: Lakehouse, name: str) -> dict[str, Any] | None:
    found = lake.records(
        "SELECT * FROM model_versions WHERE model_name = ? ORDER BY version DESC LIMIT 1", [name]
    )
    return found[0] if found else None


def _standing(
    version: int | None,
    registered: dict[int, dict[str, str]],
    part: Specification,
    model: Specification,
) -> Standing | None:
    """The champion as the registry has it, whichever lake it was trained from."""
    if version is None:
        return None
    said = registered[version]
    return Standing(
        version,
        said.get("synthetic") == "true",
        said.get("data_hash", ""),
        float(said.get(_loss_tag(part, model), "nan")),
    )


def _forget(lake: Lakehouse, name: str, version: int) -> None:
    """Rows of versions that another registry had given these numbers."""

    def work(cursor: duckdb.DuckDBPyConnection) -> None:
        for table in (
            "model_versions",
            "model_evaluations",
            "model_predictions",
            "model_training_rows",
        ):
            cursor.execute(
                f"DELETE FROM {table} WHERE model_name = ? AND version >= ?", [name, version]
            )
        cursor.execute(
            """DELETE FROM made_from WHERE child_kind = 'model version'
               AND split_part(child_id, '/', 1) = ? AND split_part(child_id, '/', 2)::BIGINT >= ?""",
            [name, version],
        )

    if lake.value(
        "SELECT count(*) FROM model_versions WHERE model_name = ? AND version >= ?", [name, version]
    ):
        lake.write(work)


def _finish(lake: Lakehouse, name: str, version: int, snapshot: int, promoted: bool) -> int | None:
    """Pin the data and hand out the alias; returns the champion that this makes."""
    pin(lake, snapshot, f"model {name} {version}", "training data")
    registry.finish(lake.settings, name, version, promoted)
    return version if promoted else None


def _tags(training: TrainingSet, hashes: Mapping[str, str], because: str) -> dict[str, str]:
    return {
        "synthetic": str(training.is_synthetic).lower(),
        "snapshot_id": str(training.snapshot),
        "licence": training.licence,
        "sources": ", ".join(training.sources),
        "trained_because": because,
        **{f"{name}_hash": value for name, value in hashes.items()},
    }


def _rows(
    learnt: Learnt,
    training: TrainingSet,
    made: registry.Registered,
    hashes: Mapping[str, str],
    because: str,
    words: str,
) -> dict[str, list[dict[str, Any]]]:
    model, judged, decision = learnt.model, learnt.judged, of_all(learnt.judged)
    named = {"model_name": model.name, "version": made.version}
    return {
        "model_versions": [
            {
                **named,
                "registered_at": now(),
                "algorithm": ", ".join(dict.fromkeys(one.algorithm for one in judged)),
                "target": ", ".join(part.target for part in model.quantities),
                "decision": registry.CHAMPION if decision.promoted else registry.CHALLENGER,
                "decision_reason": decision.reason,
                "trained_because": because,
                "snapshot_id": training.snapshot,
                **{f"{name}_hash": value for name, value in hashes.items()},
                "n_rows": len(training),
                "n_groups": training.n_batches,
                "left_out": training.left_out_in_words(),
                "active_material": training.active_material,
                "loading_basis": training.loading_basis,
                "licence": training.licence,
                "is_synthetic": training.is_synthetic,
                "run_id": made.run_id,
                "card": words,
            }
        ],
        "model_evaluations": [
            {**named, "target": one.quantity.target, **vars(score)}
            for one in judged
            for score in one.evaluation.scores
        ]
        + [{**named, **row} for row in learnt.further_scores],
        "model_predictions": [
            {**named, "target": one.quantity.target, **row}
            for one in judged
            for row in _predictions(one)
        ],
        "model_training_rows": [{**named, **line} for line in training.lines],
        "made_from": made_from(
            "model version",
            f"{model.name}/{made.version}",
            model.source.kind,
            training.parents or training.ids,
        )
        if model.source.kind
        else [],
    }


def _predictions(judged: Judged) -> Iterator[dict[str, Any]]:
    """What the picked algorithm said of held-out rows; of classes their numbers, and how sure it was."""
    training = judged.evaluation.training
    held = judged.evaluation.held_out[judged.algorithm]
    told, deviation, measured = held.mean, held.deviation, training.target
    if judged.quantity.classes:
        told, sure = held.chances.argmax(axis=2), held.chances.max(axis=2)
        measured, deviation = (
            np.digitize(training.target, judged.quantity.bounds),
            np.sqrt(sure - sure**2),
        )
    for repeat in range(len(told)):
        for row, name in enumerate(training.ids):
            yield {
                "electrode_id": name,
                "repeat": repeat,
                "measured": float(measured[row]),
                "predicted": float(told[repeat, row]),
                "standard_deviation": float(deviation[repeat, row]),
                "is_synthetic": training.is_synthetic,
            }
