"""One refresh at a time and one pair of pages per home; stops are told in a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from battery_platform.defs.failures import write_report
from battery_platform.defs.launching import (
    BY_HAND,
    REFRESH_TAG,
    create_run,
    end_dead_runs,
    run_here,
)
from battery_platform.defs.threads import threads_executor
from battery_platform.errors import PlatformError
from battery_platform.refresh import _wait_for
from battery_platform.settings import PROJECT_ROOT, Settings
from battery_platform.turns import PAGES, REFRESH, Turn
from battery_platform.ui import serve

LONGEST_S = 60.0
HOLDER = """
import sys, time
from pathlib import Path
from battery_platform.settings import Settings
from battery_platform.turns import Turn
turn = Turn(Settings(home=Path(sys.argv[1])), sys.argv[2])
assert turn.take()
turn.sign(sys.argv[3])
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def held(settings: Settings) -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    """Another process that has a turn of this home."""
    children = []

    def hold(what: str, name: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(settings.home), what, name],
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        return child

    yield hold
    for child in children:
        child.kill()
        child.communicate()


def test_a_second_refresh_says_whom_it_waits_for_and_goes_on_when_that_one_is_killed(
    settings: Settings, held: Callable[[str, str], subprocess.Popen[str]]
) -> None:
    child = held(REFRESH, "run-7")
    words: list[str] = []

    def say(said: str) -> None:
        words.append(said)
        child.kill()

    with Turn(settings, REFRESH) as turn:
        assert not turn.take()
        _wait_for(turn, say)
        holder = turn.holder()
        assert holder is not None
        assert holder.pid == os.getpid()
    assert "run run-7" in words[0]
    assert f"process {child.pid}" in words[0]
    assert "since 20" in words[0]
    assert "Ctrl-C" in words[0]
    assert len(words) == 2


def test_what_a_killed_process_left_keeps_nobody_waiting(
    settings: Settings, held: Callable[[str, str], subprocess.Popen[str]]
) -> None:
    child = held(REFRESH, "run-7")
    child.kill()
    child.wait()
    assert (settings.home / "dagster" / "refresh.json").is_file()
    words: list[str] = []
    with Turn(settings, REFRESH) as turn:
        _wait_for(turn, words.append)
    assert words == []
    assert not (settings.home / "dagster" / "refresh.json").exists()


def test_second_pages_over_a_home_are_refused_with_the_address_of_the_first(
    settings: Settings, held: Callable[[str, str], subprocess.Popen[str]]
) -> None:
    child = held(PAGES, "http://127.0.0.1:3000")
    with pytest.raises(
        PlatformError, match=r"served already at http://127\.0\.0\.1:3000"
    ) as refused:
        serve(settings, "127.0.0.1", 3001, 5001, print)
    assert f"process {child.pid}" in str(refused.value)


