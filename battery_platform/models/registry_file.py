"""The registry where it is a local SQLite file, read without MLflow, whose import costs seconds.

Only questions stand here: which version an alias names, what a version says of itself, where its
files lie. Whoever changes the registry goes through MLflow, in `registry`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from battery_platform.settings import Settings

BUSY_S = 30.0


def path_of(settings: Settings) -> Path | None:
    """The registry's file; None where it is a server or another kind of database."""
    url = settings.registry_url
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def can_be_read(settings: Settings) -> bool:
    """Whether there is a file with the tables that are asked here."""
    path = path_of(settings)
    if path is None or not path.is_file():
        return False
    with _opened(path) as registry:
        present = registry.execute(
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN "
            "('registered_model_aliases', 'model_versions', 'model_version_tags')"
        ).fetchone()
    return bool(present[0] == 3)


def aliases(settings: Settings) -> dict[str, dict[str, int]]:
    """Which version each alias names, by model."""
    named: dict[str, dict[str, int]] = {}
    for model, alias, version in _rows(
        settings, "SELECT name, alias, version FROM registered_model_aliases ORDER BY 1, 2"
    ):
        named.setdefault(model, {})[alias] = int(version)
    return named


def tags(settings: Settings, name: str) -> dict[int, dict[str, str]]:
    """What each version of a model says of itself."""
    versions: dict[int, dict[str, str]] = {
        int(version): {}
        for (version,) in _rows(
            settings,
            "SELECT version FROM model_versions WHERE name = ? AND current_stage <> ?",
            name,
            DELETED,
        )
    }
    for version, key, value in _rows(
        settings, "SELECT version, key, value FROM model_version_tags WHERE name = ?", name
    ):
        versions.get(int(version), {})[key] = value
    return versions


DELETED = "Deleted_Internal"
"""MLflow's stage of a version that was deleted; its row stays."""


def folder_of(settings: Settings, name: str, version: int) -> Path | None:
    """Where the files of a version lie; None if it is unknown or they lie elsewhere."""
    folder = _stated_folder(settings, name, version)
    return folder if folder is not None and folder.is_dir() else None


def is_lost(settings: Settings, name: str, version: int) -> bool:
    """Whether a version should have its files on this host, and has not."""
    if not can_be_read(settings):
        return False
    folder = _stated_folder(settings, name, version)
    return folder is not None and not (folder / "MLmodel").is_file()


def _stated_folder(settings: Settings, name: str, version: int) -> Path | None:
    stated = _rows(
        settings,
        "SELECT storage_location FROM model_versions WHERE name = ? AND version = ? "
        "AND current_stage <> ?",
        name,
        str(version),
        DELETED,
    )
    parts = urlsplit(stated[0][0] or "") if stated else urlsplit("")
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _rows(settings: Settings, query: str, *parameters: str) -> list[tuple[str, ...]]:
    path = path_of(settings)
    assert path is not None
    with _opened(path) as registry:
        return registry.execute(query, parameters).fetchall()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Read only: a registry that is not there is not made."""
    with contextlib.closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
    ) as registry:
        yield registry
