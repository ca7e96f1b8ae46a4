"""Figures of this folder's results; they draw what a result holds and calculate nothing.

matplotlib's global state stays untouched: a `Figure` is made and handed back.
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
"""Smaller p values are drawn here: nobody's data can tell them apart."""


def quadrants_figure(selections: Sequence[Selection], is_synthetic: bool = False) -> Figure:
    """Size of the coefficient against p, one mark per factor and target (Thiede's figure)."""
    figure, axes = _empty((7.6, 5.4), is_synthetic)
    for number, selection in enumerate(selections):
        judged = [one for one in selection.factors if one.p is not None]
        for one in judged:
            at = abs(one.coefficient), max(one.p or 0.0, LOWEST_P)
            marker = _MARKERS[number % len(_MARKERS)]
            axes.scatter(at[0], at[1], 42, color=_COLOURS[one.quadrant], marker=marker)
            sign = "−" if one.coefficient < 0 else "+" if one.coefficient > 0 else ""
            about = f" ({selection.target})" if len(selections) > 1 else ""
            axes.annotate(
                f"{one.name}{about} {sign}",
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
    held_out = ", ".join(f"{one.target}: R² {one.r2_held_out:.2f}" for one in selections)
    unjudged = sorted({o.name for one in selections for o in one.factors if o.p is None})
    alike = sorted({f"{o[0]} and {o[1]}" for one in selections for o in one.alike})
    if alike:
        held_out += f"\nnot to be told apart: {', '.join(alike)}"
    if unjudged:
        held_out += f"\nnot drawn, too few rows per level for a p value: {', '.join(unjudged)}"
    _title(
        axes, f"Critical factors; linear model on held-out rows: {held_out}", selections[0].left_out
    )
    return figure


def loadings_figure(
    found: Components, first: int = 0, second: int = 1, is_synthetic: bool = False
) -> Figure:
    """Electrodes in the plane of two components, with the columns' loadings as arrows."""
    figure, axes = _empty((6.4, 6.0), is_synthetic)
    pair = [first, second]
    spread = np.abs(found.scores[:, pair]).max()
    axes.scatter(
        found.scores[:, first] / spread,
        found.scores[:, second] / spread,
        s=8,
        color="#b9cfe4",
        zorder=1,
    )
    turn = np.linspace(0, 2 * np.pi, 181)
    axes.plot(np.cos(turn), np.sin(turn), color=_GREY, lw=0.6)
    for name, (x, y) in zip(found.columns, found.loadings[:, pair], strict=True):
        axes.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "->", "color": _RED})
        side = "left" if x >= 0 else "right"
        axes.text(1.05 * x, 1.05 * y, name, fontsize=8, ha=side, va="center")
    axes.set_xlim(-1.35, 1.35)
    axes.set_ylim(-1.2, 1.2)
    axes.set_aspect("equal")
    axes.set_xlabel(f"component {first + 1} ({100 * found.explained[first]:.0f} % of variance)")
    axes.set_ylabel(f"component {second + 1} ({100 * found.explained[second]:.0f} % of variance)")
    _title(axes, "Correlation with components (arrows), electrodes (dots, scaled)", found.left_out)
    return figure


def sobol_figure(found: Sensitivity, target: str, is_synthetic: bool = False) -> Figure:
    """First-order and total indices with their intervals, the heaviest input on top."""
    ranked = sorted(found.indices, key=lambda one: one.total)
    figure, axes = _empty((7.2, 0.5 * len(ranked) + 1.8), is_synthetic)
    places = np.arange(len(ranked))
    for shift, colour, label, rows in (
        (0.19, _BLUE, "alone", [(one.first, one.first_low, one.first_high) for one in ranked]),
        (-0.19, _RED, "in total", [(one.total, one.total_low, one.total_high) for one in ranked]),
    ):
        values, low, high = np.array(rows).T
        ends = np.clip([values - low, high - values], 0, None)
        axes.barh(places + shift, values, 0.36, xerr=ends, color=colour, label=label, ecolor=_GREY)
    axes.set_yticks(places, [one.name for one in ranked], fontsize=8)
    axes.set_xlabel(f"share of the variance of {target} (Sobol index, 95 % interval)")
    axes.legend(fontsize=8, loc="lower right", frameon=False)
    axes.set_title(
        f"{target}: {found.mean:.3g} ± {found.deviation:.2g} over the ranges, "
        f"{found.evaluations} predictions",
        fontsize=9,
    )
    return figure


