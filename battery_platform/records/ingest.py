"""One file, all the way: hash, mapping, judgement, commit, and a report that people can read.

The same bytes under the same mapping are taken once. `check` does everything except commit.
Reading cells belongs in `reading`, judging rows in `judging`, the transaction in `store.commit`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from battery_platform.contracts.registry import TABLES
from battery_platform.errors import PlatformError, RefusedFile, StoreError
from battery_platform.records import mapping as mappings
from battery_platform.records.cycling import (
    Export,
    Inherits,
    KnownThrough,
    almost_an_export,
    is_export,
    is_vendor_export,
)
from battery_platform.records.judging import judge_sheet
from battery_platform.records.known_files import KnownBytes, content_hash, look_up
from battery_platform.records.mapping import Mapping
from battery_platform.records.reading import Sheet, first_cells, kind_of, refuse, sheets
from battery_platform.records.text_way import Subject, Tally
from battery_platform.store.commit import (
    Origin,
    Overtaken,
    Part,
    Workbench,
    deliver,
    known_file,
    workbench,
)
from battery_platform.store.lakehouse import Lakehouse, sql_text

Progress = Callable[[str, int], None]
OVERTAKEN_TRIES = 5
NO_PROGRESS: Progress = lambda file_name, rows: None  # noqa: E731


@dataclass
class Outcome:
    """What became of one sheet."""

    table: str
    sheet: str
    rows_in: int
    rows_accepted: int
    rows_new: int
    rows_quarantined: int
    violations: pl.DataFrame


@dataclass
class Report:
    """What became of one file."""

    path: Path
    status: str
    """`taken`, `known`, `checked`, `refused`, or `unchanged`: judged again with the same verdicts"""
    source_id: str = ""
    file_id: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    snapshot: int | None = None

    def total(self, what: str) -> int:
        return sum(getattr(outcome, what) for outcome in self.outcomes)

    @property
    def failed(self) -> bool:
        """Whether the file was refused as a whole, or none of its rows was accepted."""
        return self.status == "refused" or (
            self.total("rows_in") > 0 and self.total("rows_accepted") == 0
        )

    def rows(self) -> list[dict[str, Any]]:
        """One line per sheet for tables and JSON."""
        common = {
            "file": self.path.name,
            "status": self.status,
            "source_id": self.source_id,
            "file_id": self.file_id,
        }
        if not self.outcomes:
            return [
                common
                | {
                    "table": "",
                    "sheet": "",
                    "rows_in": 0,
                    "accepted": 0,
                    "new": 0,
                    "quarantined": 0,
                }
                | {"reason": self.reason}
            ]
        return [
            common
            | {
                "table": outcome.table,
                "sheet": outcome.sheet,
                "rows_in": outcome.rows_in,
                "accepted": outcome.rows_accepted,
                "new": 0 if self.status == "known" else outcome.rows_new,
                "quarantined": outcome.rows_quarantined,
                "reason": _first_reason(outcome) or self.reason,
            }
            for outcome in self.outcomes
        ]


def _first_reason(outcome: Outcome) -> str:
    if outcome.violations.is_empty():
        return ""
    row = outcome.violations.row(0, named=True)
    return f"row {row['row_number']}: {row['message']}"


def ingest(
    lake: Lakehouse,
    path: Path,
    mapping: Sequence[Mapping] | Path | None = None,
    replaces: Sequence[str] = (),
    again: bool = False,
    filed_as: Path | None = None,
    progress: Progress = NO_PROGRESS,
    seen: KnownBytes | None = None,
) -> Report:
    """Take one file into the lake; a refusal becomes a report, not an exception.

    `filed_as` is where the file will stand afterwards, for those who come back to it; `seen` is
    what `look_up` found of the file, so that it need not be hashed a second time.
    """
    try:
        return _ingest(
            lake,
            path,
            mapping,
            tuple(replaces),
            again,
            progress,
            filed_as=filed_as,
            seen=seen,
            commit=True,
        )
    except RefusedFile as error:
        return Report(path, "refused", reason=str(error))


def ingest_all(
    lake: Lakehouse, paths: Iterable[Path], progress: Progress = NO_PROGRESS
) -> list[Report]:
    """Take files in the order of the process; those that are in the lake are not opened."""
    ordered = in_order(lake, paths)
    seen = look_up(lake, ordered)
    return [ingest(lake, path, progress=progress, seen=seen.get(path)) for path in ordered]


def check(
    lake: Lakehouse,
    path: Path,
    mapping: Sequence[Mapping] | Path | None = None,
    progress: Progress = NO_PROGRESS,
) -> Report:
    """Judge one file and store nothing."""
    try:
        return _ingest(lake, path, mapping, (), True, progress, commit=False)
    except RefusedFile as error:
        return Report(path, "refused", reason=str(error))


def _ingest(
    lake: Lakehouse,
    path: Path,
    mapping: Sequence[Mapping] | Path | None,
    replaces: tuple[str, ...],
    again: bool,
    progress: Progress,
    commit: bool,
    filed_as: Path | None = None,
    seen: KnownBytes | None = None,
) -> Report:
    if not path.is_file():
        kind_of(path)  # refuses it by the name that was given
    path = path.resolve()
    seen = seen or KnownBytes(content_hash(path))
    fingerprint = seen.fingerprint
    chosen = _given(path, mapping, lake)
    displaced: list[str] = []
    if not again:
        manifest = seen.manifest_in(lake)
        before = _under_mapping(manifest, chosen)
        if before and not replaces:
            return known_report(path, before)
        displaced = _displaced(manifest)
    reader = chosen[0].reader if chosen else reader_of(path)
    if reader is None:
        kind_of(path)
    resolved = None
    if reader != mappings.CYCLER:
        try:
            resolved = resolve(path, lake, chosen, reader)
        except RefusedFile as error:
            if chosen or reader or not is_export(path):
                raise (not chosen and almost_an_export(path)) or error from None
            reader = mappings.CYCLER
    leaving = _replaced(lake, replaces)
    if reader == mappings.CYCLER:
        of_export = chosen[0] if chosen else _anonymous(path, reader)
        report = _ingest_export(
            lake, path, fingerprint, of_export, leaving, again, progress, commit, filed_as
        )
        report.notes += displaced
        return report
    for _ in range(OVERTAKEN_TRIES):
        judged_at = lake.snapshot()
        resolution = resolved or resolve(path, lake, chosen, reader)
        resolved = None  # its rows can be walked once
        judgement = _Judgement(
            path, fingerprint, *resolution, leaving, chosen if reader else [], again and commit
        )
        with workbench(lake) as bench:
            tallies = judgement.judge(lake, bench, progress)
            if not commit:
                return judgement.report("checked", tallies)
            parts = [tally.part for tally in tallies]
            if again and _same_verdicts(lake, judgement.file_id, parts):
                return judgement.report("unchanged", tallies)
            try:
                receipt = deliver(
                    lake,
                    bench,
                    judgement.origin(filed_as or path),
                    parts,
                    judgement.replaced,
                    judged_at,
                    again,
                )
            except Overtaken:
                continue
        report = judgement.report("taken" if receipt.committed else "known", tallies)
        report.notes += displaced
        report.snapshot = receipt.snapshot
        return report
    raise StoreError(
        f"{path.name}: other files keep bringing the same records.", "Run the command again."
    )


def _ingest_export(
    lake: Lakehouse,
    path: Path,
    fingerprint: str,
    mapping: Mapping,
    replaced: tuple[str, ...],
    again: bool,
    progress: Progress,
    commit: bool,
    filed_as: Path | None,
) -> Report:
    """Take a cycler's export: its points, the cycles computed from them, and its test."""
    inherited = ""
    file_id = _file_id(fingerprint)
    for _ in range(OVERTAKEN_TRIES):
        judged_at = lake.snapshot()
        try:
            export = Export(lake, path, file_id, mapping, replaced)
            report = Report(path, "checked", mapping.source, file_id)
            with workbench(lake) as bench:
                tallies = export.judge(bench, lambda rows: progress(path.name, rows))
                parts = [tally.part for tally in tallies]
                if commit and again and _same_verdicts(lake, file_id, parts):
                    report.status = "unchanged"
                elif commit:
                    origin = Origin(
                        file_id=file_id,
                        source_id=mapping.source,
                        path=filed_as or path,
                        size_bytes=path.stat().st_size,
                        content_hash=fingerprint,
                        mapping_hash=mappings.digest([mapping]),
                        mapping={"parts": [mapping.as_dict()], **export.described()},
                        licence=mapping.licence,
                        citation=mapping.citation,
                        is_synthetic=mapping.synthetic,
                    )
                    shorter = [earlier.file_id for earlier in export.continues]
                    leaving = (*replaced, *shorter, *([file_id] if again else []))
                    receipt = deliver(lake, bench, origin, parts, leaving, judged_at)
                    report.status = "taken" if receipt.committed else "known"
                    report.snapshot = receipt.snapshot
        except Inherits as longer:
            mapping = mappings.parse(longer.earlier.mapping, path)[0]
            inherited = f"no mapping: that of the shorter export {longer.earlier.file_id} is used"
            continue
        except KnownThrough as whole:
            before = known_file(lake, whole.earlier.file_id)
            report = Report(path, "known", before[0]["source_id"], whole.earlier.file_id)
            report.reason = (
                f"all its points are in the lake: they begin {before[0]['file_name']} "
                f"({whole.earlier.file_id})"
            )
            return report
        except Overtaken:
            continue
        nameless = [_nameless(mapping.source)] if mapping.automatic else []
        report.notes += ([inherited] if inherited else nameless) + export.report_notes()
        report.outcomes = [_outcome(tally) for tally in tallies]
        return report
    raise StoreError(
        f"{path.name}: other files keep bringing the same test.", "Run the command again."
    )


