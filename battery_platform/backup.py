"""One consistent copy of a home: lake, registry, what was handed in, Dagster's history; and back.

While no writer commits, the databases are copied as of one moment. The lake's Parquet never changes once
it is written, so what the copied catalogue names is copied after. Caches, exports and what dbt builds
are left out, for they are made again. `backup.json` holds the hash of every file; what does not match is
not restored.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from blake3 import blake3

from battery_platform.errors import PlatformError, StoreError
from battery_platform.models import registry_file
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse, without_password

MANIFEST = "backup.json"
FORMAT = 1
FORMER_HOMES = "former_homes.json"
_MADE_AGAIN = {"lake", "registry", "export", "dbt_target", "dbt_logs", FORMER_HOMES, ".probe"}
"""Of a home, what has its own way into the copy or needs none."""
_CATALOGUE = Path("lake", "catalogue.sqlite")
_REGISTRY = Path("registry", "registry.sqlite")
_ARTIFACTS = Path("registry", "artifacts")
_BLOCK = 1 << 20
_SQLITE = b"SQLite format 3\x00"


@dataclass
class Backup:
    """What a copy holds, and in sentences what it does not."""

    place: Path
    home: Path
    snapshot: int
    made_at: str
    files: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    left_out: list[str] = field(default_factory=list)


def backup(settings: Settings, place: Path) -> Backup:
    """Copy the home to `place`, which must not be there yet; it appears whole or not at all."""
    place = place.expanduser().absolute()
    _check_can_be_copied(settings, place)
    lake = Lakehouse(settings)
    snapshot = lake.snapshot()
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    done = Backup(place, settings.home, snapshot, made_at)
    building = place.with_name(f".{place.name}-{uuid.uuid4().hex[:8]}")
    try:
        building.mkdir(parents=True)
        with lake.paused():
            done.snapshot = lake.snapshot()
            _copy_database(lake.catalogue_file, building / _CATALOGUE)
            registry = registry_file.path_of(settings)
            if registry is not None and registry.is_file():
                _copy_database(registry, building / _REGISTRY)
        lake.close()
        if registry is None:
            done.left_out.append(
                f"the registry at {without_password(settings.registry_url)}: copy it with its server"
            )
        _copy_data(Path(settings.data_path), building)
        if registry is not None:
            _copy_tree(settings.registry_artifacts, building / _ARTIFACTS, done)
        for path in sorted(settings.home.iterdir()) if settings.home.is_dir() else ():
            if path.name not in _MADE_AGAIN:
                _copy_tree(path, building / path.name, done)
        _sign(building, done)
        place.parent.mkdir(parents=True, exist_ok=True)
        building.rename(place)
    except OSError as error:
        raise StoreError(
            f"The backup to {place} failed: {error.strerror or error}.",
            "Name a place with room that you may write; nothing was left there.",
        ) from error
    finally:
        lake.close()
        shutil.rmtree(building, ignore_errors=True)
    return done


def restore(place: Path, home: Path) -> Backup:
    """Make a home of a copy. All hashes are compared before; the home appears whole or not at all."""
    place, home = place.expanduser().absolute(), home.expanduser().resolve()
    manifest = _manifest(place)
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise PlatformError(
            f"{home} holds something already.", "Name a folder that is not there by --to."
        )
    done = Backup(place, Path(manifest["home"]), manifest["snapshot"], manifest["made_at"])
    done.files, done.left_out = manifest["files"], manifest["left_out"]
    _refuse_what_is_more(place, done)
    building = home.with_name(f".{home.name}-{uuid.uuid4().hex[:8]}")
    try:
        for name, digest in done.files.items():
            done.bytes += _copy_verified(place, name, digest, building)
        _point_to(building, done.home, home, manifest["former_homes"])
        if home.exists():
            home.rmdir()
        building.rename(home)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"The restore to {home} failed: {error}.",
            "Name a place with room that you may write; nothing was left there.",
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return done


def place_now(settings: Settings, path: str) -> str:
    """Where a file lies that was handed in below a home which this one was restored from."""
    if Path(path).exists():
        return path
    for former in former_homes(settings.home):
        moved = settings.home / os.path.relpath(path, former)
        if Path(path).is_relative_to(former) and moved.is_file():
            return str(moved)
    return path


def former_homes(home: Path) -> list[str]:
    """Where this home stood before it was restored here, newest first."""
    notes = home / FORMER_HOMES
    if not notes.is_file():
        return []
    names: list[str] = json.loads(notes.read_text(encoding="utf-8"))
    return names


# -- copying --------------------------------------------------------------------------------


def _check_can_be_copied(settings: Settings, place: Path) -> None:
    if settings.on_postgres:
        raise PlatformError(
            "The lake's catalogue stands in Postgres, which `backup` does not copy.",
            "Copy it by `pg_dump` while no refresh runs, and the folder of the lake's files after it.",
        )
    if "://" in settings.data_path:
        raise PlatformError(
            f"The lake's files lie at {settings.data_path}, which `backup` does not copy.",
            "Copy them with the tools of that store.",
        )
    if not Lakehouse(settings).catalogue_file.is_file():
        raise PlatformError(
            f"There is no lake below {settings.home}.",
            "Set BATTERY_PLATFORM_HOME to the folder that holds it.",
        )
    if place.exists():
        raise PlatformError(f"{place} is there already.", "Name a folder that is not there yet.")
    if place.resolve().is_relative_to(settings.home.resolve()):
        raise PlatformError(f"{place} lies in the home itself.", "Name a folder outside it.")


def _copy_data(data: Path, building: Path) -> None:
    """All Parquet that the copied catalogue names, for every snapshot that it knows."""
    for name in files_of_catalogue(building / _CATALOGUE):
        source = data / name
        if not source.is_file():
            raise StoreError(
                f"{source} is named by the catalogue and missing: this lake is damaged.",
                "`battery-platform doctor --deep` says what is missing; restore an earlier backup.",
            )
        _copy_file(source, building / "lake" / "files" / name)


def files_of_catalogue(catalogue: Path) -> dict[str, int]:
    """Every file that a catalogue names, relative to the data path, with its size."""
    with contextlib.closing(_read_only(catalogue)) as opened:
        rows = opened.execute(
            " UNION ".join(
                f"""SELECT CASE WHEN f.path_is_relative THEN s.path || t.path || f.path
                                ELSE f.path END, f.path_is_relative, t.path_is_relative,
                           f.file_size_bytes
                    FROM {table} f JOIN ducklake_table t USING (table_id)
                    JOIN ducklake_schema s USING (schema_id)"""
                for table in ("ducklake_data_file", "ducklake_delete_file")
            )
        ).fetchall()
    for path, *are_relative, _ in rows:
        if not all(are_relative) or ".." in Path(path).parts:
            raise StoreError(
                f"The catalogue names {path}, which does not lie in the lake's own folder.",
                "Such a lake cannot be copied by `backup`.",
            )
    return {path: size for path, _, _, size in rows}


def _copy_tree(source: Path, target: Path, done: Backup) -> None:
    for path in _files_below(source, done):
        place = target / path.relative_to(source) if path != source else target
        if path.name.endswith(("-wal", "-shm", "-journal", ".lock")):
            continue
        try:
            with path.open("rb") as stream:
                is_database = stream.read(len(_SQLITE)) == _SQLITE
            (_copy_database if is_database else _copy_file)(path, place)
        except FileNotFoundError:
            done.left_out.append(f"{path}: it went while the copy was made")


def _files_below(source: Path, done: Backup) -> Iterator[Path]:
    if source.is_file():
        yield source
    for folder, folders, names in os.walk(source):
        here = Path(folder)
        for name in folders:
            if (here / name).is_symlink():
                done.left_out.append(f"{here / name}: a link to a folder")
        for name in sorted(names):
            if (here / name).is_file():
                yield here / name
            else:
                done.left_out.append(f"{here / name}: not a plain file")


def _copy_database(source: Path, target: Path) -> None:
    """As of one moment, whoever writes into it meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        contextlib.closing(_read_only(source)) as origin,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        origin.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)


