"""Verbs of physics: discharges of half cells and graded full cells, and papers computed again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from battery_platform.cli.printing import SYNTHETIC, AsJson, err, open_lake, out, show
from battery_platform.errors import PlatformError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from battery_platform.electrochemistry.half_cell_runs import Asked
    from battery_platform.store.lakehouse import Lakehouse

TABLE_FILES = (".csv", ".tsv", ".txt", ".xlsx", ".xls", ".parquet")
PICTURES = (".png", ".svg", ".pdf")
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
    layers: Annotated[
        int | None,
        typer.Option(
            help="Simulate besides the coating in this many layers that fits the profiles best, and "
            "tell what it loses."
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the curves, and energy against power.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Discharge a full cell with graded electrodes (PyBaMM, DFN); asked again, the lake answers."""
    from battery_platform.electrochemistry.designs import in_layers, layer_plan, read_designs
    from battery_platform.electrochemistry.graded_runs import sweep
    from battery_platform.electrochemistry.kept_assumptions import keep_assumptions

    check_picture(picture)
    designs = read_designs(chosen)
    layered = [] if layers is None else [in_layers(one, layers) for one in designs]
    opened = open_lake()
    keep_assumptions(opened)
    with solving(quiet=as_json) as step:
        rows = sweep(opened, [*designs, *layered], step).rows
    shown = [_graded_row(row) for row in rows[: len(designs)]]
    for row, other in zip(shown, rows[len(designs) :], strict=False):
        row |= {"in_layers_wh_kg": other["specific_energy_wh_kg"], "lost_pct": _lost(row, other)}
    show(rows if as_json else shown, as_json)
    if layered and not as_json:
        show(layer_plan(layered[0]), False)
    for row in rows:
        if row["failed"]:
            err.print(Text(f"{row['c_rate']:g}C: {row['reason']}", style="red"), soft_wrap=True)
    if picture is not None:
        from battery_platform.electrochemistry.pictures import graded_figure

        _draw(graded_figure(rows), picture)
    if not as_json:
        err.print(f"{step.solved} solved, {len(rows) - step.solved} from the lake")
    if any(row["failed"] for row in rows):
        raise SystemExit(1)


def _graded_row(row: dict[str, Any]) -> dict[str, Any]:
    names = ("c_rate", "specific_energy_wh_kg", "specific_power_w_kg", "areal_capacity_mah_cm2")
    more = ("temperature_rise_k", "discharge_time_s", "ended_by", "electrolyte_depleted")
    return {name: row[name] for name in (*names, *more)}


def _lost(row: dict[str, Any], other: dict[str, Any]) -> float | None:
    energy, layered = row["specific_energy_wh_kg"], other["specific_energy_wh_kg"]
    return 100 * (1 - layered / energy) if energy and layered is not None else None


def _draw(figure: Figure, path: Path) -> None:
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise PlatformError(
            f"{path} cannot be drawn: {' '.join(str(error).split())[:150]}.",
            "Name a .png, .svg or .pdf in a folder that is there.",
        ) from error
    err.print(f"wrote {path}")


