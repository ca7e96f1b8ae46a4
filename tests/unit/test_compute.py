"""Maps over processes: all items, each once, whatever single items do to their process."""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest

from battery_platform.compute import Done, cluster, job, map_batches, pool
from battery_platform.compute.spread import spread
from battery_platform.compute.worker import Worker
from battery_platform.errors import PlatformError
from battery_platform.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 0.5

prepared: list[int] = []


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions below are found by their module's name."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Each test has processes of its own."""
    pool.close()
    yield
    pool.close()
    assert children() == []


# -- what the processes do -----------------------------------------------------------------


def act(item: Any) -> Any:
    """The item itself, or what its word says."""
    if item == "raise":
        raise ValueError("no such battery")
    if item == "exit":
        os._exit(3)
    if item == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "hang":
        hold_the_interpreter()
    if item == "print":
        os.write(1, b"noise")
    return item


def hold_the_interpreter() -> None:
    """As C code that hangs: no other thread of the process runs meanwhile."""
    ctypes.PyDLL(None).sleep(60)


def whole(items: Sequence[Any]) -> list[Any]:
    return [act(item) for item in items]


def stream(items: Sequence[Any]) -> Iterator[Any]:
    for item in items:
        yield act(item)


def noted(items: Sequence[Path]) -> Iterator[int]:
    """Write a line for each computation; an item named `hang` hangs the first batch it is in."""
    for path in items:
        with path.open("a") as notes:
            notes.write(f"{os.getpid()}\n")
        act(path.name)
        yield os.getpid()


def first_sum(items: Sequence[int]) -> list[int]:
    return [sum(items)]


def too_many(items: Sequence[int]) -> Iterator[int]:
    yield from (*items, 0)


def unreadable(items: Sequence[int]) -> list[Any]:
    return [act if item != 3 else (lambda: 1) for item in items]


def prepare() -> None:
    prepared.append(os.getpid())


def prepare_badly() -> None:
    raise RuntimeError("no solver")


def die() -> None:
    os._exit(7)


def told_by_prepare(items: Sequence[int]) -> list[tuple[int, ...]]:
    return [(os.getpid(), *prepared) for _ in items]


def threads(items: Sequence[int]) -> list[str | None]:
    return [os.environ.get("OPENBLAS_NUM_THREADS") for _ in items]


def in_main(items: Sequence[int]) -> list[int]:
    return list(items)


in_main.__module__ = "__main__"


# -- and what comes of it ------------------------------------------------------------------


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "compute.child" in " ".join(child.cmdline())
    ]


def busy() -> list[Worker]:
    return [worker for worker in pool.processes() if worker.batch and worker.batch.todo]


def mapped(function: Any, items: Sequence[Any], **more: Any) -> dict[int, Done[Any]]:
    """All that came, once each; no process is at it any more, and there are no more than cores."""
    options = {"settings": Settings(), "batch": 10, "limit_s": LIMIT_S, "workers": 2, **more}
    found = list(map_batches(function, items, **options))
    counts = Counter(done.index for done in found)
    assert counts == Counter(range(len(items)))
    assert busy() == []
    assert len(children()) <= pool.cores()
    return {done.index: done for done in found}


@pytest.mark.parametrize("function", [whole, stream])
def test_every_item_once(function: Any, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, int]] = []
    items = [*range(52), "print"]
    found = mapped(function, items, progress=lambda *counts: seen.append(counts))
    assert [found[index].result for index in range(53)] == items
    assert not any(done.error for done in found.values())
    assert seen == [(count, 53) for count in range(1, 54)]
    assert capfd.readouterr().out == ""


def test_nothing_to_do_starts_nothing() -> None:
    assert mapped(whole, []) == {}
    assert children() == []


@pytest.mark.parametrize("function", [whole, stream])
@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("raise", "ValueError: no such battery"),
        ("exit", "its process died (exit status 3)"),
        ("segfault", "its process died (SIGSEGV)"),
        ("hang", "stopped after 0.5 s"),
    ],
)
def test_culprit_is_found(function: Any, word: str, error: str) -> None:
    items: list[Any] = [*range(4)]
    items[2] = word
    found = mapped(function, items, batch=4, workers=1)
    assert [found[index] for index in (0, 1, 3)] == [Done(0, 0), Done(1, 1), Done(3, 3)]
    assert found[2] == Done(2, None, error)


