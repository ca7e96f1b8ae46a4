"""The validation protocol of paper 000: 75 random 80:20 splits, and how a model scores on them.

A plain Gaussian process (RBF, one length per input, noise) is fitted to each split, with inputs
standardised by the training rows of that split. It represents the paper's surrogate; registered models
are judged by `evaluation`. Groups stay whole, as everywhere.

The paper's interval is that of the mean over the seeds, which narrows with every further seed. How much
single splits differ is shown by percentiles over the seeds. Both are kept, under separate names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from battery_platform.compute.spread import spread
from battery_platform.errors import PlatformError
from battery_platform.made.fingerprint import fingerprint
from battery_platform.made.kept import Basis, Kept, Made, digest_of, now, unless_same
from battery_platform.made.products import made_from
from battery_platform.models.profiled_process import fit
from battery_platform.models.specification import Specification
from battery_platform.models.splits import holdout
from battery_platform.models.states import weights_of
from battery_platform.models.training import TrainingSet
from battery_platform.store.lakehouse import Lakehouse

SEEDS = 75
TEST_SHARE = 0.2
LEARNT_ON = 300
"""Most training rows used to learn lengths and noise; all rows are then conditioned on."""
TRAIN, TEST = "train", "test"

Progress = Callable[[int, int], None]
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Reseeds:
    """Predictions of one target under each seed."""

    target: str
    unit: str
    measured: np.ndarray
    predicted: np.ndarray
    """Seeds x rows, training rows included."""
    tested: np.ndarray
    """Seeds x rows: which were held out."""
    is_synthetic: bool = False

    def rows_of(self, seed: int, side: str) -> np.ndarray:
        """Whether each row is on that side of the split under that seed."""
        tested: np.ndarray = self.tested[seed]
        return tested if side == TEST else ~tested

    def metrics(self, side: str) -> dict[str, np.ndarray]:
        """Each metric by seed."""
        mean, spread = np.abs(self.measured.mean()), np.ptp(self.measured)
        r2, rmse, bias = [], [], []
        for seed, predicted in enumerate(self.predicted):
            rows = self.rows_of(seed, side)
            r2.append(coefficient_of_determination(self.measured[rows], predicted[rows]))
            error = predicted[rows] - self.measured[rows]
            rmse.append(np.sqrt((error**2).mean()))
            bias.append(error.mean())
        return {
            "r2": np.array(r2),
            "rmse": np.array(rmse),
            "rmse_pct_of_mean": 100 * np.array(rmse) / mean,
            "rmse_pct_of_range": 100 * np.array(rmse) / spread,
            "bias": np.array(bias),
        }


@dataclass(frozen=True)
class Spread:
    """A metric over the seeds."""

    mean: float
    mean_low_95: float
    mean_high_95: float
    low_2_5: float
    high_97_5: float

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        from scipy.special import stdtrit

        mean, n = float(values.mean()), len(values)
        half = float(stdtrit(n - 1, 0.975) * values.std(ddof=1) / np.sqrt(n))
        low, high = np.quantile(values, [0.025, 0.975])
        return cls(mean, mean - half, mean + half, float(low), float(high))


def coefficient_of_determination(measured: np.ndarray, predicted: np.ndarray) -> float:
    """R² relative to the mean of the given rows."""
    return float(
        1.0 - ((predicted - measured) ** 2).sum() / ((measured - measured.mean()) ** 2).sum()
    )


def reseed(
    inputs: np.ndarray,
    targets: np.ndarray,
    groups: np.ndarray,
    seeds: Sequence[int],
    progress: Progress = lambda done, total: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of all rows under each seed, seeds x rows x targets, and which rows were held out."""
    predicted = np.empty((len(seeds), *targets.shape))
    tested = np.zeros((len(seeds), len(targets)), dtype=bool)
    with threadpool_limits(1):
        under_seeds = spread(split_and_learnt, [(inputs, targets, groups, seed) for seed in seeds])
        for number, (all_rows, test) in enumerate(under_seeds):
            predicted[number] = all_rows
            tested[number, test] = True
            progress(number + 1, len(seeds))
    return predicted, tested


