"""A synthetic electrode plant: the files that two coating lines would hand in, faults included.

Here belongs the simulation of a plant's records, from material lots to cycles, and how each
campaign writes them down: language, units, encoding, dates, and mistakes. Line 1 makes NMC111
cathodes (two campaigns), line 2 graphite anodes (one). Reading such files, or judging them, does
not belong here; nor does a model of manufacturing that designs are based on.

Everything is generated, says so (`SYN-` identifiers, "(synthetic)" names, `synthetic: true` in
the mapping), and depends on the number of batches and the seed only. Faults sit on records that
no other record refers to, so that what an importer refuses is what was planted here.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from battery_platform.contracts.units import shown_unit
from battery_platform.errors import PlatformError

SOURCE_ID = "synthetic_plant"
MAX_CYCLE_ROWS = 11_500
FAULT_SHARE = 0.0125
MISSING_WORDS = ("", "-", "n/a")

FAULT_KINDS = (
    "percent_fraction_slip",
    "unit_slip",
    "negative_value",
    "recipe_103_percent",
    "loading_contradiction",
    "capacity_above_theory",
    "dangling_reference",
    "end_before_start",
    "duplicate_id",
    "text_in_number",
    "trailing_blank_line",
)

Array = npt.NDArray[Any]
Frame = dict[str, Array]
Rng = np.random.Generator


@dataclass(frozen=True, order=True)
class Fault:
    """A planted mistake: the file's name, its line (the header is line 1), field and kind.

    Both rows of a doubled identifier are listed, because nobody can tell which one is right. A
    trailing blank line has no field, and an importer may skip it instead of refusing it.
    """

    file: str
    line: int
    field: str
    kind: str


@dataclass(frozen=True)
class Chemistry:
    """What a line coats: densities in g/cm³, capacities in mAh/g, porosities as fractions."""

    materials: Mapping[str, tuple[str, float | None, float]]
    theory: float
    practical: float
    first_efficiency: float
    half_capacity_rate: float
    am_levels: tuple[float, ...]
    additive_share: float
    solid_levels: tuple[float, ...]
    packing_limit: float
    base_viscosity: float
    gaps: tuple[float, ...]
    speeds: tuple[float, ...]
    temperatures: tuple[float, ...]
    porosity: float
    adhesion: float
    adhesion_depth: float
    fade: float
    knee_depth: float
    rates: tuple[float, float]
    cutoffs: tuple[float, float]
    lithiates_on_discharge: bool

    def density(self, kind: str) -> float:
        return self.materials[kind][2]


NMC = Chemistry(
    materials={
        "active_material": ("NMC111, grade 10 (synthetic)", 8.5, 4.70),
        "conductive_additive": ("CB carbon black (synthetic)", 0.04, 1.95),
        "binder": ("PVdF (synthetic)", None, 1.78),
        "solvent": ("NMP (synthetic)", None, 1.03),
        "current_collector": ("Aluminium foil 20 µm (synthetic)", None, 2.70),
        "separator": ("Trilayer separator (synthetic)", None, 0.95),
        "electrolyte": ("1 M LiPF6 in EC/DMC (synthetic)", None, 1.28),
    },
    theory=277.8,
    practical=159.0,
    first_efficiency=0.885,
    half_capacity_rate=6.0,
    am_levels=(92.0, 92.7, 94.0, 95.0, 96.0, 97.5),
    additive_share=0.5,
    solid_levels=(55.0, 60.0, 63.0, 66.0, 69.0, 72.0),
    packing_limit=0.46,
    base_viscosity=0.35,
    gaps=(80.0, 120.0, 160.0, 200.0, 250.0, 300.0),
    speeds=(0.3, 0.5, 1.0, 2.0),
    temperatures=(80.0, 100.0, 120.0, 140.0),
    porosity=0.50,
    adhesion=120.0,
    adhesion_depth=60.0,
    fade=0.05,
    knee_depth=0.06,
    rates=(0.5, 1.0),
    cutoffs=(2.8, 4.3),
    lithiates_on_discharge=False,
)

GRAPHITE = Chemistry(
    materials={
        "active_material": ("Graphite (synthetic)", 17.0, 2.26),
        "conductive_additive": ("C45 carbon black (synthetic)", 0.05, 1.90),
        "binder": ("CMC/SBR (synthetic)", None, 1.30),
        "solvent": ("Water (synthetic)", None, 1.00),
        "current_collector": ("Copper foil 10 µm (synthetic)", None, 8.96),
        "separator": ("Glass fibre separator (synthetic)", None, 2.30),
        "electrolyte": ("1 M LiPF6 in EC/EMC (synthetic)", None, 1.25),
    },
    theory=372.0,
    practical=324.0,
    first_efficiency=0.915,
    half_capacity_rate=1.4,
    am_levels=(92.5, 93.5, 94.5, 95.5),
    additive_share=0.45,
    solid_levels=(46.0, 50.0, 53.0, 55.0, 57.0),
    packing_limit=0.48,
    base_viscosity=0.25,
    gaps=(70.0, 100.0, 140.0, 180.0, 220.0, 300.0),
    speeds=(0.1, 0.2, 0.3, 0.5),
    temperatures=(60.0, 80.0, 100.0, 120.0),
    porosity=0.505,
    adhesion=90.0,
    adhesion_depth=45.0,
    fade=0.10,
    knee_depth=0.62,
    rates=(1.0, 0.5),
    cutoffs=(0.005, 1.5),
    lithiates_on_discharge=True,
)


@dataclass(frozen=True)
class Dialect:
    """How a campaign's people write: `language` picks the headers, `units` what differs."""

    language: int
    encoding: str
    delimiter: str
    decimal: str
    newline: str
    suffix: str
    unit_brackets: tuple[str, str]
    missing: str
    timezone: str
    datetime_format: str | None
    stated: tuple[str, ...]
    units: Mapping[tuple[str, str], tuple[str, float]]
    words: Mapping[str, Mapping[str, str]]
    constants: Mapping[tuple[str, str], str | float]


@dataclass(frozen=True)
class Campaign:
    """Some months of one line."""

    code: str
    name: str
    chemistry: Chemistry
    share: float
    start: str
    active_basis_share: float
    weighed_share: float
    dialect: Dialect


ENGLISH = Dialect(
    language=0,
    encoding="utf-8",
    delimiter=",",
    decimal=".",
    newline="\n",
    suffix=".csv",
    unit_brackets=("[", "]"),
    missing="",
    timezone="UTC",
    datetime_format=None,
    stated=(),
    units={
        ("electrodes", "porosity_pct"): ("fraction", 100.0),
        ("cycling_tests", "charge_rate_c"): ("1/h", 1.0),
        ("cycling_tests", "discharge_rate_c"): ("1/h", 1.0),
    },
    words={
        "material_kind": {
            "active material": "active_material",
            "conductive additive": "conductive_additive",
            "current collector": "current_collector",
        },
        "active_mass_source": {"loading x area": "from_loading_and_area"},
    },
    constants={
        ("electrodes", "loading_basis"): "coating",
        ("test_cycles", "theoretical_capacity_mah_g"): NMC.theory,
    },
)

