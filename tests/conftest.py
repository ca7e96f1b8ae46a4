"""A lake of one's own per test, files made on the spot, and the count of rows that must hold."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from battery_platform.records.ingest import Report, ingest
from battery_platform.records.mapping import parse
from battery_platform.settings import Settings
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str | bytes], Path]
Take = Callable[..., Report]


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
