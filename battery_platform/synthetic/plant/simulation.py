"""All tables of one campaign, step after step in the order of the process."""

from __future__ import annotations

from battery_platform.synthetic.plant.campaigns import Campaign
from battery_platform.synthetic.plant.cell_lab import (
    MAX_CYCLE_ROWS,
    cells_of,
    cycles_of,
    formations_of,
    tests_of,
)
from battery_platform.synthetic.plant.electrode_line import (
    calenderings_of,
    coatings_of,
    dryings_of,
    electrodes_of,
    material_lots,
    mixing_schedule,
    slurry_batches,
)
from battery_platform.synthetic.plant.frames import Frame, Rng


def records_of_campaign(campaign: Campaign, batches: int, rng: Rng) -> dict[str, Frame]:
    """All tables of one campaign. Columns with a leading underscore are truths nobody recorded."""
    mixed_at = mixing_schedule(campaign, batches, rng)
    lots = material_lots(campaign, mixed_at, rng)
    slurries = slurry_batches(campaign, lots, mixed_at, rng)
    coatings = coatings_of(campaign, slurries, rng)
    dryings = dryings_of(campaign, coatings, rng)
    calenderings = calenderings_of(campaign, dryings, rng)
    electrodes = electrodes_of(campaign, dryings, calenderings, rng)
    cells = cells_of(campaign, electrodes, rng)
    formations = formations_of(campaign, cells, rng)
    tests = tests_of(campaign, formations, rng)
    cycles = cycles_of(campaign, tests, int(MAX_CYCLE_ROWS * campaign.share), rng)
    return {
        "material_lots": lots,
        "slurry_batches": slurries,
        "coatings": coatings,
        "dryings": dryings,
        "calenderings": calenderings,
        "electrodes": electrodes,
        "cells": cells,
        "formations": formations,
        "cycling_tests": tests,
        "test_cycles": cycles,
    }
