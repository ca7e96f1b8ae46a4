"""Exports of cyclers, read and summed up by cycle, against cellpy on the same files in one run.

cellpy stands in an environment of its own (it needs pandas below 3), which is made once and
reused; `.res` files are read by it only where `mdb-export` of mdbtools is on the path. Each side
reads a file in processes of its own that take turns; CPU seconds of a process and its children
are counted, imports and a first reading are not. Beside the times stands what the two make of a
file, and whether each agrees with the integral of the current that it read, over the first cycle.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Result, median

PEER = ("cellpy==1.0.3", "pandas<3")
ROUNDS, READINGS = 3, 3
"""Turns of each side, and readings that count in each."""
AGREES = 0.01
FILES = {
    "20160805_test001_45_cc_01.res": {"instrument": "arbin_res"},
    "biol.mpr": {"instrument": "biologics_mpr"},
    "maccor_001.txt": {"instrument": "maccor_txt", "model": "one"},
    "neware_uio.csv": {"instrument": "neware_txt", "model": "one"},
    "pec.csv": {"instrument": "pec_csv"},
}
"""cellpy's reader and, where it has several, the model that takes the file."""

TIMED = """
import json, resource, sys
import numpy as np

def spent():
    each = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in each)

def first_cycle(time, current, cycle):
    time, current = np.asarray(time, float), np.asarray(current, float)
    own = np.asarray(cycle) == np.asarray(cycle)[0]
    passed = (current[1:] + current[:-1]) / 2 * np.maximum(np.diff(time), 0) / 3600
    passed = passed[own[1:]]
    return float(passed[passed > 0].sum()), float(-passed[passed < 0].sum())

read()
times = []
for _ in range({readings}):
    begun = spent()
    found = read()
    times.append(spent() - begun)
print(json.dumps({{"times": times, **told(found)}}))
"""

OURS = """
from pathlib import Path
from battery_platform.records.cyclers import read_export
from battery_platform.records.cyclers.summary import cycles

def read():
    file = read_export(Path({path!r}))
    return file.points, cycles(file.points, file.format.resets)

def told(found):
    points, summary = found
    first = summary.row(0, named=True)
    return {{
        "rows": points.height,
        "cycles": summary.height,
        "charge": first["charge_ah"],
        "discharge": first["discharge_ah"],
        "integral": first_cycle(points["test_time_s"], points["current_a"], points["cycle"]),
    }}
"""

CELLPY = """
import warnings
warnings.simplefilter("ignore")
import cellpy

def read():
    return cellpy.get({path!r}, mass=1.0, **{settings!r})

def told(cell):
    ah = {{"Ah": 1.0, "mAh": 1e-3}}[str(cell.raw_units["charge"])]
    summary = cell.data.summary
    raw = cell.data.raw
    time, amperes = raw["test_time"], {{"A": 1.0, "mA": 1e-3}}[str(cell.raw_units["current"])]
    seconds = time.dt.total_seconds() if time.dtype.kind == "m" else time
    return {{
        "integral": first_cycle(seconds, raw["current"] * amperes, raw["cycle_index"]),
        "rows": len(raw),
        "cycles": len(summary),
        "charge": float(summary["charge_capacity"].iloc[0]) * ah,
        "discharge": float(summary["discharge_capacity"].iloc[0]) * ah,
    }}
"""


@dataclass(frozen=True)
class _Side:
    cpu_s: float
    told: dict[str, Any]


def run() -> list[Result]:
    """CPU of both sides, medians, and what they say of each file."""
    mirror = os.environ.get("BATTERY_PLATFORM_MIRROR", "")
    folder = Path(mirror).resolve() / "cycler_exports"
    if not mirror or not folder.is_dir():
        raise RuntimeError("BATTERY_PLATFORM_MIRROR names no folder with cycler_exports")
    python = _environment()
    sums = [0.0, 0.0]
    detail = []
    for name, settings in FILES.items():
        path = str(folder / name)
        try:
            ours, peer = _in_turns(
                [sys.executable, OURS.format(path=path)],
                [str(python), CELLPY.format(path=path, settings=settings)],
            )
        except _PeerFailedError as error:
            print(f"       {name}: not compared, cellpy fails: {error}", flush=True)
            continue
        sums[0], sums[1] = sums[0] + ours.cpu_s, sums[1] + peer.cpu_s
        detail.append(f"{Path(name).suffix} {peer.cpu_s / ours.cpu_s:.1f}")
        print(f"       {name}: {1000 * ours.cpu_s:.1f} against {1000 * peer.cpu_s:.1f} ms of CPU")
        for line in _differences(ours.told, peer.told):
            print(f"         {line}", flush=True)
    if not detail:
        raise RuntimeError("cellpy reads none of the files")
    shown = f"[{sums[0]:.3f} against {sums[1]:.3f} s; {', '.join(detail)}]"
    return [
        Result("cyclers' exports, times less CPU than cellpy", sums[1] / sums[0], 10, True, shown)
    ]


class _PeerFailedError(Exception):
    """cellpy does not read a file."""


def _in_turns(ours: list[str], peer: list[str]) -> tuple[_Side, _Side]:
    """Both sides by turns, so that what else the machine does falls on both."""
    told: list[list[dict[str, Any]]] = [[], []]
    for _ in range(ROUNDS):
        for side, (python, code) in enumerate((ours, peer)):
            with tempfile.TemporaryDirectory() as aside:
                done = subprocess.run(
                    [python, "-c", code + TIMED.format(readings=READINGS)],
                    capture_output=True,
                    text=True,
                    check=False,
                    cwd=aside,
                )
            if done.returncode:
                says = done.stderr.strip().splitlines()[-1:] or ["no word"]
                raise _PeerFailedError(says[0]) if side else RuntimeError(done.stderr[-2000:])
            told[side].append(json.loads(done.stdout.strip().splitlines()[-1]))
    first, second = (
        _Side(median([seconds for one in side for seconds in one["times"]]), side[0])
        for side in told
    )
    return first, second


def _differences(ours: dict[str, Any], peer: dict[str, Any]) -> list[str]:
    """Where the two disagree, and who says what the current says."""
    lines = [
        f"{what}: {ours[what]} here, {peer[what]} by cellpy"
        for what in ("rows", "cycles")
        if ours[what] != peer[what]
    ]
    least = AGREES * max(ours["integral"])
    integrals = zip(("charge", "discharge"), ours["integral"], peer["integral"], strict=True)
    for what, integral, peer_integral in integrals:
        if abs(ours[what] - peer[what]) <= least:
            continue
        lines.append(
            f"{what} of the first cycle: {ours[what]:.6g} Ah here "
            f"(integral {integral:.6g} Ah: {_verdict(ours[what] - integral, least)}), "
            f"{peer[what]:.6g} Ah by cellpy "
            f"(integral of its own points {peer_integral:.6g} Ah: "
            f"{_verdict(peer[what] - peer_integral, least)})"
        )
    return lines or ["rows, cycles and charges of the first cycle agree"]


def _verdict(difference: float, least: float) -> str:
    return "equal" if abs(difference) <= least else "not equal"


def _environment() -> Path:
    """Python with cellpy, made where there is none yet."""
    home = Path(os.environ.get("BATTERY_PLATFORM_HOME") or tempfile.gettempdir())
    folder = home / "benchmark-cellpy"
    python = folder / "bin" / "python"
    ready = folder / "ready.txt"
    if not ready.is_file() or ready.read_text() != " ".join(PEER):
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEER], check=True)
        ready.write_text(" ".join(PEER))
    return python
