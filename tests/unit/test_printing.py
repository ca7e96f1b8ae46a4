"""Tables that people can read, however narrow the terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from rich.console import Console

from battery_platform.cli import printing
from battery_platform.cli.printing import probability, show

Shown = Callable[[list[dict[str, Any]], int], str]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    def print_at(rows: list[dict[str, Any]], width: int) -> str:
        stream = io.StringIO()
        monkeypatch.setattr(printing, "out", Console(file=stream, width=width))
        show(rows, False)
        return stream.getvalue()

    return print_at


ANSWER = {
    "line": 2,
    "active_material_pct": 94.123456,
    "solid_content_pct": 60.5,
    "viscosity_pa_s": 0.540868123,
    "comma_gap_um": 120.0,
    "mass_loading_mg_cm2": 15.4321987,
    "sd": 0.123456,
    "90 % from": 15.1,
    "to": 15.8,
    "in data": True,
    "distance": 0.000123456,
}


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_number_and_no_name_is_ever_split(width: int, shown: Shown) -> None:
    text = shown([ANSWER, {**ANSWER, "line": 3}], width)
    assert max(map(len, text.splitlines())) <= width
    for number in ("94.12", "0.5409", "15.43", "0.1235", "0.0001235"):
        assert text.count(number) == 2
    for word in ("active_", "material_", "viscosity_", "distance"):
        assert word in text


def test_what_fits_is_a_table_and_what_does_not_is_one_block_per_row(shown: Shown) -> None:
    assert "row 1 of 2" in shown([ANSWER, ANSWER], 80)
    assert "row 1 of 2" not in shown([ANSWER, ANSWER], 160)


def test_long_texts_give_way_to_numbers(shown: Shown) -> None:
    rows = [{"n": 123456789, "why": "all the reasons in the world " * 8, "value": 0.54086}]
    text = shown(rows, 60)
    assert "123456789" in text
    assert "0.5409" in text
    assert max(map(len, text.splitlines())) <= 60


def test_many_wide_rows_are_not_dropped_without_a_word(shown: Shown) -> None:
    assert "15 more row(s); --json shows all" in shown([ANSWER] * 40, 40)


def test_large_numbers_keep_their_whole_part_and_moments_their_seconds(shown: Shown) -> None:
    text = shown([{"a": 123456.789, "b": datetime(2026, 7, 1, 10, 5, 6, 789)}], 80)
    assert "123457" in text
    assert "2026-07-01 10:05:06 " in text


def test_programs_get_all_digits(capsys: pytest.CaptureFixture[str]) -> None:
    show([ANSWER], True)
    assert json.loads(capsys.readouterr().out) == [ANSWER]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.995, "> 0.99"),
        (0.99, "0.99"),
        (1.0, "1.00"),
        (0.5, "0.50"),
        (0.004, "< 0.01"),
        (0.0, "0.00"),
    ],
)
def test_a_probability_is_not_rounded_to_certainty(value: float, words: str) -> None:
    assert probability(value) == words
