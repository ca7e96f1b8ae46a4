"""dbt's manifest and environment: prepared ahead of load, made for one lake at run time."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from battery_platform.errors import PlatformError
from battery_platform.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from battery_platform.store.lakehouse import Lakehouse

PROJECT = PROJECT_ROOT / "dbt"
TARGET = PROJECT / "target"
MARK = TARGET / "manifest.hash"
"""Fingerprint of the project that the manifest was parsed from."""


def manifest_path() -> Path:
    """The manifest; it must have been prepared."""
    path = TARGET / "manifest.json"
    if not path.is_file():
        raise PlatformError(
            "dbt's manifest is missing.",
            "Run `make install` or any `battery-platform` command once.",
        )
    return path


def prepare_manifest() -> bool:
    """Parse the dbt project if its files changed since the last time; true if it did."""
    if not (PROJECT / "dbt_project.yml").is_file():
        raise PlatformError(
            f"The dbt project is not at {PROJECT}.",
            "Install the platform from a checkout with `make install`.",
        )
    if is_prepared():
        return False
    TARGET.mkdir(exist_ok=True)
    with FileLock(TARGET / "prepare.lock"):
        version = fingerprint()
        if is_prepared():
            return False
        made = TARGET / "parsed"
        shutil.rmtree(made, ignore_errors=True)
        done = subprocess.run(  # noqa: S603 -- our own interpreter and project
            [
                sys.executable,
                "-m",
                "dbt.cli.main",
                "parse",
                "--quiet",
                "--project-dir",
                str(PROJECT),
                "--profiles-dir",
                str(PROJECT),
                "--target-path",
                str(made),
                "--log-path",
                str(made),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
        )
        if done.returncode or not (made / "manifest.json").is_file():
            raise PlatformError(
                f"dbt cannot parse its project: {(done.stdout + done.stderr).strip()[-800:]}",
                "Correct the model it names.",
            )
        # dbt parses only what changed where it finds its own notes in the target folder
        for name in ("partial_parse.msgpack", "manifest.json"):
            if (made / name).is_file():
                (made / name).replace(TARGET / name)
        MARK.write_text(version)
    return True


def is_prepared() -> bool:
    """Whether the manifest is that of the project as it stands."""
    return (
        MARK.is_file()
        and (TARGET / "manifest.json").is_file()
        and MARK.read_text() == fingerprint()
    )


def fingerprint() -> str:
    """Hash of the dbt project's own files: the version of the models."""
    hasher = hashlib.blake2b(digest_size=16)
    for path in sorted(PROJECT.rglob("*")):
        inside = path.relative_to(PROJECT).parts
        if path.is_file() and inside[0] not in {"target", "logs", "dbt_packages"}:
            hasher.update("/".join(inside).encode())
            hasher.update(path.read_bytes())
    return hasher.hexdigest()


def environment(lake: Lakehouse) -> dict[str, str]:
    """The environment of a dbt process whose profile points to this lake."""
    settings = lake.settings
    return {
        **os.environ,
        "BATTERY_PLATFORM_DBT_LAKE": lake.attach_path,
        "BATTERY_PLATFORM_DBT_DATA": settings.data_path,
        "BATTERY_PLATFORM_DBT_SCRATCH": str(settings.home / "lake" / "dbt.duckdb"),
        "BATTERY_PLATFORM_MEMORY_MIB": str(settings.memory_limit_mib),
        "BATTERY_PLATFORM_THREADS": str(settings.threads),
        "BATTERY_PLATFORM_DBT_SPILL": str(settings.home / "lake" / "spill"),
        "DBT_LOG_PATH": str(settings.home / "dbt_logs"),
        "DBT_TARGET_PATH": str(settings.home / "dbt_target"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "PYTHONUNBUFFERED": "1",
    }
