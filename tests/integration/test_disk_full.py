"""A full disk stops an ingest with a sentence, stores nothing, and is forgotten once there is room."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from battery_platform.errors import StoreError
from battery_platform.records.ingest import ingest
from battery_platform.settings import Settings
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str | bytes], Path]

ROWS = 60_000
FEW = 2000


def points(name: str, rows: int = ROWS) -> str:
    """Points that compress badly, so that they need room; every thousandth is wrong."""
    chance = random.Random(name)
    lines = ["test_id,point,test_time_s,cycle,voltage_v,current_a"]
    lines += [
        f"{name},{k},{k}.5,1,{chance.random() * 5 if k % 1000 else 99},{chance.random()}"
        for k in range(rows)
    ]
    return "\n".join(lines) + "\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    words = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a small file system")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path, leave_kib: int) -> Path:
    """A file that takes all room but so much."""
    filler = place / "filler"
    stat = os.statvfs(place)
    filler.write_bytes(bytes(max(0, stat.f_bavail * stat.f_frsize - leave_kib * 1024)))
    return filler


def counts(lake: Lakehouse) -> tuple[int, ...]:
    tables = ("raw_test_points", "quarantine", "raw_files")
    return tuple(lake.value(f"SELECT count(*) FROM {table}") for table in tables)


@pytest.mark.parametrize("stream_above_mib", [1, 64])
def test_the_data_path_is_full(
    small_disk: Path, settings: Settings, write: Write, stream_above_mib: int
) -> None:
    data = small_disk / "files"
    lake = Lakehouse(replace(settings, lake_data=str(data), stream_above_mib=stream_above_mib))
    path = write("points.csv", points("T"))
    assert ingest(lake, write("few.csv", points("A", FEW))).status == "taken"
    before = counts(lake), lake.snapshot(), sorted(data.rglob("*.parquet"))
    filler = fill(small_disk, 100)
    with pytest.raises(StoreError, match=r"disk .* is full; nothing was stored") as told:
        ingest(lake, path)
    assert "run the same command again" in told.value.remedy
    assert (counts(lake), lake.snapshot(), sorted(data.rglob("*.parquet"))) == before
    filler.unlink()
    assert ingest(lake, path).total("rows_accepted") == ROWS - ROWS // 1000
    assert balance(lake).broken == ()
    lake.close()


@pytest.mark.parametrize("leave_kib", [0, 8, 24, 64, 160, 400])
def test_catalogue_and_data_share_the_full_disk(
    small_disk: Path, settings: Settings, write: Write, leave_kib: int
) -> None:
    """However little is left: all or nothing, and a sentence."""
    lake = Lakehouse(replace(settings, home=small_disk / "home"))
    assert ingest(lake, write("first.csv", points("A", 20))).status == "taken"
    before = counts(lake)
    filler = fill(small_disk, leave_kib)
    path = write("points.csv", points("B", FEW))
    said = ""
    try:
        stored = ingest(lake, path).status == "taken"
    except StoreError as error:
        stored, said = False, error.says
    assert stored or "is full; nothing was stored" in said
    wanted = (before[0] + FEW - 2, before[1] + 2, before[2] + 1)
    lake.close()
    filler.unlink()
    again = Lakehouse(lake.settings)
    assert counts(again) == (wanted if stored else before)
    assert ingest(again, path).status == ("known" if stored else "taken")
    assert counts(again) == wanted
    assert balance(again).broken == ()
    again.close()


CHILD = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    from battery_platform.errors import StoreError
    from battery_platform.records.ingest import ingest
    from battery_platform.settings import Settings
    from battery_platform.store.lakehouse import Lakehouse
    lake = Lakehouse(Settings(home=Path(sys.argv[1]), threads=2, stream_above_mib=int(sys.argv[3])))
    lake.snapshot()
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    try:
        print(ingest(lake, Path(sys.argv[2])).status)
    except StoreError as error:
        print(error)
    """
)


@pytest.mark.parametrize("stream_above_mib", [1, 64])
def test_a_limit_on_file_size_reads_as_a_full_disk(
    settings: Settings, write: Write, stream_above_mib: int
) -> None:
    path = write("points.csv", points("T"))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, settings.home, path, str(stream_above_mib)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "is full; nothing was stored" in done.stdout
    lake = Lakehouse(settings)
    assert counts(lake) == (0, 0, 0)
    assert list(Path(settings.data_path).rglob("ingest-*")) == []
    assert ingest(lake, path).total("rows_in") == ROWS
    assert balance(lake).broken == ()
    lake.close()
