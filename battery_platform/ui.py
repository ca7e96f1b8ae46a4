"""The two pages: Dagster's with its daemon, and the model registry's, ended together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from battery_platform.errors import PlatformError
from battery_platform.settings import PROJECT_ROOT, Settings

GRACE_S = 10.0
REGISTRY_NICENESS = 5


def serve(
    settings: Settings, host: str, port: int, registry_port: int, say: Callable[[str], None]
) -> int:
    """Serve until stopped; the status of the page that ended first otherwise."""
    from battery_platform.defs.dbt_project import prepare_manifest
    from battery_platform.refresh import dagster_environment

    served_elsewhere = settings.registry_url.startswith(("http:", "https:"))
    for wanted in [port] if served_elsewhere else [port, registry_port]:
        _refuse_taken(host, wanted)
    environment = {**os.environ, **dagster_environment(settings)}
    prepare_manifest()
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(_started(_dagster(host, port), environment))]
        say(f"Dagster UI at http://{host}:{port} (Ctrl-C ends it)")
        if served_elsewhere:
            say(f"model registry at {settings.registry_url}")
        else:
            settings.registry_artifacts.mkdir(parents=True, exist_ok=True)
            lean = {
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            }
            command = _registry(settings, host, registry_port)
            registry = stack.enter_context(_started(command, environment | lean))
            # people wait for the asset graph: while both start, the registry comes second
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, registry.pid, REGISTRY_NICENESS)
            running.append(registry)
            say(f"model registry at http://{host}:{registry_port}")
        return _until_one_ends(running)


def _dagster(host: str, port: int) -> list[str]:
    program = str(Path(sys.executable).with_name("dagster"))
    workspace = str(PROJECT_ROOT / "workspace.yaml")
    return [program, "dev", "-w", workspace, "-h", host, "-p", str(port)]


def _registry(settings: Settings, host: str, port: int) -> list[str]:
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
    command: list[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A child in a group of its own, so that its own children end with it."""
    child = subprocess.Popen(  # noqa: S603 -- programs of our own environment
        command, cwd=PROJECT_ROOT, env=dict(environment), start_new_session=True
    )
    try:
        yield child
    finally:
        for name in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, name)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(GRACE_S)
                break


def _until_one_ends(running: list[subprocess.Popen[bytes]]) -> int:
    # A shell without job control hands on 'ignore', and the pages could then not be stopped.
    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    try:
        while True:
            for child in running:
                if child.poll() is not None:
                    return int(child.returncode)
            time.sleep(0.5)
    except KeyboardInterrupt:
        return 0
