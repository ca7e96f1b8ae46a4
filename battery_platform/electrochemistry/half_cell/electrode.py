"""An electrode as measured, and what follows from it by geometry alone.

In scope: refusing impossible values (PyBaMM accepts nonsense, such as a porosity of 1.2 or a thickness of
70 m, or never finishes with it), volume fractions, transport, surface and masses. Out of scope: anything
that needs a solver.

Limitations: properties are the same everywhere in the electrode.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

from battery_platform.electrochemistry.assumptions import Assumptions, numbers
from battery_platform.electrochemistry.half_cell.assumptions import (
    GROUP_EDGES_UM,
    HALF_CELL,
    SIZE_GROUPS,
)
from battery_platform.electrochemistry.ranges import is_number, shown
from battery_platform.errors import PlatformError

LoadingBasis = Literal["active_material", "coating"]

RADII_UM = tuple((low + high) / 2 for low, high in itertools.pairwise(GROUP_EDGES_UM))
# The contracts for measured electrodes allow the same difference.
THICKNESS_TOLERANCE = 0.12


@dataclass(frozen=True)
class Electrode:
    """Measured properties of one coating; missing ones are derived from the assumptions.

    `specific_surface_1_um` is the area between active material and electrolyte per volume of the
    electrode, `electronic_conductivity_s_m` that of the electrode as a whole, and `size_shares` the
    share of the active volume in each of six groups of particle radii.
    """

    mass_loading_mg_cm2: float
    loading_basis: LoadingBasis
    porosity_pct: float
    active_material_pct: float
    thickness_um: float | None = None
    tortuosity_factor: float | None = None
    specific_surface_1_um: float | None = None
    electronic_conductivity_s_m: float | None = None
    size_shares: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Masses:
    """Masses per area of one coating, in mg/cm²."""

    active_material_mg_cm2: float
    carbon_binder_mg_cm2: float
    electrolyte_mg_cm2: float
    collector_mg_cm2: float

    @property
    def electrode_mg_cm2(self) -> float:
        """The mass that specific energy and power refer to: of the electrode, not of a cell."""
        return (
            self.active_material_mg_cm2
            + self.carbon_binder_mg_cm2
            + self.electrolyte_mg_cm2
            + self.collector_mg_cm2
        )


@dataclass(frozen=True)
class Structure:
    """Volume fractions that add up to 1, transport, surface, and masses.

    `density_ratio` is the solid density implied by loading, thickness and porosity, divided by the assumed
    one; lithium per gram is a property of the compound, so sites per volume are scaled by it.
    """

    thickness_um: float
    porosity: float
    active_fraction: float
    carbon_binder_fraction: float
    density_ratio: float
    tortuosity_factor: float
    conductivity_s_m: float
    surface_1_um: float
    sphere_surface_1_um: float
    size_shares: tuple[float, ...]
    masses: Masses
    derived: tuple[str, ...]

    @property
    def wetted_share(self) -> float:
        """Surface in contact with electrolyte, divided by the surface of the particles as spheres."""
        return self.surface_1_um / self.sphere_surface_1_um

    @property
    def group_surfaces_1_um(self) -> tuple[float, ...]:
        """Surface of each group of particles: equation 1 of paper 000.

        The number of particles of a group goes as its volume over r³, and the surface of each as r².
        """
        inverse = [share / radius for share, radius in zip(self.size_shares, RADII_UM, strict=True)]
        return tuple(self.surface_1_um * surface / sum(inverse) for surface in inverse)


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
    "tortuosity_factor": _Range(
        1.0,
        50.0,
        "",
        "Give the factor by which electrolyte conducts worse than porosity alone implies, not its root.",
        (),
    ),
    "specific_surface_1_um": _Range(
        0.01,
        5.0,
        "1/µm",
        "Give wetted surface of active material per volume of electrode.",
        (("1/m", 1e-6), ("1/cm", 1e-4)),
    ),
    "electronic_conductivity_s_m": _Range(
        1e-3, 1e5, "S/m", "Give that of the electrode, not of its solids.", ()
    ),
}
REQUIRED = ("mass_loading_mg_cm2", "porosity_pct", "active_material_pct")
# Beyond these, the surface cannot be that of particles of these sizes.
_WETTED = (0.05, 3.0)


def check_electrode(electrode: Electrode, assumptions: Assumptions = HALF_CELL) -> None:
    """Refuse an impossible electrode, in one sentence with a remedy."""
    if electrode.loading_basis not in ("active_material", "coating"):
        raise PlatformError(
            f"loading_basis is {electrode.loading_basis!r}; it must be active_material or coating.",
            "Say whether the loading counts the active material only or the whole dry coating.",
        )
    for field, allowed in _RANGES.items():
        value = getattr(electrode, field)
        if value is not None or field in REQUIRED:
            _check_range(field, value, allowed)
    _check_sizes(electrode.size_shares)
    built = structure(electrode, assumptions)
    low, high = (share * built.sphere_surface_1_um for share in _WETTED)
    if not low <= built.surface_1_um <= high:
        raise PlatformError(
            f"specific_surface_1_um is {built.surface_1_um:g}, but particles of these sizes have "
            f"{built.sphere_surface_1_um:.3g} 1/µm; {low:.3g} to {high:.3g} are believed.",
            "Check its unit and the particle sizes, or leave it out to have it derived.",
        )
    if electrode.thickness_um is not None:
        ratio = built.density_ratio
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
    between = f"it must lie between {allowed.low:g} and {allowed.high:g} {allowed.unit}".rstrip()
    if not is_number(value):
        raise PlatformError(
            f"{field} is {shown(value)}; {between}.", f"Give a number. {allowed.hint}"
        )
    assert isinstance(value, int | float)
    if allowed.low <= value <= allowed.high:
        return
    for unit, factor in allowed.mistaken:
        if allowed.low <= value * factor <= allowed.high:
            raise PlatformError(
                f"{field} is {value:g}; {between}.",
                f"It looks like {unit}: that would be {value * factor:g} {allowed.unit}.",
            )
    raise PlatformError(f"{field} is {value:g}; {between}.", allowed.hint)


def _check_sizes(shares: object) -> None:
    if shares is None:
        return
    if (
        not isinstance(shares, tuple)
        or len(shares) != len(RADII_UM)
        or not all(is_number(share) and 0 <= share <= 100 for share in shares)
    ):
        raise PlatformError(
            f"size_shares is {shown(shares)}; {len(RADII_UM)} shares of the volume are expected.",
            "Give the shares of active material with radii of 1 to 2, 2 to 3, and so on to 7 µm.",
        )
    total = float(sum(shares))
    if not any(abs(total - whole) <= 0.01 * whole for whole in (1, 100)):
        raise PlatformError(
            f"size_shares add up to {total:g}; they must add up to 1, or to 100 %.",
            "Count what lies beyond 1 and 7 µm to the groups at the ends.",
        )


def structure(electrode: Electrode, assumptions: Assumptions = HALF_CELL) -> Structure:
    """Volumes, transport, surface and masses of an electrode; measured values are kept as given."""
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
    shares = electrode.size_shares or tuple(given[name] for name in SIZE_GROUPS)
    shares = tuple(share / sum(shares) for share in shares)
    spheres = 3 * active_fraction * sum(w / r for w, r in zip(shares, RADII_UM, strict=True))
    exponent = given["electrode_bruggeman_exponent"]
    derived = {
        "tortuosity_factor": porosity ** (1 - exponent),
        "specific_surface_1_um": given["wetted_surface_share"] * spheres,
        "electronic_conductivity_s_m": given["electrode_conductivity_s_m"]
        * (1 - porosity) ** exponent,
    }
    known = {name: getattr(electrode, name) for name in derived}
    used = {name: derived[name] if value is None else value for name, value in known.items()}
    return Structure(
        thickness_um=thickness,
        porosity=porosity,
        active_fraction=active_fraction,
        carbon_binder_fraction=inactive_fraction,
        density_ratio=implied_um / thickness,
        tortuosity_factor=used["tortuosity_factor"],
        conductivity_s_m=used["electronic_conductivity_s_m"],
        surface_1_um=used["specific_surface_1_um"],
        sphere_surface_1_um=spheres,
        size_shares=shares,
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
        derived=tuple(
            name
            for name in ("thickness_um", *derived, "size_shares")
            if getattr(electrode, name) is None
        ),
    )
