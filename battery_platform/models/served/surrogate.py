"""A surrogate as other teams load it: this file and arrays; no battery_platform, no pickle.

One Gaussian process per quantity, all from the same inputs.

`predict_rows` is what training, evaluation and serving all use. Outside the data it still answers,
with `in_domain` false and a note; a row that cannot be answered carries no value and says why.
"""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

Z90 = 1.6448536269514722
BLOCK = 8192
UNIT_SLIPS = (0.001, 1000.0, 0.01, 100.0)


def features(state: dict[str, Any], inputs: np.ndarray) -> np.ndarray:
    """Inputs as the kernel sees them: sums of inputs and of their logarithms, standardised."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms = np.log(np.where(positive(state), inputs, 1.0))
        raw = inputs @ state["linear"].T + logarithms @ state["logarithmic"].T
    standardised: np.ndarray = (raw - state["center"]) / state["scale"]
    return standardised


def positive(state: dict[str, Any]) -> np.ndarray:
    """Which inputs enter by their logarithm, and so must be above 0."""
    found: np.ndarray = (state["logarithmic"] != 0).any(axis=0)
    return found


def squared_distances(left: np.ndarray, right: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Between each row of the one and each of the other, in lengths."""
    a, b = left / lengths, right / lengths
    found = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2.0 * a @ b.T
    at_least_zero: np.ndarray = np.maximum(found, 0.0)
    return at_least_zero


