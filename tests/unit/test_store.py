"""The lakehouse: transactions, time travel, pins, upkeep, export."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from battery_platform.cli.printing import as_json_text
from battery_platform.contracts.products import PRODUCTS
from battery_platform.errors import PlatformError, StoreError
from battery_platform.records.ingest import ingest
from battery_platform.settings import Settings
from battery_platform.store import commit
from battery_platform.store.export import export_marts
from battery_platform.store.lakehouse import Lakehouse, postgres_words
from battery_platform.store.upkeep import pin, unpin, upkeep

Write = Callable[[str, str | bytes], Path]


def lots(*names: str) -> str:
    rows = "".join(f"{name},binder,PVdF\n" for name in names)
    return "lot_id,material_kind,material_name\n" + rows


def test_an_earlier_snapshot_can_be_read(lake: Lakehouse, write: Write) -> None:
    first = ingest(lake, write("a.csv", lots("A"))).snapshot
    ingest(lake, write("b.csv", lots("B")))
    assert first is not None
    assert lake.ask("SELECT lot_id FROM raw_material_lots", at=first) == [{"lot_id": "A"}]
    assert len(lake.ask("SELECT lot_id FROM raw_material_lots")) == 2


def test_asking_cannot_write(lake: Lakehouse, write: Write) -> None:
    ingest(lake, write("a.csv", lots("A")))
    with pytest.raises(StoreError, match="read-only"):
        lake.ask("DELETE FROM raw_material_lots")
    assert lake.value("SELECT count(*) FROM raw_material_lots") == 1


def test_upkeep_merges_files_and_keeps_pinned_snapshots(lake: Lakehouse, write: Write) -> None:
    kept = ingest(lake, write("a.csv", lots("A"))).snapshot
    lost = ingest(lake, write("b.csv", lots("B"))).snapshot
    for name in "CDE":
        ingest(lake, write(f"{name}.csv", lots(name)))
    assert kept is not None
    assert lost is not None
    pin(lake, kept, "model mass-loading v1")
    done = upkeep(lake, keep_days=0, orphan_age=timedelta(0))
    assert done.snapshots_after < done.snapshots_before
    assert lake.ask("SELECT lot_id FROM raw_material_lots", at=kept) == [{"lot_id": "A"}]
    with pytest.raises(StoreError):
        lake.ask("SELECT lot_id FROM raw_material_lots", at=lost)
    assert lake.value("SELECT count(*) FROM raw_material_lots") == 5
    unpin(lake, kept, "model mass-loading v1")
    upkeep(lake, keep_days=0, orphan_age=timedelta(0))
    with pytest.raises(StoreError):
        lake.ask("SELECT lot_id FROM raw_material_lots", at=kept)


def test_a_failed_commit_leaves_neither_rows_nor_files(
    lake: Lakehouse, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise StoreError("the balance is broken")

    monkeypatch.setattr(commit, "_assert_balance", broken)
    before = set(Path(lake.settings.data_path).rglob("*.parquet"))
    with pytest.raises(StoreError):
        ingest(lake, write("a.csv", lots("A")))
    assert lake.value("SELECT count(*) FROM raw_files") == 0
    assert lake.value("SELECT count(*) FROM raw_material_lots") == 0
    assert set(Path(lake.settings.data_path).rglob("*.parquet")) == before


def test_a_commit_whose_answer_was_lost_keeps_its_rows(
    lake: Lakehouse, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_for_real = Lakehouse.write

    def lossy(self: Lakehouse, work: Callable[..., object]) -> object:
        write_for_real(self, work)
        raise duckdb.TransactionException("the connection went away")

    monkeypatch.setattr(Lakehouse, "write", lossy)
    path = write("a.csv", lots("A", "B"))
    with pytest.raises(duckdb.TransactionException):
        ingest(lake, path)
    monkeypatch.undo()
    assert ingest(lake, path).status == "known"
    assert lake.value("SELECT count(*) FROM raw_material_lots") == 2


def test_a_passing_conflict_is_tried_again(lake: Lakehouse) -> None:
    tries: list[int] = []

    def work(cursor: duckdb.DuckDBPyConnection) -> int:
        tries.append(1)
        if len(tries) < 3:
            raise duckdb.TransactionException("Failed to commit: database is locked")
        return 7

    assert lake.write(work) == 7
    assert len(tries) == 3


def test_who_holds_the_catalogue_is_waited_for(
    lake: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long commit of another process may outlast any number of tries; the time-out ends it."""
    monkeypatch.setattr("battery_platform.store.lakehouse._LONGEST_PAUSE_S", 0.001)
    tries: list[int] = []

    def work(cursor: duckdb.DuckDBPyConnection) -> int:
        tries.append(1)
        if len(tries) < 40:
            raise duckdb.TransactionException("Failed to commit: database is locked")
        return 7

    assert lake.write(work) == 7
    tries.clear()
    impatient = Lakehouse(replace(lake.settings, lock_timeout_s=0.0))
    with pytest.raises(duckdb.TransactionException, match="locked"):
        impatient.write(work)
    impatient.close()
    assert len(tries) == 8


