"""Connections to the DuckLake lakehouse: one way to open it, everywhere.

`Lakehouse` owns the connection of its process, creates the tables, hands out cursors, runs
transactions with retries and travels in time. What is written is the business of `commit`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import duckdb
from filelock import FileLock, Timeout

from battery_platform.errors import PlatformError, StoreError
from battery_platform.settings import Settings, made_folder
from battery_platform.store.expected import Tables, expected_tables
from battery_platform.store.questions import LAKE as LAKE  # noqa: PLC0414 -- its name here too
from battery_platform.store.questions import answer, lock

EXTENSIONS = ("ducklake", "sqlite_scanner", "postgres_scanner")

Result = TypeVar("Result")
Parameters = list[Any] | dict[str, Any] | None

_HELD = "database is locked"
_TRIES, _LONGEST_PAUSE_S = 8, 3.0
_PASSING = (
    _HELD,
    "conflict",
    "could not serialize",
    "deadlock",
    "failed to commit ducklake transaction",
)
_DISK_FULL = (
    "no space left",
    "disk i/o error",
    "database or disk is full",
    "disk full",
    "file too large",
    "errno 28",
    "disk quota",
)


def install_extensions() -> None:
    """Put the extension wheels where DuckDB (and dbt) load them from; no network is needed."""
    import duckdb_extensions

    for name in EXTENSIONS:
        duckdb_extensions.import_extension(name)


def sql_text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def sql_texts(values: Iterable[str]) -> str:
    """A list of string literals, to ask whether a value is among them."""
    return f"[{', '.join(map(sql_text, values))}]"


def sql_name(value: str) -> str:
    """A quoted identifier."""
    return '"' + value.replace('"', '""') + '"'


def is_disk_full(error: BaseException) -> bool:
    return any(words in str(error).lower() for words in _DISK_FULL)


class Lakehouse:
    """The lake of one process. Cursors are cheap; threads take their own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._root: duckdb.DuckDBPyConnection | None = None
        self._readers: list[duckdb.DuckDBPyConnection] = []
        self._guard = RLock()

    # -- opening ---------------------------------------------------------------------------

    @property
    def attach_path(self) -> str:
        """What stands behind `ATTACH`: the same for Python and for dbt."""
        url = self.settings.catalogue_url
        if self.settings.on_postgres:
            return f"ducklake:postgres:{postgres_words(url)}"
        return f"ducklake:sqlite:{self.catalogue_file}"

    @property
    def catalogue_file(self) -> Path:
        """Where the catalogue lies that is a SQLite file."""
        path = self.settings.catalogue_url.removeprefix("sqlite:")
        return Path("/" + path.lstrip("/") if path.startswith("/") else path).resolve()

    def _attach(self, root: duckdb.DuckDBPyConnection) -> None:
        options = [f"DATA_PATH {sql_text(self.settings.data_path)}"]
        if not self.settings.on_postgres:
            options += ["META_JOURNAL_MODE 'WAL'", "META_BUSY_TIMEOUT 10000"]
            if not self.settings.lake_catalogue and not self.settings.lake_data:
                # catalogue and files lie together under home and may move together
                options.append("OVERRIDE_DATA_PATH true")
        root.execute(f"ATTACH {sql_text(self.attach_path)} AS {LAKE} ({', '.join(options)})")

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._root is not None:
            return self._root
        settings = self.settings
        made_folder(settings.home / "lake")
        if "://" not in settings.data_path:
            made_folder(Path(settings.data_path))
        root = duckdb.connect(
            config={
                "python_enable_replacements": "false",
                "memory_limit": f"{settings.memory_limit_mib}MiB",
                "threads": str(settings.threads),
                "temp_directory": str(settings.home / "lake" / "spill"),
                "autoinstall_known_extensions": "false",
                "preserve_insertion_order": "true",
            }
        )
        try:
            for name in EXTENSIONS[: 3 if settings.on_postgres else 2]:
                self._load(root, name)
            with self._lock("open"):
                self._retry(lambda: self._attach(root))
                root.execute(f"USE {LAKE}")
                tables = expected_tables(settings.home / "lake")
                self._retry(lambda: _create_tables(root, tables))
        except BaseException as error:
            root.close()
            if isinstance(error, duckdb.Error):
                if is_disk_full(error):
                    raise self._full(error) from error
                raise StoreError(
                    f"The lake's catalogue at {without_password(settings.catalogue_url)} cannot be "
                    f"opened: {_first_line(error)}",
                    "Check BATTERY_PLATFORM_CATALOGUE and that the server runs, and that the lake's "
                    "folder was not moved since it was made.",
                ) from None
            raise
        self._root = root
        return root

    @staticmethod
    def _load(root: duckdb.DuckDBPyConnection, name: str) -> None:
        try:
            root.execute(f"LOAD {name}")
        except duckdb.Error:
            install_extensions()
            root.execute(f"LOAD {name}")

    @contextlib.contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for one piece of work; closed whatever happens."""
        cursor = self._new_cursor()
        try:
            yield cursor
        except duckdb.Error as error:
            if is_disk_full(error):
                raise self._full(error) from error
            raise
        finally:
            cursor.close()

    def _new_cursor(self) -> duckdb.DuckDBPyConnection:
        with self._guard:
            cursor = self._open().cursor()
        try:
            cursor.execute(f"USE {LAKE}")
        except duckdb.Error as error:
            cursor.close()
            if is_disk_full(error):
                raise self._full(error) from error
            raise
        return cursor

    @contextlib.contextmanager
    def _reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for one question, which serves the next one too: telling a new one which lake
        it works on costs as much as a small question. After an error it is closed.
        """
        with self._guard:
            root = self._open()
            reader = self._readers.pop() if self._readers else None
        reader = reader or self._new_cursor()
        try:
            yield reader
        except BaseException as error:
            reader.close()
            if isinstance(error, duckdb.Error) and is_disk_full(error):
                raise self._full(error) from error
            raise
        with self._guard:
            if self._root is root:
                self._readers.append(reader)
                return
        reader.close()

    def close(self) -> None:
        with self._guard:
            while self._readers:
                self._readers.pop().close()
            if self._root is not None:
                self._root.close()
                self._root = None

    # -- reading ---------------------------------------------------------------------------

    def rows(self, sql: str, parameters: Parameters = None) -> list[tuple[Any, ...]]:
        with self._reader() as reader:
            return reader.execute(sql, parameters or []).fetchall()

    def records(self, sql: str, parameters: Parameters = None) -> list[dict[str, Any]]:
        """Rows as dictionaries, for tables that people or JSON readers see."""
        with self._reader() as reader:
            result = reader.execute(sql, parameters or [])
            names = [column[0] for column in result.description or []]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def value(self, sql: str, parameters: Parameters = None) -> Any:
        found = self.rows(sql, parameters)
        return found[0][0] if found else None

    def snapshot(self) -> int:
        """The newest snapshot: the version of all data."""
        return int(self.value(f"FROM ducklake_current_snapshot('{LAKE}')"))

    def tables(self) -> list[str]:
        """Tables and views; asked of their columns, for DuckDB's own lists read statistics too."""
        names = self.rows(
            f"SELECT DISTINCT table_name FROM duckdb_columns() WHERE database_name = '{LAKE}' "
            "ORDER BY 1"
        )
        return [name for (name,) in names]

    def ask(self, query: str, at: int | None = None, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Answer a person's question, now or as of a snapshot; `questions` says what may be asked."""
        settings = self.settings
        if not settings.on_postgres and not self.catalogue_file.is_file():
            raise StoreError(
                f"There is no lake below {settings.home}: {self.catalogue_file} is missing.",
                "Set BATTERY_PLATFORM_HOME to the lake's folder, or make one with "
                "`battery-platform refresh`.",
            )
        with duckdb.connect(
            config={
                "memory_limit": f"{settings.memory_limit_mib}MiB",
                "threads": str(settings.threads),
                "temp_directory": str(settings.home / "lake" / "spill"),
                "python_enable_replacements": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            }
        ) as reader:
            for name in EXTENSIONS[: 3 if settings.on_postgres else 2]:
                self._load(reader, name)
            options = "READ_ONLY" + (f", SNAPSHOT_VERSION {int(at)}" if at is not None else "")
            options += f", DATA_PATH {sql_text(settings.data_path)}, OVERRIDE_DATA_PATH true"
            attach = f"ATTACH {sql_text(self.attach_path)} AS {LAKE} ({options})"
            try:
                self._retry(lambda: reader.execute(attach))
                reader.execute(f"USE {LAKE}")
                lock(reader, settings.data_path)
                return answer(reader, query, seconds, settings.memory_limit_mib)
            except duckdb.Error as error:
                raise StoreError(
                    "The query failed: "
                    + re.sub(r"password=\S+", "password=***", " ".join(str(error).split())[:500])
                    + ".",
                    "Snapshots are listed by `from ducklake_snapshots('lake')`."
                    if "snapshot" in str(error).lower()
                    else 'Tables are listed by `battery-platform sql "show tables"`.',
                ) from error

    # -- writing ---------------------------------------------------------------------------

    def write(self, work: Callable[[duckdb.DuckDBPyConnection], Result]) -> Result:
        """Run `work` in one transaction, under the writers' lock, again if another writer won.

        The lock is a short one, for Parquet is written before: writers on one host take turns.
        """
        with self._guard:
            self._open()  # before the lock is taken: opening takes one of its own

        def attempt() -> Result:
            with self._lock("commit"), self.cursor() as cursor:
                cursor.execute("BEGIN TRANSACTION")
                try:
                    result = work(cursor)
                    cursor.execute("COMMIT")
                    return result
                except BaseException:
                    with contextlib.suppress(duckdb.Error):
                        cursor.execute("ROLLBACK")
                    raise

        return self._retry(attempt)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """No writer of this host commits meanwhile; readers go on."""
        with self._lock("commit"):
            yield

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        path = self.settings.home / "lake" / f"{name}.lock"
        try:
            held = FileLock(path, timeout=self.settings.lock_timeout_s)
            held.acquire()
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise
            raise StoreError(
                f"{path} cannot be written: {error.strerror}.",
                "Set BATTERY_PLATFORM_HOME to a folder that you may write.",
            ) from error
        except Timeout as error:
            raise StoreError(
                f"Another writer has held {path} for {self.settings.lock_timeout_s:g} s.",
                "Wait for it, or look for a hanging process with `battery-platform doctor`.",
            ) from error
        try:
            yield
        finally:
            held.release()

    def _full(self, error: duckdb.Error) -> StoreError:
        return StoreError(
            f"The disk under {self.settings.home} is full; nothing was stored "
            f"({_first_line(error)}).",
            "Free some space and run the same command again.",
        )

    def _retry(self, attempt: Callable[[], Result]) -> Result:
        """Again where another writer won; one that holds the whole catalogue is waited for."""
        until = time.monotonic() + self.settings.lock_timeout_s
        for number in count():
            try:
                return attempt()
            except duckdb.Error as error:
                if is_disk_full(error):
                    raise self._full(error) from error
                words = str(error).lower()
                held = _HELD in words and time.monotonic() < until
                lost = number < _TRIES - 1 and any(passing in words for passing in _PASSING)
                if not held and not lost:
                    raise
                pause = (0.02 + 0.08 * secrets.randbelow(1000) / 1000) * 2 ** min(number, _TRIES)
                time.sleep(min(pause, _LONGEST_PAUSE_S))
        raise AssertionError("unreachable")


def _create_tables(root: duckdb.DuckDBPyConnection, tables: Tables) -> None:
    """Create what is missing and bring forward what is old, in one transaction.

    A contract that gained a column gains it in the lake too.
    """
    from battery_platform.store.migrations import bring_forward, is_behind, refuse_what_is_newer
    from battery_platform.store.views import VIEWS, is_current

    have: dict[str, set[str]] = {}
    for table, column in root.execute(
        f"SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = '{LAKE}'"
    ).fetchall():
        have.setdefault(table, set()).add(column)
    refuse_what_is_newer(root, have)
    statements = []
    for table, wanted in tables.items():
        if table not in have:
            body = ", ".join(f"{sql_name(name)} {kind}" for name, kind in wanted.items())
            statements.append(f"CREATE TABLE IF NOT EXISTS {sql_name(table)} ({body})")
            continue
        statements += [
            f"ALTER TABLE {sql_name(table)} ADD COLUMN {sql_name(name)} {kind}"
            for name, kind in wanted.items()
            if name not in have[table]
        ]
    stored = dict(
        root.execute(
            f"SELECT view_name, sql FROM duckdb_views() WHERE database_name = '{LAKE}'"
        ).fetchall()
    )
    statements += [
        f"CREATE OR REPLACE VIEW {sql_name(name)} AS {sql}"
        for name, sql in VIEWS.items()
        if not is_current(name, stored.get(name))
    ]
    if not statements and not is_behind(have):
        return
    root.execute("BEGIN TRANSACTION")
    try:
        for statement in statements:
            root.execute(statement)
        bring_forward(root, have)
        root.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(duckdb.Error):
            root.execute("ROLLBACK")
        raise


def postgres_words(url: str) -> str:
    """A Postgres address in the `key=value` words that DuckDB's scanner takes."""
    parts = urlsplit(url)
    words = {
        "dbname": unquote(parts.path.lstrip("/")) or "postgres",
        "host": parts.hostname or "",
        "port": str(parts.port or ""),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or "") or os.environ.get("PGPASSWORD", ""),
    }
    for name, value in words.items():
        if any(mark in value for mark in " '\\"):
            raise PlatformError(
                f"The {name} in the catalogue's address holds a space, quote or backslash.",
                "Use a name without, or set PGPASSFILE for the password.",
            )
    return " ".join(f"{name}={value}" for name, value in words.items() if value)


def without_password(url: str) -> str:
    """An address as it may be shown."""
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", ":***@") if parts.password else url


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return re.sub(r"password=\S+", "password=***", lines[0]) if lines else type(error).__name__
