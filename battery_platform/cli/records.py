"""Verbs about records: take files, look at what was refused, fetch public data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from battery_platform.cli.printing import AsJson, err, open_lake, out, show
from battery_platform.errors import PlatformError
from battery_platform.settings import Settings

if TYPE_CHECKING:
    from battery_platform.records.catalogue import Entry, PublicFile
    from battery_platform.records.catalogue import Progress as Come
    from battery_platform.records.ingest import Progress, Report

quarantine_app = typer.Typer(
    no_args_is_help=True, help="Rows that broke a rule: see why, fix, try again."
)
catalogue_app = typer.Typer(
    no_args_is_help=True, help="Public data sets: what there is, fetch them."
)

Paths = Annotated[list[Path], typer.Argument(help="Files, or folders whose files are taken.")]
LeaveOut = Annotated[
    list[str] | None,
    typer.Option("--leave-out", help="Header of a column that is not wanted; may be repeated."),
]
KeepExtra = Annotated[
    bool, typer.Option("--keep-extra", help="Keep columns that find no place beside their rows.")
]
MapFile = Annotated[
    Path | None,
    typer.Option("--map", help="Mapping file; otherwise NAME.map.yaml beside the file is used."),
]


def ingest(
    paths: Paths,
    mapping: MapFile = None,
    replaces: Annotated[
        list[str] | None,
        typer.Option(help="File (name, path or file_id) whose rows this one's take the place of."),
    ] = None,
    leave_out: LeaveOut = None,
    keep_extra: KeepExtra = False,
    as_json: AsJson = False,
) -> None:
    """Take files into the lake: every row is accepted or quarantined with a reason.

    CSV, TSV, XLSX and Parquet are read by content, in any delimiter, decimal mark and encoding. The
    same bytes twice are a no-op. Exit status 1 if a file was refused as a whole or not one of its
    rows could be accepted.

    Every column is placed, left out on purpose or told. One that finds no place and holds numbers or
    identifiers refuses the file until somebody decides: a mapping, --leave-out or --keep-extra.
    """
    settled = (tuple(leave_out or ()), keep_extra)
    _take(paths, mapping, replaces or [], settled, as_json, commit=True)


def check(
    paths: Paths,
    mapping: MapFile = None,
    leave_out: LeaveOut = None,
    keep_extra: KeepExtra = False,
    as_json: AsJson = False,
) -> None:
    """Judge files as `ingest` would, and store nothing.

    Exit status 1 if any row would be quarantined or any file refused.
    """
    _take(paths, mapping, [], (tuple(leave_out or ()), keep_extra), as_json, commit=False)


def withdraw(
    name: Annotated[str, typer.Argument(help="A file's name, path or file_id.")],
    why: Annotated[str, typer.Option(help="What is wrong with it; kept with your name.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Bring a withdrawn file back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take a wrong file back: its rows leave the lake, its manifest and the reason stay.

    The marts follow at the next refresh, and what was learnt from its rows is learnt anew. The same
    bytes handed in again are answered with the reason, until --undo brings the file back.
    """
    from battery_platform.made.trace import trace
    from battery_platform.records import withdrawal

    lake = open_lake()
    if undo:
        with progress("judging", quiet=as_json) as step:
            report = withdrawal.undo(lake, name, step)
        _tell([report], as_json, commit=True)
        if report.failed:
            raise SystemExit(1)
        return
    try:
        falls = trace(lake, name).falls
    except PlatformError:
        falls = []  # what it is, or that it is none, is told below
    gone = withdrawal.withdraw(lake, name, why)
    kinds = Counter(row["kind"] for row in falls)
    if as_json:
        told = {key: gone[key] for key in ("file_id", "file_name", "path", "source_id")}
        show([told | {"why": why, "falls": dict(kinds)}], True)
        return
    out.print(Text(f"{gone['file_name']} is withdrawn: {why}"))
    if kinds:
        rest = ", ".join(f"{number} {kind}(s)" for kind, number in sorted(kinds.items()))
        out.print(
            Text(f"On its rows rest {rest}; the next refresh makes them anew."), soft_wrap=True
        )
    out.print(
        Text(f"battery-platform withdraw --undo {gone['file_id']} brings it back."), soft_wrap=True
    )


