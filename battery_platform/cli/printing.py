"""What every verb prints with: tables for people, lists of objects for programs, one way to fail."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from battery_platform.settings import Settings

if TYPE_CHECKING:
    from battery_platform.store.lakehouse import Lakehouse

out = Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or 160))
err = Console(file=sys.stderr)  # bound now: a refresh redirects what libraries write

AsJson = Annotated[bool, typer.Option("--json", help="Print a list of objects instead of a table.")]

SYNTHETIC = "SYNTHETIC: the simulated plant's data stand behind this, no real electrode."


def fail(says: str) -> None:
    err.print(Text("Error: ", style="bold red").append(Text(says, style="default")), soft_wrap=True)
    raise SystemExit(1)


def open_lake() -> Lakehouse:
    from battery_platform.store.lakehouse import Lakehouse

    return Lakehouse(Settings.from_env())


def show(
    rows: Sequence[dict[str, Any]], as_json: bool, title: str = "", empty: str = "nothing"
) -> None:
    """A table for people or a list of objects for programs."""
    if as_json:
        print(json.dumps(list(rows), default=plain, ensure_ascii=False, indent=2))  # noqa: T201
        return
    if not rows:
        out.print(f"[dim]{empty}[/dim]")
        return
    if len(rows[0]) > WIDE:
        _show_records(rows, title)
        return
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for name in rows[0]:
        numeric = all(isinstance(row[name], int | float) or row[name] is None for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*[Text(_cell(value)) for value in row.values()])
    out.print(table)


WIDE = 12


def _show_records(rows: Sequence[dict[str, Any]], title: str) -> None:
    """Many columns read better as one line per column, a few records side by side."""
    shown = rows[:4]
    table = Table(title=title or None, title_justify="left", header_style="bold")
    table.add_column("column")
    for number in range(1, len(shown) + 1):
        table.add_column(f"row {number}", overflow="fold")
    for name in rows[0]:
        table.add_row(name, *[Text(_cell(row[name])) for row in shown])
    out.print(table)
    if len(rows) > len(shown):
        out.print(f"[dim]{len(rows) - len(shown)} more row(s); --json shows all[/dim]")


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
