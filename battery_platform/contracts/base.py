"""How a table's contract is written, and the rules it compiles to.

A contract is a Pandera model. Columns come from `key`, `reference`, `text`, `choice`, `number`, `count`
and `moment`; physics between columns comes from `@rule`. `rules(model)` reads the same Pandera schema
back as Polars expressions, so that a rule is written once and checked either by Pandera or in a
streaming pass. What happens to rows that fail is decided in `verdicts`.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl

from battery_platform.contracts.units import confusions, shown_unit

DEFAULT_REMEDY = "Correct the value in the source, or the unit in the mapping."
NOT_NULL = -1

Moment = Annotated[pl.Datetime, "us", None]


class Contract(pa.DataFrameModel):
    """Base of all contracts: exact columns, nothing coerced."""

    class Config:
        """Pandera's own switches."""

        strict = True
        ordered = True


def _meta(role: str, names: Sequence[str], remedy: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "names": tuple(names), "remedy": remedy or DEFAULT_REMEDY, **more}


def key(description: str, names: Sequence[str] = ()) -> Any:
    """An identifier that (alone or with other keys) identifies the record."""
    remedy = "Give the record an identifier; it links the record to the steps before and after."
    return pa.Field(
        str_length={"min_value": 1, "max_value": 200},
        description=description,
        metadata=_meta("key", names, remedy),
    )


def key_count(description: str, names: Sequence[str] = ()) -> Any:
    """A running number that, together with the other keys, identifies the record."""
    return pa.Field(ge=0, description=description, metadata=_meta("key", names, ""))


def reference(
    table: str, description: str, names: Sequence[str] = (), optional: bool = False
) -> Any:
    """The identifier of a record in another table, which must exist."""
    remedy = (
        f"Hand in the {table} record first, or correct the identifier; then `quarantine retry`."
    )
    return pa.Field(
        str_length={"min_value": 1, "max_value": 200},
        nullable=optional,
        description=description,
        metadata=_meta("reference", names, remedy, table=table),
    )


def text(
    description: str, names: Sequence[str] = (), optional: bool = True, verbatim: bool = False
) -> Any:
    """Text. Surrounding blanks are dropped, unless offsets into the text must stay valid (`verbatim`)."""
    metadata = _meta("verbatim" if verbatim else "text", names, "")
    return pa.Field(nullable=optional, description=description, metadata=metadata)


def choice(
    allowed: Sequence[str], description: str, names: Sequence[str] = (), optional: bool = False
) -> Any:
    """One of a few words; `values` in a mapping translates a plant's own words."""
    remedy = "A mapping's `values` translates a plant's own words."
    return pa.Field(
        isin=list(allowed),
        nullable=optional,
        description=description,
        metadata=_meta("choice", names, remedy),
    )


def number(
    description: str,
    ge: float,
    le: float,
    names: Sequence[str] = (),
    optional: bool = False,
    remedy: str = "",
) -> Any:
    """A measured or set quantity within its physically possible range."""
    return pa.Field(
        ge=ge,
        le=le,
        nullable=optional,
        description=description,
        metadata=_meta("number", names, remedy),
    )


def count(
    description: str,
    ge: int = 0,
    le: int = 10**9,
    names: Sequence[str] = (),
    optional: bool = False,
) -> Any:
    return pa.Field(
        ge=ge, le=le, nullable=optional, description=description, metadata=_meta("count", names, "")
    )


def moment(description: str, names: Sequence[str] = (), optional: bool = True) -> Any:
    """A time stamp in UTC; `timezone` in a mapping gives the time zone of the source."""
    return pa.Field(
        nullable=optional,
        description=description,
        metadata=_meta("moment", names, ""),
    )


def flag(description: str) -> Any:
    """Yes or no; never unknown."""
    return pa.Field(description=description, metadata=_meta("flag", (), ""))


