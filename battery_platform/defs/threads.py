"""Some steps of a run at a time, on threads of one process.

Steps mostly wait: for the processes that simulate and train, for dbt, for the lake. One step at a
time leaves a core idle, and a process per step costs a start and all imports. Here independent
steps share the process and its resources, and all else (order, pools, retries, skips) is decided by
Dagster's own state of a run, as its in-process executor does.

A step starts when what it reads is there and the steps that made it have ended. It starts also if one
of these failed afterwards, by a check or because another of its assets could not be made: whether what
it reads is fit for use it asks itself (`gates`). So one bad table stops its own readers alone.

Dagster offers no public way to write an executor that runs steps itself: what stands on its inner
modules is in this file, in `storage` and in `launching`, and nowhere else.
"""

from __future__ import annotations

import contextvars
import ctypes
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import (
    PlanExecutionContext,
    PlanOrchestrationContext,
    StepExecutionContext,
)
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.execute_plan import (
    _trigger_hook,
    dagster_event_sequence_for_step,
)
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor.base import Executor
from dagster._utils.error import serializable_error_info_from_exc_info

from battery_platform.defs.launching import REFRESH_TAG
from battery_platform.settings import Settings
from battery_platform.turns import REFRESH, Turn

STEPS_AT_ONCE = 3
STOP = "Asked to stop: running steps are interrupted, no other is started."
PULSE_S = 0.2
"""How often a run that only waits looks for a stop, a free pool or a retry that is due."""
GRACE_S = 20.0
"""After a stop, steps that do not end by then are left behind; their threads end with the process."""


def is_stop(event: dg.DagsterEvent) -> bool:
    """Whether an event says that the run was told to stop."""
    return event.message == STOP


class _Step:
    """A step on its thread; what it reports goes to the run's inbox."""

    def __init__(self, context: StepExecutionContext, inbox: SimpleQueue[_Report]) -> None:
        self.context = context
        self.events: list[dg.DagsterEvent] = []
        self._inbox = inbox
        run = contextvars.copy_context().run
        self.thread = Thread(target=run, args=(self._work,), name=context.step.key, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        key = self.context.step.key
        error: BaseException | None = None
        try:
            for event in dagster_event_sequence_for_step(self.context):
                self._inbox.put((key, event, None))
        except BaseException as raised:
            error = raised
        finally:
            self._inbox.put((key, None, error))

    def interrupt(self) -> None:
        """Raise in the thread as Ctrl-C would in the main one: at its next line of Python."""
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(self.thread.ident or 0),
            ctypes.py_object(DagsterExecutionInterruptedError),
        )


_Report = tuple[str, dg.DagsterEvent | None, BaseException | None]
"""Key of a step with an event of its; without one it has ended, by an error or not."""


class _Run:
    """The steps of one run: which may start, which are on their way, and what they report."""

    def __init__(
        self,
        context: PlanExecutionContext,
        active: ActiveExecution,
        width: int,
        turn: Turn | None,
    ) -> None:
        self._context = context
        self._active = active
        self._width = width
        self._turn = turn
        self._has_turn = turn is None
        self._is_told_to_wait = False
        self._running: dict[str, _Step] = {}
        self._inbox: SimpleQueue[_Report] = SimpleQueue()
        self._error: BaseException | None = None
        self._give_up_at: float | None = None

    def events(self) -> Iterator[dg.DagsterEvent]:
        """Run all steps; what the run's own thread is told, in the order in which it happens."""
        try:
            while True:
                yield from self._heed_interrupts()
                yield from self._await_turn()
                if self._has_turn and not self._stopping:
                    yield from self._start_steps()
                yield from self._active.plan_events_iterator(self._context)
                if self._done:
                    break
                yield from self._listen()
        finally:
            for step in self._running.values():
                step.interrupt()
        if self._error is not None:
            raise self._error
        if self._give_up_at is not None:
            raise DagsterExecutionInterruptedError

    @property
    def _stopping(self) -> bool:
        return self._error is not None or self._give_up_at is not None

    @property
    def _done(self) -> bool:
        if self._give_up_at is not None and time.monotonic() > self._give_up_at:
            return True
        return not self._running and (self._stopping or self._active.is_complete)

    def _heed_interrupts(self) -> Iterator[dg.DagsterEvent]:
        if not self._active.check_for_interrupts():
            return
        self._active.mark_interrupted()
        yield dg.DagsterEvent.engine_event(
            self._context,
            STOP,
            EngineEventData.interrupted(list(self._running)),
        )
        self._give_up_at = time.monotonic() + GRACE_S
        for step in self._running.values():
            step.interrupt()

    def _await_turn(self) -> Iterator[dg.DagsterEvent]:
        """Ask whether it is this run's turn, and say once that it waits."""
        if self._turn is None or self._has_turn or self._stopping:
            return
        if self._turn.take():
            self._has_turn = True
            self._turn.sign(self._context.run_id)
        elif not self._is_told_to_wait:
            self._is_told_to_wait = True
            holder = self._turn.holder()
            who = f" (run {holder.name}, process {holder.pid})" if holder else ""
            yield dg.DagsterEvent.engine_event(
                self._context,
                f"Another refresh is at work{who}: this run waits for it.",
                EngineEventData(),
            )

    def _start_steps(self) -> Iterator[dg.DagsterEvent]:
        free = self._width - len(self._running)
        if free > 0:
            for step in self._active.get_steps_to_execute(limit=free):
                context = self._context.for_step(step, self._active.get_known_state())
                self._running[step.key] = _Step(context, self._inbox)
        yield from self._active.concurrency_event_iterator(self._context)

    def _listen(self) -> Iterator[dg.DagsterEvent]:
        try:
            key, event, error = self._inbox.get(timeout=PULSE_S)
        except Empty:
            # an interrupt may have hit a thread outside of what it catches
            lost = [key for key, step in self._running.items() if not step.thread.is_alive()]
            for key in lost if self._inbox.empty() else []:
                yield from self._end(key)
            return
        if event is not None:
            self._running[key].events.append(event)
            yield event
            return
        if not isinstance(error, DagsterExecutionInterruptedError) or self._give_up_at is None:
            self._error = self._error or error
        yield from self._end(key)

    def _end(self, key: str) -> Iterator[dg.DagsterEvent]:
        step = self._running.pop(key)
        for event in step.events:
            self._active.handle_event(event)
        self._active.verify_complete(self._context, key)
        yield from _trigger_hook(step.context, step.events)


