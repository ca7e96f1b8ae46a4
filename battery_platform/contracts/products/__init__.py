"""Contracts of what the platform makes itself, one file per domain, each product declared beside its own.

Records that come from outside are in `process`, `cells`, `sheets` and their neighbours. A product that
breaks its contract is a fault of ours: nothing of it is stored, and the step that made it fails.

A new file in this folder is found by itself.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from battery_platform.contracts.products.declaring import DECLARED, Product

for _file in sorted(found.name for found in iter_modules(__path__)):
    import_module(f"{__name__}.{_file}")

PRODUCTS: dict[str, Product] = DECLARED
"""All products by the name of their table."""
