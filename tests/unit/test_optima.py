"""The best pairs of a sweep, ranked by hand-made energies."""

from __future__ import annotations

import pytest

from battery_platform.electrochemistry import graded_runs
from battery_platform.electrochemistry.graded_runs import GRADED_CELLS, paper_designs
from battery_platform.electrochemistry.optima import depends_on_thickness, rank, scored
from battery_platform.made.products import put
from battery_platform.store.lakehouse import Lakehouse

PARTS = {"case1_120um": (1, 120.0), "case1_160um": (1, 160.0)}


def swept(lake: Lakehouse, positive_um: float, best: int, rates: int = 5) -> None:
    """One part in which pair number `best` gains most, and pair 3 somewhat less."""
    rows = []
    for number, design in enumerate(paper_designs(1, positive_um)):
        pair, rate = divmod(number, 5)
        if rate >= rates:
            continue
        row = GRADED_CELLS.row(graded_runs.run_id(design), design, None, "")
        gain = {0: 0.0, best: 20.0, 3: 10.0}.get(pair, 1.0)
        rows.append(row | {"failed": False, "specific_energy_wh_kg": 100.0 + gain})
    put(lake, {"graded_discharges": rows})


def test_pairs_are_ranked_by_their_gains_over_the_uniform_cell(lake: Lakehouse) -> None:
    swept(lake, 120.0, best=7)
    pairs = scored(lake, 1, 120.0)
    assert pairs.height == 121
    assert pairs["gain_sum_wh_kg"][0] == pytest.approx(100.0)
    assert pairs["gain_5c_pct"][0] == pytest.approx(20.0)
    assert pairs["gain_sum_wh_kg"][1] == pytest.approx(50.0)


def test_a_part_that_was_not_swept_whole_is_not_ranked(lake: Lakehouse) -> None:
    swept(lake, 120.0, best=7)
    swept(lake, 160.0, best=7)
    missing = graded_runs.run_id(paper_designs(1, 160.0)[-1])
    lake.write(lambda c: c.execute("DELETE FROM graded_discharges WHERE run_id = ?", [missing]))
    assert rank(lake, PARTS).rows == []


def test_a_part_that_lacks_a_rate_is_not_ranked(lake: Lakehouse) -> None:
    swept(lake, 120.0, best=7, rates=4)
    assert scored(lake, 1, 120.0).is_empty()
    assert rank(lake, PARTS).rows == []


@pytest.mark.parametrize(("at_120", "dependent"), [(7, 0), (3, 0), (60, 1)])
def test_the_best_pair_is_looked_up_at_160_um(lake: Lakehouse, at_120: int, dependent: int) -> None:
    swept(lake, 120.0, best=at_120)
    swept(lake, 160.0, best=7)
    rows = rank(lake, PARTS).rows
    assert len(rows) == 6
    assert len(depends_on_thickness(rows)) == dependent
    before = lake.snapshot()
    assert len(rank(lake, PARTS).rows) == 6
    assert lake.snapshot() == before
