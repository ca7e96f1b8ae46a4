"""Judging quarantined files again: what changed is stored and shown, all else stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from battery_platform.records.ingest import retry
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse

CELLS = "cell;electrode;format\n"


def owners(lake: Lakehouse) -> dict[str, str]:
    return dict(
        lake.rows(
            "SELECT c.cell_id, f.file_name FROM raw_cells c JOIN raw_files f USING (file_id, sheet)"
        )
    )


def electrodes(*names: str) -> str:
    return "sample;porosity (%)\n" + "".join(f"{name};50\n" for name in names)


def test_where_no_verdict_changes_nothing_is_written(take: Any, lake: Lakehouse) -> None:
    take("sheet.csv", electrodes("E1"))
    take("cells.csv", CELLS + "C1;E1;coin\nC2;E9;coin\n")
    before = lake.snapshot()
    assert retry(lake) == []
    assert lake.snapshot() == before


def test_a_row_stays_with_the_file_that_brought_it_first(take: Any, lake: Lakehouse) -> None:
    take("sheet.csv", electrodes("E1", "E2"))
    take("march.csv", CELLS + "C1;E1;coin\nC2;E2;coin\nC3;E9;coin\n")
    take("april.csv", CELLS + "C1;E1;coin\nC2;E2;coin\nC4;E2;coin\n")
    assert owners(lake) == {"C1": "march.csv", "C2": "march.csv", "C4": "april.csv"}
    take("more.csv", electrodes("E9"))
    (report,) = retry(lake)
    assert (report.path.name, report.total("rows_new")) == ("march.csv", 1)
    assert owners(lake) == {
        "C1": "march.csv",
        "C2": "march.csv",
        "C3": "march.csv",
        "C4": "april.csv",
    }
    assert lake.value("SELECT count(*) FROM raw_known WHERE table_name = 'cells'") == 2
    assert balance(lake).broken == ()


def test_a_row_that_another_file_brought_meanwhile_is_that_files(
    take: Any, lake: Lakehouse
) -> None:
    take("march.csv", CELLS + "C1;E1;coin\n")
    take("sheet.csv", electrodes("E1"))
    take("april.csv", CELLS + "C1;E1;coin\nC2;E1;coin\n")
    (report,) = retry(lake)
    assert (report.total("rows_new"), report.total("rows_quarantined")) == (0, 0)
    assert owners(lake) == {"C1": "april.csv", "C2": "april.csv"}
    assert balance(lake).broken == ()


def test_a_row_that_its_file_no_longer_brings_goes_to_one_that_does(
    take: Any, lake: Lakehouse
) -> None:
    """Held back in one file, stated by another, which is not judged again."""
    take("sheet.csv", electrodes("E1"))
    take("march.csv", CELLS + "C1;E1;coin\nC2;E9;coin\n")
    take("april.csv", CELLS + "C1;E1;coin\n")
    lake.write(lambda cursor: cursor.execute("DELETE FROM raw_electrode_sheets"))
    (report,) = retry(lake)
    assert report.total("rows_quarantined") == 2
    assert lake.value("SELECT count(*) FROM raw_cells") == 1
    assert owners(lake) == {"C1": "april.csv"}
    assert lake.value("SELECT count(*) FROM raw_known") == 0


def test_the_command_prints_what_changed_and_names_what_is_misspelt(
    take: Any, lake: Lakehouse, command: Callable[..., Any]
) -> None:
    take("linie2.csv", CELLS + "".join(f"C{n};E{n};coin\n" for n in range(12)))
    lake.close()
    same = command("quarantine", "retry", "--json")
    assert (same.status, json.loads(same.out)) == (0, [])
    assert "verdicts of 0 file(s) changed" in command("quarantine", "retry").text
    for verb in ("show", "list", "retry"):
        misspelt = command("quarantine", verb, "line2.csv")
        assert misspelt.status == 1
        assert "Did you mean linie2.csv" in misspelt.text


def test_ingest_says_how_many_reasons_it_does_not_show(
    write: Callable[[str, str], Any], command: Callable[..., Any]
) -> None:
    path = write("bad.csv", CELLS + "".join(f"C{n};E{n};coin\n" for n in range(12)))
    taken = command("ingest", path)
    assert "and 9 more row(s) (battery-platform quarantine show bad.csv)" in taken.text
    checked = command("check", path)
    assert "more row(s)" not in checked.text
