"""Verbs that run and look at the platform itself: refresh, ui, sql, trace, doctor, backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from battery_platform.cli.printing import (
    AsJson,
    err,
    fail,
    open_lake,
    out,
    probability,
    show,
)
from battery_platform.errors import PlatformError
from battery_platform.settings import Settings

if TYPE_CHECKING:
    from battery_platform.backup import Backup
    from battery_platform.refresh import State


def refresh(
    size: Annotated[
        str,
        typer.Option(help="demo, nightly or full: how many synthetic batches and graded cells."),
    ] = "demo",
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build the marts even with nothing new.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take all sources, judge them, build the marts, train, design, simulate, read, publish.

    With nothing new the marts stay; models are trained only if data, code or parameters changed.
    """
    from battery_platform.refresh import run_refresh
    from battery_platform.sizes import SIZES

    if size not in SIZES:
        raise typer.BadParameter(f"'{size}' is none of {', '.join(SIZES)}", param_hint="--size")
    quiet = as_json

    def say(words: str) -> None:
        err.print(Text(words), soft_wrap=True)

    def step(name: str, seconds: float, state: State) -> None:
        if quiet:
            return
        if state == "begun":
            err.print(Text(f"  {name} ...", style="dim"))
        else:
            err.print(
                _MARKS[state].copy().append(f"{name} ({seconds:.1f} s)", style="default"),
                soft_wrap=True,
            )

    done = run_refresh(Settings.from_env(), size, step, say, rebuild)
    if as_json:
        show([done.as_row()], True)
    else:
        show(done.sources, False, title="Sources", empty="no file was taken yet")
        show(done.marts, False, title=f"Marts at snapshot {done.snapshot}")
        show(done.models, False, title="Models", empty="no model yet")
        show(
            [
                {_BRIEF.get(name, name): value for name, value in row.items()}
                | {"probability": probability(row["probability"])}
                for row in done.designs
                if row["probability"] >= SLIGHTEST
            ],
            False,
            title="Recommended recipes",
            empty="no recipe yet",
        )
        for row in done.designs:
            if row["probability"] < SLIGHTEST:
                out.print(Text(f"No recipe within the data meets {_wanted(row)}."), soft_wrap=True)
        show(done.literature, False, title="Literature", empty="no text yet")
        out.print(
            f"{'Done' if done.ok else 'FAILED'} in {done.seconds:.1f} s; {done.quarantined} row(s) in quarantine."
        )
        if done.ok:
            out.print(
                "Next: [bold]battery-platform ui[/bold] for the asset graph, "
                "[bold]battery-platform quarantine list[/bold], "
                "[bold]battery-platform ingest FILE.csv[/bold], "
                "[bold]battery-platform models card mass-loading[/bold], "
                '[bold]battery-platform design --target "mass_loading_mg_cm2=15,porosity_pct=50"[/bold].'
            )
    if not done.ok:
        fail("; ".join(done.failures) or "the refresh failed")


SLIGHTEST = 0.01
"""A recipe that is less likely to meet its target is not recommended."""


def _wanted(row: dict[str, Any]) -> str:
    wanted = {
        name.removeprefix("target_"): value
        for name, value in row.items()
        if name.startswith("target_") and value is not None
    }
    return " and ".join(f"{name} = {value:g}" for name, value in wanted.items())


_MARKS = {
    "ok": Text("  ok      ", style="green"),
    "failed": Text("  FAILED  ", style="bold red"),
    "stopped": Text("  stopped ", style="yellow"),
}
_BRIEF = {
    "target_mass_loading_mg_cm2": "mg/cm²",
    "target_porosity_pct": "porosity %",
    "active_material_pct": "active %",
    "solid_content_pct": "solids %",
    "viscosity_pa_s": "Pa·s",
    "comma_gap_um": "gap µm",
    "specific_energy_wh_kg": "Wh/kg",
    "specific_power_w_kg": "W/kg",
    "is_synthetic": "synthetic",
}


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster page.")] = 3000,
    registry_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the model registry's page.")
    ] = 5000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the Dagster UI with its daemon, so that schedules and sensors tick, and the registry's."""
    from battery_platform.ui import serve

    status = serve(
        Settings.from_env(), host, port, registry_port, lambda said: err.print(said, soft_wrap=True)
    )
    if status:
        raise SystemExit(1)


