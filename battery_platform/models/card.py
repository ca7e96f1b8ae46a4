"""The model card: what a consumer must know before trusting a number, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from battery_platform.models.evaluation import (
    ALL_ROWS,
    CONDITION_MEANS,
    Evaluation,
    Score,
    left_out_range,
)
from battery_platform.models.gate import Judged, of_all
from battery_platform.models.gaussian_process import parts_of_variance
from battery_platform.models.served.surrogate import State, kind
from battery_platform.models.specification import Specification
from battery_platform.models.training import TrainingSet


def card(
    model: Specification,
    judged: Sequence[Judged],
    states: Sequence[State],
    hashes: Mapping[str, str],
    because: str,
    further: Sequence[str] = (),
) -> str:
    """Write the card of one version; `further` sections stand before what the gate said."""
    decision = of_all(judged)
    data = judged[0].evaluation.training
    head = [f"# {model.name}: {model.title}"]
    if data.is_synthetic:
        head.append(model.source.label)
    return "\n\n".join(
        [
            *head,
            f"Predicts {', '.join(_named(part) for part in model.parts)}. {model.use}",
            "## Data\n\n"
            + table(
                ("what", "is"),
                [
                    ("rows", f"{len(data)} {model.things} of {data.n_batches} {model.groups}"),
                    ("sources", ", ".join(data.sources)),
                    ("synthetic", "yes" if data.is_synthetic else "no"),
                    ("licence", data.licence),
                    ("active material", data.active_material or "not stated"),
                    ("loading counts", data.loading_basis or "not stated"),
                    ("left out", data.left_out_in_words()),
                    ("snapshot of the lake", str(data.snapshot)),
                    *((f"{name} hash", value) for name, value in hashes.items()),
                    ("trained because", because),
                ],
            ),
            "## Inputs\n\n"
            + table(
                ("column", "from", "to"),
                [
                    (f"`{name}`", f"{low:g}", f"{high:g}")
                    for name, low, high in zip(
                        model.inputs, states[0]["input_low"], states[0]["input_high"], strict=True
                    )
                ],
            )
            + _may_be_known(model)
            + "\n\nOutside, the answer has `in_domain` false and a note. `distance` is the distance "
            "to the nearest training row in standardised inputs; above "
            f"{float(states[0]['domain_distance']):.2f} a row counts as unknown even inside the ranges.",
            *(_of_part(model, one, state) for one, state in zip(judged, states, strict=True)),
            *further,
            "## The gate\n\n"
            + table(
                ("rule", "passed", "finding"),
                [(rule, "yes" if ok else "**no**", said) for rule, ok, said in decision.findings],
            ),
            "## Not shown\n\n" + _not_shown(model, data),
        ]
    )


def _may_be_known(model: Specification) -> str:
    if not model.known:
        return ""
    names = ", ".join(f"`{name}`" for name in model.known)
    return (
        f"\n\nWhat is known of a row already may be given beside; it is answered as given and moves the "
        f"rest, for better or worse as the tables below say: {names}."
    )


def _named(part: Specification) -> str:
    return f"`{part.target}` ({part.unit})" if part.unit else f"`{part.target}`"


def _of_part(model: Specification, one: Judged, state: State) -> str:
    evaluation, part = one.evaluation, one.part
    title = f": {part.target}" if len(model.parts) > 1 else ""
    means = scorestable(evaluation, CONDITION_MEANS)
    said = [
        f"## Against the simplest baselines{title}\n\nWhole {part.groups} were held out, "
        f"{part.splits} folds, {part.repeats} repeats. In brackets: 95 % interval from drawing "
        f"{part.groups}.{_picked(one)}\n\n{scorestable(evaluation, ALL_ROWS)}"
    ]
    if evaluation.training.has_replicates:
        said.append(f"Means of conditions:\n\n{means}")
    if part.ranges_of:
        said.append(
            f"A low, middle and high range of {part.ranges_of} left out in turn, batches on both "
            f"sides:\n\n{scorestable(evaluation, left_out_range(part))}"
        )
        if evaluation.training.has_replicates:
            far = f"{left_out_range(part)}, {CONDITION_MEANS}"
            said.append(f"The same, means of conditions:\n\n{scorestable(evaluation, far)}")
    if not part.classes:
        said.append(f"## Slices{title}\n\n" + _slices(one))
        said.append(f"## What the standard deviation holds{title}\n\n" + _deviation(part, state))
    return "\n\n".join(said)


def _picked(one: Judged) -> str:
    names = one.part.candidates(len(one.evaluation.training))
    tried = [name for name in names if name != one.algorithm]
    if not tried:
        return f" What answers is the {one.algorithm}."
    slow = [name for name in tried if name in one.part.too_slow]
    return (
        f" What answers is the **{one.algorithm}**: the least {one.part.loss} of those whose uncertainty "
        f"is honest. Picked on these same splits, beside {', '.join(tried)}."
        + (f" Too slow to be picked: {', '.join(slow)}." if slow else "")
    )


def _deviation(part: Specification, state: State) -> str:
    if kind(state) == "stack":
        return (
            "Errors about cases held out inside the training data, and how they go together: what is known "
            "of a cell narrows the rest. Scaled so that 90 % intervals held 90 % of them."
        )
    if kind(state) != "process":
        return (
            f"Errors on {part.groups} held out inside the training data, larger where they were "
            f"larger, scaled by {float(state['calibration']):.2f} so that 90 % intervals held 90 % of them."
        )
    unit = "of the logarithm" if part.logarithmic else part.unit or "1"
    said = table(
        ("rows differ", f"standard deviation, {unit}"),
        [(name, f"{value:.3g}") for name, value in parts_of_variance(state)],
    ) + (
        f"\n\nIntervals were scaled by {float(state['calibration']):.2f} so that "
        f"they cover 90 % of {part.groups} held out inside the training data. A straight line has "
        f"{100 * float(state['line_share']):.0f} % of the say in the value, the curve the rest."
    )
    if part.trend:
        said += (
            " Where an input lies in a hole of the data, or beyond their end, a power law in "
            f"{', '.join(part.trend)} and a process for what it leaves take over: from 5 % of the "
            "input's range without data, alone from 25 %."
        )
    return said


def _not_shown(model: Specification, data: TrainingSet) -> str:
    if data.is_synthetic:
        return "Anything about real electrodes."
    one_source = f"{model.things.capitalize()} of another source: one stands behind the data."
    return model.source.not_shown or one_source


def scorestable(evaluation: Evaluation, part: str) -> str:
    """One line per candidate."""
    names = [one.metric for one in evaluation.scores if one.slice == part]
    metrics = list(dict.fromkeys(names))
    rows = []
    for candidate in evaluation.held_out:
        cells = [_shown(evaluation.score(candidate, metric, part)) for metric in metrics]
        rows.append((candidate, *cells))
    return table(("candidate", *metrics), rows)


def _shown(score: Score) -> str:
    if score.low is None or score.high is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def _slices(judged: Judged) -> str:
    evaluation = judged.evaluation
    parts = dict.fromkeys(
        one.slice
        for one in evaluation.scores
        if one.slice not in {ALL_ROWS, CONDITION_MEANS} and "left out" not in one.slice
    )
    rows = []
    for part in parts:
        rmse = evaluation.score(judged.algorithm, "rmse", part)
        coverage = evaluation.score(judged.algorithm, "coverage_90", part)
        rows.append((part, str(rmse.n), f"{rmse.value:.3f}", f"{coverage.value:.3f}"))
    return table(("slice", "n", "rmse", "coverage_90"), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