GERMAN = Dialect(
    language=1,
    encoding="latin-1",
    delimiter=";",
    decimal=",",
    newline="\r\n",
    suffix=".csv",
    unit_brackets=("(", ")"),
    missing="-",
    timezone="Europe/Berlin",
    datetime_format="%d.%m.%Y %H:%M",
    stated=("encoding", "delimiter", "decimal"),
    units={
        ("slurry_batches", "mixing_time_min"): ("h", 60.0),
        ("calenderings", "thickness_before_um"): ("mm", 1000.0),
        ("calenderings", "thickness_after_um"): ("mm", 1000.0),
        ("cycling_tests", "charge_rate_c"): ("1/h", 1.0),
        ("cycling_tests", "discharge_rate_c"): ("1/h", 1.0),
    },
    words={
        "material_kind": {
            "Aktivmaterial": "active_material",
            "Leitzusatz": "conductive_additive",
            "Binder": "binder",
            "Lösemittel": "solvent",
            "Stromableiter": "current_collector",
            "Separator": "separator",
            "Elektrolyt": "electrolyte",
        },
        "loading_basis": {"Beschichtung": "coating", "Aktivmaterial": "active_material"},
        "cell_format": {"Knopfzelle": "coin", "Pouchzelle": "pouch"},
        "active_mass_source": {"gewogen": "weighed", "aus Beladung": "from_loading_and_area"},
    },
    constants={
        ("cells", "counter_electrode"): "lithium metal (synthetic)",
        ("formations", "theoretical_capacity_mah_g"): GRAPHITE.theory,
        ("test_cycles", "theoretical_capacity_mah_g"): GRAPHITE.theory,
    },
)

FRENCH = Dialect(
    language=2,
    encoding="utf-16",
    delimiter="\t",
    decimal=",",
    newline="\r\n",
    suffix=".txt",
    unit_brackets=("(", ")"),
    missing="n/a",
    timezone="Europe/Paris",
    datetime_format="%d/%m/%Y %H:%M:%S",
    stated=("decimal",),
    units={
        ("slurry_batches", "active_material_pct"): ("fraction", 100.0),
        ("slurry_batches", "conductive_additive_pct"): ("fraction", 100.0),
        ("slurry_batches", "binder_pct"): ("fraction", 100.0),
        ("slurry_batches", "viscosity_pa_s"): ("mPa·s", 0.001),
        ("coatings", "comma_gap_um"): ("mm", 1000.0),
        ("electrodes", "mass_loading_mg_cm2"): ("g/m²", 0.1),
        ("cycling_tests", "charge_rate_c"): ("1/h", 1.0),
        ("cycling_tests", "discharge_rate_c"): ("1/h", 1.0),
    },
    words={
        "material_kind": {
            "matière active": "active_material",
            "additif conducteur": "conductive_additive",
            "liant": "binder",
            "solvant": "solvent",
            "collecteur": "current_collector",
            "séparateur": "separator",
            "électrolyte": "electrolyte",
        },
        "loading_basis": {"enduction": "coating", "matière active": "active_material"},
        "cell_format": {"pile bouton": "coin", "poche": "pouch"},
        "active_mass_source": {"pesée": "weighed", "grammage x surface": "from_loading_and_area"},
    },
    constants={},
)

CAMPAIGNS = (
    Campaign("A", "line1_2025a", NMC, 0.35, "2025-01-13", 0.0, 0.7, ENGLISH),
    Campaign("B", "line2_2025b", GRAPHITE, 0.40, "2025-02-10", 0.1, 0.5, GERMAN),
    Campaign("C", "line1_2025c", NMC, 0.25, "2025-08-25", 0.2, 0.3, FRENCH),
)


@dataclass(frozen=True)
class Field:
    """A contract column: its header in three languages, and the decimals of a number."""

    column: str
    headers: tuple[str, str, str]
    digits: int | None = None


# Column | English | German | French | decimals of a number in the contract's unit.
_VOCABULARY = """
lot_id | Lot | Charge | Numéro de lot
material_kind | Kind | Materialart | Type de matériau
material_name | Material | Werkstoff | Matériau
supplier | Vendor | Lieferant | Fournisseur
d50_um | D50 | D50 | D50 | 3
density_g_cm3 | Density | Dichte | Densité | 3
theoretical_capacity_mah_g | Theoretical capacity | Theoretische Kapazität | Capacité théorique | 1
received_at | Received | Wareneingang | Reçu le
slurry_id | Slurry batch | Ansatz | Lot encre
active_lot_id | Active lot | Charge Aktivmaterial | Lot matière active
conductive_lot_id | Carbon lot | Charge Leitruß | Lot noir de carbone
binder_lot_id | Binder lot | Charge Binder | Lot liant
active_material_pct | Active material | Aktivmaterial | Taux de matière active | 2
conductive_additive_pct | Carbon black | Leitruß | Noir de carbone | 2
binder_pct | Binder | Binderanteil | Liant | 2
solid_content_pct | Solid content | Feststoffgehalt | Taux de solide | 1
viscosity_pa_s | Viscosity | Viskosität | Viscosité | 3
shear_rate_1_s | Shear rate | Scherrate | Taux de cisaillement | 1
mixing_time_min | Mixing time | Mischdauer | Durée de mélange | 0
mixed_at | Mixed | Gemischt am | Mélangé le
coating_id | Coating run | Beschichtung | Enduction
comma_gap_um | Comma gap | Rakelspalt | Entrefer | 0
coating_speed_m_min | Web speed | Bahngeschwindigkeit | Vitesse d'enduction | 2
wet_thickness_um | Wet thickness | Nassdicke | Épaisseur humide | 0
coated_at | Coated | Beschichtet am | Enduit le
drying_id | Drying | Trocknung | Séchage
drying_temperature_degc | Drying temperature | Trocknungstemperatur | Température de séchage | 1
drying_time_min | Drying time | Trocknungszeit | Durée de séchage | 1
residual_solvent_ppm | Residual solvent | Restlösemittel | Solvant résiduel | 0
dried_at | Dried | Getrocknet am | Séché le
calendering_id | Calendering | Kalandrierung | Calandrage
thickness_before_um | Thickness before | Dicke vorher | Épaisseur avant | 1
thickness_after_um | Thickness after | Dicke nachher | Épaisseur après | 1
compression_degree_pct | Compression | Verdichtung | Taux de compression | 1
roll_temperature_degc | Roll temperature | Walzentemperatur | Température des rouleaux | 0
line_load_n_mm | Line load | Linienlast | Charge linéique | 0
calendered_at | Calendered | Kalandriert am | Calandré le
electrode_id | Electrode | Elektrode | Électrode
area_cm2 | Area | Fläche | Surface | 2
thickness_um | Coating thickness | Schichtdicke | Épaisseur | 1
mass_loading_mg_cm2 | Mass loading | Beladung | Masse surfacique | 2
loading_basis | Loading basis | Bezug | Base du grammage
porosity_pct | Porosity | Porosität | Porosité | 1
composite_density_g_cm3 | Solid density | Feststoffdichte | Densité solide | 3
adhesion_n_m | Peel force | Haftung | Adhérence | 1
measured_at | Measured | Gemessen am | Mesuré le
cell_id | Cell | Zelle | Cellule
cell_format | Format | Zellformat | Format
counter_electrode | Counter electrode | Gegenelektrode | Contre-électrode
active_mass_mg | Active mass | Aktivmasse | Masse active | 3
active_mass_source | Mass source | Massenquelle | Origine de la masse
assembled_at | Assembled | Montiert am | Assemblé le
formation_id | Formation | Formierung | Formation
charge_capacity_mah | Charge capacity | Ladekapazität | Capacité de charge | 4
discharge_capacity_mah | Discharge capacity | Entladekapazität | Capacité de décharge | 4
coulombic_efficiency_pct | Coulombic efficiency | Coulomb-Wirkungsgrad | Efficacité coulombique | 2
specific_capacity_mah_g | Specific capacity | Spezifische Kapazität | Capacité spécifique | 2
ir_drop_mv | IR drop | Spannungsabfall | Chute IR | 1
started_at | Start | Beginn | Début
ended_at | End | Ende | Fin
test_id | Test | Versuch | Essai
charge_rate_c | Charge rate | Laderate | Régime de charge | 2
discharge_rate_c | Discharge rate | Entladerate | Régime de décharge | 2
lower_cutoff_v | Lower cutoff | Untere Grenze | Seuil bas | 3
upper_cutoff_v | Upper cutoff | Obere Grenze | Seuil haut | 3
temperature_degc | Temperature | Temperatur | Température | 1
cycle | Cycle | Zyklus | Cycle | 0
"""

