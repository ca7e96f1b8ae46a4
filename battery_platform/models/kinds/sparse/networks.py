"""Many small networks on bootstrapped cases, with imputation until it converges.

As described in paper 001, every network sees the descriptors and all endpoints and predicts all
endpoints, but never uses an endpoint to predict itself: its own term is removed from the hidden layer.
Gaps start at the mean and are replaced by z <- gamma z + (1 - gamma) y until nothing changes; a
prediction on which the networks disagree counts less as an input. All networks are trained at once, as
one array.

During training, endpoints are hidden at random, since a network that always saw D30 would predict D10
from nothing else. Each bootstrap leaves out whole cases; the errors of networks that never saw them set
the width of the intervals. The paper's own spread between networks is kept as a candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from battery_platform.models.cell_table import EARLY, Array, SparseTable
from battery_platform.models.kinds.sparse.candidates import Answer, Prediction, factors, prediction
from battery_platform.models.kinds.sparse.space import latent, mean_of, space_of
from battery_platform.models.served.cell_outcome import coded

NETWORKS, RAW = "networks", "networks, spread alone"
Weights = dict[str, npt.NDArray[np.float32]]
Single = npt.NDArray[np.float32]
SEED = 20260101
HIDE_AGAIN = 10
MOST_ROUNDS = 40


@dataclass(frozen=True)
class Choices:
    """Hyper-parameters of the training, as found by `tuning.tune`.

    Its best trial had 11 hidden units and 280 steps; 6 and 120 are 0.014 of R2 behind at a quarter of
    the time.
    """

    networks: int = 200
    hidden: int = 6
    steps: int = 120
    rate: float = 0.08
    decay: float = 0.067
    gamma: float = 0.05
    tolerance: float = 0.01


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Trained networks and which training rows each has seen."""

    weights: Weights
    seen: npt.NDArray[np.bool_]
    choices: Choices


@dataclass(frozen=True)
class Networks:
    """The candidate in the form that `evaluation` needs: calibrated on held-out cases, and the plain spread."""

    choices: Choices = Choices()

    def __call__(self, table: SparseTable, rows: Array) -> Answer:
        space = space_of(table, rows)
        target = latent(space, table, rows)
        at = (table.inputs[rows] - space["input_center"]) / space["input_scale"]
        ensemble = train(at, target, table.cases[rows], self.choices)
        rest, wider = _calibration(ensemble, space, table, rows, at, target)

        def answer(inputs: Array, known: Array) -> dict[str, Prediction]:
            asked = (inputs - space["input_center"]) / space["input_scale"]
            each = impute(ensemble, asked, coded(space, known))
            mean, spread = each.mean(axis=0), each.std(axis=0)
            return {
                NETWORKS: prediction(space, mean, np.hypot(spread, rest) * wider),
                RAW: prediction(space, mean, spread),
            }

        return answer


def train(at: Array, target: Array, cases: Array, choices: Choices) -> Ensemble:
    """Adam on all networks at once; a row's weight is how often its case was drawn."""
    rng = np.random.default_rng(SEED)
    drawn = _bootstrap(cases, choices.networks, rng)
    x, there = at.astype(np.float32), np.isfinite(target)
    goal = np.nan_to_num(target).astype(np.float32)
    weight = (drawn[:, :, None] * there / np.maximum(there.sum(axis=0), 1)).astype(np.float32)
    weights = _start(x.shape[1], goal.shape[1], choices, rng)
    first = {name: np.zeros_like(array) for name, array in weights.items()}
    second = {name: np.zeros_like(array) for name, array in weights.items()}
    imputed = np.zeros((choices.networks, *goal.shape), dtype=np.float32)
    shown = np.zeros_like(imputed)
    for step in range(1, choices.steps + 1):
        if step % HIDE_AGAIN == 1:
            shown = np.where(_visible(there, rng), goal, imputed)
        predicted, slopes = _gradient(weights, x, shown, goal, weight, choices.decay)
        if step % HIDE_AGAIN == 0:
            imputed = choices.gamma * imputed + np.float32(1 - choices.gamma) * predicted
        for name, slope in slopes.items():
            first[name] = 0.9 * first[name] + 0.1 * slope
            second[name] = 0.99 * second[name] + 0.01 * slope**2
            size = choices.rate * np.sqrt(1 - 0.99**step) / (1 - 0.9**step)
            weights[name] -= np.float32(size) * first[name] / (np.sqrt(second[name]) + 1e-7)
    return Ensemble(weights, drawn > 0, choices)


