"""The lake with its catalogue in a real Postgres: the same promises, many writers at once."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from battery_platform.errors import StoreError
from battery_platform.records.ingest import ingest
from battery_platform.settings import Settings
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.upkeep import pin, upkeep

Write = Callable[[str, str | bytes], Path]
Child = subprocess.Popen[str]


def binaries() -> Path | None:
    """The folder of Postgres' programs, newest first."""
    found = [Path(name).resolve().parent for name in (shutil.which("initdb"),) if name]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    needed = ("initdb", "postgres", "createdb", "psql", "pg_isready")
    return next((one for one in found if all((one / name).exists() for name in needed)), None)


def unprivileged() -> list[str]:
    """Words that run a program as `postgres`: the server refuses to be root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """A running Postgres on loopback."""

    programs: Path
    port: int

    def database(self, name: str) -> str:
        """Make a database and give its address."""
        words = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "lake", name]
        subprocess.run([str(self.programs / "createdb"), *words], check=True)
        return f"postgresql://lake@127.0.0.1:{self.port}/{name}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    programs = binaries()
    if programs is None:
        pytest.skip("Postgres is not installed: no full set of its programs was found")
    if unprivileged() and shutil.which("setpriv") is None:
        pytest.skip("root cannot become `postgres` here: no setpriv")
    folder = Path(tempfile.mkdtemp(prefix="lake-postgres-"))
    if unprivileged():
        try:
            shutil.chown(folder, "postgres", "postgres")
        except LookupError:
            folder.rmdir()
            pytest.skip("there is no user `postgres` to run the server")
    data, port = folder / "data", free_port()
    subprocess.run(
        [*unprivileged(), programs / "initdb", "-D", data, "-U", "lake", "-A", "trust", "-N"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(folder),
        "fsync": "off",
        "max_connections": "100",
    }
    running = subprocess.Popen(
        [*unprivileged(), programs / "postgres", "-D", data, "-p", str(port)]
        + [word for name, value in options.items() for word in ("-c", f"{name}={value}")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-q"]
        for _ in range(200):
            if subprocess.run(ready, check=False).returncode == 0:
                break
            time.sleep(0.1)
        else:
            pytest.fail("Postgres did not start")
        yield Server(programs, port)
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def lake(server: Server, settings: Settings, request: pytest.FixtureRequest) -> Iterator[Lakehouse]:
    """A lake in a database of its own."""
    address = server.database(request.node.name[:60])
    opened = Lakehouse(replace(settings, lake_catalogue=address))
    yield opened
    opened.close()


HEADER = "test_id,point,test_time_s,cycle,voltage_v,current_a\n"


def points(test: str, start: int, stop: int) -> str:
    rows = (f"{test},{k},{k},1,{99 if k == 3 else 3.5},0.1\n" for k in range(start, stop))
    return HEADER + "".join(rows)


CHILD = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from battery_platform.records.ingest import ingest
    from battery_platform.settings import Settings
    from battery_platform.store.lakehouse import Lakehouse
    home, catalogue, *paths = sys.argv[1:]
    lake = Lakehouse(Settings(home=Path(home), lake_catalogue=catalogue, threads=1))
    print(*[ingest(lake, Path(path)).status for path in paths])
    """
)


