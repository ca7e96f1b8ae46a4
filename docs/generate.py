"""Write docs/data-dictionary.md and dbt's list of sources: `python -m docs.generate`.

What is told here is read from where it is enforced; nothing is stated a second time.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from battery_platform.contracts.base import Column, Contract, columns, keys, sequence
from battery_platform.contracts.products import PRODUCTS
from battery_platform.contracts.products.declaring import Product
from battery_platform.contracts.registry import TABLES, Table
from battery_platform.contracts.units import shown_unit
from battery_platform.records.identity import derivable
from battery_platform.records.vocabulary import spoken
from battery_platform.settings import PROJECT_ROOT
from battery_platform.store.schema import COLUMNS, EXTRA, FILES, TECHNICAL, WITHDRAWN

TARGET = PROJECT_ROOT / "docs" / "data-dictionary.md"
DBT = PROJECT_ROOT / "dbt" / "models"
SOURCES = DBT / "staging" / "_sources.yml"
TECHNICAL_MEANING = {
    "source_id": "Campaign or data set",
    "file_id": "File it came in",
    "sheet": "Sheet of a workbook",
    "row_number": "Line in the file",
    "is_synthetic": "Whether the row was simulated rather than measured",
}
TYPES = {pl.String: "text", pl.Float64: "number", pl.Int64: "whole number", pl.Boolean: "yes/no"}
LEDGERS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "raw_columns": (
        "What became of each column of each sheet that was taken.",
        COLUMNS,
        {
            "file_id": "File, by its content and mapping",
            "sheet": "Sheet of a workbook",
            "table_name": "Table that the sheet became",
            "position": "Place of the column in the sheet, from 1",
            "header": "Header as it stands in the file",
            "unit": "Unit that header, units row or mapping states",
            "outcome": "`placed`, `left out`, `extra` or `unplaced`",
            "column_name": "Column of the contract that it became",
            "confidence": "How sure the placing is, from 0 to 1",
            "why": "What decided it",
        },
    ),
    "raw_extra": (
        "Cells of columns that no contract has, kept beside their rows (`ingest --keep-extra`).",
        EXTRA,
        {
            "file_id": "File, by its content and mapping",
            "source_id": "Campaign or data set",
            "table_name": "Table of the row beside which the cell stands",
            "sheet": "Sheet of a workbook",
            "row_number": "Line in the file",
            "position": "Place of the column in the sheet, from 1",
            "name": "Header without its unit",
            "unit": "Unit that header or units row states",
            "value": "The cell as it stands in the file",
            "is_synthetic": "Whether the row was simulated rather than measured",
        },
    ),
    "raw_withdrawn": (
        "Files that were taken back or replaced; beside the columns of `raw_files` it tells:",
        {name: kind for name, kind in WITHDRAWN.items() if name not in FILES},
        {
            "withdrawn_at": "When it was taken back",
            "withdrawn_by": "By whom",
            "why": "The reason that was given",
            "replaced_by": "File that took its place, where one did",
            "snapshot_id": "Snapshot of the lake that still has its rows",
        },
    ),
}
"""Title, columns and meanings of the tables that only Python reads."""

HEAD = """\
# Data dictionary

Written by `python -m docs.generate` from the contracts and the dbt models; do not edit it.

A column's name ends in its unit. Values given in another unit are converted, where the header or
the mapping states it. Time stamps are stored in UTC. Every raw table also has `source_id`,
`file_id`, `sheet`, `row_number` (line of the file) and `is_synthetic`.

