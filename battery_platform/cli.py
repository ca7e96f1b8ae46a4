"""`battery-platform`: one verb per thing a person wants done.

This module parses arguments and prints; what is done is done elsewhere. Exit status: 0 done, 1 the
work failed or data was refused, 2 the call was wrong.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from battery_platform.errors import PlatformError
from battery_platform.settings import PROJECT_ROOT, Settings

if TYPE_CHECKING:
    from battery_platform.records.ingest import Progress, Report
    from battery_platform.store.lakehouse import Lakehouse

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A governed, always fresh data product for lithium-ion electrode manufacturing.\n\n"
    "Start with [bold]refresh[/bold], then [bold]ui[/bold], or drop a CSV with "
    "[bold]ingest FILE[/bold]. Add --json to any verb that prints a table, --debug for a stack trace.",
)
quarantine_app = typer.Typer(
    no_args_is_help=True, help="Rows that broke a rule: see why, fix, try again."
)
catalogue_app = typer.Typer(
    no_args_is_help=True, help="Public data sets: what there is, fetch them."
)
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(catalogue_app, name="catalogue")

out = Console(width=None if sys.stdout.isatty() else 160)
err = Console(file=sys.stderr)  # bound now: a refresh redirects what libraries write

AsJson = Annotated[bool, typer.Option("--json", help="Print a list of objects instead of a table.")]
Paths = Annotated[list[Path], typer.Argument(help="Files, or folders whose files are taken.")]
MapFile = Annotated[
    Path | None,
    typer.Option("--map", help="Mapping file; otherwise NAME.map.yaml beside the file is used."),
]


def main() -> None:
    """Run a command; what people can mend is told in a sentence, without a stack trace."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        app(arguments, standalone_mode=True)
    except PlatformError as error:
        if debug:
            traceback.print_exc()
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("Stopped. What was committed stays; run the same command again to go on.")
    except BrokenPipeError:
        os._exit(0)
    except Exception as error:  # the last place where a fault of ours can become a sentence
        if debug:
            raise
        text = " ".join(str(error).split())[:400] or type(error).__name__
        _fail(f"{type(error).__name__}: {text} (run again with --debug for the stack trace)")


def _fail(says: str) -> None:
    err.print(Text("Error: ", style="bold red").append(Text(says, style="default")), soft_wrap=True)
    raise SystemExit(1)


def _lake() -> Lakehouse:
    from battery_platform.store.lakehouse import Lakehouse

    return Lakehouse(Settings.from_env())


def _show(
    rows: Sequence[dict[str, Any]], as_json: bool, title: str = "", empty: str = "nothing"
) -> None:
    """A table for people or a list of objects for programs."""
    if as_json:
        print(json.dumps(list(rows), default=_plain, ensure_ascii=False, indent=2))  # noqa: T201
        return
    if not rows:
        out.print(f"[dim]{empty}[/dim]")
        return
    if len(rows[0]) > WIDE:
        _show_records(rows, title)
        return
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for name in rows[0]:
        numeric = all(isinstance(row[name], int | float) or row[name] is None for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*[Text(_cell(value)) for value in row.values()])
    out.print(table)


WIDE = 12


def _show_records(rows: Sequence[dict[str, Any]], title: str) -> None:
    """Many columns read better as one line per column, a few records side by side."""
    shown = rows[:4]
    table = Table(title=title or None, title_justify="left", header_style="bold")
    table.add_column("column")
    for number in range(1, len(shown) + 1):
        table.add_column(f"row {number}", overflow="fold")
    for name in rows[0]:
        table.add_row(name, *[Text(_cell(row[name])) for row in shown])
    out.print(table)
    if len(rows) > len(shown):
        out.print(f"[dim]{len(rows) - len(shown)} more row(s); --json shows all[/dim]")


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


# -- taking data ----------------------------------------------------------------------------