def _same_verdicts(lake: Lakehouse, file_id: str, parts: Sequence[Part]) -> bool:
    """Whether a judgement holds back the rows that the quarantine holds of this file, for the same reasons."""
    verdict = "sheet, table_name, row_number, field, rule"
    before = f"SELECT DISTINCT {verdict} FROM quarantine WHERE file_id = {sql_text(file_id)}"
    files = ", ".join(sql_text(str(path)) for part in parts for path in part.quarantine)
    if not files:
        return not lake.rows(f"{before} LIMIT 1")
    now = f"SELECT DISTINCT {verdict} FROM read_parquet([{files}])"
    return not lake.rows(
        f"(({before}) EXCEPT ({now})) UNION ALL (({now}) EXCEPT ({before})) LIMIT 1"
    )


def _under_mapping(manifest: list[dict[str, Any]], chosen: list[Mapping]) -> list[dict[str, Any]]:
    """The entries of a file's manifest that were read by these mappings; all if there are none."""
    if not chosen:
        return manifest
    mapping_hash = mappings.digest(chosen)
    return [entry for entry in manifest if entry["mapping_hash"] == mapping_hash]


def _nameless(source_id: str) -> str:
    return (
        f"no mapping: the source is named '{source_id}' after the file; to keep a series of exports "
        "together, let `map` write a mapping, give it a `source` and a `files` pattern, and put it "
        "into the mappings folder as NAME.map.yaml"
    )