def posterior(state: dict[str, Any], inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of one electrode of a new batch, before calibration.

    Where the logarithm of the target was learnt, both are of that logarithm.
    """
    at = features(state, inputs)
    signal = float(state["signal_variance"])
    cross = signal * np.exp(-0.5 * squared_distances(at, state["train"], state["lengths"]))
    share = float(state["line_share"])
    curve, line = cross @ state["weights"], at @ state["line"]
    mean = state["y_center"] + state["y_scale"] * ((1.0 - share) * curve + share * line)
    known = ((cross @ state["precision"]) * cross).sum(axis=1)
    variance = np.maximum(signal - known, 0.0) + float(state["new_electrode_variance"])
    return mean, state["y_scale"] * np.sqrt(variance)


def answer(state: dict[str, Any], inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and calibrated standard deviation in the target's own unit."""
    mean, deviation = posterior(state, inputs)
    deviation = deviation * float(state["calibration"])
    if bool(state.get("logarithmic_target", False)):
        mean = np.exp(mean)
        deviation = mean * deviation
    return mean, deviation


def classes(mean: np.ndarray, deviation: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Probability of each class, rows by classes: the normal distribution cut at the bounds."""
    scaled = (bounds[None, :] - mean[:, None]) / (deviation[:, None] * math.sqrt(2.0))
    below = 0.5 * (1.0 + np.vectorize(math.erf, otypes=[float])(scaled))
    ends = np.ones((len(mean), 1))
    made: np.ndarray = np.diff(np.hstack([0.0 * ends, below, ends]), axis=1)
    return made


def parts(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The state of each quantity that the model predicts."""
    numbers = sorted({int(name.split(".")[0]) for name in state if name.split(".")[0].isdigit()})
    first = {name: one for name, one in state.items() if not name.split(".")[0].isdigit()}
    return [
        first,
        *(
            {name.split(".", 1)[1]: one for name, one in state.items() if name.startswith(f"{n}.")}
            for n in numbers
        ),
    ]


def domain(state: dict[str, Any], inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest training recipe, and whether a row lies among them."""
    at = features(state, inputs)
    distance = np.empty(len(at))
    for start in range(0, len(at), 4096):
        block = squared_distances(at[start : start + 4096], state["train"], np.ones(at.shape[1]))
        distance[start : start + 4096] = np.sqrt(block.min(axis=1))
    within = ((inputs >= state["input_low"]) & (inputs <= state["input_high"])).all(axis=1)
    return distance, within & (distance <= float(state["domain_distance"]))


def predict_rows(state: dict[str, Any], frame: pd.DataFrame) -> pd.DataFrame:
    """Value, standard deviation, 90 % interval, distance and in-domain flag of each row."""
    every = parts(state)
    state = every[0]
    about = json.loads(str(state["about"]))
    names = about["inputs"]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(f"Column(s) missing: {', '.join(missing)}. Expected: {', '.join(names)}.")
    if frame.empty:
        raise ValueError(f"No row was given. Expected: {', '.join(names)}.")
    inputs = np.column_stack([_numbers(frame[name]) for name in names])
    usable = np.isfinite(inputs).all(axis=1) & ((inputs > 0) | ~positive(state)).all(axis=1)
    distance = np.full(len(inputs), np.nan)
    inside = np.zeros(len(inputs), dtype=bool)
    found: dict[str, np.ndarray] = {}
    for part in every:
        value, deviation = (np.full(len(inputs), np.nan) for _ in range(2))
        for start in range(0, len(inputs), BLOCK):
            rows = np.flatnonzero(usable[start : start + BLOCK]) + start
            if len(rows):
                value[rows], deviation[rows] = answer(part, inputs[rows])
        said = json.loads(str(part["about"]))
        outputs = said["outputs"]
        found |= {
            outputs["value"]: value,
            outputs["standard_deviation"]: deviation,
            outputs["low_90"]: value - Z90 * deviation,
            outputs["high_90"]: value + Z90 * deviation,
        }
        found |= _class_columns(dict(said.get("class_outputs", [])), value, deviation, part)
    for start in range(0, len(inputs), BLOCK):
        rows = np.flatnonzero(usable[start : start + BLOCK]) + start
        if len(rows):
            distance[rows], inside[rows] = domain(state, inputs[rows])
    answers = found | {
        "in_domain": inside,
        "distance": distance,
        "note": _notes(state, names, inputs, usable, inside),
        "synthetic": np.full(len(inputs), about["synthetic"]),
    }
    return pd.DataFrame(answers, index=frame.index)


def _class_columns(
    names: dict[str, str], value: np.ndarray, deviation: np.ndarray, state: dict[str, Any]
) -> dict[str, np.ndarray]:
    """The likeliest class and the probability of each, of the rows that have a value."""
    if not names:
        return {}
    labels = [one for one in names if one != "class"]
    chances = classes(value, deviation, state["bounds"])
    answered = np.isfinite(value)
    likeliest = np.argmax(np.where(answered[:, None], chances, 0.0), axis=1)
    chosen = np.where(answered, np.array(labels, dtype=object)[likeliest], "")
    return {names["class"]: chosen} | {
        names[one]: chances[:, number] for number, one in enumerate(labels)
    }


def _numbers(column: pd.Series) -> np.ndarray:
    numbers: np.ndarray = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    return numbers


def _notes(
    state: dict[str, Any],
    names: list[str],
    inputs: np.ndarray,
    usable: np.ndarray,
    inside: np.ndarray,
) -> np.ndarray:
    notes = np.full(len(inputs), "", dtype=object)
    must_be_positive = positive(state)
    for row in np.flatnonzero(~inside):
        said = []
        for column, name in enumerate(names):
            value, low, high = (
                float(one)
                for one in (
                    inputs[row, column],
                    state["input_low"][column],
                    state["input_high"][column],
                )
            )
            if not np.isfinite(value):
                said.append(f"{name} is missing or no number")
            elif value <= 0 and must_be_positive[column]:
                said.append(f"{name} is {value:g}, it must be above 0")
            elif not low <= value <= high:
                slips = [value * one for one in UNIT_SLIPS if low <= value * one <= high]
                fits = " or ".join(f"{one:g}" for one in slips)
                hint = f"; {fits} would fit, check the unit" if slips else ""
                said.append(f"{name} is {value:g}, the data range from {low:g} to {high:g}{hint}")
        if not usable[row]:
            said.append("no prediction")
        elif not said:
            said.append("no recipe like this one is in the data, though each number is")
        notes[row] = "; ".join(said)
    return notes


class Surrogate(PythonModel):
    """What `mlflow.pyfunc.load_model` hands out."""

    def load_context(self, context: Any) -> None:
        """Read the arrays saved beside this file."""
        with np.load(context.artifacts["state"], allow_pickle=False) as arrays:
            self.state = {name: arrays[name] for name in arrays.files}

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Answer a frame of recipes."""
        return predict_rows(self.state, model_input)


set_model(Surrogate())