@app.command()
def ingest(
    paths: Paths,
    mapping: MapFile = None,
    replaces: Annotated[
        list[str] | None,
        typer.Option(help="File (name, path or file_id) whose rows this one's take the place of."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take files into the lake: every row is accepted or quarantined with a reason.

    CSV, TSV, XLSX and Parquet are read by content, in any delimiter, decimal mark and encoding. The
    same bytes twice are a no-op. Exit status 1 if a file was refused as a whole or not one of its
    rows could be accepted.
    """
    _take(paths, mapping, replaces or [], as_json, commit=True)


@app.command()
def check(paths: Paths, mapping: MapFile = None, as_json: AsJson = False) -> None:
    """Judge files as `ingest` would, and store nothing.

    Exit status 1 if any row would be quarantined or any file refused.
    """
    _take(paths, mapping, [], as_json, commit=False)


def _take(
    paths: list[Path], mapping: Path | None, replaces: list[str], as_json: bool, commit: bool
) -> None:
    from battery_platform.records import ingest as records

    lake = _lake()
    chosen = records.in_order(lake, records.files_below(paths))
    if not chosen:
        raise PlatformError("No file was found there.", "Name files or folders that hold some.")
    if replaces and len(chosen) != 1:
        raise PlatformError(
            f"--replaces takes the place of files by one new file, {len(chosen)} were named.",
            "Name the one corrected file.",
        )
    reports: list[Report] = []
    with _progress(len(chosen), quiet=as_json) as step:
        for path in chosen:
            if commit:
                reports.append(
                    records.ingest(lake, path, mapping, replaces=replaces, progress=step)
                )
            else:
                reports.append(records.check(lake, path, mapping, progress=step))
    _tell(reports, as_json, commit)
    quarantined = sum(report.total("rows_quarantined") for report in reports)
    if any(report.failed for report in reports) or (not commit and quarantined):
        raise SystemExit(1)


def _progress(files: int, quiet: bool) -> Any:
    import contextlib
    from collections.abc import Iterator

    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    @contextlib.contextmanager
    def shown() -> Iterator[Progress]:
        if quiet or not err.is_terminal:
            yield lambda name, rows: None
            return
        with Bar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=err,
            transient=True,
        ) as bar:
            task = bar.add_task(f"{files} file(s)")
            yield lambda name, rows: bar.update(task, description=f"{name}: {rows:,} rows judged")

    return shown()


def _tell(reports: Sequence[Report], as_json: bool, commit: bool) -> None:
    rows = [row for report in reports for row in report.rows()]
    if as_json:
        _show(rows, True)
        return
    shown = ("file", "sheet", "table", "status", "rows_in", "accepted", "new", "quarantined")
    idle = {name for name in ("sheet",) if not any(row[name] for row in rows)}
    _show([{name: row[name] for name in shown if name not in idle} for row in rows], False)
    for report in reports:
        if report.status == "known":
            err.print(Text(f"{report.path.name}: {report.reason}", style="dim"), soft_wrap=True)
        for note in dict.fromkeys(report.notes):
            err.print(Text(f"{report.path.name}: {note}", style="dim"), soft_wrap=True)
    refused = [report for report in reports if report.status == "refused"]
    for report in refused:
        err.print(Text(report.reason, style="red"), soft_wrap=True)
    _tell_quarantined(reports, commit)


def _tell_quarantined(reports: Sequence[Report], commit: bool) -> None:
    """The first reasons of each sheet, and where the others are."""
    shown = 3 if commit else 20
    total = 0
    for report in reports:
        for outcome in report.outcomes:
            total += outcome.rows_quarantined
            place = f"{report.path.name}{' ' + outcome.sheet if outcome.sheet else ''}"
            for row in outcome.violations.head(shown).iter_rows(named=True):
                says = f"{place}:{row['row_number']}: {row['message']} {row['remedy']}"
                err.print(Text(says, style="yellow"), soft_wrap=True)
    if total and commit:
        out.print(
            f"{total} row(s) wait in quarantine: [bold]battery-platform quarantine show[/bold]"
        )
    elif total:
        out.print(f"{total} row(s) would be quarantined; nothing was stored.")


@app.command(name="map")
def map_file(
    path: Annotated[Path, typer.Argument(help="The file to look at.")],
    table: Annotated[
        str | None, typer.Option(help="Table to map to; otherwise the best fit.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Name of the source; otherwise the file's.")
    ] = None,
    write: Annotated[bool, typer.Option(help="Write NAME.map.yaml beside the file.")] = True,
    as_json: AsJson = False,
) -> None:
    """Propose a mapping: which header is which column, how sure that is, and what found no place."""
    from battery_platform.contracts.registry import table as table_of
    from battery_platform.records import ingest as records
    from battery_platform.records import mapping as mappings
    from battery_platform.records.reading import sheets

    settings = Settings.from_env()
    table_name = table_of(table).name if table else None
    source = source or mappings.safe_source(path.stem)
    if not mappings.SOURCE_ID.match(source):
        raise PlatformError(
            f"The source name {source!r} cannot be used.", "Use letters, digits, . - _"
        )
    proposals = []
    rows: list[dict[str, Any]] = []
    for sheet in sheets(path, settings):
        proposal = mappings.propose(sheet, source, records.first_cells(sheet), table_name)
        if proposal is None:
            rows += [
                _placement(sheet.name, header, None, None, 0.0, "no table fits")
                for header in sheet.header
            ]
            continue
        proposals.append(proposal)
        rows += [
            _placement(sheet.name, one.header, one.column, one.unit, one.confidence, one.why)
            for one in proposal.placements
        ]
    _show(rows, as_json, title=f"{path.name}: headers")
    if not proposals:
        raise PlatformError(
            f"{path.name}: the headers fit no table.",
            "Name one with --table; see the data dictionary.",
        )
    target = path.with_name(path.stem + ".map.yaml")
    text = mappings.as_yaml([proposal.mapping for proposal in proposals])
    for proposal in proposals:
        if proposal.missing:
            err.print(
                Text(
                    f"{proposal.mapping.table} requires {', '.join(proposal.missing)}: place a header or "
                    "a constant for each in the mapping.",
                    style="yellow",
                ),
                soft_wrap=True,
            )
        for note in proposal.mapping.assumed:
            err.print(Text(f"assumed: {note}", style="dim"), soft_wrap=True)
    if write and target.exists():
        raise PlatformError(f"{target.name} exists already.", "Remove it first, or use --no-write.")
    if write:
        target.write_text(text, encoding="utf-8")
        err.print(f"wrote {target}; edit it, then: battery-platform check {path}", soft_wrap=True)
    elif not as_json:
        out.print(Text(text))
    if any(not proposal.usable for proposal in proposals):
        raise SystemExit(1)


def _placement(
    sheet: str, header: str, column: str | None, unit: str | None, confidence: float, why: str
) -> dict[str, Any]:
    return {
        "sheet": sheet,
        "header": header,
        "column": column or "not placed",
        "unit": unit or "",
        "confidence": confidence,
        "why": why,
    }


# -- quarantine -----------------------------------------------------------------------------


@quarantine_app.command("list")
def quarantine_list(
    name: Annotated[str | None, typer.Argument(help="File name, file_id or source_id.")] = None,
    as_json: AsJson = False,
) -> None:
    """How many rows wait, by file, field and rule."""
    rows = _lake().records(
        """SELECT source_id, file_name, table_name, field, rule, count(DISTINCT row_number) AS n_rows,
                  any_value(is_synthetic) AS is_synthetic
           FROM quarantine WHERE $name IS NULL OR $name IN (file_name, file_id, source_id)
           GROUP BY ALL ORDER BY is_synthetic, n_rows DESC, file_name, field""",
        {"name": name},
    )
    _show(
        rows,
        as_json,
        empty="the quarantine is empty",
    )


@quarantine_app.command("show")
def quarantine_show(
    name: Annotated[str | None, typer.Argument(help="File name, file_id or source_id.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only this rule.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Each quarantined row: what stood there, which rule it broke, and what to do."""
    rows = _lake().records(
        """SELECT file_name, sheet, row_number, field, value, rule, message, remedy, record,
                  source_id, file_id, table_name, is_synthetic
           FROM quarantine
           WHERE ($name IS NULL OR $name IN (file_name, file_id, source_id))
             AND ($rule IS NULL OR rule = $rule)
           ORDER BY is_synthetic, file_name, sheet, row_number LIMIT $limit""",
        {"name": name, "rule": rule, "limit": limit},
    )
    if as_json:
        _show(rows, True)
        return
    shown = [
        {
            "where": f"{row['file_name']}{' ' + row['sheet'] if row['sheet'] else ''}:{row['row_number']}"
            + (" (synthetic)" if row["is_synthetic"] else ""),
            "field": row["field"],
            "value": row["value"],
            "why": row["message"],
            "what to do": row["remedy"],
        }
        for row in rows
    ]
    _show(shown, False, empty="nothing is quarantined there")


@quarantine_app.command("retry")
def quarantine_retry(
    name: Annotated[str | None, typer.Argument(help="Only this file or source.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge the files with quarantined rows again, e.g. after the missing electrodes came in."""
    from battery_platform.records.ingest import retry

    lake = _lake()
    before = lake.value(
        "SELECT count(*) FROM (SELECT DISTINCT file_id, sheet, row_number FROM quarantine)"
    )
    reports = retry(lake, name)
    _show(
        [row for report in reports for row in report.rows()],
        as_json,
        empty="the quarantine is empty",
    )
    after = lake.value(
        "SELECT count(*) FROM (SELECT DISTINCT file_id, sheet, row_number FROM quarantine)"
    )
    if not as_json:
        out.print(f"{before} row(s) were in quarantine, {after} are left.")
    if any(report.status == "refused" for report in reports):
        raise SystemExit(1)


# -- public catalogue -----------------------------------------------------------------------


@catalogue_app.command("list")
def catalogue_list(as_json: AsJson = False) -> None:
    """The public data sets that the platform can take, with licence and state."""
    from battery_platform.records.catalogue import entries

    settings = Settings.from_env()
    _show(
        [
            {
                "id": one.id,
                "title": one.title,
                "licence": one.licence,
                "files": len(one.files),
                "state": "fetched" if one.fetched(settings) else "not fetched",
                "citation": one.citation.strip(),
            }
            for one in entries().values()
        ],
        as_json,
    )


@catalogue_app.command("show")
def catalogue_show(name: str, as_json: AsJson = False) -> None:
    """One data set: its files, checksums and addresses."""
    from battery_platform.records.catalogue import entry

    one = entry(name)
    rows = [
        {
            "file": item.name,
            "bytes": item.size_bytes,
            "sha256": item.sha256,
            "table": (item.mapping or {}).get("table", ""),
            "note": item.skip,
            "address": one.url(item) or "mirror only",
        }
        for item in one.files
    ]
    if not as_json:
        out.print(
            f"[bold]{one.id}[/bold]: {one.title}\n{one.citation.strip()}\nLicence: {one.licence} {one.licence_note}"
        )
    _show(rows, as_json)


@catalogue_app.command("fetch")
def catalogue_fetch(
    names: Annotated[list[str], typer.Argument(help="Entries to fetch; see `catalogue list`.")],
    as_json: AsJson = False,
) -> None:
    """Bring a data set here and verify it; BATTERY_PLATFORM_MIRROR serves the bytes if it has them."""
    from battery_platform.records.catalogue import entry, fetch

    settings = Settings.from_env()
    rows = []
    for one in [entry(name) for name in names]:
        for item in fetch(
            one, settings, lambda file, done, total: err.print(f"{file}: {done}/{total} bytes")
        ):
            rows.append(
                {"entry": one.id, "file": item.name, "from": item.origin, "path": str(item.path)}
            )
    _show(rows, as_json)
    if not as_json:
        out.print("Take them in with [bold]battery-platform refresh[/bold].")


# -- refresh and UI -------------------------------------------------------------------------


@app.command()
def refresh(
    size: Annotated[
        str, typer.Option(help="demo, nightly or full: size of the synthetic plant.")
    ] = "demo",
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build the marts even with nothing new.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take all sources, judge them, build the marts, publish them.

    With nothing new the marts are left as they are.
    """
    from battery_platform.records.sources import SIZES
    from battery_platform.refresh import run_refresh

    if size not in SIZES:
        raise typer.BadParameter(f"'{size}' is none of {', '.join(SIZES)}", param_hint="--size")
    quiet = as_json

    def step(name: str, seconds: float | None, ok: bool) -> None:
        if quiet:
            return
        if seconds is None:
            err.print(Text(f"  {name} ...", style="dim"))
        else:
            mark = Text("  ok     " if ok else "  FAILED ", style="green" if ok else "bold red")
            err.print(
                mark.append(Text(f"{name} ({seconds:.1f} s)", style="default")), soft_wrap=True
            )

    done = run_refresh(Settings.from_env(), SIZES[size], step, rebuild)
    if as_json:
        _show([done.as_row()], True)
    else:
        _show(done.sources, False, title="Sources", empty="no file was taken yet")
        _show(done.marts, False, title=f"Marts at snapshot {done.snapshot}")
        out.print(
            f"{'Done' if done.ok else 'FAILED'} in {done.seconds:.1f} s; {done.quarantined} row(s) in quarantine."
        )
        if done.ok:
            out.print(
                "Next: [bold]battery-platform ui[/bold] for the asset graph, "
                "[bold]battery-platform quarantine list[/bold], "
                '[bold]battery-platform sql "select * from mart_recipes limit 5"[/bold], '
                "[bold]battery-platform ingest FILE.csv[/bold]."
            )
    if not done.ok:
        _fail("; ".join(done.failures) or "the refresh failed")


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port of the web page.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the Dagster UI, with the daemon so that schedules and sensors tick."""
    from battery_platform.defs.dbt_project import prepare_manifest
    from battery_platform.refresh import dagster_environment

    environment = dagster_environment(Settings.from_env())
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PlatformError(
                f"Nothing can be served at {host}:{port} ({error.strerror}).",
                "Another `ui` may run there: stop it, or choose another --port.",
            ) from error
    prepare_manifest()
    # A shell without job control hands on 'ignore', and the page could then not be stopped.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_DFL)
    err.print(f"Dagster UI at http://{host}:{port} (Ctrl-C ends it)")
    program = str(Path(sys.executable).with_name("dagster"))
    os.chdir(PROJECT_ROOT)
    os.execve(  # noqa: S606 -- the UI takes this process's place
        program,
        [program, "dev", "-w", str(PROJECT_ROOT / "workspace.yaml"), "-h", host, "-p", str(port)],
        {**os.environ, **environment},
    )


# -- asking ---------------------------------------------------------------------------------


@app.command()
def sql(
    query: Annotated[
        str, typer.Argument(help='A query, e.g. "select * from mart_electrodes limit 5".')
    ],
    at: Annotated[int | None, typer.Option(help="Snapshot to read, for time travel.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the lake, read only; it answers while a refresh is running."""
    rows = _lake().ask(query, at)
    _show(rows, as_json, empty="no rows")


@app.command()
def trace(
    identifier: Annotated[
        str, typer.Argument(help="A record's id, a recipe_id, a file name or file_id.")
    ],
    as_json: AsJson = False,
) -> None:
    """Where a record comes from, to file and line; what everything of a file went into."""
    from dataclasses import asdict

    from battery_platform.store.provenance import line_of
    from battery_platform.store.provenance import trace as walk

    found = walk(_lake(), identifier)
    for origin in found.origins if found.kind != "file" else []:
        origin["line"] = line_of(origin["path"], origin["row_number"], origin["sheet"])
    if as_json:
        print(json.dumps([asdict(found)], default=_plain, ensure_ascii=False, indent=2))  # noqa: T201
        return
    tree = Tree(Text(f"{found.kind} {found.subject} (lake at snapshot {found.snapshot})"))
    branches = (
        ("stated in", found.origins, _origin_text),
        (
            "made from",
            found.upstream,
            lambda row: f"{row['kind']} {row['id']}  {row.get('files', '')}",
        ),
        ("went into", found.downstream, _downstream_text),
        ("rows in marts", found.marts, lambda row: f"{row['mart']}: {row['rows']}"),
    )
    for title, rows, text in branches:
        if not rows:
            continue
        branch = tree.add(Text(title))
        for row in rows[:20]:
            branch.add(Text(text(row)))
        if len(rows) > 20:
            branch.add(Text(f"... and {len(rows) - 20} more (--json shows all)"))
    out.print(tree, soft_wrap=True)


def _origin_text(row: dict[str, Any]) -> str:
    label = " (synthetic)" if row.get("is_synthetic") else ""
    if "row_number" not in row:
        return f"{row['path']}  source {row['source_id']}{label}, licence {row['licence']}"
    sheet = f" sheet {row['sheet']}" if row["sheet"] else ""
    line = f"\n{row['line']}" if row.get("line") else ""
    return f"{row['path']}{sheet} row {row['row_number']}  source {row['source_id']}{label}{line}"


def _downstream_text(row: dict[str, Any]) -> str:
    if "id" in row:
        return f"{row['kind']} {row['id']}"
    return f"{row['kind']}: {row['records']}, {row['stated_in_the_file']} of them stated in the file, e.g. {row['first_id']}"


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Test settings, disk, catalogue, extensions and dbt, and say what to mend."""
    from battery_platform.doctor import examine

    rows = examine()
    _show(rows, as_json)
    if any(row["state"] == "fails" for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