def relevance_figure(found: Sequence[Relevances], is_synthetic: bool = False) -> Figure:
    """Importance of each factor by each kernel, with its interval; one part for each target."""
    figure, first = _empty((5.4 * len(found), 4.2), is_synthetic, parts=len(found))
    for axes, one in zip(figure.axes, found, strict=True):
        names = list(one.kernels[0].importance)
        width = 0.8 / len(one.kernels)
        for number, kernel in enumerate(one.kernels):
            values, low, high = (
                np.array([said[name] for name in names])
                for said in (kernel.importance, kernel.low, kernel.high)
            )
            axes.bar(
                np.arange(len(names)) + (number - (len(one.kernels) - 1) / 2) * width,
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
        _title(axes, f"{one.target}: {one.rows} conditions of {one.groups} groups", one.left_out)
    first.set_ylabel("share of inverse lengths (95 % interval)")
    return figure


def kinds_figure(found: Kinds, is_synthetic: bool = False) -> Figure:
    """Conditions in the plane of the first two components, by kind, with the columns' loadings."""
    figure, axes = _empty((7.4, 5.8), is_synthetic)
    parts, clusters = found.components, found.clusters
    labels = clusters.labels.drop_nulls().to_numpy()
    spread = np.abs(parts.scores[:, :2]).max()
    for profile in clusters.profiles:
        at = parts.scores[labels == profile.cluster, :2] / spread
        label = f"kind {profile.cluster + 1}: {profile.size} conditions"
        number = profile.cluster
        axes.scatter(
            at[:, 0], at[:, 1], s=14, color=_SERIES[number], marker=_MARKERS[number], label=label
        )
    for name, (x, y) in zip(parts.columns, parts.loadings[:, :2], strict=True):
        arrow = {"arrowstyle": "->", "color": _GREY}
        axes.annotate("", (x, y), (0, 0), arrowprops=arrow)
        side = "left" if x >= 0 else "right"
        axes.text(1.04 * x, 1.04 * y, name, fontsize=7, ha=side, va="center", color="#333333")
    axes.set_xlim(-1.5, 1.5)
    axes.set_ylim(-1.15, 1.15)
    axes.set_xlabel(f"component 1 ({100 * parts.explained[0]:.0f} % of variance, scaled)")
    axes.set_ylabel(f"component 2 ({100 * parts.explained[1]:.0f} % of variance, scaled)")
    figure.legend(fontsize=8, loc="outside lower center", ncols=4, frameon=False)
    shares = list(clusters.separation.items())[:3]
    told = ", ".join(f"{name} ({share:.2f})" for name, share in shares)
    _title(axes, f"{found.said}\nseparated by {told}", clusters.left_out)
    return figure


def tolerance_figure(found: Propagation, target: str, is_synthetic: bool = False) -> Figure:
    """Distribution of the target against its limits, and where the variance comes from."""
    figure, axes = _empty((9.2, 4.2), is_synthetic, parts=2)
    axes.hist(found.drawn, bins=60, color="#b9cfe4", density=True)
    axes.axvline(found.at_nominal, color=_BLUE, lw=1.2, label="at nominal values")
    for limit in found.limits:
        if limit is not None:
            axes.axvline(limit, color=_RED, lw=1.2, ls="--")
    axes.set_xlabel(target)
    axes.set_yticks([])
    axes.legend(fontsize=8, frameon=False)
    axes.set_title(
        f"{found.mean:.4g} ± {found.deviation:.2g}; out of specification "
        f"{100 * found.share_out:.2g} % ({100 * found.share_out_low:.2g} to "
        f"{100 * found.share_out_high:.2g} %)",
        fontsize=9,
    )
    bars = figure.axes[1]
    rows = [(one.name, one.share) for one in found.inputs]
    rows += [("together only", found.interaction_share), ("surrogate", found.surrogate_share)]
    for place, (name, share) in enumerate(reversed(rows)):
        own = name in {"together only", "surrogate"}
        bars.barh(place, 100 * share, color=_GREY if own else _BLUE, height=0.6)
    bars.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)], fontsize=8)
    bars.set_xlabel("share of the variance / %")
    return figure


def _empty(size: tuple[float, float], is_synthetic: bool, parts: int = 1) -> tuple[Figure, Axes]:
    """A figure with its first axes; synthetic data is never shown without saying so."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=150, layout="constrained")
    if is_synthetic:
        figure.suptitle("SYNTHETIC data", color="#b00020", fontsize=12)
    axes = [figure.add_subplot(1, parts, number + 1) for number in range(parts)]
    for one in axes:
        one.grid(visible=True, color="#e4e4e4", linewidth=0.6)
        one.set_axisbelow(True)
        one.spines[["right", "top"]].set_visible(False)
    return figure, axes[0]


def _title(axes: Axes, about: str, left_out: LeftOut) -> None:
    axes.set_title("\n".join(filter(None, [about, left_out.says])), fontsize=9)