def test_export_is_published_whole(lake: Lakehouse, settings: Settings) -> None:
    with lake.cursor() as cursor:
        cursor.execute("CREATE TABLE mart_electrodes AS SELECT 'E1' AS electrode_id")
    first = export_marts(lake)
    with lake.cursor() as cursor:
        cursor.execute("INSERT INTO mart_electrodes VALUES ('E2')")
    second = export_marts(lake)
    assert (first.rows["mart_electrodes"], second.rows["mart_electrodes"]) == (1, 2)
    assert set(first.rows) == {"mart_electrodes", *PRODUCTS}
    with duckdb.connect(str(settings.export_folder / "warehouse.duckdb"), read_only=True) as plain:
        assert plain.execute("SELECT count(*) FROM mart_electrodes").fetchone() == (2,)
        assert plain.execute("SELECT snapshot_id FROM export_info").fetchone() == (second.snapshot,)
    parquet = settings.export_folder / "parquet" / "mart_electrodes.parquet"
    assert duckdb.execute("SELECT count(*) FROM read_parquet(?)", [str(parquet)]).fetchone() == (2,)
    assert len([path for path in settings.export_folder.iterdir() if not path.is_symlink()]) == 2


def test_an_export_of_the_same_snapshot_stands(lake: Lakehouse, settings: Settings) -> None:
    with lake.cursor() as cursor:
        cursor.execute("CREATE TABLE mart_electrodes AS SELECT 'E1' AS electrode_id")
    first, again = export_marts(lake), export_marts(lake)
    assert (first.is_new, again.is_new) == (True, False)
    assert (again.snapshot, again.rows) == (first.snapshot, first.rows)
    (settings.export_folder / "parquet" / "mart_electrodes.parquet").unlink()
    assert export_marts(lake).is_new
    with lake.cursor() as cursor:
        cursor.execute("INSERT INTO mart_electrodes VALUES ('E2')")
    assert export_marts(lake).rows["mart_electrodes"] == 2


