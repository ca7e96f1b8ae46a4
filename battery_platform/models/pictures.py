"""Figures of a model version: measured values against predictions of held-out batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from battery_platform.models.gate import Judged
from battery_platform.models.specification import SLURRY

Z90 = 1.6448536269514722
BLUE, PALE = "#1f5f8b", "#9fc2da"
DARK = ("#1f5f8b", "#9a7400", "#a3301c")
PANELS = 4
Predict = Callable[[pd.DataFrame], pd.DataFrame]
DRAWN = 1500
"""Most points drawn; of more rows a random sample is shown."""


def judged_figure(judged: Judged) -> Figure:
    """Parity and residuals of a quantity, or its confusion matrix; and how well uncertainty is calibrated."""
    figure = Figure(figsize=(13.0, 4.2), layout="constrained")
    if judged.quantity.classes:
        confusion, reliability = figure.subplots(1, 2)
        _confusion(confusion, judged)
        _reliability(reliability, judged)
    else:
        parity, residuals, calibration = figure.subplots(1, 3, width_ratios=[1.2, 1, 1])
        _parity(parity, residuals, judged)
        _calibration(calibration, judged)
    if judged.evaluation.training.is_synthetic:
        figure.suptitle("SYNTHETIC training data", color="#b00020", fontsize=12)
    return figure


def map_figure(judged: Judged, predict: Predict) -> Figure:
    """Predicted class by solid content and viscosity, one panel per composition, as the review draws it.

    Other inputs are held at their median; measured points are drawn on top.
    """
    model, data = judged.quantity, judged.evaluation.training
    active, solids, viscosity = (data.inputs[:, model.inputs.index(name)] for name in SLURRY)
    levels, count = np.unique(active, return_counts=True)
    shown = np.sort(levels[np.argsort(-count, kind="stable")[:PANELS]])
    true = np.digitize(data.target, model.bounds)
    across, up = (
        np.linspace(solids.min(), solids.max(), 80),
        np.geomspace(viscosity.min(), viscosity.max(), 80),
    )
    figure = Figure(figsize=(3.4 * len(shown) + 0.6, 3.8), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(shown), sharey=True))
    colours = np.array([[0.77, 0.87, 0.95], [0.98, 0.91, 0.68], [0.95, 0.72, 0.66]])
    for axes, level in zip(panels, shown, strict=True):
        x, y = (grid.ravel() for grid in np.meshgrid(across, up))
        at = np.tile(np.median(data.inputs, axis=0), (len(x), 1))
        for name, values in zip(SLURRY, (np.full(len(x), level), x, y), strict=True):
            at[:, model.inputs.index(name)] = values
        answers = predict(pd.DataFrame(at, columns=list(model.inputs)))
        shares = answers[[model.class_outputs[label] for label in model.classes]].to_numpy()
        # pale where no class is likely
        surest = shares.max(axis=1, keepdims=True)
        drawn = 1.0 - (1.0 - colours[shares.argmax(axis=1)]) * surest
        axes.pcolormesh(across, up, drawn.reshape(80, 80, 3), rasterized=True)
        for number, (name, mark) in enumerate(zip(model.classes, "vo^", strict=False)):
            own = (active == level) & (true == number)
            axes.plot(solids[own], viscosity[own], mark, color=DARK[number], ms=4, label=name)
        axes.set_yscale("log")
        axes.set_title(f"{level:g} % active material", fontsize=9)
        axes.set_xlabel("solid content, %")
    panels[0].set_ylabel("viscosity, Pa·s")
    panels[-1].legend(title="measured", fontsize=8)
    rest = [name for name in model.inputs if name not in SLURRY]
    held = f"; {', '.join(rest)} at the median" if rest else ""
    mark = "SYNTHETIC training data. " if data.is_synthetic else ""
    bounds = " and ".join(f"{bound:g}" for bound in model.bounds)
    figure.suptitle(f"{mark}{model.target}: classes cut at {bounds} {model.unit}{held}", fontsize=9)
    return figure


def _parity(parity: Axes, residuals: Axes, judged: Judged) -> None:
    model, data = judged.quantity, judged.evaluation.training
    held = judged.evaluation.held_out[judged.algorithm]
    some = np.random.default_rng(0).permutation(len(data))[:DRAWN]
    true, mean, deviation = data.target[some], held.mean[0, some], held.deviation[0, some]
    parity.errorbar(
        true, mean, yerr=Z90 * deviation, fmt="o", ms=2.5, lw=0.3, color=BLUE, ecolor=PALE
    )
    ends = [min(true.min(), mean.min()), max(true.max(), mean.max())]
    parity.plot(ends, ends, color="black", lw=0.8)
    unit = f" ({model.unit})" if model.unit else ""
    parity.set_xlabel(f"true {model.target}{unit}")
    parity.set_ylabel("predicted, held out")
    r2, rmse = (judged.evaluation.score(judged.algorithm, name).value for name in ("r2", "rmse"))
    parity.set_title(
        f"{model.name}, {judged.algorithm}: R\u00b2 {r2:.4f}, RMSE {rmse:.3g} {model.unit}",
        fontsize=9,
    )
    residuals.plot(true, mean - true, "o", ms=2.5, color=BLUE)
    residuals.axhline(0.0, color="black", lw=0.8)
    residuals.set_xlabel(f"true {model.target}{unit}")
    residuals.set_ylabel("predicted less true")


def _calibration(axes: Axes, judged: Judged) -> None:
    from scipy.special import ndtri

    data, held = judged.evaluation.training, judged.evaluation.held_out[judged.algorithm]
    ratio = np.abs(held.mean - data.target) / held.deviation
    levels = np.linspace(0.02, 0.98, 49)
    covered = [(ratio <= ndtri(0.5 + level / 2)).mean() for level in levels]
    axes.plot([0, 1], [0, 1], color="black", lw=0.8)
    axes.plot(levels, covered, color=BLUE)
    axes.set_xlabel("nominal coverage of the interval")
    axes.set_ylabel(f"share of held-out {judged.quantity.things} inside")
    at_90 = judged.evaluation.score(judged.algorithm, "coverage_90").value
    axes.set_title(f"90 % intervals cover {100 * at_90:.1f} %", fontsize=10)


def _confusion(axes: Axes, judged: Judged) -> None:
    """Share of each true class that was predicted as each class."""
    model, held = judged.quantity, judged.evaluation.held_out[judged.algorithm]
    true = np.digitize(judged.evaluation.training.target, model.bounds)
    predicted = held.chances.argmax(axis=2)
    counts = np.zeros((len(model.classes), len(model.classes)))
    for repeat in predicted:
        np.add.at(counts, (true, repeat), 1.0)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(*shares.shape):
        dark = shares[row, column] > 0.6
        share = f"{100 * shares[row, column]:.1f} %"
        axes.text(column, row, share, ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(len(model.classes)), model.classes)
    axes.set_yticks(range(len(model.classes)), model.classes)
    axes.set_xlabel("predicted class, held out")
    axes.set_ylabel(f"true class of {model.target}")
    hits = judged.evaluation.score(judged.algorithm, "accuracy").value
    axes.set_title(f"{model.name}, {judged.algorithm}: right in {hits:.1%}", fontsize=10)


def _reliability(axes: Axes, judged: Judged) -> None:
    """Observed frequency of each class against its predicted probability."""
    model, held = judged.quantity, judged.evaluation.held_out[judged.algorithm]
    true = np.digitize(judged.evaluation.training.target, model.bounds)
    axes.plot([0, 1], [0, 1], color="black", lw=0.8)
    for number, name in enumerate(model.classes):
        claimed = held.chances[:, :, number].ravel()
        came = np.tile(true == number, len(held.chances)).astype(float)
        tenth = np.minimum((claimed * 10).astype(int), 9)
        count, sums, hits = (
            np.bincount(tenth, row, 10) for row in (np.ones(len(claimed)), claimed, came)
        )
        there = count > 0
        axes.plot(sums[there] / count[there], hits[there] / count[there], "o-", label=name)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("observed frequency")
    error = judged.evaluation.score(judged.algorithm, "calibration_error").value
    axes.set_title(f"calibration error {error:.3f}", fontsize=10)
    axes.legend()
