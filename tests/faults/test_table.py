"""Faults and hostile inputs, one a row in the tables beside this file: cause, entry point, answer.

A row of a `.yaml` file here has
  cause    what is wrong, unique among all rows
  command  the words after `battery-platform`; {home}, {catalogue}, {data}, {files}, {outside} are filled in
  says     what the answer must contain: a text, or several
  status   how the command must end; 1 unless given
  files    contents by name, written to {files} before; text, or bytes as `!!binary`
  damage   a function of `damages.py` that harms a copy of the lake before; else all rows share one lake
  sample   true for a row that the normal suite runs too; `make faults` runs all

Whatever the row: one sentence and a remedy instead of a stack trace, nothing that commands a terminal,
no password, nothing written outside, and a lake that is as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import shutil
import sqlite3
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from battery_platform.cli import main, printing
from battery_platform.records.ingest import ingest
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse
from tests.faults import damages

HERE = Path(__file__).parent
COMMANDING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Fault:
    """A row of the table."""

    cause: str
    command: list[str]
    says: list[str]
    status: int
    files: dict[str, str | bytes]
    damage: str
    sample: bool
    table: str


def faults() -> list[Fault]:
    rows = []
    for path in sorted(HERE.glob("*.yaml")):
        for row in yaml.safe_load(path.read_text(encoding="utf-8")):
            says = row["says"] if isinstance(row["says"], list) else [row["says"]]
            unknown = set(row) - {"cause", "command", "says", "status", "files", "damage", "sample"}
            assert not unknown, (path.name, row["cause"], unknown)
            rows.append(
                Fault(
                    row["cause"],
                    [str(word) for word in row["command"]],
                    says,
                    row.get("status", 1),
                    row.get("files", {}),
                    row.get("damage", ""),
                    row.get("sample", False),
                    path.stem,
                )
            )
    return rows


FAULTS = faults()


def test_no_two_rows_are_the_same() -> None:
    assert len({fault.cause for fault in FAULTS}) == len(FAULTS)
    assert len({(*fault.command, fault.damage, repr(fault.files)) for fault in FAULTS}) == len(
        FAULTS
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A small lake with a file taken, a row in quarantine and a mart."""
    place = tmp_path_factory.mktemp("faults")
    settings = Settings(home=place / "home", threads=2)
    lots = place / "lots.csv"
    rows = "".join(f"L{number},binder,PVdF\n" for number in range(40))
    lots.write_text(f"lot_id,material_kind,material_name\n{rows},binder,PVdF\n")
    lake = Lakehouse(settings)
    assert ingest(lake, lots).total("rows_accepted") == 40
    with lake.cursor() as cursor:
        cursor.execute("CREATE TABLE mart_electrodes AS FROM range(60) t(electrode_id)")
    lake.close()
    (place / "outside").mkdir()
    with sqlite3.connect(place / "outside" / "other.sqlite") as other:
        other.execute("CREATE TABLE secret AS SELECT 'hidden' AS word")
    return settings


@pytest.fixture
def damaged(request: pytest.FixtureRequest, whole: Settings, tmp_path: Path) -> Settings:
    name = request.param
    if not name:
        return whole
    settings = replace(whole, home=tmp_path / "home")
    shutil.copytree(whole.home, settings.home)
    getattr(damages, name)(settings)
    return settings


def state(settings: Settings) -> dict[str, Any]:
    """The lake's catalogue to the byte, its files, and what lies beside it."""
    return {
        str(path): hashlib.blake2b(path.read_bytes()).hexdigest()
        for folder in (settings.home / "lake", settings.home.parent / "outside")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".lock", ".sqlite-shm")
        if path.name not in ("expected_tables.json", "file_hashes.sqlite")
        if path.suffix != ".sqlite-wal" or path.stat().st_size
    }


@pytest.mark.parametrize(
    ("fault", "damaged"),
    [
        pytest.param(
            fault,
            fault.damage,
            id=f"{fault.table}: {fault.cause}",
            marks=[] if fault.sample else [pytest.mark.faults],
        )
        for fault in FAULTS
    ],
    indirect=["damaged"],
)
def test_it_is_told_in_a_sentence_and_nothing_happens(
    fault: Fault,
    damaged: Settings,
    whole: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for name, content in fault.files.items():
        (files / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    places = {
        "home": damaged.home,
        "catalogue": damaged.home / "lake" / "catalogue.sqlite",
        "data": damaged.data_path,
        "files": files,
        "outside": whole.home.parent / "outside",
    }
    words = fault.command
    for name, place in places.items():
        words = [word.replace(f"{{{name}}}", str(place)) for word in words]
    monkeypatch.setenv("BATTERY_PLATFORM_HOME", str(damaged.home))
    monkeypatch.setattr(sys, "argv", ["battery-platform", *words])
    monkeypatch.chdir(files)
    before, here = state(damaged), sorted(files.iterdir())
    printed = io.StringIO()
    monkeypatch.setattr(printing.err, "file", printed)
    monkeypatch.setattr(printing.out, "width", 400)
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        pytest.raises(SystemExit) as end,
    ):
        main()
    text = " ".join(printed.getvalue().split())
    assert (end.value.code or 0) == fault.status, text
    for words_of_answer in fault.says:
        assert words_of_answer in text, text
    assert "Traceback" not in text
    assert "--debug for the stack trace" not in text
    assert "hidden" not in text
    assert not COMMANDING.search(printed.getvalue().replace("\n", "")), repr(text)
    assert state(damaged) == before
    assert sorted(files.iterdir()) == here
