"""Figures of this package's results; they only draw and calculate nothing.

matplotlib's global state stays untouched: each function returns a new `Figure`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from battery_platform.factors.components import Components
from battery_platform.factors.kinds import Kinds
from battery_platform.factors.lars import Quadrant, Selection
from battery_platform.factors.relevance import Relevances
from battery_platform.factors.sensitivity import Sensitivity
from battery_platform.factors.tables import LeftOut
from battery_platform.factors.tolerances import Propagation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE = "#1f5fa8"
_RED = "#c8553d"
_GREY = "#666666"
_MARKERS = "osD^vP*X"
_SERIES = (_BLUE, _RED, "#d9a441", "#5b8c5a", "#7b5ea7", "#4aa3a2", "#8c6d46", "#aaaaaa")
_COLOURS = {
    Quadrant.CRITICAL: _RED,
    Quadrant.UNCONFIRMED: "#d9a441",
    Quadrant.UNSELECTED: _BLUE,
    Quadrant.MINOR: "#aaaaaa",
}
LOWEST_P = 1e-12
"""Smaller p values are drawn at this one: no data could distinguish them."""


def quadrants_figure(selections: Sequence[Selection], is_synthetic: bool = False) -> Figure:
    """Absolute coefficient against p, one mark per factor and target (Thiede's figure)."""
    figure, axes = _empty((7.6, 5.4), is_synthetic)
    for number, selection in enumerate(selections):
        judged = [factor for factor in selection.factors if factor.p is not None]
        for factor in judged:
            at = abs(factor.coefficient), max(factor.p or 0.0, LOWEST_P)
            marker = _MARKERS[number % len(_MARKERS)]
            axes.scatter(at[0], at[1], 42, color=_COLOURS[factor.quadrant], marker=marker)
            sign = "−" if factor.coefficient < 0 else "+" if factor.coefficient > 0 else ""
            about = f" ({selection.target})" if len(selections) > 1 else ""
            axes.annotate(
                f"{factor.name}{about} {sign}",
                at,
                xytext=(5, 4),
                textcoords="offset points",
                fontsize=7,
            )
    for level in sorted({selection.significance for selection in selections}):
        axes.axhline(level, color=_GREY, lw=0.8, ls="--")
        axes.annotate(
            f"p = {level:g}",
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=7,
        )
    axes.set_yscale("log")
    axes.set_ylim(2.0, LOWEST_P / 3)
    axes.margins(x=0.18)
    axes.set_xlabel("|coefficient| of LASSO-LARS / sd of target per sd of factor")
    axes.set_ylabel(f"p of one-way analysis of variance (no lower than {LOWEST_P:g})")
    for quadrant, colour in _COLOURS.items():
        axes.scatter([], [], color=colour, label=quadrant.value)
    figure.legend(fontsize=7, loc="outside lower center", ncols=4, frameon=False)
    held_out = ", ".join(
        f"{selection.target}: R² {selection.r2_held_out:.2f}" for selection in selections
    )
    unjudged = sorted(
        {
            factor.name
            for selection in selections
            for factor in selection.factors
            if factor.p is None
        }
    )
    alike = sorted(
        {f"{pair[0]} and {pair[1]}" for selection in selections for pair in selection.alike}
    )
    if alike:
        held_out += f"\nindistinguishable: {', '.join(alike)}"
    if unjudged:
        held_out += f"\nnot drawn, too few rows per level for a p value: {', '.join(unjudged)}"
    _title(
        axes, f"Critical factors; linear model on held-out rows: {held_out}", selections[0].left_out
    )
    return figure


def loadings_figure(
    components: Components, first: int = 0, second: int = 1, is_synthetic: bool = False
) -> Figure:
    """Electrodes in the plane of two components, with the columns' loadings as arrows."""
    figure, axes = _empty((6.4, 6.0), is_synthetic)
    pair = [first, second]
    spread = np.abs(components.scores[:, pair]).max()
    axes.scatter(
        components.scores[:, first] / spread,
        components.scores[:, second] / spread,
        s=8,
        color="#b9cfe4",
        zorder=1,
    )
    turn = np.linspace(0, 2 * np.pi, 181)
    axes.plot(np.cos(turn), np.sin(turn), color=_GREY, lw=0.6)
    for name, (x, y) in zip(components.columns, components.loadings[:, pair], strict=True):
        axes.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "->", "color": _RED})
        side = "left" if x >= 0 else "right"
        axes.text(1.05 * x, 1.05 * y, name, fontsize=8, ha=side, va="center")
    axes.set_xlim(-1.35, 1.35)
    axes.set_ylim(-1.2, 1.2)
    axes.set_aspect("equal")
    axes.set_xlabel(
        f"component {first + 1} ({100 * components.explained[first]:.0f} % of variance)"
    )
    axes.set_ylabel(
        f"component {second + 1} ({100 * components.explained[second]:.0f} % of variance)"
    )
    _title(
        axes, "Correlation with components (arrows), electrodes (dots, scaled)", components.left_out
    )
    return figure


