"""Dagster's page, its daemon and the code server, started side by side.

`dagster dev` starts the code server first and the others when it has loaded the definitions; each
spends seconds on imports. Here they import at the same time, and the page and the daemon then wait
for the server. Run as `python -m battery_platform.defs.pages PROGRAM SOCKET ARGUMENT...`.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from pathlib import Path

from battery_platform.defs.launching import LOCATION, MODULE

PAGE, DAEMON = "dagster_webserver", "dagster._daemon"
WORKSPACE = "workspace.yaml"
LONGEST_S = 180.0


def code_server(socket: Path) -> list[str]:
    """The command of a server that loads the definitions, and loads them anew when the page asks."""
    served = ["--module-name", MODULE, "--location-name", LOCATION]
    command = [sys.executable, "-m", "dagster", "code-server", "start", "--socket", str(socket)]
    return [*command, *served, "--inject-env-vars-from-instance", "--log-level", "warning"]


def page(socket: Path, host: str, port: int) -> list[str]:
    """The command of the page."""
    return [*_waiting(PAGE, socket), "--host", host, "--port", str(port)]


def daemon(socket: Path) -> list[str]:
    """The command of the daemon, for schedules and sensors."""
    return [*_waiting(DAEMON, socket), "run", "--log-level", "warning"]


def lay_workspace(socket: Path) -> None:
    """Lay the file that tells the page and the daemon of the server beside its socket."""
    socket.with_name(WORKSPACE).write_text(
        f"load_from:\n  - grpc_server:\n      socket: {socket}\n      location_name: {LOCATION}\n",
        encoding="utf-8",
    )


def _waiting(program: str, socket: Path) -> list[str]:
    return [sys.executable, "-m", __name__, program, str(socket)]


def main(program: str, socket: Path, arguments: list[str]) -> None:
    """Import the program, wait for the server, and become the program."""
    run = import_module(f"{program}.cli").main
    _wait_for(socket)
    sys.argv = [program, *arguments, "--workspace", str(socket.with_name(WORKSPACE))]
    run()


def _wait_for(socket: Path) -> None:
    """Until the server has loaded the definitions; a process that is left behind ends."""
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    client, parent, since = DagsterGrpcClient(socket=str(socket)), os.getppid(), time.monotonic()
    while os.getppid() == parent and time.monotonic() - since < LONGEST_S:
        try:
            client.ping("")
        except DagsterUserCodeUnreachableError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"The code server at {socket} did not answer.")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