def rule(field: str, says: str, remedy: str) -> Callable[[Callable[..., pl.Expr]], Any]:
    """Physics between columns: the method returns an expression that is true for valid rows.

    `says` may contain column names in braces, which are replaced by the row's values. If an operand is
    null, the row passes.
    """

    def decorate(method: Callable[..., pl.Expr]) -> Any:
        name = getattr(method, "__name__", "rule")

        def check(cls: type[Contract], data: pa.PolarsData) -> pl.LazyFrame:
            return data.lazyframe.select(method(cls).fill_null(True).alias(name))

        check.__name__ = name
        check._expression = method  # type: ignore[attr-defined]
        _EXPRESSIONS[(method.__module__, method.__qualname__.split(".")[0], name)] = method
        return pa.dataframe_check(name=name, title=field, description=says, error=remedy)(check)

    return decorate


_EXPRESSIONS: dict[tuple[str, str, str], Callable[..., pl.Expr]] = {}


@dataclass(frozen=True)
class Rule:
    """One rule of a contract, ready for Polars: `ok` is true where the row passes."""

    name: str
    field: str
    ok: pl.Expr
    message: pl.Expr
    hint: Callable[[], pl.Expr]
    pandera_key: tuple[str | None, int]
    """Its place in Pandera: the column (None for physics between columns) and the number of the check."""
    reads: tuple[str, ...] = ()
    """The columns used by physics between columns."""

    @property
    def remedy(self) -> pl.Expr:
        """What to do; made where it is needed, for it may take all that is known of units."""
        return self.hint()


def _format(template: str) -> pl.Expr:
    pieces = [(literal, name) for literal, name, _, _ in string.Formatter().parse(template)]
    text = "".join(literal + ("{}" if name else "") for literal, name in pieces)
    values = [
        pl.col(name).cast(pl.String).fill_null("missing") for _, name in pieces if name is not None
    ]
    return pl.format(text, *values) if values else pl.lit(text)


def _unit_hint(column: str, low: float | None, high: float | None, remedy: str) -> pl.Expr:
    hint = pl.lit(remedy)
    value = pl.col(column)
    for shown, factor, offset in reversed(confusions(column)):
        converted = value * factor + offset
        fits = pl.lit(True)
        if low is not None:
            fits = fits & (converted >= low)
        if high is not None:
            fits = fits & (converted <= high)
        suggestion = (
            f"The value would fit if it was given in {shown}: set the column's unit in the mapping."
        )
        hint = pl.when(fits & (value != 0)).then(pl.lit(suggestion)).otherwise(hint)
    return hint


def _column_rule(
    column: str,
    number_: int,
    check: pa.Check,
    hint: Callable[[], pl.Expr],
) -> Rule:
    stats = check.statistics or {}
    value = pl.col(column)
    unit = shown_unit(column)
    shown = f" {unit}" if unit else ""
    if "allowed_values" in stats:
        allowed = list(stats["allowed_values"])
        ok, name = value.is_in(allowed), "allowed_word"
        says = f"{column} is '{{{column}}}': one of {', '.join(map(str, allowed))} is expected."
    elif check.name == "str_length":
        ok = value.str.len_chars().is_between(stats["min_value"], stats["max_value"])
        name = "identifier_length"
        says = f"{column} is empty or longer than {stats['max_value']} characters."
    elif check.name == "greater_than_or_equal_to":
        low = stats["min_value"]
        ok, name = value >= low, "at_least"
        says = f"{column} is {{{column}}}{shown}: below the least possible value of {low:g}{shown}."
    elif check.name == "less_than_or_equal_to":
        high = stats["max_value"]
        ok, name = value <= high, "at_most"
        says = f"{column} is {{{column}}}{shown}: above the greatest possible value of {high:g}{shown}."
    else:
        raise TypeError(f"{column}: no expression is known for the Pandera check {check.name}")
    return Rule(name, column, ok.fill_null(True), _format(says), hint, (column, number_))