def _displaced(before: list[dict[str, Any]]) -> list[str]:
    """A note if the lake held the same bytes under another mapping, which this one replaces."""
    if not before:
        return []
    first = before[0]
    return [
        f"takes the place of the same bytes under another mapping: source {first['source_id']}, "
        f"taken on {first['ingested_at']:%Y-%m-%d %H:%M}"
    ]


def reader_of(path: Path) -> str | None:
    """The reader that recognises a file by its content; None for a form."""
    if is_vendor_export(path):
        return mappings.CYCLER
    from battery_platform.records.instruments.readers import recognise_instrument

    instrument = recognise_instrument(path)
    return instrument.name if instrument else None


def _anonymous(path: Path, reader: str) -> Mapping:
    """The mapping of an instrument's file for which nobody wrote one."""
    return Mapping(mappings.safe_source(path.stem), "", {}, reader=reader, automatic=True)


def _file_id(fingerprint: str) -> str:
    return "f-" + fingerprint[:16]


def _outcome(tally: Tally) -> Outcome:
    part = tally.part
    return Outcome(
        part.table.name,
        part.sheet,
        part.rows_in,
        part.rows_accepted,
        part.rows_new,
        part.rows_quarantined,
        tally.violations,
    )


@dataclass(frozen=True)
class _Judgement:
    """One file under its mappings, on the way into the lake."""

    path: Path
    fingerprint: str
    mappings: list[Mapping]
    sheets: list[tuple[Mapping, Sheet]]
    replaced: tuple[str, ...]
    stated: list[Mapping]
    """The mappings of an instrument's file as they were given, before its reader placed columns."""
    again: bool
    """Whether the file is in the lake, read as it is now."""

    @property
    def file_id(self) -> str:
        return _file_id(self.fingerprint)

    def judge(self, lake: Lakehouse, bench: Workbench, progress: Progress) -> list[Tally]:
        """Judge each sheet and leave both outcomes, accepted and quarantined, on the bench."""
        if len({mapping.source for mapping in self.mappings}) != 1:
            raise refuse(
                self.path,
                "its sheets are mapped to different sources.",
                "Use one `source` per file.",
            )
        tallies: list[Tally] = []
        for mapping, sheet in sorted(
            self.sheets, key=lambda pair: list(TABLES).index(pair[0].table)
        ):
            before = tuple(tally.part for tally in tallies)
            subject = Subject(
                self.path, self.file_id, sheet, mapping, self.replaced, before, self.again
            )
            tallies.append(
                judge_sheet(subject, lake, bench, lambda rows: progress(self.path.name, rows))
            )
        return tallies

    def origin(self, filed_as: Path) -> Origin:
        """What the manifest says of the file."""
        mapping = self.mappings[0]
        return Origin(
            file_id=self.file_id,
            source_id=mapping.source,
            path=filed_as,
            size_bytes=self.path.stat().st_size,
            content_hash=self.fingerprint,
            mapping_hash=mappings.digest(self.stated or self.mappings),
            mapping={"parts": [part.as_dict() for part in self.mappings]},
            licence=mapping.licence,
            citation=mapping.citation,
            is_synthetic=mapping.synthetic,
        )

    def report(self, status: str, tallies: list[Tally]) -> Report:
        """What became of the file."""
        report = Report(self.path, status, self.mappings[0].source, self.file_id)
        if self.mappings[0].automatic:
            report.notes.append(_nameless(report.source_id))
        for mapping, sheet in self.sheets:
            report.notes += [*sheet.notes, *mapping.assumed]
        report.outcomes = [_outcome(tally) for tally in tallies]
        return report


