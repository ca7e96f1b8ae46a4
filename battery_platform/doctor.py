"""Self examination: what a person would check by hand when something does not work."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from collections.abc import Callable
from typing import Any

from battery_platform.errors import PlatformError
from battery_platform.settings import Settings

PACKAGES = (
    "dagster",
    "dagster-dbt",
    "dbt-core",
    "dbt-duckdb",
    "duckdb",
    "polars",
    "pandera",
    "mlflow",
    "pybamm",
)


def examine() -> list[dict[str, Any]]:
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
    look("lake", lambda: _lake(settings))
    look("balance", lambda: _balance(settings))
    look("model registry", lambda: _registry(settings))
    look("dbt manifest", _manifest)
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


def _lake(settings: Settings) -> tuple[str, str]:
    from battery_platform.store.lakehouse import Lakehouse

    lake = Lakehouse(settings)
    try:
        kind = "Postgres" if settings.on_postgres else "SQLite"
        return "ok", f"{kind} catalogue, snapshot {lake.snapshot()}, {len(lake.tables())} tables"
    finally:
        lake.close()


def _balance(settings: Settings) -> tuple[str, str]:
    from battery_platform.store.balance import balance
    from battery_platform.store.lakehouse import Lakehouse

    lake = Lakehouse(settings)
    try:
        found = balance(lake)
    finally:
        lake.close()
    says = (
        f"{found.files} files: {found.rows_in} rows in = {found.rows_accepted} accepted + "
        f"{found.rows_quarantined} quarantined"
    )
    return ("fails", "; ".join(found.broken)) if found.broken else ("ok", says)


def _registry(settings: Settings) -> tuple[str, str]:
    from battery_platform.models.registry import CHAMPION, aliases
    from battery_platform.models.specification import MODELS

    found = {name: aliases(settings, name).get(CHAMPION) for name in MODELS}
    named = [f"{name} {version}" for name, version in found.items() if version]
    where = settings.registry_url.split("@")[-1]
    missing = "" if len(named) == len(MODELS) else "; `battery-platform refresh` trains the others"
    return "note" if missing else "ok", f"{where}: champions {', '.join(named) or 'none'}{missing}"


def _manifest() -> tuple[str, str]:
    from battery_platform.defs.dbt_project import prepare_manifest

    return "ok", "prepared now" if prepare_manifest() else "up to date"


def _mirror(settings: Settings) -> tuple[str, str]:
    if settings.mirror is None:
        return (
            "note",
            "none set; `catalogue fetch` downloads (BATTERY_PLATFORM_MIRROR names a copy)",
        )
    found = settings.mirror.is_dir()
    return (
        "ok" if found else "fails"
    ), f"{settings.mirror} {'is there' if found else 'is no folder'}"


def _drop(settings: Settings) -> tuple[str, str]:
    from battery_platform.records.dropfolder import Folders, waiting

    folders = Folders.of(settings)
    left = sum(1 for path in folders.taken.iterdir() if path.is_file())
    return ("note" if left else "ok"), (
        f"{len(waiting(folders))} file(s) waiting in {folders.drop}, {left} taken but not finished"
    )
