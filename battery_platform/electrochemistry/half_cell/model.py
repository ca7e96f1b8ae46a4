"""The porous electrode against lithium, with six sizes of particles, built once for all electrodes.

In scope: the set-up of PyBaMM. Out of scope: electrodes, results, retries (see `cell`).

PyBaMM has no option for the specific surface. It changes the current through each wetted patch of a
particle, so the exchange current is scaled by the wetted share; fluxes into the particles remain those of
whole spheres, and lithium is conserved.
"""

from __future__ import annotations

import itertools
from typing import Any

import pybamm

from battery_platform.electrochemistry import materials
from battery_platform.electrochemistry.expanding import (
    CHI_FLOOR,
    MINIMUM_SALT,
    ONE_SQUARE_METRE,
    StretchedSubMesh,
    discretised,
    meshes,
    only_our_floor,
)
from battery_platform.electrochemistry.half_cell.assumptions import GROUP_EDGES_UM, SIZE_GROUPS
from battery_platform.electrochemistry.solving import CUT_OFF_EVENT, Settings

FILLING = "Filling of the electrode"
FILLING_AT_SEPARATOR = "Filling beside the separator"
FILLING_AT_COLLECTOR = "Filling beside the collector"
OUTPUTS = [
    "Time [s]",
    "Voltage [V]",
    "Discharge energy [W.h]",
    MINIMUM_SALT,
    FILLING,
    FILLING_AT_SEPARATOR,
    FILLING_AT_COLLECTOR,
]
# The groups determine the structure of the electrode, from which the inputs of the model are computed.
BUILT_IN = (*SIZE_GROUPS, "wetted_surface_share")
AREA_SHARES = tuple(name.replace("particles", "area_of_particles") for name in SIZE_GROUPS)
_UM = 1e-6


def build(
    given: dict[str, float],
    chosen: dict[str, str],
    input_names: tuple[str, ...],
    settings: Settings,
) -> Any:
    """The discretised model; the electrode, the load and the assumptions remain inputs."""
    model = continuous_model()
    return discretised(
        model,
        OUTPUTS,
        parameters(chosen, input_names),
        submeshes(model, settings),
        points(settings),
    )


def continuous_model() -> Any:
    """The model before parameters and mesh are applied."""
    with only_our_floor():
        model = pybamm.lithium_ion.DFN(
            {
                "working electrode": "positive",
                "transport efficiency": "tortuosity factor",
                "particle size": ("single", "distribution"),
                "calculate discharge energy": "true",
            }
        )
    maximum = model.param.p.prim.c_max
    filling = model.variables["R-averaged positive particle concentration [mol.m-3]"] / maximum
    model.variables[FILLING] = pybamm.x_average(filling)
    model.variables[FILLING_AT_SEPARATOR] = pybamm.BoundaryValue(filling, "left")
    model.variables[FILLING_AT_COLLECTOR] = pybamm.BoundaryValue(filling, "right")
    model.variables[MINIMUM_SALT] = pybamm.min(
        model.variables["Electrolyte concentration [mol.m-3]"]
    )
    model.events = [event for event in model.events if event.name == CUT_OFF_EVENT]
    return model


def submeshes(model: Any, settings: Settings) -> dict[str, Any]:
    """Submeshes, finer towards the lithium; PyBaMM requires one for the lithium, although it is not meshed."""
    usual: dict[str, Any] = meshes(
        model, ("negative electrode",), ("positive particle",), settings.particle_stretch
    )
    finer = pybamm.MeshGenerator(StretchedSubMesh, {"stretch": settings.length_stretch})
    return usual | {"separator": finer, "positive electrode": finer}


def points(settings: Settings) -> dict[str, int]:
    """Numbers of finite volumes, by PyBaMM's name of the coordinate."""
    return {
        "x_n": 1,
        "x_s": settings.separator_cells,
        "x_p": settings.electrode_cells,
        "r_p": settings.particle_cells,
        "R_p": len(SIZE_GROUPS),
    }


def _area_by_radius(radius: Any) -> Any:
    """Each group's share of the surface between its edges; PyBaMM normalises the total."""
    shares = [
        pybamm.InputParameter(name) * (radius > low * _UM) * (radius < high * _UM)
        for name, (low, high) in zip(AREA_SHARES, itertools.pairwise(GROUP_EDGES_UM), strict=True)
    ]
    return sum(shares[1:], shares[0])


