"""Two writers and two readers on one SQLite catalogue for a minute: errors and fairness."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Result

SECONDS = 60

WRITER = """
import sys, time, json
from pathlib import Path
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.records.ingest import ingest
home, name, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
lake = Lakehouse(Settings(home=home))
end, done, errors = time.monotonic() + seconds, 0, []
while time.monotonic() < end:
    path = home / f"{name}-{done}.csv"
    rows = "\\n".join(f"{name}-{done}-{i},electrolyte,LP30 (synthetic)" for i in range(200))
    path.write_text("lot_id,material_kind,material_name\\n" + rows + "\\n")
    try:
        report = ingest(lake, path)
        assert report.status == "taken", report.reason
        done += 1
    except Exception as error:
        errors.append(str(error)[:200])
print(json.dumps({"done": done, "errors": errors}))
"""

READER = """
import sys, time, json
from pathlib import Path
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse
lake = Lakehouse(Settings(home=Path(sys.argv[1])))
end, done, errors = time.monotonic() + float(sys.argv[3]), 0, []
while time.monotonic() < end:
    try:
        stored, said = lake.rows("SELECT (SELECT count(*) FROM raw_material_lots), "
                                 "(SELECT coalesce(sum(rows_new), 0) FROM raw_files)")[0]
        assert stored == said, (stored, said)
        done += 1
    except Exception as error:
        errors.append(str(error)[:200])
print(json.dumps({"done": done, "errors": errors}))
"""


def run() -> list[Result]:
    """Errors that reached anyone, and the slower writer's share of the commits."""
    with tempfile.TemporaryDirectory() as home:
        from battery_platform.settings import Settings
        from battery_platform.store.lakehouse import Lakehouse

        Lakehouse(Settings(home=Path(home))).snapshot()
        started = [
            subprocess.Popen(
                [sys.executable, "-c", code, home, name, str(SECONDS)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for code, name in ((WRITER, "a"), (WRITER, "b"), (READER, "r"), (READER, "s"))
        ]
        found = [json.loads(process.communicate()[0]) for process in started]
    errors = [error for one in found for error in one["errors"]]
    commits = [one["done"] for one in found[:2]]
    reads = sum(one["done"] for one in found[2:])
    detail = f"[{commits[0]} and {commits[1]} commits, {reads} consistent reads] {errors[:2] or ''}"
    return [
        Result("errors that reached a writer or reader", len(errors), 0, False, detail),
        Result("share of the slower writer", min(commits) / max(1, sum(commits)), 1 / 3, True),
    ]
