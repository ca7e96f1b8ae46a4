"""The model card in Markdown: what a consumer must know before trusting a prediction."""

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
    """The card of one version; `further` sections precede the gate's findings."""
    decision = of_all(judged)
    data = judged[0].evaluation.training
    head = [f"# {model.name}: {model.title}"]
    if data.is_synthetic:
        head.append(model.source.label)
    return "\n\n".join(
        [
            *head,
            f"Predicts {', '.join(_named(quantity) for quantity in model.quantities)}. {model.use}",
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
            *(
                _quantity_sections(model, of_quantity, state)
                for of_quantity, state in zip(judged, states, strict=True)
            ),
            *further,
            "## The gate\n\n"
            + table(
                ("rule", "passed", "finding"),
                [
                    (rule, "yes" if ok else "**no**", finding)
                    for rule, ok, finding in decision.findings
                ],
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


def _named(quantity: Specification) -> str:
    return f"`{quantity.target}` ({quantity.unit})" if quantity.unit else f"`{quantity.target}`"


def _quantity_sections(model: Specification, judged: Judged, state: State) -> str:
    evaluation, quantity = judged.evaluation, judged.quantity
    title = f": {quantity.target}" if len(model.quantities) > 1 else ""
    means = score_table(evaluation, CONDITION_MEANS)
    sections = [
        f"## Against the simplest baselines{title}\n\nWhole {quantity.groups} were held out, "
        f"{quantity.splits} folds, {quantity.repeats} repeats. In brackets: 95 % interval from drawing "
        f"{quantity.groups}.{_picked(judged)}\n\n{score_table(evaluation, ALL_ROWS)}"
    ]
    if evaluation.training.has_replicates:
        sections.append(f"Means of conditions:\n\n{means}")
    if quantity.ranges_of:
        sections.append(
            f"A low, middle and high range of {quantity.ranges_of} left out in turn, batches on both "
            f"sides:\n\n{score_table(evaluation, left_out_range(quantity))}"
        )
        if evaluation.training.has_replicates:
            far = f"{left_out_range(quantity)}, {CONDITION_MEANS}"
            sections.append(f"The same, means of conditions:\n\n{score_table(evaluation, far)}")
    if not quantity.classes:
        sections.append(f"## Slices{title}\n\n" + _slices(judged))
        sections.append(
            f"## What the standard deviation holds{title}\n\n" + _deviation(quantity, state)
        )
    return "\n\n".join(sections)


def _picked(judged: Judged) -> str:
    names = judged.quantity.candidates(len(judged.evaluation.training))
    tried = [name for name in names if name != judged.algorithm]
    if not tried:
        return f" What answers is the {judged.algorithm}."
    slow = [name for name in tried if name in judged.quantity.too_slow]
    return (
        f" What answers is the **{judged.algorithm}**: the least {judged.quantity.loss} of those whose uncertainty "
        f"is honest. Picked on these same splits, beside {', '.join(tried)}."
        + (f" Too slow to be picked: {', '.join(slow)}." if slow else "")
    )


def _deviation(quantity: Specification, state: State) -> str:
    if kind(state) == "stack":
        return (
            "Errors about cases held out inside the training data, and how they go together: what is known "
            "of a cell narrows the rest. Scaled so that 90 % intervals held 90 % of them."
        )
    if kind(state) != "process":
        return (
            f"Errors on {quantity.groups} held out inside the training data, larger where they were "
            f"larger, scaled by {float(state['calibration']):.2f} so that 90 % intervals held 90 % of them."
        )
    unit = "of the logarithm" if quantity.logarithmic else quantity.unit or "1"
    text = table(
        ("rows differ", f"standard deviation, {unit}"),
        [(name, f"{value:.3g}") for name, value in parts_of_variance(state)],
    ) + (
        f"\n\nIntervals were scaled by {float(state['calibration']):.2f} so that "
        f"they cover 90 % of {quantity.groups} held out inside the training data. A straight line has "
        f"{100 * float(state['line_share']):.0f} % of the say in the value, the curve the rest."
    )
    if quantity.trend:
        text += (
            " Where an input lies in a hole of the data, or beyond their end, a power law in "
            f"{', '.join(quantity.trend)} and a process for what it leaves take over: from 5 % of the "
            "input's range without data, alone from 25 %."
        )
    return text


def _not_shown(model: Specification, data: TrainingSet) -> str:
    if data.is_synthetic:
        return "Anything about real electrodes."
    one_source = f"{model.things.capitalize()} of another source: one stands behind the data."
    return model.source.not_shown or one_source


def score_table(evaluation: Evaluation, slice_name: str) -> str:
    """A table with one row per candidate and one column per metric."""
    names = [score.metric for score in evaluation.scores if score.slice == slice_name]
    metrics = list(dict.fromkeys(names))
    rows = []
    for candidate in evaluation.held_out:
        cells = [_shown(evaluation.score(candidate, metric, slice_name)) for metric in metrics]
        rows.append((candidate, *cells))
    return table(("candidate", *metrics), rows)


def _shown(score: Score) -> str:
    if score.low is None or score.high is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def _slices(judged: Judged) -> str:
    evaluation = judged.evaluation
    slice_names = dict.fromkeys(
        score.slice
        for score in evaluation.scores
        if score.slice not in {ALL_ROWS, CONDITION_MEANS} and "left out" not in score.slice
    )
    rows = []
    for slice_name in slice_names:
        rmse = evaluation.score(judged.algorithm, "rmse", slice_name)
        coverage = evaluation.score(judged.algorithm, "coverage_90", slice_name)
        rows.append((slice_name, str(rmse.n), f"{rmse.value:.3f}", f"{coverage.value:.3f}"))
    return table(("slice", "n", "rmse", "coverage_90"), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
