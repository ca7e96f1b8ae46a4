"""The evaluation contract for the sparse table: whole cases held out, two states of knowledge.

"Descriptors only" is a new case; "adhesion and IR drop known" is a cell before it is cycled, for which
only the results of cycling are predicted. Intervals of scores come from resampling cases, not cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from battery_platform.compute.spread import spread
from battery_platform.models.cell_table import (
    BOUNDS,
    CLASS_OF,
    CLASSES,
    CURVE,
    EARLY,
    Array,
    SparseTable,
)
from battery_platform.models.evaluation import Score, resampled
from battery_platform.models.kinds.sparse import networks, stack
from battery_platform.models.kinds.sparse.candidates import Fit, Prediction
from battery_platform.models.kinds.sparse.simple import SIMPLE
from battery_platform.models.served.cell_outcome import classes, raised
from battery_platform.models.splits import Fold, refuse_leaks, repeated_folds

Z90 = 1.6448536269514722
SPLITS, REPEATS, SEED = 5, 3, 20260101
NEW, KNOWN = "descriptors only", "adhesion and IR drop known"
REGIMES: dict[str, tuple[str, ...]] = {NEW: (), KNOWN: EARLY}
ALL, CYCLING = "median of endpoints", "median of cycling endpoints"
CANDIDATES: dict[str, Fit] = {
    "stack": stack.candidate,
    "networks": networks.Networks(),
    **SIMPLE,
}


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of one candidate in one state of knowledge: repeats x cells x endpoints or cycles."""

    candidate: str
    regime: str
    mean: Array
    deviation: Array
    curve: Array
    curve_deviation: Array


def evaluate(
    table: SparseTable,
    splits: int = SPLITS,
    repeats: int = REPEATS,
    seed: int = SEED,
    progress: Callable[[str], None] = lambda message: None,
    candidates: Mapping[str, Fit] | None = None,
    folds: Sequence[Sequence[Fold]] | None = None,
) -> tuple[list[Score], list[HeldOut]]:
    """Scores of all candidates and the predictions behind them; folds that leak are refused."""
    chosen = folds or repeated_folds(table.cases, splits, repeats, seed)
    refuse_leaks(table.cases, chosen, "cases")
    held = hold_out(table, chosen, candidates or CANDIDATES, progress)
    return [score for candidate in held for score in scores(candidate, table)], held


def hold_out(
    table: SparseTable,
    repeats: Sequence[Sequence[Fold]],
    candidates: Mapping[str, Fit],
    progress: Callable[[str], None] = lambda message: None,
) -> list[HeldOut]:
    """Predict every cell by candidates that were fitted without its fold."""
    made: dict[tuple[str, str], HeldOut] = {}
    answers = spread(
        fitted_and_asked,
        [
            (fit, table, train, test)
            for fit in candidates.values()
            for folds in repeats
            for train, test in folds
        ],
    )
    for family in candidates:
        for number, folds in enumerate(repeats):
            progress(f"{family}: repeat {number + 1} of {len(repeats)}")
            for _, test in folds:
                for (name, regime), prediction in next(answers).items():
                    held = made.setdefault(
                        (name, regime), _empty(name, regime, len(repeats), table)
                    )
                    _put(held, number, test, prediction)
    return list(made.values())


def fitted_and_asked(
    fit: Fit, table: SparseTable, train: Array, test: Array
) -> dict[tuple[str, str], Prediction]:
    """Fit a candidate to some cells and predict others in each state of knowledge."""
    answer = fit(table, train)
    return {
        (name, regime): prediction
        for regime, names in REGIMES.items()
        for name, prediction in answer(table.inputs[test], table.only(names)[test]).items()
    }


def _empty(name: str, regime: str, repeats: int, table: SparseTable) -> HeldOut:
    mean, deviation = (np.full((repeats, *table.known.shape), np.nan) for _ in range(2))
    curve, wide = (np.full((repeats, *table.curves.shape), np.nan) for _ in range(2))
    return HeldOut(name, regime, mean, deviation, curve, wide)


def _put(held: HeldOut, number: int, test: Array, prediction: Prediction) -> None:
    held.mean[number, test], held.deviation[number, test] = prediction.mean, prediction.deviation
    held.curve[number, test] = prediction.curve
    held.curve_deviation[number, test] = prediction.curve_deviation


