"""A sheet of a file, judged: accepted rows and quarantine rows as Parquet, ready to commit.

Batches go through text, so that every value can be shown as it stood. A long regular text file
is first run through one streaming pass that keeps the rows breaking no rule; only the others
take the way through text. Rules between rows (doubled identifiers, time running backwards,
unknown references) are judged on what was accepted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from battery_platform.contracts.base import Column, Contract, columns, keys, sequence
from battery_platform.contracts.registry import TABLES
from battery_platform.contracts.verdicts import VIOLATION, judge, no_violations, passes
from battery_platform.records import identity
from battery_platform.records.mapping import Mapping, factor, header_position
from battery_platform.records.parsing import SUMMARY_WORDS, as_moment, converted, parse
from battery_platform.records.reading import BATCH_ROWS, Batch, Sheet, readable_name, refuse
from battery_platform.settings import MIB
from battery_platform.store.audit import known_ids, stated_ids
from battery_platform.store.commit import PARQUET, Part, Workbench
from battery_platform.store.lakehouse import Lakehouse, is_disk_full, sql_name, sql_text
from battery_platform.store.schema import KNOWN, QUARANTINE, raw_columns

Progress = Callable[[int], None]
Schema = MappingType[str, Any]
SAMPLE_ROWS = 20_000


@dataclass(frozen=True)
class Subject:
    """What is judged: one sheet of one file under one mapping, and who it will be in the lake."""

    path: Path
    file_id: str
    sheet: Sheet
    mapping: Mapping
    replaces: tuple[str, ...] = ()
    before: tuple[Part, ...] = ()
    """What sheets of the same file brought that come earlier in the process."""

    @property
    def contract(self) -> type[Contract]:
        return TABLES[self.mapping.table].contract


@dataclass
class Tally:
    """What the judgement found, beside the Parquet it wrote."""

    part: Part
    violations: pl.DataFrame = field(default_factory=no_violations)
    examples: int = 200

    def note(self, violations: pl.DataFrame) -> None:
        if self.violations.height < self.examples:
            room = self.examples - self.violations.height
            self.violations = pl.concat([self.violations, violations.head(room)])


def judge_sheet(
    subject: Subject, lake: Lakehouse, bench: Workbench, progress: Progress = lambda rows: None
) -> Tally:
    """Judge all rows of a sheet and write both outcomes to the bench."""
    part = Part(TABLES[subject.mapping.table], subject.sheet.name)
    tally = Tally(part)
    way = _TextWay(subject, bench, tally)
    if _streams(subject, lake):
        _stream(subject, bench, way, progress)
    else:
        for batch in subject.sheet.rows:
            way.take(batch)
            progress(part.rows_in)
    _judge_between_rows(subject, lake, bench, way)
    part.rows_quarantined = part.rows_in - part.rows_accepted
    return tally


# -- the way through text -------------------------------------------------------------------


class _TextWay:
    """Judges batches of text cells and writes what they become."""

    def __init__(self, subject: Subject, bench: Workbench, tally: Tally) -> None:
        self.subject = subject
        self.bench = bench
        self.tally = tally
        self.positions = header_position(subject.mapping, subject.sheet, subject.path)
        header = subject.sheet.header
        self.factors = {
            name: factor(subject.mapping, name, header[position], subject.path)
            for name, position in self.positions.items()
        }
        self.decimal = subject.mapping.decimal or (
            subject.sheet.dialect.decimal if subject.sheet.dialect else "."
        )
        self.absent = (
            identity.derivable(subject.mapping.table)
            - set(self.positions)
            - set(subject.mapping.constants)
        )

    def take(self, batch: Batch) -> None:
        """Judge a batch; accepted rows and quarantine rows each become a Parquet file."""
        part = self.tally.part
        part.rows_in += batch.cells.height + len(batch.ragged)
        cells = batch.cells
        sums = _summary_lines(cells)
        if sums.height:
            wanted = sums.select("row_number")
            self.quarantine(sums, Batch(cells.join(wanted, on="row_number", how="semi")))
            cells = cells.join(wanted, on="row_number", how="anti")
        text = cells.select(
            "row_number", *[pl.col(f"c{i}").alias(name) for name, i in self.positions.items()]
        )
        typed, problems = parse(
            text, self.subject.contract, self.subject.mapping, self.factors, self.decimal
        )
        typed = identity.derive(
            typed,
            self.subject.mapping.table,
            self.subject.mapping.source,
            self.absent,
            self.subject.mapping.automatic,
        ).select("row_number", *[column.name for column in columns(self.subject.contract)])
        verdict = judge(typed, self.subject.contract, problems)
        if verdict.accepted.height:
            self.write_accepted(verdict.accepted)
        violations = _with_original(verdict.violations, text)
        if batch.ragged:
            violations = pl.concat(
                [violations, _ragged(batch.ragged, len(self.subject.sheet.header))]
            )
        if violations.height:
            self.quarantine(violations, batch)

    def write_accepted(self, accepted: pl.DataFrame) -> None:
        path = self.bench.path(self.tally.part.table.raw)
        self.finished(accepted.lazy()).collect().write_parquet(path, **PARQUET)
        self.tally.part.accepted.append(path)
        self.tally.part.rows_accepted += accepted.height

    def finished(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Rows as the raw table holds them: contract columns, then where they come from."""
        subject = self.subject
        words = {
            "source_id": subject.mapping.source,
            "file_id": subject.file_id,
            "sheet": subject.sheet.name,
        }
        # One word for all rows: as an enumeration it is written once, not five million times.
        constants = [pl.lit(word).cast(pl.Enum([word])).alias(name) for name, word in words.items()]
        return rows.with_columns(
            *constants, pl.lit(subject.mapping.synthetic).alias("is_synthetic")
        ).select(*raw_columns(self.tally.part.table))

    def quarantine(self, violations: pl.DataFrame, batch: Batch) -> None:
        """Write violations with the whole record as it stood."""
        subject = self.subject
        wanted = violations.select("row_number").unique()
        header = [text or f"#{i + 1}" for i, text in enumerate(subject.sheet.header)]
        records = {
            row[0]: json.dumps(dict(zip(header, row[1:], strict=True)), ensure_ascii=False)
            for row in batch.cells.join(wanted, on="row_number", how="semi").iter_rows()
        }
        records |= {number: json.dumps(text.split("\x1f")) for number, _, text in batch.ragged}
        frame = violations.with_columns(
            pl.col("row_number")
            .replace_strict(records, default=None, return_dtype=pl.String)
            .alias("record"),
            pl.lit(subject.file_id).alias("file_id"),
            pl.lit(subject.mapping.source).alias("source_id"),
            pl.lit(readable_name(subject.path)).alias("file_name"),
            pl.lit(subject.mapping.table).alias("table_name"),
            pl.lit(subject.sheet.name).alias("sheet"),
            pl.lit(subject.mapping.synthetic).alias("is_synthetic"),
            pl.lit(None, dtype=pl.Datetime("us")).fill_null(_now()).alias("quarantined_at"),
        ).select(*QUARANTINE)
        path = self.bench.path("quarantine")
        frame.write_parquet(path, **PARQUET)
        self.tally.part.quarantine.append(path)
        self.tally.note(violations)


