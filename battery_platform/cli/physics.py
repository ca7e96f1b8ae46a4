"""Verbs of physics: discharges of half cells and graded full cells, and papers computed again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from battery_platform.cli.printing import SYNTHETIC, AsJson, err, open_lake, out, show
from battery_platform.errors import PlatformError

if TYPE_CHECKING:
    from battery_platform.electrochemistry.half_cell import Electrode

LARGEST_NUMBER = 1e12

simulate_app = typer.Typer(no_args_is_help=True, help="Physics of electrodes and cells.")


@simulate_app.command("graded")
def simulate_graded(
    chosen: Annotated[
        Path,
        typer.Option(
            "--design",
            help="JSON file: positive and negative (ten active fractions each, from separator to "
            "collector; left out for uniform), positive_mean, negative_mean, positive_um, and c_rate "
            "(a number or a list).",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Discharge a full cell with graded electrodes (PyBaMM, DFN); asked again, the lake answers."""
    from battery_platform.electrochemistry.designs import read_designs
    from battery_platform.electrochemistry.sweeps import sweep

    designs = read_designs(chosen)
    opened = open_lake()
    before = opened.value("SELECT count(*) FROM graded_discharges")
    with solving(quiet=as_json) as step:
        rows = sweep(opened, designs, step)
    new = opened.value("SELECT count(*) FROM graded_discharges") - before
    names = ("c_rate", "specific_energy_wh_kg", "specific_power_w_kg", "areal_capacity_mah_cm2")
    more = ("temperature_rise_k", "discharge_time_s", "ended_by", "electrolyte_depleted")
    show(rows if as_json else [{n: row[n] for n in (*names, *more)} for row in rows], as_json)
    for row in rows:
        if row["failed"]:
            err.print(Text(f"{row['c_rate']:g}C: {row['reason']}", style="red"), soft_wrap=True)
    if not as_json:
        err.print(f"{new} solved, {len(rows) - new} from the lake")
    if any(row["failed"] for row in rows):
        raise SystemExit(1)


def replicate(
    paper: Annotated[str, typer.Argument(help="Number of the paper: 002.")],
    picture: Annotated[Path | None, typer.Option(help="Draw ours against the paper's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute a paper's published values again and show both, with tolerance and verdict.

    Exit status 1 if a value lies outside its tolerance.
    """
    from battery_platform.electrochemistry.replications import figure, replicated

    opened = open_lake()
    with solving(quiet=as_json) as step:
        rows = replicated(opened, paper, step)
    names = {"quantity": "quantity", "case_name": "case", "paper": "paper", "ours": "ours"}
    names |= {"deviation_pct": "deviation_pct", "tolerance": "tolerance", "passed": "passed"}
    more = {"unit": "unit", "rule": "rule", "source": "source"} if as_json else {}
    show([{said: row[name] for name, said in (names | more).items()} for row in rows], as_json)
    if picture is not None:
        figure(rows).savefig(picture)
    missed = sum(not row["passed"] for row in rows)
    if not as_json:
        err.print(f"{len(rows) - missed} of {len(rows)} passed")
    if missed:
        raise SystemExit(1)


@contextlib.contextmanager
def solving(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time that is left."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    if quiet or not err.is_terminal:
        yield lambda done, total: None
        return
    columns = ("solving", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("solving", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@simulate_app.command("half-cell")
def simulate_half_cell(
    chosen: Annotated[
        str,
        typer.Option(
            "--design",
            help="A design_id, or a JSON file with mass_loading_mg_cm2, loading_basis, porosity_pct, "
            "active_material_pct, and perhaps thickness_um and is_synthetic.",
        ),
    ],
    c_rate: Annotated[float, typer.Option(help="Multiple of 1C.")] = 1.0,
    lower_v: Annotated[float, typer.Option(help="Cut-off in volts against lithium.")] = 3.2,
    picture: Annotated[Path | None, typer.Option(help="Draw the curve into this PNG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Discharge an electrode against lithium (PyBaMM, DFN); asked again, the lake answers."""
    from battery_platform.design.inverse import find
    from battery_platform.electrochemistry.runs import curve_figure, electrode_of, simulate

    opened = open_lake()
    if chosen.lower().endswith(".json"):
        electrode, synthetic = _electrode(Path(chosen))
        design_id = None
    else:
        found = find(opened, chosen)
        electrode, design_id, synthetic = electrode_of(found), chosen, found["is_synthetic"]
    row, new = simulate(opened, electrode, synthetic, design_id, c_rate, lower_v)
    if picture is not None and not row["failed"]:
        try:
            curve_figure(opened, row).savefig(picture)
        except (OSError, ValueError) as error:
            raise PlatformError(
                f"{picture} cannot be drawn: {' '.join(str(error).split())[:150]}.",
                "Name a .png, .svg or .pdf in a folder that is there.",
            ) from error
        err.print(f"wrote {picture}")
    if as_json:
        show([row], True)
    else:
        if row["is_synthetic"]:
            out.print(Text(SYNTHETIC, style="bold red"))
        hidden = {"curve_hash", "assumptions_hash", "solver", "model"}
        show([{name: value for name, value in row.items() if name not in hidden}], False)
        out.print("Simulated now." if new else "Answered from the lake.")
        out.print("The active material is taken for NMC111, whatever the electrode's is.")
        out.print('What no data give: battery-platform sql "from assumptions"')
    if row["failed"]:
        raise PlatformError(f"The solver gave up: {row['end_reason']}", "Try a lower --c-rate.")


def _electrode(path: Path) -> tuple[Electrode, bool]:
    """An electrode somebody wrote down, and whether it says to be synthetic."""
    from dataclasses import fields

    from battery_platform.electrochemistry.half_cell import Electrode

    names = [one.name for one in fields(Electrode)]
    wanted = f"Give an object with {', '.join(names)}; thickness_um may be left out."
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise PlatformError(f"{path} cannot be read as JSON: {error}.", wanted) from error
    if not isinstance(given, dict):
        raise PlatformError(f"{path} holds no object.", wanted)
    synthetic = given.pop("is_synthetic", False)
    wrong = [
        *(f"{name} is missing" for name in names if name not in given and name != "thickness_um"),
        *(f"{name} is unknown" for name in given if name not in names),
        *(
            f"{name} is {value!r}, a number is expected"
            for name, value in given.items()
            if name in names
            and name != "loading_basis"
            and (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or abs(value) > LARGEST_NUMBER
            )
            and not (name == "thickness_um" and value is None)
        ),
        *([] if isinstance(synthetic, bool) else ["is_synthetic must be true or false"]),
    ]
    if wrong:
        raise PlatformError(f"{path}: {'; '.join(wrong)}.", wanted)
    return Electrode(**given), synthetic