def sobol_figure(sensitivity: Sensitivity, target: str, is_synthetic: bool = False) -> Figure:
    """First-order and total indices with their intervals, the most influential input on top."""
    ranked = sorted(sensitivity.indices, key=lambda index: index.total)
    figure, axes = _empty((7.2, 0.5 * len(ranked) + 1.8), is_synthetic)
    places = np.arange(len(ranked))
    for shift, colour, label, rows in (
        (
            0.19,
            _BLUE,
            "alone",
            [(index.first, index.first_low, index.first_high) for index in ranked],
        ),
        (
            -0.19,
            _RED,
            "in total",
            [(index.total, index.total_low, index.total_high) for index in ranked],
        ),
    ):
        values, low, high = np.array(rows).T
        ends = np.clip([values - low, high - values], 0, None)
        axes.barh(places + shift, values, 0.36, xerr=ends, color=colour, label=label, ecolor=_GREY)
    axes.set_yticks(places, [index.name for index in ranked], fontsize=8)
    axes.set_xlabel(f"share of the variance of {target} (Sobol index, 95 % interval)")
    axes.legend(fontsize=8, loc="lower right", frameon=False)
    axes.set_title(
        f"{target}: {sensitivity.mean:.3g} ± {sensitivity.deviation:.2g} over the ranges, "
        f"{sensitivity.evaluations} predictions",
        fontsize=9,
    )
    return figure


def relevance_figure(relevances: Sequence[Relevances], is_synthetic: bool = False) -> Figure:
    """Importance of each factor by each kernel, with its interval; one panel per target."""
    figure, first = _empty((5.4 * len(relevances), 4.2), is_synthetic, panels=len(relevances))
    for axes, relevance in zip(figure.axes, relevances, strict=True):
        names = list(relevance.kernels[0].importance)
        width = 0.8 / len(relevance.kernels)
        for number, kernel in enumerate(relevance.kernels):
            values, low, high = (
                np.array([values[name] for name in names])
                for values in (kernel.importance, kernel.low, kernel.high)
            )
            axes.bar(
                np.arange(len(names)) + (number - (len(relevance.kernels) - 1) / 2) * width,
                values,
                width,
                yerr=[values - low, high - values],
                color=_SERIES[number],
                error_kw={"ecolor": _GREY, "elinewidth": 0.8},
                label=f"{kernel.kernel} (held-out R² {kernel.r2_held_out:.2f})",
            )
        axes.set_xticks(range(len(names)), names, fontsize=7)
        axes.set_ylim(0.0, 1.0)
        axes.legend(
            fontsize=7, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.08)
        )
        _title(
            axes,
            f"{relevance.target}: {relevance.rows} conditions of {relevance.groups} groups",
            relevance.left_out,
        )
    first.set_ylabel("share of inverse lengths (95 % interval)")
    return figure


