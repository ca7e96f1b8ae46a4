"""A file that was taken back leaves no row, is remembered, and comes back as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from battery_platform.errors import PlatformError
from battery_platform.made.trace import Trace, trace
from battery_platform.records.dropfolder import take as take_dropped
from battery_platform.records.ingest import ingest
from battery_platform.records.withdrawal import undo, withdraw
from battery_platform.store.balance import balance
from battery_platform.store.builds import data_version
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str | bytes], Path]

LOTS = "lot_id,material_kind,material_name,d50_um\nL1,binder,PVdF,\nL2,active_material,NMC,9\nL3,magic,x,\n"


def counts(lake: Lakehouse) -> tuple[Any, ...]:
    return (
        *lake.rows(
            "SELECT count(*), sum(hash(lot_id, material_name, d50_um)) FROM raw_material_lots"
        )[0],
        *lake.rows("SELECT count(*) FROM quarantine")[0],
        *lake.rows("SELECT count(*), sum(rows_new) FROM raw_files")[0],
    )


def test_rows_leave_and_come_back_as_they_were(lake: Lakehouse, write: Write) -> None:
    path = write("lots.csv", LOTS)
    assert ingest(lake, path).status == "taken"
    before, version = counts(lake), data_version(lake)
    withdraw(lake, "lots.csv", "the scale was off")
    assert counts(lake) == (0, None, 0, 0, None)
    assert data_version(lake) != version
    assert not balance(lake).broken
    again = ingest(lake, path)
    assert (again.status, again.failed) == ("withdrawn", True)
    assert "was withdrawn by " in again.reason
    assert "the scale was off" in again.reason
    assert "withdraw --undo lots.csv" in again.reason
    assert counts(lake)[0] == 0
    assert undo(lake, "lots.csv").status == "taken"
    assert counts(lake) == before
    assert lake.rows("SELECT count(*) FROM raw_withdrawn") == [(0,)]
    assert lake.rows("SELECT count(*) FROM snapshot_pins") == [(0,)]
    assert ingest(lake, path).status == "known"


def test_its_rows_stay_in_history(lake: Lakehouse, write: Write) -> None:
    ingest(lake, write("lots.csv", LOTS))
    withdraw(lake, "lots.csv", "the scale was off")
    ((snapshot, holder),) = lake.rows("SELECT snapshot_id, holder FROM snapshot_pins")
    assert holder.startswith("withdrawn ")
    assert lake.ask("SELECT count(*) AS n FROM raw_material_lots", at=snapshot) == [{"n": 2}]


def test_what_another_file_states_too_stays(lake: Lakehouse, write: Write) -> None:
    ingest(lake, write("lots.csv", LOTS))
    ingest(lake, write("more.csv", LOTS.replace("L3,magic,x,", "L4,binder,CMC,")))
    withdraw(lake, "lots.csv", "entered twice")
    assert lake.rows("SELECT lot_id FROM raw_material_lots ORDER BY 1") == [
        ("L1",),
        ("L2",),
        ("L4",),
    ]
    assert not balance(lake).broken
    undo(lake, "lots.csv")
    assert lake.value("SELECT count(*) FROM raw_material_lots") == 3
    assert not balance(lake).broken


def test_a_replaced_file_does_not_come_back_unasked(lake: Lakehouse, write: Write) -> None:
    old = write("lots.csv", LOTS)
    ingest(lake, old)
    new = write("lots_v2.csv", LOTS.replace("magic", "binder"))
    assert ingest(lake, new, replaces=["lots.csv"]).status == "taken"
    answer = ingest(lake, old)
    assert answer.status == "withdrawn"
    assert "was replaced by lots_v2.csv" in answer.reason
    with pytest.raises(PlatformError, match=r"was replaced by lots_v2\.csv"):
        undo(lake, "lots.csv")
    with pytest.raises(PlatformError, match=r"was replaced by lots_v2\.csv"):
        trace(lake, "lots.csv")
    assert ingest(lake, old, replaces=["lots_v2.csv"]).status == "taken"
    assert ingest(lake, new).status == "withdrawn"
    assert lake.value("SELECT count(*) FROM raw_material_lots") == 2


def test_the_drop_folder_says_why_it_does_not_take_it(lake: Lakehouse, write: Write) -> None:
    ingest(lake, write("lots.csv", LOTS))
    withdraw(lake, "lots.csv", "the scale was off")
    drop = lake.settings.drop_folder
    drop.mkdir(parents=True, exist_ok=True)
    (drop / "lots.csv").write_text(LOTS)
    (report,) = take_dropped(lake)
    assert report.status == "withdrawn"
    assert "the scale was off" in (drop / "refused" / "lots.csv.reason.txt").read_text()


@pytest.mark.parametrize(
    ("name", "why", "says"),
    [
        ("lots.csv", " ", "needs a reason"),
        ("never.csv", "x", "No file in the lake is called 'never.csv'"),
    ],
)
def test_what_cannot_be_withdrawn_is_told(
    lake: Lakehouse, write: Write, name: str, why: str, says: str
) -> None:
    ingest(lake, write("lots.csv", LOTS))
    with pytest.raises(PlatformError, match=says):
        withdraw(lake, name, why)
    assert counts(lake)[0] == 2


def test_an_undo_needs_the_very_bytes(lake: Lakehouse, write: Write, tmp_path: Path) -> None:
    path = write("lots.csv", LOTS)
    ingest(lake, path)
    withdraw(lake, "lots.csv", "the scale was off")
    with pytest.raises(PlatformError, match="already"):
        withdraw(lake, "lots.csv", "again")
    elsewhere = tmp_path / "elsewhere.csv"
    path.rename(elsewhere)
    with pytest.raises(PlatformError, match="no longer at"):
        undo(lake, "lots.csv")
    with pytest.raises(PlatformError, match=r"No withdrawn file is called 'other\.csv'"):
        undo(lake, "other.csv")
    assert undo(lake, str(elsewhere)).status == "taken"


def test_a_record_is_no_file(
    lake: Lakehouse, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(lake, write("lots.csv", LOTS))
    origins = [{"file_name": "lots.csv"}]
    monkeypatch.setattr(
        "battery_platform.made.trace.trace", lambda lake, name: Trace(name, "lot", origins)
    )
    with pytest.raises(PlatformError, match=r"'L1' is no file; it rests on lots\.csv"):
        withdraw(lake, "L1", "x")
