"""The rules between rows, judged on the accepted rows of a sheet.

Doubled identifiers, time running backwards, references to records that nobody handed in, and
contradictions to what the lake holds from other files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import polars as pl

from battery_platform.contracts.base import columns, keys, sequence
from battery_platform.contracts.registry import TABLES
from battery_platform.contracts.verdicts import VIOLATION, no_violations
from battery_platform.records.reading import Batch, refuse, sheets
from battery_platform.records.text_way import Subject, TextWay
from battery_platform.store.audit import known_ids, stated_ids
from battery_platform.store.commit import PARQUET, Part, Workbench
from battery_platform.store.lakehouse import Lakehouse, sql_name, sql_text
from battery_platform.store.schema import KNOWN

_KNOWN_ROWS = {
    "row_number": pl.Int64,
    "owner_file_id": pl.String,
    "owner_sheet": pl.String,
    "owner_row_number": pl.Int64,
}


def judge_between_rows(subject: Subject, lake: Lakehouse, bench: Workbench, way: TextWay) -> None:
    """Doubled identifiers, time running backwards, unknown references, conflicts with the lake.

    What is asked of the lake is asked in one transaction: one snapshot, looked up once.
    """
    part = way.tally.part
    part.rows_new = part.rows_accepted
    if not part.accepted:
        return
    disorder = _judge_order(subject, part, way.absent)
    with lake.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION")
        unknown = _unknown_references(subject, cursor, part)
        conflicts, known = _against_the_lake(subject, cursor, part, way.absent)
    violations = pl.concat([disorder, *unknown, conflicts])
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


def _read_parquet(part: Part) -> str:
    """SQL that reads the accepted rows."""
    files = ", ".join(sql_text(str(path)) for path in part.accepted)
    return f"read_parquet([{files}])"


def _rewrite(bench: Workbench, part: Part, leave: pl.Series) -> None:
    """Rewrite the accepted rows without those that leave."""
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
    """Rows of this file that share an identifier, told apart by whether their contents are equal."""
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
    """Where groups begin in logged rows, and whether each group is one unbroken stretch."""

    starts: pl.Series
    once: bool

    @classmethod
    def of(cls, group: pl.Series) -> _Runs:
        starts = (group != group.shift()).fill_null(True)
        heads = group.gather(starts.arg_true())
        return cls(starts, bool(heads.is_unique().all()))

    def rising(self, values: pl.Series, strictly: bool) -> bool:
        """Whether values only rise within each group and every group is one unbroken stretch."""
        steps = values.diff()
        down = (steps <= 0) if strictly else (steps < 0)
        where = down.fill_null(False).arg_true()
        return self.once and bool(self.starts.gather(where).all())


def _judge_order(subject: Subject, part: Part, derived: set[str]) -> pl.DataFrame:
    """Doubled identifiers, and time running backwards if rows are a sequence.

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
    violations = [no_violations()]
    if not runs.rising(frame[number], strictly=True):
        violations.append(_doubled(subject, part, derived))
    if not runs.rising(frame[time], strictly=False):
        violations.append(_backwards(frame, group, time))
    return pl.concat(violations)


def _backwards(frame: pl.DataFrame, group: str, time: str) -> pl.DataFrame:
    """Points whose time is earlier than one before in the same test; lone spikes are reported as such."""
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


