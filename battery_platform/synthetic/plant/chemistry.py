"""What a line coats: materials, levels of its settings and the properties that follow.

Numbers of a chemistry belong here; laws that use them are in `physics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