def _now() -> pl.Expr:
    from datetime import UTC, datetime

    return pl.lit(datetime.now(UTC).replace(tzinfo=None)).cast(pl.Datetime("us"))


def _summary_lines(cells: pl.DataFrame) -> pl.DataFrame:
    """Lines whose first cell is a word such as 'Mean', unless the whole column says so."""
    if "c0" not in cells.columns:
        return no_violations()
    first = pl.col("c0").str.strip_chars().str.to_lowercase()
    found = cells.filter(first.is_in(SUMMARY_WORDS))
    if 3 * found.height > cells.height:
        return no_violations()
    says = pl.format("The line begins with '{}': it sums up others and is no record.", "c0")
    remedy = "Leave such lines out of the export; the marts hold means and deviations."
    return found.select(
        "row_number",
        pl.lit("").alias("field"),
        pl.col("c0").alias("value"),
        pl.lit("summary_row").alias("rule"),
        says.alias("message"),
        pl.lit(remedy).alias("remedy"),
    ).cast(VIOLATION)  # type: ignore[arg-type]


def _with_original(violations: pl.DataFrame, text: pl.DataFrame) -> pl.DataFrame:
    """Replace typed values by the text that stood in the file."""
    if violations.is_empty():
        return violations
    names = [name for name in text.columns if name != "row_number"]
    rows = text.join(violations.select("row_number").unique(), on="row_number", how="semi")
    long = rows.unpivot(names, index="row_number", variable_name="field", value_name="original")
    joined = violations.join(long, on=["row_number", "field"], how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("original", "value").alias("value")).select(*VIOLATION)


