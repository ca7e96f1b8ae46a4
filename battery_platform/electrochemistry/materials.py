"""Functions of state: open-circuit voltage, electrolyte, exchange currents.

In scope: formulae as published, usable with numbers, arrays and PyBaMM's symbols alike
(only arithmetic and numpy's functions). Out of scope: the values passed to them
(see `assumptions`).

Limitations: one open-circuit curve, two electrolytes, no dependence of kinetics on temperature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

FARADAY = 96485.33212
# A number, an array or a symbol of PyBaMM: numpy's functions dispatch on it.
Symbol = Any
OfConcentration = Callable[[Symbol, Symbol], Symbol]


def mohtat_2020(filling: Symbol) -> Symbol:
    """Open-circuit voltage of NMC532 over its cyclable lithium; 4.345 V empty, 2.82 V full."""
    return (
        4.3452
        - 1.6518 * filling
        + 1.6225 * filling**2
        - 2.0843 * filling**3
        + 3.5146 * filling**4
        - 2.2166 * filling**5
        - 0.5623e-4 * np.exp(109.451 * filling - 100.006)
    )


def nyman_diffusivity(concentration: Symbol, temperature: Symbol) -> Symbol:
    """Diffusivity in m²/s, at room temperature (measured up to 2 mol/l)."""
    molar = concentration / 1000
    return 8.794e-11 * molar**2 - 3.972e-10 * molar + 4.862e-10


def nyman_conductivity(concentration: Symbol, temperature: Symbol) -> Symbol:
    """Conductivity in S/m, at room temperature (measured up to 2 mol/l)."""
    molar = concentration / 1000
    return 0.1297 * molar**3 - 2.51 * molar**1.5 + 3.329 * molar


def valoen_reimers_diffusivity(concentration: Symbol, temperature: Symbol) -> Symbol:
    """Diffusivity in m²/s."""
    molar = concentration / 1000
    return 1e-4 * 10 ** (-4.43 - 54 / (temperature - 229 - 5 * molar) - 0.22 * molar)


def valoen_reimers_conductivity(concentration: Symbol, temperature: Symbol) -> Symbol:
    """Conductivity in S/m."""
    molar = concentration / 1000
    root = (
        (-10.5 + 0.0740 * temperature - 6.96e-5 * temperature**2)
        + molar * (0.668 - 0.0178 * temperature + 2.80e-5 * temperature**2)
        + molar**2 * (0.494 - 8.86e-4 * temperature)
    )
    return 0.1 * molar * root**2


OPEN_CIRCUIT_CURVES: dict[str, Callable[[Symbol], Symbol]] = {"Mohtat 2020": mohtat_2020}
# Diffusivity and conductivity of each.
ELECTROLYTES: dict[str, tuple[OfConcentration, OfConcentration]] = {
    "Nyman 2008": (nyman_diffusivity, nyman_conductivity),
    "Valoen-Reimers 2005": (valoen_reimers_diffusivity, valoen_reimers_conductivity),
}


def floored(concentration: Symbol, floor: float) -> Symbol:
    """The concentration where there is salt, `floor` where there is none, with a smooth transition."""
    return 0.5 * (concentration + np.sqrt(concentration**2 + 4 * floor**2))


def insertion_current(rate: float, electrolyte: Symbol, surface: Symbol, maximum: Symbol) -> Symbol:
    """Exchange current of lithium insertion in A/m²."""
    return FARADAY * rate * np.sqrt(electrolyte) * np.sqrt(surface * (maximum - surface))


def plating_current(rate: float, electrolyte: Symbol, metal: Symbol) -> Symbol:
    """Exchange current at the lithium electrode in A/m²."""
    return FARADAY * rate * metal**0.7 * electrolyte**0.3
