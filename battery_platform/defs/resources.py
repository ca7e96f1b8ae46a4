"""Resources: the lakehouse and dbt, made from settings."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from battery_platform.settings import Settings

if TYPE_CHECKING:
    from battery_platform.store.lakehouse import Lakehouse


@lru_cache(maxsize=4)
def _lake(settings: Settings) -> Lakehouse:
    from battery_platform.store.lakehouse import Lakehouse

    return Lakehouse(settings)


class LakehouseResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Hands out the process's lakehouse. `home` overrides BATTERY_PLATFORM_HOME."""

    home: str = ""

    def settings(self) -> Settings:
        """Settings from the environment, with this resource's home."""
        if not self.home:
            return Settings.from_env()
        return Settings.from_env({**os.environ, "BATTERY_PLATFORM_HOME": self.home})

    def lake(self) -> Lakehouse:
        """The lakehouse; opened when first used."""
        return _lake(self.settings())

    def home_path(self) -> Path:
        return self.settings().home


def default_resources() -> dict[str, Any]:
    """What production uses."""
    return {"lakehouse": LakehouseResource()}