def _ragged(rows: list[tuple[int, int, str]], width: int) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "row_number": number,
                "field": "",
                "value": text.replace("\x1f", " | ")[:200],
                "rule": "row_shape",
                "message": f"The row has {found} fields, the header {width}: it is cut off, or a "
                "delimiter stands inside a value.",
                "remedy": "Complete the row, or quote the value that holds the delimiter.",
            }
            for number, found, text in rows
        ],
        schema=VIOLATION,
    )


# -- the streaming pass ---------------------------------------------------------------------


def _streams(subject: Subject, lake: Lakehouse) -> bool:
    dialect = subject.sheet.dialect
    return (
        dialect is not None
        and bool(dialect.delimiter)
        and dialect.encoding in {"utf-8", "utf-8-sig"}
        and subject.sheet.header_row > 0
        and not identity.derivable(subject.mapping.table)
        and subject.path.stat().st_size > lake.settings.stream_above_mib * MIB
    )


def _plain_lines(path: Path) -> int | None:
    """Number of lines, if each is one row: no quotes, and a line end after the last one."""
    lines, last = 0, b""
    with path.open("rb") as stream:
        while block := stream.read(MIB):
            if b'"' in block:
                return None
            lines += block.count(b"\n")
            last = block
    return lines if last.endswith(b"\n") else None


