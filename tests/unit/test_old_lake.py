"""A lake of an earlier version is brought forward whole, at once, and by whoever opens it first."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from battery_platform.design.stored import find
from battery_platform.errors import StoreError
from battery_platform.made.trace import Trace, trace
from battery_platform.models import registry
from battery_platform.settings import Settings
from battery_platform.store import migrations
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.migrations import VERSION, WIDE_DESIGNS, WIDE_NEIGHBOURS

DATA = Path(__file__).parents[1] / "data" / "old_lake"
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
WIDE = {"designs": WIDE_DESIGNS, "design_neighbours": WIDE_NEIGHBOURS}
"""Columns that became rows of other tables."""


def maker() -> ModuleType:
    """The script that made the data: how it counts and where it says that they stand."""
    spec = importlib.util.spec_from_file_location("make_old_lake", DATA / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = maker()


def unpacked(folder: Path) -> Settings:
    """A copy of the old lake, whose registry is told where its files stand now."""
    with tarfile.open(DATA / "home.tar.gz") as packed:
        packed.extractall(folder, filter="data")
    home = folder / "home"
    connection = sqlite3.connect(home / "registry" / "registry.sqlite")
    with connection:
        MAKE.rename(connection, MAKE.PLACE, str(home))
    connection.close()
    return Settings(home=home, threads=2)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """The old lake, opened by this version."""
    lake = Lakehouse(unpacked(tmp_path_factory.mktemp("old")))
    yield lake
    lake.close()


def kept(lake: Lakehouse, table: str, columns: list[str]) -> tuple[int, str]:
    """Rows of a table and a digest of those columns."""
    named = ", ".join(f'"{column}"' for column in columns)
    rows = lake.rows(f"SELECT {named} FROM {table}") if columns else []
    return len(rows), MAKE.digest(rows)


def assert_nothing_is_lost(lake: Lakehouse) -> None:
    for table, was in EXPECTED["tables"].items():
        if table == "raw_builds":
            continue
        if table not in WIDE:
            assert kept(lake, table, was["columns"]) == (was["rows"], was["digest"]), table
        else:
            assert lake.value(f"SELECT count(*) FROM {table}") == was["rows"]
    for old in EXPECTED["designs"]:
        assert_is_that_design(find(lake, old["design_id"]), old)


def assert_is_that_design(design: dict[str, Any], old: dict[str, Any]) -> None:
    told = json.loads(json.dumps(design, default=str))
    assert {name: told[name] for name in old if name != "neighbours"} == {
        name: value for name, value in old.items() if name != "neighbours"
    }
    assert told["neighbours"] == old["neighbours"]
    assert told["wanted"] == ["mass_loading_mg_cm2", "porosity_pct"]


# -- what survives --------------------------------------------------------------------------


def test_no_row_of_any_table_is_lost(opened: Lakehouse) -> None:
    assert sum(table["rows"] for table in EXPECTED["tables"].values()) > 600
    assert_nothing_is_lost(opened)


def test_wide_columns_and_old_tables_are_gone(opened: Lakehouse) -> None:
    for table, wide in WIDE.items():
        columns = {row[0] for row in opened.rows(f"DESCRIBE {table}")}
        assert not columns & wide
    assert "raw_builds" not in opened.tables()
    assert opened.rows("FROM lake_version") == [(VERSION,)]


def test_versions_aliases_and_pins_are_as_they_were(opened: Lakehouse) -> None:
    for name, versions in EXPECTED["versions"].items():
        assert sorted(registry.tags(opened.settings, name)) == versions
        assert registry.aliases(opened.settings, name) == EXPECTED["aliases"][name]
    pins = opened.rows("SELECT snapshot_id, holder, note FROM snapshot_pins ORDER BY ALL")
    assert [list(row) for row in pins] == EXPECTED["pins"]


def test_a_champion_of_before_still_answers(opened: Lakehouse) -> None:
    import pandas as pd

    old = EXPECTED["designs"][0]
    recipe = {name: [old[name]] for name in registry.known("porosity").inputs}
    answer = registry.load(opened.settings, "porosity", 1)(pd.DataFrame(recipe))
    assert answer["porosity_pct"].iloc[0] == pytest.approx(old["porosity_pct"], rel=1e-6)


def test_the_last_build_stands_for_the_marts(opened: Lakehouse) -> None:
    data, code, when = EXPECTED["build"]
    (row,) = opened.records("SELECT * FROM made_results WHERE table_name = 'marts'")
    assert (row["data_hash"], row["code_hash"], row["parameters_hash"]) == (data, code, "")
    assert (str(row["made_at"]), row["scope"], row["n_rows"]) == (when, "{}", 0)
    assert 0 < row["snapshot_id"] < EXPECTED["snapshot"]


def test_snapshots_of_before_keep_their_shape(opened: Lakehouse) -> None:
    at = EXPECTED["snapshot"]
    assert opened.rows(
        f"""SELECT target_mass_loading_mg_cm2, probability FROM designs AT (VERSION => {at})
            ORDER BY made_at"""
    ) == [(old["target_mass_loading_mg_cm2"], old["probability"]) for old in EXPECTED["designs"]]
    assert opened.value(f"SELECT count(*) FROM raw_builds AT (VERSION => {at})") == 2
    for snapshot, _, _ in EXPECTED["pins"]:
        if snapshot > 3:
            opened.rows(f"SELECT count(*) FROM mart_electrodes AT (VERSION => {snapshot})")


@pytest.mark.parametrize(
    ("model", "kind", "parents"),
    [
        ("mass-loading", "electrode", 48),
        ("porosity", "electrode", 48),
        ("mesostructure", "structure", 3),
        ("cell-outcome", "case_cell", 3),
        ("cycle-life", "aged_cell", 3),
    ],
)
def test_versions_name_what_they_were_trained_on(
    opened: Lakehouse, model: str, kind: str, parents: int
) -> None:
    assert opened.rows(
        """SELECT parent_kind, count(*), count(DISTINCT parent_id) FROM made_from
           WHERE child_kind = 'model version' AND child_id = ? GROUP BY ALL""",
        [f"{model}/1"],
    ) == [(kind, parents, parents)]


def test_what_has_no_name_is_no_parent(opened: Lakehouse) -> None:
    assert opened.value("SELECT count(*) FROM made_from WHERE child_id = 'slurry-density/1'") == 0


# -- traces ---------------------------------------------------------------------------------


def named(rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(row["kind"], row["id"]) for row in rows if "id" in row}


def places(rows: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    return {(row.get("file_name"), row.get("row_number"), row.get("entity_id")) for row in rows}


@pytest.mark.parametrize("subject", sorted(EXPECTED["traces"]))
def test_a_trace_answers_as_before_or_more(opened: Lakehouse, subject: str) -> None:
    was, now = EXPECTED["traces"][subject], trace(opened, subject)
    assert isinstance(now, Trace)
    assert (now.subject, now.kind, now.is_synthetic) == (
        was["subject"],
        was["kind"],
        was["is_synthetic"],
    )
    assert named(now.upstream) >= named(was["upstream"])
    assert named(now.falls) >= named(was["falls"])
    assert named(now.downstream) >= named(was["downstream"])
    assert {file for file, *_ in places(now.origins)} >= {
        file for file, *_ in places(was["origins"])
    }
    if was["kind"] in ("model version", "design", "discharge"):
        assert {row[:2] for row in places(now.origins)} >= {
            row[:2] for row in places(was["origins"])
        }
    assert {row["mart"]: row["rows"] for row in now.marts} == {
        row["mart"]: row["rows"] for row in was["marts"]
    }


# -- again, and by others -------------------------------------------------------------------


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    settings = unpacked(tmp_path)
    snapshots = []
    for _ in range(2):
        lake = Lakehouse(settings)
        snapshots.append(lake.snapshot())
        assert_nothing_is_lost(lake)
        lake.close()
    assert snapshots[0] == snapshots[1] == EXPECTED["snapshot"] + 1


def test_what_an_earlier_version_writes_meanwhile_is_brought_forward_too(tmp_path: Path) -> None:
    """It adds its columns anew, and knows nothing of rows."""
    lake = Lakehouse(unpacked(tmp_path))
    old = EXPECTED["designs"][0]
    wide = {name: old[name] for name in sorted(WIDE_DESIGNS)}

    def earlier(cursor: Any) -> None:
        for name in wide:
            kind = "BIGINT" if name.endswith("_version") else "DOUBLE"
            cursor.execute(f"ALTER TABLE designs ADD COLUMN {name} {kind}")
        cursor.execute(
            f"""INSERT INTO designs BY NAME SELECT * EXCLUDE (design_id, {", ".join(wide)}),
                  'design-of-then' AS design_id, {", ".join(f"{v!r} AS {n}" for n, v in wide.items())}
                FROM designs WHERE design_id = '{old["design_id"]}'"""
        )
        cursor.execute(
            "CREATE TABLE raw_builds (data_version VARCHAR, code_version VARCHAR, built_at TIMESTAMP)"
        )
        cursor.execute("INSERT INTO raw_builds VALUES ('later', 'code', TIMESTAMP '2100-01-01')")

    lake.write(earlier)
    lake.close()
    again = Lakehouse(lake.settings)
    try:
        assert "raw_builds" not in again.tables()
        assert again.rows("SELECT data_hash FROM made_results") == [("later",)]
        for design in EXPECTED["designs"]:
            assert_is_that_design(find(again, design["design_id"]), design)
        late = find(again, "design-of-then")
        assert {name: late[name] for name in wide} == pytest.approx(wide)
    finally:
        again.close()


def changed(settings: Settings, *statements: str) -> None:
    lake = Lakehouse(settings)
    for statement in statements:
        lake.rows(statement)
    lake.close()


def test_a_lake_of_a_later_version_is_left_alone(settings: Settings) -> None:
    changed(settings, "UPDATE lake_version SET version = 99", "DROP TABLE discharges")
    lake = Lakehouse(settings)
    with pytest.raises(StoreError, match=r"later version .* 99, this one knows \d+\. Nothing was"):
        lake.tables()
    assert "discharges" not in {row["name"] for row in lake.ask("SHOW TABLES")}


def test_a_lake_of_no_known_shape_is_left_alone(settings: Settings) -> None:
    changed(settings, "ALTER TABLE designs ADD COLUMN target_porosity_pct DOUBLE")
    lake = Lakehouse(settings)
    with pytest.raises(StoreError, match=r"designs lacks .* Nothing was touched.*Open it once"):
        lake.tables()
    columns = {row["column_name"] for row in lake.ask("DESCRIBE designs")}
    assert "target_porosity_pct" in columns


def test_a_new_lake_is_of_this_version(lake: Lakehouse) -> None:
    assert lake.rows("FROM lake_version") == [(VERSION,)]
    assert not migrations.is_behind({"lake_version": {"version"}})


# -- kills ----------------------------------------------------------------------------------

CHILD = textwrap.dedent(
    """
    import os, signal, sys, threading, time
    from pathlib import Path
    from battery_platform.settings import Settings
    from battery_platform.store import lakehouse

    home, at, delay = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    create = lakehouse._create_tables

    def die():
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGKILL)

    class Mortal:
        def __init__(self, root):
            self.root, self.count = root, 0

        def execute(self, *words):
            self.count += 1
            if self.count == at:
                threading.Thread(target=die).start() if delay else die()
            return self.root.execute(*words)

    def watched(root, tables):
        mortal = Mortal(root)
        create(mortal, tables)
        print(mortal.count)

    lakehouse._create_tables = watched
    lakehouse.Lakehouse(Settings(home=home, threads=2)).snapshot()
    time.sleep(delay)
    """
)


def bring_forward(home: Path, at: int, delay: float = 0.0) -> subprocess.CompletedProcess[str]:
    """Open it in a process that kills itself at a statement, or a moment after it has begun."""
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(home), str(at), str(delay)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def statements(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many statements it takes, the last of them the commit."""
    done = bring_forward(unpacked(tmp_path_factory.mktemp("counted")).home, 0)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("share", "delay"),
    [
        *((share, 0.0) for share in (0.1, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0)),
        *((1.0, delay) for delay in (0.002, 0.01, 0.05)),
    ],
)
def test_killed_within(tmp_path: Path, statements: int, share: float, delay: float) -> None:
    settings = unpacked(tmp_path)
    done = bring_forward(settings.home, round(share * statements), delay)
    assert done.returncode == -signal.SIGKILL, done.stderr
    lake = Lakehouse(settings)
    wide = {row["column_name"] for row in lake.ask("DESCRIBE designs")} & WIDE_DESIGNS
    is_old = "raw_builds" in {row["name"] for row in lake.ask("SHOW TABLES")}
    assert wide == (WIDE_DESIGNS if is_old else set())
    assert is_old or delay
    try:
        assert_nothing_is_lost(lake)
        assert lake.snapshot() == EXPECTED["snapshot"] + 1
        assert lake.value("SELECT count(*) FROM made_from") == 48 * 2 + 3 * 3
    finally:
        lake.close()
    shutil.rmtree(settings.home)