def split_and_learnt(
    inputs: np.ndarray, targets: np.ndarray, groups: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of all rows under one seed, and the positions that were held out."""
    train, test = holdout(groups, TEST_SHARE, seed)
    some = np.random.default_rng(seed).permutation(len(train))[:LEARNT_ON]
    predicted = np.empty_like(targets)
    for column, process in enumerate(fit(inputs[train], targets[train], learn_on=some)):
        predicted[train, column] = process.fitted
        predicted[test, column] = process.mean(inputs[test])
    return predicted, test


def protocol(
    lake: Lakehouse,
    model: Specification,
    seeds: int = SEEDS,
    progress: Progress = lambda done, total: None,
) -> tuple[Kept, list[Reseeds]]:
    """Rows of the protocol and the splits behind them; no splits if nothing has changed."""
    if seeds < 2:
        raise PlatformError(
            "One split has no spread.", f"Take at least 2 seeds; usual are {SEEDS}."
        )
    trainings = [quantity.source.read(lake, quantity) for quantity in model.quantities]
    basis = Basis(
        fingerprint(protocol, *(quantity.source.read for quantity in model.quantities)),
        digest_of(model.digest, str(seeds)),
        digest_of(*(training.digest for training in trainings)),
    )
    splits: list[Reseeds] = []

    def make() -> Made:
        reseeds, groups = _reseeded(model, trainings, seeds, progress)
        splits.extend(reseeds)
        common = {
            "model_name": model.name,
            "n_seeds": seeds,
            "n_rows": len(groups),
            "n_groups": len(np.unique(groups)),
            "is_synthetic": reseeds[0].is_synthetic,
            "data_hash": basis.data,
            "code_hash": basis.code,
            "made_at": now(),
        }
        name = f"reseeds/{model.name}"
        parents = trainings[0].parents or trainings[0].ids
        return Made(
            {
                "model_reseeds": [
                    common | row for of_target in reseeds for row in _rows(of_target)
                ],
                "made_from": made_from("reseeds", name, model.source.kind, parents),
            },
            {"made_from": {"child_kind": ["reseeds"], "child_id": [name]}},
        )

    kept = unless_same(lake, "model_reseeds", {"model_name": [model.name]}, basis, make)
    return kept, splits


def _reseeded(
    model: Specification, trainings: Sequence[TrainingSet], seeds: int, progress: Progress
) -> tuple[list[Reseeds], np.ndarray]:
    """All quantities of the model at the rows that have each of them."""
    shared = set.intersection(*(set(training.ids) for training in trainings))
    kept = [[n for n, name in enumerate(training.ids) if name in shared] for training in trainings]
    measured = np.column_stack(
        [training.target[rows] for training, rows in zip(trainings, kept, strict=True)]
    )
    in_decades = np.array([quantity.logarithmic for quantity in model.quantities])
    learnt = np.where(in_decades, np.log(np.where(in_decades, measured, 1.0)), measured)
    groups = trainings[0].batches[kept[0]]
    predicted, tested = reseed(
        features_of(model, trainings[0].inputs[kept[0]]),
        learnt,
        groups,
        range(model.seed, model.seed + seeds),
        progress,
    )
    predicted = np.where(in_decades, np.exp(np.where(in_decades, predicted, 0.0)), predicted)
    synthetic = any(training.is_synthetic for training in trainings)
    return [
        Reseeds(
            quantity.target,
            quantity.unit,
            measured[:, number],
            predicted[:, :, number],
            tested,
            synthetic,
        )
        for number, quantity in enumerate(model.quantities)
    ], groups


def features_of(model: Specification, inputs: np.ndarray) -> np.ndarray:
    """The model's features, logarithmic where it says so, not yet scaled."""
    straight = inputs @ weights_of(model, False).T
    weights = weights_of(model, True)
    used = (weights != 0).any(axis=0)
    features: np.ndarray = straight + np.log(np.where(used, inputs, 1.0)) @ weights.T
    return features


def _rows(reseeds: Reseeds) -> Iterator[Row]:
    for side in (TRAIN, TEST):
        for metric, values in reseeds.metrics(side).items():
            yield {
                "target": reseeds.target,
                "part": side,
                "metric": metric,
                **vars(Spread.of(values)),
            }
