"""Published values beside ours, kept in the lake: `replicate 002`.

The discharges are those of any sweep, so that what was solved once is not solved for a second
look.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from battery_platform.electrochemistry.assumptions import digest
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.cell import Design, Result
from battery_platform.electrochemistry.graded.replication import (
    C_RATES,
    CASES,
    THICKNESSES_UM,
    Row,
    design,
    replicate,
)
from battery_platform.electrochemistry.graded_runs import (
    code_version,
    restored,
    sweep,
    unsolved,
)
from battery_platform.electrochemistry.sweeps import Progress
from battery_platform.errors import PlatformError
from battery_platform.store.builds import code_digest
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.products import put

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPERS = ("002",)


def replicated(
    lake: Lakehouse, paper: str, progress: Progress = lambda done, total: None
) -> list[dict[str, Any]]:
    """Compute every published value of a paper again, and keep both."""
    if paper not in PAPERS:
        raise PlatformError(
            f"Paper '{paper}' cannot be replicated yet.", f"There is: {', '.join(PAPERS)}."
        )
    known = lake.records("SELECT * FROM replications WHERE paper_id = ?", [paper])
    wanted_hashes = (digest(GRADED), replication_version())
    if known and {(row["assumptions_hash"], row["code_version"]) for row in known} == {
        wanted_hashes
    }:
        return sorted(known, key=lambda row: row["place"])
    kept: dict[Design, Result] = {}
    asked: list[Design] = []

    def answer(designs: Sequence[Design]) -> list[Result]:
        asked.extend(one for one in designs if one not in kept)
        return [kept.get(one) or unsolved(one) for one in designs]

    replicate(solve=answer)  # asks for all discharges, so that one sweep solves them
    wanted = list(dict.fromkeys(asked))
    rows_of = sweep(lake, wanted, progress)
    kept |= {one: restored(row, one) for one, row in zip(wanted, rows_of, strict=True)}
    found = replicate(solve=answer)
    rows = [_row(paper, place, one) for place, one in enumerate(found)]
    put(lake, {"replications": rows}, instead_of={"replications": ("paper_id", [paper])})
    return rows


def replication_version() -> str:
    """Hash of the code that decides what is compared, and what it comes to."""
    return f"{code_version()}-{code_digest(Path(__file__).parent / 'graded')}"


def _row(paper: str, place: int, one: Row) -> dict[str, Any]:
    return {
        "paper_id": paper,
        "place": place,
        "quantity": one.quantity,
        "case_name": one.case,
        "paper": one.paper,
        "ours": one.ours,
        "unit": one.unit,
        "deviation_pct": None if one.deviation is None else 100 * one.deviation,
        "tolerance": float(one.tolerance),
        "rule": one.rule,
        "passed": one.passed,
        "source": one.source,
        "assumptions_hash": digest(GRADED),
        "code_version": replication_version(),
        "made_at": datetime.now(UTC).replace(tzinfo=None),
    }


def figure(rows: list[dict[str, Any]]) -> Figure:
    """Ours against the paper's, for what has a number in both."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(6, 5.4), layout="constrained")
    axes = made.add_subplot()
    both = [row for row in rows if row["unit"] == "Wh/kg" and row["ours"] is not None]
    for arrangement, colour in (("uniform", "#1f5fa8"), ("no. 1", "#c8553d")):
        some = [row for row in both if row["quantity"].endswith(arrangement)]
        axes.scatter(
            [row["paper"] for row in some],
            [row["ours"] for row in some],
            color=colour,
            s=28,
            label=f"{arrangement}, {len(some)} values",
        )
    top = 1.05 * max((max(row["paper"], row["ours"]) for row in both), default=1.0)
    axes.plot([0, top], [0, top], color="#666666", lw=0.8)
    for share in (0.9, 1.1):
        axes.plot([0, top], [0, share * top], color="#bbbbbb", lw=0.7, ls="--")
    axes.set_xlabel("Paper 002, table 4 / Wh kg⁻¹")
    axes.set_ylabel("Ours / Wh kg⁻¹")
    axes.legend(frameon=False, fontsize=8)
    axes.set_title("Specific energy at 5C; dashed lines: 10 %", fontsize=10)
    return made


def ragone_002(
    lake: Lakehouse, progress: Progress = lambda done, total: None
) -> list[dict[str, Any]]:
    """The uniform cells and profile no. 1 of the paper at all rates, each with its name."""
    designs = {
        f"case {case}, {um:g} µm, {'uniform' if number is None else 'no. 1'}": (case, number, um)
        for case in CASES
        for um in THICKNESSES_UM
        for number in (None, 1)
    }
    asked = [(name, design(*parts, rate)) for name, parts in designs.items() for rate in C_RATES]
    rows = sweep(lake, [one for _, one in asked], progress)
    return [
        row | {"cell": name, "subject": name} for (name, _), row in zip(asked, rows, strict=True)
    ]