def kinds_figure(kinds: Kinds, is_synthetic: bool = False) -> Figure:
    """Conditions in the plane of the first two components, by kind, with the columns' loadings."""
    figure, axes = _empty((7.4, 5.8), is_synthetic)
    components, clusters = kinds.components, kinds.clusters
    labels = clusters.labels.drop_nulls().to_numpy()
    spread = np.abs(components.scores[:, :2]).max()
    for profile in clusters.profiles:
        at = components.scores[labels == profile.cluster, :2] / spread
        label = f"kind {profile.cluster + 1}: {profile.size} conditions"
        number = profile.cluster
        axes.scatter(
            at[:, 0], at[:, 1], s=14, color=_SERIES[number], marker=_MARKERS[number], label=label
        )
    for name, (x, y) in zip(components.columns, components.loadings[:, :2], strict=True):
        arrow = {"arrowstyle": "->", "color": _GREY}
        axes.annotate("", (x, y), (0, 0), arrowprops=arrow)
        side = "left" if x >= 0 else "right"
        axes.text(1.04 * x, 1.04 * y, name, fontsize=7, ha=side, va="center", color="#333333")
    axes.set_xlim(-1.5, 1.5)
    axes.set_ylim(-1.15, 1.15)
    axes.set_xlabel(f"component 1 ({100 * components.explained[0]:.0f} % of variance, scaled)")
    axes.set_ylabel(f"component 2 ({100 * components.explained[1]:.0f} % of variance, scaled)")
    figure.legend(fontsize=8, loc="outside lower center", ncols=4, frameon=False)
    shares = list(clusters.separation.items())[:3]
    separators = ", ".join(f"{name} ({share:.2f})" for name, share in shares)
    _title(axes, f"{kinds.in_words}\nseparated by {separators}", clusters.left_out)
    return figure


def tolerance_figure(propagation: Propagation, target: str, is_synthetic: bool = False) -> Figure:
    """Distribution of the target against its limits, and where the variance comes from."""
    figure, axes = _empty((9.2, 4.2), is_synthetic, panels=2)
    axes.hist(propagation.drawn, bins=60, color="#b9cfe4", density=True)
    axes.axvline(propagation.at_nominal, color=_BLUE, lw=1.2, label="at nominal values")
    for limit in propagation.limits:
        if limit is not None:
            axes.axvline(limit, color=_RED, lw=1.2, ls="--")
    axes.set_xlabel(target)
    axes.set_yticks([])
    axes.legend(fontsize=8, frameon=False)
    axes.set_title(
        f"{propagation.mean:.4g} ± {propagation.deviation:.2g}; out of specification "
        f"{100 * propagation.share_out:.2g} % ({100 * propagation.share_out_low:.2g} to "
        f"{100 * propagation.share_out_high:.2g} %)",
        fontsize=9,
    )
    bars = figure.axes[1]
    rows = [(of_input.name, of_input.share) for of_input in propagation.inputs]
    rows += [
        ("together only", propagation.interaction_share),
        ("surrogate", propagation.surrogate_share),
    ]
    for place, (name, share) in enumerate(reversed(rows)):
        own = name in {"together only", "surrogate"}
        bars.barh(place, 100 * share, color=_GREY if own else _BLUE, height=0.6)
    bars.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)], fontsize=8)
    bars.set_xlabel("share of the variance / %")
    return figure


def _empty(size: tuple[float, float], is_synthetic: bool, panels: int = 1) -> tuple[Figure, Axes]:
    """A figure and its first axes; figures of synthetic data are always marked as such."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=150, layout="constrained")
    if is_synthetic:
        figure.suptitle("SYNTHETIC data", color="#b00020", fontsize=12)
    axes = [figure.add_subplot(1, panels, number + 1) for number in range(panels)]
    for axis in axes:
        axis.grid(visible=True, color="#e4e4e4", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["right", "top"]].set_visible(False)
    return figure, axes[0]


def _title(axes: Axes, about: str, left_out: LeftOut) -> None:
    axes.set_title("\n".join(filter(None, [about, left_out.says])), fontsize=9)
