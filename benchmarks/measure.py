"""What all benchmarks share: running a piece of work in a process of its own, and a result."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """One figure and the bound it must keep."""

    name: str
    value: float
    bound: float
    at_least: bool
    detail: str = ""

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return (
            f"{'met   ' if self.met else 'MISSED'} {self.name}: {self.value:.3g} "
            f"({sign} {self.bound:g}) {self.detail}"
        )


def in_a_process(code: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run Python code that prints one JSON object last; add its peak memory and CPU seconds."""
    head = (
        "open('/proc/self/clear_refs', 'w').write('5')\n"  # a child starts with its parent's peak
    )
    tail = (
        "\nimport resource as _r, json as _j, re as _re\n"
        "_u = _r.getrusage(_r.RUSAGE_SELF)\n"
        "_p = int(_re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024\n"
        "print(_j.dumps({**found, 'peak_mib': _p, 'cpu_s': _u.ru_utime + _u.ru_stime}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", head + code + tail],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def median(values: list[float]) -> float:
    return float(statistics.median(values))
