"""Two steps at a time behave as one at a time does: order, failures, checks, pools, retries, stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from battery_platform.defs.gates import require_fit
from battery_platform.defs.launching import create_run, run_here, was_interrupted
from battery_platform.defs.threads import threads_executor
from battery_platform.settings import PROJECT_ROOT

LONG_S = 60.0
"""How long a step waits for the other one before it gives up."""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """As the platform's own `dagster.yaml` has it."""
    monkeypatch.setenv("DAGSTER_HOME", str(PROJECT_ROOT))
    monkeypatch.setenv("BATTERY_PLATFORM_DAGSTER_STORAGE", str(tmp_path))
    with dg.DagsterInstance.get() as opened:
        yield opened


Run = Callable[[Sequence[Any]], list[dg.DagsterEvent]]


@pytest.fixture
def run(instance: dg.DagsterInstance) -> Run:
    def work(assets: Sequence[Any]) -> list[dg.DagsterEvent]:
        definitions = dg.Definitions(
            assets=assets,
            jobs=[dg.define_asset_job("all_assets", executor_def=threads_executor)],
        )
        return list(
            run_here(instance, definitions, create_run(instance, definitions, "all_assets", {}))
        )

    return work


def steps(events: Sequence[dg.DagsterEvent], kind: str) -> set[str]:
    return {str(event.step_key) for event in events if event.event_type_value == kind}


def ended(events: Sequence[dg.DagsterEvent]) -> str:
    return events[-1].event_type_value


def test_two_independent_steps_overlap(run: Run) -> None:
    meet = threading.Barrier(2)

    @dg.asset
    def left() -> None:
        meet.wait(LONG_S)

    @dg.asset
    def right() -> None:
        meet.wait(LONG_S)

    events = run([left, right])
    assert ended(events) == "PIPELINE_SUCCESS"
    assert steps(events, "STEP_SUCCESS") == {"left", "right"}


def test_no_more_than_three_run_at_once_and_each_after_what_it_needs(run: Run) -> None:
    busy, most, order = 0, 0, []
    guard = threading.Lock()

    def made(name: str, deps: Sequence[str]) -> dg.AssetsDefinition:
        @dg.asset(name=name, deps=deps)
        def body() -> None:
            nonlocal busy, most
            with guard:
                busy += 1
                most = max(most, busy)
                order.append(name)
            time.sleep(0.02)
            with guard:
                busy -= 1

        return body

    names = ["a", "b", "c", "d", "e"]
    events = run([*(made(name, []) for name in names), made("last", names)])
    assert ended(events) == "PIPELINE_SUCCESS"
    assert most <= 3
    assert order[-1] == "last"
    assert sorted(order[:-1]) == names


def test_a_failure_stops_only_what_depends_on_it(run: Run) -> None:
    @dg.asset
    def broken() -> None:
        raise ValueError("no such batch")

    @dg.asset(deps=[broken])
    def after_broken() -> None: ...

    @dg.asset
    def sound() -> None: ...

    @dg.asset(deps=[sound])
    def after_sound() -> None: ...

    events = run([broken, after_broken, sound, after_sound])
    assert ended(events) == "PIPELINE_FAILURE"
    assert steps(events, "STEP_FAILURE") == {"broken"}
    assert steps(events, "STEP_SUCCESS") == {"sound", "after_sound"}
    assert "after_broken" not in steps(events, "STEP_START")
    assert not was_interrupted(events[-1])


def test_a_blocking_check_stops_downstream(run: Run) -> None:
    def judged(name: str, passed: bool) -> dg.AssetsDefinition:
        @dg.asset(name=name, check_specs=[dg.AssetCheckSpec("fit", asset=name, blocking=True)])
        def body() -> dg.MaterializeResult:  # type: ignore[type-arg]
            return dg.MaterializeResult(
                check_results=[dg.AssetCheckResult(check_name="fit", passed=passed)]
            )

        return body

    worked = []

    def reader(name: str, reads: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, deps=[reads])
        def body(context) -> None:  # type: ignore[no-untyped-def]
            require_fit(context)
            worked.append(name)

        return body

    events = run(
        [
            judged("bad", False),
            judged("good", True),
            reader("after_bad", "bad"),
            reader("after_good", "good"),
        ]
    )
    assert ended(events) == "PIPELINE_FAILURE"
    assert worked == ["after_good"]
    assert steps(events, "STEP_FAILURE") == {"bad", "after_bad"}
    (refusal,) = [
        event for event in events if event.is_step_failure and event.step_key == "after_bad"
    ]
    assert "bad fit" in str(refusal.step_failure_data.user_failure_data)


