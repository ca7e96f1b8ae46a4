"""Functions of state that the graded cell needs in addition to those of `materials`.

In scope: formulae as published, usable with numbers, arrays and PyBaMM's symbols alike.
Out of scope: the values passed to them (see `assumptions`).

Limitations: two pairs of open-circuit curves, one electrolyte.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from battery_platform.electrochemistry.materials import FARADAY, Symbol


def chen_graphite(filling: Symbol) -> Symbol:
    """Open-circuit voltage of graphite with some silicon (LG M50)."""
    return (
        1.9793 * np.exp(-39.3631 * filling)
        + 0.2482
        - 0.0909 * np.tanh(29.8538 * (filling - 0.1234))
        - 0.04478 * np.tanh(14.9159 * (filling - 0.2769))
        - 0.0205 * np.tanh(30.4444 * (filling - 0.6103))
    )


def chen_oxide(filling: Symbol) -> Symbol:
    """Open-circuit voltage of NMC811 (LG M50)."""
    return (
        -0.8090 * filling
        + 4.4875
        - 0.0428 * np.tanh(18.5138 * (filling - 0.5542))
        - 17.7326 * np.tanh(15.7890 * (filling - 0.3117))
        + 17.5842 * np.tanh(15.9308 * (filling - 0.3120))
    )


def safari_graphite(filling: Symbol) -> Symbol:
    """Open-circuit voltage of graphite."""
    return (
        0.6379
        + 0.5416 * np.exp(-305.5309 * filling)
        + 0.044 * np.tanh((0.1958 - filling) / 0.1088)
        - 0.1978 * np.tanh((filling - 1.0571) / 0.0854)
        - 0.6875 * np.tanh((filling + 0.0117) / 0.0529)
        - 0.0175 * np.tanh((filling - 0.5692) / 0.0875)
    )


def kashkooli_oxide(filling: Symbol) -> Symbol:
    """Open-circuit voltage of NMC111."""
    return (
        6.0826
        - 6.9922 * filling
        + 7.1062 * filling**2
        - 2.5947 * filling**3
        - 0.54549e-4 * np.exp(124.23 * filling - 114.2593)
    )


def valoen_reimers_thermodynamics(
    concentration: Symbol, temperature: Symbol, transference: Symbol
) -> Symbol:
    """1 + d ln f / d ln c. In the printed table the parenthesis of the last term is closed too late."""
    molar = concentration / 1000
    return (
        0.601 - 0.24 * molar**0.5 + 0.982 * (1 - 0.0052 * (temperature - 294.0)) * molar**1.5
    ) / (1 - transference)


def insertion_current(rate: Symbol, salt: Symbol, surface: Symbol, maximum: Symbol) -> Symbol:
    """Exchange current in A/m²; the roots are separate, so that PyBaMM can smooth each near zero."""
    return FARADAY * rate * salt**0.5 * surface**0.5 * (maximum - surface) ** 0.5


Curve = Callable[[Symbol], Symbol]
# Negative and positive of each pair.
OPEN_CIRCUIT_CURVES: dict[str, tuple[Curve, Curve]] = {
    "Chen 2020": (chen_graphite, chen_oxide),
    "Safari 2009 and Kashkooli 2016": (safari_graphite, kashkooli_oxide),
}
