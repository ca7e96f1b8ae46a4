"""Figures of the reseed protocol, as in paper 000: parity, residuals by value, distribution of residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from battery_platform.models.reseeds import TEST, TRAIN, Reseeds, Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {TRAIN: "#9fc2da", TEST: "#c8553d"}
WIDEST = 98.0
"""Percentile of test residuals at which the histogram ends; a few outliers would flatten the rest."""


def reseeds_figure(reseeds: Sequence[Reseeds]) -> Figure:
    """One line of axes per quantity; test rows are drawn over training rows, all seeds together."""
    figure = Figure(figsize=(12.5, 3.9 * len(reseeds)), layout="constrained")
    axes = figure.subplots(len(reseeds), 3, squeeze=False)
    for (parity, residual, histogram), quantity in zip(axes, reseeds, strict=True):
        points = {side: _points(quantity, side) for side in (TRAIN, TEST)}
        for side, (measured, predicted) in points.items():
            style = {"s": 3, "color": COLOURS[side], "lw": 0, "rasterized": True}
            parity.scatter(measured, predicted, label=side, **style)
            residual.scatter(measured, predicted - measured, **style)
        ends = [quantity.measured.min(), quantity.measured.max()]
        parity.plot(ends, ends, color="black", lw=0.8)
        residual.axhline(0.0, color="black", lw=0.8)
        _histogram(histogram, points, quantity.unit)
        parity.set_xlabel(f"true {quantity.target} ({quantity.unit})")
        parity.set_ylabel("predicted")
        parity.legend(fontsize=8, loc="upper left", markerscale=4, frameon=False)
        parity.set_title("\n".join(_said(quantity, side) for side in points), fontsize=9)
        residual.set_title(
            f"{len(quantity.predicted)} random splits, all drawn together", fontsize=9
        )
        residual.set_xlabel(f"true {quantity.target} ({quantity.unit})")
        residual.set_ylabel(f"predicted less true ({quantity.unit})")
    if reseeds[0].is_synthetic:
        figure.suptitle("SYNTHETIC data", color="#b00020", fontsize=12)
    return figure


def _points(quantity: Reseeds, side: str) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted values on that side of the split, under all seeds."""
    rows = quantity.tested if side == TEST else ~quantity.tested
    return np.broadcast_to(quantity.measured, rows.shape)[rows], quantity.predicted[rows]


def _said(quantity: Reseeds, side: str) -> str:
    metrics = quantity.metrics(side)
    r2, share = Spread.of(metrics["r2"]), Spread.of(metrics["rmse_pct_of_mean"])
    return (
        f"{side}: R² {r2.mean:.5f} (95 % of the mean ± {r2.mean_high_95 - r2.mean:.5f}), "
        f"RMSE {share.mean:.2f} % of mean"
    )


def _histogram(axes: Axes, points: dict[str, tuple[np.ndarray, np.ndarray]], unit: str) -> None:
    measured, predicted = points[TEST]
    end = float(np.percentile(np.abs(predicted - measured), WIDEST))
    bins = np.linspace(-end, end, 61).tolist()
    errors = {side: made - true for side, (true, made) in points.items()}
    axes.hist(errors[TRAIN], bins, density=True, color=COLOURS[TRAIN])
    axes.hist(errors[TEST], bins, density=True, color=COLOURS[TEST], histtype="step", lw=1.4)
    axes.axvline(0.0, color="black", lw=0.8)
    axes.set_yticks([])
    axes.set_xlabel(f"predicted less true ({unit}), the {WIDEST:g} % nearest to 0")
    means = [
        f"{side}: mean residual {residuals.mean():+.2g} {unit}"
        for side, residuals in errors.items()
    ]
    axes.set_title("\n".join(means), fontsize=9)