def test_a_contract_that_gained_a_column_gains_it_in_the_lake(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from battery_platform.store import expected, schema

    first = Lakehouse(settings)
    first.snapshot()
    first.close()
    wanted = schema.all_tables()
    wanted["snapshot_pins"] = wanted["snapshot_pins"] | {"reason": "VARCHAR"}
    monkeypatch.setattr(schema, "all_tables", lambda: wanted)
    monkeypatch.setattr(expected, "contracts_digest", lambda: "of the changed contracts")
    second = Lakehouse(settings)
    columns = {row[0] for row in second.rows("DESCRIBE snapshot_pins")}
    second.close()
    assert "reason" in columns


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("BATTERY_PLATFORM_THREADS", "many", "THREADS='many'"),
        ("BATTERY_PLATFORM_MEMORY_MIB", "0", "whole number above 0"),
        ("BATTERY_PLATFORM_CATALOGUE", "mysql://x", "must begin with"),
        ("BATTERY_PLATFORM_SETTLE_SECONDS", "nan", "number of seconds"),
        ("BATTERY_PLATFORM_NIGHTLY_CRON", "every day", "NIGHTLY_CRON='every day'"),
        ("BATTERY_PLATFORM_NIGHTLY_CRON", "0 25 * * *", "five fields"),
        ("BATTERY_PLATFORM_LAKE_DATA", "files", "absolute path is expected, such as /"),
        ("BATTERY_PLATFORM_HOME", "data2", "absolute path is expected, such as /"),
        ("BATTERY_PLATFORM_MIRROR", "./copies", "absolute path is expected, such as /"),
        ("BATTERY_PLATFORM_CATALOGUE", "sqlite:lake.sqlite", "absolute path"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(PlatformError, match=words):
        Settings.from_env({name: value})


@pytest.mark.parametrize(
    "cron", ["0 2 * * *", "*/15 1-5,22 * jan-mar MON-FRI", "5 4 1,15 * 7", "0 2 * * 0/2"]
)
def test_times_of_the_nightly_refresh_that_dagster_knows_too(cron: str) -> None:
    from dagster._utils.schedules import is_valid_cron_string

    assert is_valid_cron_string(cron)
    assert Settings.from_env({"BATTERY_PLATFORM_NIGHTLY_CRON": cron}).nightly_cron == cron


def test_places_that_do_not_depend_on_the_folder_are_taken(tmp_path: Path) -> None:
    for value in ("s3://bucket/lake", str(tmp_path)):
        assert Settings.from_env({"BATTERY_PLATFORM_LAKE_DATA": value}).data_path == value
    assert Settings.from_env({"BATTERY_PLATFORM_HOME": "~/lab"}).home == Path.home() / "lab"


def test_postgres_addresses() -> None:
    words = postgres_words("postgresql://me:se%40cret@127.0.0.1:5433/lake")
    assert words == "dbname=lake host=127.0.0.1 port=5433 user=me password=se@cret"
    with pytest.raises(PlatformError, match="space"):
        postgres_words("postgresql://me:a%20b@127.0.0.1/lake")


def test_a_moved_home_is_opened_where_it_is(settings: Settings, write: Write) -> None:
    first = Lakehouse(settings)
    ingest(first, write("a.csv", lots("A")))
    first.close()
    moved = replace(settings, home=settings.home.with_name("moved"))
    settings.home.rename(moved.home)
    second = Lakehouse(moved)
    assert second.rows("SELECT lot_id FROM raw_material_lots") == [("A",)]
    ingest(second, write("b.csv", lots("B")))
    assert second.ask("SELECT count(*) AS n FROM raw_material_lots") == [{"n": 2}]
    second.close()


def test_values_of_an_answer_are_json_for_every_reader(lake: Lakehouse) -> None:
    lake.snapshot()
    rows = lake.ask(
        """SELECT 'nan'::DOUBLE AS n, '-infinity'::FLOAT AS low, 1.10::DECIMAL(5, 2) AS d,
                  12345678901234567890.123456789::DECIMAL(38, 9) AS long, '\\xAB\\x00'::BLOB AS b,
                  DATE '2026-01-02' AS day, TIMESTAMP '2026-01-02 03:04:05' AS moment,
                  MAP {DATE '2026-01-02': 'nan'::DOUBLE} AS m, [1, NULL] AS l, 2::HUGEINT AS h,
                  1 AS a, 2 AS a, 3 AS a_2"""
    )
    assert json.loads(as_json_text(rows), parse_constant=pytest.fail) == [
        {
            "n": "NaN",
            "low": "-Infinity",
            "d": 1.1,
            "long": "12345678901234567890.123456789",
            "b": "ab00",
            "day": "2026-01-02",
            "moment": "2026-01-02T03:04:05",
            "m": {"2026-01-02": "NaN"},
            "l": [1, None],
            "h": 2,
            "a": 1,
            "a_3": 2,
            "a_2": 3,
        }
    ]


_ASKING = """
import signal, sys
from battery_platform.cli import main
from battery_platform.store import questions
signal.signal(signal.SIGINT, signal.default_int_handler)
check = questions._only_statement
def checked(*words):
    print("asking", flush=True)
    return check(*words)
questions._only_statement = checked
sys.argv = ["battery-platform", "sql", "select count(*) from range(10000000000), range(100000)"]
main()
"""


def test_a_question_ends_by_ctrl_c(lake: Lakehouse) -> None:
    lake.snapshot()
    lake.close()
    child = subprocess.Popen(
        [sys.executable, "-c", _ASKING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "BATTERY_PLATFORM_HOME": str(lake.settings.home)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "asking\n"
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    said = child.communicate(timeout=30)[1]
    assert (child.returncode, said.startswith("Stopped by Ctrl-C.")) == (130, True), said


def test_what_bounds_a_question_is_lifted_after_it(lake: Lakehouse) -> None:
    lake.snapshot()
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(StoreError, match="more memory than"):
        lake.ask("SELECT list_sum(range(3000000000))")
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
