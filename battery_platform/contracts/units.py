"""Units: which one a column has, how it is written, and what it is often confused with.

A column name ends in its unit (`thickness_um`). Only this module knows the endings. Conversion itself is
done by Pint.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pint


@dataclass(frozen=True)
class Unit:
    """A unit as the ending of a column name, as shown to users, and as parsed by Pint."""

    suffix: str
    shown: str
    pint: str
    confusions: tuple[str, ...] = ()


UNITS: tuple[Unit, ...] = (
    Unit("_mah_cm2", "mAh/cm²", "mA*h/cm**2", ("Ah/m**2",)),
    Unit("_mah_g", "mAh/g", "mA*h/g", ("A*h/g",)),
    Unit("_wh_kg", "Wh/kg", "W*h/kg"),
    Unit("_mg_cm2", "mg/cm²", "mg/cm**2", ("g/m**2", "g/cm**2")),
    Unit("_mg_cm3", "mg/cm³", "mg/cm**3", ("g/cm**3",)),
    Unit("_g_cm3", "g/cm³", "g/cm**3", ("kg/m**3", "mg/cm**3")),
    Unit("_n_mm", "N/mm", "N/mm", ("N/m", "kN/m")),
    Unit("_n_m", "N/m", "N/m", ("N/mm", "mN/m")),
    Unit("_un_m", "µN·m", "uN*m", ("mN*m", "N*m")),
    Unit("_mm_min", "mm/min", "mm/min", ("mm/s", "m/min")),
    Unit("_m_min", "m/min", "m/min", ("mm/s", "m/s", "cm/min")),
    Unit("_pa_s", "Pa·s", "Pa*s", ("mPa*s",)),
    Unit("_1_s", "1/s", "1/s", ("1/min",)),
    Unit("_s_cm", "S/cm", "S/cm", ("S/m",)),
    Unit("_degc", "°C", "degC", ("degK", "degF")),
    Unit("_pct", "%", "percent", ("dimensionless",)),
    Unit("_ppm", "ppm", "ppm", ("percent",)),
    Unit("_um", "µm", "um", ("m", "mm", "nm")),
    Unit("_mm", "mm", "mm", ("m", "um", "cm")),
    Unit("_cm2", "cm²", "cm**2", ("mm**2", "m**2")),
    Unit("_ah", "Ah", "A*h", ("mA*h",)),
    Unit("_wh", "Wh", "W*h", ("mW*h",)),
    Unit("_mah", "mAh", "mA*h", ("A*h",)),
    Unit("_mwh", "mWh", "mW*h", ("W*h",)),
    Unit("_mg", "mg", "mg", ("g", "ug", "kg")),
    Unit("_mpa", "MPa", "MPa", ("bar", "kPa", "Pa")),
    Unit("_pa", "Pa", "Pa", ("kPa", "mPa")),
    Unit("_ohm", "Ω", "ohm", ("mohm",)),
    Unit("_ul", "µL", "uL", ("mL",)),
    Unit("_n", "N", "N", ("mN", "kN")),
    Unit("_mv", "mV", "mV", ("V",)),
    Unit("_ma", "mA", "mA", ("A",)),
    Unit("_min", "min", "min", ("s", "hour")),
    Unit("_c", "C (1/h)", "1/hour"),
    Unit("_v", "V", "V", ("mV",)),
    Unit("_a", "A", "A", ("mA",)),
    Unit("_s", "s", "s", ("hour", "ms")),
)

_WORDS = {
    "percent": "percent",
    "prozent": "percent",
    "pourcent": "percent",
    "-": "dimensionless",
    "1": "dimensionless",
    "gsm": "g/m**2",
    "pct": "percent",
    "wt": "percent",
    "fraction": "dimensionless",
    "anteil": "dimensionless",
    "°c": "degC",
    "c": "degC",
    "degc": "degC",
    "deg c": "degC",
    "k": "degK",
    "°f": "degF",
    "hz": "1/s",
    "s-1": "1/s",
    "sec": "s",
    "h": "hour",
    "std": "hour",
    "micron": "um",
    "microns": "um",
    "mikrometer": "um",
    "cps": "mPa*s",
    "cp": "mPa*s",
    "pas": "Pa*s",
    "mpas": "mPa*s",
}

_OF = r"(?:(?:wt|w/w|w|m/m|m|ma|mass|masse|massique|gew|weight|poids|pds|vol|v)\b\.?[\s\-]*)?"
_SHARE = re.compile(rf"{_OF}%[\s.\-]*{_OF}")
"""A percentage, with the quantity that it is of before or behind it."""

_POWERS = str.maketrans({"²": "**2", "³": "**3", "⁻": "-", "¹": "1", "µ": "u", "μ": "u", "−": "-"})


def unit_of(column: str) -> Unit | None:
    """The unit at the end of a column's name, or None if it has none."""
    fitting = [unit for unit in UNITS if column.endswith(unit.suffix)]
    return max(fitting, key=lambda unit: len(unit.suffix), default=None)


