"""Every path, address and limit of the platform, in one typed object.

Values come from environment variables or the defaults below. Nothing here opens a file or a
connection; `doctor` shows the result.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from battery_platform.errors import PlatformError

PROJECT_ROOT = Path(__file__).resolve().parent.parent

MIB = 1024 * 1024


def _env(name: str, help_text: str) -> dict[str, str]:
    return {"env": f"BATTERY_PLATFORM_{name}", "help": help_text}


@dataclass(frozen=True)
class Settings:
    """Where things are and how much they may use."""

    home: Path = field(
        default=PROJECT_ROOT / "data",
        metadata=_env("HOME", "folder of all data, catalogue, registry and artefacts"),
    )
    lake_catalogue: str = field(
        default="",
        metadata=_env(
            "CATALOGUE",
            "address of the lake's catalogue, e.g. postgresql://user@host:5432/lake; "
            "empty: SQLite under home",
        ),
    )
    lake_data: str = field(
        default="",
        metadata=_env("LAKE_DATA", "folder of the lake's Parquet; empty: under home"),
    )
    mirror: Path | None = field(
        default=None,
        metadata=_env("MIRROR", "folder that holds copies of the public catalogue's files"),
    )
    registry: str = field(
        default="",
        metadata=_env(
            "REGISTRY",
            "address of the model registry, e.g. http://host:5000 or postgresql://user@host/registry; "
            "empty: SQLite under home",
        ),
    )
    dask: str = field(
        default="",
        metadata=_env(
            "DASK",
            "address of a Dask scheduler for heavy maps, e.g. tcp://host:8786; "
            "empty: processes of this machine",
        ),
    )
    memory_limit_mib: int = field(
        default=512, metadata=_env("MEMORY_MIB", "memory that DuckDB may use, in MiB")
    )
    threads: int = field(
        default=min(4, os.cpu_count() or 1), metadata=_env("THREADS", "threads that DuckDB may use")
    )
    max_workbook_mib: int = field(
        default=256,
        metadata=_env("MAX_WORKBOOK_MIB", "largest unpacked size of a workbook, in MiB"),
    )
    stream_above_mib: int = field(
        default=32,
        metadata=_env("STREAM_ABOVE_MIB", "delimited files above this size are streamed"),
    )
    settle_seconds: float = field(
        default=5.0,
        metadata=_env("SETTLE_SECONDS", "a dropped file is taken once unchanged for this long"),
    )
    lock_timeout_s: float = field(
        default=120.0, metadata=_env("LOCK_TIMEOUT_S", "longest wait for another writer's commit")
    )
    keep_snapshots_days: int = field(
        default=30, metadata=_env("KEEP_SNAPSHOTS_DAYS", "unpinned snapshots expire after this")
    )
    nightly_cron: str = field(
        default="0 2 * * *", metadata=_env("NIGHTLY_CRON", "when the nightly refresh starts (UTC)")
    )

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the environment; a value that cannot be used is refused by name."""
        env = os.environ if env is None else env
        given: dict[str, object] = {}
        for item in fields(cls):
            name = item.metadata["env"]
            text = env.get(name, "").strip()
            if not text:
                continue
            try:
                given[item.name] = _convert(item.name, text)
            except ValueError as error:
                raise PlatformError(
                    f"The setting {name}={text!r} cannot be used: {error}.",
                    f"It means: {item.metadata['help']}.",
                ) from error
        return cls(**given)  # type: ignore[arg-type]

    @property
    def catalogue_url(self) -> str:
        return self.lake_catalogue or f"sqlite:{self.home / 'lake' / 'catalogue.sqlite'}"

    @property
    def on_postgres(self) -> bool:
        return self.catalogue_url.startswith(("postgres:", "postgresql:"))

    @property
    def data_path(self) -> str:
        return self.lake_data or str(self.home / "lake" / "files")

    @property
    def registry_url(self) -> str:
        if not self.registry:
            return f"sqlite:///{self.home / 'registry' / 'registry.sqlite'}"
        return self.registry.replace("postgresql://", "postgresql+psycopg2://", 1)

    @property
    def registry_artifacts(self) -> Path:
        return self.home / "registry" / "artifacts"

    @property
    def literature_folder(self) -> Path:
        return self.home / "literature"

    @property
    def drop_folder(self) -> Path:
        return self.home / "drop"

    @property
    def mappings_folder(self) -> Path:
        return self.home / "mappings"

    @property
    def public_folder(self) -> Path:
        return self.home / "public"

    @property
    def plant_folder(self) -> Path:
        return self.home / "synthetic_plant"

    @property
    def export_folder(self) -> Path:
        return self.home / "export"

    @property
    def reports_folder(self) -> Path:
        return self.home / "reports"

    @property
    def dbt_project(self) -> Path:
        return PROJECT_ROOT / "dbt"