def _take(
    paths: list[Path],
    mapping: Path | None,
    replaces: list[str],
    settled: tuple[tuple[str, ...], bool],
    as_json: bool,
    commit: bool,
) -> None:
    from battery_platform.records import ingest as records

    settle = records.Settle(*settled)

    lake = open_lake()
    chosen = records.in_order(lake, records.files_below(paths))
    if not chosen:
        raise PlatformError("No file was found there.", "Name files or folders that hold some.")
    if replaces and len(chosen) != 1:
        raise PlatformError(
            f"--replaces takes the place of files by one new file, {len(chosen)} were named.",
            "Name the one corrected file.",
        )
    reports: list[Report] = []
    with progress(f"{len(chosen)} file(s)", quiet=as_json) as step:
        for path in chosen:
            if commit:
                reports.append(
                    records.ingest(
                        lake, path, mapping, replaces=replaces, progress=step, settle=settle
                    )
                )
            else:
                reports.append(records.check(lake, path, mapping, step, settle))
    _tell(reports, as_json, commit)
    quarantined = sum(report.total("rows_quarantined") for report in reports)
    if any(report.failed for report in reports) or (not commit and quarantined):
        raise SystemExit(1)


def progress(task_name: str, quiet: bool) -> Any:
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
            task = bar.add_task(task_name)
            yield lambda name, rows: bar.update(task, description=f"{name}: {rows:,} rows judged")

    return shown()


def _tell(reports: Sequence[Report], as_json: bool, commit: bool) -> None:
    rows = [row for report in reports for row in report.rows()]
    if as_json:
        show([row for report in reports for row in report.details()], True)
        return
    shown = ("file", "sheet", "table", "status", "rows_in", "accepted", "new", "quarantined")
    idle = {name for name in ("sheet",) if not any(row[name] for row in rows)}
    show([{name: row[name] for name in shown if name not in idle} for row in rows], False)
    for report in reports:
        if report.status == "known":
            err.print(Text(f"{report.path.name}: {report.reason}", style="dim"), soft_wrap=True)
        for note in dict.fromkeys(report.notes):
            err.print(Text(f"{report.path.name}: {note}", style="dim"), soft_wrap=True)
    refused = [report for report in reports if report.is_left_out]
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
            first = outcome.violations.head(shown)
            if first.is_empty():
                continue  # a known file's reasons were told when it was taken
            for row in first.iter_rows(named=True):
                says = f"{place}:{row['row_number']}: {row['message']} {row['remedy']}"
                err.print(Text(says, style="yellow"), soft_wrap=True)
            if more := outcome.rows_quarantined - first["row_number"].n_unique():
                where = f" (battery-platform quarantine show {report.path.name})" if commit else ""
                err.print(Text(f"{place}: and {more} more row(s){where}", "yellow"), soft_wrap=True)
    if total and commit:
        out.print(
            f"{total} row(s) wait in quarantine: [bold]battery-platform quarantine show[/bold]"
        )
    elif total:
        out.print(f"{total} row(s) would be quarantined; nothing was stored.")


def map_file(
    path: Annotated[Path, typer.Argument(help="The file to look at.")],
    table: Annotated[
        str | None, typer.Option(help="Table to map to; otherwise the best fit.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Name of the source; otherwise the file's.")
    ] = None,
    write: Annotated[bool, typer.Option(help="Write NAME.map.yaml beside the file.")] = True,
    leave_out: LeaveOut = None,
    keep_extra: KeepExtra = False,
    as_json: AsJson = False,
) -> None:
    """Propose a mapping: which header is which column, how sure that is, and what found no place."""
    from battery_platform.contracts.registry import table as table_of
    from battery_platform.records import mapping as mappings
    from battery_platform.records.assistant import suggest
    from battery_platform.records.ingest import Settle

    source = source or mappings.safe_source(path.stem)
    if not mappings.SOURCE_ID.match(source):
        raise PlatformError(
            f"The source name {source!r} cannot be used.", "Use letters, digits, . - _"
        )
    table_name = table_of(table).name if table else None
    settle = Settle(tuple(leave_out or ()), keep_extra)
    found = suggest(path, Settings.from_env(), source, table_name, settle)
    rows = [fate.row() for fate in found.fates]
    if not as_json:
        shown = ("sheet", "header", "outcome", "column", "unit", "confidence", "why")
        rows = [
            {name: row[name] for name in shown if name != "sheet" or any(r["sheet"] for r in rows)}
            | {"column": row["column"] or "not placed"}
            for row in rows
        ]
    show(rows, as_json, title=f"{path.name}: headers", empty="a binary file: no headers to place")
    if not found.text:
        raise PlatformError(
            f"{path.name}: the headers fit no table.",
            "Name one with --table; see the data dictionary.",
        )
    for name, missing in found.missing.items():
        says = (
            f"{name} requires {', '.join(missing)}: place a header or a constant for each in the "
            "mapping."
        )
        err.print(Text(says, style="yellow"), soft_wrap=True)
    for note in found.notes:
        err.print(Text(note, style="dim"), soft_wrap=True)
    target = path.with_name(path.stem + ".map.yaml")
    if write and target.exists():
        raise PlatformError(f"{target.name} exists already.", "Remove it first, or use --no-write.")
    if write:
        try:
            target.write_text(found.text, encoding="utf-8")
        except OSError as error:
            raise PlatformError(
                f"{target} cannot be written ({error.strerror}).",
                "Use --no-write, and save what it prints where you may write.",
            ) from error
        err.print(f"wrote {target}; edit it, then: battery-platform check {path}", soft_wrap=True)
    elif not as_json:
        out.print(Text(found.text))
    if found.missing:
        raise SystemExit(1)