def _is_even(path: Path, delimiter: str, width: int, first_row: int) -> bool:
    """Whether every line has the header's number of fields, by counting delimiters."""
    separators = newlines = 0
    with path.open("rb") as stream:
        for _ in range(first_row - 1):
            stream.readline()
        while block := stream.read(MIB // 4):
            data = np.frombuffer(block, dtype=np.uint8)
            separators += int(np.count_nonzero(data == ord(delimiter)))
            newlines += int(np.count_nonzero(data == 10))
    return separators == newlines * (width - 1)


def _stream(subject: Subject, bench: Workbench, way: _TextWay, progress: Progress) -> None:
    """Keep the rows that break no rule in one pass; send the others the way through text."""
    accepted = bench.path(way.tally.part.table.raw)
    rows: pl.Series | None = None
    try:
        lines = _plain_lines(subject.path)
        scan = _typed_scan(subject, way) if lines is not None else None
        if scan is not None and lines is not None:
            typed, fine = scan
            way.finished(typed.filter(fine)).sink_parquet(accepted, engine="streaming", **PARQUET)
            kept = pl.read_parquet(accepted, columns=["row_number"])["row_number"]
            rows = _others(kept, subject.sheet.first_row, lines)
    except pl.exceptions.PolarsError as error:
        if is_disk_full(error):
            raise
        # A line with too many fields, or bytes that are no UTF-8: the text way names it.
    if rows is None:
        for batch in subject.sheet.rows:
            way.take(batch)
            progress(way.tally.part.rows_in)
        return
    part = way.tally.part
    part.accepted.append(accepted)
    part.rows_accepted = part.rows_in = len(kept)
    progress(part.rows_in)
    for batch in _lines(subject, rows):
        way.take(batch)


def _others(kept: pl.Series, first: int, last: int) -> pl.Series:
    """The line numbers from `first` to `last` that were not kept."""
    missing = np.ones(last + 1, dtype=bool)
    missing[:first] = False
    missing[kept.to_numpy()] = False
    return pl.Series("row_number", np.flatnonzero(missing), dtype=pl.Int64)


def _typed_scan(subject: Subject, way: _TextWay) -> tuple[pl.LazyFrame, pl.Expr] | None:
    """The file as typed columns, and an expression for rows that need no second look.

    Numbers are read as numbers; text among them becomes null, and a row with such a null is
    looked at again as text. Optional columns that are often empty are read as text instead.
    None if lines of different width could hide behind empty last fields.
    """
    sheet, dialect, mapping = subject.sheet, subject.sheet.dialect, subject.mapping
    assert dialect is not None
    texts = {f"c{i}": pl.String for i in range(len(sheet.header))}
    last = f"c{len(sheet.header) - 1}"

    def scan(schema: Schema, rows: int | None = None) -> pl.LazyFrame:
        return pl.scan_csv(
            subject.path,
            has_header=False,
            skip_lines=sheet.first_row - 1,
            separator=dialect.delimiter,
            quote_char=None,
            schema=schema,
            n_rows=rows,
            ignore_errors=True,
            decimal_comma=way.decimal == ",",
            row_index_name="row_number",
            row_index_offset=sheet.first_row,
        )

    sample = scan(texts, SAMPLE_ROWS).collect()
    empty = {name for name in texts if sample[name].null_count()}
    if last in empty and not _is_even(
        subject.path, dialect.delimiter, len(sheet.header), sheet.first_row
    ):
        return None
    schema: dict[str, Any] = dict(texts)
    wanted = {column.name: column for column in columns(subject.contract)}
    for name, position in way.positions.items():
        column, cell = wanted[name], f"c{position}"
        full = column.required or cell not in empty
        if full and column.dtype in (pl.Float64, pl.Int64) and name not in mapping.values:
            schema[cell] = column.dtype
    made = []
    readable = [] if last in empty else [pl.col(last).is_not_null()]
    for name, column in wanted.items():
        if name in mapping.constants:
            made.append(pl.lit(mapping.constants[name], dtype=column.dtype).alias(name))
        elif name not in way.positions:
            made.append(pl.lit(None, dtype=column.dtype).alias(name))
        else:
            expression, understood = _typed(column, way.positions[name], schema, way, mapping)
            made.append(expression.alias(name))
            readable.append(understood)
    typed = scan(schema).select(
        pl.col("row_number").cast(pl.Int64),
        *made,
        pl.all_horizontal(readable or [pl.lit(True)]).alias("_readable"),
    )
    return typed, pl.col("_readable") & passes(subject.contract)


def _typed(
    column: Column,
    position: int,
    schema: dict[str, Any],
    way: _TextWay,
    mapping: Mapping,
) -> tuple[pl.Expr, pl.Expr]:
    """A column of the streaming pass, and where its text was fully understood."""
    cell = pl.col(f"c{position}")
    scale, offset = way.factors.get(column.name, (1.0, 0.0))
    scaled = (scale, offset) != (1.0, 0.0)
    if schema[f"c{position}"] != pl.String:
        marks = [float(word) for word in mapping.missing if _is_number(word)]
        understood = cell.is_not_null() & ~cell.is_in(marks) if marks else cell.is_not_null()
        return (converted(cell, scale, offset) if scaled else cell), understood
    if column.role == "moment":
        _, utc = as_moment(cell, mapping)
        return utc, utc.is_not_null() | cell.is_null()
    if column.dtype == pl.String:
        value = cell
        if column.name.endswith("_id") and mapping.id_prefix:
            value = pl.concat_str(pl.lit(mapping.id_prefix), cell)
        return value, _is_plain_word(cell, column, mapping) | cell.is_null()
    text = cell if way.decimal == "." else cell.str.replace(",", ".", literal=True)
    number = text.cast(column.dtype, strict=False)
    return (
        converted(number, scale, offset) if scaled else number
    ), number.is_not_null() | cell.is_null()


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _is_plain_word(cell: pl.Expr, column: Column, mapping: Mapping) -> pl.Expr:
    """Text that stays as it is: no blanks around it, no word for missing, nothing to translate."""
    words = {word for word in mapping.missing if word} | set(mapping.values.get(column.name, {}))
    if column.role == "key":
        words |= set(SUMMARY_WORDS)
    longest = max((len(word.encode()) for word in words), default=0)
    ends = (cell.str.slice(0, 1), cell.str.slice(-1, 1))
    plain = pl.all_horizontal([end.is_between(pl.lit("!"), pl.lit("~")) for end in ends])
    if longest:
        known = cell.str.to_lowercase().is_in(sorted(words)) | cell.is_in(sorted(words))
        plain = plain & ((cell.str.len_bytes() > longest) | ~known)
    if column.role == "choice":
        plain = plain & (cell == cell.str.to_lowercase())
    return plain


def _lines(subject: Subject, rows: pl.Series) -> Iterator[Batch]:
    """The lines with these numbers, as batches of text cells."""
    if rows.is_empty():
        return
    dialect = subject.sheet.dialect
    assert dialect is not None
    width = len(subject.sheet.header)
    wanted = rows.to_numpy()
    found: list[list[str]] = []
    numbers: list[int] = []
    cursor, line = 0, 1
    rest = b""
    with subject.path.open("rb") as stream:
        while cursor < len(wanted) and (block := stream.read(4 * MIB)):
            block = rest + block
            ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == 10)
            last = line + len(ends)
            while cursor < len(wanted) and wanted[cursor] < last:
                k = int(wanted[cursor]) - line
                start = int(ends[k - 1]) + 1 if k else 0
                cells = (
                    block[start : int(ends[k])]
                    .rstrip(b"\r")
                    .decode("utf-8")
                    .split(dialect.delimiter)
                )
                if any(cell.strip() for cell in cells):
                    found.append(cells)
                    numbers.append(int(wanted[cursor]))
                cursor += 1
                if len(found) == BATCH_ROWS:
                    yield _line_batch(numbers, found, width)
                    found, numbers = [], []
            rest = block[int(ends[-1]) + 1 :] if len(ends) else block
            line = last
    if found:
        yield _line_batch(numbers, found, width)


