"""A killed ingest leaves the lake as it was or as it should be, and orphans that upkeep removes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from battery_platform.settings import Settings
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.upkeep import upkeep

ROWS = 150_000
WRONG = 150
KILLS = 10

CHILD = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    import polars
    from battery_platform.records.ingest import ingest
    from battery_platform.settings import Settings
    from battery_platform.store import commit
    from battery_platform.store.lakehouse import Lakehouse

    def die(*words, **more):
        os.kill(os.getpid(), signal.SIGKILL)

    home, path, stream_above, place = sys.argv[1:]
    if place == "while_streaming":
        polars.read_parquet = die
    if place == "in_transaction":
        commit._assert_balance = die
    if place == "after_commit":
        commit.Workbench.keep = die
    lake = Lakehouse(Settings(home=Path(home), threads=2, stream_above_mib=int(stream_above)))
    print(ingest(lake, Path(path)).status)
    """
)


def opened(home: Path) -> Lakehouse:
    return Lakehouse(Settings(home=home, threads=2))


def empty(home: Path) -> Path:
    """An empty lake in a new folder."""
    lake = opened(home)
    lake.snapshot()
    lake.close()
    return home


@dataclass(frozen=True)
class Bench:
    """A file to take, and what an undisturbed run makes of it in an empty lake."""

    folder: Path
    path: Path
    seconds: float
    expected: tuple[object, ...]

    def home(self, name: str) -> Path:
        return empty(self.folder / name)


def start(home: Path, path: Path, stream_above: int = 1, place: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, home, path, str(stream_above), place],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(child: subprocess.Popen[str]) -> str:
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    return out.strip()


def content(lake: Lakehouse) -> tuple[object, ...]:
    """Counts and checksums that do not depend on the order of rows or on the clock."""
    return (
        *lake.rows("SELECT count(*), bit_xor(hash(t)), sum(hash(t)) FROM raw_test_points AS t")[0],
        *lake.rows(
            "SELECT count(*), bit_xor(hash(t)) FROM "
            "(SELECT * EXCLUDE (quarantined_at) FROM quarantine) AS t"
        )[0],
        *lake.rows(
            "SELECT count(*), sum(rows_in), sum(rows_accepted), sum(rows_quarantined) FROM raw_files"
        )[0],
    )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("kill")
    path = folder / "points.csv"
    with path.open("w") as stream:
        stream.write("test_id,point,test_time_s,cycle,voltage_v,current_a,temperature_degc\n")
        for k in range(ROWS):
            voltage = "99" if k % (ROWS // WRONG) == 7 else f"{3 + k % 1000 / 1000:.3f}"
            stream.write(f"bench-{k // 10_000},{k},{k}.5,{k // 500},{voltage},0.000125,25.25\n")
    whole = empty(folder / "whole")
    begun = time.monotonic()
    assert finished(start(whole, path)) == "taken"
    seconds = time.monotonic() - begun
    lake = opened(whole)
    expected = content(lake)
    lake.close()
    assert expected[0] == ROWS - WRONG
    assert expected[3] == WRONG
    yield Bench(folder, path, seconds, expected)
    shutil.rmtree(folder)


def assert_all_or_nothing(bench: Bench, home: Path) -> bool:
    """Whether the file is in the lake; if not, no row of it may be."""
    lake = opened(home)
    found = content(lake)
    lake.close()
    assert found == bench.expected or found[0] == found[3] == found[5] == 0
    return found == bench.expected


def assert_whole_after(bench: Bench, home: Path, stream_above: int = 1) -> tuple[str, int]:
    """Run again, compare, tidy up, compare again; says what was found and the orphans removed."""
    there = assert_all_or_nothing(bench, home)
    said = finished(start(home, bench.path, stream_above))
    assert said == ("known" if there else "taken")
    lake = opened(home)
    try:
        assert content(lake) == bench.expected
        removed = upkeep(lake, orphan_age=timedelta(0)).orphans_removed
        assert content(lake) == bench.expected
        assert balance(lake).broken == ()
        named = {
            str(Path(row[0]))
            for table in ("raw_test_points", "quarantine", "raw_files")
            for row in lake.rows(f"SELECT data_file FROM ducklake_list_files('lake', '{table}')")
        }
        left = {str(one) for one in Path(lake.settings.data_path).rglob("ingest-*")}
        assert left <= named
    finally:
        lake.close()
    shutil.rmtree(home)
    return said, removed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment(bench: Bench, seed: int) -> None:
    """Five kills in a row: each attempt goes on from what the one before left behind."""
    chance = random.Random(seed)
    home = bench.home(f"kill{seed}")
    for _ in range(KILLS // 2):
        child = start(home, bench.path)
        time.sleep(chance.uniform(0.4, 0.95) * bench.seconds)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert_all_or_nothing(bench, home)
    assert_whole_after(bench, home)


@pytest.mark.parametrize(
    ("place", "again", "orphans"),
    [("while_streaming", "taken", 1), ("in_transaction", "taken", 1), ("after_commit", "known", 0)],
)
def test_killed_at_the_worst_moments(bench: Bench, place: str, again: str, orphans: int) -> None:
    home = bench.home(place)
    child = start(home, bench.path, place=place)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    said, removed = assert_whole_after(bench, home)
    assert said == again
    assert removed >= orphans


def test_killed_while_another_waits_for_the_lock(bench: Bench) -> None:
    """The lock of a dead writer holds nobody up."""
    home = bench.home("waiting")
    first, second = (start(home, bench.path) for _ in range(2))
    time.sleep(0.7 * bench.seconds)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert finished(second) in {"taken", "known"}
    assert_whole_after(bench, home)
