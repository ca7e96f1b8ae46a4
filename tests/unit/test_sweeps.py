"""Discharges of graded cells are solved once, stored, and answered from the lake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from battery_platform.electrochemistry.designs import read_designs
from battery_platform.electrochemistry.graded.cell import check_graded_cell, solve
from battery_platform.electrochemistry.graded.replication import design
from battery_platform.electrochemistry.graded_runs import (
    paper_designs,
    restored,
    run_id,
    sweep,
)
from battery_platform.errors import PlatformError
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str], Path]


def test_what_the_lake_has_is_not_solved_again(lake: Lakehouse) -> None:
    designs = [design(1, None, 120.0, 3.0), design(1, 1, 120.0, 3.0)]
    studied = sweep(lake, designs)
    first = studied.rows
    assert studied.solved == 2
    before = lake.snapshot()
    seen: list[tuple[int, int]] = []
    progress = lambda done, total: seen.append((done, total))  # noqa: E731
    again = sweep(lake, [*designs, designs[0]], progress).rows
    assert lake.snapshot() == before
    assert seen == [(2, 2)]
    assert [row["run_id"] for row in again] == [
        *(row["run_id"] for row in first),
        first[0]["run_id"],
    ]
    alone = solve(designs)
    for row, result in zip(again, alone, strict=False):
        assert row["specific_energy_wh_kg"] == pytest.approx(result.energy_wh_kg, rel=1e-6)
        assert restored(row, result.design).energy_wh_kg == row["specific_energy_wh_kg"]
    assert first[1]["specific_energy_wh_kg"] > first[0]["specific_energy_wh_kg"]


def test_the_name_of_a_run_is_its_design() -> None:
    slower, faster = design(1, 1, 120.0, 3.0), design(1, 1, 120.0, 3.5)
    assert run_id(slower) == run_id(design(1, 1, 120.0, 3.0))
    assert run_id(slower) != run_id(faster)


def test_designs_are_refused_before_any_solve(lake: Lakehouse) -> None:
    good = design(1, None, 120.0, 3.0)
    with pytest.raises(PlatformError, match="c_rate"):
        sweep(lake, [good, design(1, None, 120.0, -1.0)])
    assert lake.value("SELECT count(*) FROM graded_discharges") == 0


SOUND = {"positive_mean": 0.7, "negative_mean": 0.65, "positive_um": 160, "c_rate": [1, 3]}


def test_a_design_file_gives_one_design_per_load(write: Write) -> None:
    designs = read_designs(write("d.json", json.dumps(SOUND)))
    assert [cell_design.c_rate for cell_design in designs] == [1.0, 3.0]
    assert designs[0].positive.points == (0.7,) * 10


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"c_rate": 0}, "c_rate"),
        ({"c_rate": []}, "empty list"),
        ({"c_rate": "fast"}, "a number is expected"),
        ({"positive_um": 1.6e-4}, "positive"),
        ({"positive": [0.7] * 9}, "positive"),
        ({"positive": [0.8] * 5 + [0.6] * 5}, "positive"),
        ({"positive": [1.2] * 10}, "positive"),
        ({"negative_mean": float("nan")}, "negative"),
        ({"colour": 1}, "colour is unknown"),
        ({"positive_mean": None}, "a number is expected"),
    ],
)
def test_a_design_file_that_cannot_be_is_refused(
    write: Write, change: dict[str, object], says: str
) -> None:
    with pytest.raises(PlatformError, match=says):
        read_designs(write("d.json", json.dumps(SOUND | change)))


def test_a_file_that_is_no_design_is_refused(write: Write) -> None:
    for text in ("[]", "{", json.dumps({"c_rate": 1})):
        with pytest.raises(PlatformError):
            read_designs(write("d.json", text))


def test_the_sweep_of_the_paper_has_its_12100_discharges() -> None:
    designs = [
        cell_design
        for case in (1, 2, 3, 4)
        for um in (120.0, 130.0, 140.0, 150.0, 160.0)
        for cell_design in paper_designs(case, um)
    ]
    assert len(designs) == len(set(designs)) == 12_100
    for cell_design in designs[::97]:
        check_graded_cell(cell_design)
    assert paper_designs(2, 140.0) == paper_designs(2, 140.0)
