"""The evaluation contract: the same splits, metrics, intervals and slices for every candidate.

Predictions are always of batches that were held out whole. Confidence intervals come from drawing
batches, not rows: electrodes of one batch are not independent witnesses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from battery_platform.models.baselines import BASELINES, Predict, fit_baseline
from battery_platform.models.specification import Specification
from battery_platform.models.splits import Fold, refuse_leaks, repeated_folds
from battery_platform.models.training import TrainingSet

Z90 = 1.6448536269514722
RESAMPLES = 400
GAUSSIAN_PROCESS = "gaussian process"
ALL_ROWS = "all rows"
CONDITION_MEANS = "means of conditions"
Fit = Callable[[np.ndarray], Predict]
"""Takes the training positions and hands back what predicts."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of one candidate: repeats x rows."""

    candidate: str
    mean: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class Score:
    """A metric of a candidate on a slice, with its interval."""

    candidate: str
    slice: str
    metric: str
    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What all candidates reached under one set of splits."""

    training: TrainingSet
    held_out: Mapping[str, HeldOut]
    scores: Sequence[Score]

    def score(self, candidate: str, metric: str, part: str = ALL_ROWS) -> Score:
        return next(
            one
            for one in self.scores
            if (one.candidate, one.metric, one.slice) == (candidate, metric, part)
        )


def rmse_difference(evaluation: Evaluation, one: str, other: str) -> tuple[float, float, float]:
    """RMSE of one candidate less that of another, with its 95 % interval, batches drawn in pairs."""
    data = evaluation.training
    _, batch = np.unique(data.batches, return_inverse=True)
    n_batches = int(batch.max()) + 1
    squares = np.stack(
        [
            np.bincount(batch, weights, n_batches)
            for weights in (
                ((evaluation.held_out[one].mean - data.target) ** 2).mean(axis=0),
                ((evaluation.held_out[other].mean - data.target) ** 2).mean(axis=0),
                np.ones(len(data)),
            )
        ]
    )

    def gap(sums: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.sqrt(sums[0] / sums[2]) - np.sqrt(sums[1] / sums[2])
        return found

    drawn = np.random.default_rng(0).integers(n_batches, size=(RESAMPLES, n_batches))
    low, high = np.quantile(gap(squares[:, drawn].sum(axis=2)), [0.025, 0.975])
    return float(gap(squares.sum(axis=1))), float(low), float(high)


def evaluate(
    model: Specification,
    training: TrainingSet,
    repeats: Sequence[Sequence[Fold]] | None = None,
    progress: Callable[[str], None] = lambda said: None,
) -> Evaluation:
    """Judge the model beside its baselines; splits handed in are refused if they leak."""
    chosen = repeats or repeated_folds(training.batches, model.splits, model.repeats, model.seed)
    refuse_leaks(training.batches, chosen, model.groups)
    held_out = {}
    for name, fit in _candidates(model, training).items():
        progress(f"{model.name}: {name}")
        held_out[name] = _hold_out(name, fit, training, chosen)
    scores = [score for one in held_out.values() for score in _scores(one, training, model)]
    return Evaluation(training, held_out, scores)


def _candidates(model: Specification, training: TrainingSet) -> dict[str, Fit]:
    from battery_platform.models.gaussian_process import fit as fit_process
    from battery_platform.models.served.surrogate import answer

    def process(rows: np.ndarray) -> Predict:
        state = fit_process(
            model,
            training.inputs[rows],
            training.target[rows],
            training.batches[rows],
            training.conditions[rows],
        )

        def predict(asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return answer(state, asked)

        return predict

    def baseline(name: str) -> Fit:
        return lambda rows: fit_baseline(
            name, model, training.inputs[rows], training.target[rows], training.batches[rows]
        )

    return {GAUSSIAN_PROCESS: process} | {name: baseline(name) for name in BASELINES}


def _hold_out(
    name: str, fit: Fit, training: TrainingSet, repeats: Sequence[Sequence[Fold]]
) -> HeldOut:
    mean, deviation = (np.empty((len(repeats), len(training))) for _ in range(2))
    for number, folds in enumerate(repeats):
        for train, test in folds:
            mean[number, test], deviation[number, test] = fit(train)(training.inputs[test])
    return HeldOut(name, mean, deviation)


def _scores(held: HeldOut, training: TrainingSet, model: Specification) -> Iterator[Score]:
    target = training.target
    for part, rows in _slices(training, model):
        whole = part == ALL_ROWS
        yield from _metrics(
            held.candidate,
            part,
            target[rows],
            held.mean[:, rows],
            held.deviation[:, rows],
            training.batches[rows],
            intervals=whole,
        )
    if model.bounds:
        yield from _class_scores(
            held.candidate, ALL_ROWS, target, held.mean, held.deviation, training.batches, model
        )
    index, count = _condition_index(training)
    means = np.bincount(index, target) / count
    of_means = np.stack([np.bincount(index, row) / count for row in held.mean])
    yield from _metrics(
        held.candidate,
        CONDITION_MEANS,
        means,
        of_means,
        None,
        training.batches[np.unique(index, return_index=True)[1]],
        intervals=True,
    )
    if model.bounds:
        wide = np.stack([np.bincount(index, row) / count for row in held.deviation])
        first = np.unique(index, return_index=True)[1]
        yield from _class_scores(
            held.candidate, CONDITION_MEANS, means, of_means, wide, training.batches[first], model
        )


def _class_scores(
    candidate: str,
    part: str,
    target: np.ndarray,
    mean: np.ndarray,
    deviation: np.ndarray,
    batches: np.ndarray,
    model: Specification,
) -> Iterator[Score]:
    """How well the classes are told, over all repeats; intervals of those that add up over rows."""
    from sklearn.metrics import f1_score

    from battery_platform.models.served.surrogate import classes

    true = np.tile(np.digitize(target, model.bounds), len(mean))
    chances = np.vstack(
        [
            classes(one, wide, np.array(model.bounds))
            for one, wide in zip(mean, deviation, strict=True)
        ]
    )
    told = chances.argmax(axis=1)
    hits = (told == true).astype(float)
    losses = -np.log(np.clip(chances[np.arange(len(true)), true], 1e-4, 1.0))
    _, batch = np.unique(np.tile(batches, len(mean)), return_inverse=True)
    n_batches = int(batch.max()) + 1
    sums = np.stack(
        [np.bincount(batch, row, n_batches) for row in (hits, losses, np.ones(len(true)))]
    )
    drawn = np.random.default_rng(0).integers(n_batches, size=(RESAMPLES, n_batches))
    spread = sums[:, drawn].sum(axis=2)
    for number, name in enumerate(("accuracy", "log_loss")):
        low, high = np.quantile(spread[number] / spread[2], [0.025, 0.975])
        value = float(sums[number].sum() / sums[2].sum())
        yield Score(candidate, part, name, value, float(low), float(high), len(target))
    labels = list(range(len(model.classes)))
    f1 = float(f1_score(true, told, labels=labels, average="macro", zero_division=0))
    yield Score(candidate, part, "macro_f1", f1, None, None, len(target))
    yield Score(
        candidate,
        part,
        "calibration_error",
        _calibration_error(chances, hits),
        None,
        None,
        len(target),
    )


def _calibration_error(chances: np.ndarray, hits: np.ndarray) -> float:
    """Mean difference between how sure the likeliest class was and how often it was right."""
    sure = chances.max(axis=1)
    part = np.minimum((sure * 10).astype(int), 9)
    count, right, said = (np.bincount(part, row, 10) for row in (np.ones(len(sure)), hits, sure))
    return float(np.abs(right - said).sum() / count.sum())


def _condition_index(training: TrainingSet) -> tuple[np.ndarray, np.ndarray]:
    _, index, count = np.unique(training.conditions, return_inverse=True, return_counts=True)
    return index, count


def _slices(training: TrainingSet, model: Specification) -> Iterator[tuple[str, np.ndarray]]:
    """All rows, each third of the target, and each composition with enough rows."""
    yield ALL_ROWS, np.arange(len(training))
    edges = np.quantile(training.target, [1 / 3, 2 / 3])
    third = np.digitize(training.target, edges)
    for number, name in enumerate(("low", "middle", "high")):
        rows = np.flatnonzero(third == number)
        if len(rows) >= 20:
            yield f"{name} third of {model.target}", rows
    if "active_material_pct" not in model.inputs:
        return
    active = training.inputs[:, model.inputs.index("active_material_pct")]
    for value in np.unique(active):
        rows = np.flatnonzero(active == value)
        if len(rows) >= 20 and len(np.unique(training.batches[rows])) >= 2:
            yield f"active_material_pct = {value:g}", rows


def _metrics(
    candidate: str,
    part: str,
    target: np.ndarray,
    mean: np.ndarray,
    deviation: np.ndarray | None,
    batches: np.ndarray,
    intervals: bool,
) -> Iterator[Score]:
    """Metrics over all repeats; those that make no sense on a slice are left out."""
    _, batch = np.unique(batches, return_inverse=True)
    n_batches = int(batch.max()) + 1
    sums = _sums(target, mean, deviation, batch, n_batches)
    found = _from_sums(sums.sum(axis=1), deviation is not None)
    spread: dict[str, np.ndarray] = {}
    if intervals and n_batches > 2:
        drawn = np.random.default_rng(0).integers(n_batches, size=(RESAMPLES, n_batches))
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = _from_sums(sums[:, drawn].sum(axis=2), deviation is not None)
    for name, value in found.items():
        if not np.isfinite(value):
            continue
        with np.errstate(invalid="ignore"):
            ends = np.nanquantile(spread[name], [0.025, 0.975]) if name in spread else (None, None)
        low, high = (None if end is None or not np.isfinite(end) else float(end) for end in ends)
        yield Score(candidate, part, name, float(value), low, high, len(target))


def _sums(
    target: np.ndarray,
    mean: np.ndarray,
    deviation: np.ndarray | None,
    batch: np.ndarray,
    n_batches: int,
) -> np.ndarray:
    """Per batch: rows, target, its square, squared and absolute error, hits, log density."""
    error = mean - target
    rows = [
        np.ones_like(target),
        target,
        target**2,
        (error**2).mean(axis=0),
        np.abs(error).mean(axis=0),
        error.mean(axis=0),
        (np.abs(error) / np.abs(target)).mean(axis=0),
    ]
    if deviation is not None:
        rows.append((np.abs(error) <= Z90 * deviation).mean(axis=0))
        density = 0.5 * (error / deviation) ** 2 + np.log(deviation) + 0.5 * np.log(2 * np.pi)
        rows.append(density.mean(axis=0))
    return np.stack([np.bincount(batch, row, n_batches) for row in rows])


def _from_sums(sums: np.ndarray, with_deviation: bool) -> dict[str, np.ndarray]:
    n, total, squares, squared_error, absolute_error, error, relative_error = sums[:7]
    around_mean = squares - total**2 / n
    found = {
        "r2": 1.0 - squared_error / around_mean,
        "rmse": np.sqrt(squared_error / n),
        "mae": absolute_error / n,
        "mape_pct": 100 * relative_error / n,
        "bias": error / n,
    }
    if with_deviation:
        found["coverage_90"] = sums[7] / n
        found["nlpd"] = sums[8] / n
    return found
