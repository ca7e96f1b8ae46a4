"""The porous-electrode model with graded electrodes, built once for all designs.

In scope: extensions and set-up of PyBaMM. This module imports PyBaMM, so it is only imported when
something is solved. Out of scope: designs, results, retries (see `cell`).

Limitations: particle radii and the choice of curves are built in; all other numbers are inputs.
"""

from __future__ import annotations

from typing import Any

import pybamm

from battery_platform.electrochemistry import materials
from battery_platform.electrochemistry.expanding import (
    CHI_FLOOR,
    MINIMUM_SALT,
    ONE_SQUARE_METRE,
    discretised,
    meshes,
    only_our_floor,
)
from battery_platform.electrochemistry.graded import functions
from battery_platform.electrochemistry.solving import CUT_OFF_EVENT, Settings

OUTPUTS = [
    "Time [s]",
    "Voltage [V]",
    "Discharge energy [W.h]",
    "Volume-averaged cell temperature [K]",
    MINIMUM_SALT,
]
PROFILE_INPUTS = {"negative": "negative_active_fraction", "positive": "positive_active_fraction"}
# They determine the radial meshes, which cannot be symbolic.
BUILT_IN = ("negative_radius_um", "positive_radius_um")


class CellAverages(pybamm.InputParameter):  # type: ignore[misc]
    """A vector input over an electrode, one value per finite volume.

    PyBaMM's input parameter loses the auxiliary domain when copied, and counts as a constant of known shape
    before the mesh exists; this class keeps the domain and, like a variable, refuses to be evaluated.
    Discretisation turns it into PyBaMM's own class.
    """

    def create_copy(self, new_children: Any = None, perform_simplifications: bool = True) -> Any:
        return CellAverages(self.name, self.domain).with_domains(self)

    def _base_evaluate(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("known only after discretisation")


class SolidBruggeman(pybamm.transport_efficiency.BaseModel):  # type: ignore[misc]
    """Electronic conduction by the active fraction only, as in equation 1.

    PyBaMM's own model counts everything that is not pore, binder included.
    """

    def __init__(self, param: Any, options: Any) -> None:
        super().__init__(param, "Electrode", options=options)

    def get_coupled_variables(self, variables: dict[str, Any]) -> dict[str, Any]:
        efficiency = {
            "negative electrode": variables["Negative electrode active material volume fraction"]
            ** self.param.n.b_s,
            "separator": pybamm.FullBroadcast(0, "separator", "current collector"),
            "positive electrode": variables["Positive electrode active material volume fraction"]
            ** self.param.p.b_s,
        }
        variables.update(self._get_standard_transport_efficiency_variables(efficiency))
        return variables


def build(
    radii: dict[str, float],
    chosen: dict[str, str],
    input_names: tuple[str, ...],
    settings: Settings,
) -> Any:
    """The discretised model; thicknesses, profiles, load and assumptions remain inputs."""
    model = continuous_model()
    return discretised(
        model,
        OUTPUTS,
        parameters(radii, chosen, input_names),
        submeshes(model, settings),
        points(settings),
    )


def continuous_model() -> Any:
    """The model before parameters and mesh are applied."""
    with only_our_floor():
        model = pybamm.lithium_ion.DFN(
            {"thermal": "lumped", "calculate discharge energy": "true"}, build=False
        )
        model.submodels["electrode transport efficiency"] = SolidBruggeman(
            model.param, model.options
        )
        model.build_model()
    salt = model.variables["Electrolyte concentration [mol.m-3]"]
    model.variables[MINIMUM_SALT] = pybamm.min(salt)
    model.events = [event for event in model.events if event.name == CUT_OFF_EVENT]
    return model


def submeshes(model: Any, settings: Settings) -> dict[str, Any]:
    lengths = ("negative electrode", "separator", "positive electrode")
    particles = ("negative particle", "positive particle")
    made: dict[str, Any] = meshes(model, lengths, particles, settings.particle_stretch)
    return made


def points(settings: Settings) -> dict[str, int]:
    """Numbers of finite volumes, by PyBaMM's name of the coordinate."""
    return {
        "x_n": settings.electrode_cells,
        "x_s": settings.separator_cells,
        "x_p": settings.electrode_cells,
        "r_n": settings.particle_cells,
        "r_p": settings.particle_cells,
    }


def _averages(electrode: str) -> Any:
    domains = {"primary": [f"{electrode} electrode"], "secondary": ["current collector"]}
    return CellAverages(PROFILE_INPUTS[electrode], domains["primary"]).with_domains(domains)


def parameters(
    radii: dict[str, float], chosen: dict[str, str], input_names: tuple[str, ...]
) -> dict[str, Any]:
    """All parameters that the model needs, and no others."""
    symbol = {name: pybamm.InputParameter(name) for name in input_names}
    um = 1e-6
    negative_m = um * pybamm.InputParameter("negative_um")
    positive_m = um * pybamm.InputParameter("positive_um")
    separator_m = um * symbol["separator_thickness_um"]
    transference = symbol["transference_number"]

    def salt(concentration: Any) -> Any:
        return materials.floored(concentration, symbol["concentration_floor_mol_m3"])

    def thermodynamics(concentration: Any, temperature: Any) -> Any:
        # PyBaMM divides by the concentration; the quotient applies our floor instead.
        quotient = pybamm.maximum(concentration, CHI_FLOOR) / salt(concentration)
        if chosen["thermodynamic_factor"] == "ideal":
            return quotient
        return quotient * functions.valoen_reimers_thermodynamics(
            salt(concentration), temperature, transference
        )

    values: dict[str, Any] = ONE_SQUARE_METRE | {
        "Current function [A]": pybamm.InputParameter("current_a_m2"),
        "Lower voltage cut-off [V]": pybamm.InputParameter("lower_v"),
        "Ambient temperature [K]": symbol["ambient_k"],
        "Initial temperature [K]": symbol["ambient_k"],
        "Reference temperature [K]": 298.15,
        # Heat is balanced over the three layers of table 2, cooled on both faces.
        "Cell volume [m3]": negative_m + separator_m + positive_m,
        "Cell cooling surface area [m2]": 2.0,
        "Total heat transfer coefficient [W.m-2.K-1]": symbol["heat_transfer_w_m2_k"],
        "Separator thickness [m]": separator_m,
        "Separator porosity": symbol["separator_porosity"],
        "Separator Bruggeman coefficient (electrolyte)": symbol["bruggeman_exponent"],
        "Separator density [kg.m-3]": pybamm.InputParameter("separator_mass_kg_m3"),
        "Separator specific heat capacity [J.kg-1.K-1]": symbol["separator_heat_capacity_j_kg_k"],
        "Initial concentration in electrolyte [mol.m-3]": symbol[
            "electrolyte_concentration_mol_m3"
        ],
        "Cation transference number": transference,
        "Electrolyte diffusivity [m2.s-1]": (
            lambda c, t: materials.valoen_reimers_diffusivity(salt(c), t)
        ),
        "Electrolyte conductivity [S.m-1]": (
            lambda c, t: materials.valoen_reimers_conductivity(salt(c), t)
        ),
        "Thermodynamic factor": thermodynamics,
    }
    curves = functions.OPEN_CIRCUIT_CURVES[chosen["open_circuit_curves"]]
    for electrode, thickness, curve in zip(
        ("negative", "positive"), (negative_m, positive_m), curves, strict=True
    ):
        values |= _electrode(electrode, thickness, curve, symbol, radii, salt)
    return values


def _electrode(
    electrode: str,
    thickness: Any,
    curve: functions.Curve,
    symbol: dict[str, Any],
    radii: dict[str, float],
    salt: Any,
) -> dict[str, Any]:
    name = electrode.capitalize()
    fraction = _averages(electrode)
    binder = symbol["binder_fraction"]
    rate, shift = symbol[f"{electrode}_rate_m25_mol05_s"], symbol[f"{electrode}_shift_v"]
    maximum = symbol[f"{electrode}_maximum_mol_m3"]
    exponent = symbol["bruggeman_exponent"]
    return {
        f"{name} electrode thickness [m]": thickness,
        f"{name} current collector thickness [m]": 0.0,
        f"{name} current collector conductivity [S.m-1]": 1e7,
        f"{name} current collector density [kg.m-3]": 0.0,
        f"{name} current collector specific heat capacity [J.kg-1.K-1]": 0.0,
        f"{name} electrode active material volume fraction": lambda *_: fraction,
        f"{name} electrode porosity": lambda *_: 1 - binder - fraction,
        f"{name} electrode conductivity [S.m-1]": symbol[f"{electrode}_conductivity_s_m"],
        f"{name} electrode Bruggeman coefficient (electrolyte)": exponent,
        f"{name} electrode Bruggeman coefficient (electrode)": exponent,
        f"{name} electrode density [kg.m-3]": pybamm.InputParameter(f"{electrode}_mass_kg_m3"),
        f"{name} electrode specific heat capacity [J.kg-1.K-1]": symbol[
            f"{electrode}_heat_capacity_j_kg_k"
        ],
        f"{name} particle radius [m]": 1e-6 * radii[f"{electrode}_radius_um"],
        f"{name} particle diffusivity [m2.s-1]": symbol[f"{electrode}_diffusivity_m2_s"],
        f"Maximum concentration in {electrode} electrode [mol.m-3]": maximum,
        f"Initial concentration in {electrode} electrode [mol.m-3]": maximum
        * symbol[f"{electrode}_filling_start"],
        f"{name} electrode OCP [V]": lambda filling: curve(filling) + shift,
        f"{name} electrode OCP entropic change [V.K-1]": symbol[f"{electrode}_entropy_v_k"],
        f"{name} electrode exchange-current density [A.m-2]": (
            lambda c_e, c_s, c_max, t: functions.insertion_current(rate, salt(c_e), c_s, c_max)
        ),
    }