_POSITIVE = {"memory_limit_mib", "threads", "max_workbook_mib", "stream_above_mib"}


def _convert(name: str, text: str) -> object:
    if name in {"home", "mirror"}:
        return Path(_absolute(text)).resolve()
    if name == "lake_data":
        return text if "://" in text else _absolute(text)
    if name == "nightly_cron" and not _is_cron(text):
        raise ValueError(
            "five fields are expected (minute, hour, day, month, weekday), such as '0 2 * * *'"
        )
    if name in {"settle_seconds", "lock_timeout_s"}:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            raise ValueError("a number of seconds at or above 0 is expected")
        return seconds
    if name in _POSITIVE or name == "keep_snapshots_days":
        number = int(text) if text.isdecimal() else 0
        if number < 1:
            raise ValueError("a whole number above 0 is expected")
        return number
    if name == "registry" and not text.startswith(
        ("sqlite:", "postgresql://", "postgresql+psycopg2://", "http://", "https://")
    ):
        raise ValueError("it must begin with sqlite:, postgresql:// or http(s)://")
    if name == "dask" and not text.startswith(("tcp://", "tls://", "ws://", "wss://")):
        raise ValueError("it must begin with tcp://, tls://, ws:// or wss://")
    if name == "lake_catalogue" and not text.startswith(("sqlite:", "postgres:", "postgresql:")):
        raise ValueError("it must begin with sqlite: or postgresql://")
    if name == "lake_catalogue" and text.startswith("sqlite:"):
        _absolute(text.removeprefix("sqlite:"))
    return text


def _absolute(text: str) -> str:
    """A path that is the same one from whatever folder a command is called."""
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise ValueError(f"an absolute path is expected, such as {path.resolve()}")
    return str(path)


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON = (
    {str(number): number for number in range(60)},
    {str(number): number for number in range(24)},
    {str(number): number for number in range(1, 32)},
    {str(number): number for number in range(1, 13)}
    | {month: number for number, month in enumerate(_MONTHS, start=1)},
    {str(number): number for number in range(8)}
    | {day: number for number, day in enumerate(_WEEKDAYS)},
)
"""What each field may name, and the number that it stands for."""


def made_folder(folder: Path) -> Path:
    """The folder, made if it is missing, or a refusal that says what to set."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlatformError(
            f"The folder {folder} cannot be made: {error.strerror}.",
            "Set BATTERY_PLATFORM_HOME to a folder that you may write.",
        ) from error
    return folder


def _is_cron(text: str) -> bool:
    fields = text.lower().split()
    return len(fields) == len(_CRON) and all(
        _is_cron_term(term, names)
        for field_text, names in zip(fields, _CRON, strict=True)
        for term in field_text.split(",")
    )


def _is_cron_term(term: str, names: Mapping[str, int]) -> bool:
    span, slash, step = term.partition("/")
    if slash and not (step.isdecimal() and int(step)):
        return False
    if span == "*":
        return True
    first, dash, last = span.partition("-")
    if first not in names or (dash and last not in names):
        return False
    return not dash or names[first] <= names[last]
