"""How far a headline result moves when one assumption goes to the ends of its range.

The gain of the paper's best graded cell over the uniform one rests on numbers that the paper does
not print. One at a time each goes to both ends; what both cells then deliver stands in the lake.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from battery_platform.electrochemistry.assumptions import Assumption, changed, digest
from battery_platform.electrochemistry.graded import cell
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.replication import design
from battery_platform.electrochemistry.graded_runs import code_version
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.products import put

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = "002"
CASE, THICKNESS_UM, C_RATE = 2, 160.0, 5.0
"""The cell of the paper's headline: 325 % more energy at 5C."""
SHOWN = 14


def effects(lake: Lakehouse) -> tuple[list[dict[str, Any]], bool]:
    """Rows of the lake, or new ones where assumptions or code changed; true if they are new."""
    kept = lake.records("SELECT * FROM assumption_effects WHERE paper_id = ?", [PAPER])
    wanted = (digest(GRADED), code_version())
    if kept and {(row["assumptions_hash"], row["code_version"]) for row in kept} == {wanted}:
        return kept, False
    rows = [_row(None, "chosen", 0.0)]
    for one in GRADED:
        if isinstance(one.value, str):
            continue
        for end, value in (("low", one.low), ("high", one.high)):
            if isinstance(value, int | float) and value != one.value:
                rows.append(_row(one, end, float(value)))
    put(
        lake, {"assumption_effects": rows}, instead_of={"assumption_effects": ("paper_id", [PAPER])}
    )
    return rows, True


def _row(one: Assumption | None, end: str, value: float) -> dict[str, Any]:
    assumptions = GRADED if one is None else changed(GRADED, **{one.name: value})
    flat, graded = cell.solve(
        [design(CASE, number, THICKNESS_UM, C_RATE) for number in (None, 1)], assumptions
    )
    both = flat.energy_wh_kg, graded.energy_wh_kg
    gain = 100 * (both[1] / both[0] - 1) if both[0] and both[1] is not None else None
    return {
        "paper_id": PAPER,
        "assumption": one.name if one else "as chosen",
        "end": end,
        "value": value,
        "unit": one.unit if one else "",
        "energy_uniform_wh_kg": both[0],
        "energy_graded_wh_kg": both[1],
        "gain_pct": gain,
        "assumptions_hash": digest(GRADED),
        "code_version": code_version(),
        "made_at": datetime.now(UTC).replace(tzinfo=None),
    }


def figure(rows: list[dict[str, Any]]) -> Figure:
    """The gain at both ends of each assumption, those that move it most on top."""
    from matplotlib.figure import Figure

    (chosen,) = (float(row["gain_pct"]) for row in rows if row["end"] == "chosen")
    gains: dict[str, list[tuple[str, float, float]]] = {}
    for row in rows:
        if row["end"] != "chosen" and row["gain_pct"] is not None:
            one = (str(row["end"]), float(row["value"]), float(row["gain_pct"]))
            gains.setdefault(row["assumption"], []).append(one)
    names = sorted(gains, key=lambda name: max(abs(g - chosen) for _, _, g in gains[name]))[-SHOWN:]
    made = Figure(figsize=(8, 0.36 * len(names) + 1.4), layout="constrained")
    axes = made.add_subplot()
    for place, name in enumerate(names):
        for end, value, gain in gains[name]:
            colour, shift = ("#1f5fa8", 0.17) if end == "low" else ("#c8553d", -0.17)
            axes.barh(place + shift, gain - chosen, left=chosen, color=colour, height=0.32)
            side = "left" if gain >= chosen else "right"
            axes.text(gain, place + shift, f" {value:g} ", ha=side, va="center", fontsize=6)
    axes.axvline(chosen, color="#333333", lw=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=7.5)
    axes.margins(x=0.14)
    axes.set_xlabel("Energy of profile no. 1 over uniform at 5C, 160 µm, case 2 / %")
    axes.set_title(
        f"Gain of {chosen:.0f} % when one assumption goes to its low (blue) or high (red) end",
        fontsize=9,
    )
    return made