def _line_batch(numbers: list[int], rows: list[list[str]], width: int) -> Batch:
    ragged = [
        (number, len(row), "\x1f".join(row))
        for number, row in zip(numbers, rows, strict=True)
        if len(row) != width
    ]
    kept = [(number, row) for number, row in zip(numbers, rows, strict=True) if len(row) == width]
    cells = pl.DataFrame(
        [[number, *row] for number, row in kept],
        schema={"row_number": pl.Int64} | {f"c{i}": pl.String for i in range(width)},
        orient="row",
    )
    return Batch(cells, ragged)


# -- rules between rows ---------------------------------------------------------------------


def _judge_between_rows(subject: Subject, lake: Lakehouse, bench: Workbench, way: _TextWay) -> None:
    """Doubled identifiers, time running backwards, unknown references, conflicts with the lake."""
    part = way.tally.part
    part.rows_new = part.rows_accepted
    if not part.accepted:
        return
    found = [_judge_order(subject, part, way.absent)]
    found += _unknown_references(subject, lake, part)
    conflicts, known = _against_the_lake(subject, lake, part, way.absent)
    violations = pl.concat([*found, conflicts])
    if violations.is_empty() and known.is_empty():
        return
    out = violations["row_number"].unique()
    known = known.filter(~pl.col("row_number").is_in(out.implode()))
    _rewrite(bench, part, pl.concat([out, known["row_number"]]))
    part.rows_accepted -= len(out)
    part.rows_new = part.rows_accepted - known.height
    if known.height:
        path = bench.path("raw_known")
        known.with_columns(
            pl.lit(subject.file_id).alias("file_id"),
            pl.lit(subject.sheet.name).alias("sheet"),
            pl.lit(part.table.name).alias("table_name"),
        ).select(*KNOWN).write_parquet(path, **PARQUET)
        part.known.append(path)
    if violations.height:
        for batch in _originals(subject, lake, out):
            here = violations.join(batch.cells.select("row_number"), on="row_number", how="semi")
            way.quarantine(here, batch)


