"""Laws of the process, each a function of a chemistry and what was set or measured.

Nothing is drawn here; scatter and drift are added by the steps that use these laws.
"""

from __future__ import annotations

import numpy as np

from battery_platform.synthetic.plant.chemistry import Chemistry
from battery_platform.synthetic.plant.frames import Array


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


def coating_thickness(loading: Array, porosity: Array, density: Array) -> Array:
    return np.asarray(loading / (0.1 * density * (1 - porosity)))
