"""Contracts of the tables that the platform computes itself, one file per domain, with their declarations.

Contracts of records from outside are in `process`, `cells`, `sheets` and so on. A product that violates
its contract is a fault of the platform: nothing is stored, and the step that made it fails.

New files in this folder are found automatically.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from battery_platform.contracts.products.declaring import DECLARED, Product

for _file in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_file}")

PRODUCTS: dict[str, Product] = DECLARED
"""All products by the name of their table."""
