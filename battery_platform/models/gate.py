"""The gate: decides from recorded scores which version may become champion, and says why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from battery_platform.models.evaluation import Evaluation, loss_difference
from battery_platform.models.licences import go_together
from battery_platform.models.specification import Specification

COVERAGE = (0.85, 0.95)
CALIBRATION_ERROR = 0.1
"""Largest mean difference allowed between stated probabilities of classes and observed frequencies."""
SHOWN = {"rmse": "RMSE", "log_loss": "log loss of the classes"}
PAR = 0.01
"""A difference up to this share of a baseline's loss may count as none."""
SAME = 1e-4
"""Relative difference up to which two losses count as equal."""


@dataclass(frozen=True)
class Standing:
    """What the gate needs to know about the current champion."""

    version: int
    is_synthetic: bool
    data_hash: str
    loss: float


@dataclass(frozen=True)
class Decision:
    """Whether a version becomes champion, and the finding of each rule."""

    promoted: bool
    findings: Sequence[tuple[str, bool, str]]

    @property
    def reason(self) -> str:
        findings = [finding for _, passed, finding in self.findings if passed == self.promoted]
        return "; ".join(findings)


@dataclass(frozen=True, eq=False)
class Judged:
    """One quantity of a model: its evaluation, the chosen algorithm and the gate's decision."""

    quantity: Specification
    evaluation: Evaluation
    algorithm: str
    decision: Decision


def of_all(judged: Sequence[Judged]) -> Decision:
    """The decision on a whole model, which is promoted only if all its quantities are."""
    if len(judged) == 1:
        return judged[0].decision
    findings = [
        (f"{of_one.quantity.target}: {rule}", passed, f"{of_one.quantity.target}: {finding}")
        for of_one in judged
        for rule, passed, finding in of_one.decision.findings
    ]
    return Decision(all(passed for _, passed, _ in findings), findings)


def pick(evaluation: Evaluation) -> str:
    """The algorithm with the lowest loss, among those with calibrated uncertainty if there are any."""
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
    """Promote only what is no worse than any baseline, calibrated, and no worse than the champion."""
    findings = [
        _beside_baseline(evaluation, algorithm, name) for name in evaluation.model.baselines
    ]
    findings.append(_calibrated(evaluation, algorithm))
    together, reason = go_together(evaluation.training.licence.split(", "))
    findings.append(("licences go together", together, reason))
    findings += _beside_champion(_loss(evaluation, algorithm), evaluation, champion, data_hash)
    return Decision(all(passed for _, passed, _ in findings), findings)


def _loss(evaluation: Evaluation, name: str) -> float:
    return evaluation.score(name, evaluation.model.loss).value


def _calibrated(evaluation: Evaluation, name: str) -> tuple[str, bool, str]:
    if evaluation.model.classes:
        error = evaluation.score(name, "calibration_error").value
        honest = error <= CALIBRATION_ERROR
        finding = (
            f"how sure it is and how often it is right differ by {error:.3f} "
            f"({'at most' if honest else 'more than'} {CALIBRATION_ERROR:g})"
        )
        return "calibrated", honest, finding
    coverage = evaluation.score(name, "coverage_90").value
    honest = COVERAGE[0] <= coverage <= COVERAGE[1]
    finding = (
        f"90 % intervals cover {100 * coverage:.1f} % "
        f"({'within' if honest else 'outside'} {COVERAGE[0]:.0%} to {COVERAGE[1]:.0%})"
    )
    return "calibrated", honest, finding


def _beside_baseline(evaluation: Evaluation, ours: str, name: str) -> tuple[str, bool, str]:
    """Pass if better than the baseline, or statistically on a par with it unless it is the mean."""
    own, theirs = (_loss(evaluation, candidate) for candidate in (ours, name))
    gap, low, high = loss_difference(evaluation, ours, name)
    on_a_par = name != "mean" and low <= 0 <= high and gap <= PAR * theirs
    how = "below" if gap < 0 else "on a par with" if on_a_par else "not below"
    finding = f"{SHOWN[evaluation.model.loss]} {own:.3f} is {how} {theirs:.3f} of {name}"
    if gap >= 0:
        finding += f" (difference {gap:.3f}, 95 % interval {low:.3f} to {high:.3f})"
    if evaluation.model.classes:
        hits = [evaluation.score(candidate, "accuracy").value for candidate in (ours, name)]
        finding += f" (right in {hits[0]:.1%} and {hits[1]:.1%})"
    return f"no worse than {name}", gap < 0 or on_a_par, finding


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
        finding = f"champion {champion.version} was not made by this platform: nothing says how good it is"
        return [("champion is known", False, finding)]
    synthetic = evaluation.training.is_synthetic
    if synthetic and not champion.is_synthetic:
        finding = f"it was trained on synthetic data and champion {champion.version} on real data"
        return [("real data stay", False, finding)]
    if champion.is_synthetic and not synthetic:
        finding = (
            f"champion {champion.version} was trained on synthetic data, this one on real data"
        )
        return [("real data come first", True, finding)]
    if (data_hash or evaluation.training.digest) == champion.data_hash:
        # at equal loss the newer code wins: it may fix what no metric shows
        no_worse = loss <= champion.loss * (1 + SAME)
        finding = (
            f"{shown} {loss:.4f} is {'no higher than' if no_worse else 'above'} {champion.loss:.4f} of "
            f"champion {champion.version} on the same rows and splits"
        )
        return [("no worse than the champion", no_worse, finding)]
    fits = loss <= 1.1 * champion.loss
    finding = (
        f"on changed data its {shown} {loss:.3f} is "
        f"{'in line with' if fits else 'more than 10 % above'} "
        f"{champion.loss:.3f} of champion {champion.version}"
    )
    return [("no step back", fits, finding)]
