"""Verbs about records: take files, look at what was refused, fetch public data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from battery_platform.cli.printing import AsJson, err, open_lake, out, show
from battery_platform.errors import PlatformError
from battery_platform.settings import Settings

if TYPE_CHECKING:
    from battery_platform.records.ingest import Progress, Report

quarantine_app = typer.Typer(
    no_args_is_help=True, help="Rows that broke a rule: see why, fix, try again."
)
catalogue_app = typer.Typer(
    no_args_is_help=True, help="Public data sets: what there is, fetch them."
)

Paths = Annotated[list[Path], typer.Argument(help="Files, or folders whose files are taken.")]
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
    as_json: AsJson = False,
) -> None:
    """Take files into the lake: every row is accepted or quarantined with a reason.

    CSV, TSV, XLSX and Parquet are read by content, in any delimiter, decimal mark and encoding. The
    same bytes twice are a no-op. Exit status 1 if a file was refused as a whole or not one of its
    rows could be accepted.
    """
    _take(paths, mapping, replaces or [], as_json, commit=True)


def check(paths: Paths, mapping: MapFile = None, as_json: AsJson = False) -> None:
    """Judge files as `ingest` would, and store nothing.

    Exit status 1 if any row would be quarantined or any file refused.
    """
    _take(paths, mapping, [], as_json, commit=False)


def _take(
    paths: list[Path], mapping: Path | None, replaces: list[str], as_json: bool, commit: bool
) -> None:
    from battery_platform.records import ingest as records

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
    with progress(len(chosen), quiet=as_json) as step:
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


def progress(files: int, quiet: bool) -> Any:
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
        show(rows, True)
        return
    shown = ("file", "sheet", "table", "status", "rows_in", "accepted", "new", "quarantined")
    idle = {name for name in ("sheet",) if not any(row[name] for row in rows)}
    show([{name: row[name] for name in shown if name not in idle} for row in rows], False)
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
    show(rows, as_json, title=f"{path.name}: headers")
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


@quarantine_app.command("list")
def quarantine_list(
    name: Annotated[str | None, typer.Argument(help="File name, file_id or source_id.")] = None,
    as_json: AsJson = False,
) -> None:
    """How many rows wait, by file, field and rule."""
    rows = open_lake().records(
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
    rows = open_lake().records(
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
    """Judge the files with quarantined rows again, e.g. after the missing electrodes came in."""
    from battery_platform.records.ingest import retry

    lake = open_lake()
    before = lake.value(
        "SELECT count(*) FROM (SELECT DISTINCT file_id, sheet, row_number FROM quarantine "
        "WHERE source_id <> 'literature')"
    )
    reports = retry(lake, name)
    show(
        [row for report in reports for row in report.rows()],
        as_json,
        empty="the quarantine is empty",
    )
    after = lake.value(
        "SELECT count(*) FROM (SELECT DISTINCT file_id, sheet, row_number FROM quarantine "
        "WHERE source_id <> 'literature')"
    )
    if not as_json:
        out.print(f"{before} row(s) were in quarantine, {after} are left.")
    if any(report.status == "refused" for report in reports):
        raise SystemExit(1)


@catalogue_app.command("list")
def catalogue_list(as_json: AsJson = False) -> None:
    """The public data sets that the platform can take, with licence and state."""
    from battery_platform.records.catalogue import entries

    settings = Settings.from_env()
    show(
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
    show(rows, as_json)


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
    show(rows, as_json)
    if not as_json:
        out.print("Take them in with [bold]battery-platform refresh[/bold].")