def _given(path: Path, mapping: Sequence[Mapping] | Path | None, lake: Lakehouse) -> list[Mapping]:
    """The mappings named by the caller or found beside the file; empty if there are none."""
    if isinstance(mapping, Path):
        return mappings.load(mapping)
    if mapping is not None:
        return list(mapping)
    beside = mappings.for_path(path, lake.settings.mappings_folder)
    return mappings.load(beside) if beside else []


def resolve(
    path: Path, lake: Lakehouse, chosen: list[Mapping], reader: str | None = None
) -> tuple[list[Mapping], list[tuple[Mapping, Sheet]]]:
    """Each mapping with the sheet that it reads; without mappings, the sheets that fit for certain."""
    if reader is not None:
        from battery_platform.records.instruments.readers import mapped

        pairs = mapped(path, chosen or [_anonymous(path, reader)])
        return [mapping for mapping, _ in pairs], pairs
    if not chosen:
        return _automatic(path, lake)
    first = chosen[0]
    if any(mapping.header_row != first.header_row for mapping in chosen):
        matched = []
        for mapping in chosen:
            there = sheets(
                path,
                lake.settings,
                mapping.encoding,
                mapping.delimiter,
                mapping.decimal,
                mapping.header_row,
                only=mapping.sheet,
            )
            matched.append((mapping, _sheet_of(mapping, there, path)))
        return chosen, matched
    there = sheets(
        path, lake.settings, first.encoding, first.delimiter, first.decimal, first.header_row
    )
    return chosen, [(mapping, _sheet_of(mapping, there, path)) for mapping in chosen]


