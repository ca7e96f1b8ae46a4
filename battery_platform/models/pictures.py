"""Pictures of a model version: what was measured against what was predicted of held-out batches."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from battery_platform.models.evaluation import ALL_ROWS, GAUSSIAN_PROCESS, Evaluation
from battery_platform.models.specification import Specification

Z90 = 1.6448536269514722


def parity_figure(model: Specification, evaluation: Evaluation) -> Figure:
    """Parity with 90 % intervals, and how often intervals of each width hold the measurement."""
    data, held = evaluation.training, evaluation.held_out[GAUSSIAN_PROCESS]
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    parity, calibration = figure.subplots(1, 2, width_ratios=[1.3, 1])
    mean, deviation = held.mean[0], held.deviation[0]
    parity.errorbar(
        data.target,
        mean,
        yerr=Z90 * deviation,
        fmt="o",
        ms=2.5,
        lw=0.3,
        color="#1f5f8b",
        ecolor="#9fc2da",
    )
    ends = [min(data.target.min(), mean.min()), max(data.target.max(), mean.max())]
    parity.plot(ends, ends, color="black", lw=0.8)
    parity.set_xlabel(f"measured {model.target} ({model.unit})")
    parity.set_ylabel("predicted, batch held out")
    r2, rmse = (evaluation.score(GAUSSIAN_PROCESS, name).value for name in ("r2", "rmse"))
    parity.set_title(f"{model.name}: R² {r2:.3f}, RMSE {rmse:.2f} {model.unit}", fontsize=10)
    _calibration(calibration, evaluation)
    if data.is_synthetic:
        figure.suptitle("SYNTHETIC training data", color="#b00020", fontsize=12)
    return figure


def _calibration(axes: object, evaluation: Evaluation) -> None:
    from matplotlib.axes import Axes
    from scipy.special import ndtri

    assert isinstance(axes, Axes)
    data, held = evaluation.training, evaluation.held_out[GAUSSIAN_PROCESS]
    ratio = np.abs(held.mean - data.target) / held.deviation
    levels = np.linspace(0.02, 0.98, 49)
    covered = [(ratio <= ndtri(0.5 + level / 2)).mean() for level in levels]
    axes.plot([0, 1], [0, 1], color="black", lw=0.8)
    axes.plot(levels, covered, color="#1f5f8b")
    axes.set_xlabel("nominal coverage of the interval")
    axes.set_ylabel("share of held-out electrodes inside")
    at_90 = evaluation.score(GAUSSIAN_PROCESS, "coverage_90", ALL_ROWS).value
    axes.set_title(f"90 % intervals cover {100 * at_90:.1f} %", fontsize=10)
