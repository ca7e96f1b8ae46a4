"""How much a headline result changes when one assumption is moved to either end of its range.

The gain of the paper's best graded cell over the uniform one depends on numbers that the paper does not
print. One at a time, each is moved to both ends of its range; the energies of both cells are stored in
the lake.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from battery_platform.compute.batches import map_batches
from battery_platform.electrochemistry.assumptions import Assumption, changed, digest
from battery_platform.electrochemistry.graded import cell
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.replication import design
from battery_platform.electrochemistry.solving import LIMIT_S
from battery_platform.errors import PlatformError
from battery_platform.made.fingerprint import fingerprint
from battery_platform.made.kept import Basis, Kept, Made, now, unless_same
from battery_platform.store.lakehouse import Lakehouse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = "002"
CASE, THICKNESS_UM, C_RATE = 2, 160.0, 5.0
"""The cell of the paper's headline: 325 % more energy at 5C."""
SHOWN = 14


@dataclass(frozen=True)
class Change:
    """An assumption at one end of its range; None for the assumptions as chosen."""

    assumption: Assumption | None
    end: str
    value: float


Energies = tuple[float | None, float | None]
"""Energies of the uniform and of the graded cell, in Wh/kg."""


def effects(lake: Lakehouse) -> Kept:
    """The result at both ends of the range of each assumption."""
    basis = Basis(fingerprint(effects), digest(GRADED))
    return unless_same(
        lake, "assumption_effects", {"paper_id": [PAPER]}, basis, lambda: _made(lake, basis)
    )


def _made(lake: Lakehouse, basis: Basis) -> Made:
    changes = [Change(None, "chosen", 0.0)]
    for assumption in GRADED:
        if isinstance(assumption.value, str):
            continue
        for end, value in (("low", assumption.low), ("high", assumption.high)):
            if isinstance(value, int | float) and value != assumption.value:
                changes.append(Change(assumption, end, float(value)))
    energies: dict[int, Energies] = {}
    for done in map_batches(
        solve_changes, changes, settings=lake.settings, batch=4, limit_s=2 * LIMIT_S
    ):
        if done.result is None:
            change = changes[done.index]
            raise PlatformError(
                f"With {change.assumption.name if change.assumption else 'the chosen assumptions'} at "
                f"{change.value:g} the cells are not solved: {done.error}.",
                "Run it again; if it fails again, narrow the range of the assumption.",
            )
        energies[done.index] = done.result
    rows = [_row(change, energies[place], basis) for place, change in enumerate(changes)]
    return Made({"assumption_effects": rows})


def solve_changes(changes: Sequence[Change]) -> Iterator[Energies]:
    """Solve both cells for one change at a time, in a worker process."""
    designs = [design(CASE, number, THICKNESS_UM, C_RATE) for number in (None, 1)]
    for change in changes:
        changing = change.assumption
        assumptions = changed(GRADED, **{changing.name: change.value}) if changing else GRADED
        flat, graded = cell.solve(designs, assumptions)
        yield flat.energy_wh_kg, graded.energy_wh_kg


def _row(change: Change, energies: Energies, basis: Basis) -> dict[str, Any]:
    flat, graded = energies
    return {
        "paper_id": PAPER,
        "assumption": change.assumption.name if change.assumption else "as chosen",
        "end": change.end,
        "value": change.value,
        "unit": change.assumption.unit if change.assumption else "",
        "energy_uniform_wh_kg": flat,
        "energy_graded_wh_kg": graded,
        "gain_pct": 100 * (graded / flat - 1) if flat and graded is not None else None,
        "assumptions_hash": basis.parameters,
        "code_version": basis.code,
        "made_at": now(),
    }


def figure(rows: list[dict[str, Any]]) -> Figure:
    """The gain at both ends of each assumption, the most influential ones on top."""
    from matplotlib.figure import Figure

    (chosen,) = (float(row["gain_pct"]) for row in rows if row["end"] == "chosen")
    gains: dict[str, list[tuple[str, float, float]]] = {}
    for row in rows:
        if row["end"] != "chosen" and row["gain_pct"] is not None:
            at_end = (str(row["end"]), float(row["value"]), float(row["gain_pct"]))
            gains.setdefault(row["assumption"], []).append(at_end)
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
