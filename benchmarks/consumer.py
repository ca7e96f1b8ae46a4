"""What a consumer waits for: a fresh process that loads a champion and answers five rows.

It runs where the platform is not installed: in an environment of the packages that the card names and
those of a SQLite registry. The peer is the least that any MLflow model costs there: importing MLflow and
pandas and asking the same registry for the same version.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from benchmarks.measure import Result, median

HEAD = (
    "import mlflow, pandas as pd\n"
    "mlflow.set_tracking_uri({url!r})\n"
    "client = mlflow.MlflowClient()\n"
    "client.get_model_version_by_alias('mass-loading', 'champion')\n"
)
OURS = HEAD + (
    "model = mlflow.pyfunc.load_model('models:/mass-loading@champion')\n"
    "row = model.input_example\n"
    "answer = model.predict(pd.concat([pd.DataFrame(row)] * 5, ignore_index=True))\n"
    "assert len(answer) == 5 and answer['in_domain'].all()\n"
)


def run() -> list[Result]:
    """Wall seconds from process start, medians of five."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "BATTERY_PLATFORM_HOME": home}
        program = str(Path(sys.executable).with_name("battery-platform"))
        subprocess.run(
            [program, "refresh", "--json"], capture_output=True, check=True, env=environment
        )
        python = _environment(Path(home) / "consumer")
        url = f"sqlite:///{home}/registry/registry.sqlite"
        pairs = [
            (_seconds(python, HEAD.format(url=url)), _seconds(python, OURS.format(url=url)))
            for _ in range(5)
        ]
    peer, ours = median([one for one, _ in pairs]), median([two for _, two in pairs])
    detail = f"[{ours:.2f} against {peer:.2f} s]"
    return [
        Result("champion loaded and five rows answered, s", ours, 3.0, False, detail),
        Result(
            "the same over MLflow's imports and registry alone", ours / peer, 1.5, False, detail
        ),
    ]


def _environment(folder: Path) -> Path:
    from battery_platform.models.registry import requirements

    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    packages = [*requirements(), "sqlalchemy", "alembic"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def _seconds(python: Path, code: str) -> float:
    begun = time.perf_counter()
    subprocess.run(
        [python, "-I", "-c", code],
        check=True,
        capture_output=True,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    return time.perf_counter() - begun
