"""The public catalogue: data sets made by others, each with licence, address and checksums.

An entry is a YAML file in `public/`. Its files are fetched by an explicit command, verified, and
then taken by the same way as any form, under the entry's own mapping. No data come with the
platform.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from battery_platform.errors import PlatformError
from battery_platform.settings import Settings

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PublicFile:
    """One file of an entry."""

    name: str
    size_bytes: int
    sha256: str
    mapping: dict[str, Any] | None
    skip: str
    mirror_only: bool


@dataclass(frozen=True)
class Entry:
    """One data set."""

    id: str
    title: str
    licence: str
    licence_note: str
    citation: str
    address: str
    files: tuple[PublicFile, ...]

    def url(self, item: PublicFile) -> str | None:
        return None if item.mirror_only else f"{self.address}/{quote(item.name)}"

    def folder(self, settings: Settings) -> Path:
        return settings.public_folder / self.id

    def fetched(self, settings: Settings) -> bool:
        """All files that go into tables are here and have their sizes."""
        return all(
            (self.folder(settings) / item.name).is_file()
            and (self.folder(settings) / item.name).stat().st_size == item.size_bytes
            for item in self.files
            if item.mapping
        )

    @property
    def tables(self) -> set[str]:
        """The tables that its files go into."""
        return {item.mapping["table"] for item in self.files if item.mapping}

    def mapping(self, item: PublicFile) -> dict[str, Any]:
        """The file's mapping with what the entry states for all of them."""
        common = {"source": self.id, "licence": self.licence, "citation": self.citation.strip()}
        return common | (item.mapping or {})


@lru_cache(maxsize=1)
def entries() -> dict[str, Entry]:
    """All entries, by id."""
    folder = package_files("battery_platform.records").joinpath("public")
    found = {}
    for source in sorted(folder.iterdir(), key=lambda item: item.name):
        if source.name.endswith(".yaml"):
            entry = _entry(yaml.safe_load(source.read_text(encoding="utf-8")))
            found[entry.id] = entry
    return found


def _entry(content: dict[str, Any]) -> Entry:
    listed = tuple(
        PublicFile(
            name=item["name"],
            size_bytes=item["size_bytes"],
            sha256=item["sha256"],
            mapping=item.get("mapping"),
            skip=item.get("skip", ""),
            mirror_only=item.get("mirror_only", False),
        )
        for item in content["files"]
    )
    words = {
        name: content.get(name, "")
        for name in ("id", "title", "licence", "licence_note", "citation", "address")
    }
    return Entry(**words, files=listed)


def entry(name: str) -> Entry:
    found = entries().get(name)
    if found is None:
        raise PlatformError(
            f"The catalogue has no entry '{name}'.", f"It has: {', '.join(entries())}."
        )
    return found


@dataclass(frozen=True)
class Fetched:
    """Where a file of an entry came from."""

    name: str
    origin: str
    path: Path


def fetch(
    chosen: Entry, settings: Settings, progress: Progress = lambda name, done, total: None
) -> list[Fetched]:
    """Bring an entry's files into the public folder; each is verified before it has its name."""
    folder = chosen.folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for item in chosen.files:
        target = folder / item.name
        if target.is_file() and _digest(target) == item.sha256:
            made.append(Fetched(item.name, "here already", target))
            continue
        mirrored = settings.mirror / chosen.id / item.name if settings.mirror else None
        part = target.with_name(target.name + ".part")
        if mirrored is not None and mirrored.is_file():
            shutil.copyfile(mirrored, part)
            origin = "mirror"
        elif (url := chosen.url(item)) is not None:
            _download(url, part, item, progress)
            origin = "download"
        elif item.mapping is None:
            made.append(
                Fetched(item.name, "not fetched: only mirrors have it, no table needs it", target)
            )
            continue
        else:
            raise PlatformError(
                f"{chosen.id}: {item.name} is only to be had from a mirror.",
                "Set BATTERY_PLATFORM_MIRROR to a folder that holds it.",
            )
        found = _digest(part)
        if found != item.sha256:
            part.unlink()
            raise PlatformError(
                f"{chosen.id}: {item.name} from the {origin} has the checksum {found[:12]}..., "
                f"expected {item.sha256[:12]}...; it was removed.",
                "Fetch it again; if that persists, the source has changed.",
            )
        part.replace(target)
        made.append(Fetched(item.name, origin, target))
    return made


def _download(url: str, part: Path, item: PublicFile, progress: Progress) -> None:
    """Download with resume: what an earlier try brought is kept and continued."""
    import httpx

    have = part.stat().st_size if part.is_file() else 0
    if have >= item.size_bytes:
        part.unlink()
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        with (
            httpx.Client(timeout=30, follow_redirects=True) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            response.raise_for_status()
            resumed = have > 0 and response.status_code == 206
            done = have if resumed else 0
            with part.open("ab" if resumed else "wb") as stream:
                for block in response.iter_bytes():
                    done += len(block)
                    if done > item.size_bytes:
                        break
                    stream.write(block)
                    progress(item.name, done, item.size_bytes)
    except httpx.HTTPError as error:
        raise PlatformError(
            f"{item.name} cannot be downloaded from {url}: {str(error) or type(error).__name__}.",
            "Check the network, or set BATTERY_PLATFORM_MIRROR to a folder with a copy; "
            "what was downloaded so far is kept and continued.",
        ) from error


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
