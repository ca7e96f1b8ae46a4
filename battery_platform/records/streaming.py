"""The streaming pass: a long regular text file is judged in a single pass.

It keeps the rows that break no rule, read as numbers at once; only the others take the way
through text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from battery_platform.contracts.base import Column, columns
from battery_platform.contracts.verdicts import passes
from battery_platform.records import identity
from battery_platform.records.mapping import Mapping
from battery_platform.records.parsing import SUMMARY_WORDS, as_moment, converted
from battery_platform.records.reading import BATCH_ROWS, Batch
from battery_platform.records.text_way import Progress, Subject, TextWay
from battery_platform.settings import MIB
from battery_platform.store.commit import PARQUET, Workbench
from battery_platform.store.lakehouse import Lakehouse, is_disk_full

Schema = dict[str, Any]
SAMPLE_ROWS = 20_000


def can_stream(subject: Subject, way: TextWay, lake: Lakehouse) -> bool:
    """Whether a sheet is long enough for the pass and of a kind that it can read."""
    dialect = subject.sheet.dialect
    joined = way.minus or way.clocks or way.extra
    return (
        not joined
        and dialect is not None
        and bool(dialect.delimiter)
        and dialect.encoding in {"utf-8", "utf-8-sig"}
        and subject.sheet.header_row > 0
        and not identity.derivable(subject.mapping.table)
        and subject.path.stat().st_size > lake.settings.stream_above_mib * MIB
    )


def _plain_lines(path: Path) -> int | None:
    """Number of lines, if each is one row: no quotes, and the last line terminated."""
    lines, last = 0, b""
    with path.open("rb") as file:
        while block := file.read(MIB):
            if b'"' in block:
                return None
            lines += block.count(b"\n")
            last = block
    return lines if last.endswith(b"\n") else None


def _is_even(subject: Subject) -> bool:
    """Whether every line has the header's number of fields, by counting delimiters."""
    sheet, dialect = subject.sheet, subject.sheet.dialect
    assert dialect is not None
    separators = newlines = 0
    with subject.path.open("rb") as file:
        for _ in range(sheet.first_row - 1):
            file.readline()
        while block := file.read(MIB // 4):
            data = np.frombuffer(block, dtype=np.uint8)
            separators += int(np.count_nonzero(data == ord(dialect.delimiter)))
            newlines += int(np.count_nonzero(data == 10))
    return separators == newlines * (len(sheet.header) - 1)


def stream(subject: Subject, bench: Workbench, way: TextWay, progress: Progress) -> None:
    """Keep the rows that break no rule in one pass; hand the others to the judgement as text."""
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
        way.take_all(progress)
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


def _typed_scan(subject: Subject, way: TextWay) -> tuple[pl.LazyFrame, pl.Expr] | None:
    """The file as typed columns, and an expression for the rows that can be kept as they are.

    Numbers are read as numbers; text among them becomes null, and a row with such a null is
    looked at again as text. Optional columns that are often empty are read as text instead.
    None if lines of different width could hide behind empty last fields.
    """
    sheet, mapping = subject.sheet, subject.mapping
    texts: Schema = {f"c{i}": pl.String for i in range(len(sheet.header))}
    last = f"c{len(sheet.header) - 1}"
    sample = _scan(subject, way, texts, SAMPLE_ROWS).collect()
    empty = {name for name in texts if sample[name].null_count()}
    if last in empty and not _is_even(subject):
        return None
    wanted = {column.name: column for column in columns(subject.contract)}
    schema = dict(texts)
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
    typed = _scan(subject, way, schema).select(
        pl.col("row_number").cast(pl.Int64),
        *made,
        pl.all_horizontal(readable or [pl.lit(True)]).alias("_readable"),
    )
    return typed, pl.col("_readable") & passes(subject.contract)


def _scan(subject: Subject, way: TextWay, schema: Schema, rows: int | None = None) -> pl.LazyFrame:
    sheet, dialect = subject.sheet, subject.sheet.dialect
    assert dialect is not None
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


def _typed(
    column: Column,
    position: int,
    schema: Schema,
    way: TextWay,
    mapping: Mapping,
) -> tuple[pl.Expr, pl.Expr]:
    """A column of the streaming pass, and an expression for where its text was fully understood."""
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
    """Whether text stays as it is: no blanks around it, no word for missing, nothing to translate."""
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
    lines: list[list[str]] = []
    numbers: list[int] = []
    cursor, line = 0, 1
    rest = b""
    with subject.path.open("rb") as file:
        while cursor < len(wanted) and (block := file.read(4 * MIB)):
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
                    lines.append(cells)
                    numbers.append(int(wanted[cursor]))
                cursor += 1
                if len(lines) == BATCH_ROWS:
                    yield _line_batch(numbers, lines, width)
                    lines, numbers = [], []
            rest = block[int(ends[-1]) + 1 :] if len(ends) else block
            line = last
    if lines:
        yield _line_batch(numbers, lines, width)


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
