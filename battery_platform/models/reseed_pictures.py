"""Pictures of the reseed protocol, as paper 000 shows them: parity, residuals by value, how they spread."""

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
"""Percentile of test residuals at which the histogram ends; a few far ones would flatten the rest."""


def reseeds_figure(found: Sequence[Reseeds]) -> Figure:
    """One line per quantity; test rows lie over those that the model saw, all seeds together."""
    figure = Figure(figsize=(12.5, 3.9 * len(found)), layout="constrained")
    axes = figure.subplots(len(found), 3, squeeze=False)
    for (parity, residual, histogram), one in zip(axes, found, strict=True):
        points = {part: _points(one, part) for part in (TRAIN, TEST)}
        for part, (measured, predicted) in points.items():
            style = {"s": 3, "color": COLOURS[part], "lw": 0, "rasterized": True}
            parity.scatter(measured, predicted, label=part, **style)
            residual.scatter(measured, predicted - measured, **style)
        ends = [one.measured.min(), one.measured.max()]
        parity.plot(ends, ends, color="black", lw=0.8)
        residual.axhline(0.0, color="black", lw=0.8)
        _histogram(histogram, points, one.unit)
        parity.set_xlabel(f"true {one.target} ({one.unit})")
        parity.set_ylabel("predicted")
        parity.legend(fontsize=8, loc="upper left", markerscale=4, frameon=False)
        parity.set_title("\n".join(_said(one, part) for part in points), fontsize=9)
        residual.set_title(f"{len(one.predicted)} random splits, all drawn together", fontsize=9)
        residual.set_xlabel(f"true {one.target} ({one.unit})")
        residual.set_ylabel(f"predicted less true ({one.unit})")
    if found[0].is_synthetic:
        figure.suptitle("SYNTHETIC data", color="#b00020", fontsize=12)
    return figure


def _points(one: Reseeds, part: str) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted values of that part under all seeds."""
    rows = one.tested if part == TEST else ~one.tested
    return np.broadcast_to(one.measured, rows.shape)[rows], one.predicted[rows]


def _said(one: Reseeds, part: str) -> str:
    metrics = one.metrics(part)
    r2, share = Spread.of(metrics["r2"]), Spread.of(metrics["rmse_pct_of_mean"])
    return (
        f"{part}: R² {r2.mean:.5f} (95 % of the mean ± {r2.mean_high_95 - r2.mean:.5f}), "
        f"RMSE {share.mean:.2f} % of mean"
    )


def _histogram(axes: Axes, points: dict[str, tuple[np.ndarray, np.ndarray]], unit: str) -> None:
    measured, predicted = points[TEST]
    end = float(np.percentile(np.abs(predicted - measured), WIDEST))
    bins = np.linspace(-end, end, 61).tolist()
    errors = {part: made - true for part, (true, made) in points.items()}
    axes.hist(errors[TRAIN], bins, density=True, color=COLOURS[TRAIN])
    axes.hist(errors[TEST], bins, density=True, color=COLOURS[TEST], histtype="step", lw=1.4)
    axes.axvline(0.0, color="black", lw=0.8)
    axes.set_yticks([])
    axes.set_xlabel(f"predicted less true ({unit}), the {WIDEST:g} % nearest to 0")
    said = [f"{part}: mean residual {one.mean():+.2g} {unit}" for part, one in errors.items()]
    axes.set_title("\n".join(said), fontsize=9)