def _execute(
    job_context: PlanExecutionContext, execution_plan: ExecutionPlan, width: int
) -> Iterator[dg.DagsterEvent]:
    with ExitStack() as stack:
        pools = stack.enter_context(
            InstanceConcurrencyContext(job_context.instance, job_context.dagster_run)
        )
        active = stack.enter_context(
            execution_plan.start(
                retry_mode=job_context.retry_mode,
                max_concurrent=width,
                instance_concurrency_context=pools,
                step_dependency_config=job_context.step_dependency_config,
            )
        )
        yield from _capture_logs(job_context, execution_plan, stack)
        turn = None
        if REFRESH_TAG in job_context.dagster_run.tags:
            turn = stack.enter_context(Turn(Settings.from_env(), REFRESH))
        yield from _Run(job_context, active, width, turn).events()


def _capture_logs(
    context: PlanExecutionContext, plan: ExecutionPlan, stack: ExitStack
) -> Iterator[dg.DagsterEvent]:
    """What steps write to standard output, kept for the whole process, as in one process it must."""
    manager = context.instance.compute_log_manager
    key = manager.build_log_key_for_run(context.run_id, uuid.uuid4().hex)
    steps = [step.key for step in plan.get_steps_to_execute_in_topo_order()]
    try:
        with _children_without_ctrl_c():
            captured = stack.enter_context(manager.capture_logs(key))
    except Exception:
        yield dg.DagsterEvent.engine_event(
            context,
            "What the steps print cannot be kept.",
            EngineEventData(error=serializable_error_info_from_exc_info(sys.exc_info())),
        )
    else:
        yield dg.DagsterEvent.capture_logs(context, steps, key, captured)


@contextmanager
def _children_without_ctrl_c() -> Iterator[None]:
    """Processes started here never see Ctrl-C: the run ends them, and they would show a stack trace.

    This process gets one that comes meanwhile afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class ThreadsExecutor(Executor):
    """Runs the steps of a plan on threads of this process."""

    def __init__(self, width: int, retries: RetryMode = RetryMode.ENABLED) -> None:
        self._width = width
        self._retries = retries

    @property
    def retries(self) -> RetryMode:
        return self._retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        """Steps wait for what they read, not for the success of the steps that made it."""
        return StepDependencyConfig(require_upstream_step_success=False)

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """The events of a run."""
        steps = EngineEventData.in_process(os.getpid(), execution_plan.step_keys_to_execute)
        yield dg.DagsterEvent.engine_event(
            plan_context, f"Up to {self._width} steps at a time in process {os.getpid()}.", steps
        )
        yield from ExecuteRunWithPlanIterable(
            execution_plan=plan_context.execution_plan,
            iterator=partial(_execute, width=self._width),
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=plan_context.execution_plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
                step_dependency_config=self.step_dependency_config,
            ),
        )


@dg.executor(
    name="threads",
    config_schema={
        "steps_at_once": dg.Field(
            int, default_value=STEPS_AT_ONCE, description="Steps that may run at the same time."
        )
    },
)
def threads_executor(init_context: dg.InitExecutorContext) -> Executor:
    """Up to three independent steps at a time, in the run's own process.

    One simulates, in worker processes; the others read, build and train beside it.
    """
    config: dict[str, Any] = dict(init_context.executor_config)
    return ThreadsExecutor(config["steps_at_once"])