def scores(held: HeldOut, table: SparseTable) -> Iterator[Score]:
    """All metrics of the endpoints, the curve and the classes, and medians over endpoints."""
    _, case = np.unique(table.cases, return_inverse=True)
    count = int(case.max()) + 1
    drawn = resampled(count)
    medians: dict[tuple[str, str], list[Array]] = {}
    for name, of_cycling, n, sums in _asked(held, table, case, count):
        whole = _from_sums(sums.sum(axis=1))
        with np.errstate(divide="ignore", invalid="ignore"):
            of_draws = _from_sums(sums @ drawn)
        for metric, value in whole.items():
            low, high = np.nanquantile(of_draws[metric], [0.025, 0.975])
            slice_name = f"{name}, {held.regime}"
            yield Score(
                held.candidate, slice_name, metric, float(value), float(low), float(high), n
            )
        for metric in ("r2", "coverage_90"):
            for slice_name in (ALL, CYCLING) if of_cycling else (ALL,):
                values = np.append(of_draws[metric], whole[metric])
                medians.setdefault((slice_name, metric), []).append(values)
    for (slice_name, metric), several in medians.items():
        over = np.nanmedian(np.stack(several), axis=0)
        low, high = np.nanquantile(over[:-1], [0.025, 0.975])
        yield Score(
            held.candidate,
            f"{slice_name}, {held.regime}",
            metric,
            float(over[-1]),
            float(low),
            float(high),
            len(several),
        )
    yield from _class_scores(held, table, case, drawn)


def _asked(
    held: HeldOut, table: SparseTable, case: Array, count: int
) -> Iterator[tuple[str, bool, int, Array]]:
    """Name, whether cycling measures it, number of values and sums per case of each quantity predicted."""
    for place, endpoint in enumerate(table.endpoints):
        if held.regime == KNOWN and not endpoint.of_cycling:
            continue
        rows = np.flatnonzero(np.isfinite(table.known[:, place]))
        mean, deviation = held.mean[:, rows, place], held.deviation[:, rows, place]
        sums = _sums(table.known[rows, place], mean, deviation, endpoint.logarithmic)
        made = np.stack([np.bincount(case[rows], weights, count) for weights in sums])
        yield endpoint.name, endpoint.of_cycling, len(rows), made
    rows = np.flatnonzero(np.isfinite(table.curves).all(axis=1))
    if not table.curves.shape[1] or not len(rows):
        return
    repeats = len(held.curve)
    flat = _sums(
        table.curves[rows].ravel(),
        held.curve[:, rows].reshape(repeats, -1),
        held.curve_deviation[:, rows].reshape(repeats, -1),
        False,
    )
    of = np.repeat(case[rows], table.curves.shape[1])
    yield CURVE, True, len(rows), np.stack([np.bincount(of, weights, count) for weights in flat])


def _sums(truth: Array, mean: Array, deviation: Array, logarithmic: bool) -> Array:
    """Per value: 1, value, square, squared and absolute error, hits, log density."""
    value = raised(mean, deviation, np.array(logarithmic))[0]
    learnt = np.log(truth) if logarithmic else truth
    error = (mean if logarithmic else value) - learnt
    density = 0.5 * (error / deviation) ** 2 + np.log(deviation) + 0.5 * np.log(2 * np.pi)
    return np.stack(
        [
            np.ones_like(truth),
            truth,
            truth**2,
            ((value - truth) ** 2).mean(axis=0),
            np.abs(value - truth).mean(axis=0),
            (np.abs(error) <= Z90 * deviation).mean(axis=0),
            density.mean(axis=0) + (learnt if logarithmic else 0.0),
        ]
    )


def _from_sums(sums: Array) -> dict[str, Array]:
    n, total, squares, squared_error, absolute_error, hits, density = sums
    around_mean = squares - total**2 / n
    return {
        "r2": 1.0 - squared_error / np.where(around_mean > 0, around_mean, np.nan),
        "rmse": np.sqrt(squared_error / n),
        "mae": absolute_error / n,
        "coverage_90": hits / n,
        "nlpd": density / n,
    }


def _class_scores(held: HeldOut, table: SparseTable, case: Array, drawn: Array) -> Iterator[Score]:
    """How well the classes A, B and C are predicted, over all repeats."""
    from sklearn.metrics import f1_score

    place = table.place(CLASS_OF)
    rows = np.flatnonzero(np.isfinite(table.known[:, place]))
    true = np.digitize(-table.known[rows, place], -np.array(BOUNDS))
    chances = np.stack(
        [
            classes(mean[rows, place], wide[rows, place], np.array(BOUNDS))
            for mean, wide in zip(held.mean, held.deviation, strict=True)
        ]
    )
    predicted = chances.argmax(axis=2)
    losses = -np.log(np.clip(chances[:, np.arange(len(rows)), true], 1e-4, 1.0)).mean(axis=0)
    hits = (predicted == true).mean(axis=0)
    count = int(case.max()) + 1
    sums = np.stack(
        [np.bincount(case[rows], weights, count) for weights in (hits, losses, np.ones(len(rows)))]
    )
    of_draws = sums @ drawn
    slice_name = f"class of {CLASS_OF}, {held.regime}"
    for number, name in enumerate(("accuracy", "log_loss")):
        low, high = np.quantile(of_draws[number] / of_draws[2], [0.025, 0.975])
        value = float(sums[number].sum() / sums[2].sum())
        yield Score(held.candidate, slice_name, name, value, float(low), float(high), len(rows))
    f1 = f1_score(
        np.tile(true, len(predicted)),
        predicted.ravel(),
        labels=list(range(len(CLASSES))),
        average="macro",
        zero_division=0,
    )
    yield Score(held.candidate, slice_name, "macro_f1", float(f1), None, None, len(rows))
