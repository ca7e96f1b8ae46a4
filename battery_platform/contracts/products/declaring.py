"""How a product is declared: beside its contract, in the file of its domain.

A product is a table of what the platform computed itself. Its declaration says what people call a row,
how a row is named, which rows of other tables it was made from, and whether the table is exported. From
the declarations alone follow its table in the lake, its part of every trace, the export and the data
dictionary.
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
    """What a row is, in a trace; of a part, what it is a part of."""
    identifier: str
    """SQL for the name of a row."""
    parents: tuple[str, ...]
    """Queries for what rows were made from: `child_id`, `parent_kind`, `parent_id`."""
    lines: str | None
    """Query for lines of files behind rows beyond those of its parents: `child_id`, `file_id`, `sheet`,
    `row_number`, `table_name`, `file_name`, `source_id`, `entity_id`.
    """
    id_prefix: str
    """What the names of its rows begin with, where they have a prefix."""
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
    part: bool = False,
) -> Callable[[type[Contract]], type[Contract]]:
    """Declare the contract below as a product; without `identifier` its keys name a row."""

    def declare(contract: type[Contract]) -> type[Contract]:
        named = identifier or f"concat_ws('/', {', '.join(keys(contract))})"
        DECLARED[name] = Product(
            name, title, contract, kind, named, parents, lines, id_prefix, exported, part
        )
        return contract

    return declare


def has_column(declared: Product, column: str) -> bool:
    """Whether rows of the product have such a column."""
    return any(known.name == column for known in columns(declared.contract))
