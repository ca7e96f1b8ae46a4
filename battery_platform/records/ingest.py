"""One file, all the way: hash, mapping, judgement, commit, and a report that people can read.

The same bytes under the same mapping are taken once. `check` does everything except commit.
Reading cells belongs in `reading`, judging rows in `judging`, the transaction in `store.commit`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from battery_platform.contracts.registry import TABLES
from battery_platform.errors import PlatformError, RefusedFile, StoreError
from battery_platform.records import mapping as mappings
from battery_platform.records.accounting import (
    UNPLACED,
    Fate,
    Unsettled,
    account,
    known_fates,
    summary,
    unsettled,
)
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
from battery_platform.records.proposing import propose
from battery_platform.records.reading import Sheet, first_cells, kind_of, refuse, sheets
from battery_platform.records.text_way import Subject, Tally
from battery_platform.store.commit import (
    Origin,
    Overtaken,
    Part,
    Workbench,
    deliver,
    how_withdrawn,
    known_file,
    withdrawn,
    workbench,
)
from battery_platform.store.lakehouse import Lakehouse, sql_text

Progress = Callable[[str, int], None]
OVERTAKEN_TRIES = 5
NO_PROGRESS: Progress = lambda file_name, rows: None  # noqa: E731


@dataclass(frozen=True)
class Settle:
    """What is to become of columns that find no place, beside what the mapping says."""

    leave_out: tuple[str, ...] = ()
    keep_extra: bool = False
    as_before: bool = False
    """The file was taken once with just these columns: nothing has to be decided anew."""

    def said_in(self, mapping: Mapping) -> Mapping:
        """The mapping with what the caller decided."""
        extra = ("*",) if self.keep_extra else ()
        return replace(
            mapping,
            leave_out=(*mapping.leave_out, *self.leave_out),
            extra=(*mapping.extra, *extra),
        )


NOTHING_SETTLED = Settle()


@dataclass(frozen=True)
class Delivery:
    """A sheet with its mapping, and what became of each of its columns."""

    mapping: Mapping
    sheet: Sheet
    fates: tuple[Fate, ...]


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
    """`taken`, `known`, `checked`, `refused`, `withdrawn`, or `unchanged`: judged again alike"""
    source_id: str = ""
    file_id: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    snapshot: int | None = None
    fates: list[Fate] = field(default_factory=list)
    """What became of every column."""

    def total(self, what: str) -> int:
        return sum(getattr(outcome, what) for outcome in self.outcomes)

    @property
    def is_left_out(self) -> bool:
        """Whether nothing of the file is in the lake."""
        return self.status in {"refused", "withdrawn"}

    @property
    def failed(self) -> bool:
        """Whether the file was refused as a whole, or none of its rows was accepted."""
        return self.is_left_out or (self.total("rows_in") > 0 and self.total("rows_accepted") == 0)

    def rows(self) -> list[dict[str, Any]]:
        """One line per sheet for tables and JSON."""
        common = {
            "file": self.path.name,
            "status": self.status,
            "source_id": self.source_id,
            "file_id": self.file_id,
        }
        if not self.outcomes:
            nothing = dict.fromkeys(("rows_in", "accepted", "new", "quarantined"), 0)
            return [common | {"table": "", "sheet": ""} | nothing | {"reason": self.reason}]
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

    def details(self) -> list[dict[str, Any]]:
        """`rows` with all that is told besides: every column, notes, and the first violations."""
        told = []
        for row in self.rows():
            here = [outcome for outcome in self.outcomes if outcome.sheet == row["sheet"]]
            told.append(
                row
                | {
                    "columns": [
                        fate.row()
                        for fate in self.fates
                        if not here or (fate.sheet, fate.table) == (row["sheet"], row["table"])
                    ],
                    "notes": list(dict.fromkeys(self.notes)),
                    "violations": [
                        violation
                        for outcome in here
                        if outcome.table == row["table"]
                        for violation in outcome.violations.to_dicts()
                    ],
                }
            )
        return told

    @property
    def unplaced(self) -> bool:
        """Whether a column found no place and nobody decided about it."""
        return any(fate.outcome == UNPLACED for fate in self.fates)

    def counts(self) -> dict[str, int]:
        """How many columns came to which end."""
        return dict(Counter(fate.outcome for fate in self.fates))


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
    settle: Settle = NOTHING_SETTLED,
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
            settle=settle,
        )
    except RefusedFile as error:
        return _refused(path, error)


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
    settle: Settle = NOTHING_SETTLED,
) -> Report:
    """Judge one file and store nothing."""
    try:
        return _ingest(lake, path, mapping, (), True, progress, commit=False, settle=settle)
    except RefusedFile as error:
        return _refused(path, error)


def _remembered(
    lake: Lakehouse,
    path: Path,
    fingerprint: str,
    manifest: list[dict[str, Any]],
    replaces: Sequence[str],
) -> Report | None:
    """The answer to bytes that the lake has, or that somebody took back and are not to replace others now."""
    if manifest:
        return None if replaces else known_report(lake, path, manifest)
    remembered = withdrawn(lake, fingerprint)
    if not remembered or remembered[0]["replaced_by"] in _replaced(lake, replaces):
        return None
    gone = remembered[0]
    remedy = (
        f"`battery-platform ingest {path.name} --replaces {gone['replaced_by']}` changes back"
        if gone["replaced_by"]
        else f"`battery-platform withdraw --undo {path.name}` brings it back"
    )
    reason = f"{how_withdrawn(gone)}. Nothing was stored; {remedy}."
    return Report(path, "withdrawn", gone["source_id"], gone["file_id"], reason=reason)


def _refused(path: Path, error: RefusedFile) -> Report:
    fates = list(error.fates) if isinstance(error, Unsettled) else []
    return Report(path, "refused", reason=str(error), fates=fates)


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
    settle: Settle = NOTHING_SETTLED,
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
        answer = _remembered(lake, path, fingerprint, _under_mapping(manifest, chosen), replaces)
        if answer:
            return answer
        displaced = _displaced(manifest)
    reader = chosen[0].reader if chosen else reader_of(path)
    if reader is None:
        kind_of(path)
    resolved = None
    if reader != mappings.CYCLER:
        try:
            resolved = resolve(path, lake, chosen, reader, settle)
        except RefusedFile as error:
            if chosen or reader or isinstance(error, Unsettled) or not is_export(path):
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
        deliveries = resolved or resolve(path, lake, chosen, reader, settle)
        resolved = None  # its rows can be walked once
        stands = again and commit and bool(known_file(lake, _file_id(fingerprint)))
        judgement = _Judgement(
            path, fingerprint, deliveries, leaving, chosen if reader else [], stands
        )
        with workbench(lake) as bench:
            tallies = judgement.judge(lake, bench, progress)
            if not commit:
                return judgement.report("checked", tallies)
            parts = [tally.part for tally in tallies]
            if stands and _same_verdicts(lake, judgement.file_id, parts):
                return judgement.report("unchanged", tallies)
            try:
                receipt = deliver(
                    lake,
                    bench,
                    judgement.origin(filed_as or path),
                    parts,
                    judgement.replaced,
                    judged_at,
                    stands,
                    corrects=leaving,
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
                stands = commit and again and bool(known_file(lake, file_id))
                if stands and _same_verdicts(lake, file_id, parts):
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
                    receipt = deliver(
                        lake, bench, origin, parts, leaving, judged_at, corrects=replaced
                    )
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
    deliveries: list[Delivery]
    replaced: tuple[str, ...]
    stated: list[Mapping]
    """The mappings of an instrument's file as they were given, before its reader placed columns."""
    again: bool
    """Whether the file is in the lake, read as it is now."""

    @property
    def file_id(self) -> str:
        return _file_id(self.fingerprint)

    @property
    def mappings(self) -> list[Mapping]:
        return [delivery.mapping for delivery in self.deliveries]

    def judge(self, lake: Lakehouse, bench: Workbench, progress: Progress) -> list[Tally]:
        """Judge each sheet and leave both outcomes, accepted and quarantined, on the bench."""
        if len({mapping.source for mapping in self.mappings}) != 1:
            raise refuse(
                self.path,
                "its sheets are mapped to different sources.",
                "Use one `source` per file.",
            )
        tallies: list[Tally] = []
        ranks = list(TABLES)
        for delivery in sorted(self.deliveries, key=lambda one: ranks.index(one.mapping.table)):
            subject = Subject(
                self.path,
                self.file_id,
                delivery.sheet,
                delivery.mapping,
                self.replaced,
                tuple(tally.part for tally in tallies),
                delivery.fates,
                self.again,
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
        for delivery in self.deliveries:
            report.notes += [*delivery.sheet.notes, *delivery.mapping.assumed]
            report.fates += delivery.fates
        if not self.stated:
            report.notes += summary(report.fates)
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
    path: Path,
    lake: Lakehouse,
    chosen: list[Mapping],
    reader: str | None = None,
    settle: Settle = NOTHING_SETTLED,
) -> list[Delivery]:
    """Each sheet with its mapping and the fate of its columns.

    Without mappings, the sheets that fit for certain. A column that nobody decided about refuses
    the file.
    """
    if reader is not None:
        from battery_platform.records.instruments.readers import mapped

        pairs = mapped(path, chosen or [_anonymous(path, reader)])
        return [Delivery(m, sheet, tuple(account(m, sheet, path))) for m, sheet in pairs]
    deliveries = (
        _as_mapped(path, lake, [settle.said_in(mapping) for mapping in chosen])
        if chosen
        else _automatic(path, lake, settle)
    )
    refusal = unsettled(path, [fate for delivery in deliveries for fate in delivery.fates])
    if refusal and not settle.as_before:
        raise refusal
    return deliveries