def test_what_a_step_made_before_it_failed_goes_on(run: Run) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("made"), dg.AssetSpec("missing")], can_subset=True)
    def several() -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        yield dg.MaterializeResult(asset_key="made")
        raise dg.Failure("the other one cannot be made")

    @dg.asset(deps=["made"])
    def reads_made() -> None: ...

    @dg.asset(deps=["missing"])
    def reads_missing() -> None: ...

    events = run([several, reads_made, reads_missing])
    assert ended(events) == "PIPELINE_FAILURE"
    assert steps(events, "STEP_SUCCESS") == {"reads_made"}
    assert "reads_missing" not in steps(events, "STEP_START")


def test_an_output_that_is_not_made_skips_what_needs_it(run: Run) -> None:
    @dg.asset(output_required=False)
    def perhaps() -> Iterator[dg.Output[int]]:
        yield from ()

    @dg.asset
    def consumer(perhaps: int) -> None: ...

    events = run([perhaps, consumer])
    assert ended(events) == "PIPELINE_SUCCESS"
    assert steps(events, "STEP_SKIPPED") == {"consumer"}


def test_a_pool_of_one_never_overlaps(run: Run, instance: dg.DagsterInstance) -> None:
    instance.event_log_storage.set_concurrency_slots("narrow", 1)
    inside = threading.Lock()

    def made(name: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, pool="narrow")
        def body() -> None:
            assert inside.acquire(blocking=False), "two steps in a pool of one"
            time.sleep(0.05)
            inside.release()

        return body

    events = run([made("a"), made("b"), made("c")])
    assert ended(events) == "PIPELINE_SUCCESS"
    assert steps(events, "STEP_SUCCESS") == {"a", "b", "c"}


def test_a_step_that_asks_for_it_is_tried_again(run: Run) -> None:
    tries = []

    @dg.asset
    def flaky() -> None:
        tries.append(len(tries))
        if len(tries) < 3:
            raise dg.RetryRequested(max_retries=3, seconds_to_wait=0.01)

    @dg.asset(deps=[flaky])
    def after() -> None: ...

    events = run([flaky, after])
    assert ended(events) == "PIPELINE_SUCCESS"
    assert tries == [0, 1, 2]
    assert steps(events, "STEP_SUCCESS") == {"flaky", "after"}


def test_the_log_holds_what_was_told(run: Run, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def noted(context) -> dg.MaterializeResult:  # type: ignore[no-untyped-def, type-arg]
        context.log.info("looked")
        return dg.MaterializeResult(metadata={"rows": 3})

    run([noted])
    event = instance.get_latest_materialization_event(noted.key)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["rows"].value == 3
    messages = [entry.user_message for entry in instance.all_logs(event.run_id)]
    assert "looked" in messages


_STOPPED = """
import sys, time
import dagster as dg
from battery_platform.defs.gates import require_fit
from battery_platform.defs.launching import create_run, run_here, was_interrupted
from battery_platform.defs.threads import threads_executor

@dg.asset
def endless():
    print("started", file=sys.stderr, flush=True)
    while True:
        time.sleep(0.01)

@dg.asset(deps=[endless])
def after(): ...

definitions = dg.Definitions(
    assets=[endless, after], jobs=[dg.define_asset_job("j", executor_def=threads_executor)]
)
with dg.DagsterInstance.local_temp(sys.argv[1]) as instance:
    run = create_run(instance, definitions, "j", {})
    events = list(run_here(instance, definitions, run))
    failed = [event.step_key for event in events if event.is_step_failure]
    status = instance.get_run_by_id(run.run_id).status.value
print(failed, was_interrupted(events[-1]), status)
"""


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_running_steps_and_starts_no_other(
    name: signal.Signals, tmp_path: Path
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _STOPPED, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DAGSTER_DISABLE_TELEMETRY": "1"},
    )
    assert child.stderr is not None
    for line in child.stderr:
        if "started" in line:
            break
    child.send_signal(name)
    out, err = child.communicate(timeout=LONG_S)
    assert out.strip() == "['endless'] True FAILURE", err[-2000:]
