"""battery_platform: a governed data product for lithium-ion electrode manufacturing.

Domain folders (`contracts`, `store`, `records`, ...) hold pure code; `defs` assembles it for
Dagster and `cli` for people. Importing this package imports none of them.
"""

__version__ = "0.1.0"