def impute(ensemble: Ensemble, at: Array, known: Array) -> Single:
    """Each network's prediction of each endpoint once imputation has converged."""
    choices = ensemble.choices
    x, there = at.astype(np.float32), np.isfinite(known)
    goal = np.nan_to_num(known).astype(np.float32)
    z = np.broadcast_to(goal, (choices.networks, *goal.shape)).copy()
    predicted = _forward(ensemble.weights, x, z)[0]
    for _ in range(MOST_ROUNDS):
        credence = 1 / (1 + predicted.var(axis=0))
        step = np.where(there, goal, choices.gamma * z + (1 - choices.gamma) * credence * predicted)
        moved = float(np.abs(step.mean(axis=0) - z.mean(axis=0)).max(initial=0.0))
        z = step.astype(np.float32)
        predicted = _forward(ensemble.weights, x, z)[0]
        if moved < choices.tolerance:
            break
    return predicted


def _bootstrap(cases: Array, networks: int, rng: np.random.Generator) -> Single:
    """How often each network draws the case of each row."""
    _, case = np.unique(cases, return_inverse=True)
    count = int(case.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=networks)
    times: Single = drawn[:, case].astype(np.float32)
    return times


def _start(inputs: int, outputs: int, choices: Choices, rng: np.random.Generator) -> Weights:
    def normal(*shape: int) -> Single:
        made = rng.standard_normal((choices.networks, *shape), dtype=np.float32)
        return made * np.float32(1 / np.sqrt(shape[0]))

    return {
        "x": normal(inputs, choices.hidden),
        "z": normal(outputs, choices.hidden),
        "start": normal(1, choices.hidden)[:, 0],
        "out": normal(choices.hidden, outputs) * np.float32(0.5),
        "shift": np.zeros((choices.networks, outputs), dtype=np.float32),
    }


def _visible(there: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Hide all endpoints of half the rows, and half of the known endpoints of the others."""
    rows = rng.random((len(there), 1)) < 0.5
    return there & rows & (rng.random(there.shape) < 0.5)


def _forward(weights: Weights, x: Single, z: Single) -> tuple[Single, Single]:
    """Predictions, and the hidden layer of each output: networks x rows x outputs x hidden."""
    whole = x @ weights["x"] + z @ weights["z"] + weights["start"][:, None, :]
    own = z[..., None] * weights["z"][:, None, :, :]
    hidden = np.tanh(whole[:, :, None, :] - own)
    out = np.swapaxes(weights["out"], 1, 2)[:, None]
    return (hidden * out).sum(axis=3) + weights["shift"][:, None, :], hidden


def _gradient(
    weights: Weights, x: Single, z: Single, goal: Single, weight: Single, decay: float
) -> tuple[Single, Weights]:
    predicted, hidden = _forward(weights, x, z)
    error = weight * (predicted - goal)
    out = np.swapaxes(weights["out"], 1, 2)[:, None]
    back = error[..., None] * out * (1 - hidden * hidden)
    whole = back.sum(axis=2)
    own = (z[..., None] * back).sum(axis=1)
    slopes = {
        "x": x.T @ whole,
        "z": np.swapaxes(z, 1, 2) @ whole - own,
        "start": whole.sum(axis=1),
        "out": np.swapaxes((error[..., None] * hidden).sum(axis=1), 1, 2),
        "shift": error.sum(axis=1),
    }
    for name in ("x", "z", "out"):
        slopes[name] = slopes[name] + np.float32(decay) * weights[name]
    return predicted, slopes


def _calibration(
    ensemble: Ensemble,
    space: dict[str, Array],
    table: SparseTable,
    rows: Array,
    at: Array,
    target: Array,
) -> tuple[Array, Array]:
    """Noise missing from the spread, and the remaining scale factor, from cases a network never saw."""
    errors, spreads = [], []
    unseen = ~ensemble.seen[:, :, None]
    for names in ((), EARLY):
        each = impute(ensemble, at, coded(space, table.only(names)[rows]))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = each.mean(axis=0, where=unseen)
            spreads.append(each.std(axis=0, where=unseen))
        errors.append(target - mean)
    error, spread = np.concatenate(errors), np.concatenate(spreads)
    rest = np.sqrt(np.maximum(mean_of(error**2 - spread**2), 1e-4))
    return rest, factors(error, np.hypot(spread, rest))