def _copy_file(source: Path, target: Path, seen: Callable[[bytes], Any] = len) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with source.open("rb") as origin, target.open("wb") as copy:
        while block := origin.read(_BLOCK):
            seen(block)
            size += copy.write(block)
    shutil.copystat(source, target)
    return size


def _sign(building: Path, done: Backup) -> None:
    for path in sorted(building.rglob("*")):
        if path.is_file():
            digest = blake3()
            digest.update_mmap(path)
            done.files[path.relative_to(building).as_posix()] = digest.hexdigest()
            done.bytes += path.stat().st_size
    body = {
        "format": FORMAT,
        "home": str(done.home),
        "former_homes": former_homes(done.home),
        "snapshot": done.snapshot,
        "made_at": done.made_at,
        "left_out": done.left_out,
        "files": done.files,
    }
    text = json.dumps(body, indent=1)
    signed = json.dumps({"hash": blake3(text.encode()).hexdigest(), "backup": text})
    (building / MANIFEST).write_text(signed, encoding="utf-8")


# -- restoring ------------------------------------------------------------------------------


def _manifest(place: Path) -> dict[str, Any]:
    path = place / MANIFEST
    if not path.is_file():
        raise PlatformError(
            f"{place} is no backup: it has no {MANIFEST}.",
            "Name a folder that `battery-platform backup` made.",
        )
    try:
        signed = json.loads(path.read_text(encoding="utf-8"))
        text = signed["backup"]
        if blake3(text.encode()).hexdigest() != signed["hash"]:
            raise ValueError(path)
        manifest: dict[str, Any] = json.loads(text)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, "it was changed or cut off") from error
    if manifest["format"] != FORMAT:
        raise PlatformError(
            f"{place} has format {manifest['format']}, this version knows {FORMAT}.",
            "Restore it with the version of battery_platform that made it.",
        )
    return manifest


