"""The public catalogue: data sets made by others, each with licence, address and checksums.

An entry is a YAML file in `public/`. If it has hundreds of files, their checksums are listed
beside it (`NAME.sums`), and the YAML says what becomes of each pattern of names. The files are
fetched by an explicit command, verified, and then taken like any form, under the entry's own
mapping. No data come with the platform.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import yaml

from battery_platform.errors import PlatformError
from battery_platform.settings import Settings

if TYPE_CHECKING:
    import httpx

Progress = Callable[[str, int], None]
"""Called with a file's name and the number of its bytes that arrived since the last call."""


OF_READERS: dict[str, tuple[str, ...]] = {
    "cycler": ("test_points", "test_cycles"),
    "rheocompass": ("flow_tests", "flow_points"),
    "assembly_log": ("line_runs", "line_steps", "line_events"),
    "brat_standoff": ("corpus_texts", "corpus_annotations"),
    "measeval_tsv": ("corpus_texts", "corpus_annotations"),
    "property_records": ("corpus_texts", "corpus_annotations"),
    "capacity_matrices": ("capacity_curves", "cycle_lives"),
    "labelled_volume": ("voxel_volumes",),
    "diameter_list": ("particle_sizes",),
}
"""The tables that a reader fills; a mapping that names a reader names none."""


@dataclass(frozen=True)
class Sum:
    """A line of a list of checksums."""

    sha256: str
    size_bytes: int
    name: str


@dataclass(frozen=True)
class PublicFile:
    """One file of an entry, under its name below the entry's folder."""

    name: str
    size_bytes: int
    sha256: str
    mapping: dict[str, Any] | None
    skip: str
    mirror_only: bool
    at: str = "{name}"
    """Its path below the entry's address."""
    part_of: str = ""
    """The list of checksums through which it is taken together with other files."""
    content: bytes | None = field(default=None, repr=False)
    """The bytes of a file that comes with the platform, such as a list of checksums."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that its rows go into."""
        if self.mapping is None:
            return ()
        if "reader" in self.mapping:
            return OF_READERS[self.mapping["reader"]]
        return (self.mapping["table"],)

    @property
    def needed(self) -> bool:
        """Whether rows come from this file."""
        return self.mapping is not None or bool(self.part_of)


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
    fills: dict[str, int] = field(default_factory=dict)
    """How many rows the entry brings to each table."""

    def url(self, item: PublicFile) -> str | None:
        if item.mirror_only or item.content is not None:
            return None
        return f"{self.address}/{quote(item.at.format(name=item.name))}"

    def folder(self, settings: Settings) -> Path:
        return settings.public_folder / self.id

    def here(self, settings: Settings, item: PublicFile) -> bool:
        """Whether a file was fetched, judged by its size."""
        path = self.folder(settings) / item.name
        return path.is_file() and path.stat().st_size == item.size_bytes

    def fetched(self, settings: Settings) -> bool:
        """Whether all files with rows are here, except those that only mirrors hold."""
        needed = [item for item in self.files if item.needed and not self.dispensable(item)]
        whole = all(self.here(settings, item) for item in needed)
        return whole and bool(self.takeable(settings))

    def dispensable(self, item: PublicFile) -> bool:
        """Whether the entry is of use without this file, which only mirrors hold."""
        return item.mirror_only and not item.part_of

    def takeable(self, settings: Settings) -> list[PublicFile]:
        """The files to ingest."""
        return [item for item in self.files if item.mapping and self.here(settings, item)]

    @property
    def tables(self) -> set[str]:
        """The tables that its files go into."""
        return {table for item in self.files for table in item.tables}

    def mapping(self, item: PublicFile) -> dict[str, Any]:
        """The file's mapping with what the entry states for all of them."""
        common = {"source": self.id, "licence": self.licence, "citation": self.citation.strip()}
        return common | (item.mapping or {})


# -- reading entries --------------------------------------------------------------------------


@lru_cache(maxsize=1)
def entries() -> dict[str, Entry]:
    """All entries, by id."""
    folder = package_files("battery_platform.records").joinpath("public")
    by_id = {}
    for source in sorted(folder.iterdir(), key=lambda item: item.name):
        if source.name.endswith(".yaml"):
            entry = _entry(yaml.load(source.read_bytes(), yaml.CSafeLoader), folder)
            by_id[entry.id] = entry
    return by_id


def _entry(content: dict[str, Any], folder: Traversable) -> Entry:
    words = {
        name: content.get(name, "")
        for name in ("id", "title", "licence", "licence_note", "citation", "address")
    }
    listed = [
        PublicFile(
            name=safe_name(item["name"], content["id"]),
            size_bytes=item["size_bytes"],
            sha256=item["sha256"],
            mapping=item.get("mapping"),
            skip=item.get("skip", ""),
            mirror_only=item.get("mirror_only", False),
            at=item.get("at", "{name}"),
        )
        for item in content.get("files", [])
    ]
    if "sums" in content:
        sums = folder.joinpath(safe_name(content["sums"], content["id"])).read_bytes()
        listed += _of_sums(content, sums)
    return Entry(**words, files=tuple(listed), fills=content.get("fills", {}))


def _of_sums(content: dict[str, Any], sums: bytes) -> Iterator[PublicFile]:
    """The list itself, if its files are taken together, and each listed file under its pattern."""
    name = content["sums"]
    together = content.get("together")
    if together:
        digest = hashlib.sha256(sums).hexdigest()
        yield PublicFile(name, len(sums), digest, together, "", False, content=sums)
    for listed in read_sums(sums.decode(), content["id"]):
        pattern = next(
            (item for item in content["patterns"] if fnmatchcase(listed.name, item["match"])), None
        )
        if pattern is None:
            raise PlatformError(
                f"{content['id']}: no pattern says what becomes of {listed.name}.",
                "Add a pattern with `part`, `mapping` or `skip` to the entry.",
            )
        yield PublicFile(
            listed.name,
            listed.size_bytes,
            listed.sha256,
            pattern.get("mapping"),
            pattern.get("skip", ""),
            pattern.get("mirror_only", False),
            pattern.get("at", "{name}"),
            name if pattern.get("part") else "",
        )


