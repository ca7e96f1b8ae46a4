"""What can happen to a lake behind its back, by name for the tables of faults."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from battery_platform.settings import Settings


def catalogue_of(settings: Settings) -> Path:
    return settings.home / "lake" / "catalogue.sqlite"


def change(settings: Settings, *statements: str) -> None:
    with closing(sqlite3.connect(catalogue_of(settings))) as catalogue:
        for statement in statements:
            catalogue.execute(statement)
        catalogue.commit()


def catalogue_missing(settings: Settings) -> None:
    catalogue_of(settings).unlink()


def lake_missing(settings: Settings) -> None:
    (settings.home / "lake").rename(settings.home / "elsewhere")
