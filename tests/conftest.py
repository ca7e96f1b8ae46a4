"""A lake of one's own per test, files made on the spot, and the count of rows that must hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from battery_platform.records.ingest import Report, ingest
from battery_platform.records.mapping import parse
from battery_platform.settings import Settings
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str | bytes], Path]
Take = Callable[..., Report]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small matrices are faster on one thread where tests share the cores."""
    import scipy.linalg  # noqa: F401 -- its library must be there to be told

    with threadpool_limits(1):
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", settle_seconds=0.0, threads=2, max_workbook_mib=16)


@pytest.fixture
def lake(settings: Settings) -> Iterator[Lakehouse]:
    opened = Lakehouse(settings)
    yield opened
    opened.close()


@pytest.fixture
def streaming_lake(settings: Settings, tmp_path: Path) -> Iterator[Lakehouse]:
    """A lake that streams every delimited file, however small."""
    opened = Lakehouse(replace(settings, home=tmp_path / "streaming", stream_above_mib=0))
    yield opened
    opened.close()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Put a file into the folder where the test's files stand."""
    folder = tmp_path / "files"
    folder.mkdir(exist_ok=True)

    def put(name: str, content: str | bytes) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put


@pytest.fixture
def mirror() -> Path:
    folder = os.environ.get("BATTERY_PLATFORM_MIRROR", "")
    if not folder:
        pytest.skip("BATTERY_PLATFORM_MIRROR names no folder with the public data")
    return Path(folder)


@pytest.fixture
def counted(lake: Lakehouse) -> Callable[[Report], None]:
    """Assert that a file's rows are in the lake or in quarantine, none lost and none doubled."""

    def count(report: Report) -> None:
        for outcome in report.outcomes:
            where = "WHERE file_id = ? AND sheet = ?"
            of = [report.file_id, outcome.sheet]
            held = lake.value(f"SELECT count(DISTINCT row_number) FROM quarantine {where}", of)
            stored = lake.value(f"SELECT count(*) FROM raw_{outcome.table} {where}", of)
            assert outcome.rows_in == outcome.rows_accepted + outcome.rows_quarantined
            assert (stored, held) == (outcome.rows_new, outcome.rows_quarantined)
        assert balance(lake).broken == ()

    return count


@pytest.fixture
def take(lake: Lakehouse, write: Write, counted: Callable[[Report], None]) -> Take:
    """Write a file, ingest it, and check that every one of its rows is accounted for."""

    def ingest_content(
        name: str, content: str | bytes, mapping: dict[str, Any] | None = None, **more: Any
    ) -> Report:
        path = write(name, content)
        report = ingest(lake, path, parse(mapping, path) if mapping else None, **more)
        counted(report)
        return report

    return ingest_content


@pytest.fixture
def marts(lake: Lakehouse) -> Callable[..., pl.DataFrame]:
    """Put electrodes into the lake as dbt would, with the slurry and the line behind each."""

    def build(
        batches: int = 12, synthetic: bool = False, seed: int = 0, **columns: Any
    ) -> pl.DataFrame:
        random = np.random.default_rng(seed)
        slurry = np.repeat(np.arange(batches), 4)
        gap = np.tile([80.0, 80.0, 200.0, 200.0], batches) + 3.0 * slurry
        solids = random.uniform(55, 75, batches)[slurry]
        shift = random.normal(0, 0.03, batches)[slurry]
        n = len(slurry)
        kind = "synthetic" if synthetic else "real"
        frame = pl.DataFrame(
            {
                "electrode_id": [f"{kind}-E{number:03d}" for number in range(n)],
                "slurry_id": [f"{kind}-S{number:02d}" for number in slurry],
                "coating_id": [f"{kind}-C{number // 2:03d}" for number in range(n)],
                "recipe_id": [f"{kind}-R{number // 2:03d}" for number in range(n)],
                "active_material": "NMC111",
                "active_material_pct": random.uniform(92, 97, batches)[slurry],
                "solid_content_pct": solids,
                "viscosity_pa_s": random.uniform(1, 10, batches)[slurry],
                "comma_gap_um": gap,
                "mass_loading_mg_cm2": 0.002 * gap * solids * np.exp(shift)
                + random.normal(0, 0.2, n),
                "porosity_pct": 70 - 0.3 * solids + 0.02 * gap + random.normal(0, 0.5, n),
                "calendering_id": pl.Series([None] * n, dtype=pl.String),
                "compression_degree_pct": pl.Series([None] * n, dtype=pl.Float64),
                "loading_basis": "active_material",
                "licence": "CC0",
                "source_id": "plant" if synthetic else "lab",
                "is_synthetic": synthetic,
                "file_id": "f-sheet",
                "file_name": "sheet.csv",
                "sheet": "",
                "row_number": range(2, n + 2),
            }
        ).with_columns(**columns)
        links = frame.select(
            pl.lit("slurry").alias("parent_kind"),
            pl.col("slurry_id").alias("parent_id"),
            pl.lit("electrode").alias("child_kind"),
            pl.col("electrode_id").alias("child_id"),
            "source_id",
        )
        place = ["source_id", "file_id", "file_name", "sheet", "row_number"]
        named = {"electrode": "electrode_id", "slurry": "slurry_id"}
        provenance = pl.concat(
            frame.unique(key, keep="first", maintain_order=True).select(
                pl.lit(kind).alias("entity_kind"),
                pl.col(key).alias("entity_id"),
                *place,
                pl.lit("electrode_sheets").alias("table_name"),
                "is_synthetic",
            )
            for kind, key in named.items()
        )
        with lake.cursor() as cursor:
            cursor.execute("BEGIN TRANSACTION")
            for name, rows in (
                ("mart_electrodes", frame),
                ("core_links", links),
                ("core_provenance", provenance),
            ):
                cursor.register("built", rows.to_arrow())
                cursor.execute(f"CREATE OR REPLACE TABLE {name} AS FROM built")
                cursor.unregister("built")
            cursor.execute("COMMIT")
        return frame

    return build


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry without models: making one anew takes seconds."""
    from battery_platform.models.registry import aliases

    home = tmp_path_factory.mktemp("registry")
    aliases(Settings(home=home), "mass-loading")
    return home / "registry" / "registry.sqlite"


@pytest.fixture
def registry(settings: Settings, empty_registry: Path) -> Path:
    """The registry of the test's own lake."""
    place = settings.home / "registry" / "registry.sqlite"
    place.parent.mkdir(parents=True)
    shutil.copyfile(empty_registry, place)
    return place


@dataclass(frozen=True)
class Answer:
    """What a command printed and how it ended."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything printed, without the line breaks of a narrow terminal."""
        return " ".join((self.out + " " + self.err).split())


@pytest.fixture
def command(settings: Settings) -> Callable[..., Answer]:
    """Run `battery-platform` as people do: a process of its own."""
    program = str(Path(sys.executable).with_name("battery-platform"))

    def run(*words: str | Path, cwd: Path | None = None, **environment: str) -> Answer:
        done = subprocess.run(
            [program, *map(str, words)],
            cwd=cwd,
            env={
                **os.environ,
                "BATTERY_PLATFORM_HOME": str(settings.home),
                "COLUMNS": "250",
                **environment,
            },
            capture_output=True,
            timeout=120,
            check=False,
        )
        out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        return Answer(done.returncode, out, err)

    return run
