"""What a person may ask of the lake: one statement that reads its tables, within time and memory.

The connection is read only and locked, and that is not enough: DuckDB's own lock lets the scanners of
other databases open any file, and its maintenance of a lake consists of functions that stand in a
`select`. So a question is parsed first, and what it calls must be known to read the lake alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from battery_platform.errors import StoreError

LAKE = "lake"
READS = frozenset(
    {
        *("unnest", "range", "generate_series", "repeat", "repeat_row", "json_each", "json_tree"),
        *("histogram", "histogram_values", "query_table", "pragma_version", "pragma_table_info"),
        *("duckdb_tables", "duckdb_columns", "duckdb_views", "duckdb_functions", "duckdb_types"),
        *("duckdb_keywords", "duckdb_constraints", "sqlite_master"),
        *("ducklake_snapshots", "ducklake_current_snapshot", "ducklake_table_info"),
        *("ducklake_table_changes", "ducklake_table_insertions", "ducklake_table_deletions"),
        *("ducklake_list_files", "ducklake_options"),
    }
)
"""Functions that give a table, and read nothing but their arguments and the lake."""
_SYSTEM = ("duckdb_", "pragma_", "sqlite_", "pg_")
_CATALOGUES = {"", LAKE, "system"}
_SCHEMAS = {"", "main", LAKE, "information_schema"}
_FORMS = "It answers one select, with, from, values, describe, show or summarize."
_HEADROOM_MIB = 512


def lock(reader: duckdb.DuckDBPyConnection, data_path: str) -> None:
    """From here on the connection reads files of the lake only, and nothing can change that."""
    folder = data_path.rstrip("/").replace("'", "''") + "/"
    reader.execute(f"SET allowed_directories = ['{folder}']")
    reader.execute("SET enable_external_access = false")
    reader.execute("SET lock_configuration = true")


def answer(
    reader: duckdb.DuckDBPyConnection, query: str, seconds: float, memory_mib: int
) -> list[dict[str, Any]]:
    """The rows of one statement on a locked connection; DuckDB's own errors are the caller's."""
    statement = _only_statement(reader, query)
    with _bounded(reader, seconds, memory_mib) as in_time:
        result = reader.execute(statement)
        names = _apart([column[0] for column in result.description or []])
        rows: list[dict[str, Any]] = []
        while batch := result.fetchmany(10_000):
            rows += [dict(zip(names, row, strict=True)) for row in batch]
            in_time()
    return rows


def _only_statement(reader: duckdb.DuckDBPyConnection, query: str) -> duckdb.Statement:
    try:
        query.encode()
    except UnicodeEncodeError:
        raise StoreError("The query is not valid text.", "Write it in UTF-8.") from None
    statements = reader.extract_statements(query)
    if not statements:
        raise StoreError("The query is empty.", _FORMS)
    if any(statement.type != duckdb.StatementType.SELECT for statement in statements):
        kind = next(s.type.name for s in statements if s.type != duckdb.StatementType.SELECT)
        if [s.type.name for s in statements] == ["CREATE", "SELECT"] and "pivot" in query.lower():
            raise StoreError(
                "A pivot must name its values here, for finding them makes a type.",
                "Write `pivot TABLE on COLUMN in ('a', 'b') using ...`.",
            )
        raise StoreError(f"`sql` is read-only, and this is a statement of type {kind}.", _FORMS)
    if len(statements) > 1:
        raise StoreError(f"These are {len(statements)} statements.", _FORMS)
    _check_calls(_parsed(reader, query))
    return statements[0]


def _parsed(reader: duckdb.DuckDBPyConnection, query: str) -> Any:
    literal = query.replace("'", "''")
    row = reader.execute(f"SELECT json_serialize_sql('{literal}')").fetchone()
    assert row is not None
    try:
        parsed = json.loads(row[0])
    except RecursionError:
        raise StoreError("The query is nested too deeply.", "Split it by `with`.") from None
    if parsed["error"]:  # a pragma, which the statement's type does not tell from a select
        raise StoreError("`sql` is read-only, and this statement is no select.", _FORMS)
    return parsed["statements"]


def _check_calls(parsed: Any) -> None:
    """Refuse whatever could reach beyond the lake, wherever in the statement it stands."""
    waiting = [parsed]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
            if node.get("type") == "TABLE_FUNCTION":
                _check_function(node["function"].get("function_name", "").lower())
            elif node.get("type") == "BASE_TABLE":
                _check_table(node)


def _check_function(name: str) -> None:
    if name not in READS:
        raise StoreError(
            f"`sql` reads the lake alone, and {name or 'this function'}() is not known to do so.",
            "Take files in with `battery-platform ingest`; `show tables` lists what can be read.",
        )


def _check_table(node: dict[str, Any]) -> None:
    catalogue, schema = node["catalog_name"].lower(), node["schema_name"].lower()
    name = node["table_name"].lower()
    known = catalogue in _CATALOGUES and schema in _SCHEMAS
    if not known or (name.startswith(_SYSTEM) and name not in READS):
        place = ".".join(text for text in (catalogue, schema, name) if text)
        raise StoreError(
            f"`sql` reads the lake alone, and {place} is no table of it.",
            "`show tables` lists what can be read.",
        )


def _apart(names: list[str]) -> tuple[str, ...]:
    """Each name once: the second `a` is `a_2`."""
    taken = set(names)
    given: list[str] = []
    for name in names:
        unique, number = name, 2
        while unique in given or (unique != name and unique in taken):
            unique, number = f"{name}_{number}", number + 1
        given.append(unique)
    return tuple(given)


@contextlib.contextmanager
def _bounded(reader: duckdb.DuckDBPyConnection, seconds: float, memory_mib: int) -> Iterator[Any]:
    """Stop what takes too long, and let what takes too much memory fail instead of the machine."""
    end = time.monotonic() + seconds
    late = StoreError(
        f"The query was stopped after {seconds:g} s.", "Ask for less, or allow more with --seconds."
    )
    large = StoreError(
        f"The query needs more memory than {memory_mib} MiB and what Python may use beside it.",
        "Ask for fewer rows or columns, or set BATTERY_PLATFORM_MEMORY_MIB.",
    )

    def in_time() -> None:
        if time.monotonic() > end:
            raise late

    timer = threading.Timer(seconds, reader.interrupt)
    timer.daemon = True
    timer.start()
    try:
        with _memory(2 * memory_mib + _HEADROOM_MIB):
            yield in_time
    except duckdb.InterruptException:
        raise late from None
    except (duckdb.OutOfMemoryException, MemoryError):
        raise large from None
    except RuntimeError as error:
        if "interrupted" not in str(error).lower():
            raise
        raise KeyboardInterrupt from None  # what DuckDB makes of Ctrl-C
    finally:
        timer.cancel()
        reader.interrupt()  # closing would wait for what still runs


@contextlib.contextmanager
def _memory(more_mib: int) -> Iterator[None]:
    """So much more memory for this process, where the system can say what it has.

    DuckDB's own limit counts neither the lists and texts of an expression nor the rows in Python.
    """
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        yield
        return
    import resource

    has = int(statm.read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = has + more_mib * 2**20
    bounds = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *bounds]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