# What is written down at each step, in the files' order of columns.
_TABLES = """
material_lots: lot_id material_kind material_name supplier d50_um density_g_cm3
    theoretical_capacity_mah_g received_at
slurry_batches: slurry_id active_lot_id conductive_lot_id binder_lot_id active_material_pct
    conductive_additive_pct binder_pct solid_content_pct viscosity_pa_s shear_rate_1_s
    mixing_time_min mixed_at
coatings: coating_id slurry_id comma_gap_um coating_speed_m_min wet_thickness_um coated_at
dryings: drying_id coating_id drying_temperature_degc drying_time_min residual_solvent_ppm
    dried_at
calenderings: calendering_id drying_id thickness_before_um thickness_after_um
    compression_degree_pct roll_temperature_degc line_load_n_mm calendered_at
electrodes: electrode_id coating_id calendering_id area_cm2 thickness_um mass_loading_mg_cm2
    loading_basis porosity_pct composite_density_g_cm3 adhesion_n_m measured_at
cells: cell_id electrode_id cell_format counter_electrode active_mass_mg active_mass_source
    assembled_at
formations: formation_id cell_id charge_capacity_mah discharge_capacity_mah
    coulombic_efficiency_pct specific_capacity_mah_g theoretical_capacity_mah_g
    active_mass_source ir_drop_mv started_at ended_at
cycling_tests: test_id cell_id charge_rate_c discharge_rate_c lower_cutoff_v upper_cutoff_v
    temperature_degc started_at ended_at
test_cycles: test_id cycle charge_capacity_mah discharge_capacity_mah specific_capacity_mah_g
    theoretical_capacity_mah_g active_mass_source
"""


def _vocabulary() -> dict[str, Field]:
    found = {}
    for line in _VOCABULARY.strip().splitlines():
        column, english, german, french, *digits = line.split(" | ")
        decimals = int(digits[0]) if digits else None
        found[column] = Field(column, (english, german, french), decimals)
    return found


def _layout() -> dict[str, tuple[Field, ...]]:
    words = _vocabulary()
    tables = (entry.split(":") for entry in _TABLES.strip().replace("\n    ", " ").splitlines())
    return {table: tuple(words[name] for name in names.split()) for table, names in tables}


LAYOUT = _layout()

# Which identifier of which table a column holds; a table's own key is its first column.
_REFERENCES = {
    "active_lot_id": "material_lots",
    "conductive_lot_id": "material_lots",
    "binder_lot_id": "material_lots",
    "slurry_id": "slurry_batches",
    "coating_id": "coatings",
    "drying_id": "dryings",
    "calendering_id": "calenderings",
    "electrode_id": "electrodes",
    "cell_id": "cells",
    "test_id": "cycling_tests",
}


# --- physics --------------------------------------------------------------------------------


def composite_density(chemistry: Chemistry, am: Array, additive: Array, binder: Array) -> Array:
    """Density of the pore-free coating in g/cm³ from shares by weight in percent."""
    volumes = (
        am / chemistry.density("active_material")
        + additive / chemistry.density("conductive_additive")
        + binder / chemistry.density("binder")
    )
    return np.asarray((am + additive + binder) / volumes)


def slurry_viscosity(
    chemistry: Chemistry, solids: Array, density: Array, additive: Array, shear_rate: Array
) -> Array:
    """Viscosity in Pa·s: Krieger-Dougherty in the solids, a power law in the shear rate."""
    solid_volume = solids / density
    phi = solid_volume / (solid_volume + (100 - solids) / chemistry.density("solvent"))
    crowding = np.clip(phi / chemistry.packing_limit, 0, 0.96)
    at_ten = chemistry.base_viscosity * (1 - crowding) ** -2 * np.exp(0.2 * (additive - 3))
    return np.asarray(at_ten * (shear_rate / 10) ** (-0.15 - 1.1 * phi))


def spring_back(compression: Array, roll_temperature: Array) -> Array:
    """Recovered share of the pressed thickness, less of it between hot rolls."""
    return np.asarray((0.028 + 0.29 * compression**2) * (1 - 0.004 * (roll_temperature - 25)))


def rate_penalty(chemistry: Chemistry, rate: Array, thickness: Array, porosity: Array) -> Array:
    """Share of the low-rate capacity left at a rate, through diffusion across the coating."""
    reach = (60 / thickness) ** 2 * (np.clip(porosity, 0.05, 1) / 0.4) ** 1.5
    return np.asarray(1 / (1 + (rate / (chemistry.half_capacity_rate * reach)) ** 1.5))


# --- the plant ------------------------------------------------------------------------------


def _ids(campaign: Campaign, letters: str, count: int) -> Array:
    start = f"SYN-{campaign.code}-{letters}"
    return np.array([f"{start}{i:04d}" for i in range(1, count + 1)], dtype=object)


def _minutes(values: Array) -> Array:
    return np.asarray(np.rint(values).astype("timedelta64[m]"))


def _take(frame: Frame, rows: Array) -> Frame:
    return {name: values[rows] for name, values in frame.items()}