def sql(
    query: Annotated[
        str, typer.Argument(help='A query, e.g. "select * from mart_electrodes limit 5".')
    ],
    at: Annotated[
        int | None, typer.Option(min=0, help="Snapshot to read, for time travel.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.001, max=86400, help="Stop the query after this time.")
    ] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Ask the lake one question, read only; it answers while a refresh is running.

    Nothing outside the lake can be read, and nothing written: no files, no other database, no settings.
    """
    show(open_lake().ask(query, at, seconds), as_json, empty="no rows")


def trace(
    identifier: Annotated[
        str,
        typer.Argument(
            help="A record's id, a recipe_id, a file name or file_id, a model version such as "
            "mass-loading/1 or mass-loading@champion, a design, a discharge or a document."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Where something comes from, to file and line; what rests on it and would fall with it.

    A recommendation leads to its model versions, their snapshots and every line they were trained
    on; a file leads forward to records, marts, versions, designs and discharges.
    """
    from dataclasses import asdict

    from battery_platform.backup import place_now
    from battery_platform.made.trace import line_of
    from battery_platform.made.trace import trace as walk
    from battery_platform.models.registry import aliases
    from battery_platform.models.specification import MODELS

    name, _, alias = identifier.removeprefix("models:/").partition("@")
    if name in MODELS:
        alias = alias or "champion"
        version = aliases(Settings.from_env(), name).get(alias)
        if version is None:
            raise PlatformError(
                f"No version of {name} is called {alias}.",
                "`battery-platform models list` shows them.",
            )
        identifier = f"{name}/{version}"
    found = walk(open_lake(), identifier)
    for origin in found.origins:
        if origin.get("row_number") and origin["path"]:
            place = place_now(Settings.from_env(), origin["path"])
            origin["line"] = line_of(place, origin["row_number"], origin["sheet"])
    if as_json:
        show([asdict(found)], True)
        return
    label = " SYNTHETIC" if found.is_synthetic else ""
    tree = Tree(Text(f"{found.kind} {found.subject}{label} (lake at snapshot {found.snapshot})"))
    many_origins = len(found.origins) > FEW
    branches = {
        "stated in": _by_file(found.origins)
        if many_origins
        else [_origin_text(row) for row in found.origins],
        "made from": _by_kind(found.upstream),
        "went into": _by_kind(found.downstream),
        "rows in marts": [f"{row['mart']}: {row['rows']}" for row in found.marts],
        "falls if this was wrong": _by_kind(found.falls),
    }
    for title, texts in branches.items():
        if texts:
            branch = tree.add(Text(title))
            for text in texts:
                branch.add(Text(text))
    out.print(tree, soft_wrap=True)


FEW = 8
"""As many things of a kind are listed one by one; more are counted."""


def _by_kind(rows: list[dict[str, Any]]) -> list[str]:
    """Things of each kind: one by one where they are few, otherwise their number and the first ones."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(row.get("kind", ""), []).append(row)
    texts = []
    for kind, alike in kinds.items():
        if len(alike) <= FEW or "id" not in alike[0]:
            texts += [_thing_text(row) for row in alike]
        else:
            first = ", ".join(str(row["id"]) for row in alike[:3])
            texts.append(f"{kind}: {len(alike)}, e.g. {first} (--json lists them)")
    return texts


def _by_file(origins: list[dict[str, Any]]) -> list[str]:
    """Many lines, told as ranges per file."""
    files: dict[tuple[str, str, str], set[int]] = {}
    for row in origins:
        label = " (synthetic)" if row["is_synthetic"] else ""
        place = (
            row["path"] or row["file_name"],
            row["sheet"] or "",
            f"source {row['source_id']}{label}",
        )
        files.setdefault(place, set()).add(row["row_number"])
    return [
        f"{path}{f' sheet {sheet}' if sheet else ''}: {len(lines)} rows between {min(lines)} and "
        f"{max(lines)}, {source} (--json lists them)"
        for (path, sheet, source), lines in files.items()
    ]


def _origin_text(row: dict[str, Any]) -> str:
    label = " (synthetic)" if row.get("is_synthetic") else ""
    if "row_number" not in row:
        return f"{row['path']}  source {row['source_id']}{label}, licence {row['licence']}"
    sheet = f" sheet {row['sheet']}" if row["sheet"] else ""
    line = f"\n{row['line']}" if row.get("line") else ""
    return f"{row['path'] or row['file_name']}{sheet} row {row['row_number']}  source {row['source_id']}{label}{line}"


def _thing_text(row: dict[str, Any]) -> str:
    if "quote" in row:
        return f"{row['property']} at {row['start_offset']}-{row['end_offset']}: {row['quote']}"
    if "id" in row:
        return f"{row['kind']} {row['id']}  {row.get('files') or ''}".rstrip()
    return f"{row['kind']}: {row['records']}, {row['stated_in_the_file']} of them stated in the file, e.g. {row['first_id']}"


def doctor(
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also compare all rows with the manifest and their contracts."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Test settings, disk, catalogue, registry and dbt, and say what to mend."""
    from battery_platform.doctor import examine

    rows = examine(deep)
    show(rows, as_json)
    if any(row["state"] == "fails" for row in rows):
        raise SystemExit(1)


def backup(
    place: Annotated[Path, typer.Argument(help="Folder of the copy; it must not be there yet.")],
    as_json: AsJson = False,
) -> None:
    """Copy lake, registry, what was handed in and Dagster's history, as of one moment.

    Writers and refreshes may go on. Caches, exports and dbt's output are left out: they are made again.
    """
    from battery_platform.backup import backup as copy

    _tell_copy(copy(Settings.from_env(), place), as_json)


def restore(
    place: Annotated[Path, typer.Argument(help="Folder that `backup` made.")],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Home to make; otherwise the one of BATTERY_PLATFORM_HOME."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a home of a backup, here or on another host; a damaged one is refused by its file's name."""
    from battery_platform.backup import restore as bring_back

    home = to or Settings.from_env().home
    _tell_copy(bring_back(place, home), as_json)
    if not as_json:
        out.print(Text(f"Use it with BATTERY_PLATFORM_HOME={home}"), soft_wrap=True)


def _tell_copy(done: Backup, as_json: bool) -> None:
    row = {
        "backup": str(done.place),
        "home": str(done.home),
        "snapshot": done.snapshot,
        "made_at": done.made_at,
        "files": len(done.files),
        "mib": round(done.bytes / 2**20, 1),
    }
    show([row | {"left_out": done.left_out} if as_json else row], as_json)
    for says in () if as_json else done.left_out:
        err.print(Text(f"left out: {says}", style="yellow"), soft_wrap=True)
