"""Modules that are imported when they are first used, not when they are named.

Declarations are read by each command; the libraries that their functions work with cost a quarter of
a second, which a command that only looks something up need not spend.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Lazily:
    """Stands for a module; each attribute is the module's own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
