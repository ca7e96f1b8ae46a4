"""What orchestration adds to a refresh: wall time that is not spent inside a step's own work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Result, median


def run() -> list[Result]:
    """(Wall - work in steps) / wall, for a refresh from nothing, three times."""
    shares, walls = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run(
                [str(Path(sys.executable).with_name("battery-platform")), "refresh", "--json"],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "BATTERY_PLATFORM_HOME": home},
            )
            row = json.loads(done.stdout)[0]
            shares.append((row["seconds"] - row["work_seconds"]) / row["seconds"])
            walls.append(row["seconds"])
    detail = f"[refresh of {median(walls):.1f} s]"
    return [Result("share of orchestration in a refresh", median(shares), 0.2, False, detail)]
