"""Figures of discharges.

What belongs here: drawing what a result already holds. What does not: any calculation that
changes a figure's meaning, and matplotlib's global state (a `Figure` is made and returned).

Thin today: one curve per figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_BLUE = "#1f5fa8"
_GREY = "#666666"


def discharge_figure(
    row: Mapping[str, Any],
    charge_mah_cm2: NDArray[np.float64],
    voltage_v: NDArray[np.float64],
) -> Figure:
    """Voltage against charge per gram of active material, with the key figures in sight.

    `row` is a row of the table of discharges; a failed one has no curve and says why.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("Charge / mAh per g of active material")
    axes.set_ylabel("Voltage against lithium / V")
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines["right"].set_visible(False)
    if row["failed"]:
        _say_why(axes, row)
    else:
        _curve(axes, row, charge_mah_cm2, voltage_v)
    figure.suptitle(
        f"{row['c_rate']:g}C discharge of {row['design_id'] or 'an electrode'}",
        fontsize=12,
        fontweight="bold",
    )
    axes.set_title(_summary(row), fontsize=9, color=_GREY)
    if row["is_synthetic"]:
        axes.text(
            0.5,
            0.5,
            "SYNTHETIC",
            transform=axes.transAxes,
            ha="center",
            va="center",
            rotation=25,
            fontsize=46,
            fontweight="bold",
            color="#c0392b",
            alpha=0.16,
            zorder=5,
        )
    return figure


def _active_mg_cm2(row: Mapping[str, Any]) -> float:
    return float(1000 * row["areal_capacity_mah_cm2"] / row["capacity_mah_g"])


def _curve(
    axes: Axes,
    row: Mapping[str, Any],
    charge_mah_cm2: NDArray[np.float64],
    voltage_v: NDArray[np.float64],
) -> None:
    active, lower_v = _active_mg_cm2(row), row["lower_cutoff_v"]
    charge = 1000 * charge_mah_cm2 / active
    axes.plot(charge, voltage_v, color=_BLUE, linewidth=2)
    axes.axhline(lower_v, color=_GREY, linewidth=0.8, linestyle="--")
    axes.annotate(
        f"cut-off {lower_v:g} V",
        (0.01, lower_v),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=8,
        color=_GREY,
    )
    axes.set_xlim(0, 1.04 * float(charge[-1]))
    axes.set_ylim(lower_v - 0.08, float(voltage_v.max()) + 0.08)
    above = axes.secondary_xaxis(
        "top",
        functions=(
            lambda per_g: np.asarray(per_g) * active / 1000,
            lambda per_area: 1000 * np.asarray(per_area) / active,
        ),
    )
    above.set_xlabel("Charge / mAh/cm²")


def _say_why(axes: Axes, row: Mapping[str, Any]) -> None:
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(
        0.5,
        0.9,
        "No curve, after two attempts. The solver says:\n" + fill(row["end_reason"], 70),
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=10,
    )


def _summary(row: Mapping[str, Any]) -> str:
    about = (
        f"{row['mass_loading_mg_cm2']:.3g} mg/cm² ({row['loading_basis'].replace('_', ' ')}), "
        f"{row['porosity_pct']:.3g} % porosity, {row['thickness_um']:.3g} µm"
        f"{' (derived)' if row['thickness_is_derived'] else ''}"
    )
    if row["failed"]:
        return about
    current = 3600 * row["areal_capacity_mah_cm2"] / row["discharge_time_s"]
    return (
        f"{about}, {row['c_rate']:g}C = {current:.3g} mA/cm²\n"
        f"E = {row['specific_energy_wh_kg']:.4g} Wh/kg, "
        f"P = {row['specific_power_w_kg']:.4g} W/kg of electrode; ended by {row['end_reason']}"
    )