def writer(settings: Settings, *paths: Path) -> Child:
    """A process that takes these files one after the other."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, settings.home, settings.lake_catalogue, *paths],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(child: Child) -> list[str]:
    out, err = child.communicate(timeout=90)
    assert child.returncode == 0, err[-3000:]
    return out.split()


def test_ingest_no_op_and_time_travel(lake: Lakehouse, write: Write) -> None:
    assert lake.settings.on_postgres
    first = ingest(lake, write("a.csv", points("A", 0, 10)))
    assert (first.status, first.total("rows_accepted"), first.total("rows_quarantined")) == (
        "taken",
        9,
        1,
    )
    assert ingest(lake, write("b.csv", points("A", 0, 10))).status == "known"
    assert lake.snapshot() == first.snapshot
    second = ingest(lake, write("c.csv", points("C", 0, 3)))
    assert second.snapshot is not None
    assert first.snapshot is not None
    assert second.snapshot > first.snapshot
    query = "SELECT count(*) AS n FROM raw_test_points"
    assert lake.ask(query) == [{"n": 12}]
    assert lake.ask(query, at=first.snapshot) == [{"n": 9}]
    assert balance(lake).broken == ()


def test_asking_cannot_write(lake: Lakehouse, write: Write) -> None:
    ingest(lake, write("a.csv", points("A", 0, 10)))
    with pytest.raises(StoreError, match="read-only"):
        lake.ask("DELETE FROM raw_test_points")
    assert lake.value("SELECT count(*) FROM raw_test_points") == 9


def test_a_corrected_file_takes_the_place_of_another(lake: Lakehouse, write: Write) -> None:
    ingest(lake, write("a.csv", points("A", 0, 10)))
    mended = points("A", 0, 10).replace(",99,", ",3.6,")
    report = ingest(lake, write("b.csv", mended), replaces=["a.csv"])
    assert (report.status, report.total("rows_accepted")) == ("taken", 10)
    assert lake.value("SELECT count(*) FROM quarantine") == 0
    assert balance(lake).broken == ()


def test_two_open_a_new_lake_at_once(server: Server, settings: Settings, write: Write) -> None:
    fresh = replace(settings, lake_catalogue=server.database("opened_by_two"))
    children = [writer(fresh, write(f"{name}.csv", points(name, 0, 10))) for name in "AB"]
    assert [said(child) for child in children] == [["taken"], ["taken"]]


def test_two_writers_and_a_reader_at_once(lake: Lakehouse, write: Write) -> None:
    files = {
        name: [write(f"{name}{k}.csv", points(f"{name}{k}", 0, 50)) for k in range(8)]
        for name in "AB"
    }
    lake.snapshot()
    children = [writer(lake.settings, *paths) for paths in files.values()]
    seen = []
    while any(child.poll() is None for child in children):
        (row,) = lake.ask(
            "SELECT (SELECT count(*) FROM raw_test_points) AS stored, "
            "(SELECT coalesce(sum(rows_new), 0) FROM raw_files) AS promised"
        )
        assert row["stored"] == row["promised"]
        seen.append(row["stored"])
    assert [said(child) for child in children] == [["taken"] * 8] * 2
    assert seen == sorted(seen)
    assert lake.value("SELECT count(*) FROM raw_test_points") == 16 * 49
    assert lake.value("SELECT count(*) FROM quarantine") == 16
    assert balance(lake).broken == ()


def test_two_writers_of_the_same_file(lake: Lakehouse, write: Write) -> None:
    path = write("a.csv", points("A", 0, 2000))
    lake.snapshot()
    children = [writer(lake.settings, path) for _ in range(2)]
    assert sorted(word for child in children for word in said(child)) == ["known", "taken"]
    assert lake.value("SELECT count(*) FROM raw_test_points") == 1999
    assert lake.value("SELECT count(*) FROM raw_files") == 1


def test_two_writers_of_overlapping_exports(lake: Lakehouse, write: Write) -> None:
    """Each file holds all rows of the one before; two processes take them at the same time."""
    files = [write(f"day{k}.csv", points("A", 0, 200 * (k + 1))) for k in range(6)]
    lake.snapshot()
    children = [writer(lake.settings, *files[start::2]) for start in range(2)]
    assert [said(child) for child in children] == [["taken"] * 3] * 2
    assert lake.value("SELECT count(DISTINCT point) FROM raw_test_points") == 1199
    assert lake.value("SELECT count(*) FROM raw_test_points") == 1199
    assert balance(lake).broken == ()


def test_upkeep(lake: Lakehouse, write: Write) -> None:
    snapshots = [ingest(lake, write(f"{k}.csv", points(f"T{k}", 0, 20))).snapshot for k in range(6)]
    assert snapshots[1] is not None
    pin(lake, snapshots[1], "a model")
    orphan = Path(lake.settings.data_path) / "main" / "raw_test_points" / "ingest-orphan.parquet"
    shutil.copy(next(orphan.parent.glob("*.parquet")), orphan)
    time.sleep(0.1)
    done = upkeep(lake, keep_days=0, orphan_age=timedelta(0))
    assert done.files_after < done.files_before
    assert done.snapshots_after < done.snapshots_before
    assert done.orphans_removed >= 1
    assert not orphan.exists()
    query = "SELECT count(*) AS n FROM raw_test_points"
    assert lake.ask(query) == [{"n": 6 * 19}]
    assert lake.ask(query, at=snapshots[1]) == [{"n": 2 * 19}]
    assert balance(lake).broken == ()


def test_a_server_that_is_not_there(settings: Settings) -> None:
    address = f"postgresql://lake:secret@127.0.0.1:{free_port()}/none"
    lake = Lakehouse(replace(settings, lake_catalogue=address))
    with pytest.raises(StoreError, match="cannot be opened") as told:
        lake.snapshot()
    assert "secret" not in str(told.value)
    assert "BATTERY_PLATFORM_CATALOGUE" in told.value.remedy


def test_a_server_that_comes_back(server: Server, lake: Lakehouse, write: Write) -> None:
    """The server ends all connections; the next ingest opens new ones."""
    ingest(lake, write("a.csv", points("A", 0, 10)))
    words = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "lake", "-d", "postgres", "-c"]
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    subprocess.run(
        [server.programs / "psql", *words, ending], check=True, capture_output=True, timeout=30
    )
    path = write("b.csv", points("B", 0, 10))
    statuses = []
    for _ in range(2):
        try:
            statuses.append(ingest(lake, path).status)
        except StoreError as error:
            statuses.append(error.says)
    assert statuses[-1] in {"taken", "known"}
    assert lake.value("SELECT count(*) FROM raw_test_points") == 18
