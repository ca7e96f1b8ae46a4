"""How the people of a campaign write: language, encoding, delimiter, dates, units and words.

Nothing here is read by an importer; it learns the same from the file and its mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from battery_platform.synthetic.plant.chemistry import GRAPHITE, NMC


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