def test_neighbours_of_all_culprits_keep_their_results() -> None:
    items: list[Any] = [*range(200)]
    items[0], items[57], items[58], items[121], items[199] = "hang", "raise", "exit", "hang", "exit"
    found = mapped(stream, items, batch=20)
    failed = {index: done.error for index, done in found.items() if done.error}
    assert {items[index]: error for index, error in failed.items()} == {
        "hang": "stopped after 0.5 s",
        "raise": "ValueError: no such battery",
        "exit": "its process died (exit status 3)",
    }
    assert sorted(failed) == [0, 57, 58, 121, 199]
    assert all(found[index].result == index for index in range(200) if index not in failed)


def test_what_was_sent_is_not_computed_again(tmp_path: Path) -> None:
    items = [tmp_path / name for name in ("a", "b", "c", "hang", "d", "e")]
    found = mapped(noted, items, batch=6, workers=1)
    assert found[3].error == "stopped after 0.5 s"
    times = {path.name: len(path.read_text().splitlines()) for path in items}
    assert times == {"a": 1, "b": 1, "c": 1, "hang": 2, "d": 1, "e": 1}


def test_generators_stream() -> None:
    """The first result is there while the batch's second item still runs."""
    source = map_batches(stream, [0, "hang"], settings=Settings(), batch=2, limit_s=30, workers=1)
    begun = time.monotonic()
    assert next(source) == Done(0, 0)
    assert time.monotonic() - begun < 10
    source.close()
    assert busy() == []


def test_a_process_is_prepared_once_and_kept() -> None:
    found = mapped(told_by_prepare, range(40), prepare=prepare)
    told = {done.result for done in found.values()}
    assert len(told) <= 2
    assert all(len(one) == 2 and one[0] == one[1] for one in told if one)


def test_linear_algebra_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    assert mapped(threads, [0])[0].result == "1"


def test_items_and_results_that_do_not_travel_are_errors() -> None:
    found = mapped(whole, [0, lambda: 1, 2])
    assert (found[0], found[2]) == (Done(0, 0), Done(2, 2))
    assert found[1].error.startswith("not sent: ")
    assert mapped(unreadable, range(4))[3].error.startswith(("PicklingError", "AttributeError"))


@pytest.mark.parametrize(
    ("function", "items", "more", "says"),
    [
        (first_sum, range(3), {}, "it gave 1 results for 3 items"),
        (too_many, range(3), {}, "it gave more than 3 results"),
        (whole, range(3), {"prepare": prepare_badly}, "does not start: RuntimeError: no solver"),
        (whole, range(3), {"prepare": die}, r"took no work .*exit status 7"),
        (whole, range(3), {"prepare": hold_the_interpreter, "start_s": 1}, "not ready after 1 s"),
        (in_main, range(3), {}, "__main__"),
        (lambda items: items, range(3), {}, "no name"),
        (functools.partial(whole), range(3), {}, "no name"),
    ],
)
def test_faults_of_the_function_itself_are_refused(
    function: Any, items: Sequence[int], more: dict[str, Any], says: str
) -> None:
    with pytest.raises(PlatformError, match=says):
        mapped(function, items, **more)
    assert busy() == []