def _as_mapped(path: Path, lake: Lakehouse, chosen: list[Mapping]) -> list[Delivery]:
    first, *others = chosen
    together = all(mapping.header_row == first.header_row for mapping in others)
    there = _sheets(path, lake, first, None if together else first.sheet)
    deliveries = []
    for mapping in chosen:
        if not together and mapping is not first:
            there = _sheets(path, lake, mapping, mapping.sheet)
        sheet = _sheet_of(mapping, there, path)
        deliveries.append(Delivery(mapping, sheet, tuple(account(mapping, sheet, path))))
    return deliveries


def _sheets(path: Path, lake: Lakehouse, mapping: Mapping, only: str | None) -> list[Sheet]:
    dialect = (mapping.encoding, mapping.delimiter, mapping.decimal, mapping.header_row)
    return sheets(path, lake.settings, *dialect, only=only)


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


def _automatic(path: Path, lake: Lakehouse, settle: Settle) -> list[Delivery]:
    source = mappings.safe_source(path.stem)
    deliveries: list[Delivery] = []
    problems: list[tuple[str, RefusedFile]] = []
    for sheet in sheets(path, lake.settings):
        proposal = propose(sheet, source, first_cells(sheet))
        if proposal is None:
            problems.append((sheet.name, mappings.no_table(path, sheet)))
        elif not proposal.usable:
            present = ", ".join(text for text in sheet.header if text)[:300]
            says = (
                f"as a table of {TABLES[proposal.mapping.table].title} it lacks "
                f"{', '.join(proposal.missing)}; it has: {present}."
            )
            remedy = "Add the column, or write a mapping: `battery-platform map FILE` begins one."
            problems.append((sheet.name, refuse(path, says, remedy)))
        else:
            mapping = settle.said_in(replace(proposal.mapping, automatic=True))
            fates = account(mapping, sheet, path, proposal.placements)
            deliveries.append(Delivery(mapping, sheet, tuple(fates)))
    if not deliveries:
        raise problems[0][1]
    for name, problem in problems:
        deliveries[0].sheet.notes.append(f"sheet '{name}' was not taken: {problem.says}")
    return deliveries


def known_report(lake: Lakehouse, path: Path, manifest: list[dict[str, Any]]) -> Report:
    first = manifest[0]
    report = Report(path, "known", first["source_id"], first["file_id"])
    report.fates = known_fates(lake, first["file_id"])
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
                chosen = [one.mapping for one in _automatic(path, lake, NOTHING_SETTLED)]
        except PlatformError:
            return (len(ranks), path.name)
        table_ranks = [ranks[mapping.table] for mapping in chosen if mapping.table]
        return (min(table_ranks, default=len(ranks)), path.name)

    chosen_paths = list(paths)
    return sorted(chosen_paths, key=rank) if len(chosen_paths) > 1 else chosen_paths


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
        report = ingest(
            lake,
            path,
            chosen,
            again=True,
            progress=progress,
            seen=seen,
            settle=Settle(as_before=True),
        )
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