def _sheet_of(mapping: Mapping, there: list[Sheet], path: Path) -> Sheet:
    if mapping.sheet is None:
        return there[0]
    for sheet in there:
        if sheet.name == mapping.sheet:
            return sheet
    names = ", ".join(sheet.name for sheet in there)
    raise refuse(
        path, f"there is no sheet '{mapping.sheet}'; there are: {names}.", "Correct `sheet`."
    )


def _automatic(path: Path, lake: Lakehouse) -> tuple[list[Mapping], list[tuple[Mapping, Sheet]]]:
    source = mappings.safe_source(path.stem)
    pairs: list[tuple[Mapping, Sheet]] = []
    problems: list[RefusedFile] = []
    skipped: list[str] = []
    for sheet in sheets(path, lake.settings):
        proposal = mappings.propose(sheet, source, first_cells(sheet))
        if proposal is None:
            problems.append(mappings.no_table(path, sheet))
            skipped.append(sheet.name)
        elif not proposal.usable:
            present = ", ".join(text for text in sheet.header if text)[:300]
            problems.append(
                refuse(
                    path,
                    f"as a table of {TABLES[proposal.mapping.table].title} it lacks "
                    f"{', '.join(proposal.missing)}; it has: {present}.",
                    "Add the column, or write a mapping: `battery-platform map FILE` begins one.",
                )
            )
            skipped.append(sheet.name)
        else:
            unplaced = [
                placed.header
                for placed in proposal.placements
                if placed.header
                and placed.header
                not in {place.header for place in proposal.mapping.columns.values()}
            ]
            if unplaced:
                sheet.notes.append(f"columns not taken: {', '.join(unplaced)}")
            pairs.append((replace(proposal.mapping, automatic=True), sheet))
    if not pairs:
        raise problems[0]
    for name, problem in zip(skipped, problems, strict=True):
        pairs[0][1].notes.append(f"sheet '{name}' was not taken: {problem.says}")
    return [mapping for mapping, _ in pairs], pairs


def known_report(path: Path, manifest: list[dict[str, Any]]) -> Report:
    first = manifest[0]
    report = Report(path, "known", first["source_id"], first["file_id"])
    report.reason = f"the same bytes were taken on {first['ingested_at']:%Y-%m-%d %H:%M} as {first['file_name']}"
    report.outcomes = [
        Outcome(
            row["table_name"],
            row["sheet"],
            row["rows_in"],
            row["rows_accepted"],
            row["rows_new"],
            row["rows_quarantined"],
            pl.DataFrame(),
        )
        for row in manifest
    ]
    return report


