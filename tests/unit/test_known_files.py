"""Files whose bytes are known: read once, and again only where they changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from battery_platform.records import ingest as records
from battery_platform.records import known_files
from battery_platform.records.known_files import content_hash, look_up, remembered_hashes
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.synthetic.deliveries import take_cell_cases, take_plant

LOTS = "lot_id,material_kind,material_name\nL1,electrolyte,LP30\n"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lakehouse]:
    made = Lakehouse(Settings(home=tmp_path / "home"))
    yield made
    made.close()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose bytes were read for a hash."""
    names: list[str] = []

    def noted(path: Path) -> str:
        names.append(path.name)
        return content_hash(path)

    monkeypatch.setattr(known_files, "content_hash", noted)
    monkeypatch.setattr(records, "content_hash", noted)
    return names


def written(path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is trusted at once: its time of change is not waited for."""
    monkeypatch.setattr(known_files, "FRESH_NS", -1)
    path.write_text(text)
    return path


def test_a_file_is_read_again_only_when_it_changed(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path / "home")
    path = written(tmp_path / "lots.csv", LOTS, monkeypatch)
    first = remembered_hashes(settings, [path])
    assert remembered_hashes(settings, [path]) == first == {path: content_hash(path)}
    assert opened == ["lots.csv"]
    before = path.stat()
    path.write_text(LOTS.replace("LP30", "LP57"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert remembered_hashes(settings, [path]) == {path: content_hash(path)} != first


def test_a_file_that_has_just_changed_is_not_trusted(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path / "home")
    path = written(tmp_path / "lots.csv", LOTS, monkeypatch)
    monkeypatch.setattr(known_files, "FRESH_NS", 3_600_000_000_000)
    for _ in range(2):
        remembered_hashes(settings, [path])
    assert opened == ["lots.csv"] * 2


def test_without_its_memory_files_are_read_anew(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path / "home")
    path = written(tmp_path / "lots.csv", LOTS, monkeypatch)
    remembered_hashes(settings, [path])
    (tmp_path / "home" / "lake" / "file_hashes.sqlite").write_bytes(b"spoiled" * 1000)
    assert remembered_hashes(settings, [path]) == {path: content_hash(path)}
    assert opened == ["lots.csv"] * 2
    assert remembered_hashes(settings, [tmp_path / "gone.csv"]) == {}


def test_copies_of_one_file_in_one_delivery_are_taken_once(lake: Lakehouse, tmp_path: Path) -> None:
    paths = [tmp_path / "lots.csv", tmp_path / "lots copy.csv"]
    for path in paths:
        path.write_text(LOTS)
    assert [bytes_.manifest for bytes_ in look_up(lake, paths).values()] == [None, None]
    reports = records.ingest_all(lake, paths)
    assert sorted(report.status for report in reports) == ["known", "taken"]
    assert lake.value("SELECT count(*) FROM raw_material_lots") == 1


def test_made_up_files_are_taken_once_and_then_not_opened(
    lake: Lakehouse, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_files, "FRESH_NS", -1)
    first = [*take_plant(lake, 12), *take_cell_cases(lake)]
    assert {report.status for report in first} == {"taken"}
    assert len(opened) == len(first) == 31
    opened.clear()
    again = [*take_plant(lake, 12), *take_cell_cases(lake)]
    assert {report.status for report in again} == {"known"}
    assert [report.file_id for report in again] == [report.file_id for report in first]
    assert opened == []
