"""The tidy tables of files that hold curves: a row per test, and a row per logged point.

What rheometers and tensile testers share on the way out: what a test is called in the lake, that
a test handed in twice is taken once, and that points in other units go to a table of their own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from battery_platform.records.instruments.model import Tidy

Units = dict[str, str | None]


def identifier(name: str, values: Sequence[float | None]) -> str:
    """An identifier made of name and content, so that a test has the same one in every export."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9._-]", "", re.sub(r"\s+", "_", ascii_name.strip()))[:100]
    content = "\n".join("" if value is None else repr(value) for value in values)
    return f"{safe or 'test'}-{blake2b(content.encode(), digest_size=4).hexdigest()}"


@dataclass
class CurveTables:
    """The tests and points taken so far, with separate tables for each sheet of the file."""

    kind: str
    """`flow` or `peel`, the prefix of the contract's tables."""
    title: str
    columns: Sequence[str]
    several_sheets: bool
    notes: list[str]
    _lines: dict[str, int] = field(default_factory=dict)
    _tests: dict[str, Tidy] = field(default_factory=dict)
    _points: dict[tuple[str, tuple[tuple[str, str | None], ...]], Tidy] = field(
        default_factory=dict
    )

    def again(self, test_id: str, named: str, line: int) -> bool:
        """Whether a test has been taken before; if so, a note says it."""
        if test_id not in self._lines:
            return False
        self.notes.append(
            f"{named} stands twice in the file (lines {self._lines[test_id]} and {line}), with "
            "the same points: taken once"
        )
        return True

    def add_test(self, sheet: str, line: int, cells: tuple[str, ...]) -> None:
        """Take a test; the first of its cells is the identifier."""
        self._lines[cells[0]] = line
        if sheet not in self._tests:
            self._tests[sheet] = self._tidy("tests", sheet, self.title, dict.fromkeys(self.columns))
        self._tests[sheet].rows.append((line, cells))

    def points(self, sheet: str, units: Units) -> list[tuple[int, tuple[str, ...]]]:
        """The rows of a sheet's points whose columns have these units."""
        group = (sheet, tuple(units.items()))
        if group not in self._points:
            others = sum(of_sheet == sheet for of_sheet, _ in self._points)
            title = f"points ({others + 1})" if others else "points"
            self._points[group] = self._tidy("points", sheet, title, units)
        return self._points[group].rows

    def _tidy(self, what: str, sheet: str, title: str, units: Units) -> Tidy:
        prefix = f"{sheet}: " if self.several_sheets else ""
        return Tidy(f"{self.kind}_{what}", prefix + title, units)

    def tables(self) -> list[Tidy]:
        """Tests, then points; the file's notes go with the first table. Empty without a test."""
        tables = [*self._tests.values(), *self._points.values()]
        if tables:
            tables[0].notes = list(dict.fromkeys(self.notes))
        return tables
