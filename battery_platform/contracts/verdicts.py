"""The verdict on each row: accepted, or quarantined with a reason that an engineer understands.

Rows are judged by Pandera itself, but for those of which `passes(contract)`, the same rules read back
from Pandera's schema as one expression, shows that they break none. Both ways of reading a file use it,
so that they give the same verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandera.errors
import polars as pl

from battery_platform.contracts.base import NOT_NULL, Contract, Rule, columns, rules

VIOLATION = {
    "row_number": pl.Int64,
    "field": pl.String,
    "value": pl.String,
    "rule": pl.String,
    "message": pl.String,
    "remedy": pl.String,
}


@dataclass(frozen=True)
class Verdict:
    """Accepted rows and, for each other row, all rules that it violates."""

    accepted: pl.DataFrame
    violations: pl.DataFrame


def no_violations() -> pl.DataFrame:
    return pl.DataFrame(schema=VIOLATION)


def passes(contract: type[Contract]) -> pl.Expr:
    """True for a row that violates no rule and contains only finite numbers.

    Where a column has both bounds, presence, range and finiteness are checked in one comparison.
    """
    merged = {
        column.name: pl.col(column.name)
        .is_between(column.low, column.high)
        .fill_null(not column.required)
        for column in columns(contract)
        if column.low is not None and column.high is not None
    }
    others = [
        rule.ok
        for rule in rules(contract)
        if not (rule.field in merged and rule.name in {"present", "at_least", "at_most"})
    ]
    finite = [
        pl.col(column.name).is_finite().fill_null(True)
        for column in columns(contract)
        if column.dtype == pl.Float64 and column.name not in merged
    ]
    return pl.all_horizontal([*merged.values(), *others, *finite])


def judge(
    frame: pl.DataFrame, contract: type[Contract], problems: pl.DataFrame | None = None
) -> Verdict:
    """Split typed rows; `problems` are errors found while reading, before there were typed values.

    `frame` has the contract's columns and `row_number`; a value that could not be read is null and is not
    reported again as missing.
    """
    problems = no_violations() if problems is None else problems
    violations_of_rules = [problems]
    unreadable = problems.select("row_number", "field").unique()
    for rule, positions in _failures(frame, contract):
        rows = frame[positions]
        broken = rows.select(
            "row_number",
            pl.lit(rule.field).alias("field"),
            pl.col(rule.field).cast(pl.String).alias("value"),
            pl.lit(rule.name).alias("rule"),
            rule.message.alias("message"),
            rule.remedy.alias("remedy"),
        )
        if rule.name == "present":
            broken = broken.join(unreadable, on=["row_number", "field"], how="anti")
        if rule.reads:
            # A value that is impossible by itself is reported once, not again by each law that uses it.
            reported = pl.concat(violations_of_rules).filter(pl.col("field").is_in(rule.reads))
            broken = broken.join(reported, on="row_number", how="anti")
        violations_of_rules.append(broken.cast(VIOLATION))  # type: ignore[arg-type]
    violations = pl.concat(violations_of_rules).sort("row_number", maintain_order=True)
    accepted = frame.join(violations.select("row_number").unique(), on="row_number", how="anti")
    return Verdict(accepted, violations)


def _failures(frame: pl.DataFrame, contract: type[Contract]) -> list[tuple[Rule, list[int]]]:
    """Positions of rows that Pandera refuses, by rule, in the contract's order."""
    wanted = {column.name: column.dtype for column in columns(contract)}
    given = frame.select(*wanted)
    suspects = pl.arange(frame.height, eager=True)
    if given.schema == wanted:
        suspects = suspects.filter(~given.select(passes(contract)).to_series())
    if suspects.is_empty():
        return []
    try:
        contract.to_schema().validate(given[suspects], lazy=True)
        return []
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
    by_key: dict[tuple[str | None, int], list[int]] = {}
    for context, column, check, number, index in cases.select(
        "schema_context", "column", "check", "check_number", "index"
    ).iter_rows():
        if index is None:
            raise TypeError(
                f"{contract.__name__} was given a frame of the wrong shape: {check} {column}"
            )
        position = NOT_NULL if number is None else number
        by_key.setdefault((column if context == "Column" else None, position), []).append(
            suspects[index]
        )
    return [
        (rule, sorted(by_key[rule.pandera_key]))
        for rule in rules(contract)
        if rule.pandera_key in by_key
    ]