def _scan(part: Part) -> pl.LazyFrame:
    return pl.scan_parquet(part.accepted)


def _rewrite(bench: Workbench, part: Part, leave: pl.Series) -> None:
    """Write the accepted rows anew without those that leave."""
    path = bench.path(part.table.raw)
    gone = pl.LazyFrame({"row_number": leave}, schema={"row_number": pl.Int64})
    _scan(part).join(gone, on="row_number", how="anti", maintain_order="left").sink_parquet(
        path, **PARQUET
    )
    for old in part.accepted:
        old.unlink()
    empty = pl.scan_parquet(path).select(pl.len()).collect().item() == 0
    part.accepted = [] if empty else [path]


def _originals(subject: Subject, lake: Lakehouse, rows: pl.Series) -> Iterator[Batch]:
    """Batches of the original cells of these rows, read from the file a second time."""
    wanted = rows.implode()
    for batch in _once_more(subject, lake):
        cells = batch.cells.filter(pl.col("row_number").is_in(wanted))
        if cells.height:
            yield Batch(cells)


def _once_more(subject: Subject, lake: Lakehouse) -> Iterator[Batch]:
    from battery_platform.records.reading import sheets

    if subject.sheet.again is not None:
        yield from subject.sheet.again()
        return
    mapping = subject.mapping
    again = sheets(
        subject.path,
        lake.settings,
        mapping.encoding,
        mapping.delimiter,
        mapping.decimal,
        mapping.header_row,
    )
    for sheet in again:
        if sheet.name == subject.sheet.name:
            yield from sheet.rows


def _violation(
    rows: pl.DataFrame, field_name: str, rule: str, message: pl.Expr, remedy: str
) -> pl.DataFrame:
    return rows.select(
        "row_number",
        pl.lit(field_name).alias("field"),
        pl.col(field_name).cast(pl.String).alias("value"),
        pl.lit(rule).alias("rule"),
        message.alias("message"),
        pl.lit(remedy).alias("remedy"),
    ).cast(VIOLATION)  # type: ignore[arg-type]


def _doubled(subject: Subject, part: Part, derived: set[str]) -> pl.DataFrame:
    """Rows of this file that share an identifier and are not the same record said twice."""
    names = list(keys(subject.contract))
    hashed = _scan(part).select(pl.struct(names).hash().alias("h")).collect()["h"].to_numpy()
    ordered = np.sort(hashed)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return no_violations()
    mask = pl.Series(np.isin(hashed, twice))
    content = [
        column.name
        for column in columns(subject.contract)
        if column.name not in derived or column.name in names
    ]
    rows = _scan(part).select("row_number", *content).collect().filter(mask)
    rows = rows.filter(pl.struct(names).is_duplicated()).sort("row_number")
    rows = rows.with_columns(
        pl.struct(content).n_unique().over(names).alias("_contents"),
        pl.col("row_number").first().over(names).alias("_first"),
    )
    differing = rows.filter(pl.col("_contents") > 1)
    same = rows.filter((pl.col("_contents") == 1) & (pl.col("row_number") != pl.col("_first")))
    label = ", ".join(names)
    shown = pl.concat_str([pl.col(name).cast(pl.String) for name in names], separator=", ")
    return pl.concat(
        [
            _violation(
                differing,
                names[0],
                "doubled_identifier",
                pl.format(f"{label} = {{}} stands in several rows with different content.", shown),
                "Decide which row is right, or give each record its own identifier.",
            ),
            _violation(
                same,
                names[0],
                "repeated_row",
                pl.format(
                    f"{label} = {{}} repeats row {{}} word for word.", shown, pl.col("_first")
                ),
                "Delete the repetition; the first row was kept.",
            ),
        ]
    )


