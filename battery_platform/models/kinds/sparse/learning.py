"""How the outcome of cells is read, judged and fitted: one sparse table, all its endpoints at once.

The gate looks at D30 of a new case, which cells are classed by; every endpoint's scores, also those
that lose to the mean, stand in the lake and on the card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from battery_platform.made.products import put
from battery_platform.models.card import card, table
from battery_platform.models.cell_cases import read_table
from battery_platform.models.cell_table import CLASS_OF, SparseTable
from battery_platform.models.evaluation import Evaluation, HeldOut, Score, scores_of
from battery_platform.models.gate import Judged, decide
from battery_platform.models.kinds.sparse import evaluation as sparse
from battery_platform.models.kinds.sparse import stack
from battery_platform.models.kinds.surrogate import Learnt, Material, Progress, Standings
from battery_platform.models.specification import Specification
from battery_platform.models.training import TrainingSet
from battery_platform.store.lakehouse import Lakehouse

SHOWN = ("r2", "rmse", "coverage_90")


def read(lake: Lakehouse, model: Specification) -> Material:
    """All cells of the lake that count."""
    cells, training = read_table(lake)
    fitted = _as_fitted(model, cells)

    def learn(hashes: Mapping[str, str], standings: Standings, progress: Progress) -> Learnt:
        names = (*fitted.algorithms, *fitted.baselines)
        candidates = {name: sparse.CANDIDATES[name] for name in names}
        scores, held = sparse.evaluate(
            cells, fitted.splits, fitted.repeats, fitted.seed, progress, candidates
        )
        evaluation = _of_d30(fitted, cells, training, held)
        algorithm = fitted.algorithms[0]
        decision = decide(evaluation, algorithm, standings(fitted), hashes["data"])
        judged = [Judged(fitted, evaluation, algorithm, decision)]
        state = stack.fit(cells, {"model": model.name, "data_hash": cells.digest})
        return Learnt(
            fitted,
            judged,
            state,
            lambda because: card(
                fitted, judged, [state], hashes, because, _sections(scores, algorithm)
            ),
            rows_of(scores),
        )

    return Material(training, cells.digest, learn)


def compare(
    lake: Lakehouse, model: Specification, version: int, progress: Progress
) -> list[dict[str, Any]]:
    """All candidates, with the networks of paper 001, in three repeats: minutes, not for every night.

    Rows of evaluations of that version, beside those that its gate looked at.
    """
    cells, _ = read_table(lake)
    scores, _ = sparse.evaluate(cells, progress=progress)
    rows = [{"model_name": model.name, "version": version, **row} for row in rows_of(scores)]
    put(lake, {"model_evaluations": rows})
    return rows


def _as_fitted(model: Specification, cells: SparseTable) -> Specification:
    """With those descriptors and endpoints alone that this table has enough of."""
    names = {one.name for one in cells.endpoints}
    return replace(
        model,
        inputs=cells.descriptors,
        also=tuple(part for part in model.also if part.target in names),
        known=tuple(name for name in model.known if name in names),
    )


def _of_d30(
    model: Specification, cells: SparseTable, training: TrainingSet, held: Sequence[sparse.HeldOut]
) -> Evaluation:
    """D30 of a new case, candidate by candidate, under the contract of all models."""
    place = cells.place(CLASS_OF)
    there = np.isfinite(cells.known[:, place])
    found = {
        one.candidate: HeldOut(
            one.candidate,
            np.maximum(one.mean[:, there, place], 0.0),
            one.deviation[:, there, place],
        )
        for one in held
        if one.regime == sparse.NEW and one.candidate in (*model.algorithms, *model.baselines)
    }
    scores = [score for one in found.values() for score in scores_of(one, training, model)]
    return Evaluation(model, training, found, scores)


def rows_of(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Rows of evaluations: what was asked is the target, what was known the slice."""
    made = []
    for score in scores:
        target, known = score.slice.split(", ", 1)
        made.append({"target": target, **vars(score), "slice": known})
    return made


def _sections(scores: Sequence[Score], algorithm: str) -> list[str]:
    """All endpoints in both states of knowledge, and the classes."""
    said = []
    for regime in sparse.REGIMES:
        found = {
            (row["target"], row["metric"]): row["value"]
            for row in rows_of(scores)
            if row["candidate"] == algorithm and row["slice"] == regime
        }
        names = dict.fromkeys(target for target, _ in found)
        lines = [
            (name, *(f"{found[name, one]:.3g}" if (name, one) in found else "" for one in SHOWN))
            for name in names
            if not name.startswith("class of")
        ]
        hits = found[f"class of {CLASS_OF}", "accuracy"]
        said.append(
            f"## All endpoints: {regime}\n\nAn R² near or below 0 says that the mean of all cells is as "
            f"good.\n\n{table(('endpoint', *SHOWN), lines)}\n\nThe class A, B or C is right in {hits:.1%}."
        )
    return said
