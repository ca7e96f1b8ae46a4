"""The evaluation contract: the same splits, metrics, intervals and slices for every candidate.

Predictions are always of batches that were held out as a whole. Confidence intervals come from
resampling batches, not rows: electrodes of one batch are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from battery_platform.compute.spread import spread
from battery_platform.models.baselines import fit_baseline
from battery_platform.models.rows import Rows
from battery_platform.models.specification import Specification
from battery_platform.models.splits import Fold, range_folds, refuse_leaks, repeated_folds
from battery_platform.models.training import TrainingSet

Z90 = 1.6448536269514722
RESAMPLES = 400
ALL_ROWS = "all rows"
CONDITION_MEANS = "means of conditions"
NOTHING = np.empty((0, 0))
AKIN = ("gaussian process", "mixture")
"""For classes both start from the same process, which is fitted once if they run in sequence."""
Answer = tuple[np.ndarray, ...]
"""Means and standard deviations; for a model of classes, only the probabilities."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of one candidate, repeats x rows: values, or probabilities (x classes)."""

    candidate: str
    mean: np.ndarray = field(default_factory=lambda: NOTHING)
    deviation: np.ndarray = field(default_factory=lambda: NOTHING)
    chances: np.ndarray = field(default_factory=lambda: NOTHING)


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
    """Scores of all candidates under one set of splits, baselines last."""

    model: Specification
    training: TrainingSet
    held_out: Mapping[str, HeldOut]
    scores: Sequence[Score]

    def score(self, candidate: str, metric: str, slice_name: str = ALL_ROWS) -> Score:
        return next(
            score
            for score in self.scores
            if (score.candidate, score.metric, score.slice) == (candidate, metric, slice_name)
        )


def row_losses(evaluation: Evaluation, candidate: str) -> np.ndarray:
    """Squared error of each row, or log loss of its true class, averaged over the repeats."""
    data, held = evaluation.training, evaluation.held_out[candidate]
    if evaluation.model.classes:
        true = np.digitize(data.target, evaluation.model.bounds)
        lost: np.ndarray = _lost(held.chances, true).mean(axis=0)
        return lost
    squares: np.ndarray = ((held.mean - data.target) ** 2).mean(axis=0)
    return squares


def _lost(chances: np.ndarray, true: np.ndarray) -> np.ndarray:
    lost: np.ndarray = -np.log(np.clip(chances[:, np.arange(len(true)), true], 1e-4, 1.0))
    return lost


@lru_cache(maxsize=2)
def resampled(count: int) -> np.ndarray:
    """How often each of `count` batches is drawn in each resample: batches x resamples.

    A single matrix product then gives the sums over all resamples.
    """
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    places = drawn + count * np.arange(RESAMPLES)[:, None]
    times = np.bincount(places.ravel(), minlength=RESAMPLES * count)
    return np.ascontiguousarray(times.reshape(RESAMPLES, count).T.astype(float))


def loss_difference(
    evaluation: Evaluation, candidate: str, other: str
) -> tuple[float, float, float]:
    """Loss of a candidate minus that of another, with a 95 % interval from paired resampling of batches.

    The loss is the RMSE, or the log loss for classes.
    """
    data = evaluation.training
    _, batch = np.unique(data.batches, return_inverse=True)
    n_batches = int(batch.max()) + 1
    lost = [row_losses(evaluation, name) for name in (candidate, other)]
    sums = np.stack(
        [np.bincount(batch, weights, n_batches) for weights in (*lost, np.ones(len(data)))]
    )
    whole = (lambda mean: mean) if evaluation.model.classes else np.sqrt

    def gap(of: np.ndarray) -> np.ndarray:
        lost_more: np.ndarray = whole(of[0] / of[2]) - whole(of[1] / of[2])
        return lost_more

    low, high = np.quantile(gap(sums @ resampled(n_batches)), [0.025, 0.975])
    return float(gap(sums.sum(axis=1))), float(low), float(high)