*Names* are what a header has to say, beside the column's own name, in whatever words: `foil + thickness`
is `Dicke Folie`, `Foliendicke`, `collector thickness` and `épaisseur du collecteur` alike. The words, in
English, French and German, stand in `records/vocabulary.yaml`. A header that says anything else, such as
`target` or `both sides`, does not name the column. For each column that is required, of limited range or of few allowed words, a rule
(`present`, `at_least`, `at_most`, `allowed_word`) refuses other values; the tables below list the
rules between columns. What a rule says names columns in braces; a row's values take their place. A
rule makes no verdict on a row in which a column that it needs is empty.
"""


def dictionary() -> str:
    """The whole page."""
    parts = [HEAD, "## Contents\n", _contents(), "## Raw tables\n"]
    parts += [_raw(table) for table in TABLES.values()]
    parts.append("## Manifest and quarantine\n")
    parts += [_model(one) for one in _bookkeeping()]
    parts += [_ledger(name) for name in LEDGERS]
    parts.append("## Products\n")
    parts += [_product(one) for one in PRODUCTS.values()]
    for layer, title in (("marts", "Marts"), ("core", "Core tables")):
        parts.append(f"## {title}\n")
        parts += [_model(one) for one in _models(layer)]
    return "\n".join(parts)


def _contents() -> str:
    groups = {
        "Raw tables": [table.raw for table in TABLES.values()],
        "Manifest and quarantine": [*(one["name"] for one in _bookkeeping()), *LEDGERS],
        "Products": list(PRODUCTS),
        "Marts": [one["name"] for one in _models("marts")],
        "Core tables": [one["name"] for one in _models("core")],
    }
    return "".join(
        f"- {title}: {', '.join(f'[{name}](#{name})' for name in names)}\n"
        for title, names in groups.items()
    )


def _raw(table: Table) -> str:
    contract = table.contract
    said = [f"### {table.raw}\n", f"*{table.title.capitalize()}.* {_text(contract)}\n"]
    named = ", ".join(f"`{name}`" for name in keys(contract))
    said.append(f"Named by {named}; `table: {table.name}` in a mapping.\n")
    order = sequence(contract)
    if order is not None:
        said.append(f"Within one `{order[0]}`, `{order[1]}` must not run backwards.\n")
    head = ("Column", "Type", "Unit", "Required", "Allowed", "Meaning", "Names")
    derived = derivable(table.name)
    said.append(_table(head, (_column(column, derived, table) for column in columns(contract))))
    broken = [
        (f"`{check.name}`", f"`{check.title}`", check.description or "", check.error or "")
        for check in contract.to_schema().checks
    ]
    if broken:
        said.append(_table(("Rule", "Field", "What it says", "What to do"), broken))
    return "\n".join(said)


def _product(product: Product) -> str:
    """A table that the platform fills itself: nobody hands it in, so it has no other names."""
    contract = product.contract
    named = ", ".join(f"`{name}`" for name in keys(contract))
    rows = (
        (
            f"`{column.name}`",
            TYPES.get(column.dtype, "time stamp"),  # type: ignore[call-overload]
            shown_unit(column.name),
            "yes" if column.required else "",
            column.description,
        )
        for column in columns(contract)
    )
    table = _table(("Column", "Type", "Unit", "Always", "Meaning"), rows)
    return (
        f"### {product.name}\n\n*{product.title.capitalize()}.* {_text(contract)}\n\n"
        f"Named by {named}.\n\n{table}"
    )


def _column(column: Column, derived: set[str], table: Table) -> tuple[str, ...]:
    meaning = column.description
    if column.refers_to:
        meaning += f"; refers to [{column.refers_to}](#raw_{column.refers_to})"
    return (
        f"`{column.name}`",
        TYPES.get(column.dtype, "time stamp"),  # type: ignore[call-overload]
        shown_unit(column.name),
        _required(column, derived),
        _allowed(column),
        meaning,
        spoken(column.name, table.name) or ", ".join(column.names),
    )


def _required(column: Column, derived: set[str]) -> str:
    if not column.required:
        return ""
    return "derived if left out" if column.name in derived else "yes"


def _allowed(column: Column) -> str:
    if column.allowed:
        return ", ".join(column.allowed)
    if column.low is None or column.high is None:
        return ""
    return f"{column.low:g} to {column.high:g}"


def _text(contract: type[Contract]) -> str:
    return " ".join(inspect.cleandoc(contract.__doc__ or "").split())


def _models(layer: str) -> list[dict[str, Any]]:
    """Models of a layer as its YAML describes them."""
    found = yaml.safe_load((DBT / layer / f"_{layer}.yml").read_text(encoding="utf-8"))
    return list(found["models"])


def sources() -> str:
    """dbt's list of sources, with the raw tables as the contracts have them now."""
    content = yaml.safe_load(SOURCES.read_text(encoding="utf-8"))
    content["sources"][0]["tables"] = [_source(one) for one in TABLES.values()] + _bookkeeping()
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _source(table: Table) -> dict[str, Any]:
    stated = [
        {"name": one.name, "description": one.description, "data_type": one.sql_type.lower()}
        for one in columns(table.contract)
    ]
    technical = [
        {"name": name, "description": TECHNICAL_MEANING[name], "data_type": kind.lower()}
        for name, kind in TECHNICAL.items()
    ]
    return {
        "name": table.raw,
        "description": table.title.capitalize(),
        "meta": {"dagster": {"asset_key": ["raw", table.name]}},
        "columns": [*stated, *technical],
    }


def _bookkeeping() -> list[dict[str, Any]]:
    """The tables of the raw layer that no contract describes."""
    found = yaml.safe_load(SOURCES.read_text(encoding="utf-8"))
    raw = {table.raw for table in TABLES.values()}
    return [one for one in found["sources"][0]["tables"] if one["name"] not in raw]


def _ledger(name: str) -> str:
    title, kinds, meanings = LEDGERS[name]
    rows = ((f"`{column}`", kind.lower(), meanings[column]) for column, kind in kinds.items())
    return f"### {name}\n\n{title}\n\n" + _table(("Column", "Type", "Meaning"), rows)


def _model(model: dict[str, Any]) -> str:
    rows = (
        (
            f"`{column['name']}`",
            column.get("data_type", ""),
            shown_unit(column["name"]),
            column.get("description", ""),
        )
        for column in model["columns"]
    )
    table = _table(("Column", "Type", "Unit", "Meaning"), rows)
    return f"### {model['name']}\n\n{model['description'].rstrip('.')}.\n\n{table}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def main(target: Path = TARGET) -> None:
    """Write the page and the list."""
    SOURCES.write_text(sources(), encoding="utf-8")
    target.write_text(dictionary(), encoding="utf-8")


if __name__ == "__main__":
    main()
