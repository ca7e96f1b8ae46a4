"""Questions from the shell that compute nothing, against importing DuckDB and reading one Parquet file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import Result, in_a_process, median

PEER = (
    "import duckdb\n"
    "c = duckdb.connect()\n"
    "c.execute(\"COPY (SELECT 1 AS a) TO '{file}' (FORMAT parquet)\")\n"
    "c.execute(\"SELECT * FROM '{file}'\").fetchall()\n"
    "import typer, rich.table, rich.markdown\n"
    "found = {{}}"
)
OURS = (
    "import sys\n"
    "from battery_platform.cli import main\n"
    "sys.argv = ['battery-platform', *{words!r}]\n"
    "try:\n"
    "    main()\n"
    "except SystemExit as end:\n"
    "    assert not end.code\n"
    "found = {{}}"
)


def run() -> list[Result]:
    """CPU of `models list` and of `doctor` on an empty lake over CPU of the peer."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        home = {"BATTERY_PLATFORM_HOME": folder}
        peer_code = PEER.format(file=Path(folder) / "peer.parquet")
        for words in (["models", "list"], ["doctor"]):
            ours_code = OURS.format(words=words)
            in_a_process(ours_code, home)  # makes the lake
            pairs = [
                (in_a_process(peer_code)["cpu_s"], in_a_process(ours_code, home)["cpu_s"])
                for _ in range(5)
            ]
            peer, ours = median([peer for peer, _ in pairs]), median([ours for _, ours in pairs])
            results.append(
                Result(
                    f"`{' '.join(words)}` over DuckDB, Typer and Rich",
                    ours / peer,
                    5.0,
                    False,
                    f"[{ours:.2f} against {peer:.2f} CPU-s]",
                )
            )
    return results