@dataclass(frozen=True)
class _Runs:
    """Where a new group begins in rows that loggers wrote, and whether each came but once."""

    starts: pl.Series
    once: bool

    @classmethod
    def of(cls, group: pl.Series) -> _Runs:
        starts = (group != group.shift()).fill_null(True)
        heads = group.gather(starts.arg_true())
        return cls(starts, bool(heads.is_unique().all()))

    def rising(self, values: pl.Series, strictly: bool) -> bool:
        """Whether values only rise within each group, each group being one stretch."""
        steps = values.diff()
        down = (steps <= 0) if strictly else (steps < 0)
        where = down.fill_null(False).arg_true()
        return self.once and bool(self.starts.gather(where).all())


def _judge_order(subject: Subject, part: Part, derived: set[str]) -> pl.DataFrame:
    """Doubled identifiers, and time running backwards where rows are a sequence.

    A running number that rises within each group proves identifiers unique without comparing
    them all.
    """
    spec = sequence(subject.contract)
    if spec is None:
        return _doubled(subject, part, derived)
    group, time = spec
    number = next(name for name in keys(subject.contract) if name != group)
    frame = _scan(part).select("row_number", group, number, time).collect()
    if not frame["row_number"].is_sorted():
        frame = frame.sort("row_number")
    runs = _Runs.of(frame[group])
    found = [no_violations()]
    if not runs.rising(frame[number], strictly=True):
        found.append(_doubled(subject, part, derived))
    if not runs.rising(frame[time], strictly=False):
        found.append(_backwards(frame, group, time))
    return pl.concat(found)


def _backwards(frame: pl.DataFrame, group: str, time: str) -> pl.DataFrame:
    """Points whose time lies before what came earlier in the same test; a lone spike is named."""
    t, before = pl.col(time), pl.col(time).shift(1).over(group)
    after, then = pl.col(time).shift(-1).over(group), pl.col(time).shift(-2).over(group)
    spike = (t > after) & (after >= before.fill_null(float("-inf"))) & (t > then).fill_null(False)
    frame = frame.with_columns(spike.fill_null(False).alias("_spike"))
    steady = pl.when(~pl.col("_spike")).then(t)
    frame = frame.with_columns(steady.cum_max().over(group).alias("_reached"))
    late = frame.filter((t < pl.col("_reached")) & ~pl.col("_spike"))
    spikes = frame.filter(pl.col("_spike"))
    return pl.concat(
        [
            _violation(
                spikes,
                time,
                "time_spike",
                pl.format(f"{time} jumps to {{}} and returns in the next row.", t),
                "The clock of the instrument was wrong in this row: correct or delete it.",
            ),
            _violation(
                late,
                time,
                "time_backwards",
                pl.format(
                    f"{time} is {{}} although {{}} was reached before.", t, pl.col("_reached")
                ),
                "Check for a clock change, a restarted test or rows out of order in the export.",
            ),
        ]
    ).sort("row_number")


def _unknown_references(subject: Subject, lake: Lakehouse, part: Part) -> list[pl.DataFrame]:
    """Identifiers that point to no record of the lake."""
    found = []
    for column in columns(subject.contract):
        if column.refers_to is None:
            continue
        target = TABLES[column.refers_to]
        used = _scan(part).select(column.name).unique().drop_nulls().collect()
        known = known_ids(target)
        for sibling in subject.before:
            if sibling.accepted and (id_column := stated_ids(sibling.table, target)):
                files = ", ".join(sql_text(str(path)) for path in sibling.accepted)
                known += f" UNION SELECT {id_column} FROM read_parquet([{files}])"
        with lake.cursor() as cursor:
            cursor.register("used_ids", used.to_arrow())
            unknown = cursor.execute(
                f"SELECT {column.name} FROM used_ids WHERE {column.name} NOT IN ({known})"
            ).pl()
        if unknown.is_empty():
            continue
        rows = (
            _scan(part)
            .select("row_number", column.name)
            .join(unknown.lazy(), on=column.name, how="semi")
            .collect()
        )
        found.append(
            _violation(
                rows,
                column.name,
                "unknown_reference",
                pl.format(
                    f"{column.name} = {{}} names a record that {column.refers_to} does not hold.",
                    pl.col(column.name),
                ),
                f"Hand in the {target.title} first, or correct the identifier; then run "
                "`battery-platform quarantine retry`.",
            )
        )
    return found


