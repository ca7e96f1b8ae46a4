"""How much a refresh makes and simulates: the same for the command line and for the schedule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """What one size of a refresh comes to."""

    plant_batches: int
    """Slurry batches of the simulated plant."""
    half_cells: int
    graded_cells: int
    """Simulated for the surrogates."""


DEMO, NIGHTLY, FULL = "demo", "nightly", "full"
SIZES = {
    DEMO: Size(plant_batches=200, half_cells=512, graded_cells=640),
    NIGHTLY: Size(plant_batches=400, half_cells=1024, graded_cells=4096),
    FULL: Size(plant_batches=1000, half_cells=4096, graded_cells=8192),
}