def evaluate(
    model: Specification,
    training: TrainingSet,
    repeats: Sequence[Sequence[Fold]] | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> Evaluation:
    """Score all candidates and baselines; splits that are passed in are refused if they leak."""
    chosen = repeats or repeated_folds(training.batches, model.splits, model.repeats, model.seed)
    refuse_leaks(training.batches, chosen, model.groups)
    asked = [list(folds) for folds in chosen]
    if model.ranges_of:
        asked.append(list(range_folds(training.inputs[:, model.inputs.index(model.ranges_of)])))
    held_out: dict[str, HeldOut] = {}
    scores: list[Score] = []
    for answers in _hold_out(model, training, asked, progress):
        for name, repeated in answers.items():
            held_out[name] = _held(name, repeated[: len(chosen)], len(training), chosen)
            scores += scores_of(held_out[name], training, model)
            if model.ranges_of:
                far = _held(name, repeated[len(chosen) :], len(training), asked[len(chosen) :])
                scores += _whole(far, training, model, left_out_range(model))
                if training.has_replicates:
                    called = f"{left_out_range(model)}, {CONDITION_MEANS}"
                    scores += _of_means(far, training, model, called)
    return Evaluation(model, training, held_out, scores)


def left_out_range(model: Specification) -> str:
    """Name of the slice that shows how well a model extrapolates."""
    return f"a range of {model.ranges_of} left out"


def _groups(model: Specification, rows: int) -> list[tuple[str, ...]]:
    """Candidates and baselines, grouped where running them in sequence is faster."""
    candidates = model.candidates(rows)
    akin = tuple(name for name in AKIN if name in candidates) if model.classes else ()
    others = [(name,) for name in candidates if name not in akin]
    return [*([akin] if akin else []), *others, model.baselines]


def _hold_out(
    model: Specification,
    training: TrainingSet,
    asked: Sequence[Sequence[Fold]],
    progress: Callable[[str], None],
) -> Iterator[dict[str, list[list[Answer]]]]:
    """For each group in turn, its members' predictions of each fold of each repeat."""
    rows, groups = training.rows, _groups(model, len(training))
    answers = spread(
        fitted_and_asked,
        [
            (model, names, rows.take(train), rows.inputs[test])
            for names in groups
            for folds in asked
            for train, test in folds
        ],
    )
    for names in groups:
        for name in names:
            progress(f"{model.name}, {model.target}: {name}")
        of_folds = [[next(answers) for _ in folds] for folds in asked]
        yield {
            name: [[answer[number] for answer in repeat] for repeat in of_folds]
            for number, name in enumerate(names)
        }


def fitted_and_asked(
    model: Specification, names: Sequence[str], rows: Rows, inputs: np.ndarray
) -> list[Answer]:
    """Fit each algorithm or baseline to the rows and predict the inputs."""
    return [_answer(model, name, rows, inputs) for name in names]


def _answer(model: Specification, name: str, rows: Rows, inputs: np.ndarray) -> Answer:
    from battery_platform.models.algorithms import algorithm
    from battery_platform.models.served.surrogate import answer, chances, classes

    if name in model.baselines:
        predicted = fit_baseline(name, model, rows)(inputs)
        return (classes(*predicted, np.array(model.bounds)),) if model.classes else predicted
    state = algorithm(model, name)(model, rows, None)
    return (chances(state, inputs),) if model.classes else answer(state, inputs)


def _held(
    name: str, repeats: Sequence[Sequence[Answer]], rows: int, asked: Sequence[Sequence[Fold]]
) -> HeldOut:
    """Predictions of the folds, put in the positions of their rows."""
    whole = [np.empty((len(repeats), rows, *array.shape[1:])) for array in repeats[0][0]]
    for number, (answers, folds) in enumerate(zip(repeats, asked, strict=True)):
        for answer, (_, test) in zip(answers, folds, strict=True):
            for kept, array in zip(whole, answer, strict=True):
                kept[number, test] = array
    return HeldOut(name, *whole) if len(whole) == 2 else HeldOut(name, chances=whole[0])


def scores_of(held: HeldOut, training: TrainingSet, model: Specification) -> Iterator[Score]:
    yield from _whole(held, training, model, ALL_ROWS)
    yield from _of_means(held, training, model, CONDITION_MEANS)
    if model.classes:
        return
    for slice_name, rows in _slices(training, model):
        yield from _metrics(
            held.candidate,
            slice_name,
            training.target[rows],
            held.mean[:, rows],
            held.deviation[:, rows],
            training.batches[rows],
            intervals=False,
        )


def _of_means(
    held: HeldOut, training: TrainingSet, model: Specification, called: str
) -> Iterator[Score]:
    """Scores of the means of replicates, with intervals."""
    _, first, index, count = np.unique(
        training.conditions, return_index=True, return_inverse=True, return_counts=True
    )
    target = np.bincount(index, training.target) / count
    batches = training.batches[first]
    if model.classes:
        shares = np.stack(
            [
                [np.bincount(index, chances) / count for chances in repeat.T]
                for repeat in held.chances
            ]
        ).transpose(0, 2, 1)
        yield from _class_scores(held.candidate, called, target, shares, batches, model)
        return
    mean = np.stack([np.bincount(index, row) / count for row in held.mean])
    yield from _metrics(held.candidate, called, target, mean, None, batches, intervals=True)


def _whole(
    held: HeldOut, training: TrainingSet, model: Specification, called: str
) -> Iterator[Score]:
    """Scores of every row, with intervals."""
    target, batches = training.target, training.batches
    if model.classes:
        yield from _class_scores(held.candidate, called, target, held.chances, batches, model)
    else:
        yield from _metrics(
            held.candidate, called, target, held.mean, held.deviation, batches, intervals=True
        )


def _class_scores(
    candidate: str,
    slice_name: str,
    target: np.ndarray,
    chances: np.ndarray,
    batches: np.ndarray,
    model: Specification,
) -> Iterator[Score]:
    """Classification scores over all repeats, with intervals for those that are sums over rows."""
    from sklearn.metrics import f1_score

    true = np.digitize(target, model.bounds)
    predicted = chances.argmax(axis=2)
    hits = (predicted == true).astype(float)
    _, batch = np.unique(batches, return_inverse=True)
    n_batches = int(batch.max()) + 1
    sums = np.stack(
        [
            np.bincount(batch, row, n_batches)
            for row in (hits.mean(axis=0), _lost(chances, true).mean(axis=0), np.ones(len(true)))
        ]
    )
    drawn = sums @ resampled(n_batches)
    for number, name in enumerate(("accuracy", "log_loss")):
        low, high = np.quantile(drawn[number] / drawn[2], [0.025, 0.975])
        value = float(sums[number].sum() / sums[2].sum())
        yield Score(candidate, slice_name, name, value, float(low), float(high), len(target))
    repeated, labels = np.tile(true, len(chances)), list(range(len(model.classes)))
    f1 = f1_score(repeated, predicted.ravel(), labels=labels, average="macro", zero_division=0)
    error = _calibration_error(chances.reshape(-1, len(labels)), hits.ravel())
    for name, value in (("macro_f1", float(f1)), ("calibration_error", error)):
        yield Score(candidate, slice_name, name, value, None, None, len(target))


def _calibration_error(chances: np.ndarray, hits: np.ndarray) -> float:
    """Mean difference between how sure the likeliest class was and how often it was right."""
    sure = chances.max(axis=1)
    tenth = np.minimum((sure * 10).astype(int), 9)
    count, right, claimed = (
        np.bincount(tenth, row, 10) for row in (np.ones(len(sure)), hits, sure)
    )
    return float(np.abs(right - claimed).sum() / count.sum())


def _slices(training: TrainingSet, model: Specification) -> Iterator[tuple[str, np.ndarray]]:
    """Each third of the target, and each composition with enough rows."""
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
    slice_name: str,
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
    metrics = _from_sums(sums.sum(axis=1), deviation is not None)
    drawn: dict[str, np.ndarray] = {}
    if intervals and n_batches > 2:
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = _from_sums(sums @ resampled(n_batches), deviation is not None)
    for name, value in metrics.items():
        if not np.isfinite(value):
            continue
        with np.errstate(invalid="ignore"):
            ends = np.nanquantile(drawn[name], [0.025, 0.975]) if name in drawn else (None, None)
        low, high = (None if end is None or not np.isfinite(end) else float(end) for end in ends)
        yield Score(candidate, slice_name, name, float(value), low, high, len(target))


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
    metrics = {
        "r2": 1.0 - squared_error / around_mean,
        "rmse": np.sqrt(squared_error / n),
        "mae": absolute_error / n,
        "mape_pct": 100 * relative_error / n,
        "bias": error / n,
    }
    if with_deviation:
        metrics["coverage_90"] = sums[7] / n
        metrics["nlpd"] = sums[8] / n
    return metrics