def shown_unit(column: str) -> str:
    unit = unit_of(column)
    return unit.shown if unit else ""


@lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry[float]:
    import pint

    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True)


def normalise_unit(text: str) -> str:
    """A unit as people type it (`mg·cm⁻²`, `Gew.-%`, `Pas`) in Pint's spelling."""
    text = unicodedata.normalize("NFC", text).strip().strip("[]()").strip()
    folded = text.casefold()
    for candidate in (folded, folded.replace(".-", "."), folded.replace(" ", "")):
        if candidate in _WORDS:
            return _WORDS[candidate]
    if _SHARE.fullmatch(folded):
        return "percent"
    text = text.translate(_POWERS).replace("**-", "-")
    text = re.sub(r"-\*\*(\d)", r"-\1", text)
    text = re.sub(r"\s*[·.*\u22c5x]\s*", "*", text)
    text = re.sub(r"([A-Za-z])\^?(-?\d)", r"\1**\2", text).replace("****", "**")
    text = re.sub(r"(?<=[A-Za-z\d])\s+(?=[A-Za-z])", "*", text)
    text = re.sub(r"\b(m|u|k)?(A|W)h\b", r"\1\2*h", text)
    text = re.sub(r"\b(m)?Pas\b", r"\1Pa*s", text)
    text = re.sub(r"\bh\b", "hour", text)
    numerator, _, denominator = text.partition("/")
    if "*" in denominator.replace("**", ""):
        text = f"{numerator}/({denominator})"
    return text


@lru_cache(maxsize=2048)
def conversion(source: str, column: str) -> tuple[float, float] | None:
    """Factor and offset that convert `source` to the column's unit; None if they are incompatible."""
    target = unit_of(column)
    if target is None:
        return None
    if target.suffix == "_c" and source.strip().casefold() in {"c", "c-rate", "c (1/h)"}:
        return 1.0, 0.0
    written = normalise_unit(source)
    if written == target.pint:
        return 1.0, 0.0
    registry = _registry()
    try:
        unit = registry.Unit(written)
        zero = registry.Quantity(0.0, unit).to(target.pint).magnitude
        unity = registry.Quantity(1.0, unit).to(target.pint).magnitude
    except Exception:  # Pint raises many unrelated types for text that is not a unit
        return None
    # Rounding removes the last-bit noise of Pint's chain of factors (0.1 instead of 0.09999999).
    return float(f"{unity - zero:.12g}"), float(f"{zero:.12g}")


@lru_cache(maxsize=4096)
def is_unit(text: str) -> bool:
    """Whether a text is a unit that some column can be given in."""
    written = normalise_unit(text)
    return any(unit.pint == written for unit in UNITS) or any(
        conversion(text, f"x{unit.suffix}") is not None for unit in UNITS
    )


@lru_cache(maxsize=512)
def confusions(column: str) -> tuple[tuple[str, float, float], ...]:
    """Units often mistaken for the column's unit: name, factor, offset."""
    unit = unit_of(column)
    result = []
    for name in unit.confusions if unit else ():
        both = conversion(name, column)
        if both is not None:
            shown = "a fraction" if name == "dimensionless" else name.replace("**", "^")
            result.append((shown, *both))
    return tuple(result)
