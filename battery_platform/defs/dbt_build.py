"""`dbt build` on the lake, and what became of each model and test.

dagster-dbt's own stream is not used: it asks in a tight loop whether dbt has said something, which
keeps a core busy for as long as dbt works, and parses the project again for each lake.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from battery_platform.defs.dbt_project import PROJECT, TARGET, environment
from battery_platform.errors import PlatformError
from battery_platform.store.lakehouse import Lakehouse

BUILT = {"success"}
PASSED = {"pass"}
WARNED = {"warn"}
NOT_RUN = {"skipped"}


@dataclass(frozen=True)
class Outcome:
    """What became of one node: a model, a test or a unit test."""

    unique_id: str
    status: str
    seconds: float
    failures: int | None
    message: str
    sql: str

    @property
    def kind(self) -> str:
        return self.unique_id.split(".", 1)[0]

    @property
    def name(self) -> str:
        return self.unique_id.split(".")[2]

    @property
    def is_wrong(self) -> bool:
        return self.status not in BUILT | PASSED | WARNED | NOT_RUN


@dataclass(frozen=True)
class Build:
    """All outcomes in the order in which dbt reached them, and why it gave up, if it did."""

    outcomes: tuple[Outcome, ...]
    error: str

    @property
    def what_went_wrong(self) -> str:
        """A sentence per node that failed; empty if all is well."""
        wrong = [
            f"{outcome.kind.replace('_', ' ')} {outcome.name}: {' '.join(outcome.message.split())}"
            for outcome in self.outcomes
            if outcome.is_wrong
        ]
        return "; ".join([*wrong, *([self.error] if self.error and not wrong else [])])


def selection(parsed: Mapping[str, Any], models: Sequence[str], tests: Sequence[str]) -> list[str]:
    """Arguments that choose these models with their unit tests, and these tests, and no other."""
    chosen = set(models)
    unit_tests = [
        unique_id
        for unique_id, test in parsed.get("unit_tests", {}).items()
        if chosen & set(test["depends_on"]["nodes"])
    ]
    names = [unique_id.split(".")[2] for unique_id in [*models, *tests]]
    names += [f"{parsed['unit_tests'][unique_id]['name']}" for unique_id in unit_tests]
    return ["--select", *names, "--indirect-selection", "empty"]


def build(lake: Lakehouse, arguments: Sequence[str] = ()) -> Build:
    """Build the project, or what `arguments` choose; dbt's own words go to standard output."""
    parsed = TARGET / "partial_parse.msgpack"
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        command = [sys.executable, "-m", "battery_platform.defs.dbt_child", parsed, results]
        options = ["--project-dir", PROJECT, "--profiles-dir", PROJECT, "--no-use-colors"]
        child = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            [*map(str, [*command, *options]), "--log-level-file", "info", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(lake),
            text=True,
            process_group=0,  # Ctrl-C is for the run, which then ends this
        )
        last: list[str] = []
        try:
            for line in child.stdout or ():
                sys.stdout.write(line)
                last = [*last[-19:], line]
        finally:
            child.kill()
            child.wait()
        if not results.is_file():
            raise PlatformError(
                f"dbt ended without a result: {' '.join(''.join(last).split())[-800:]}",
                "Run `battery-platform doctor`; the marts show the last good refresh.",
            )
        told = json.loads(results.read_text(encoding="utf-8"))
    return Build(tuple(Outcome(**node) for node in told["nodes"]), told["error"])
