"""The public catalogue: data sets made by others, each with licence, address and checksums.

An entry is a YAML file in `public/`; where it has hundreds of files, their checksums stand in a
list beside it (`NAME.sums`), and the YAML says what becomes of each pattern of names. Its files
are fetched by an explicit command, verified, and then taken by the same way as any form, under
the entry's own mapping. No data come with the platform.
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
"""Is told a file's name and how many of its bytes have come since it was last told."""


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
    """Where it stands below the entry's address."""
    part_of: str = ""
    """The list through which it is taken together with others."""
    content: bytes | None = field(default=None, repr=False)
    """Its bytes, where it comes with the platform: a list of checksums."""

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
        """Whether rows come from it."""
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
    """How many rows of which table are in it."""

    def url(self, item: PublicFile) -> str | None:
        if item.mirror_only or item.content is not None:
            return None
        return f"{self.address}/{quote(item.at.format(name=item.name))}"

    def folder(self, settings: Settings) -> Path:
        return settings.public_folder / self.id

    def here(self, settings: Settings, item: PublicFile) -> bool:
        """Whether a file was fetched, by its size."""
        path = self.folder(settings) / item.name
        return path.is_file() and path.stat().st_size == item.size_bytes

    def fetched(self, settings: Settings) -> bool:
        """All files that rows come from are here, save those that not everybody can have."""
        needed = [item for item in self.files if item.needed and not self.dispensable(item)]
        whole = all(self.here(settings, item) for item in needed)
        return whole and bool(self.takeable(settings))

    def dispensable(self, item: PublicFile) -> bool:
        """Whether the entry is of use without a file that only mirrors have."""
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
    found = {}
    for source in sorted(folder.iterdir(), key=lambda item: item.name):
        if source.name.endswith(".yaml"):
            entry = _entry(yaml.safe_load(source.read_text(encoding="utf-8")), folder)
            found[entry.id] = entry
    return found


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
    """The list itself, if its files are taken together, and each file under its pattern."""
    name = content["sums"]
    together = content.get("together")
    if together:
        digest = hashlib.sha256(sums).hexdigest()
        yield PublicFile(name, len(sums), digest, together, "", False, content=sums)
    for one in read_sums(sums.decode(), content["id"]):
        said = next(
            (rule for rule in content["patterns"] if fnmatchcase(one.name, rule["match"])), None
        )
        if said is None:
            raise PlatformError(
                f"{content['id']}: no pattern says what becomes of {one.name}.",
                "Add a pattern with `part`, `mapping` or `skip` to the entry.",
            )
        yield PublicFile(
            one.name,
            one.size_bytes,
            one.sha256,
            said.get("mapping"),
            said.get("skip", ""),
            said.get("mirror_only", False),
            said.get("at", "{name}"),
            name if said.get("part") else "",
        )


def read_sums(text: str, where: str) -> list[Sum]:
    """A list of checksums: on each line SHA-256, size and name."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split(maxsplit=2)
        if len(fields) != 3 or len(fields[0]) != 64 or not fields[1].isdecimal():
            raise PlatformError(
                f"{where}: line {number} of the list of checksums cannot be read: {line[:80]!r}.",
                "Each line holds a SHA-256, a size in bytes and a name.",
            )
        found.append(Sum(fields[0], int(fields[1]), safe_name(fields[2], where)))
    return found


def safe_name(name: str, where: str) -> str:
    """A name that stays below the folder it is put into; any other is refused."""
    parts = PurePosixPath(name).parts
    strange = "\\" in name or ":" in name or "\x00" in name or name.endswith((".part", "/"))
    if not parts or name.startswith("/") or ".." in parts or strange or "/".join(parts) != name:
        raise PlatformError(
            f"{where}: the name {name!r} leads out of the data set's folder, or is none.",
            "Names are relative, with forward slashes, and without '..'.",
        )
    return name


def entry(name: str) -> Entry:
    found = entries().get(name)
    if found is None:
        raise PlatformError(
            f"The catalogue has no entry '{name}'.", f"It has: {', '.join(entries())}."
        )
    return found


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
    """Bring an entry's files into the public folder; each is verified before it has its name."""
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
    part = target.with_name(target.name + ".part")
    if item.content is not None:
        part.write_bytes(item.content)
        origin = "platform"
    elif mirrored is not None and mirrored.is_file():
        shutil.copyfile(mirrored, part)
        origin = "mirror"
    elif (url := chosen.url(item)) is not None:
        _download(connection, url, part, item, progress)
        origin = "download"
    else:
        return _not_to_be_had(chosen, item, target)
    if origin != "download":
        progress(item.name, item.size_bytes)
    found = _digest(part)
    if found != item.sha256:
        part.unlink()
        raise PlatformError(
            f"{chosen.id}: {item.name} from the {origin} has the checksum {found[:12]}..., "
            f"expected {item.sha256[:12]}...; it was removed.",
            "Fetch it again; if that persists, the source has changed.",
        )
    part.replace(target)
    return Fetched(item.name, origin, target)


def _not_to_be_had(chosen: Entry, item: PublicFile, target: Path) -> Fetched:
    """A file that only mirrors have: others of the entry may do without it."""
    others = any(one.mapping and not one.mirror_only for one in chosen.files)
    if item.needed and not (chosen.dispensable(item) and others):
        raise PlatformError(
            f"{chosen.id}: {item.name} is only to be had from a mirror.",
            "Set BATTERY_PLATFORM_MIRROR to a folder that holds it.",
        )
    what = "its rows are left out" if item.needed else "no table needs it"
    return Fetched(item.name, f"not fetched: only mirrors have it, {what}", target)


class _Connection:
    """One connection for all files of an entry, opened where the first one needs it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._client: httpx.Client | None = None

    def client(self) -> httpx.Client:
        """The client; the entry's end closes it."""
        import httpx

        if self._client is None:
            client = httpx.Client(timeout=30, follow_redirects=True)
            self._client = self._stack.enter_context(client)
        return self._client


def _download(
    connection: _Connection, url: str, part: Path, item: PublicFile, progress: Progress
) -> None:
    """Download with resume: what an earlier try brought is kept and continued."""
    import httpx

    have = part.stat().st_size if part.is_file() else 0
    if have >= item.size_bytes:
        part.unlink(missing_ok=True)
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        with connection.client().stream("GET", url, headers=headers) as response:
            response.raise_for_status()
            resumed = have > 0 and response.status_code == 206
            done = have if resumed else 0
            progress(item.name, done)
            with part.open("ab" if resumed else "wb") as stream:
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