def _missing(rng: Rng, values: Array, share: float) -> Array:
    """The values with a share of them left empty."""
    empty = rng.random(len(values)) < share
    nothing: Any = {"f": np.nan, "M": np.datetime64("NaT")}.get(values.dtype.kind)
    return np.where(empty, nothing, values)


def _noise(rng: Rng, count: int, sd: float) -> Array:
    return np.asarray(rng.normal(1.0, sd, count))


def _all_but(rng: Rng, count: int, share: float) -> Array:
    """Row numbers without a share of them, at least one where there are three."""
    dropped = 0 if count < 3 else max(1, round(share * count))
    return np.sort(rng.permutation(count)[dropped:])


def _schedule(campaign: Campaign, count: int, rng: Rng) -> Array:
    days = np.busday_offset(campaign.start, np.arange(count) * 3 // 2, roll="forward")
    return np.asarray(days.astype("datetime64[m]") + _minutes(rng.integers(360, 840, count)))


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
    sizes = np.full(count, np.nan if d50 is None else d50) * _noise(rng, count, 0.05)
    return {
        "lot_id": _ids(campaign, letters, count),
        "material_kind": np.full(count, kind, dtype=object),
        "material_name": np.full(count, name, dtype=object),
        "supplier": _missing(rng, np.array(suppliers, dtype=object), 0.1),
        "d50_um": sizes,
        "density_g_cm3": density * _noise(rng, count, 0.003),
        "theoretical_capacity_mah_g": np.full(count, theory),
        "received_at": first_use - _minutes(rng.uniform(7, 30, count) * 1440),
        "_effect": rng.normal(0, 1, count),
    }


def _lots(campaign: Campaign, mixed_at: Array, rng: Rng) -> Frame:
    parts = [_lots_of(campaign, kind, mixed_at, rng) for kind in _LOT_LETTERS]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _lot_in_use(lots: Frame, kind: str, count: int) -> Frame:
    """The lot of that material from which each batch was made."""
    rows = np.flatnonzero(lots["material_kind"] == kind)
    return _take(lots, rows[np.arange(count) // _LOT_LETTERS[kind][1]])


def _slurries(campaign: Campaign, lots: Frame, mixed_at: Array, rng: Rng) -> Frame:
    chemistry, count = campaign.chemistry, len(mixed_at)
    active, carbon, binder = (
        _lot_in_use(lots, kind, count)
        for kind in ("active_material", "conductive_additive", "binder")
    )
    am = np.round(rng.choice(chemistry.am_levels, count) + rng.normal(0, 0.05, count), 2)
    additive = np.round((100 - am) * chemistry.additive_share * _noise(rng, count, 0.03), 2)
    binder_pct = np.round(100 - am - additive + rng.normal(0, 0.03, count), 2)
    solids = rng.choice(chemistry.solid_levels, count) + rng.normal(0, 0.3, count)
    density = composite_density(chemistry, am, additive, binder_pct)
    shear_rate = rng.choice([0.1, 1.0, 10.0, 100.0], count, p=[0.1, 0.15, 0.6, 0.15])
    lot_effect = np.exp(0.08 * binder["_effect"] + 0.04 * carbon["_effect"])
    ten = np.full(count, 10.0)
    at_ten = lot_effect * slurry_viscosity(chemistry, solids, density, additive, ten)
    measured = lot_effect * slurry_viscosity(chemistry, solids, density, additive, shear_rate)
    viscosity = _missing(rng, measured * rng.lognormal(0, 0.06, count), 0.08)
    slurry_density = 100 / (solids / density + (100 - solids) / chemistry.density("solvent"))
    return {
        "slurry_id": _ids(campaign, "SL", count),
        "active_lot_id": _missing(rng, active["lot_id"], 0.02),
        "conductive_lot_id": _missing(rng, carbon["lot_id"], 0.05),
        "binder_lot_id": _missing(rng, binder["lot_id"], 0.05),
        "active_material_pct": am,
        "conductive_additive_pct": _missing(rng, additive, 0.03),
        "binder_pct": _missing(rng, binder_pct, 0.03),
        "solid_content_pct": solids,
        "viscosity_pa_s": viscosity,
        "shear_rate_1_s": np.where(np.isnan(viscosity), np.nan, shear_rate),
        "mixing_time_min": _missing(rng, rng.choice([60.0, 90.0, 120.0, 180.0], count), 0.06),
        "mixed_at": mixed_at,
        "_density": density,
        "_slurry_density": slurry_density,
        "_viscosity": at_ten,
        "_binder": binder_pct,
        "_binder_effect": binder["_effect"],
        "_active_effect": active["_effect"],
    }


def _coatings(campaign: Campaign, slurries: Frame, rng: Rng) -> Frame:
    """Runs over the coater; the gap opens over weeks until it is set anew."""
    chemistry = campaign.chemistry
    kept = _all_but(rng, len(slurries["slurry_id"]), 0.06)
    runs = rng.integers(1, 3, len(kept))
    rows = np.repeat(kept, runs)
    run = np.arange(len(rows)) - np.repeat(np.cumsum(runs) - runs, runs)
    slurry, count = _take(slurries, rows), len(rows)
    levels = len(chemistry.gaps)
    first = np.repeat(rng.integers(0, levels, len(kept)), runs)
    gap = np.array(chemistry.gaps)[(first + run * rng.integers(1, levels, count)) % levels]
    speed = rng.choice(chemistry.speeds, count)
    coated_at = slurry["mixed_at"] + _minutes(rng.uniform(30, 300, count) + 90 * run)
    days = (coated_at - np.datetime64(campaign.start)) / np.timedelta64(1, "D")
    true_gap = gap + 0.13 * (days % 42) + rng.normal(0, 1, count)
    share = 0.60 + 0.015 * np.log10(slurry["_viscosity"]) - 0.02 * np.log10(speed)
    wet = true_gap * share * _noise(rng, count, 0.01)
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
        "coating_id": _ids(campaign, "CO", count),
        "comma_gap_um": gap,
        "coating_speed_m_min": _missing(rng, speed, 0.05),
        "wet_thickness_um": _missing(rng, wet * _noise(rng, count, 0.015), 0.15),
        "coated_at": coated_at,
        "_loading": 0.1 * wet * slurry["_slurry_density"] * solids * _noise(rng, count, 0.01),
        "_porosity": porosity,
        "_temperature": temperature,
    }


def _dryings(campaign: Campaign, coatings: Frame, rng: Rng) -> Frame:
    coating = _take(coatings, _all_but(rng, len(coatings["coating_id"]), 0.05))
    count = len(coating["coating_id"])
    temperature = coating["_temperature"] + rng.normal(0, 0.8, count)
    heat = np.exp((temperature - 80) / 45)
    time = (4 + 0.6 * coating["_loading"]) / np.sqrt(heat) * _noise(rng, count, 0.05)
    residual = (150 + 60 * coating["_loading"]) / heat * rng.lognormal(0, 0.15, count)
    return coating | {
        "drying_id": _ids(campaign, "DR", count),
        "drying_temperature_degc": temperature,
        "drying_time_min": _missing(rng, time, 0.08),
        "residual_solvent_ppm": _missing(rng, residual, 0.3),
        "dried_at": coating["coated_at"] + _minutes(time + 5),
    }


def _thickness(loading: Array, porosity: Array, density: Array) -> Array:
    return np.asarray(loading / (0.1 * density * (1 - porosity)))


def _calenderings(campaign: Campaign, dryings: Frame, rng: Rng) -> Frame:
    """Passes towards a porosity; some coatings have none, some two at different degrees."""
    rows = np.repeat(
        np.arange(len(dryings["drying_id"])),
        rng.choice([0, 1, 2], len(dryings["drying_id"]), p=[0.35, 0.45, 0.2]),
    )
    drying, count = _take(dryings, rows), len(rows)
    loading, porosity = drying["_loading"], drying["_porosity"]
    before = _thickness(loading, porosity, drying["_density"])
    temperature = rng.choice([25.0, 60.0, 75.0, 90.0], count)
    target = rng.uniform(0.26, 0.42, count)
    pressed = 1 - (1 - porosity) / (1 - target)
    pressed = np.clip(1 - (1 - pressed) / (1 + spring_back(pressed, temperature)), 0.04, 0.5)
    left = (1 - pressed) * (1 + spring_back(pressed, temperature)) * _noise(rng, count, 0.004)
    after_porosity = 1 - (1 - porosity) / left
    gamma = 60 * loading**0.6 * (1 - 0.003 * (temperature - 25))
    line_load = gamma * np.log((porosity - 0.12) / (np.clip(after_porosity, 0.15, 0.6) - 0.12))
    measured_before = np.round(before * _noise(rng, count, 0.004), 1)
    measured_after = np.round(measured_before * left, 1)
    compression = 100 * (1 - measured_after / measured_before)
    return drying | {
        "calendering_id": _ids(campaign, "CA", count),
        "thickness_before_um": measured_before,
        "thickness_after_um": measured_after,
        "compression_degree_pct": _missing(rng, np.maximum(compression, 0), 0.1),
        "roll_temperature_degc": _missing(rng, temperature, 0.07),
        "line_load_n_mm": _missing(rng, np.maximum(line_load, 5) * _noise(rng, count, 0.03), 0.12),
        "calendered_at": drying["dried_at"] + _minutes(rng.uniform(0.5, 5, count) * 1440),
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
    found = np.full(count, -1)
    for i, coating in enumerate(electrode_coatings):
        rows = rows_by_coating.get(coating, [])
        if rows and pressed[i]:
            found[i] = rows[int(pick[i] * len(rows))]
    return found


def _electrodes(campaign: Campaign, dryings: Frame, calenderings: Frame, rng: Rng) -> Frame:
    coated = len(dryings["coating_id"])
    rows = np.repeat(np.arange(coated), rng.integers(3, 5, coated))
    coating, count = _take(dryings, rows), len(rows)
    passes = _passes_of(coating["coating_id"], calenderings, rng)
    pressed = passes >= 0

    def of_pass(name: str, otherwise: Any) -> Array:
        values = np.append(calenderings[name], np.array([None], dtype=calenderings[name].dtype))
        return np.where(pressed, values[passes], otherwise)

    porosity = of_pass("_porosity", coating["_porosity"]) + rng.normal(0, 0.006, count)
    loading = coating["_loading"] * _noise(rng, count, 0.02)
    thickness = _thickness(loading, porosity, coating["_density"])
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
        "electrode_id": _ids(campaign, "EL", count),
        "calendering_id": of_pass("calendering_id", None),
        "area_cm2": _missing(rng, area, 0.03),
        "thickness_um": thickness * _noise(rng, count, 0.003),
        "mass_loading_mg_cm2": loading * np.where(active_basis, am, 1.0),
        "loading_basis": np.where(active_basis, "active_material", "coating").astype(object),
        "porosity_pct": 100 * porosity,
        "composite_density_g_cm3": _missing(rng, coating["_density"], 0.12),
        "adhesion_n_m": _missing(rng, adhesion * _noise(rng, count, 0.05), 0.15),
        "measured_at": _missing(rng, made_at + _minutes(rng.uniform(0.2, 3, count) * 1440), 0.02),
        "_made_at": made_at,
        "_loading": loading,
        "_porosity": porosity,
        "_thickness": thickness,
        "_adhesion": adhesion,
        "_area": area,
    }


def _cells(campaign: Campaign, electrodes: Frame, rng: Rng) -> Frame:
    """A third of the electrodes, built into half cells; some masses were never taken down."""
    chosen = np.flatnonzero(rng.random(len(electrodes["electrode_id"])) < 0.37)
    electrode, count = _take(electrodes, chosen), len(chosen)
    true_mass = electrode["_loading"] * electrode["_area"] * electrode["active_material_pct"] / 100
    weighed = rng.random(count) < campaign.weighed_share
    mass = true_mass * np.where(weighed, _noise(rng, count, 0.003), _noise(rng, count, 0.01))
    unknown = (rng.random(count) < 0.06) | (~weighed & np.isnan(electrode["area_cm2"]))
    source = np.where(weighed, "weighed", "from_loading_and_area").astype(object)
    return electrode | {
        "cell_id": _ids(campaign, "CE", count),
        "cell_format": np.where(electrode["_area"] > 5, "pouch", "coin").astype(object),
        "counter_electrode": np.full(count, "lithium metal (synthetic)", dtype=object),
        "active_mass_mg": np.where(unknown, np.nan, np.maximum(np.round(mass, 3), 0.01)),
        "active_mass_source": np.where(unknown, np.array(None), source),
        "assembled_at": electrode["_made_at"] + _minutes(rng.uniform(3.5, 10, count) * 1440),
        "_mass": true_mass,
    }


def _formations(campaign: Campaign, cells: Frame, rng: Rng) -> Frame:
    """First cycle at C/20; what is lost in it goes into the first discharge of an anode."""
    chemistry = campaign.chemistry
    cell = _take(cells, _all_but(rng, len(cells["cell_id"]), 0.06))
    count = len(cell["cell_id"])
    low_rate = rate_penalty(chemistry, np.full(count, 0.05), cell["_thickness"], cell["_porosity"])
    reversible = (
        chemistry.practical
        * (1 + 0.006 * cell["_active_effect"])
        * (1 - 0.0006 * cell["_loading"])
        * low_rate
        * _noise(rng, count, 0.006)
    )
    efficiency = np.clip(rng.normal(chemistry.first_efficiency, 0.008, count), 0.8, 0.97)
    useful = np.round(reversible * cell["_mass"] / 1000, 4)
    spent = np.round(useful / efficiency, 4)
    charge, discharge = (useful, spent) if chemistry.lithiates_on_discharge else (spent, useful)
    given = 100 * useful / spent
    started_at = cell["assembled_at"] + _minutes(rng.uniform(0.3, 1.5, count) * 1440)
    ended_at = started_at + _minutes(rng.uniform(80, 110, count) * 60)
    ir_drop = (12 + 1400 / (cell["_adhesion"] + 4)) * rng.lognormal(0, 0.08, count)
    return cell | {
        "formation_id": _ids(campaign, "FO", count),
        "charge_capacity_mah": charge,
        "discharge_capacity_mah": discharge,
        "coulombic_efficiency_pct": _missing(rng, given, 0.05),
        "specific_capacity_mah_g": 1000 * discharge / cell["active_mass_mg"],
        "theoretical_capacity_mah_g": np.full(count, chemistry.theory),
        "ir_drop_mv": _missing(rng, ir_drop, 0.08),
        "started_at": started_at,
        "ended_at": ended_at,
        "_reversible": reversible,
    }


def _tests(campaign: Campaign, formations: Frame, rng: Rng) -> Frame:
    cell = _take(formations, _all_but(rng, len(formations["formation_id"]), 0.04))
    count = len(cell["cell_id"])
    usual_charge, usual_discharge = campaign.chemistry.rates
    charge_rate = np.full(count, usual_charge)
    discharge_rate = rng.choice([usual_discharge, 0.2, 2.0], count, p=[0.8, 0.1, 0.1])
    lower, upper = campaign.chemistry.cutoffs
    cycles = rng.integers(50, 61, count)
    hours = cycles * 0.8 * (1 / charge_rate + 1 / discharge_rate)
    started_at = cell["ended_at"] + _minutes(rng.uniform(60, 900, count))
    return cell | {
        "test_id": _ids(campaign, "TE", count),
        "charge_rate_c": _missing(rng, charge_rate, 0.03),
        "discharge_rate_c": _missing(rng, discharge_rate, 0.03),
        "lower_cutoff_v": np.full(count, lower),
        "upper_cutoff_v": np.full(count, upper),
        "temperature_degc": _missing(rng, rng.normal(25, 0.3, count), 0.1),
        "started_at": started_at,
        "ended_at": _missing(rng, started_at + _minutes(hours * 60), 0.03),
        "_rate": discharge_rate,
        "_cycles": cycles,
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
    return np.asarray(np.clip(faded, 0.03, 1) * _noise(rng, len(row), 0.003))


def _cycles(campaign: Campaign, tests: Frame, budget: int, rng: Rng) -> Frame:
    count = len(tests["test_id"])
    wanted = min(int(0.6 * count), budget // 60)
    test = _take(tests, np.sort(rng.permutation(count)[:wanted]))
    row = np.repeat(np.arange(wanted), test["_cycles"])
    cycle = np.concatenate([np.arange(1, n + 1) for n in test["_cycles"]] or [np.empty(0, int)])
    at_rate = rate_penalty(campaign.chemistry, test["_rate"], test["_thickness"], test["_porosity"])
    first = test["_reversible"] * at_rate * test["_mass"] / 1000
    discharge = np.round(first[row] * _retention(campaign, test, cycle, row, rng), 4)
    loss = (0.002 + 0.02 * np.exp(-cycle / 2)) * rng.lognormal(0, 0.2, len(row))
    charge = discharge * (1 - loss if campaign.chemistry.lithiates_on_discharge else 1 + loss)
    return _take(test, row) | {
        "cycle": cycle.astype(float),
        "charge_capacity_mah": _missing(rng, charge, 0.01),
        "discharge_capacity_mah": discharge,
        "specific_capacity_mah_g": 1000 * discharge / test["active_mass_mg"][row],
        "theoretical_capacity_mah_g": np.full(len(row), campaign.chemistry.theory),
    }


def _simulate(campaign: Campaign, batches: int, rng: Rng) -> dict[str, Frame]:
    """All tables of one campaign. Columns with a leading underscore are truths nobody recorded."""
    mixed_at = _schedule(campaign, batches, rng)
    lots = _lots(campaign, mixed_at, rng)
    slurries = _slurries(campaign, lots, mixed_at, rng)
    coatings = _coatings(campaign, slurries, rng)
    dryings = _dryings(campaign, coatings, rng)
    calenderings = _calenderings(campaign, dryings, rng)
    electrodes = _electrodes(campaign, dryings, calenderings, rng)
    cells = _cells(campaign, electrodes, rng)
    formations = _formations(campaign, cells, rng)
    tests = _tests(campaign, formations, rng)
    cycles = _cycles(campaign, tests, int(MAX_CYCLE_ROWS * campaign.share), rng)
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


# --- what people write down -----------------------------------------------------------------


@dataclass
class _Sheet:
    """One file in the making: rows of text, and the numbers behind them in contract units."""

    name: str
    table: str
    campaign: Campaign
    fields: tuple[Field, ...]
    frame: Frame
    rows: list[list[str]]
    faults: list[Fault] = field(default_factory=list)
    blank_lines: int = 0

    @property
    def file(self) -> str:
        return self.name + self.campaign.dialect.suffix

    def position(self, column: str) -> int | None:
        return next((i for i, f in enumerate(self.fields) if f.column == column), None)

    def number(self, row: int, column: str) -> float:
        return float(self.frame[column][row]) if self.position(column) is not None else float("nan")

    def written(self, column: str, value: float) -> str:
        """A number in the file's unit with digits to spare."""
        text = f"{value / _factor(self, column):.6g}"
        return text.replace(".", self.campaign.dialect.decimal)


def _unit(dialect: Dialect, table: str, column: str) -> str:
    stated = dialect.units.get((table, column))
    return stated[0] if stated else shown_unit(column)


def _factor(sheet: _Sheet, column: str) -> float:
    stated = sheet.campaign.dialect.units.get((sheet.table, column))
    return stated[1] if stated else 1.0


def _header(dialect: Dialect, table: str, column: Field) -> str:
    unit = _unit(dialect, table, column.column)
    left, right = dialect.unit_brackets
    title = column.headers[dialect.language]
    return f"{title} {left}{unit}{right}" if unit else title


def _clear_of_clock_change(moments: Array) -> Array:
    """Moves what falls into the night of a clock change, when local time is ambiguous."""
    days = moments.astype("datetime64[D]")
    month = days.astype("datetime64[M]")
    sunday = (days.astype(int) - 3) % 7 == 0
    last_week = (days - month.astype("datetime64[D]")).astype(int) >= 24
    changes = sunday & last_week & np.isin(month.astype(int) % 12, (2, 9))
    night = (moments - days) < np.timedelta64(2, "h")
    return np.where(changes & night, moments + np.timedelta64(3, "h"), moments)


def _written_moments(moments: Array, dialect: Dialect) -> list[str]:
    clock = pl.Series(_clear_of_clock_change(moments).astype("datetime64[us]"))
    local = clock.dt.replace_time_zone("UTC").dt.convert_time_zone(dialect.timezone)
    text = local.dt.strftime(dialect.datetime_format or "%Y-%m-%dT%H:%M:%S")
    return text.fill_null(dialect.missing).to_list()


def _written_numbers(values: Array, digits: int, factor: float, dialect: Dialect) -> list[str]:
    digits += max(0, round(float(np.log10(factor))))
    texts = (
        dialect.missing if math.isnan(v) else f"{v / factor:.{digits}f}" for v in values.tolist()
    )
    return [text.replace(".", dialect.decimal) for text in texts]


def _written_words(values: Array, words: Mapping[str, str], dialect: Dialect) -> list[str]:
    own = {contract: plant for plant, contract in words.items()}
    return [dialect.missing if v is None else own.get(v, v) for v in values.tolist()]


def _column_text(column: Field, table: str, values: Array, dialect: Dialect) -> list[str]:
    if values.dtype.kind == "M":
        return _written_moments(values, dialect)
    if column.digits is not None:
        factor = dialect.units.get((table, column.column), ("", 1.0))[1]
        return _written_numbers(values.astype(float), column.digits, factor, dialect)
    return _written_words(values, dialect.words.get(column.column, {}), dialect)


def _sheet(campaign: Campaign, number: int, table: str, frame: Frame) -> _Sheet:
    dialect = campaign.dialect
    fields = tuple(f for f in LAYOUT[table] if (table, f.column) not in dialect.constants)
    columns = [_column_text(f, table, frame[f.column], dialect) for f in fields]
    rows = [list(row) for row in zip(*columns, strict=True)]
    name = f"{campaign.name}_{number:02d}_{table}"
    return _Sheet(name, table, campaign, fields, frame, rows)


# --- faults ---------------------------------------------------------------------------------

_Edits = dict[str, str] | None
_Edit = Callable[[_Sheet, int, str, Rng], _Edits]


def _slip(sheet: _Sheet, row: int, column: str, rng: Rng) -> _Edits:
    """Percent for a fraction, mm for µm, or the reverse where the file has those."""
    step = 100.0 if column.endswith("_pct") else 1000.0
    value = sheet.number(row, column)
    slipped = value * step if _factor(sheet, column) > 1 else value / step
    return {column: sheet.written(column, slipped)}


def _negative(sheet: _Sheet, row: int, column: str, rng: Rng) -> _Edits:
    return {column: sheet.written(column, -sheet.number(row, column))}


def _recipe(sheet: _Sheet, row: int, column: str, rng: Rng) -> _Edits:
    if np.isnan(sheet.number(row, "conductive_additive_pct") + sheet.number(row, "binder_pct")):
        return None
    return {column: sheet.written(column, sheet.number(row, column) + 3)}


def _contradiction(sheet: _Sheet, row: int, column: str, rng: Rng) -> _Edits:
    if sheet.frame["loading_basis"][row] != "coating":
        return None
    if np.isnan(sheet.number(row, "composite_density_g_cm3")):
        return None
    return {column: sheet.written(column, sheet.number(row, column) * rng.uniform(1.4, 1.8))}


def _above_theory(sheet: _Sheet, row: int, column: str, rng: Rng) -> _Edits:
    if np.isnan(sheet.number(row, column)):
        return None
    return {column: sheet.written(column, sheet.campaign.chemistry.theory * rng.uniform(1.1, 1.6))}


def _dangling(sheet: _Sheet, row: int, column: str, rng: Rng) -> _Edits:
    return {column: f"SYN-{sheet.campaign.code}-EL{rng.integers(90000, 99999)}"}


def _backwards(sheet: _Sheet, row: int, column: str, rng: Rng) -> _Edits:
    start, end = sheet.position("started_at"), sheet.position("ended_at")
    if start is None or end is None or np.isnat(sheet.frame["ended_at"][row]):
        return None
    return {"started_at": sheet.rows[row][end], "ended_at": sheet.rows[row][start]}


def _text(sheet: _Sheet, row: int, column: str, rng: Rng) -> _Edits:
    missing = np.isnan(sheet.number(row, column))
    doubtful = sheet.rows[row][sheet.position(column) or 0] + "?"
    return {column: "n.a." if missing or rng.random() < 0.5 else doubtful}


def _different(sheet: _Sheet, row: int, column: str, rng: Rng) -> _Edits:
    if np.isnan(sheet.number(row, column)):
        return None
    return {column: sheet.written(column, sheet.number(row, column) * 1.03)}


_EDITS: dict[str, _Edit] = {
    "percent_fraction_slip": _slip,
    "unit_slip": _slip,
    "negative_value": _negative,
    "recipe_103_percent": _recipe,
    "loading_contradiction": _contradiction,
    "capacity_above_theory": _above_theory,
    "dangling_reference": _dangling,
    "end_before_start": _backwards,
    "duplicate_id": _different,
    "text_in_number": _text,
}

_MENU: dict[str, tuple[tuple[str, str], ...]] = {
    "material_lots": (("text_in_number", "density_g_cm3"), ("duplicate_id", "density_g_cm3")),
    "slurry_batches": (
        ("percent_fraction_slip", "active_material_pct"),
        ("recipe_103_percent", "active_material_pct"),
        ("text_in_number", "solid_content_pct"),
        ("duplicate_id", "solid_content_pct"),
    ),
    "coatings": (
        ("unit_slip", "comma_gap_um"),
        ("duplicate_id", "comma_gap_um"),
        ("text_in_number", "comma_gap_um"),
    ),
    "dryings": (
        ("text_in_number", "drying_temperature_degc"),
        ("duplicate_id", "drying_temperature_degc"),
        ("negative_value", "drying_temperature_degc"),
    ),
    "calenderings": (
        ("unit_slip", "thickness_after_um"),
        ("negative_value", "thickness_after_um"),
        ("duplicate_id", "line_load_n_mm"),
        ("text_in_number", "roll_temperature_degc"),
    ),
    "electrodes": (
        ("loading_contradiction", "mass_loading_mg_cm2"),
        ("negative_value", "thickness_um"),
        ("percent_fraction_slip", "porosity_pct"),
        ("unit_slip", "thickness_um"),
        ("text_in_number", "adhesion_n_m"),
        ("duplicate_id", "thickness_um"),
    ),
    "cells": (
        ("dangling_reference", "electrode_id"),
        ("text_in_number", "active_mass_mg"),
        ("duplicate_id", "active_mass_mg"),
    ),
    "formations": (
        ("capacity_above_theory", "specific_capacity_mah_g"),
        ("end_before_start", "ended_at"),
        ("text_in_number", "ir_drop_mv"),
        ("duplicate_id", "ir_drop_mv"),
    ),
    "cycling_tests": (
        ("end_before_start", "ended_at"),
        ("text_in_number", "temperature_degc"),
        ("duplicate_id", "temperature_degc"),
    ),
    "test_cycles": (
        ("capacity_above_theory", "specific_capacity_mah_g"),
        ("text_in_number", "discharge_capacity_mah"),
        ("duplicate_id", "discharge_capacity_mah"),
    ),
}


def _referred(sheets: Iterable[_Sheet]) -> dict[str, set[Any]]:
    """The identifiers of each table that other tables name."""
    found: dict[str, set[Any]] = {table: set() for table in LAYOUT}
    for sheet in sheets:
        for column in (f.column for f in sheet.fields):
            table = _REFERENCES.get(column)
            if table not in (None, sheet.table):
                found[str(table)].update(sheet.frame[column].tolist())
    return found


def _plant_one(sheet: _Sheet, row: int, kind: str, column: str, rng: Rng) -> bool:
    edits = _EDITS[kind](sheet, row, column, rng)
    if edits is None:
        return False
    line = row
    if kind == "duplicate_id":
        column = sheet.fields[0].column
        sheet.faults.append(Fault(sheet.file, row + 2, column, kind))
        sheet.rows.append(list(sheet.rows[row]))
        line = len(sheet.rows) - 1
    for name, text in edits.items():
        position = sheet.position(name)
        if position is not None:
            sheet.rows[line][position] = text
    sheet.faults.append(Fault(sheet.file, line + 2, column, kind))
    return True


def _plant(sheet: _Sheet, order: int, referred: set[Any], rng: Rng) -> None:
    """Makes mistakes in a sheet, each kind in turn, on rows that nothing refers to."""
    wanted = int(np.ceil(FAULT_SHARE * len(sheet.rows))) if len(sheet.rows) >= 10 else 0
    names = sheet.frame[sheet.fields[0].column]
    leaves = [row for row in rng.permutation(len(names)).tolist() if names[row] not in referred]
    menu: Sequence[tuple[str, str]] = _MENU[sheet.table]
    done = 0
    for row in leaves:
        if done == wanted:
            break
        kind, column = menu[(done + order) % len(menu)]
        done += _plant_one(sheet, row, kind, column, rng)
    if rng.random() < 0.15:
        sheet.blank_lines = int(rng.integers(1, 4))
    first = len(sheet.rows) + 2
    for line in range(first, first + sheet.blank_lines):
        sheet.faults.append(Fault(sheet.file, line, "", "trailing_blank_line"))


# --- files ----------------------------------------------------------------------------------


def _data_bytes(sheet: _Sheet) -> bytes:
    dialect = sheet.campaign.dialect
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=dialect.delimiter, lineterminator=dialect.newline)
    writer.writerow(_header(dialect, sheet.table, f) for f in sheet.fields)
    writer.writerows(sheet.rows)
    out.write(dialect.newline * sheet.blank_lines)
    if dialect.encoding == "utf-16":
        return b"\xff\xfe" + out.getvalue().encode("utf-16-le")
    return out.getvalue().encode(dialect.encoding)


def _flow(value: Any) -> str:
    """A value in YAML's flow style, of which JSON is a part."""
    return json.dumps(value, ensure_ascii=False)


def _section(title: str, entries: Mapping[str, Any]) -> list[str]:
    lines = [f"  {name}: {_flow(value)}" for name, value in entries.items()]
    return [f"{title}:", *lines] if lines else []


def _column_entry(sheet: _Sheet, column: Field) -> dict[str, str]:
    dialect = sheet.campaign.dialect
    entry = {"header": _header(dialect, sheet.table, column)}
    stated = dialect.units.get((sheet.table, column.column))
    return entry | {"unit": stated[0]} if stated else entry


def _mapping_bytes(sheet: _Sheet) -> bytes:
    dialect = sheet.campaign.dialect
    has_moments = any(sheet.frame[f.column].dtype.kind == "M" for f in sheet.fields)
    names = [f.column for f in sheet.fields]
    constants = {c: v for (table, c), v in dialect.constants.items() if table == sheet.table}
    lines = [
        f"source: {SOURCE_ID}",
        f"table: {sheet.table}",
        "synthetic: true",
        "licence: CC0-1.0 (generated)",
        "citation: battery_platform synthetic plant",
        *(f"{name}: {_flow(getattr(dialect, name))}" for name in dialect.stated),
    ]
    if has_moments and dialect.datetime_format:
        lines.append(f"timezone: {dialect.timezone}")
        lines.append(f"datetime_format: {_flow(dialect.datetime_format)}")
    lines.append(f"missing: {_flow(MISSING_WORDS)}")
    lines += _section("columns", {f.column: _column_entry(sheet, f) for f in sheet.fields})
    lines += _section("constants", constants)
    lines += _section("values", {c: w for c, w in dialect.words.items() if c in names})
    return ("\n".join(lines) + "\n").encode()


def _batches_per_campaign(batches: int) -> list[int]:
    if batches < len(CAMPAIGNS):
        raise PlatformError(
            f"A plant of {batches} batches cannot be simulated.",
            f"Ask for at least {len(CAMPAIGNS)}: one for each campaign.",
        )
    counts = [max(1, int(batches * campaign.share)) for campaign in CAMPAIGNS]
    counts[1] += batches - sum(counts)
    return counts


def _sheets(batches: int, seed: int) -> list[_Sheet]:
    sheets: list[_Sheet] = []
    for order, (campaign, count) in enumerate(
        zip(CAMPAIGNS, _batches_per_campaign(batches), strict=True)
    ):
        frames = _simulate(campaign, count, np.random.default_rng([seed, order, 0]))
        own = [
            _sheet(campaign, number, table, frame)
            for number, (table, frame) in enumerate(frames.items(), start=1)
        ]
        referred = _referred(own)
        rng = np.random.default_rng([seed, order, 1])
        for sheet in own:
            _plant(sheet, order, referred[sheet.table], rng)
        sheets += own
    return sheets


def mapping_path(data: Path) -> Path:
    """Where the mapping of a data file lies."""
    return data.with_name(data.stem + ".map.yaml")


def _write_if_changed(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def write_plant(folder: Path, batches: int = 200, seed: int = 20260101) -> list[Path]:
    """Writes the plant's files, each with its mapping beside it; returns the data files in order.

    Each mapping is written before its data file, and a file whose content would not change is
    left alone.
    """
    sheets = _sheets(batches, seed)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for sheet in sheets:
        path = folder / sheet.file
        _write_if_changed(mapping_path(path), _mapping_bytes(sheet))
        _write_if_changed(path, _data_bytes(sheet))
        written.append(path)
    return written


def planted_faults(batches: int = 200, seed: int = 20260101) -> list[Fault]:
    """Every mistake in the files of `write_plant` with the same arguments, by file and line."""
    return sorted(fault for sheet in _sheets(batches, seed) for fault in sheet.faults)


def planted_counts(batches: int = 200, seed: int = 20260101) -> dict[str, int]:
    """How many mistakes of each kind there are."""
    found = Counter(fault.kind for fault in planted_faults(batches, seed))
    return {kind: found[kind] for kind in FAULT_KINDS}