def _damaged(path: Path, how: str) -> StoreError:
    return StoreError(
        f"The backup is damaged: {path}: {how}. Nothing was restored.", "Use another backup."
    )


def _refuse_what_is_more(place: Path, done: Backup) -> None:
    named = {*done.files, MANIFEST}
    for path in sorted(place.rglob("*")):
        if not path.is_dir() and path.relative_to(place).as_posix() not in named:
            raise _damaged(path, "the backup does not name it")


def _copy_verified(place: Path, name: str, digest: str, building: Path) -> int:
    source = place / name
    if not source.is_file() or source.is_symlink():
        raise _damaged(source, "it is missing")
    hasher = blake3()
    try:
        size = _copy_file(source, building / name, hasher.update)
    except OSError as error:
        if error.filename == str(source):
            raise _damaged(source, error.strerror or "it cannot be read") from error
        raise
    if hasher.hexdigest() != digest:
        raise _damaged(source, "its content is not what was copied")
    return size


def _point_to(building: Path, old: Path, new: Path, former: list[str]) -> None:
    """Let lake and registry name the new home where they name an old one.

    A home that was once copied by hand still names the one before it.
    """
    homes = [str(old), *former]
    with contextlib.closing(sqlite3.connect(building / _CATALOGUE)) as catalogue, catalogue:
        for (data_path,) in catalogue.execute(
            "SELECT value FROM ducklake_metadata WHERE key = 'data_path'"
        ).fetchall():
            homes += _homes_above(data_path.rstrip("/"), "/lake/files")
        catalogue.execute(
            "UPDATE ducklake_metadata SET value = ? WHERE key = 'data_path'",
            [f"{new / 'lake' / 'files'}/"],
        )
    if (building / _REGISTRY).is_file():
        artifacts = (new / _ARTIFACTS).as_uri()
        with contextlib.closing(sqlite3.connect(building / _REGISTRY)) as registry, registry:
            for (uri,) in registry.execute(
                "SELECT DISTINCT artifact_location FROM experiments"
            ).fetchall():
                homes += _homes_above(unquote(urlsplit(uri or "").path), f"/{_ARTIFACTS}")
            for home in dict.fromkeys(homes):
                _replace_beginnings(registry, (Path(home) / _ARTIFACTS).as_uri(), artifacts)
    notes = json.dumps(list(dict.fromkeys(homes)))
    (building / FORMER_HOMES).write_text(notes, encoding="utf-8")


def _homes_above(path: str, below: str) -> list[str]:
    return [path.removesuffix(below)] if path.endswith(below) else []


def _replace_beginnings(database: sqlite3.Connection, before: str, after: str) -> None:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for _, column, *_ in database.execute(f'PRAGMA table_info("{table}")').fetchall():
            database.execute(
                f"""UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?)
                    WHERE typeof("{column}") = 'text'
                      AND ("{column}" = ? OR substr("{column}", 1, ?) = ?)""",
                [after, len(before) + 1, before, len(before) + 1, f"{before}/"],
            )