@lru_cache(maxsize=64)
def rules(contract: type[Contract]) -> tuple[Rule, ...]:
    """The contract's rules in the order in which they are reported: presence, ranges, physics."""
    schema = contract.to_schema()
    collected: list[Rule] = []
    for column, spec in schema.columns.items():
        if not spec.nullable:
            collected.append(
                Rule(
                    "present",
                    column,
                    pl.col(column).is_not_null(),
                    pl.lit(f"{column} is missing."),
                    partial(pl.lit, f"Fill in {column}: {spec.description}."),
                    (column, NOT_NULL),
                )
            )
        numeric = spec.dtype.type in (pl.Float64, pl.Int64)
        remedy = (spec.metadata or {}).get("remedy", DEFAULT_REMEDY)
        bounds: dict[str, Any] = {}
        for check in spec.checks:
            bounds.update(check.statistics or {})
        hint = (
            partial(_unit_hint, column, bounds.get("min_value"), bounds.get("max_value"), remedy)
            if numeric
            else partial(pl.lit, remedy)
        )
        for position, check in enumerate(spec.checks):
            collected.append(_column_rule(column, position, check, hint))
    physics = [
        (position, check, *_law(contract, check.name))
        for position, check in enumerate(schema.checks)
    ]
    # Shared laws are reported before those of the contract itself, which often follow from them.
    for position, check, expression, _ in sorted(physics, key=lambda item: -item[3]):
        collected.append(
            Rule(
                check.name,
                check.title,
                expression.fill_null(True),
                _format(check.description),
                partial(pl.lit, check.error),
                (None, position),
                tuple(expression.meta.root_names()),
            )
        )
    return tuple(collected)


def _law(contract: type[Contract], name: str) -> tuple[pl.Expr, int]:
    """The expression of a `@rule`, and how far up the contract's ancestors it is defined."""
    for distance, owner in enumerate(contract.__mro__):
        method = _EXPRESSIONS.get((owner.__module__, owner.__qualname__, name))
        if method is not None:
            return method(contract), distance
    raise TypeError(f"{contract.__name__} has no rule named {name}")


@dataclass(frozen=True)
class Column:
    """What other modules need to know about a contract's column, without Pandera's types."""

    name: str
    dtype: pl.DataType
    required: bool
    role: str
    description: str
    names: tuple[str, ...]
    refers_to: str | None
    low: float | None
    high: float | None
    allowed: tuple[str, ...]

    @property
    def sql_type(self) -> str:
        return {
            "String": "VARCHAR",
            "Float64": "DOUBLE",
            "Int64": "BIGINT",
            "Boolean": "BOOLEAN",
        }.get(str(self.dtype), "TIMESTAMP")


@lru_cache(maxsize=64)
def columns(contract: type[Contract]) -> tuple[Column, ...]:
    """The contract's columns in order."""
    result = []
    for name, spec in contract.to_schema().columns.items():
        meta = spec.metadata or {}
        stats: dict[str, Any] = {}
        for check in spec.checks:
            stats.update(check.statistics or {})
        is_number = meta.get("role") in {"number", "count"}
        result.append(
            Column(
                name=name,
                dtype=spec.dtype.type,
                required=not spec.nullable,
                role=meta.get("role", "text"),
                description=spec.description or "",
                names=meta.get("names", ()),
                refers_to=meta.get("table"),
                low=stats.get("min_value") if is_number else None,
                high=stats.get("max_value") if is_number else None,
                allowed=tuple(stats.get("allowed_values", ())),
            )
        )
    return tuple(result)


def keys(contract: type[Contract]) -> tuple[str, ...]:
    """The columns that together identify a record."""
    return tuple(column.name for column in columns(contract) if column.role == "key")


def sequence(contract: type[Contract]) -> tuple[str, str] | None:
    """Group and time column of a contract whose rows must not run backwards in time."""
    metadata: dict[str, Any] = getattr(contract.__config__, "metadata", None) or {}
    return metadata.get("sequence")
