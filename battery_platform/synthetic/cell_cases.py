"""A synthetic stand-in for the table of paper 001: 256 graphite cells of 27 cases, 85 of which count.

The paper's own table could not be had. This one has its shape: its recipes (94.5 % graphite, CMC:SBR
of 2:1, 1:3 and 2:3, 0.5 % of four additives), its ranges (gap 70 to 300 um, drying at 60 to 120 degC in
one step or two, 0.1 to 0.5 m/min, calendered or not, 55 % solids) and its gaps (rheology, adhesion and
IR drop often missing). How many cells count is set as in the paper, not simulated.

Relations that were put in, after what the paper's figures show:

- film: loading grows with the gap, less at speed; porosity rises above a gap of about 140 um, falls
  with hotter drying of thin films, and calendering takes it to 25 to 42 %;
- adhesion: best near 80 degC and 140 um, falls with the gap and above a porosity of 45 %, rises with
  CMC and with calendering, and differs by case beyond what descriptors say (0.35 of its logarithm), so
  that measuring it tells something; the IR drop falls with it, and rises with thickness;
- half-life of the capacity: a sigmoid in thickness and in IR drop, nearly linear in the logarithm of
  adhesion, best near a porosity of 36 % and bad above 50 %, longer with CMC, nanotubes, fibre and
  dispersant, and longer for hot-dried thick films;
- slurry: what makes it thick at 0.1 1/s makes it thin at 100 1/s; at 10 1/s nothing follows;
- coulombic efficiency while cycling, mixing, room and time of drying: nothing follows from or for them;
- cells of a case differ by the scatter of coating and of cell assembly; cases by that of the slurry.

So a model that finds these relations has found what was put in. Nothing about real cells can be
concluded from this table, and no figure reached on it says what would be reached on the paper's.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from battery_platform.contracts.base import columns
from battery_platform.contracts.registry import TABLES
from battery_platform.contracts.units import shown_unit
from battery_platform.synthetic.writing import write_if_changed

SOURCE_ID = "synthetic_graphite_cells"
CELLS, CASES, USABLE, CYCLES = 256, 27, 85, 50
THEORY = 372.0
DIAMETER_MM = 14.8
DRYINGS = ((60.0, 60.0), (80.0, 80.0), (100.0, 100.0), (120.0, 120.0), (60.0, 80.0), (80.0, 100.0))
GAPS = (70.0, 85.0, 100.0, 120.0, 140.0, 150.0, 180.0, 200.0, 240.0, 300.0)
SPEEDS = (0.1, 0.2, 0.3, 0.4, 0.5)

Array = npt.NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Recipe:
    """Binder and additive of a slurry, and what they do to its cells.

    Half-lives at the paper's common conditions are its own: 44 cycles for 2:1, 24 for 1:3, 12 for 2:3,
    32 with long nanotubes.
    """

    cmc_pct: float
    sbr_pct: float
    additive: str | None
    half_life: float
    first_capacity: float
    thickening: float
    conduction: float


RECIPES = (
    Recipe(2.0, 1.0, None, 44.0, 338.0, 0.9, 0.0),
    Recipe(0.75, 2.25, None, 24.0, 330.0, -0.6, 0.0),
    Recipe(1.2, 1.8, None, 12.0, 322.0, -0.2, 0.0),
    Recipe(1.2, 1.8, "long_cnt_pct", 32.0, 358.0, 1.1, 0.45),
    Recipe(1.2, 1.8, "short_cnt_pct", 26.0, 352.0, 0.8, 0.35),
    Recipe(1.2, 1.8, "carbon_fibre_pct", 18.0, 340.0, 0.5, 0.15),
    Recipe(1.2, 1.8, "dispersant_pct", 19.0, 332.0, 0.4, 0.1),
)
OFTEN = (0.16, 0.14, 0.34, 0.09, 0.09, 0.09, 0.09)
"""How often a case takes each recipe: most of the paper's are 2:3."""