def parameters(chosen: dict[str, str], input_names: tuple[str, ...]) -> dict[str, Any]:
    """All parameters that the model needs and no others: no value is inherited from a published set."""
    symbol = {name: pybamm.InputParameter(name) for name in input_names}
    diffusivity, conductivity = materials.ELECTROLYTES[chosen["electrolyte"]]
    curve = materials.OPEN_CIRCUIT_CURVES[chosen["open_circuit_curve"]]
    start, end = symbol["stoichiometry_at_curve_start"], symbol["stoichiometry_at_curve_end"]
    maximum = symbol["maximum_concentration_mol_m3"] * pybamm.InputParameter("density_ratio")
    porosity = pybamm.InputParameter("porosity")
    wetted = pybamm.InputParameter("wetted_share")

    def salt(concentration: Any) -> Any:
        return materials.floored(concentration, symbol["concentration_floor_mol_m3"])

    return ONE_SQUARE_METRE | {
        "Current function [A]": pybamm.InputParameter("current_a_m2"),
        "Lower voltage cut-off [V]": pybamm.InputParameter("lower_v"),
        "Ambient temperature [K]": symbol["temperature_k"],
        "Initial temperature [K]": symbol["temperature_k"],
        "Reference temperature [K]": symbol["temperature_k"],
        "Negative electrode thickness [m]": _UM * symbol["lithium_thickness_um"],
        "Negative electrode conductivity [S.m-1]": symbol["lithium_conductivity_s_m"],
        "Lithium metal partial molar volume [m3.mol-1]": symbol["lithium_molar_volume_m3_mol"],
        "Exchange-current density for lithium metal electrode [A.m-2]": (
            lambda c_e, c_li, t: materials.plating_current(
                symbol["lithium_rate_constant_m_s"], salt(c_e), c_li
            )
        ),
        "Separator thickness [m]": _UM * symbol["separator_thickness_um"],
        "Separator porosity": symbol["separator_porosity"],
        "Separator tortuosity factor (electrolyte)": symbol["separator_porosity"]
        ** (1 - symbol["separator_bruggeman_exponent"]),
        "Initial concentration in electrolyte [mol.m-3]": symbol[
            "electrolyte_concentration_mol_m3"
        ],
        "Cation transference number": symbol["transference_number"],
        "Electrolyte diffusivity [m2.s-1]": lambda c_e, t: diffusivity(salt(c_e), t),
        "Electrolyte conductivity [S.m-1]": lambda c_e, t: conductivity(salt(c_e), t),
        # PyBaMM divides by the concentration; the quotient applies our floor instead.
        "Thermodynamic factor": lambda c_e, t: (
            symbol["thermodynamic_factor"] * pybamm.maximum(c_e, CHI_FLOOR) / salt(c_e)
        ),
        "Positive electrode thickness [m]": _UM * pybamm.InputParameter("thickness_um"),
        "Positive electrode porosity": porosity,
        "Positive electrode active material volume fraction": pybamm.InputParameter(
            "active_fraction"
        ),
        # This is of the electrode as a whole, so PyBaMM's share of solids must cancel.
        "Positive electrode conductivity [S.m-1]": pybamm.InputParameter("conductivity_s_m"),
        "Positive electrode tortuosity factor (electrode)": 1 - porosity,
        "Positive electrode tortuosity factor (electrolyte)": pybamm.InputParameter(
            "tortuosity_factor"
        ),
        # Only the unit of length of the radial mesh; radii are those of the groups.
        "Positive particle radius [m]": _UM,
        "Positive minimum particle radius [m]": GROUP_EDGES_UM[0] * _UM,
        "Positive maximum particle radius [m]": GROUP_EDGES_UM[-1] * _UM,
        "Positive area-weighted particle-size distribution [m-1]": _area_by_radius,
        "Positive particle diffusivity [m2.s-1]": symbol["solid_diffusivity_m2_s"],
        "Maximum concentration in positive electrode [mol.m-3]": maximum,
        "Initial concentration in positive electrode [mol.m-3]": maximum
        * pybamm.InputParameter("filling_start"),
        "Positive electrode OCP [V]": lambda x: curve((x - start) / (end - start)),
        "Positive electrode OCP entropic change [V.K-1]": 0.0,
        "Positive electrode exchange-current density [A.m-2]": (
            lambda c_e, c_s, c_max, t: (
                wetted
                * materials.insertion_current(
                    symbol["reaction_rate_m25_mol05_s"], salt(c_e), c_s, c_max
                )
            )
        ),
    }