def _unknown_references(
    subject: Subject, cursor: duckdb.DuckDBPyConnection, part: Part
) -> list[pl.DataFrame]:
    """Rows whose identifiers point to no record of the lake, column by column."""
    violations = []
    here = _read_parquet(part)
    for column in columns(subject.contract):
        if column.refers_to is None:
            continue
        target = TABLES[column.refers_to]
        known = known_ids(target)
        for sibling in subject.before:
            if sibling.accepted and (id_column := stated_ids(sibling.table, target)):
                known += f" UNION SELECT {id_column} FROM {_read_parquet(sibling)}"
        unknown = cursor.execute(
            f"SELECT DISTINCT {column.name} FROM {here} "
            f"WHERE {column.name} IS NOT NULL AND {column.name} NOT IN ({known})"
        ).pl()
        if unknown.is_empty():
            continue
        rows = (
            _scan(part)
            .select("row_number", column.name)
            .join(unknown.lazy(), on=column.name, how="semi")
            .collect()
        )
        violations.append(
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
    return violations


def _against_the_lake(
    subject: Subject, cursor: duckdb.DuckDBPyConnection, part: Part, derived: set[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records with identifiers that other files brought: equal ones are known, others contradict.

    What we derived ourselves (`derived`) is no part of what a source says.
    """
    try:
        if not cursor.execute(_shared_keys(subject, part)).fetchall():
            return no_violations(), pl.DataFrame(schema=_KNOWN_ROWS)
        met = cursor.execute(_meeting(subject, part, derived)).pl()
        file_names = dict(
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
    return _contradictions(contradicting, file_names, keys(subject.contract)[0]), known


def _shared_keys(subject: Subject, part: Part) -> str:
    """SQL that asks whether the lake holds any identifier of this file, from whatever source.

    It reads nothing but identifiers. Mostly none is, and nothing else has to be compared.
    """
    names = ", ".join(sql_name(name) for name in keys(subject.contract))
    return (
        f"SELECT 1 FROM {_read_parquet(part)} SEMI JOIN "
        f"(SELECT {names} FROM {part.table.raw}) USING ({names}) LIMIT 1"
    )


def _meeting(subject: Subject, part: Part, derived: set[str]) -> str:
    """SQL for the records of other files that share an identifier with this one."""
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
    return f"""
        SELECT n.row_number, n.{sql_name(names[0])} AS id, o.file_id, o.row_number AS other_row,
               o.sheet AS other_sheet, ({same}) AS same, concat_ws('; ', {differing}) AS differing
        FROM {_read_parquet(part)} AS n JOIN ({_others(subject, part)}) AS o ON {on}"""


def _others(subject: Subject, part: Part) -> str:
    """SQL for the table as other files state it once this file and those that it replaces have left.

    A record that another file states too goes on as that file's; `commit` hands it over. What a file
    that is judged again brought is not handed over.
    """
    own = _sql_list((subject.file_id, *subject.replaces))
    leaving = _sql_list(subject.replaces if subject.again else (subject.file_id, *subject.replaces))
    return f"""
        SELECT * FROM {part.table.raw} WHERE file_id NOT IN ({own})
        UNION ALL BY NAME
        SELECT r.* REPLACE (h.file_id AS file_id, h.sheet AS sheet, h.row_number AS row_number)
        FROM {part.table.raw} r
        JOIN (
            SELECT * FROM raw_known
            WHERE table_name = {sql_text(part.table.name)}
              AND owner_file_id IN ({leaving}) AND file_id NOT IN ({own})
            QUALIFY row_number() OVER (
                PARTITION BY owner_file_id, owner_sheet, owner_row_number
                ORDER BY file_id, row_number
            ) = 1
        ) h ON h.owner_file_id = r.file_id AND h.owner_sheet = r.sheet
           AND h.owner_row_number = r.row_number"""


def _sql_list(file_ids: Iterable[str]) -> str:
    return ", ".join(map(sql_text, file_ids)) or "NULL"


def _contradictions(met: pl.DataFrame, files: dict[str, str], key: str) -> pl.DataFrame:
    """Violations of records whose content differs from what the lake holds."""
    message = pl.format(
        f"{key} = {{}} is recorded with different content in {{}}, row {{}}: {{}}.",
        pl.col("id").cast(pl.String),
        pl.col("file_id").replace_strict(files, default="another file", return_dtype=pl.String),
        pl.col("other_row"),
        pl.col("differing"),
    )
    violations = met.unique("row_number", keep="first", maintain_order=True).select(
        pl.col("row_number"),
        pl.lit(key).alias("field"),
        pl.col("id").cast(pl.String).alias("value"),
        pl.lit("contradicts_record").alias("rule"),
        message.alias("message"),
        pl.lit(
            "Decide which is right; a corrected file takes the old one's place with "
            "`ingest NEW --replaces OLD`; if it is another record, give this source's identifiers "
            "an `id_prefix` in the mapping."
        ).alias("remedy"),
    )
    return violations.cast(VIOLATION)  # type: ignore[arg-type]
