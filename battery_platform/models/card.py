"""The model card: what a consumer must know before trusting a number, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from battery_platform.models.evaluation import ALL_ROWS, CONDITION_MEANS, Evaluation, Score
from battery_platform.models.gate import Decision
from battery_platform.models.gaussian_process import State, parts_of_variance
from battery_platform.models.specification import Specification

SYNTHETIC = (
    "> **SYNTHETIC.** This version was trained on the simulated plant's batches. It shows that the "
    "chain works and says nothing about real electrodes."
)


def card(
    model: Specification,
    evaluation: Evaluation,
    state: State,
    decision: Decision,
    hashes: dict[str, str],
    because: str,
) -> str:
    """Write the card of one version."""
    data = evaluation.training
    head = [f"# {model.name}: {model.title}"]
    if data.is_synthetic:
        head.append(SYNTHETIC)
    return "\n\n".join(
        [
            *head,
            f"Predicts `{model.target}` ({model.unit}). {model.use}",
            "## Data\n\n"
            + _table(
                ("what", "is"),
                [
                    ("electrodes", f"{len(data)} of {data.n_batches} slurry batches"),
                    ("sources", ", ".join(data.sources)),
                    ("synthetic", "yes" if data.is_synthetic else "no"),
                    ("licence", data.licence),
                    ("active material", data.active_material or "not stated"),
                    ("loading counts", data.loading_basis or "not stated"),
                    ("left out", data.said_left_out()),
                    ("snapshot of the lake", str(data.snapshot)),
                    *((f"{name} hash", value) for name, value in hashes.items()),
                    ("trained because", because),
                ],
            ),
            "## Inputs\n\n"
            + _table(
                ("column", "from", "to"),
                [
                    (f"`{name}`", f"{low:g}", f"{high:g}")
                    for name, low, high in zip(
                        model.inputs, state["input_low"], state["input_high"], strict=True
                    )
                ],
            )
            + "\n\nOutside, the answer has `in_domain` false and a note. `distance` is the distance "
            "to the nearest training recipe in standardised inputs; above "
            f"{float(state['domain_distance']):.2f} a recipe counts as unknown even inside the ranges.",
            f"## Against the simplest baselines\n\nEvery batch was held out whole, {model.splits} "
            f"folds, {model.repeats} repeats. In brackets: 95 % interval from drawing batches.\n\n"
            + scores_table(evaluation, ALL_ROWS)
            + "\n\nMeans of conditions:\n\n"
            + scores_table(evaluation, CONDITION_MEANS),
            "## Slices\n\n" + _slices(evaluation),
            "## What the standard deviation holds\n\n"
            + _table(
                ("electrodes differ", f"standard deviation, {model.unit}"),
                [(name, f"{value:.2f}") for name, value in parts_of_variance(state)],
            )
            + f"\n\nIntervals were scaled by {float(state['calibration']):.2f} so that "
            "they cover 90 % of batches held out inside the training data. A straight line has "
            f"{100 * float(state['line_share']):.0f} % of the say in the value, the curve the rest.",
            "## The gate\n\n"
            + _table(
                ("rule", "passed", "finding"),
                [(rule, "yes" if ok else "**no**", said) for rule, ok, said in decision.findings],
            ),
            "## Not shown\n\nReplication: the source prints no figure to compare with. One coater "
            "and one dryer stand behind the data; another line needs data of its own."
            if not data.is_synthetic
            else "## Not shown\n\nAnything about real electrodes.",
        ]
    )


def scores_table(evaluation: Evaluation, part: str) -> str:
    """One line per candidate."""
    names = [one.metric for one in evaluation.scores if one.slice == part]
    metrics = list(dict.fromkeys(names))
    rows = []
    for candidate in evaluation.held_out:
        cells = [_shown(evaluation.score(candidate, metric, part)) for metric in metrics]
        rows.append((candidate, *cells))
    return _table(("candidate", *metrics), rows)


def _shown(score: Score) -> str:
    if score.low is None or score.high is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def _slices(evaluation: Evaluation) -> str:
    candidate = next(iter(evaluation.held_out))
    parts = dict.fromkeys(
        one.slice for one in evaluation.scores if one.slice not in {ALL_ROWS, CONDITION_MEANS}
    )
    rows = []
    for part in parts:
        rmse = evaluation.score(candidate, "rmse", part)
        coverage = evaluation.score(candidate, "coverage_90", part)
        rows.append((part, str(rmse.n), f"{rmse.value:.3f}", f"{coverage.value:.3f}"))
    return _table(("slice", "n", "rmse", "coverage_90"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
