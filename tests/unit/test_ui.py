"""`ui`: the page has the definitions before it is called ready, and nothing is left when it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from battery_platform.defs.dbt_project import prepare_manifest
from battery_platform.settings import Settings

LONGEST_S = 120.0
_SERVE = (
    "import sys; from battery_platform.cli import main; sys.argv[0] = 'battery-platform'; main()"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes_of(home: Path) -> set[int]:
    """All processes that were told of this home."""
    mark = f"BATTERY_PLATFORM_HOME={home}".encode()
    owners = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                owners.add(int(folder.name))
        except OSError:
            continue
    return owners


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="asks /proc")
def test_everything_starts_and_everything_ends(settings: Settings, tmp_path: Path) -> None:
    prepare_manifest()
    ports = ["--port", str(free_port()), "--registry-port", str(free_port())]
    with (tmp_path / "ui.log").open("w+") as log:
        served = subprocess.Popen(
            [sys.executable, "-c", _SERVE, "ui", *ports],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "BATTERY_PLATFORM_HOME": str(settings.home)},
        )
        try:
            until = time.monotonic() + LONGEST_S
            while "ready after" not in (words := (tmp_path / "ui.log").read_text()):
                assert served.poll() is None, words
                assert time.monotonic() < until, words
                time.sleep(0.1)
        finally:
            served.send_signal(signal.SIGINT)
            status = served.wait(LONGEST_S)
    assert status == 0
    until = time.monotonic() + 10
    while left := processes_of(settings.home) - {os.getpid()}:
        assert time.monotonic() < until, left
        time.sleep(0.1)
