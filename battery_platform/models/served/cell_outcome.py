"""Outcome of a cell as other teams load it: this file and arrays; no battery_platform, no pickle.

Lasso and trees predict each quantity from the descriptors; a joint normal distribution of their errors
then updates each prediction with whatever is already known of the cell, never with the quantity itself.
Unknown quantities are integrated out, so that their uncertainty carries over to all that depends on them.

Quantities are computed as standardised numbers, those that span decades as logarithms; the capacity
curve enters as a few principal components. Training, evaluation and serving all use `predict_rows`.
"""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

Z90 = 1.6448536269514722
BLOCK = 2048
UNIT_SLIPS = (0.001, 1000.0, 0.01, 100.0)
WORDS = {"yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0}
EXACT = 1e-9
"""Standard deviation of known values: they are returned as given."""
FAR = 1.0
"""A known value further outside the training data than this many spans is rejected."""


def trees(forest: dict[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
    """Mean prediction of all trees, rows by quantities. Inputs are rounded as when the trees were grown.

    All trees are walked one level at a time; a leaf leads to itself.
    """
    rows, wide = inputs.shape
    x = inputs.astype(np.float32).ravel()
    start = np.tile(np.arange(rows) * wide, len(forest["roots"]))
    node = np.repeat(forest["roots"], rows)
    for _ in range(int(forest["depth"])):
        above = x[start + forest["feature"][node]] > forest["threshold"][node]
        node = forest["children"][2 * node + above]
    answers: np.ndarray = forest["answer"][node].reshape(len(forest["roots"]), rows, -1)
    mean: np.ndarray = answers.mean(axis=0)
    return mean


def base(state: dict[str, Any], inputs: np.ndarray) -> np.ndarray:
    """Standardised prediction of every quantity from the descriptors alone."""
    at = (inputs - state["input_center"]) / state["input_scale"]
    line = at @ state["line"].T + state["line_start"]
    grown = np.empty_like(line)
    for number in range(int(state["forests"])):
        forest = {
            name: state[f"{number}.{name}"]
            for name in ("roots", "depth", "feature", "threshold", "children", "answer")
        }
        grown[:, state[f"{number}.columns"]] = trees(forest, at)
    made: np.ndarray = state["tree_share"] * grown + (1.0 - state["tree_share"]) * line
    return made


def conditioned(
    mean: np.ndarray, known: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each quantity, given the other known quantities."""
    moved, deviation = mean.copy(), np.tile(np.sqrt(np.diag(covariance)), (len(mean), 1))
    there = np.isfinite(known)
    patterns, which = np.unique(there, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        rows, have, lack = np.flatnonzero(which.ravel() == number), pattern, ~pattern
        if not have.any():
            continue
        inverse = np.linalg.inv(covariance[np.ix_(have, have)])
        off = (known[rows][:, have] - mean[rows][:, have]) @ inverse
        gain = covariance[np.ix_(lack, have)]
        moved[np.ix_(rows, lack)] += off @ gain.T
        left = np.diag(covariance)[lack] - ((gain @ inverse) * gain).sum(axis=1)
        deviation[np.ix_(rows, lack)] = np.sqrt(left)
        # A known quantity is predicted from the other known ones: leave-one-out of the same normal law.
        own = np.diag(inverse)
        moved[np.ix_(rows, have)] = known[rows][:, have] - off / own
        deviation[np.ix_(rows, have)] = 1.0 / np.sqrt(own)
    return moved, deviation


def coded(state: dict[str, Any], known: np.ndarray) -> np.ndarray:
    """Known endpoints as standardised numbers, the curve being unknown."""
    logarithmic = state["logarithmic"]
    count = known.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.where(logarithmic, np.log(np.where(known > 0, known, np.nan)), known)
    made = np.full((len(known), len(state["center"])), np.nan)
    made[:, :count] = (scaled - state["center"][:count]) / state["scale"][:count]
    return made


def decoded(
    state: dict[str, Any], mean: np.ndarray, deviation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Endpoints as they are learnt (some as logarithms) and the curve, each with its deviation."""
    count = len(state["logarithmic"])
    whole = state["center"] + state["scale"] * mean
    wide = state["scale"] * deviation
    curve = state["curve_mean"] + whole[:, count:] @ state["directions"]
    variance = wide[:, count:] ** 2 @ state["directions"] ** 2 + state["curve_rest"] ** 2
    return whole[:, :count], wide[:, :count], curve, np.sqrt(variance)


def answer(
    state: dict[str, Any], inputs: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Calibrated endpoints and curve; logarithmic endpoints are still logarithms."""
    mean, deviation = conditioned(base(state, inputs), coded(state, known), state["covariance"])
    made = decoded(state, mean, deviation)
    something = np.isfinite(known).any(axis=1).astype(int)
    return (
        made[0],
        made[1] * state["calibration"][something],
        np.maximum(made[2], 0.0),
        made[3] * state["curve_calibration"][something][:, None],
    )


def raised(
    mean: np.ndarray, deviation: np.ndarray, logarithmic: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Value, standard deviation and 90 % interval in the endpoint's unit, never below 0."""
    ends = [mean, mean - Z90 * deviation, mean + Z90 * deviation]
    value, low, high = (
        np.where(logarithmic, np.exp(np.where(logarithmic, end, 0.0)), np.maximum(end, 0.0))
        for end in ends
    )
    return value, np.where(logarithmic, value * deviation, deviation), low, high


def classes(mean: np.ndarray, deviation: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Probability of each class, rows by classes: the normal distribution cut at falling bounds."""
    scaled = (mean[:, None] - bounds[None, :]) / (deviation[:, None] * math.sqrt(2.0))
    above = 0.5 * (1.0 + np.vectorize(math.erf, otypes=[float])(scaled))
    ends = np.ones((len(mean), 1))
    made: np.ndarray = np.diff(np.hstack([0.0 * ends, above, ends]), axis=1)
    return made


def domain(state: dict[str, Any], inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest training case, and whether a row lies among them."""
    at = (inputs - state["input_center"]) / state["input_scale"]
    train = state["train"]
    squares = (at * at).sum(1)[:, None] + (train * train).sum(1)[None, :] - 2.0 * at @ train.T
    distance: np.ndarray = np.sqrt(np.maximum(squares, 0.0).min(axis=1))
    within = ((inputs >= state["input_low"]) & (inputs <= state["input_high"])).all(axis=1)
    return distance, within & (distance <= float(state["domain_distance"]))


def predict_rows(state: dict[str, Any], frame: pd.DataFrame) -> pd.DataFrame:
    """Each endpoint with its interval, the class of D30, the curve, and the distance from the data."""
    about = json.loads(str(state["about"]))
    names, endpoints = about["inputs"], about["endpoints"]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(f"Column(s) missing: {', '.join(missing)}. Expected: {', '.join(names)}.")
    if frame.empty:
        raise ValueError(f"No row was given. Expected: {', '.join(names)}.")
    inputs = np.column_stack([_numbers(frame[name]) for name in names])
    known, doubts = _known(state, endpoints, frame)
    usable = np.isfinite(inputs).all(axis=1)
    rows, count = len(inputs), len(endpoints)
    cycles = np.asarray(about["curve_cycles"])
    mean, deviation = (np.full((rows, count), np.nan) for _ in range(2))
    curve, curve_deviation = (np.full((rows, len(cycles)), np.nan) for _ in range(2))
    distance, inside = np.full(rows, np.nan), np.zeros(rows, dtype=bool)
    for start in range(0, rows, BLOCK):
        at = np.flatnonzero(usable[start : start + BLOCK]) + start
        if len(at):
            answers = answer(state, inputs[at], known[at])
            mean[at], deviation[at] = answers[:2]
            curve[at], curve_deviation[at] = (array[:, cycles - 1] for array in answers[2:])
            distance[at], inside[at] = domain(state, inputs[at])
    there = np.isfinite(known) & usable[:, None]
    learnt = np.where(state["logarithmic"], np.log(np.where(there, known, 1.0)), known)
    mean, deviation = np.where(there, learnt, mean), np.where(there, EXACT, deviation)
    made = _columns(state, about, mean, deviation)
    for place, cycle in enumerate(cycles):
        made[f"capacity_cycle_{cycle}_mah_g"] = curve[:, place]
        made[f"capacity_cycle_{cycle}_sd_mah_g"] = curve_deviation[:, place]
    made |= {
        "in_domain": inside,
        "distance": distance,
        "note": _notes(state, names, inputs, usable, inside, doubts),
        "synthetic": np.full(rows, about["synthetic"]),
    }
    return pd.DataFrame(made, index=frame.index)


def _columns(
    state: dict[str, Any], about: dict[str, Any], mean: np.ndarray, deviation: np.ndarray
) -> dict[str, np.ndarray]:
    value, wide, low, high = raised(mean, deviation, state["logarithmic"])
    made: dict[str, np.ndarray] = {}
    for place, names in enumerate(about["outputs"]):
        made |= {
            names["value"]: value[:, place],
            names["standard_deviation"]: wide[:, place],
            names["low_90"]: low[:, place],
            names["high_90"]: high[:, place],
        }
    place = about["endpoints"].index(about["class_of"])
    chances = classes(mean[:, place], deviation[:, place], state["bounds"])
    answered = np.isfinite(value[:, place])
    likeliest = np.argmax(np.where(answered[:, None], chances, 0.0), axis=1)
    labels = np.array(about["classes"], dtype=object)
    made["d30_class"] = np.where(answered, labels[likeliest], "")
    return made | {
        f"d30_probability_{label}": chances[:, number]
        for number, label in enumerate(about["classes"])
    }


def _numbers(column: pd.Series) -> np.ndarray:
    """Numbers, with yes and no as 1 and 0; anything else becomes NaN."""
    if not pd.api.types.is_numeric_dtype(column):
        column = column.map(lambda value: WORDS.get(str(value).strip().lower(), value))
    numbers: np.ndarray = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    return numbers


def _known(
    state: dict[str, Any], endpoints: list[str], frame: pd.DataFrame
) -> tuple[np.ndarray, dict[int, list[str]]]:
    """Known values of each endpoint, and the reasons why implausible ones were left out."""
    known = np.full((len(frame), len(endpoints)), np.nan)
    doubts: dict[int, list[str]] = {}
    for place, name in enumerate(endpoints):
        if name not in frame.columns:
            continue
        given = _numbers(frame[name])
        low, high = float(state["known_low"][place]), float(state["known_high"][place])
        sound = (
            (given >= max(low, 0.0))
            & (given <= high)
            & ~(state["logarithmic"][place] & (given <= 0))
        )
        known[:, place] = np.where(sound, given, np.nan)
        for row in np.flatnonzero(~sound & frame[name].notna().to_numpy()):
            doubt = f"{name} is no number and was not used"
            if np.isfinite(given[row]):
                hint = _slip(float(given[row]), low, high)
                doubt = f"{name} is {given[row]:g}, far outside of the data{hint}; it was not used"
            doubts.setdefault(int(row), []).append(doubt)
    return known, doubts


def _slip(value: float, low: float, high: float) -> str:
    slips = [value * factor for factor in UNIT_SLIPS if low <= value * factor <= high]
    fits = " or ".join(f"{slip:g}" for slip in slips)
    return f"; {fits} would fit, check the unit" if slips else ""


def _notes(
    state: dict[str, Any],
    names: list[str],
    inputs: np.ndarray,
    usable: np.ndarray,
    inside: np.ndarray,
    doubts: dict[int, list[str]],
) -> np.ndarray:
    notes = np.full(len(inputs), "", dtype=object)
    for row in sorted({*np.flatnonzero(~inside).tolist(), *doubts}):
        reasons = []
        for column, name in enumerate(names):
            value = float(inputs[row, column])
            low, high = float(state["input_low"][column]), float(state["input_high"][column])
            if not np.isfinite(value):
                reasons.append(f"{name} is missing or no number")
            elif not low <= value <= high:
                hint = _slip(value, low, high)
                reasons.append(
                    f"{name} is {value:g}, the data range from {low:g} to {high:g}{hint}"
                )
        if not usable[row]:
            reasons.append("no prediction")
        elif not inside[row] and not reasons:
            reasons.append("no case like this one is in the data, though each number is")
        notes[row] = "; ".join([*reasons, *doubts.get(row, [])])
    return notes


class CellOutcome(PythonModel):
    """What `mlflow.pyfunc.load_model` returns."""

    def load_context(self, context: Any) -> None:
        """Read the arrays saved beside this file."""
        with np.load(context.artifacts["state"], allow_pickle=False) as arrays:
            self.state = {name: arrays[name] for name in arrays.files}

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Predictions for a frame of cells."""
        return predict_rows(self.state, model_input)


set_model(CellOutcome())
