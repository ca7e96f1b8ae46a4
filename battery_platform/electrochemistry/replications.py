"""Published values compared with ours and stored in the lake: `replicate 002`.

The discharges are those of any sweep, so that none is solved twice.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    restored,
    run_id,
    sweep,
    unsolved,
)
from battery_platform.errors import PlatformError
from battery_platform.made.fingerprint import fingerprint
from battery_platform.made.kept import Basis, Kept, Made, now, unless_same
from battery_platform.made.products import made_from
from battery_platform.made.studies import Progress, Studied, silent
from battery_platform.store.lakehouse import Lakehouse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPERS = ("002",)


def replicated(lake: Lakehouse, paper: str, progress: Progress = silent) -> Kept:
    """Recompute every published value of a paper, and store both."""
    if paper not in PAPERS:
        raise PlatformError(
            f"Paper '{paper}' cannot be replicated yet.", f"There is: {', '.join(PAPERS)}."
        )
    basis = Basis(fingerprint(replicated), digest(GRADED))
    return unless_same(
        lake,
        "replications",
        {"paper_id": [paper]},
        basis,
        lambda: _made(lake, paper, basis, progress),
    )


def _made(lake: Lakehouse, paper: str, basis: Basis, progress: Progress) -> Made:
    results: dict[Design, Result] = {}
    asked: dict[Design, None] = {}

    def answer(designs: Sequence[Design]) -> list[Result]:
        asked.update(dict.fromkeys(designs))
        return [results.get(wanted) or unsolved(wanted) for wanted in designs]

    replicate(solve=answer)  # collects all discharges, so that one sweep solves them
    rows = sweep(lake, list(asked), progress).rows
    results |= {wanted: restored(row, wanted) for wanted, row in zip(asked, rows, strict=True)}
    compared = replicate(solve=answer)
    name = f"replication/{paper}"
    return Made(
        {
            "replications": [_row(paper, place, row, basis) for place, row in enumerate(compared)],
            "made_from": made_from("replication", name, "graded discharge", map(run_id, asked)),
        },
        {"made_from": {"child_kind": ["replication"], "child_id": [name]}},
    )


def _row(paper: str, place: int, compared: Row, basis: Basis) -> dict[str, Any]:
    return {
        "paper_id": paper,
        "place": place,
        "quantity": compared.quantity,
        "case_name": compared.case,
        "paper": compared.paper,
        "ours": compared.ours,
        "unit": compared.unit,
        "deviation_pct": None if compared.deviation is None else 100 * compared.deviation,
        "tolerance": float(compared.tolerance),
        "rule": compared.rule,
        "passed": compared.passed,
        "source": compared.source,
        "assumptions_hash": basis.parameters,
        "code_version": basis.code,
        "made_at": now(),
    }


def figure(rows: list[dict[str, Any]]) -> Figure:
    """Our values against the paper's, for quantities with a number in both."""
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


def ragone_002(lake: Lakehouse, progress: Progress = silent) -> Studied:
    """The uniform cells and profile no. 1 of the paper at all rates, each cell with its name."""
    designs = {
        f"case {case}, {um:g} µm, {'uniform' if number is None else 'no. 1'}": (case, number, um)
        for case in CASES
        for um in THICKNESSES_UM
        for number in (None, 1)
    }
    asked = [(name, design(*cell, rate)) for name, cell in designs.items() for rate in C_RATES]
    studied = sweep(lake, [wanted for _, wanted in asked], progress)
    named = [
        row | {"cell": name, "subject": name}
        for (name, _), row in zip(asked, studied.rows, strict=True)
    ]
    return Studied(named, studied.solved)