def write_cell_cases(folder: Path, seed: int = 20260101) -> list[Path]:
    """Write the table and, before it, its mapping; hands back the data files.

    A file whose content would not change is left alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frame = simulate_cell_cases(seed)
    data = folder / f"{SOURCE_ID}.csv"
    write_if_changed(data.with_name(f"{data.stem}.map.yaml"), _mapping(frame).encode())
    write_if_changed(data, _written(frame).encode())
    return [data]


def simulate_cell_cases(seed: int = 20260101) -> pl.DataFrame:
    """All cells that were made, with the columns of `cell_cases`."""
    rng = np.random.default_rng(seed)
    made = [_case(number, size, rng) for number, size in enumerate(_sizes(CELLS), start=1)]
    rows = [
        row
        for case, kept in zip(made, _sizes(USABLE, rng), strict=True)
        for row in _judged(case, kept, rng)
    ]
    wanted = columns(TABLES["cell_cases"].contract)
    return pl.DataFrame(rows, schema={column.name: column.dtype for column in wanted})


def _sizes(total: int, rng: Rng | None = None) -> list[int]:
    """Cells per case, as even as can be; who has one more is drawn."""
    sizes = np.full(CASES, total // CASES)
    sizes[: total % CASES] += 1
    return [int(size) for size in (sizes if rng is None else rng.permutation(sizes))]


def _case(number: int, size: int, rng: Rng) -> list[dict[str, object]]:
    recipe = RECIPES[number - 1 if number <= len(RECIPES) else rng.choice(len(RECIPES), p=OFTEN)]
    gap, speed = float(rng.choice(GAPS)), float(rng.choice(SPEEDS))
    first, last = DRYINGS[rng.integers(len(DRYINGS))]
    compression = float(np.round(rng.uniform(18, 42), 1)) if rng.random() < 0.35 else 0.0
    additive = 0.5 if recipe.additive else 0.0
    shares = {
        "graphite_pct": 94.5,
        "carbon_black_pct": 2.5 - (additive if recipe.additive != "dispersant_pct" else 0.0),
        "cmc_pct": recipe.cmc_pct,
        "sbr_pct": recipe.sbr_pct,
        "long_cnt_pct": 0.0,
        "short_cnt_pct": 0.0,
        "carbon_fibre_pct": 0.0,
        "dispersant_pct": 0.0,
    }
    if recipe.additive:
        shares[recipe.additive] = additive
    if recipe.additive == "dispersant_pct":
        shares["graphite_pct"] = 94.0
    settings = {
        **shares,
        "case_id": f"SYN-G{number:02d}",
        "theoretical_capacity_mah_g": THEORY,
        "solid_content_pct": 55.0,
        "mixing_time_min": float(rng.choice((60.0, 90.0, 120.0))),
        "mixing_temperature_degc": round(float(rng.normal(23, 1.5)), 1),
        "coating_gap_um": gap,
        "coating_speed_m_min": speed,
        "drying_temperature_degc": first,
        "drying_final_temperature_degc": last,
        "drying_time_min": float(rng.choice((20.0, 30.0, 45.0))),
        "ambient_temperature_degc": round(float(rng.normal(21, 1.0)), 1),
        "ambient_humidity_pct": round(float(rng.normal(45, 6.0)), 0),
        "calendered": "yes" if compression else "no",
        "electrode_diameter_mm": DIAMETER_MM,
        "collector_thickness_um": 10.0,
        "electrolyte_ul": 70.0,
        "separator_thickness_um": 25.0,
        "counter_thickness_um": 250.0,
        "charge_rate_c": 1.0,
        "discharge_rate_c": 0.5,
        **_rheology(recipe, rng),
    }
    case = _Case(
        recipe, gap, speed, (first + last) / 2, compression, *rng.normal(0, (0.04, 1.2, 0.35, 0.1))
    )
    adhesion_known, ir_known = rng.random() < 0.65, rng.random() < 0.8
    return [
        {
            **settings,
            "cell_id": f"SYN-G{number:02d}-{cell:02d}",
            **_cell(
                case, adhesion_known and rng.random() < 0.85, ir_known and rng.random() < 0.9, rng
            ),
        }
        for cell in range(1, size + 1)
    ]


def _rheology(recipe: Recipe, rng: Rng) -> dict[str, float | None]:
    """Thick at rest and thin under the blade go together; in between they cross."""
    log_slurry = recipe.thickening + rng.normal(0, 0.12)
    made = {
        "viscosity_at_0p1_pa_s": 12.0 * np.exp(log_slurry + rng.normal(0, 0.05)),
        "viscosity_at_1_pa_s": 4.0 * np.exp(0.5 * log_slurry + rng.normal(0, 0.05)),
        "viscosity_at_10_pa_s": 1.5 * np.exp(rng.normal(0, 0.12)),
        "viscosity_at_100_pa_s": 0.6 * np.exp(-0.3 * log_slurry + rng.normal(0, 0.05)),
    }
    known = rng.random() < 0.6
    return {name: round(float(value), 4) if known else None for name, value in made.items()}


@dataclass(frozen=True)
class _Case:
    """Settings of a case, and how its slurry and its run differ from what was set."""

    recipe: Recipe
    gap: float
    speed: float
    drying: float
    compression: float
    loading_shift: float
    porosity_shift: float
    adhesion_shift: float
    life_shift: float


def _cell(case: _Case, adhesion_known: bool, ir_known: bool, rng: Rng) -> dict[str, object]:
    loading, porosity, compression, thickness = _film(case, rng)
    adhesion = _adhesion(case, porosity) * np.exp(rng.normal(0, 0.08))
    ir_drop = (4 + 110 / adhesion**0.6 + 0.12 * thickness) * np.exp(
        -case.recipe.conduction + rng.normal(0, 0.08)
    )
    curve = _curve(case, thickness, porosity, adhesion, ir_drop, rng)
    area = np.pi * (DIAMETER_MM / 20) ** 2
    active = 94.0 if case.recipe.additive == "dispersant_pct" else 94.5
    below = np.flatnonzero(curve[int(curve.argmax()) :] < 0.5 * curve.max())
    return {
        "compression_degree_pct": round(compression, 2),
        "thickness_um": round(thickness, 1),
        "mass_loading_mg_cm2": round(loading, 3),
        "porosity_pct": round(porosity, 2),
        "active_mass_mg": round(loading * area * active / 100, 3),
        "adhesion_n_m": round(adhesion, 2) if adhesion_known else None,
        "ir_drop_mv": round(ir_drop, 2) if ir_known else None,
        "first_efficiency_pct": round(90.5 - 0.4 * case.recipe.cmc_pct + rng.normal(0, 0.5), 2),
        "coulombic_efficiency_pct": round(99.4 + rng.normal(0, 0.2), 3),
        "max_capacity_mah_g": float(curve.max()),
        "d5_mah_g": float(curve[4]),
        "d10_mah_g": float(curve[9]),
        "d30_mah_g": float(curve[29]),
        "cycle_at_50pct_of_max": int(curve.argmax() + below[0] + 1) if len(below) else None,
        "capacities_mah_g": json.dumps(curve.tolist()),
    }


def _film(case: _Case, rng: Rng) -> tuple[float, float, float, float]:
    """Loading, porosity, compression and thickness."""
    slip = 1 - 0.06 * np.log(case.speed / 0.2)
    scatter = rng.normal(0, 0.04)
    loading = 0.1 * case.gap * 1.3 * 0.55 * 0.68 * slip * np.exp(case.loading_shift + scatter)
    open_ = _sigmoid((case.gap - 140) / 28)
    porosity = 40 + 13 * open_ - 0.16 * (case.drying - 60) * (1 - open_)
    porosity += case.porosity_shift + rng.normal(0, 0.7)
    thickness = loading / (0.1 * (1 - porosity / 100) * 2.18)
    if not case.compression:
        return float(loading), float(porosity), 0.0, float(thickness)
    dense = thickness * (1 - porosity / 100)
    pressed = max(thickness * (1 - case.compression / 100), dense / 0.75)
    return (
        float(loading),
        float(100 * (1 - dense / pressed)),
        float(100 * (1 - pressed / thickness)),
        float(pressed),
    )


def _adhesion(case: _Case, porosity: float) -> float:
    """In N/m."""
    log = 3.6 - 0.5 * ((case.drying - 80) / 35) ** 2 - 0.7 * abs(np.log(case.gap / 140)) ** 1.5
    log -= 1.1 * _sigmoid((case.gap - 195) / 18) + 0.9 * _sigmoid((porosity - 47) / 3)
    log += 0.35 * (case.recipe.cmc_pct - 1.2) + 0.35 * (case.compression > 0)
    return float(np.exp(log + case.adhesion_shift))


def _curve(
    case: _Case, thickness: float, porosity: float, adhesion: float, ir_drop: float, rng: Rng
) -> Array:
    """Capacity of each cycle in mAh/g: flat, then down to what little is left."""
    life = np.log(case.recipe.half_life) + 0.75
    life += 2.0 * (_sigmoid((95 - thickness) / 14) - 0.5)
    life += 0.8 * (_sigmoid((22 - ir_drop) / 4) - 0.5) + 0.45 * np.log(adhesion / 15)
    life -= 0.0022 * (porosity - 36) ** 2 * (0.35 if porosity < 36 else 1.0)
    life += 0.9 * _sigmoid((case.gap - 180) / 15) * (case.drying - 80) / 40
    half = np.exp(life + case.life_shift + rng.normal(0, 0.1))
    cycle = np.arange(1, CYCLES + 1)
    first = case.recipe.first_capacity * (1 - 0.0006 * thickness) * np.exp(rng.normal(0, 0.015))
    kept = 0.03 + 0.97 / (1 + (cycle / half) ** 2.6)
    curve = first * kept * np.exp(rng.normal(0, 0.004, CYCLES))
    rounded: Array = np.round(np.clip(curve, 0, THEORY), 1)
    return rounded


def _sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def _judged(case: list[dict[str, object]], kept: int, rng: Rng) -> list[dict[str, object]]:
    """Cells farthest from the case's usual loading are out of tolerance, others stopped early."""
    usual = np.median([float(str(row["mass_loading_mg_cm2"])) for row in case])
    off = [abs(float(str(row["mass_loading_mg_cm2"])) / usual - 1) for row in case]
    order = np.argsort(off + 0.05 * rng.random(len(case)))
    return [
        _rejected(row, off[place], rng) if rank >= kept else row | {"qc_status_code": "ok"}
        for rank, (place, row) in enumerate((int(place), case[place]) for place in order)
    ]


