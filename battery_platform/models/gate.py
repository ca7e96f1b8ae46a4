"""The gate: which version may be champion, decided from recorded numbers and told in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from battery_platform.models.baselines import BASELINES
from battery_platform.models.evaluation import (
    GAUSSIAN_PROCESS,
    Evaluation,
    rmse_difference,
)
from battery_platform.models.licences import go_together
from battery_platform.models.specification import Specification

COVERAGE = (0.85, 0.95)
PAR = 0.01
"""Share of a baseline's RMSE within which a difference may count as none."""
SAME = 1e-4
"""Rounding apart, the same RMSE."""


@dataclass(frozen=True)
class Standing:
    """The version that is champion now, as far as the gate needs to know it."""

    version: int
    is_synthetic: bool
    data_hash: str
    rmse: float


@dataclass(frozen=True)
class Decision:
    """Whether a version becomes champion, with each rule's finding."""

    promoted: bool
    findings: Sequence[tuple[str, bool, str]]

    @property
    def reason(self) -> str:
        told = [said for _, passed, said in self.findings if passed == self.promoted]
        return "; ".join(told)


@dataclass(frozen=True, eq=False)
class Judged:
    """One quantity of a model: what it learnt from, how good it is, what the gate says."""

    part: Specification
    evaluation: Evaluation
    decision: Decision


def decide(
    evaluation: Evaluation, champion: Standing | None, data_hash: str | None = None
) -> Decision:
    """No worse than any baseline, honest about its uncertainty, and no step back."""
    rmse = evaluation.score(GAUSSIAN_PROCESS, "rmse").value
    findings = [_beside_baseline(evaluation, name) for name in BASELINES]
    if any(one.metric == "log_loss" for one in evaluation.scores):
        findings += [_tells_classes(evaluation, name) for name in BASELINES]
    coverage = evaluation.score(GAUSSIAN_PROCESS, "coverage_90").value
    calibrated = COVERAGE[0] <= coverage <= COVERAGE[1]
    findings.append(
        (
            "calibrated",
            calibrated,
            f"90 % intervals cover {100 * coverage:.1f} % "
            f"({'within' if calibrated else 'outside'} {COVERAGE[0]:.0%} to {COVERAGE[1]:.0%})",
        )
    )
    together, said = go_together(evaluation.training.licence.split(", "))
    findings.append(("licences go together", together, said))
    findings += _beside_champion(rmse, evaluation, champion, data_hash)
    return Decision(all(passed for _, passed, _ in findings), findings)


def _tells_classes(evaluation: Evaluation, name: str) -> tuple[str, bool, str]:
    """Classes are told no worse: by the loss that also punishes being too sure."""
    ours, theirs = (evaluation.score(one, "log_loss").value for one in (GAUSSIAN_PROCESS, name))
    hits = tuple(evaluation.score(one, "accuracy").value for one in (GAUSSIAN_PROCESS, name))
    said = (
        f"log loss of the classes {ours:.3f} beside {theirs:.3f} of {name} "
        f"(right in {hits[0]:.1%} and {hits[1]:.1%})"
    )
    return f"tells classes no worse than {name}", ours <= theirs * (1 + PAR), said


def _beside_baseline(evaluation: Evaluation, name: str) -> tuple[str, bool, str]:
    """Better; or, beside any but the mean, on a par: no difference that batches could show."""
    ours, theirs = (evaluation.score(one, "rmse").value for one in (GAUSSIAN_PROCESS, name))
    gap, low, high = rmse_difference(evaluation, GAUSSIAN_PROCESS, name)
    on_a_par = name != "mean" and low <= 0 <= high and gap <= PAR * theirs
    how = "below" if gap < 0 else "on a par with" if on_a_par else "not below"
    said = f"RMSE {ours:.3f} is {how} {theirs:.3f} of {name}"
    if gap >= 0:
        said += f" (difference {gap:.3f}, 95 % interval {low:.3f} to {high:.3f})"
    return f"no worse than {name}", gap < 0 or on_a_par, said


def _beside_champion(
    rmse: float,
    evaluation: Evaluation,
    champion: Standing | None,
    data_hash: str | None = None,
) -> list[tuple[str, bool, str]]:
    if champion is None:
        return [("no step back", True, "no champion stands yet")]
    if math.isnan(champion.rmse):
        said = f"champion {champion.version} was not made by this platform: nothing says how good it is"
        return [("champion is known", False, said)]
    synthetic = evaluation.training.is_synthetic
    if synthetic and not champion.is_synthetic:
        said = f"it was trained on synthetic data and champion {champion.version} on real data"
        return [("real data stay", False, said)]
    if champion.is_synthetic and not synthetic:
        said = f"champion {champion.version} was trained on synthetic data, this one on real data"
        return [("real data come first", True, said)]
    if (data_hash or evaluation.training.digest) == champion.data_hash:
        # on a par the newer code wins: it may mend what no metric shows
        no_worse = rmse <= champion.rmse * (1 + SAME)
        said = (
            f"RMSE {rmse:.4f} is {'no higher than' if no_worse else 'above'} {champion.rmse:.4f} of "
            f"champion {champion.version} on the same rows and splits"
        )
        return [("no worse than the champion", no_worse, said)]
    fits = rmse <= 1.1 * champion.rmse
    said = (
        f"on changed data its RMSE {rmse:.3f} is {'in line with' if fits else 'more than 10 % above'} "
        f"{champion.rmse:.3f} of champion {champion.version}"
    )
    return [("no step back", fits, said)]