@pytest.fixture
def instance(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    storage = settings.home / "dagster"
    storage.mkdir(parents=True)
    monkeypatch.setenv("BATTERY_PLATFORM_HOME", str(settings.home))
    monkeypatch.setenv("DAGSTER_HOME", str(PROJECT_ROOT))
    monkeypatch.setenv("BATTERY_PLATFORM_DAGSTER_STORAGE", str(storage))
    with dg.DagsterInstance.get() as opened:
        yield opened


def made(*bodies: Callable[[], None]) -> dg.Definitions:
    job = dg.define_asset_job("refresh", executor_def=threads_executor, tags={REFRESH_TAG: "true"})
    return dg.Definitions(assets=[dg.asset(body) for body in bodies], jobs=[job])


def test_a_run_of_the_page_waits_for_a_refresh_from_the_command_line(
    settings: Settings,
    instance: dg.DagsterInstance,
    held: Callable[[str, str], subprocess.Popen[str]],
) -> None:
    child = held(REFRESH, "run-7")
    worked: list[bool] = []

    def step() -> None:
        worked.append(child.poll() is not None)

    definitions = made(step)
    run = create_run(instance, definitions, "refresh", {})
    told = []
    for event in run_here(instance, definitions, run):
        if "waits for it" in (event.message or ""):
            told.append(event.message)
            child.kill()
            child.wait()
    assert worked == [True]
    assert len(told) == 1
    assert "run-7" in str(told[0])


def test_the_turn_of_a_command_is_its_runs_too(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    def step() -> None: ...

    definitions = made(step)
    with Turn(settings, REFRESH) as turn:
        assert turn.take()
        run = create_run(instance, definitions, "refresh", {})
        events = list(run_here(instance, definitions, run))
        assert events[-1].event_type_value == "PIPELINE_SUCCESS"
        holder = turn.holder()
        assert holder is not None
        assert holder.name == run.run_id


def test_runs_of_killed_commands_are_ended_and_those_of_the_page_are_not(
    instance: dg.DagsterInstance,
) -> None:
    def step() -> None: ...

    definitions = made(step)
    dead = create_run(instance, definitions, "refresh", {})
    job = definitions.resolve_job_def("refresh")
    of_page = instance.create_run_for_job(job, tags=job.run_tags)
    end_dead_runs(instance)
    ended, waiting = (instance.get_run_by_id(run.run_id) for run in (dead, of_page))
    assert ended is not None
    assert waiting is not None
    assert ended.tags.items() >= BY_HAND.items()
    assert ended.status is dg.DagsterRunStatus.FAILURE
    assert waiting.status is dg.DagsterRunStatus.NOT_STARTED


def test_the_report_of_a_stopped_run_says_at_which_step(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    def slow() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(6000):
            time.sleep(0.01)

    definitions = made(slow)
    run = create_run(instance, definitions, "refresh", {})
    events = list(run_here(instance, definitions, run))
    failures = [event for event in events if event.event_type_value == "STEP_FAILURE"]
    path = write_report(tmp_path, "refresh", run.run_id, datetime.now(UTC), events[-1], failures)
    words = path.read_text()
    assert "refresh was stopped on" in words
    assert "Stopped by a person at step slow." in words
    assert "Mend the cause" not in words


VERB = textwrap.dedent(
    """
    import sys, threading, time, types
    from battery_platform import cli

    def app(arguments, standalone_mode):
        from typer import Typer
        verbs = Typer(pretty_exceptions_enable=False)

        @verbs.command()
        def work(how: str) -> None:
            if how == "thread":
                threading.Thread(target=time.sleep, args=(600,)).start()
            print("at work", flush=True)
            try:
                while True:
                    time.sleep(0.01)
            except KeyboardInterrupt:
                if how == "duckdb":
                    raise RuntimeError("Query interrupted") from None
                if how == "refused":
                    raise SystemExit(1) from None
                raise

        verbs(arguments, standalone_mode=True)

    if sys.argv[1] != "imports":
        sys.modules["battery_platform.cli.verbs"] = types.SimpleNamespace(app=app)
    else:
        class Slow:
            def find_spec(self, name, path=None, target=None):
                if name == "battery_platform.cli.verbs":
                    print("at work", flush=True)
                    time.sleep(60)
        sys.meta_path.insert(0, Slow())
    cli.main()
    """
)


@pytest.mark.parametrize("how", ["plain", "duckdb", "refused", "thread", "imports"])
@pytest.mark.parametrize(
    ("stop", "status", "called"),
    [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")],
)
def test_a_stopped_verb_says_one_sentence_and_ends_as_shells_expect(
    how: str, stop: signal.Signals, status: int, called: str
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", VERB, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "at work\n"
    child.send_signal(stop)
    _, words = child.communicate(timeout=LONGEST_S)
    assert child.returncode == status
    assert words.startswith(f"Stopped by {called}. ")
    assert len(words.splitlines()) == 1


def test_an_interrupt_in_a_callback_is_not_lost() -> None:
    program = textwrap.dedent(
        """
        import sys, time, types, weakref, signal
        from battery_platform import cli

        class Thing: ...

        def app(arguments, standalone_mode):
            thing = Thing()
            seen = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
            del thing
            time.sleep(1)

        sys.modules["battery_platform.cli.verbs"] = types.SimpleNamespace(app=app)
        cli.main()
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