def replicate(
    paper: Annotated[str, typer.Argument(help="Number of the paper: 002.")],
    picture: Annotated[Path | None, typer.Option(help="Draw ours against the paper's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute a paper's published values again and show both, with tolerance and verdict.

    Exit status 1 if a value lies outside its tolerance.
    """
    from battery_platform.electrochemistry.replications import figure, replicated

    check_picture(picture)
    opened = open_lake()
    with solving(quiet=as_json) as step:
        rows = replicated(opened, paper, step).rows
    names = {"quantity": "quantity", "case_name": "case", "paper": "paper", "ours": "ours"}
    names |= {"deviation_pct": "deviation_pct", "tolerance": "tolerance", "passed": "passed"}
    more = {"unit": "unit", "rule": "rule", "source": "source"} if as_json else {}
    show([{said: row[name] for name, said in (names | more).items()} for row in rows], as_json)
    if picture is not None:
        _draw(figure(rows), picture)
    missed = sum(not row["passed"] for row in rows)
    if not as_json:
        err.print(f"{len(rows) - missed} of {len(rows)} passed")
    if missed:
        raise SystemExit(1)


class Steps:
    """Counts what was solved here, and moves the bar if there is one."""

    def __init__(self, show: Callable[[int, int], None]) -> None:
        self.show = show
        self.first: int | None = None
        self.solved = 0

    def __call__(self, done: int, total: int) -> None:
        self.first = done if self.first is None else self.first
        self.solved = done - self.first
        self.show(done, total)


@contextlib.contextmanager
def solving(quiet: bool) -> Iterator[Steps]:
    """A bar with the time that is left."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    if quiet or not err.is_terminal:
        yield Steps(lambda done, total: None)
        return
    columns = ("solving", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("solving", total=None)
        yield Steps(lambda done, total: bar.update(task, completed=done, total=total))


def check_picture(path: Path | None) -> None:
    """Refuse a place for a picture before anything is solved for it."""
    if path is not None and (
        path.suffix.lower() not in PICTURES or not path.absolute().parent.is_dir()
    ):
        raise PlatformError(
            f"{path} cannot be drawn.", "Name a .png, .svg or .pdf in a folder that is there."
        )


@simulate_app.command("half-cell")
def simulate_half_cell(
    chosen: Annotated[
        str,
        typer.Option(
            "--design",
            help="A design_id; a JSON file with mass_loading_mg_cm2, loading_basis, porosity_pct, "
            "active_material_pct, and perhaps thickness_um, tortuosity_factor, specific_surface_1_um, "
            "electronic_conductivity_s_m, size_shares, is_synthetic; a CSV file with such columns; or a "
            "table of the lake, such as mart_electrodes.",
        ),
    ],
    c_rate: Annotated[
        list[float] | None, typer.Option(help="Multiple of 1C; may be given several times.")
    ] = None,
    lower_v: Annotated[float, typer.Option(help="Cut-off in volts against lithium.")] = 3.2,
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw the curve; of many electrodes, energy against power."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Discharge electrodes against lithium (PyBaMM, DFN); asked again, the lake answers.

    What is not given is derived from the assumptions and named in `derived`.
    """
    from battery_platform.electrochemistry.half_cell_runs import sweep
    from battery_platform.electrochemistry.kept_assumptions import keep_assumptions

    check_picture(picture)
    opened = open_lake()
    asked, refused = _electrodes(opened, chosen, c_rate or [1.0], lower_v)
    keep_assumptions(opened)
    with solving(quiet=as_json) as step:
        rows = sweep(opened, asked, step).rows
    _tell_refused(refused)
    if not rows:
        raise PlatformError(
            f"{chosen} holds no electrode that can be discharged.", "Hand in one row per electrode."
        )
    if as_json:
        show(rows, True)
    else:
        _show_discharges(rows)
        err.print(f"{step.solved} solved, {len(rows) - step.solved} from the lake")
    if picture is not None:
        _draw(_half_cell_figure(rows), picture)
    for row in rows:
        if row["ended_by"] == "cut-off voltage at the start":
            said = f"{row['subject'] or chosen}, {row['c_rate']:g}C"
            err.print(
                Text(
                    f"{said}: below {row['lower_cutoff_v']:g} V at once: it delivers nothing.",
                    "yellow",
                ),
                soft_wrap=True,
            )
        if row["failed"]:
            said = f"{row['subject'] or chosen}, {row['c_rate']:g}C: {row['reason']}"
            err.print(Text(f"The solver gave up: {said}", style="red"), soft_wrap=True)
    if refused or any(row["failed"] for row in rows):
        raise SystemExit(1)


def _tell_refused(refused: list[tuple[str, str]]) -> None:
    """Each reason once, with the rows that it holds for."""
    by_reason: dict[str, list[str]] = {}
    for subject, reason in refused:
        by_reason.setdefault(reason, []).append(subject)
    for reason, subjects in by_reason.items():
        said = f"{len(subjects)} rows are left out" if len(subjects) > 1 else "is left out"
        named = ", ".join(subjects[:3]) + (" and more" if len(subjects) > 3 else "")
        text = f"{named}: {said}: {reason}" if len(subjects) == 1 else f"{said} ({named}): {reason}"
        err.print(Text(text, style="red"), soft_wrap=True)


def _electrodes(
    lake: Lakehouse, chosen: str, c_rates: list[float], lower_v: float
) -> tuple[list[Asked], list[tuple[str, str]]]:
    """What was asked for, and rows of a table that cannot be."""
    from battery_platform.design.physics import electrode_of
    from battery_platform.design.stored import find
    from battery_platform.electrochemistry.designs import read_electrode
    from battery_platform.electrochemistry.electrode_tables import of_frame, of_table
    from battery_platform.electrochemistry.half_cell.cell import HalfCell, check_half_cell
    from battery_platform.electrochemistry.half_cell_runs import Asked, at_rates

    if chosen.lower().endswith(TABLE_FILES):
        from battery_platform.records.recipes import read_table

        read = read_table(Path(chosen), lake.settings)
        for note in read.notes:
            err.print(Text(note, style="dim"), soft_wrap=True)
        many = of_frame(read.frame, Path(chosen).name, c_rates, lower_v, read.decimal)
        return many.asked, many.refused + read.problems
    if chosen in lake.tables():
        many = of_table(lake, chosen, c_rates, lower_v)
        return many.asked, many.refused
    if chosen.lower().endswith(".json"):
        electrode, synthetic = read_electrode(Path(chosen))
        one = Asked(HalfCell(electrode, 1.0, lower_v), synthetic)
    else:
        one = electrode_of(find(lake, chosen))
        one = replace(one, cell=replace(one.cell, lower_v=lower_v))
    asked = at_rates(one, c_rates)
    for each in asked:
        check_half_cell(each.cell)
    return asked, []


def _half_cell_figure(rows: list[dict[str, Any]]) -> Figure:
    from battery_platform.electrochemistry.half_cell_runs import curve_figure
    from battery_platform.electrochemistry.pictures import branches_figure, ragone_figure

    if len(rows) == 1:
        return curve_figure(rows[0])
    if len({row["subject"] for row in rows}) == 1:
        return ragone_figure(rows, "subject", "Half cell")
    return branches_figure(rows, f"{len(rows)} discharges of half cells")


def _show_discharges(rows: list[dict[str, Any]]) -> None:
    if any(row["is_synthetic"] for row in rows):
        out.print(Text(SYNTHETIC, style="bold red"))
    hidden = {"curve_time_s", "curve_voltage_v", "assumptions_hash", "code_version", "solver"}
    if len(rows) == 1:
        show([{name: value for name, value in rows[0].items() if name not in hidden}], False)
    else:
        names = ("subject", "c_rate", "specific_energy_wh_kg", "specific_power_w_kg")
        more = ("capacity_mah_g", "discharge_time_s", "limited_by", "ended_by")
        show([{name: row[name] for name in (*names, *more)} for row in rows], False)
    out.print("The active material is taken for NMC111, whatever the electrode's is.")
    out.print('What no data give: battery-platform sql "from assumptions"')
