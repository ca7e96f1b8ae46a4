"""An electrode as measured, and what follows from it by geometry alone.

What belongs here: the refusal of values that cannot be, volume fractions, and masses. What does
not: anything that needs a solver, for PyBaMM accepts nonsense (a porosity of 1.2, a thickness of
70 m) or never ends on it.

Thin today: properties are the same everywhere in the electrode.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from battery_platform.electrochemistry.assumptions import HALF_CELL, Assumptions, numbers
from battery_platform.errors import PlatformError

LoadingBasis = Literal["active_material", "coating"]

# The contracts of measured electrodes allow the same difference.
THICKNESS_TOLERANCE = 0.12


@dataclass(frozen=True)
class Electrode:
    """What was measured on one coating; without a thickness it is derived."""

    mass_loading_mg_cm2: float
    loading_basis: LoadingBasis
    porosity_pct: float
    active_material_pct: float
    thickness_um: float | None = None


@dataclass(frozen=True)
class Masses:
    """Per area of one coating, in mg/cm²."""

    active_material_mg_cm2: float
    carbon_binder_mg_cm2: float
    electrolyte_mg_cm2: float
    collector_mg_cm2: float

    @property
    def electrode_mg_cm2(self) -> float:
        """What specific energy and power refer to: the electrode, not a cell."""
        return (
            self.active_material_mg_cm2
            + self.carbon_binder_mg_cm2
            + self.electrolyte_mg_cm2
            + self.collector_mg_cm2
        )


@dataclass(frozen=True)
class Structure:
    """Volume fractions that add up to one, and masses.

    `density_ratio` is the solid density that loading, thickness and porosity imply over the one
    that is assumed; lithium per gram is a property of the compound, so sites per volume follow it.
    """

    thickness_um: float
    porosity: float
    active_fraction: float
    carbon_binder_fraction: float
    density_ratio: float
    masses: Masses
    derived: tuple[str, ...]


@dataclass(frozen=True)
class _Range:
    low: float
    high: float
    unit: str
    hint: str
    mistaken: tuple[tuple[str, float], ...]


_RANGES: dict[str, _Range] = {
    "mass_loading_mg_cm2": _Range(
        1.0, 60.0, "mg/cm²", "Give the loading of one side.", (("kg/m²", 100.0), ("g/m²", 0.1))
    ),
    "porosity_pct": _Range(5.0, 80.0, "%", "Give it in percent.", (("a fraction", 100.0),)),
    "active_material_pct": _Range(
        50.0,
        100.0,
        "%",
        "Give the share of the dry coating's weight in percent.",
        (("a fraction", 100.0),),
    ),
    "thickness_um": _Range(
        5.0,
        500.0,
        "µm",
        "Give the coating of one side without the collector.",
        (("m", 1e6), ("mm", 1e3)),
    ),
}


def check(electrode: Electrode, assumptions: Assumptions = HALF_CELL) -> None:
    """Refuse, in one sentence with a remedy, what no electrode can be."""
    if electrode.loading_basis not in ("active_material", "coating"):
        raise PlatformError(
            f"loading_basis is {electrode.loading_basis!r}; it must be active_material or coating.",
            "Say whether the loading counts the active material only or the whole dry coating.",
        )
    for field, allowed in _RANGES.items():
        value = getattr(electrode, field)
        if not (field == "thickness_um" and value is None):
            _check_range(field, value, allowed)
    if electrode.thickness_um is not None:
        ratio = structure(electrode, assumptions).density_ratio
        if abs(ratio - 1) > THICKNESS_TOLERANCE:
            low, high = (
                electrode.thickness_um * ratio / (1 + sign * THICKNESS_TOLERANCE)
                for sign in (1, -1)
            )
            raise PlatformError(
                f"thickness_um is {electrode.thickness_um:g}, but a loading of "
                f"{electrode.mass_loading_mg_cm2:g} mg/cm² ({electrode.loading_basis}) at a "
                f"porosity of {electrode.porosity_pct:g} % allows {low:.3g} to {high:.3g} µm.",
                "Check the unit of each, the basis of the loading, and whether the thickness "
                "includes the collector; or leave it out to have it derived.",
            )


def _check_range(field: str, value: object, allowed: _Range) -> None:
    between = f"it must lie between {allowed.low:g} and {allowed.high:g} {allowed.unit}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PlatformError(f"{field} is {value!r}; {between}.", f"Give a number. {allowed.hint}")
    if allowed.low <= value <= allowed.high:
        return
    for unit, factor in allowed.mistaken:
        if allowed.low <= value * factor <= allowed.high:
            raise PlatformError(
                f"{field} is {value:g}; {between}.",
                f"It looks like {unit}: that would be {value * factor:g} {allowed.unit}.",
            )
    raise PlatformError(f"{field} is {value:g}; {between}.", allowed.hint)


def structure(electrode: Electrode, assumptions: Assumptions = HALF_CELL) -> Structure:
    """Volumes and masses of an electrode; loading, porosity and thickness are kept as given."""
    given = numbers(assumptions)
    active_share = electrode.active_material_pct / 100
    if electrode.loading_basis == "coating":
        active = electrode.mass_loading_mg_cm2 * active_share
    else:
        active = electrode.mass_loading_mg_cm2
    inactive = active * (1 - active_share) / active_share
    carbon = inactive * given["carbon_share_of_inactive"]
    active_um = 10 * active / given["active_density_g_cm3"]
    inactive_um = 10 * (
        carbon / given["carbon_density_g_cm3"] + (inactive - carbon) / given["binder_density_g_cm3"]
    )
    porosity = electrode.porosity_pct / 100
    dense_um = active_um + inactive_um
    implied_um = dense_um / (1 - porosity)
    thickness = implied_um if electrode.thickness_um is None else electrode.thickness_um
    active_fraction = (1 - porosity) * active_um / dense_um
    inactive_fraction = (1 - porosity) * inactive_um / dense_um
    assert abs(active_fraction + inactive_fraction + porosity - 1) < 1e-12
    return Structure(
        thickness_um=thickness,
        porosity=porosity,
        active_fraction=active_fraction,
        carbon_binder_fraction=inactive_fraction,
        density_ratio=implied_um / thickness,
        masses=Masses(
            active_material_mg_cm2=active,
            carbon_binder_mg_cm2=inactive,
            electrolyte_mg_cm2=0.1
            * thickness
            * porosity
            * given["electrolyte_density_g_cm3"]
            * given["electrolyte_fill"],
            collector_mg_cm2=0.1
            * given["collector_thickness_um"]
            * given["collector_density_g_cm3"],
        ),
        derived=("thickness_um",) if electrode.thickness_um is None else (),
    )
