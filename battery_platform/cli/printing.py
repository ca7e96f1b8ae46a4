"""What every verb prints with: tables for people, lists of objects for programs, one way to fail.

Data, file names and errors are others' words. Here alone they become print, and characters that command
a terminal or turn the direction of reading are shown as what they are, `\\x1b`, instead of obeyed.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from battery_platform.settings import Settings

if TYPE_CHECKING:
    from battery_platform.store.lakehouse import Lakehouse

_COMMANDING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but tab and newline, marks of direction, bytes of a name that are no text."""


def visible(text: str) -> str:
    """The text with what would command a terminal written out."""
    return _COMMANDING.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


class VisibleConsole(Console):
    """A console to which nothing but itself can send commands."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


out = VisibleConsole(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or 160))
err = VisibleConsole(file=sys.stderr)  # bound now: a refresh redirects what libraries write

AsJson = Annotated[bool, typer.Option("--json", help="Print a list of objects instead of a table.")]

SYNTHETIC = "SYNTHETIC: the simulated plant's data stand behind this, no real electrode."


def fail(says: str) -> None:
    says = re.sub(r"\s*[\r\n]\s*", " ", says)
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
        print(as_json_text(rows))  # noqa: T201
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
        heading = Text(visible(name))
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
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
        table.add_row(Text(visible(name)), *[Text(_cell(row[name])) for row in shown])
    out.print(table)
    if len(rows) > len(shown):
        out.print(f"[dim]{len(rows) - len(shown)} more row(s); --json shows all[/dim]")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return visible(value.hex() if isinstance(value, bytes) else str(value))


def as_json_text(rows: Sequence[Any]) -> str:
    """JSON that every reader takes, and that a terminal can be shown."""
    text = json.dumps(plain(list(rows)), ensure_ascii=False, indent=2, allow_nan=False)
    return _COMMANDING.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def plain(value: Any) -> Any:
    """What JSON has for a value: infinities and NaN by name, blobs as hexadecimal digits.

    A decimal is a number where a reader gets the same decimal back, and text where it would not.
    """
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float | Decimal):
        return _number(value)
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _number(value: float | Decimal) -> float | str:
    number = float(value)
    if isinstance(value, Decimal):
        return number if Decimal(repr(number)) == value else str(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