@quarantine_app.command("list")
def quarantine_list(
    name: Annotated[str | None, typer.Argument(help="File name, file_id or source_id.")] = None,
    as_json: AsJson = False,
) -> None:
    """How many rows wait, by file, field and rule."""
    from battery_platform.records.known_files import check_name

    lake = open_lake()
    if name is not None:
        check_name(lake, name)
    rows = lake.records(
        """SELECT source_id, file_name, table_name, field, rule, count(DISTINCT row_number) AS n_rows,
                  any_value(is_synthetic) AS is_synthetic
           FROM quarantine WHERE $name IS NULL OR $name IN (file_name, file_id, source_id)
           GROUP BY ALL ORDER BY is_synthetic, n_rows DESC, file_name, field""",
        {"name": name},
    )
    show(
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
    from battery_platform.records.known_files import check_name

    lake = open_lake()
    if name is not None:
        check_name(lake, name)
    rows = lake.records(
        """SELECT file_name, sheet, row_number, field, value, rule, message, remedy, record,
                  source_id, file_id, table_name, is_synthetic
           FROM quarantine
           WHERE ($name IS NULL OR $name IN (file_name, file_id, source_id))
             AND ($rule IS NULL OR rule = $rule)
           ORDER BY is_synthetic, file_name, sheet, row_number LIMIT $limit""",
        {"name": name, "rule": rule, "limit": limit},
    )
    if as_json:
        show(rows, True)
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
    show(shown, False, empty="nothing is quarantined there")


@quarantine_app.command("retry")
def quarantine_retry(
    name: Annotated[str | None, typer.Argument(help="Only this file or source.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge the files with quarantined rows again, e.g. after the missing electrodes came in.

    Only files whose verdicts changed are stored again and shown. Exit status 1 if a file is gone.
    """
    from battery_platform.records.ingest import retry
    from battery_platform.records.known_files import check_name

    lake = open_lake()
    if name is not None:
        check_name(lake, name)
    before = lake.value(_WAITING)
    with progress("files with quarantined rows", quiet=as_json) as step:
        reports = retry(lake, name, step)
    if as_json:
        show([row for report in reports for row in report.rows()], True)
    else:
        if reports:
            _tell(reports, False, commit=True)
        changed = sum(report.status == "taken" for report in reports)
        out.print(
            f"{before} row(s) were in quarantine, {lake.value(_WAITING)} are left; "
            f"verdicts of {changed} file(s) changed."
        )
    if any(report.status == "refused" for report in reports):
        raise SystemExit(1)


_WAITING = """
    SELECT count(*) FROM (SELECT DISTINCT file_id, sheet, table_name, row_number FROM quarantine
                          WHERE source_id <> 'literature')"""


@catalogue_app.command("list")
def catalogue_list(as_json: AsJson = False) -> None:
    """The public data sets that the platform can take: licence, rows and state."""
    from battery_platform.records.catalogue import entries

    settings = Settings.from_env()
    taken = _taken(settings)
    rows: list[dict[str, Any]] = [
        {
            "id": one.id,
            "title": one.title,
            "licence": one.licence,
            "files": len(one.files),
            "rows": one.fills
            if as_json
            else "\n".join(f"{number:,} {table}" for table, number in one.fills.items()),
            "state": "in the lake"
            if one.id in taken
            else "fetched"
            if one.fetched(settings)
            else "not fetched",
        }
        | ({"citation": one.citation.strip()} if as_json else {})
        for one in entries().values()
    ]
    show(rows, as_json)


def _taken(settings: Settings) -> set[str]:
    """Sources that the lake has files of; a lake that is not there yet is not made for it."""
    from battery_platform.store.lakehouse import Lakehouse

    place = Path(settings.catalogue_url.removeprefix("sqlite:"))
    if not settings.on_postgres and not place.is_file():
        return set()
    found = Lakehouse(settings).rows("SELECT DISTINCT source_id FROM raw_files")
    return {source for (source,) in found}


@catalogue_app.command("show")
def catalogue_show(name: str, as_json: AsJson = False) -> None:
    """One data set: licence, and of each file where it comes from and what becomes of it."""
    from battery_platform.records.catalogue import entry

    one = entry(name)
    if as_json:
        show([_file(one, item) for item in one.files], True)
        return
    note = f" ({one.licence_note.strip()})" if one.licence_note else ""
    out.print(f"[bold]{one.id}[/bold]: {one.title}")
    said = f"{one.citation.strip()}\nLicence: {one.licence}{note}\nAddress: {one.address.strip()}"
    out.print(Text(said), soft_wrap=True)
    show(_alike([_file(one, item) for item in one.files]), False)


def _file(one: Entry, item: PublicFile) -> dict[str, Any]:
    """A file, its table or why it goes into none, and its address."""
    return {
        "file": item.name,
        "bytes": item.size_bytes,
        "sha256": item.sha256,
        "table": ", ".join(item.tables),
        "note": f"read through {item.part_of}" if item.part_of else item.skip,
        "address": one.url(item)
        or ("comes with the platform" if item.content is not None else "mirror only"),
    }


def _alike(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For people: hundreds of files of one folder that go the same way become one line."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        folder, slash, base = row["file"].rpartition("/")
        name = f"{folder}/*{''.join(Path(base).suffixes[-2:])}" if slash else row["file"]
        origin = "the address" if row["address"].startswith("https://") else row["address"]
        groups.setdefault((name, row["table"], row["note"], origin), []).append(row)
    return [
        {
            "file": f"{name} ({len(members)} files)" if len(members) > 1 else members[0]["file"],
            "bytes": sum(row["bytes"] for row in members),
            "table": table,
            "note": note,
            "from": origin,
        }
        for (name, table, note, origin), members in groups.items()
    ]


@catalogue_app.command("fetch")
def catalogue_fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Entries to fetch; see `catalogue list`.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Fetch every entry.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring data sets here and verify them; BATTERY_PLATFORM_MIRROR serves the bytes if it has them."""
    from battery_platform.records.catalogue import entries, entry, fetch

    if bool(names) == everything:
        raise PlatformError("Name entries, or say --all.", f"There are: {', '.join(entries())}.")
    settings = Settings.from_env()
    chosen = [entry(name) for name in names or entries()]
    size = sum(item.size_bytes for one in chosen for item in one.files)
    rows: list[dict[str, Any]] = []
    failed: list[PlatformError] = []
    with _bytes_bar(size, quiet=as_json) as come:
        for one in chosen:
            try:
                rows += [
                    {"entry": one.id, "file": got.name, "from": got.origin, "path": str(got.path)}
                    for got in fetch(one, settings, come)
                ]
            except PlatformError as error:
                if len(chosen) == 1:
                    raise
                failed.append(error)
    counted = Counter((row["entry"], row["from"]) for row in rows)
    brief = [{"entry": one, "from": how, "files": n} for (one, how), n in counted.items()]
    show(rows if as_json else brief, as_json)
    for problem in failed:
        err.print(Text(str(problem), style="red"), soft_wrap=True)
    if failed:
        raise SystemExit(1)
    if not as_json:
        out.print("Take them in with [bold]battery-platform refresh[/bold].")


def _bytes_bar(size: int, quiet: bool) -> Any:
    """One bar for all files, by bytes."""
    import contextlib
    from collections.abc import Iterator

    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    @contextlib.contextmanager
    def shown() -> Iterator[Come]:
        if quiet or not err.is_terminal:
            yield lambda name, come: None
            return
        with Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        ) as bar:
            task = bar.add_task("fetching", total=size)
            yield lambda name, come: bar.update(task, description=name, advance=come)

    return shown()
