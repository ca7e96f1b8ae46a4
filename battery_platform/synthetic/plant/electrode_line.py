"""What a coating line records: material lots, slurries, coatings, dryings, calenderings, electrodes.

Each step takes the frames of those before it and adds its own columns. Cells built from the
electrodes are in `cell_lab`.
"""

from __future__ import annotations

from typing import Any

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
from battery_platform.synthetic.plant.physics import (
    coating_thickness,
    composite_density,
    slurry_viscosity,
    spring_back,
)


def mixing_schedule(campaign: Campaign, count: int, rng: Rng) -> Array:
    days = np.busday_offset(campaign.start, np.arange(count) * 3 // 2, roll="forward")
    return np.asarray(days.astype("datetime64[m]") + minutes(rng.integers(360, 840, count)))


_LOT_LETTERS = {
    "active_material": ("LA", 12),
    "conductive_additive": ("LC", 40),
    "binder": ("LB", 40),
    "solvent": ("LS", 40),
    "current_collector": ("LF", 80),
    "separator": ("LP", 80),
    "electrolyte": ("LE", 80),
}


def _lots_of(campaign: Campaign, kind: str, mixed_at: Array, rng: Rng) -> Frame:
    """Lots of one material: one for so many batches, and a spare one."""
    letters, batches_per_lot = _LOT_LETTERS[kind]
    first_use = mixed_at[::batches_per_lot]
    first_use = np.append(first_use, mixed_at[-1:])
    count = len(first_use)
    name, d50, density = campaign.chemistry.materials[kind]
    theory = campaign.chemistry.theory if kind == "active_material" else np.nan
    suppliers = [f"Supplier {letters}{n} (synthetic)" for n in rng.integers(1, 4, count)]
    sizes = np.full(count, np.nan if d50 is None else d50) * noise(rng, count, 0.05)
    return {
        "lot_id": identifiers(campaign, letters, count),
        "material_kind": np.full(count, kind, dtype=object),
        "material_name": np.full(count, name, dtype=object),
        "supplier": with_gaps(rng, np.array(suppliers, dtype=object), 0.1),
        "d50_um": sizes,
        "density_g_cm3": density * noise(rng, count, 0.003),
        "theoretical_capacity_mah_g": np.full(count, theory),
        "received_at": first_use - minutes(rng.uniform(7, 30, count) * 1440),
        "_effect": rng.normal(0, 1, count),
    }


def material_lots(campaign: Campaign, mixed_at: Array, rng: Rng) -> Frame:
    by_kind = [_lots_of(campaign, kind, mixed_at, rng) for kind in _LOT_LETTERS]
    return {name: np.concatenate([lots[name] for lots in by_kind]) for name in by_kind[0]}


def _lot_in_use(lots: Frame, kind: str, count: int) -> Frame:
    """The lot of that material from which each batch was made."""
    rows = np.flatnonzero(lots["material_kind"] == kind)
    return take(lots, rows[np.arange(count) // _LOT_LETTERS[kind][1]])


def slurry_batches(campaign: Campaign, lots: Frame, mixed_at: Array, rng: Rng) -> Frame:
    chemistry, count = campaign.chemistry, len(mixed_at)
    active, carbon, binder = (
        _lot_in_use(lots, kind, count)
        for kind in ("active_material", "conductive_additive", "binder")
    )
    am = np.round(rng.choice(chemistry.am_levels, count) + rng.normal(0, 0.05, count), 2)
    additive = np.round((100 - am) * chemistry.additive_share * noise(rng, count, 0.03), 2)
    binder_pct = np.round(100 - am - additive + rng.normal(0, 0.03, count), 2)
    solids = rng.choice(chemistry.solid_levels, count) + rng.normal(0, 0.3, count)
    density = composite_density(chemistry, am, additive, binder_pct)
    shear_rate = rng.choice([0.1, 1.0, 10.0, 100.0], count, p=[0.1, 0.15, 0.6, 0.15])
    lot_effect = np.exp(0.08 * binder["_effect"] + 0.04 * carbon["_effect"])
    ten = np.full(count, 10.0)
    at_ten = lot_effect * slurry_viscosity(chemistry, solids, density, additive, ten)
    measured = lot_effect * slurry_viscosity(chemistry, solids, density, additive, shear_rate)
    viscosity = with_gaps(rng, measured * rng.lognormal(0, 0.06, count), 0.08)
    slurry_density = 100 / (solids / density + (100 - solids) / chemistry.density("solvent"))
    return {
        "slurry_id": identifiers(campaign, "SL", count),
        "active_lot_id": with_gaps(rng, active["lot_id"], 0.02),
        "conductive_lot_id": with_gaps(rng, carbon["lot_id"], 0.05),
        "binder_lot_id": with_gaps(rng, binder["lot_id"], 0.05),
        "active_material_pct": am,
        "conductive_additive_pct": with_gaps(rng, additive, 0.03),
        "binder_pct": with_gaps(rng, binder_pct, 0.03),
        "solid_content_pct": solids,
        "viscosity_pa_s": viscosity,
        "shear_rate_1_s": np.where(np.isnan(viscosity), np.nan, shear_rate),
        "mixing_time_min": with_gaps(rng, rng.choice([60.0, 90.0, 120.0, 180.0], count), 0.06),
        "mixed_at": mixed_at,
        "_density": density,
        "_slurry_density": slurry_density,
        "_viscosity": at_ten,
        "_binder": binder_pct,
        "_binder_effect": binder["_effect"],
        "_active_effect": active["_effect"],
    }


def coatings_of(campaign: Campaign, slurries: Frame, rng: Rng) -> Frame:
    """Runs over the coater; the gap opens over weeks until it is set anew."""
    chemistry = campaign.chemistry
    kept = all_but(rng, len(slurries["slurry_id"]), 0.06)
    runs = rng.integers(1, 3, len(kept))
    rows = np.repeat(kept, runs)
    run = np.arange(len(rows)) - np.repeat(np.cumsum(runs) - runs, runs)
    slurry, count = take(slurries, rows), len(rows)
    levels = len(chemistry.gaps)
    first = np.repeat(rng.integers(0, levels, len(kept)), runs)
    gap = np.array(chemistry.gaps)[(first + run * rng.integers(1, levels, count)) % levels]
    speed = rng.choice(chemistry.speeds, count)
    coated_at = slurry["mixed_at"] + minutes(rng.uniform(30, 300, count) + 90 * run)
    days = (coated_at - np.datetime64(campaign.start)) / np.timedelta64(1, "D")
    true_gap = gap + 0.13 * (days % 42) + rng.normal(0, 1, count)
    share = 0.60 + 0.015 * np.log10(slurry["_viscosity"]) - 0.02 * np.log10(speed)
    wet = true_gap * share * noise(rng, count, 0.01)
    solids = slurry["solid_content_pct"] / 100
    temperature = rng.choice(chemistry.temperatures, count)
    porosity = (
        chemistry.porosity
        + 0.15 * (np.mean(chemistry.solid_levels) / 100 - solids)
        + 0.003 * (94 - slurry["active_material_pct"])
        + 0.0003 * (temperature - 80)
        + 0.004 * slurry["_active_effect"]
        + rng.normal(0, 0.006, count)
    )
    return slurry | {
        "coating_id": identifiers(campaign, "CO", count),
        "comma_gap_um": gap,
        "coating_speed_m_min": with_gaps(rng, speed, 0.05),
        "wet_thickness_um": with_gaps(rng, wet * noise(rng, count, 0.015), 0.15),
        "coated_at": coated_at,
        "_loading": 0.1 * wet * slurry["_slurry_density"] * solids * noise(rng, count, 0.01),
        "_porosity": porosity,
        "_temperature": temperature,
    }


def dryings_of(campaign: Campaign, coatings: Frame, rng: Rng) -> Frame:
    coating = take(coatings, all_but(rng, len(coatings["coating_id"]), 0.05))
    count = len(coating["coating_id"])
    temperature = coating["_temperature"] + rng.normal(0, 0.8, count)
    heat = np.exp((temperature - 80) / 45)
    time = (4 + 0.6 * coating["_loading"]) / np.sqrt(heat) * noise(rng, count, 0.05)
    residual = (150 + 60 * coating["_loading"]) / heat * rng.lognormal(0, 0.15, count)
    return coating | {
        "drying_id": identifiers(campaign, "DR", count),
        "drying_temperature_degc": temperature,
        "drying_time_min": with_gaps(rng, time, 0.08),
        "residual_solvent_ppm": with_gaps(rng, residual, 0.3),
        "dried_at": coating["coated_at"] + minutes(time + 5),
    }


def calenderings_of(campaign: Campaign, dryings: Frame, rng: Rng) -> Frame:
    """Passes towards a porosity; some coatings have none, some two at different degrees."""
    rows = np.repeat(
        np.arange(len(dryings["drying_id"])),
        rng.choice([0, 1, 2], len(dryings["drying_id"]), p=[0.35, 0.45, 0.2]),
    )
    drying, count = take(dryings, rows), len(rows)
    loading, porosity = drying["_loading"], drying["_porosity"]
    before = coating_thickness(loading, porosity, drying["_density"])
    temperature = rng.choice([25.0, 60.0, 75.0, 90.0], count)
    target = rng.uniform(0.26, 0.42, count)
    pressed = 1 - (1 - porosity) / (1 - target)
    pressed = np.clip(1 - (1 - pressed) / (1 + spring_back(pressed, temperature)), 0.04, 0.5)
    left = (1 - pressed) * (1 + spring_back(pressed, temperature)) * noise(rng, count, 0.004)
    after_porosity = 1 - (1 - porosity) / left
    gamma = 60 * loading**0.6 * (1 - 0.003 * (temperature - 25))
    line_load = gamma * np.log((porosity - 0.12) / (np.clip(after_porosity, 0.15, 0.6) - 0.12))
    measured_before = np.round(before * noise(rng, count, 0.004), 1)
    measured_after = np.round(measured_before * left, 1)
    compression = 100 * (1 - measured_after / measured_before)
    return drying | {
        "calendering_id": identifiers(campaign, "CA", count),
        "thickness_before_um": measured_before,
        "thickness_after_um": measured_after,
        "compression_degree_pct": with_gaps(rng, np.maximum(compression, 0), 0.1),
        "roll_temperature_degc": with_gaps(rng, temperature, 0.07),
        "line_load_n_mm": with_gaps(rng, np.maximum(line_load, 5) * noise(rng, count, 0.03), 0.12),
        "calendered_at": drying["dried_at"] + minutes(rng.uniform(0.5, 5, count) * 1440),
        "_porosity": after_porosity,
        "_compression": 1 - left,
    }


def _passes_of(electrode_coatings: Array, calenderings: Frame, rng: Rng) -> Array:
    """For each electrode the row of its calendering pass, or -1 where it was not calendered."""
    count = len(electrode_coatings)
    rows_by_coating: dict[str, list[int]] = {}
    for row, coating in enumerate(calenderings["coating_id"]):
        rows_by_coating.setdefault(coating, []).append(row)
    pick, pressed = rng.random(count), rng.random(count) > 0.15
    passes = np.full(count, -1)
    for i, coating in enumerate(electrode_coatings):
        rows = rows_by_coating.get(coating, [])
        if rows and pressed[i]:
            passes[i] = rows[int(pick[i] * len(rows))]
    return passes


def electrodes_of(campaign: Campaign, dryings: Frame, calenderings: Frame, rng: Rng) -> Frame:
    coated = len(dryings["coating_id"])
    rows = np.repeat(np.arange(coated), rng.integers(3, 5, coated))
    coating, count = take(dryings, rows), len(rows)
    passes = _passes_of(coating["coating_id"], calenderings, rng)
    pressed = passes >= 0

    def of_pass(name: str, otherwise: Any) -> Array:
        values = np.append(calenderings[name], np.array([None], dtype=calenderings[name].dtype))
        return np.where(pressed, values[passes], otherwise)

    porosity = of_pass("_porosity", coating["_porosity"]) + rng.normal(0, 0.006, count)
    loading = coating["_loading"] * noise(rng, count, 0.02)
    thickness = coating_thickness(loading, porosity, coating["_density"])
    made_at = of_pass("calendered_at", coating["dried_at"])
    adhesion = (
        campaign.chemistry.adhesion
        * np.exp(-thickness / campaign.chemistry.adhesion_depth)
        * (coating["_binder"] / 3) ** 0.8
        * np.exp(-0.012 * (coating["_temperature"] - 80) + 0.06 * coating["_binder_effect"])
        * (1 + 0.8 * of_pass("_compression", 0.0).astype(float))
        * rng.lognormal(0, 0.1, count)
    )
    pouch = np.repeat(rng.random(coated) < 0.2, np.bincount(rows, minlength=coated))
    area = np.where(pouch, 20.25, rng.choice([1.13, 1.27, 1.54], count))
    active_basis = rng.random(count) < campaign.active_basis_share
    am = coating["active_material_pct"] / 100
    return coating | {
        "electrode_id": identifiers(campaign, "EL", count),
        "calendering_id": of_pass("calendering_id", None),
        "area_cm2": with_gaps(rng, area, 0.03),
        "thickness_um": thickness * noise(rng, count, 0.003),
        "mass_loading_mg_cm2": loading * np.where(active_basis, am, 1.0),
        "loading_basis": np.where(active_basis, "active_material", "coating").astype(object),
        "porosity_pct": 100 * porosity,
        "composite_density_g_cm3": with_gaps(rng, coating["_density"], 0.12),
        "adhesion_n_m": with_gaps(rng, adhesion * noise(rng, count, 0.05), 0.15),
        "measured_at": with_gaps(rng, made_at + minutes(rng.uniform(0.2, 3, count) * 1440), 0.02),
        "_made_at": made_at,
        "_loading": loading,
        "_porosity": porosity,
        "_thickness": thickness,
        "_adhesion": adhesion,
        "_area": area,
    }
