"""Ingest of a 5-million-row table, against plain Polars scanning it and writing Parquet.

The peer is `scan_csv(file).sink_parquet(out)` with our Parquet settings: it infers the schema,
leaves time stamps as text and validates nothing. Beside it stands, without a bound, a peer that
is told the schema and parses the time stamps. One row in 10,000 is wrong and is quarantined.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measure import Result, in_a_process, median

ROWS = 5_000_000
TESTS = 100

MAPPING = """source: bench_cycler
table: test_points
synthetic: true
licence: CC0-1.0 (generated)
encoding: utf-8
delimiter: ","
decimal: "."
datetime_format: "%Y-%m-%d %H:%M:%S"
columns:
  test_id: {header: test_id}
  point: {header: point}
  test_time_s: {header: test_time_s}
  recorded_at: {header: recorded_at}
  cycle: {header: cycle}
  step: {header: step}
  voltage_v: {header: voltage_v}
  current_a: {header: current_a}
  step_capacity_ah: {header: step_capacity_ah}
  step_energy_wh: {header: step_energy_wh}
  temperature_degc: {header: temperature_degc}
"""

PEER = """
import polars as pl, time
from battery_platform.store.commit import PARQUET
schema = {{"test_id": pl.String, "point": pl.Int64, "test_time_s": pl.Float64,
    "recorded_at": pl.String, "cycle": pl.Int64, "step": pl.Int64, "voltage_v": pl.Float64,
    "current_a": pl.Float64, "step_capacity_ah": pl.Float64, "step_energy_wh": pl.Float64,
    "temperature_degc": pl.Float64}}
start = time.perf_counter()
pl.scan_csv({csv!r}, schema=schema, ignore_errors=True).with_columns(
    pl.col("recorded_at").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False)
).sink_parquet({out!r}, **PARQUET)
found = {{"wall_s": time.perf_counter() - start}}
"""

PLAIN = """
import polars as pl, time
from battery_platform.store.commit import PARQUET
start = time.perf_counter()
pl.scan_csv({csv!r}).sink_parquet({out!r}, **PARQUET)
found = {{"wall_s": time.perf_counter() - start}}
"""

OURS = """
import time, json
from pathlib import Path
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.records.ingest import ingest
lake = Lakehouse(Settings(home=Path({home!r})))
small = Path({csv!r}).with_name("small.csv")
small.write_text("lot_id,material_kind,material_name\\nL1,binder,PVdF\\n")
assert ingest(lake, small).status in ("taken", "known")  # what is imported late is imported
start = time.perf_counter()
report = ingest(lake, Path({csv!r}))
wall = time.perf_counter() - start
assert report.status == "taken", report.reason
start = time.perf_counter()
again = ingest(lake, Path({csv!r}))
second = time.perf_counter() - start
assert again.status == "known"
found = {{"wall_s": wall, "again_s": second, "rows_in": report.total("rows_in"),
    "accepted": report.total("rows_accepted"), "quarantined": report.total("rows_quarantined")}}
"""


def write_table(path: Path, rows: int = ROWS, tests: int = TESTS) -> int:
    """Write a synthetic export; returns how many rows are wrong in it."""
    rng = np.random.default_rng(20260101)
    number = np.arange(rows)
    t = number % (rows // tests)
    frame = pl.DataFrame(
        {
            "test_id": np.char.add("SYN-T", (number // (rows // tests)).astype(str)),
            "point": t + 1,
            "test_time_s": t * 10.0,
            "recorded_at": np.datetime64("2026-01-01T00:00:00", "ms")
            + (1000 * number).astype("timedelta64[ms]"),
            "cycle": t // 500 + 1,
            "step": t % 500 // 100,
            "voltage_v": np.round(3.6 + 0.6 * np.sin(t / 80) + rng.normal(0, 1e-3, rows), 5),
            "current_a": np.round(2e-3 * np.cos(t / 80), 7),
            "step_capacity_ah": np.round(rng.random(rows), 6),
            "step_energy_wh": np.round(rng.random(rows), 6),
            "temperature_degc": np.round(25 + rng.normal(0, 0.2, rows), 2),
        }
    ).with_columns(pl.col("recorded_at").cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d %H:%M:%S"))
    wrong = rng.choice(rows, rows // 10_000, replace=False)
    mask = np.zeros(rows, dtype=bool)
    mask[wrong] = True
    voltage = (
        pl.when(pl.Series(mask)).then(pl.lit("66.6")).otherwise(pl.col("voltage_v").cast(pl.String))
    )
    frame.with_columns(voltage.alias("voltage_v")).write_csv(path)
    path.with_name(path.stem + ".map.yaml").write_text(MAPPING)
    return len(wrong)


def run() -> list[Result]:
    """Speed and memory of the ingest, and of taking the same bytes again."""
    with tempfile.TemporaryDirectory() as folder:
        csv, out = Path(folder) / "export.csv", Path(folder) / "peer.parquet"
        wrong = write_table(csv)
        plain, told, ours = [], [], []
        for number in range(3):
            plain.append(in_a_process(PLAIN.format(csv=str(csv), out=str(out))))
            told.append(in_a_process(PEER.format(csv=str(csv), out=str(out))))
            home = Path(folder) / f"home{number}"
            ours.append(in_a_process(OURS.format(csv=str(csv), home=str(home))))
            assert ours[-1]["quarantined"] == wrong, ours[-1]
            assert ours[-1]["rows_in"] == ROWS
    peer = median([one["wall_s"] for one in plain])
    schema = median([one["wall_s"] for one in told])
    wall = median([one["wall_s"] for one in ours])
    again = median([one["again_s"] for one in ours])
    peak = max(one["peak_mib"] for one in ours)
    detail = (
        f"[{wall:.2f} s against {peer:.2f} s; against {schema:.2f} s with schema and date format "
        f"given: {schema / wall:.2f}]"
    )
    return [
        Result("ingest speed over plain Polars", peer / wall, 0.7, True, detail),
        Result("peak memory of the ingest in MiB", peak, 1024, False),
        Result("the same bytes again, times faster", wall / again, 20, True, f"[{again:.3f} s]"),
    ]
