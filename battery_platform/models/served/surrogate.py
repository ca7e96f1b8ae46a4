"""A surrogate as other teams load it: this file and arrays; no battery_platform, no pickle.

There is one learnt function per quantity, all of the same inputs: a Gaussian process, a network, boosted
trees or a classifier, as `kind` says.

Training, evaluation and serving all use `predict_rows`. Outside the data it still predicts, with
`in_domain` false and a note; a row that cannot be predicted has no value and a note that says why.
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
HOLE = (0.05, 0.25)
"""Gap in the data, as a share of an input's range, at which the trend starts to count and takes over."""
State = dict[str, Any]


def features(state: State, inputs: np.ndarray) -> np.ndarray:
    """Inputs of the learnt function: standardised sums of inputs and of their logarithms."""
    raw = inputs @ state["linear"].T
    logged = positive(state)
    if logged.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            raw += np.log(inputs[:, logged]) @ state["logarithmic"][:, logged].T
    standardised: np.ndarray = (raw - state["center"]) / state["scale"]
    return standardised


def positive(state: State) -> np.ndarray:
    """Which inputs enter by their logarithm, and so must be above 0."""
    is_positive: np.ndarray = (state["logarithmic"] != 0).any(axis=0)
    return is_positive


def squared_distances(left: np.ndarray, right: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Squared distance of each left row to each right row, in units of the lengths."""
    a, b = left / lengths, right / lengths
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2.0 * a @ b.T
    at_least_zero: np.ndarray = np.maximum(squares, 0.0)
    return at_least_zero


def kind(state: State) -> str:
    """What kind of function was learnt."""
    return str(state["kind"])


def member(state: State, name: str) -> State:
    """The state that is stored inside another one under a prefix."""
    return {key.removeprefix(name): value for key, value in state.items() if key.startswith(name)}


def posterior(state: State, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each row, as of a new batch, before calibration.

    Where the logarithm of the target was learnt, both refer to the logarithm.
    """
    if kind(state) == "process":
        return _process(state, inputs)
    at = features(state, inputs).astype(np.float32)
    return _point(state, at), error_size(state, at)


def point(state: State, inputs: np.ndarray) -> np.ndarray:
    """Only the value, of a network or of trees."""
    return _point(state, features(state, inputs).astype(np.float32))


def _point(state: State, at: np.ndarray) -> np.ndarray:
    value = _network(state, at) if kind(state) == "network" else _trees(state, at)[:, 0]
    made: np.ndarray = state["y_center"] + state["y_scale"] * value.astype(float)
    return made


def error_size(state: State, at: np.ndarray) -> np.ndarray:
    """Typical error of a network or of trees at these features."""
    terms = np.hstack([at, at**2]) @ state["error_weights"]
    size: np.ndarray = np.exp(np.clip(state["error_center"] + terms, *state["error_ends"]))
    return size.astype(float)


def _process(state: State, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    at = features(state, inputs)
    signal = float(state["signal_variance"])
    cross = signal * np.exp(-0.5 * squared_distances(at, state["train"], state["lengths"]))
    share = float(state["line_share"])
    curve, line = cross @ state["weights"], at @ state["line"]
    mean = state["y_center"] + state["y_scale"] * ((1.0 - share) * curve + share * line)
    known = ((cross @ state["precision"]) * cross).sum(axis=1)
    variance = np.maximum(signal - known, 0.0) + float(state["new_electrode_variance"])
    return mean, state["y_scale"] * np.sqrt(variance)


def answer(state: State, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and calibrated standard deviation in the target's own unit."""
    mean, deviation = posterior(state, inputs)
    deviation = deviation * float(state["calibration"])
    if "trend" in state:
        beyond = member(state, "beyond.")
        around, wide = posterior(beyond, inputs)
        say = trend_say(state, inputs)
        mean = mean + say * (around + trend(state, inputs) - mean)
        deviation = deviation + say * (wide * float(beyond["calibration"]) - deviation)
    if bool(state.get("logarithmic_target", False)):
        mean = np.exp(mean)
        deviation = mean * deviation
    return mean, deviation


def trend(state: State, inputs: np.ndarray) -> np.ndarray:
    """The power law through all data, which extrapolates better than the curve."""
    power_law: np.ndarray = np.exp(state["trend_center"] + features(state, inputs) @ state["trend"])
    return power_law


def trend_say(state: State, inputs: np.ndarray) -> np.ndarray:
    """Weight of the trend: 0 among the data, 1 inside a wide gap of the data or far beyond them."""
    widest = np.zeros(len(inputs))
    for column, seen in enumerate(inputs.T):
        known = state["seen_values"][column]
        known = known[np.isfinite(known)]
        right = np.clip(np.searchsorted(known, seen), 0, len(known) - 1)
        nearest = np.minimum(abs(seen - known[right]), abs(seen - known[np.maximum(right - 1, 0)]))
        widest = np.maximum(widest, nearest / (np.ptp(known) or 1.0))
    say: np.ndarray = np.clip((widest - HOLE[0]) / (HOLE[1] - HOLE[0]), 0.0, 1.0)
    return say


def _network(state: State, at: np.ndarray) -> np.ndarray:
    """The output of a network; without hidden layers it is a straight line."""
    last = int(state["layers"]) - 1
    for layer in range(last + 1):
        at = at @ state[f"weights_{layer}"]
        at += state[f"bias_{layer}"]
        if layer < last and str(state["activation"]) == "sigmoid":
            at = 1.0 / (1.0 + np.exp(-at))
        elif layer < last:
            np.maximum(at, 0.0, out=at)
    value: np.ndarray = at[:, 0]
    return value


def _trees(state: State, at: np.ndarray) -> np.ndarray:
    """Sum of the leaves that each row reaches, one column per output."""
    rows = np.arange(len(at))
    outputs = np.tile(state["base"], (len(at), 1))
    for tree, output in enumerate(state["tree_output"]):
        node = np.zeros(len(at), dtype=np.int64)
        for _ in range(int(state["depth"])):
            split = state["tree_feature"][tree][node]
            below = at[rows, np.maximum(split, 0)] < state["tree_value"][tree][node]
            after = np.where(below, state["tree_left"][tree][node], state["tree_right"][tree][node])
            node = np.where(split < 0, node, after)
        outputs[:, output] += state["tree_value"][tree][node]
    return outputs


def chances(state: State, inputs: np.ndarray) -> np.ndarray:
    """Probability of each class, rows by classes."""
    if kind(state) == "mixture":
        members = [chances(member(state, f"member_{number}."), inputs) for number in range(3)]
        return sharpened(np.mean(members, axis=0), float(state["sharpness"]))
    if kind(state) in ("process", "network"):
        return classes(*answer(state, inputs), state["bounds"])
    at = features(state, inputs)
    if kind(state) == "trees":
        return _softmax(_trees(state, at.astype(np.float32)))
    if kind(state) == "support vectors":
        at = support_scores(state, at)
    else:
        pairs = state["pairs"]
        at = np.hstack([at, at[:, pairs[:, 0]] * at[:, pairs[:, 1]]])
    return _softmax(at @ state["class_weights"] + state["class_bias"])


def sharpened(shares: np.ndarray, sharpness: float) -> np.ndarray:
    """Probabilities made more (sharpness above 1) or less confident."""
    return _softmax(sharpness * np.log(np.maximum(shares, 1e-12)))


def support_scores(state: State, at: np.ndarray) -> np.ndarray:
    """Signed distance of each row from the border of each class."""
    near = np.exp(-state["gamma"] * squared_distances(at, state["vectors"], np.ones(at.shape[1])))
    scores: np.ndarray = near @ state["dual"].T + state["intercept"]
    return scores


def _softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: np.ndarray = raised / raised.sum(axis=1, keepdims=True)
    return shares


def classes(mean: np.ndarray, deviation: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Probability of each class, rows by classes: the normal distribution cut at the bounds."""
    scaled = (bounds[None, :] - mean[:, None]) / (deviation[:, None] * math.sqrt(2.0))
    below = 0.5 * (1.0 + np.vectorize(math.erf, otypes=[float])(scaled))
    ends = np.ones((len(mean), 1))
    made: np.ndarray = np.diff(np.hstack([0.0 * ends, below, ends]), axis=1)
    return made


def states_of_quantities(state: State) -> list[State]:
    """The states of the quantities that the model predicts."""
    numbers = sorted({int(name.split(".")[0]) for name in state if name.split(".")[0].isdigit()})
    first = {name: value for name, value in state.items() if not name.split(".")[0].isdigit()}
    return [
        first,
        *(
            {
                name.split(".", 1)[1]: value
                for name, value in state.items()
                if name.startswith(f"{n}.")
            }
            for n in numbers
        ),
    ]


def domain(state: State, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest stored training row, and whether a row lies among the data."""
    at = features(state, inputs).astype(state["train"].dtype)
    known = state["train"]
    # the nearest row maximises this: one product, no further pass over all pairs
    nearest = (at @ known.T - 0.5 * (known * known).sum(axis=1)).max(axis=1)
    distance = np.sqrt(np.maximum((at * at).sum(axis=1) - 2.0 * nearest, 0.0)).astype(float)
    within = ((inputs >= state["input_low"]) & (inputs <= state["input_high"])).all(axis=1)
    return distance, within & fits(state, inputs).all(axis=1) & (
        distance <= float(state["domain_distance"])
    )


def fits(state: State, inputs: np.ndarray) -> np.ndarray:
    """Whether the constrained sums of inputs lie in the range seen in the data."""
    sums = inputs @ state["sums"].T
    there: np.ndarray = (sums >= state["sums_low"]) & (sums <= state["sums_high"])
    return there


def predict_rows(state: State, frame: pd.DataFrame) -> pd.DataFrame:
    """Values with their intervals, or classes with their probabilities; distance and in-domain flag."""
    states = states_of_quantities(state)
    state = states[0]
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
    columns: dict[str, np.ndarray] = {}
    for of_quantity in states:
        columns |= _columns(of_quantity, inputs, usable)
    for rows in _blocks(usable):
        distance[rows], inside[rows] = domain(state, inputs[rows])
    answers = columns | {
        "in_domain": inside,
        "distance": distance,
        "note": _notes(state, about, inputs, usable, inside),
        "synthetic": np.full(len(inputs), about["synthetic"]),
    }
    return pd.DataFrame(answers, index=frame.index)


def _blocks(usable: np.ndarray) -> list[np.ndarray]:
    """Positions of the rows that can be predicted, in blocks that fit the cache."""
    rows = np.flatnonzero(usable)
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]


def _columns(state: State, inputs: np.ndarray, usable: np.ndarray) -> dict[str, np.ndarray]:
    """Output columns of one quantity; empty where a row cannot be predicted."""
    about = json.loads(str(state["about"]))
    if about["classes"]:
        return _class_columns(state, dict(about["classes"]), inputs, usable)
    value, deviation = (np.full(len(inputs), np.nan) for _ in range(2))
    for rows in _blocks(usable):
        value[rows], deviation[rows] = answer(state, inputs[rows])
    outputs = about["outputs"]
    return {
        outputs["value"]: value,
        outputs["standard_deviation"]: deviation,
        outputs["low_90"]: value - Z90 * deviation,
        outputs["high_90"]: value + Z90 * deviation,
    }


def _class_columns(
    state: State, names: dict[str, str], inputs: np.ndarray, usable: np.ndarray
) -> dict[str, np.ndarray]:
    """The likeliest class and the probability of each class."""
    labels = [label for label in names if label != "class"]
    shares = np.full((len(inputs), len(labels)), np.nan)
    for rows in _blocks(usable):
        shares[rows] = chances(state, inputs[rows])
    likeliest = np.where(usable[:, None], shares, 0.0).argmax(axis=1)
    chosen = np.where(usable, np.array(labels, dtype=object)[likeliest], "")
    return {names["class"]: chosen} | {
        names[label]: shares[:, number] for number, label in enumerate(labels)
    }


def _numbers(column: pd.Series) -> np.ndarray:
    numbers: np.ndarray = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    return numbers


def _notes(
    state: State,
    about: dict[str, Any],
    inputs: np.ndarray,
    usable: np.ndarray,
    inside: np.ndarray,
) -> np.ndarray:
    """Why a row is outside the data or has no prediction; empty for all others."""
    notes = np.full(len(inputs), "", dtype=object)
    must_be_positive = positive(state)
    for column, name in enumerate(about["inputs"]):
        values = inputs[:, column]
        low, high = float(state["input_low"][column]), float(state["input_high"][column])
        for row in np.flatnonzero(~((values >= low) & (values <= high))):
            value = float(values[row])
            if not math.isfinite(value):
                note = f"{name} is missing or no number"
            elif value <= 0 and must_be_positive[column]:
                note = f"{name} is {value:g}, it must be above 0"
            else:
                slips = [value * slip for slip in UNIT_SLIPS if low <= value * slip <= high]
                would = " or ".join(f"{slip:g}" for slip in slips)
                hint = f"; {would} would fit, check the unit" if slips else ""
                note = f"{name} is {value:g}, the data range from {low:g} to {high:g}{hint}"
            notes[row] += f"; {note}" if notes[row] else note
    for at, place in np.argwhere(~fits(state, inputs) & usable[:, None]).tolist():
        total = float(inputs[at] @ state["sums"][place])
        ends = f"{state['sums_low'][place]:.3g} to {state['sums_high'][place]:.3g}"
        note = f"{about['sums'][place]} is {total:.3g}, in the data {ends}"
        notes[at] += f"; {note}" if notes[at] else note
    for row in np.flatnonzero(~usable):
        notes[row] += "; no prediction"
    for row in np.flatnonzero(usable & ~inside):
        notes[row] = notes[row] or "no recipe like this one is in the data, though each number is"
    return notes


class Surrogate(PythonModel):
    """What `mlflow.pyfunc.load_model` returns."""

    def load_context(self, context: Any) -> None:
        """Read the arrays saved beside this file."""
        with np.load(context.artifacts["state"], allow_pickle=False) as arrays:
            self.state = {name: arrays[name] for name in arrays.files}

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Predictions for a frame of recipes."""
        return predict_rows(self.state, model_input)


set_model(Surrogate())
