"""Reading, evaluating and fitting the model of cell outcomes: one sparse table, all endpoints at once.

The gate judges D30 of a new case, which decides the class of a cell; the scores of every endpoint, even
those that lose to the mean, are kept in the lake and on the card.
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


def read_material(lake: Lakehouse, model: Specification) -> Material:
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
    """Score all candidates, the networks of paper 001 included, in three repeats; this takes minutes.

    The rows are added to the evaluations of that version.
    """
    cells, _ = read_table(lake)
    scores, _ = sparse.evaluate(cells, progress=progress)
    rows = [{"model_name": model.name, "version": version, **row} for row in rows_of(scores)]
    put(lake, {"model_evaluations": rows})
    return rows


def _as_fitted(model: Specification, cells: SparseTable) -> Specification:
    """The model restricted to the descriptors and endpoints that this table has enough of."""
    names = {endpoint.name for endpoint in cells.endpoints}
    return replace(
        model,
        inputs=cells.descriptors,
        also=tuple(quantity for quantity in model.also if quantity.target in names),
        known=tuple(name for name in model.known if name in names),
    )


def _of_d30(
    model: Specification, cells: SparseTable, training: TrainingSet, held: Sequence[sparse.HeldOut]
) -> Evaluation:
    """D30 of a new case, candidate by candidate, under the contract of all models."""
    place = cells.place(CLASS_OF)
    there = np.isfinite(cells.known[:, place])
    held_out = {
        candidate.candidate: HeldOut(
            candidate.candidate,
            np.maximum(candidate.mean[:, there, place], 0.0),
            candidate.deviation[:, there, place],
        )
        for candidate in held
        if candidate.regime == sparse.NEW
        and candidate.candidate in (*model.algorithms, *model.baselines)
    }
    scores = [
        score for candidate in held_out.values() for score in scores_of(candidate, training, model)
    ]
    return Evaluation(model, training, held_out, scores)


def rows_of(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Rows of evaluations: the predicted quantity is the target, the state of knowledge the slice."""
    made = []
    for score in scores:
        target, known = score.slice.split(", ", 1)
        made.append({"target": target, **vars(score), "slice": known})
    return made


def _sections(scores: Sequence[Score], algorithm: str) -> list[str]:
    """All endpoints in both states of knowledge, and the classes."""
    sections = []
    for regime in sparse.REGIMES:
        values = {
            (row["target"], row["metric"]): row["value"]
            for row in rows_of(scores)
            if row["candidate"] == algorithm and row["slice"] == regime
        }
        names = dict.fromkeys(target for target, _ in values)
        lines = [
            (
                name,
                *(
                    f"{values[name, metric]:.3g}" if (name, metric) in values else ""
                    for metric in SHOWN
                ),
            )
            for name in names
            if not name.startswith("class of")
        ]
        hits = values[f"class of {CLASS_OF}", "accuracy"]
        sections.append(
            f"## All endpoints: {regime}\n\nAn R² near or below 0 says that the mean of all cells is as "
            f"good.\n\n{table(('endpoint', *SHOWN), lines)}\n\nThe class A, B or C is right in {hits:.1%}."
        )
    return sections