def test_numbers_that_make_no_sense_are_refused() -> None:
    for more in ({"batch": 0}, {"limit_s": 0}, {"workers": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            mapped(whole, [1], **more)


@pytest.mark.parametrize("end", ["close", "interrupt"])
def test_ending_early_leaves_no_process_at_it(end: str) -> None:
    items = [*range(5), *["hang"] * 5]
    source = map_batches(stream, items, settings=Settings(), batch=1, limit_s=60, workers=2)
    assert next(source).result in range(5)
    assert children()
    if end == "close":
        source.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            source.throw(KeyboardInterrupt)
    assert busy() == []


def test_a_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from battery_platform.compute import map_batches
        from battery_platform.settings import Settings
        from tests.unit.test_compute import noted

        items = [Path(folder) / "hang" for folder in sys.argv[1:]]
        list(map_batches(noted, items, settings=Settings(), batch=1, limit_s=60, workers=2))
    """
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *folders],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    wait_for(lambda: all((folder / "hang").exists() for folder in folders))
    pids = [int((folder / "hang").read_text()) for folder in folders]
    assert all(running(pid) for pid in pids)
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(running(pid) for pid in pids), 5)


def running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_for(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


# -- processes outlive a map ---------------------------------------------------------------


def pids_of(items: Sequence[int]) -> list[int]:
    return [os.getpid() for _ in items]


def doubled(items: Sequence[int]) -> Iterator[tuple[int, int]]:
    for item in items:
        yield os.getpid(), 2 * item


def slowly(items: Sequence[Path]) -> Iterator[tuple[float, float]]:
    """When it began and ended, on the clock of all processes."""
    for path in items:
        begun = time.monotonic()
        time.sleep(0.15)
        path.touch()
        yield begun, time.monotonic()


def setting(items: Sequence[int]) -> list[tuple[str | None, bool]]:
    return [(os.environ.get("A_SETTING"), "/nowhere/at/all" in sys.path) for _ in items]


def results(found: dict[int, Done[Any]]) -> list[Any]:
    assert not [done.error for done in found.values() if done.error]
    return [found[index].result for index in range(len(found))]


def test_the_next_map_finds_the_processes_of_the_last() -> None:
    first = set(results(mapped(pids_of, range(20))))
    second = results(mapped(doubled, range(20), batch=2))
    assert [twice for _, twice in second] == [2 * item for item in range(20)]
    assert {pid for pid, _ in second} & first
    assert len({pid for pid, _ in second} | first) <= pool.cores()


def test_a_reader_that_stops_at_the_last_result_costs_no_process() -> None:
    first = set(results(mapped(pids_of, range(20))))
    for _ in range(5):
        source = map_batches(doubled, range(6), settings=Settings(), batch=1, limit_s=60)
        first |= {next(source).result[0] for _ in range(6)}
        source.close()
    assert len(first) <= pool.cores()
    assert len(children()) <= len(first)


def test_each_function_is_prepared_once_in_a_process() -> None:
    for _ in range(3):
        told = {
            done.result for done in mapped(told_by_prepare, range(20), prepare=prepare).values()
        }
        assert all(len(one) == 2 and one[0] == one[1] for one in told if one)
    told = {done.result for done in mapped(told_by_prepare, range(20)).values()}
    assert all(len(one) <= 2 for one in told if one)


def test_two_threads_share_the_cores(tmp_path: Path) -> None:
    """Never more at once than there are cores, and neither waits for the end of the other."""
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    spans: dict[Path, list[tuple[float, float]]] = {}

    def run(folder: Path) -> None:
        items = [folder / str(number) for number in range(12)]
        spans[folder] = results(mapped_at_once(slowly, items))

    threads = [Thread(target=run, args=[folder]) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [span for folder in folders for span in spans[folder]]
    assert len(every) == 24
    for begun, _ in every:
        assert sum(start <= begun < end for start, end in every) <= pool.cores()
    first, second = (spans[folder] for folder in folders)
    assert min(begun for begun, _ in second) < max(end for _, end in first)
    assert min(begun for begun, _ in first) < max(end for _, end in second)


def mapped_at_once(function: Any, items: Sequence[Any]) -> dict[int, Done[Any]]:
    """As `mapped`, while others map."""
    found = list(map_batches(function, items, settings=Settings(), batch=1, limit_s=60))
    return {done.index: done for done in found}


def test_a_fault_in_one_thread_harms_no_other(tmp_path: Path) -> None:
    told: dict[str, Any] = {}

    def whole_map() -> None:
        told["whole"] = results(
            mapped_at_once(slowly, [tmp_path / str(number) for number in range(16)])
        )

    def broken_map() -> None:
        options: dict[str, Any] = {"settings": Settings(), "batch": 1, "limit_s": 60}
        with pytest.raises(PlatformError, match="no solver"):
            list(map_batches(whole, range(3), prepare=prepare_badly, **options))
        told["broken"] = True

    threads = [Thread(target=run) for run in (whole_map, broken_map)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told["whole"]) == 16
    assert told["broken"]


def test_a_map_inside_another_one_does_not_wait_for_it() -> None:
    options: dict[str, Any] = {"settings": Settings(), "batch": 1, "limit_s": 60}
    inner = []
    for done in map_batches(whole, range(4), **options):
        inner += [one.result for one in map_batches(whole, [done.result], **options)]
    assert sorted(inner) == [0, 1, 2, 3]


@pytest.mark.parametrize("change", ["environment", "path"])
def test_a_changed_environment_is_served_by_new_processes(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert results(mapped(setting, [0])) == [(None, False)]
    if change == "environment":
        monkeypatch.setenv("A_SETTING", "new")
    else:
        monkeypatch.syspath_prepend("/nowhere/at/all")
    assert (
        results(mapped(setting, range(20), batch=1))
        == [("new", False) if change == "environment" else (None, True)] * 20
    )


def test_nothing_is_imported_before_it_is_needed() -> None:
    script = (
        "import sys; import battery_platform.compute.child; "
        "print([name for name in ('numpy', 'pybamm', 'sklearn', 'mlflow') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, cwd=ROOT)
    assert said.stdout.decode().strip() == "[]"


def test_idle_processes_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IDLE_S", 0.2)
    mapped(whole, range(4))
    wait_for(lambda: children() == [])
    assert results(mapped(whole, range(4))) == [0, 1, 2, 3]


def test_an_idle_process_that_was_killed_is_replaced() -> None:
    mapped(whole, range(20))
    for child in children():
        child.kill()
    assert results(mapped(whole, range(20))) == list(range(20))


def test_the_end_of_the_interpreter_leaves_no_process(tmp_path: Path) -> None:
    script = """
        from battery_platform.compute import map_batches
        from battery_platform.settings import Settings
        from tests.unit.test_compute import pids_of

        done = map_batches(pids_of, range(8), settings=Settings(), batch=1, limit_s=60)
        print(*{one.result for one in done})
    """
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    pids = [int(word) for word in said.stdout.split()]
    assert pids
    wait_for(lambda: not any(running(pid) for pid in pids))


def test_where_no_process_can_be_started_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*words: Any, **more: Any) -> None:
        raise OSError("too many processes")

    monkeypatch.setattr("battery_platform.compute.worker.subprocess.Popen", refused)
    with pytest.raises(PlatformError, match="too many processes"):
        mapped(whole, range(3))
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(ROOT))
    assert results(mapped(whole, range(3))) == [0, 1, 2]


def test_a_fork_has_processes_of_its_own() -> None:
    before = set(results(mapped(pids_of, range(8), batch=1)))
    fork = multiprocessing.get_context("fork").Process(target=fork_maps)
    fork.start()
    fork.join()
    assert fork.exitcode == 0
    assert set(results(mapped(pids_of, range(8), batch=1))) <= before | {
        child.pid for child in children()
    }


def fork_maps() -> None:
    assert list(pool.processes()) == []
    found = list(map_batches(whole, range(4), settings=Settings(), batch=1, limit_s=60))
    pool.close()
    os._exit(0 if sorted(done.result for done in found) == [0, 1, 2, 3] else 1)


# -- results in order ----------------------------------------------------------------------


def burnt(seconds: float, item: Any) -> tuple[Any, int, bool]:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return act(item), os.getpid(), job.in_worker


def test_small_work_stays_here_and_much_of_it_goes_to_the_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = list(spread(burnt, [(0.0, number) for number in range(50)]))
    assert [item for item, _, _ in few] == list(range(50))
    assert {pid for _, pid, _ in few} == {os.getpid()}
    monkeypatch.setattr("battery_platform.compute.pool.cores", lambda: 2)
    many = list(spread(burnt, [(0.12, number) for number in range(24)]))
    assert [item for item, _, _ in many] == list(range(24))
    assert any(elsewhere for _, _, elsewhere in many)
    assert many[0][1] == os.getpid()


def test_an_error_is_that_of_the_function_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("battery_platform.compute.pool.cores", lambda: 2)
    told = spread(burnt, [(0.3, 0), (0.3, 1), (0.3, 2), (0.3, 3), (0.3, "raise"), (0.3, 5)])
    with pytest.raises(ValueError, match="no such battery"):
        list(told)
    assert busy() == []


# -- a cluster that is not there -----------------------------------------------------------


def on_dask(function: Any = whole, port: int = 9) -> list[Done[Any]]:
    settings = replace(Settings(), dask=f"tcp://127.0.0.1:{port}")
    return list(map_batches(function, [1], settings=settings, batch=1, limit_s=1))


def test_function_of_main_is_refused_for_dask() -> None:
    with pytest.raises(PlatformError, match="__main__"):
        on_dask(in_main)


@pytest.mark.parametrize("there", [False, True])
def test_scheduler_that_does_not_answer_is_said(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """Nothing at the address, or something that takes the connection and is silent."""
    pytest.importorskip("distributed")
    assert cluster.CONNECT_S + 1 < 10
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if there:
            silent.listen()
        begun = time.monotonic()
        with pytest.raises(PlatformError, match=r"127\.0\.0\.1:\d+ .*BATTERY_PLATFORM_DASK"):
            on_dask(port=silent.getsockname()[1])
    assert time.monotonic() - begun < 5


def test_missing_dask_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PlatformError, match=r"pip install .*\[dask\]"):
        on_dask()


def test_setting() -> None:
    assert Settings.from_env({}).dask == ""
    assert Settings.from_env({"BATTERY_PLATFORM_DASK": "tcp://a:8786"}).dask == "tcp://a:8786"
    with pytest.raises(PlatformError, match="tcp://"):
        Settings.from_env({"BATTERY_PLATFORM_DASK": "nowhere"})