def _replaced(lake: Lakehouse, names: Iterable[str]) -> tuple[str, ...]:
    """The file ids meant by the names, ids or paths given to `--replaces`."""
    file_ids = []
    for name in names:
        bare = name if Path(name).name == name else ""
        rows = lake.rows(
            "SELECT DISTINCT file_id FROM raw_files WHERE file_id = ? OR file_name = ? OR path = ?",
            [name, bare, str(Path(name).resolve())],
        )
        if len(rows) != 1:
            what = "no file" if not rows else "several files"
            raise PlatformError(
                f"--replaces {name}: {what} of that name in the lake.",
                'Name the file_id, see `battery-platform sql "select distinct file_id, file_name from raw_files"`.',
            )
        file_ids.append(rows[0][0])
    return tuple(file_ids)


def in_order(lake: Lakehouse, paths: Iterable[Path]) -> list[Path]:
    """Files in the order of the process, so that records come before those that refer to them."""
    ranks = {name: rank for rank, name in enumerate(TABLES)}

    def rank(path: Path) -> tuple[int, str]:
        try:
            chosen = _given(path, None, lake)
            if not chosen and reader_of(path) is None and kind_of(path) == "text":
                chosen = _automatic(path, lake)[0]
        except PlatformError:
            return (len(ranks), path.name)
        table_ranks = [ranks[mapping.table] for mapping in chosen if mapping.table]
        return (min(table_ranks, default=len(ranks)), path.name)

    return sorted(paths, key=rank)


def files_below(paths: Iterable[Path]) -> list[Path]:
    """The files named and those in the folders named, without mapping files and hidden files."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(
                item
                for item in path.rglob("*")
                if item.is_file()
                and not item.name.startswith((".", "~$"))
                and not item.name.endswith((".map.yaml", ".reason.txt"))
                and item.name not in {"SOURCE.md", "README.md", "LICENSE", "LICENSE.md"}
            )
        else:
            files.append(path)
    return files


def retry(
    lake: Lakehouse, name: str | None = None, progress: Progress = NO_PROGRESS
) -> list[Report]:
    """Judge files with quarantined rows again, under the mapping they were read with.

    `name` (a file name, file_id or source_id) restricts it to some of them. A file whose verdicts are
    what they were is left as it is, and not among the reports; in these, `new` counts the rows that
    the lake did not have before.
    """
    reports = []
    for path, fingerprint, chosen in _waiting(lake, name):
        if not path.is_file() or content_hash(path) != fingerprint:
            reports.append(
                Report(
                    path,
                    "refused",
                    reason=f"{path.name}: the file is gone from {path.parent} or was changed. "
                    "Ingest the corrected file with `--replaces` instead.",
                )
            )
            continue
        seen = KnownBytes(fingerprint)
        before = {
            (entry["table_name"], entry["sheet"]): entry["rows_new"]
            for entry in seen.manifest_in(lake)
        }
        report = ingest(lake, path, chosen, again=True, progress=progress, seen=seen)
        if report.status == "unchanged":
            continue
        for outcome in report.outcomes:
            outcome.rows_new -= before.get((outcome.table, outcome.sheet), 0)
        reports.append(report)
    return reports


def _waiting(lake: Lakehouse, name: str | None) -> list[tuple[Path, str, list[Mapping]]]:
    """Files with quarantined rows in the order of the process: path, hash of the bytes, mappings."""
    files = lake.rows(
        """SELECT DISTINCT f.path, f.content_hash, f.mapping FROM raw_files f
           SEMI JOIN quarantine q ON f.file_id = q.file_id
           WHERE $name IS NULL OR $name IN (f.file_name, f.file_id, f.source_id)""",
        {"name": name},
    )
    ranked = []
    for path_text, fingerprint, mapping in files:
        path = Path(path_text)
        chosen = [mappings.parse(part, path)[0] for part in json.loads(mapping)["parts"]]
        ranks = [list(TABLES).index(each.table) for each in chosen if each.table]
        ranked.append((min(ranks, default=len(TABLES)), path, fingerprint, chosen))
    ranked.sort(key=lambda waiting: (waiting[0], str(waiting[1])))
    return [(path, fingerprint, chosen) for _, path, fingerprint, chosen in ranked]