def _against_the_lake(
    subject: Subject, lake: Lakehouse, part: Part, derived: set[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records that other files already brought: the same ones are known, others contradict.

    What we derived ourselves (`derived`) is no part of what a source says.
    """
    names = list(keys(subject.contract))
    content = [
        column.name
        for column in columns(subject.contract)
        if column.name not in names and column.name not in derived
    ]
    on = " AND ".join(f"n.{sql_name(name)} = o.{sql_name(name)}" for name in names)
    same = (
        " AND ".join(f"n.{sql_name(c)} IS NOT DISTINCT FROM o.{sql_name(c)}" for c in content)
        or "true"
    )
    differing = (
        ", ".join(
            f"CASE WHEN n.{sql_name(c)} IS DISTINCT FROM o.{sql_name(c)} THEN '{c} ' || "
            f"coalesce(o.{sql_name(c)}::VARCHAR, 'missing') || ' there, ' || "
            f"coalesce(n.{sql_name(c)}::VARCHAR, 'missing') || ' here' END"
            for c in content
        )
        or "''"
    )
    files = ", ".join(sql_text(str(path)) for path in part.accepted)
    own = ", ".join(sql_text(file_id) for file_id in (subject.file_id, *subject.replaces))
    query = f"""
        SELECT n.row_number, n.{sql_name(names[0])} AS id, o.file_id, o.row_number AS other_row,
               o.sheet AS other_sheet, ({same}) AS same, concat_ws('; ', {differing}) AS differing
        FROM read_parquet([{files}]) AS n JOIN {part.table.raw} AS o ON {on}
        WHERE o.file_id NOT IN ({own})"""
    try:
        with lake.cursor() as cursor:
            if not cursor.execute(
                f"SELECT 1 FROM {part.table.raw} WHERE file_id NOT IN ({own}) LIMIT 1"
            ).fetchall():
                return no_violations(), pl.DataFrame(schema=_KNOWN_ROWS)
            met = cursor.execute(query).pl()
            named = dict(
                cursor.execute("SELECT DISTINCT file_id, file_name FROM raw_files").fetchall()
            )
    except duckdb.OutOfMemoryException as error:
        raise refuse(
            subject.path,
            "comparing it with the records of the lake needs more memory than allowed.",
            "Raise BATTERY_PLATFORM_MEMORY_MIB.",
        ) from error
    known = (
        met.filter("same")
        .unique("row_number", keep="first", maintain_order=True)
        .select(
            "row_number",
            pl.col("file_id").alias("owner_file_id"),
            pl.col("other_sheet").alias("owner_sheet"),
            pl.col("other_row").alias("owner_row_number"),
        )
        .cast(_KNOWN_ROWS)  # type: ignore[arg-type]
    )
    contradicting = met.filter(
        ~pl.col("same") & ~pl.col("row_number").is_in(known["row_number"].implode())
    )
    message = pl.format(
        f"{names[0]} = {{}} is recorded with different content in {{}}, row {{}}: {{}}.",
        pl.col("id").cast(pl.String),
        pl.col("file_id").replace_strict(named, default="another file", return_dtype=pl.String),
        pl.col("other_row"),
        pl.col("differing"),
    )
    violations = contradicting.unique("row_number", keep="first", maintain_order=True).select(
        pl.col("row_number"),
        pl.lit(names[0]).alias("field"),
        pl.col("id").cast(pl.String).alias("value"),
        pl.lit("contradicts_record").alias("rule"),
        message.alias("message"),
        pl.lit(
            "Decide which is right; a corrected file takes the old one's place with "
            "`ingest NEW --replaces OLD`; if it is another record, give this source's identifiers "
            "an `id_prefix` in the mapping."
        ).alias("remedy"),
    )
    return violations.cast(VIOLATION), known  # type: ignore[arg-type]


_KNOWN_ROWS = {
    "row_number": pl.Int64,
    "owner_file_id": pl.String,
    "owner_sheet": pl.String,
    "owner_row_number": pl.Int64,
}
