"""Figures of discharges.

In scope: drawing existing results. Out of scope: any calculation that changes the meaning of a figure,
and matplotlib's global state (each function returns a new `Figure`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    charge_mah_cm2: NDArray[np.float64] | None,
    voltage_v: NDArray[np.float64] | None,
) -> Figure:
    """Voltage against charge per gram of active material, with the key figures.

    `row` is a row of the table of discharges; if it has no curve, the figure says why.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("Charge / mAh per g of active material")
    axes.set_ylabel("Voltage against lithium / V")
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines["right"].set_visible(False)
    if charge_mah_cm2 is None or voltage_v is None:
        _say_why(axes, row)
    else:
        _curve(axes, row, charge_mah_cm2, voltage_v)
    figure.suptitle(
        f"{row['c_rate']:g}C discharge of {row['subject'] or 'an electrode'}",
        fontsize=12,
        fontweight="bold",
    )
    axes.set_title(_summary(row), fontsize=9, color=_GREY)
    if row["is_synthetic"]:
        _mark_synthetic(axes)
    return figure


def _mark_synthetic(axes: Axes) -> None:
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
        "No curve: " + fill(row["reason"] or row["ended_by"], 70),
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=10,
    )


def _summary(row: Mapping[str, Any]) -> str:
    about = (
        f"{row['mass_loading_mg_cm2']:.3g} mg/cm² ({row['loading_basis'].replace('_', ' ')}), "
        f"{row['porosity_pct']:.3g} % porosity, {row['thickness_um']:.3g} µm"
        f"{' (derived)' if 'thickness_um' in (row['derived'] or '') else ''}"
    )
    if row["failed"] or not row["discharge_time_s"]:
        return about
    current = 3600 * row["areal_capacity_mah_cm2"] / row["discharge_time_s"]
    return (
        f"{about}, {row['c_rate']:g}C = {current:.3g} mA/cm²\n"
        f"E = {row['specific_energy_wh_kg']:.4g} Wh/kg, "
        f"P = {row['specific_power_w_kg']:.4g} W/kg of electrode; ended by {row['ended_by']}, "
        f"limited by {row['limited_by']}"
    )


def ragone_figure(rows: Sequence[Mapping[str, Any]], series: str, title: str) -> Figure:
    """Specific energy against power, with a line per series from the slowest to the fastest discharge.

    Discharges that deliver nothing cannot be shown on logarithmic axes; the title gives their number.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    drawn = [row for row in rows if row["specific_energy_wh_kg"]]
    for name in dict.fromkeys(row[series] for row in drawn):
        some = sorted((r for r in drawn if r[series] == name), key=lambda r: float(r["c_rate"]))
        axes.plot(
            [row["specific_power_w_kg"] for row in some],
            [row["specific_energy_wh_kg"] for row in some],
            marker="o",
            markersize=3,
            linewidth=1.2,
            label=name or "electrode",
        )
    axes.set_xscale("log")
    axes.set_xlabel("Specific power / W kg⁻¹")
    axes.set_ylabel("Specific energy / Wh kg⁻¹")
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    if drawn:
        axes.legend(frameon=False, fontsize=7)
    without = len(rows) - len(drawn)
    axes.set_title(title + (f"; {without} delivered nothing" if without else ""), fontsize=10)
    if any(row.get("is_synthetic") for row in rows):
        _mark_synthetic(axes)
    return figure


def branches_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Energy against power of many electrodes at one load, coloured by what limits them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    colours = {
        "nothing": _BLUE,
        "electrolyte": "#c8553d",
        "electrons": "#3d8b53",
        "particles": "#8a5fb5",
    }
    for name, colour in colours.items():
        some = [row for row in rows if row["limited_by"] == name]
        axes.scatter(
            [row["specific_power_w_kg"] for row in some],
            [row["specific_energy_wh_kg"] for row in some],
            s=9,
            color=colour,
            label=f"limited by {name}: {len(some)}",
        )
    axes.set_xlabel("Average specific power / W kg⁻¹ of electrode")
    axes.set_ylabel("Specific energy / Wh kg⁻¹ of electrode")
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(title, fontsize=10)
    if any(row["is_synthetic"] for row in rows):
        _mark_synthetic(axes)
    return figure


def graded_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Voltage against capacity of each discharge, and energy against power."""
    from matplotlib.figure import Figure

    from battery_platform.electrochemistry.curves import curve_of

    figure = Figure(figsize=(10, 4.4), dpi=150, layout="constrained")
    curves, ragone = figure.subplots(1, 2)
    for row in rows:
        if row["curve_time_s"] is None:
            continue
        seconds, volts = curve_of(dict(row))
        charge = row["areal_capacity_mah_cm2"] * seconds / row["discharge_time_s"]
        style = "--" if row["positive_layers"] else "-"
        label = f"{row['c_rate']:g}C" + (" in layers" if row["positive_layers"] else "")
        curves.plot(charge, volts, style, linewidth=1.2, label=label)
    curves.set_xlabel("Charge / mAh cm⁻²")
    curves.set_ylabel("Voltage / V")
    for is_layered, style, label in ((False, "o-", "graded"), (True, "s--", "in layers")):
        some = [
            r for r in rows if bool(r["positive_layers"]) is is_layered and r["discharge_time_s"]
        ]
        some.sort(key=lambda row: float(row["c_rate"]))
        if some:
            ragone.plot(
                [row["specific_power_w_kg"] for row in some],
                [row["specific_energy_wh_kg"] for row in some],
                style,
                linewidth=1.2,
                markersize=4,
                label=label,
            )
    ragone.set_xlabel("Specific power / W kg⁻¹ of cell")
    ragone.set_ylabel("Specific energy / Wh kg⁻¹ of cell")
    for axes in (curves, ragone):
        axes.grid(visible=True, color="#e4e4e4", linewidth=0.6)
        if axes.lines:
            axes.legend(frameon=False, fontsize=7)
    return figure


def space_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Energy of many graded cells against the load, coloured by thickness."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.scatter(
        [row["c_rate"] for row in rows],
        [row["specific_energy_wh_kg"] for row in rows],
        c=[row["positive_thickness_um"] for row in rows],
        s=9,
        cmap="viridis",
    )
    figure.colorbar(drawn, ax=axes, label="Thickness of the positive electrode / µm")
    axes.set_xlabel("Load / C")
    axes.set_ylabel("Specific energy / Wh kg⁻¹ of cell")
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title(f"Simulated: {len(rows)} cells, each with profiles of its own", fontsize=10)
    return figure
