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
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.cells import cell_len
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
    columns = [_Column.of(name, [row[name] for row in rows]) for name in rows[0]]
    widths = _widths(columns, out.width)
    if widths is None:
        _show_records(rows, title)
        return
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column, width in zip(columns, widths, strict=True):
        table.add_column(
            Text("\n".join(column.header)),
            justify="right" if column.numeric else "left",
            overflow="fold",
            width=width,
        )
    for cells in zip(*[column.cells for column in columns], strict=True):
        table.add_row(*map(Text, cells))
    out.print(table)


LONGEST_WORD = 24
"""Longer words of a text, such as paths, may be broken where a column is narrow; numbers never are."""
BORDER = 3
"""Width of what stands between two columns."""
RECORDS_SHOWN = 25


@dataclass(frozen=True)
class _Column:
    """A column as text, the narrowest that it can be read at, and the widest that it needs."""

    header: list[str]
    cells: list[str]
    numeric: bool
    least: int
    most: int

    @classmethod
    def of(cls, name: str, values: Sequence[Any]) -> _Column:
        numeric = all(value is None or isinstance(value, int | float) for value in values)
        cells = [_cell(value) for value in values]
        words = cells if numeric else [word for cell in cells for word in cell.split()]
        longest = max((cell_len(word) for word in words), default=0)
        least = longest if numeric else min(longest, LONGEST_WORD)
        lines = [cell_len(line) for cell in cells for line in cell.splitlines()]
        header = _header(name, max([least, *([] if numeric else lines)]))
        wide = max(map(cell_len, header))
        return cls(header, cells, numeric, max(least, wide), max([wide, *lines]))


def _header(name: str, width: int) -> list[str]:
    """A name in lines, broken between its words only where it is wider than the column."""
    lines: list[str] = []
    for word in re.findall(r"[^ _]+_?|[ _]+", name):
        if lines and cell_len(lines[-1] + word) <= width:
            lines[-1] += word
        else:
            lines.append(word)
    return [line.strip() for line in lines if line.strip()] or [""]


def _widths(columns: Sequence[_Column], width: int) -> list[int] | None:
    """The width of each column, or nothing if some would be too narrow to be read."""
    room = width - BORDER * len(columns) - 1
    widths = [column.least for column in columns]
    if sum(widths) > room:
        return None
    for _ in range(room - sum(widths)):
        short = [n for n, column in enumerate(columns) if widths[n] < column.most]
        if not short:
            break
        widths[min(short, key=lambda n: widths[n])] += 1
    return widths


def _show_records(rows: Sequence[dict[str, Any]], title: str) -> None:
    """What is too wide for a table: one block per row, one line per column."""
    if title:
        out.print(Text(title, style="italic"))
    for number, row in enumerate(rows[:RECORDS_SHOWN], start=1):
        out.print(Text(f"row {number} of {len(rows)}", style="dim"))
        block = Table.grid(padding=(0, 2, 0, 0))
        block.add_column(no_wrap=True, style="bold")
        block.add_column(overflow="fold")
        for name, value in row.items():
            block.add_row(Text(name), Text(_cell(value)))
        out.print(block)
    if len(rows) > RECORDS_SHOWN:
        out.print(f"[dim]{len(rows) - RECORDS_SHOWN} more row(s); --json shows all[/dim]")


def _cell(value: Any) -> str:
    """A value for people: four significant digits, and none of a whole part lost."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return visible(value.hex() if isinstance(value, bytes) else str(value))


def probability(value: float) -> str:
    """A probability to two digits that is neither rounded to certainty nor to impossibility."""
    if 0.99 < value < 1 or 0 < value < 0.01:
        return "> 0.99" if value > 0.5 else "< 0.01"
    return f"{value:.2f}"


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
