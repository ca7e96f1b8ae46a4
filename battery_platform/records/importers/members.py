"""The files that an importer reads: the one it was given, or those of a list of checksums.

A data set of hundreds of small files is taken as one: through the list of their checksums, whose
own hash therefore stands for all their bytes. Each is verified as it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from battery_platform.errors import PlatformError
from battery_platform.records.catalogue import read_sums
from battery_platform.records.instruments.model import Instrument, Tidy
from battery_platform.records.reading import refuse

LIST = ".sums"


@dataclass(frozen=True)
class Member:
    """One file, with its name within the data set."""

    name: str
    path: Path
    sha256: str = ""

    @property
    def stem(self) -> str:
        """The name without folders and ending."""
        return PurePosixPath(self.name).stem

    def content(self) -> bytes:
        """The file's bytes; those of a listed file are verified against its checksum."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError as error:
            raise refuse(
                self.path, f"there is no file {self.name}.", "Fetch the data set again."
            ) from error
        except OSError as error:
            raise refuse(
                self.path, f"the file cannot be read ({error.strerror}).", "Check its permissions."
            ) from error
        if self.sha256 and hashlib.sha256(data).hexdigest() != self.sha256:
            raise refuse(
                self.path,
                f"{self.name} has not the checksum that the list says.",
                "Fetch the data set again.",
            )
        return data

    def text(self) -> str:
        """The file's text, with its original line ends."""
        try:
            return self.content().decode()
        except UnicodeDecodeError as error:
            raise refuse(
                self.path,
                f"byte {error.start} of {self.name} is no UTF-8, so characters cannot be counted.",
                "Store the text as UTF-8.",
            ) from error


def members(path: Path) -> list[Member]:
    """The files that a path stands for: itself, or those of a list."""
    if path.suffix != LIST:
        return [Member(path.name, path)]
    try:
        listed = read_sums(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeError) as error:
        raise refuse(path, f"the list cannot be read: {error}.", "Fetch it again.") from error
    except PlatformError as error:
        raise refuse(path, str(error), "Fetch it again.") from error
    return [Member(entry.name, path.parent / entry.name, entry.sha256) for entry in listed]


def is_list(path: Path) -> bool:
    return path.suffix == LIST


def importer(name: str, title: str, read: Callable[[Path], list[Tidy]]) -> Instrument:
    """A reader that only a mapping can name."""
    return Instrument(name, title, lambda path: False, read)
