"""The gate: which version may be champion, decided from recorded numbers and told in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from battery_platform.models.evaluation import Evaluation, loss_difference
from battery_platform.models.licences import go_together
from battery_platform.models.specification import Specification

COVERAGE = (0.85, 0.95)
CALIBRATION_ERROR = 0.1
"""Mean difference between how sure a model of classes was and how often it was right."""
SHOWN = {"rmse": "RMSE", "log_loss": "log loss of the classes"}
PAR = 0.01
"""Share of a baseline's loss within which a difference may count as none."""
SAME = 1e-4
"""Rounding apart, the same loss."""


@dataclass(frozen=True)
class Standing:
    """The version that is champion now, as far as the gate needs to know it."""

    version: int
    is_synthetic: bool
    data_hash: str
    loss: float


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
    algorithm: str
    decision: Decision


def of_all(judged: Sequence[Judged]) -> Decision:
    """A model is promoted if each of its quantities is."""
    if len(judged) == 1:
        return judged[0].decision
    findings = [
        (f"{one.part.target}: {rule}", passed, f"{one.part.target}: {said}")
        for one in judged
        for rule, passed, said in one.decision.findings
    ]
    return Decision(all(passed for _, passed, _ in findings), findings)


def pick(evaluation: Evaluation) -> str:
    """The algorithm with the least loss among those whose uncertainty is honest, if any is."""
    model = evaluation.model
    tried = model.candidates(len(evaluation.training))
    names = [name for name in tried if name not in model.too_slow]
    honest = [name for name in names if _calibrated(evaluation, name)[1]]
    return min(honest or names, key=lambda name: _loss(evaluation, name))


def decide(
    evaluation: Evaluation,
    algorithm: str,
    champion: Standing | None,
    data_hash: str | None = None,
) -> Decision:
    """No worse than any baseline, honest about its uncertainty, and no step back."""
    findings = [
        _beside_baseline(evaluation, algorithm, name) for name in evaluation.model.baselines
    ]
    findings.append(_calibrated(evaluation, algorithm))
    together, said = go_together(evaluation.training.licence.split(", "))
    findings.append(("licences go together", together, said))
    findings += _beside_champion(_loss(evaluation, algorithm), evaluation, champion, data_hash)
    return Decision(all(passed for _, passed, _ in findings), findings)


def _loss(evaluation: Evaluation, name: str) -> float:
    return evaluation.score(name, evaluation.model.loss).value


def _calibrated(evaluation: Evaluation, name: str) -> tuple[str, bool, str]:
    if evaluation.model.classes:
        error = evaluation.score(name, "calibration_error").value
        honest = error <= CALIBRATION_ERROR
        said = (
            f"how sure it is and how often it is right differ by {error:.3f} "
            f"({'at most' if honest else 'more than'} {CALIBRATION_ERROR:g})"
        )
        return "calibrated", honest, said
    coverage = evaluation.score(name, "coverage_90").value
    honest = COVERAGE[0] <= coverage <= COVERAGE[1]
    said = (
        f"90 % intervals cover {100 * coverage:.1f} % "
        f"({'within' if honest else 'outside'} {COVERAGE[0]:.0%} to {COVERAGE[1]:.0%})"
    )
    return "calibrated", honest, said


def _beside_baseline(evaluation: Evaluation, ours: str, name: str) -> tuple[str, bool, str]:
    """Better; or, beside any but the mean, on a par: no difference that batches could show."""
    own, theirs = (_loss(evaluation, one) for one in (ours, name))
    gap, low, high = loss_difference(evaluation, ours, name)
    on_a_par = name != "mean" and low <= 0 <= high and gap <= PAR * theirs
    how = "below" if gap < 0 else "on a par with" if on_a_par else "not below"
    said = f"{SHOWN[evaluation.model.loss]} {own:.3f} is {how} {theirs:.3f} of {name}"
    if gap >= 0:
        said += f" (difference {gap:.3f}, 95 % interval {low:.3f} to {high:.3f})"
    if evaluation.model.classes:
        hits = [evaluation.score(one, "accuracy").value for one in (ours, name)]
        said += f" (right in {hits[0]:.1%} and {hits[1]:.1%})"
    return f"no worse than {name}", gap < 0 or on_a_par, said


def _beside_champion(
    loss: float,
    evaluation: Evaluation,
    champion: Standing | None,
    data_hash: str | None = None,
) -> list[tuple[str, bool, str]]:
    shown = SHOWN[evaluation.model.loss]
    if champion is None:
        return [("no step back", True, "no champion stands yet")]
    if math.isnan(champion.loss):
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
        no_worse = loss <= champion.loss * (1 + SAME)
        said = (
            f"{shown} {loss:.4f} is {'no higher than' if no_worse else 'above'} {champion.loss:.4f} of "
            f"champion {champion.version} on the same rows and splits"
        )
        return [("no worse than the champion", no_worse, said)]
    fits = loss <= 1.1 * champion.loss
    said = (
        f"on changed data its {shown} {loss:.3f} is "
        f"{'in line with' if fits else 'more than 10 % above'} "
        f"{champion.loss:.3f} of champion {champion.version}"
    )
    return [("no step back", fits, said)]