def _rejected(row: dict[str, object], off: float, rng: Rng) -> dict[str, object]:
    """What is known of a cell that does not count: less than of the others."""
    late = ("d30_mah_g", "cycle_at_50pct_of_max", "coulombic_efficiency_pct")
    if off > 0.1:
        return row | {"qc_status_code": "electrode_out_of_tolerance"}
    if rng.random() < 0.35:
        none = ("ir_drop_mv", "first_efficiency_pct", "max_capacity_mah_g", "d5_mah_g", "d10_mah_g")
        gone: dict[str, object] = dict.fromkeys((*none, *late, "capacities_mah_g"))
        return row | gone | {"qc_status_code": "formation_incomplete"}
    cycles = int(rng.integers(11, 29))
    curve = json.loads(str(row["capacities_mah_g"]))[:cycles]
    return (
        row
        | dict.fromkeys(late)
        | {"capacities_mah_g": json.dumps(curve), "qc_status_code": "cycling_incomplete"}
    )


def _header(column: str) -> str:
    unit = shown_unit(column)
    return f"{column} [{unit.split()[0]}]" if unit else column


def _written(frame: pl.DataFrame) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_header(name) for name in frame.columns)
    writer.writerows(["" if value is None else value for value in row] for row in frame.iter_rows())
    return out.getvalue()


def _mapping(frame: pl.DataFrame) -> str:
    head = [
        f"source: {SOURCE_ID}",
        "table: cell_cases",
        "synthetic: true",
        "licence: CC0-1.0 (generated)",
        "citation: battery_platform synthetic graphite cells, in the shape of paper 001",
        "delimiter: ','",
        "decimal: '.'",
        "columns:",
    ]
    named = [
        f"  {name}: {{header: {json.dumps(_header(name), ensure_ascii=False)}}}"
        for name in frame.columns
    ]
    return "\n".join([*head, *named]) + "\n"
