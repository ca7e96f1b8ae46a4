"""Figures of what instruments measured: capacity against cycle, voltage, flow curves, a line's runs.

Each function asks the lake and draws what it finds; nothing is smoothed or fitted, and what was
simulated says so. Where there is nothing to draw, nothing is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from battery_platform.store.lakehouse import Lakehouse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUPS_SHOWN = 6
SINGLE_CURVES = 5
"""Up to this number tests are drawn singly; more are drawn as a median with a band."""
CYCLES_SHOWN = 6
POINTS_SHOWN = 1500
CURVES_SHOWN = 14
_PALETTE = ("#1f5fa8", "#c8553d", "#3a7d44", "#8a5a9e", "#b8860b", "#4d4d4d")


def _figure(width: float = 7.2, height: float = 4.2) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _named(source: str, synthetic: bool) -> str:
    return f"{source} (synthetic)" if synthetic else source


def capacity_against_cycle(lake: Lakehouse) -> Figure | None:
    """Discharge capacity by complete cycle, per source: single tests, or median and middle 80 %."""
    rows = lake.records(
        """SELECT c.source_id, c.is_synthetic, c.test_id, c.cycle,
                  100 * c.discharge_capacity_mah / f.max_capacity_mah AS share
           FROM judged_cycles c JOIN test_features f ON f.test_id = c.test_id
           WHERE f.max_capacity_mah > 0 AND f.complete_cycles > 1 AND c.is_complete
           ORDER BY c.source_id, c.test_id, c.cycle"""
    )
    if not rows:
        return None
    groups: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for row in rows:
        tests = groups.setdefault(_named(row["source_id"], row["is_synthetic"]), {})
        tests.setdefault(row["test_id"], []).append((row["cycle"], row["share"]))
    figure, axes = _figure()
    largest = sorted(groups, key=lambda name: ("(synthetic)" in name, -len(groups[name])))
    for name, colour in zip(largest[:GROUPS_SHOWN], _PALETTE, strict=False):
        _capacities(axes, name, groups[name], colour)
    axes.set_xlabel("Cycle")
    axes.set_ylabel("Discharge capacity / % of the test's greatest")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False)
    hidden = len(groups) - GROUPS_SHOWN
    axes.set_title(
        "Capacity against cycle" + (f" ({hidden} more sources not shown)" if hidden > 0 else ""),
        fontsize=10,
    )
    return figure


def _capacities(
    axes: Axes, name: str, tests: dict[str, list[tuple[int, float]]], colour: str
) -> None:
    if len(tests) <= SINGLE_CURVES:
        for number, points in enumerate(tests.values()):
            cycle, share = zip(*points, strict=True)
            label = f"{name}, {len(tests)} test(s)" if number == 0 else None
            axes.plot(cycle, share, color=colour, marker=".", markersize=4, lw=0.9, label=label)
        return
    by_cycle: dict[int, list[float]] = {}
    for test in tests.values():
        for number, value in test:
            by_cycle.setdefault(number, []).append(value)
    cycles = sorted(number for number, values in by_cycle.items() if len(values) >= SINGLE_CURVES)
    low, middle, high = np.array(
        [np.percentile(by_cycle[number], [10, 50, 90]) for number in cycles]
    ).T
    axes.fill_between(cycles, low, high, color=colour, alpha=0.18, lw=0)
    axes.plot(
        cycles, middle, color=colour, label=f"{name}, median and middle 80 % of {len(tests)} tests"
    )


def voltage_curves(lake: Lakehouse, test_id: str | None = None) -> Figure | None:
    """Voltage against the charge passed since the direction turned, for some cycles of a test.

    Without a test it is the one handed in last, a measured one before a simulated one.
    """
    if test_id is None:
        newest = lake.rows(
            """SELECT p.test_id FROM raw_test_points p JOIN raw_files f ON f.file_id = p.file_id
               GROUP BY p.test_id HAVING max(abs(p.current_a)) > 0
               ORDER BY bool_or(p.is_synthetic), max(f.ingested_at) DESC, p.test_id LIMIT 1"""
        )
        if not newest:
            return None
        test_id = str(newest[0][0])
    rows = lake.rows(_CURVES, {"test": test_id, "cycles": CYCLES_SHOWN, "points": POINTS_SHOWN})
    if not rows:
        return None
    figure, axes = _figure()
    curves: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for cycle, direction, charge, voltage in rows:
        curves.setdefault((cycle, direction), []).append((charge, voltage))
    cycles = sorted({cycle for cycle, _ in curves})
    for (cycle, direction), points in curves.items():
        charge, voltage = zip(*points, strict=True)
        axes.plot(
            charge,
            voltage,
            color=_PALETTE[cycles.index(cycle) % len(_PALETTE)],
            ls="-" if direction > 0 else "--",
            lw=1.1,
            label=f"cycle {cycle}, {'charge' if direction > 0 else 'discharge'}",
        )
    axes.set_xlabel("Charge passed / mAh")
    axes.set_ylabel("Voltage / V")
    axes.legend(fontsize=7, frameon=False, ncols=2)
    synthetic = lake.value("SELECT bool_or(is_synthetic) FROM raw_test_points WHERE test_id = ?", [test_id])  # fmt: skip
    axes.set_title(_named(test_id, bool(synthetic)), fontsize=10)
    return figure


_CURVES = """
    WITH timed AS (
        SELECT
            point, coalesce(cycle, 0) AS cycle, voltage_v, current_a,
            test_time_s - lag(test_time_s) OVER one AS span_s,
            (current_a + lag(current_a) OVER one) / 2 AS mean_a
        FROM raw_test_points WHERE test_id = $test
        WINDOW one AS (ORDER BY point)
    ),
    moved AS (
        SELECT *, sign(current_a)::INTEGER AS direction,
               1000 * abs(mean_a) * greatest(span_s, 0) / 3600 AS mah
        FROM timed WHERE current_a != 0
    ),
    summed AS (
        SELECT *,
            sum(mah) OVER (PARTITION BY cycle, direction ORDER BY point) AS charge,
            row_number() OVER (PARTITION BY cycle, direction ORDER BY point) AS place,
            count(*) OVER (PARTITION BY cycle, direction) AS points
        FROM moved
    ),
    wanted AS (
        SELECT cycle FROM (
            SELECT cycle, row_number() OVER (ORDER BY cycle) AS place, count(*) OVER () AS n
            FROM (SELECT DISTINCT cycle FROM summed)
        ) WHERE n <= $cycles OR (place - 1) % ceil(n / $cycles)::BIGINT = 0
    )
    SELECT cycle, direction, charge, voltage_v FROM summed
    WHERE cycle IN (FROM wanted) AND place % greatest(points // $points, 1) = 0
    ORDER BY cycle, direction, place"""


def flow_curves(lake: Lakehouse) -> Figure | None:
    """Viscosity against shear rate, measured points only; the marks are the four stated rates."""
    rows = lake.records(
        """SELECT t.flow_test_id, t.test_name, t.source_id, t.is_synthetic, t.temperature_degc,
                  p.shear_rate_1_s, p.viscosity_pa_s
           FROM raw_flow_points p JOIN raw_flow_tests t ON t.flow_test_id = p.flow_test_id
           WHERE p.viscosity_pa_s > 0 AND p.shear_rate_1_s > 0
           ORDER BY t.temperature_degc, t.test_name, t.flow_test_id, p.shear_rate_1_s"""
    )
    if not rows:
        return None
    from matplotlib import colormaps

    curves: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        curves.setdefault(row["flow_test_id"], []).append(row)
    figure, axes = _figure(7.6, 4.6)
    shown = list(curves.values())[:CURVES_SHOWN]
    colours = colormaps["viridis"](np.linspace(0, 0.92, len(shown)))
    for points, colour in zip(shown, colours, strict=True):
        first = points[0]
        axes.plot(
            [point["shear_rate_1_s"] for point in points],
            [point["viscosity_pa_s"] for point in points],
            marker=".",
            lw=1,
            color=colour,
            label=_named(first["test_name"], first["is_synthetic"]),
        )
    for rate in (0.1, 1, 10, 100):
        axes.axvline(rate, color="#bbbbbb", lw=0.7, ls=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("Shear rate / s⁻¹")
    axes.set_ylabel("Viscosity / Pa·s")
    axes.legend(fontsize=6.5, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    hidden = len(curves) - len(shown)
    axes.set_title("Flow curves" + (f" ({hidden} more not shown)" if hidden else ""), fontsize=10)
    return figure


def run_chart(lake: Lakehouse) -> Figure | None:
    """Duration of each run of a line in the order of starts, with abandoned runs marked."""
    rows = lake.records(
        """SELECT line, is_synthetic, outcome, last_step,
                  (epoch(ended_at) - epoch(started_at)) / 60 AS minutes
           FROM raw_line_runs ORDER BY line, started_at, run_id"""
    )
    if not rows:
        return None
    figure, axes = _figure()
    lines = sorted({row["line"] for row in rows})
    for line, colour in zip(lines[:GROUPS_SHOWN], _PALETTE, strict=False):
        runs = [row for row in rows if row["line"] == line]
        done = [(i, row["minutes"]) for i, row in enumerate(runs) if row["outcome"] == "completed"]
        left = [(i, row["minutes"]) for i, row in enumerate(runs) if row["outcome"] != "completed"]
        name = _named(line, runs[0]["is_synthetic"])
        if done:
            middle = float(np.median([minutes for _, minutes in done]))
            axes.plot(*zip(*done, strict=True), marker="o", ms=3.5, lw=0.8, color=colour)
            axes.axhline(middle, color=colour, lw=0.8, ls="--")
            axes.plot([], [], color=colour, label=f"{name}: median {middle:.1f} min of {len(done)}")
        if left:
            axes.plot(
                *zip(*left, strict=True),
                ls="",
                marker="x",
                ms=7,
                clip_on=False,
                color="#c8553d",
                label=f"{name}: abandoned, {len(left)}",
            )
    axes.set_xlabel("Run, in the order of their starts")
    axes.set_ylabel("Duration / min")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False)
    axes.set_title("Runs of the line", fontsize=10)
    return figure
