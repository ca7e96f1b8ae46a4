"""What the cell laboratory records: half cells, their formation, their tests and cycles."""

from __future__ import annotations

import numpy as np

from battery_platform.synthetic.plant.campaigns import Campaign
from battery_platform.synthetic.plant.frames import (
    Array,
    Frame,
    Rng,
    all_but,
    identifiers,
    minutes,
    noise,
    take,
    with_gaps,
)
from battery_platform.synthetic.plant.physics import rate_penalty

MAX_CYCLE_ROWS = 11_500
"""Upper limit of cycles over all campaigns, whatever the number of batches."""


def cells_of(campaign: Campaign, electrodes: Frame, rng: Rng) -> Frame:
    """A third of the electrodes, built into half cells; some masses were never taken down."""
    chosen = np.flatnonzero(rng.random(len(electrodes["electrode_id"])) < 0.37)
    electrode, count = take(electrodes, chosen), len(chosen)
    true_mass = electrode["_loading"] * electrode["_area"] * electrode["active_material_pct"] / 100
    weighed = rng.random(count) < campaign.weighed_share
    mass = true_mass * np.where(weighed, noise(rng, count, 0.003), noise(rng, count, 0.01))
    unknown = (rng.random(count) < 0.06) | (~weighed & np.isnan(electrode["area_cm2"]))
    source = np.where(weighed, "weighed", "from_loading_and_area").astype(object)
    return electrode | {
        "cell_id": identifiers(campaign, "CE", count),
        "cell_format": np.where(electrode["_area"] > 5, "pouch", "coin").astype(object),
        "counter_electrode": np.full(count, "lithium metal (synthetic)", dtype=object),
        "active_mass_mg": np.where(unknown, np.nan, np.maximum(np.round(mass, 3), 0.01)),
        "active_mass_source": np.where(unknown, np.array(None), source),
        "assembled_at": electrode["_made_at"] + minutes(rng.uniform(3.5, 10, count) * 1440),
        "_mass": true_mass,
    }


def formations_of(campaign: Campaign, cells: Frame, rng: Rng) -> Frame:
    """First cycle at C/20; what is lost in it goes into the first discharge of an anode."""
    chemistry = campaign.chemistry
    cell = take(cells, all_but(rng, len(cells["cell_id"]), 0.06))
    count = len(cell["cell_id"])
    low_rate = rate_penalty(chemistry, np.full(count, 0.05), cell["_thickness"], cell["_porosity"])
    reversible = (
        chemistry.practical
        * (1 + 0.006 * cell["_active_effect"])
        * (1 - 0.0006 * cell["_loading"])
        * low_rate
        * noise(rng, count, 0.006)
    )
    efficiency = np.clip(rng.normal(chemistry.first_efficiency, 0.008, count), 0.8, 0.97)
    useful = np.round(reversible * cell["_mass"] / 1000, 4)
    spent = np.round(useful / efficiency, 4)
    charge, discharge = (useful, spent) if chemistry.lithiates_on_discharge else (spent, useful)
    given = 100 * useful / spent
    started_at = cell["assembled_at"] + minutes(rng.uniform(0.3, 1.5, count) * 1440)
    ended_at = started_at + minutes(rng.uniform(80, 110, count) * 60)
    ir_drop = (12 + 1400 / (cell["_adhesion"] + 4)) * rng.lognormal(0, 0.08, count)
    return cell | {
        "formation_id": identifiers(campaign, "FO", count),
        "charge_capacity_mah": charge,
        "discharge_capacity_mah": discharge,
        "coulombic_efficiency_pct": with_gaps(rng, given, 0.05),
        "specific_capacity_mah_g": 1000 * discharge / cell["active_mass_mg"],
        "theoretical_capacity_mah_g": np.full(count, chemistry.theory),
        "ir_drop_mv": with_gaps(rng, ir_drop, 0.08),
        "started_at": started_at,
        "ended_at": ended_at,
        "_reversible": reversible,
    }


def tests_of(campaign: Campaign, formations: Frame, rng: Rng) -> Frame:
    cell = take(formations, all_but(rng, len(formations["formation_id"]), 0.04))
    count = len(cell["cell_id"])
    usual_charge, usual_discharge = campaign.chemistry.rates
    charge_rate = np.full(count, usual_charge)
    discharge_rate = rng.choice([usual_discharge, 0.2, 2.0], count, p=[0.8, 0.1, 0.1])
    lower, upper = campaign.chemistry.cutoffs
    cycles = rng.integers(50, 61, count)
    hours = cycles * 0.8 * (1 / charge_rate + 1 / discharge_rate)
    started_at = cell["ended_at"] + minutes(rng.uniform(60, 900, count))
    return cell | {
        "test_id": identifiers(campaign, "TE", count),
        "charge_rate_c": with_gaps(rng, charge_rate, 0.03),
        "discharge_rate_c": with_gaps(rng, discharge_rate, 0.03),
        "lower_cutoff_v": np.full(count, lower),
        "upper_cutoff_v": np.full(count, upper),
        "temperature_degc": with_gaps(rng, rng.normal(25, 0.3, count), 0.1),
        "started_at": started_at,
        "ended_at": with_gaps(rng, started_at + minutes(hours * 60), 0.03),
        "_rate": discharge_rate,
        "cycles_of": cycles,
    }


def _retention(campaign: Campaign, test: Frame, cycle: Array, row: Array, rng: Rng) -> Array:
    """Share of the first capacity: a root law and a knee that weak adhesion brings forward."""
    chemistry, count = campaign.chemistry, len(test["test_id"])
    adhesion = test["_adhesion"]
    slope = chemistry.fade * rng.lognormal(0, 0.3, count)
    weak = 1 / (1 + np.exp((adhesion - 12) / 5))
    depth = chemistry.knee_depth * weak * rng.uniform(0.7, 1.2, count)
    knee = np.clip(32 * (adhesion / 12) ** 0.4 * rng.lognormal(0, 0.2, count), 8, 90)
    steps = 1 / (1 + np.exp(-(cycle - knee[row]) / 5))
    faded = 1 - slope[row] * np.sqrt(cycle / 50) - depth[row] * steps
    return np.asarray(np.clip(faded, 0.03, 1) * noise(rng, len(row), 0.003))


def cycles_of(campaign: Campaign, tests: Frame, budget: int, rng: Rng) -> Frame:
    count = len(tests["test_id"])
    wanted = min(int(0.6 * count), budget // 60)
    test = take(tests, np.sort(rng.permutation(count)[:wanted]))
    row = np.repeat(np.arange(wanted), test["cycles_of"])
    cycle = np.concatenate([np.arange(1, n + 1) for n in test["cycles_of"]] or [np.empty(0, int)])
    at_rate = rate_penalty(campaign.chemistry, test["_rate"], test["_thickness"], test["_porosity"])
    first = test["_reversible"] * at_rate * test["_mass"] / 1000
    discharge = np.round(first[row] * _retention(campaign, test, cycle, row, rng), 4)
    loss = (0.002 + 0.02 * np.exp(-cycle / 2)) * rng.lognormal(0, 0.2, len(row))
    charge = discharge * (1 - loss if campaign.chemistry.lithiates_on_discharge else 1 + loss)
    return take(test, row) | {
        "cycle": cycle.astype(float),
        "charge_capacity_mah": with_gaps(rng, charge, 0.01),
        "discharge_capacity_mah": discharge,
        "specific_capacity_mah_g": 1000 * discharge / test["active_mass_mg"][row],
        "theoretical_capacity_mah_g": np.full(len(row), campaign.chemistry.theory),
    }
