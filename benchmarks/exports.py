"""A cycler's export of 5 million rows, against plain Polars scanning it and writing Parquet.

The peer is `scan_csv(file).sink_parquet(out)` with our Parquet settings: it infers the schema and
judges nothing. Ours counts separators, checks order, sign and charge, sums up cycles, judges each
row by its contract and commits. A second file of 2 GB must not need more memory than the first.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.ingest import OURS, PLAIN
from benchmarks.measure import Result, in_a_process, median

ROWS = 5_000_000
LARGE_ROWS = 31_000_000
PIECE_ROWS = 1_000_000
ROWS_OF_A_CYCLE = 1000
HEADER = (
    "Test Time / s,Unix Time / s,Voltage / V,Current / A,Cycle Count / 1,Step Count / 1,"
    "Charging Capacity / Ah,Discharging Capacity / Ah,Ambient Temperature / degC\n"
)


def write_export(path: Path, rows: int) -> None:
    """Write a synthetic export in the words of the Battery Data Format, piece by piece."""
    rng = np.random.default_rng(20260101)
    with path.open("wb") as stream:
        stream.write(HEADER.encode())
        for start in range(0, rows, PIECE_ROWS):
            number = np.arange(start, min(start + PIECE_ROWS, rows))
            place = number % ROWS_OF_A_CYCLE
            half = ROWS_OF_A_CYCLE // 2
            charging = place < half
            seconds = number * 10.0
            volts = np.where(charging, 3.0 + 0.0024 * place, 4.2 - 0.0024 * (place - half))
            frame = pl.DataFrame(
                {
                    "time": seconds,
                    "unix": 1.7e9 + seconds,
                    "volts": np.round(volts + rng.normal(0, 1e-4, len(number)), 5),
                    "amperes": np.where(charging, 0.5, -0.5),
                    "cycle": number // ROWS_OF_A_CYCLE + 1,
                    "step": number // half + 1,
                    "charge": np.round(np.where(charging, place * 5 / 3600, 0.0), 6),
                    "discharge": np.round(
                        np.where(charging, 0.0, (place - half + 1) * 5 / 3600), 6
                    ),
                    "degc": np.round(25 + rng.normal(0, 0.2, len(number)), 2),
                }
            )
            frame.write_csv(stream, include_header=False)


def run() -> list[Result]:
    """Speed and memory of the ingest of an export, and the memory of one of 2 GB."""
    with tempfile.TemporaryDirectory() as folder:
        csv, out = Path(folder) / "export.csv", Path(folder) / "peer.parquet"
        write_export(csv, ROWS)
        plain, ours = [], []
        for number in range(3):
            plain.append(in_a_process(PLAIN.format(csv=str(csv), out=str(out))))
            home = Path(folder) / f"home{number}"
            ours.append(in_a_process(OURS.format(csv=str(csv), home=str(home))))
            assert ours[-1]["rows_in"] == ROWS + ROWS // ROWS_OF_A_CYCLE, ours[-1]
            assert ours[-1]["quarantined"] == 0
        large = Path(folder) / "large.csv"
        write_export(large, LARGE_ROWS)
        size = large.stat().st_size / 2**30
        whole = in_a_process(OURS.format(csv=str(large), home=str(Path(folder) / "large")))
        assert whole["rows_in"] == LARGE_ROWS + LARGE_ROWS // ROWS_OF_A_CYCLE, whole
    peer = median([one["wall_s"] for one in plain])
    wall = median([one["wall_s"] for one in ours])
    peak = max(one["peak_mib"] for one in ours)
    return [
        Result(
            "export of 5 million rows, speed over plain Polars",
            peer / wall,
            0.7,
            True,
            f"[{wall:.2f} s against {peer:.2f} s]",
        ),
        Result("peak memory of that ingest in MiB", peak, 1024, False),
        Result(
            "peak memory of the ingest of a larger export in MiB",
            whole["peak_mib"],
            1024,
            False,
            f"[{size:.2f} GiB in {whole['wall_s']:.1f} s]",
        ),
    ]
