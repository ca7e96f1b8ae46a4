"""The two pages: Dagster's with its daemon, and the model registry's, ended together.

Dagster's programs start side by side. The registry's server starts when the asset graph can be seen,
for that is what people wait for.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event
from types import FrameType

from battery_platform.errors import PlatformError
from battery_platform.settings import PROJECT_ROOT, Settings
from battery_platform.turns import PAGES, Holder, Turn

GRACE_S = 10.0
NICENESS = 5
"""Of the registry's server."""
LEAN = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
LONGEST_WAIT_S = 60.0
"""The registry's server starts then, even if the page still does not answer."""
LOOK_EVERY_S = 0.25
ASKED = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"


def serve(
    settings: Settings, host: str, port: int, registry_port: int, say: Callable[[str], None]
) -> int:
    """Serve until stopped; the status of the page that ended first otherwise."""
    with Turn(settings, PAGES) as turn:
        if not turn.take():
            raise PlatformError(
                f"The pages of {settings.home} are served already{_by(turn.holder())}.",
                "Use these, or stop that process first.",
            )
        turn.sign(f"http://{host}:{port}")
        return _serve(settings, host, port, registry_port, say)


def _by(holder: Holder | None) -> str:
    return f" at {holder.name} by process {holder.pid}, since {holder.since}" if holder else ""


def _serve(
    settings: Settings, host: str, port: int, registry_port: int, say: Callable[[str], None]
) -> int:
    from battery_platform.defs.dbt_project import prepare_manifest
    from battery_platform.refresh import dagster_environment

    began = time.monotonic()
    served_elsewhere = settings.registry_url.startswith(("http:", "https:"))
    for wanted in [port] if served_elsewhere else [port, registry_port]:
        _refuse_taken(host, wanted)
    environment = {**os.environ, **dagster_environment(settings)}
    prepare_manifest()
    registry = None if served_elsewhere else _registry(settings, host, registry_port)
    with _stopped_by_signals() as stopped, contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = [
            stack.enter_context(_started(command, environment))
            for command in _dagster(folder, host, port)
        ]
        say(f"Dagster UI at http://{host}:{port} (Ctrl-C ends it)")
        address = settings.registry_url if served_elsewhere else f"http://{host}:{registry_port}"
        say(f"model registry at {address}")
        is_ready, status = False, 0
        while not stopped.is_set() and all(child.poll() is None for child in running):
            waited = time.monotonic() - began
            if not is_ready and _graph_is_there(host, port):
                is_ready = True
                say(f"ready after {waited:.1f} s")
            if registry and (is_ready or waited > LONGEST_WAIT_S):
                running.append(
                    stack.enter_context(_started(registry, environment | LEAN, NICENESS))
                )
                registry = None
            stopped.wait(LOOK_EVERY_S)
        if not stopped.is_set():
            status = next(child.returncode for child in running if child.returncode is not None)
    return status


def _dagster(folder: Path, host: str, port: int) -> list[list[str]]:
    """The commands of the code server, the page and the daemon, which meet in a folder."""
    from battery_platform.defs import pages

    socket = folder / "code"
    pages.lay_workspace(socket)
    return [pages.code_server(socket), pages.page(socket, host, port), pages.daemon(socket)]


def _graph_is_there(host: str, port: int) -> bool:
    """Whether the page answers and has the definitions."""
    request = urllib.request.Request(
        f"http://{host}:{port}/graphql",
        json.dumps({"query": ASKED}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310 -- our own page
            told = json.load(answer)
        entries = told["data"]["workspaceOrError"]["locationEntries"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)


def _registry(settings: Settings, host: str, port: int) -> list[str]:
    """The command of the registry's server, which needs a folder for what it serves."""
    settings.registry_artifacts.mkdir(parents=True, exist_ok=True)
    program = str(Path(sys.executable).with_name("mlflow"))
    return [
        program,
        "server",
        "--backend-store-uri",
        settings.registry_url,
        "--host",
        host,
        "--port",
        str(port),
        "--workers",
        "1",
    ]


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PlatformError(
                f"Nothing can be served at {host}:{port} ({error.strerror}).",
                "Another `ui` may run there: stop it, or choose another --port or --registry-port.",
            ) from error


@contextlib.contextmanager
def _started(
    command: list[str], environment: Mapping[str, str], niceness: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """A child in a group of its own, so that its own children end with it."""
    child = subprocess.Popen(  # noqa: S603 -- programs of our own environment
        command, cwd=PROJECT_ROOT, env=dict(environment), start_new_session=True
    )
    try:
        if niceness:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, child.pid, niceness)
        yield child
    finally:
        for name in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, name)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(GRACE_S)
                break


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    """Set by Ctrl-C or a polite kill, which end the pages and are no error.

    An exception instead could come while a child is being started, which nobody would then end.
    """
    stopped = Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    # A shell without job control hands on 'ignore', and the pages could then not be stopped.
    before = {name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
