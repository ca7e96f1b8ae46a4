"""Self examination: what a person would check by hand when something does not work.

The quick one asks what costs nothing to know; the deep one also compares: rows with the manifest,
every stored row with its contract, dbt's project with what was parsed of it.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from battery_platform.errors import PlatformError
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse

PACKAGES = (
    "dagster",
    "dbt-core",
    "dbt-duckdb",
    "duckdb",
    "polars",
    "pandera",
    "mlflow",
    "pybamm",
)


def examine(deep: bool = False) -> list[dict[str, Any]]:
    """One row per thing examined: state is `ok`, `note` or `fails`."""
    rows: list[dict[str, Any]] = []

    def look(what: str, test: Callable[[], tuple[str, str]]) -> None:
        try:
            state, says = test()
        except Exception as error:  # a doctor reports every illness and goes on
            state, says = "fails", " ".join(str(error).split())[:300]
        rows.append({"what": what, "state": state, "says": says})

    look("python", lambda: ("ok", sys.version.split()[0]))
    look(
        "packages",
        lambda: ("ok", ", ".join(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES)),
    )
    look("settings", lambda: ("ok", str(Settings.from_env().home)))
    try:
        settings = Settings.from_env()
    except PlatformError:
        return rows
    look("home", lambda: _writable(settings))
    look("disk", lambda: _disk(settings))
    lake = Lakehouse(settings)  # opened once, by the first that asks it
    look("lake", lambda: _lake(lake))
    look("balance", lambda: _balance(lake) if deep else _balance_of_manifest(lake))
    if deep:
        look("contracts", lambda: _contracts(lake))
    lake.close()
    look("model registry", lambda: _registry(settings))
    look("dbt manifest", _manifest if deep else _is_manifest_current)
    look("mirror", lambda: _mirror(settings))
    look("drop folder", lambda: _drop(settings))
    return rows


def _writable(settings: Settings) -> tuple[str, str]:
    settings.home.mkdir(parents=True, exist_ok=True)
    probe = settings.home / ".probe"
    probe.write_text("")
    probe.unlink()
    return "ok", f"{settings.home} can be written"


def _disk(settings: Settings) -> tuple[str, str]:
    free = shutil.disk_usage(settings.home).free / 2**30
    return ("ok" if free > 2 else "note"), f"{free:.1f} GiB free"


def _lake(lake: Lakehouse) -> tuple[str, str]:
    kind = "Postgres" if lake.settings.on_postgres else "SQLite"
    return "ok", f"{kind} catalogue, snapshot {lake.snapshot()}, {len(lake.tables())} tables"


def _balance_of_manifest(lake: Lakehouse) -> tuple[str, str]:
    """Whether the manifest's own numbers add up; the tables are not counted."""
    files, rows_in, accepted, quarantined = lake.rows(
        """SELECT count(DISTINCT file_id), coalesce(sum(rows_in), 0),
                  coalesce(sum(rows_accepted), 0), coalesce(sum(rows_quarantined), 0)
           FROM raw_files"""
    )[0]
    says = f"{files} files: {rows_in} rows in = {accepted} accepted + {quarantined} quarantined"
    if rows_in == accepted + quarantined:
        return "ok", f"{says} (`--deep` counts the tables too)"
    return "fails", f"{says} does not add up; `battery-platform doctor --deep` names the files"


def _contracts(lake: Lakehouse) -> tuple[str, str]:
    """Every stored row against its contract, as the refresh judges it."""
    from battery_platform.contracts.registry import TABLES
    from battery_platform.store.audit import audit

    audits = {name: audit(lake, table) for name, table in TABLES.items()}
    problems = [
        f"{name}: {problem}"
        for name, judged in audits.items()
        for kind in judged.problems
        for problem in kind
    ]
    if problems:
        return "fails", "; ".join(problems[:5])
    rows = sum(judged.rows for judged in audits.values())
    return "ok", f"{rows} rows of {len(audits)} tables keep their rules"


def _balance(lake: Lakehouse) -> tuple[str, str]:
    from battery_platform.store.balance import balance

    counted = balance(lake)
    says = (
        f"{counted.files} files: {counted.rows_in} rows in = {counted.rows_accepted} accepted + "
        f"{counted.rows_quarantined} quarantined"
    )
    return ("fails", "; ".join(counted.broken)) if counted.broken else ("ok", says)


def _registry(settings: Settings) -> tuple[str, str]:
    from battery_platform.models.registry import CHAMPION, all_aliases
    from battery_platform.models.registry_file import is_lost

    named = {
        name: versions[CHAMPION]
        for name, versions in sorted(all_aliases(settings).items())
        if CHAMPION in versions
    }
    where = settings.registry_url.split("@")[-1]
    if not named:
        return "note", f"{where}: no champion yet; `battery-platform refresh` trains the models"
    gone = [
        f"{name} {version}" for name, version in named.items() if is_lost(settings, name, version)
    ]
    if gone:
        return (
            "fails",
            f"{where}: the files of {', '.join(gone)} are gone; `battery-platform refresh` trains these anew",
        )
    champions = ", ".join(f"{name} {version}" for name, version in named.items())
    return "ok", f"{where}: champions {champions}"


def _is_manifest_current() -> tuple[str, str]:
    from battery_platform.defs.dbt_project import is_prepared

    if is_prepared():
        return "ok", "up to date"
    return (
        "note",
        "dbt's files changed since it was parsed; the next command that needs it parses it",
    )


def _manifest() -> tuple[str, str]:
    from battery_platform.defs.dbt_project import prepare_manifest

    return "ok", "prepared now" if prepare_manifest() else "up to date"


def _mirror(settings: Settings) -> tuple[str, str]:
    if settings.mirror is None:
        return (
            "note",
            "none set; `catalogue fetch` downloads (BATTERY_PLATFORM_MIRROR names a copy)",
        )
    if settings.mirror.is_dir():
        return "ok", f"{settings.mirror} is there"
    return "fails", f"{settings.mirror} is no folder"


def _drop(settings: Settings) -> tuple[str, str]:
    drop = settings.drop_folder
    waiting, taken = _files(drop), _files(drop / "taken")
    return ("note" if taken else "ok"), (
        f"{waiting} file(s) in {drop}, {taken} taken but not finished"
    )


def _files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.iterdir()) if folder.is_dir() else 0
