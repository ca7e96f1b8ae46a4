"""How much a refresh of each size makes and simulates: the same for the command line and the schedule."""

from __future__ import annotations

from typing import Any

import dagster as dg

DEMO, NIGHTLY, FULL = "demo", "nightly", "full"
GRADED_CELLS = {DEMO: 768, NIGHTLY: 4096, FULL: 8192}
HALF_CELLS = {DEMO: 768, NIGHTLY: 1024, FULL: 4096}
"""Simulated for the surrogates."""
PLANT_BATCHES = {DEMO: 200, NIGHTLY: 400, FULL: 1000}
"""Slurry batches of the simulated plant."""


def run_config(size: str, rebuild: bool = False) -> dict[str, Any]:
    """What the steps of a refresh are told; `rebuild` has the marts built although nothing is new."""
    points = {
        dg.AssetKey(["sources", "synthetic_plant"]): {"batches": PLANT_BATCHES[size]},
        dg.AssetKey(["electrochemistry", "graded_space"]): {"points": GRADED_CELLS[size]},
        dg.AssetKey(["electrochemistry", "half_cell_sweep"]): {"points": HALF_CELLS[size]},
    }
    return {
        "ops": {key.to_python_identifier(): {"config": config} for key, config in points.items()}
        | {"dbt_models": {"config": {"only_if_new": not rebuild}}}
    }
