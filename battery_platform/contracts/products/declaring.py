"""Declaring a product, together with its contract, in the file of its domain.

A product is a table that the platform computes itself. Its declaration says what a row is called, how
rows are identified, which rows of other tables they were made from, and whether the table is exported.
The table in the lake, its part in traces, the export and the data dictionary all follow from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from battery_platform.contracts.base import Contract, columns, keys

DECLARED: dict[str, Product] = {}


@dataclass(frozen=True)
class Product:
    """A table that the platform fills itself."""

    name: str
    title: str
    contract: type[Contract]
    kind: str
    """What a row is called in a trace; for a part, what it is a part of."""
    identifier: str
    """SQL expression for the identifier of a row."""
    parents: tuple[str, ...]
    """Queries for the rows that its rows were made from: `child_id`, `parent_kind`, `parent_id`."""
    lines: str | None
    """Query for lines of files behind rows beyond those of its parents: `child_id`, `file_id`, `sheet`,
    `row_number`, `table_name`, `file_name`, `source_id`, `entity_id`.
    """
    id_prefix: str
    """Prefix of the identifiers of its rows, if they have one."""
    exported: bool
    is_part: bool
    """Whether its rows belong to a row of another product, such as the scores of a model version."""


def product(
    name: str,
    title: str,
    kind: str = "",
    *,
    identifier: str = "",
    parents: tuple[str, ...] = (),
    lines: str | None = None,
    id_prefix: str = "",
    exported: bool = True,
    is_part: bool = False,
) -> Callable[[type[Contract]], type[Contract]]:
    """Declare the decorated contract as a product; without `identifier`, its keys identify a row."""

    def declare(contract: type[Contract]) -> type[Contract]:
        named = identifier or f"concat_ws('/', {', '.join(keys(contract))})"
        DECLARED[name] = Product(
            name, title, contract, kind, named, parents, lines, id_prefix, exported, is_part
        )
        return contract

    return declare


def has_column(declared: Product, column: str) -> bool:
    """Whether the product has a column of that name."""
    return any(known.name == column for known in columns(declared.contract))