def read_sums(text: str, where: str) -> list[Sum]:
    """A list of checksums: on each line SHA-256, size and name."""
    sums = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split(maxsplit=2)
        if len(fields) != 3 or len(fields[0]) != 64 or not fields[1].isdecimal():
            raise PlatformError(
                f"{where}: line {number} of the list of checksums cannot be read: {line[:80]!r}.",
                "Each line holds a SHA-256, a size in bytes and a name.",
            )
        sums.append(Sum(fields[0], int(fields[1]), safe_name(fields[2], where)))
    return sums


def safe_name(name: str, where: str) -> str:
    """The name, provided that it stays below its folder; any other is refused."""
    parts = PurePosixPath(name).parts
    strange = "\\" in name or ":" in name or "\x00" in name or name.endswith((".part", "/"))
    if not parts or name.startswith("/") or ".." in parts or strange or "/".join(parts) != name:
        raise PlatformError(
            f"{where}: the name {name!r} leads out of the data set's folder, or is none.",
            "Names are relative, with forward slashes, and without '..'.",
        )
    return name


def entry(name: str) -> Entry:
    public = entries().get(name)
    if public is None:
        raise PlatformError(
            f"The catalogue has no entry '{name}'.", f"It has: {', '.join(entries())}."
        )
    return public


# -- fetching ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fetched:
    """Where a file of an entry came from."""

    name: str
    origin: str
    path: Path


def fetch(
    chosen: Entry, settings: Settings, progress: Progress = lambda name, come: None
) -> list[Fetched]:
    """Fetch an entry's files into the public folder; each gets its name only once verified."""
    with ExitStack() as stack:
        connection = _Connection(stack)
        return [_fetch_one(chosen, item, settings, connection, progress) for item in chosen.files]


def _fetch_one(
    chosen: Entry,
    item: PublicFile,
    settings: Settings,
    connection: _Connection,
    progress: Progress,
) -> Fetched:
    target = chosen.folder(settings) / safe_name(item.name, chosen.id)
    if target.is_file() and _digest(target) == item.sha256:
        progress(item.name, item.size_bytes)
        return Fetched(item.name, "here already", target)
    target.parent.mkdir(parents=True, exist_ok=True)
    mirrored = settings.mirror / chosen.id / item.name if settings.mirror else None
    unfinished = target.with_name(target.name + ".part")
    if item.content is not None:
        unfinished.write_bytes(item.content)
        origin = "platform"
    elif mirrored is not None and mirrored.is_file():
        shutil.copyfile(mirrored, unfinished)
        origin = "mirror"
    elif (url := chosen.url(item)) is not None:
        _download(connection, url, unfinished, item, progress)
        origin = "download"
    else:
        return _not_to_be_had(chosen, item, target)
    if origin != "download":
        progress(item.name, item.size_bytes)
    checksum = _digest(unfinished)
    if checksum != item.sha256:
        unfinished.unlink()
        raise PlatformError(
            f"{chosen.id}: {item.name} from the {origin} has the checksum {checksum[:12]}..., "
            f"expected {item.sha256[:12]}...; it was removed.",
            "Fetch it again; if that persists, the source has changed.",
        )
    unfinished.replace(target)
    return Fetched(item.name, origin, target)


def _not_to_be_had(chosen: Entry, item: PublicFile, target: Path) -> Fetched:
    """Report a file that only mirrors hold, or refuse if the entry cannot do without it."""
    others = any(file.mapping and not file.mirror_only for file in chosen.files)
    if item.needed and not (chosen.dispensable(item) and others):
        raise PlatformError(
            f"{chosen.id}: {item.name} is only to be had from a mirror.",
            "Set BATTERY_PLATFORM_MIRROR to a folder that holds it.",
        )
    what = "its rows are left out" if item.needed else "no table needs it"
    return Fetched(item.name, f"not fetched: only mirrors have it, {what}", target)


class _Connection:
    """One connection for all files of an entry, opened when the first of them needs it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._client: httpx.Client | None = None

    def client(self) -> httpx.Client:
        """The client, which is closed after the entry's last file."""
        import httpx

        if self._client is None:
            client = httpx.Client(timeout=30, follow_redirects=True)
            self._client = self._stack.enter_context(client)
        return self._client


def _download(
    connection: _Connection, url: str, unfinished: Path, item: PublicFile, progress: Progress
) -> None:
    """Download with resume: what an earlier attempt brought is kept and continued."""
    import httpx

    have = unfinished.stat().st_size if unfinished.is_file() else 0
    if have >= item.size_bytes:
        unfinished.unlink(missing_ok=True)
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        with connection.client().stream("GET", url, headers=headers) as response:
            response.raise_for_status()
            resumed = have > 0 and response.status_code == 206
            done = have if resumed else 0
            progress(item.name, done)
            with unfinished.open("ab" if resumed else "wb") as stream:
                for block in response.iter_bytes():
                    done += len(block)
                    if done > item.size_bytes:
                        break
                    stream.write(block)
                    progress(item.name, len(block))
    except httpx.HTTPError as error:
        raise PlatformError(
            f"{item.name} cannot be downloaded from {url}: {str(error) or type(error).__name__}.",
            "Check the network, or set BATTERY_PLATFORM_MIRROR to a folder with a copy; "
            "what was downloaded so far is kept and continued.",
        ) from error


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
