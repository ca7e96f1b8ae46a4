"""Discharge of one electrode against lithium: from its properties to energy and power.

What belongs here: the porous-electrode model (Doyle, Fuller and Newman's, in PyBaMM), the solver
and its retry, and the key figures of the curve, at the level of the electrode. What does not:
the numbers assumed (`assumptions`), formulae (`materials`), geometry and refusals (`electrode`).

Thin today: one particle size, a tortuosity that follows from porosity, constant current, and a
model built anew for each discharge. A later stage adds six particle-size groups, sweeps, graded
full cells and the reuse of built models. There is no limit on wall time: nothing within this
process can interrupt the solver, so that only its own guard against standing still applies.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from battery_platform.electrochemistry import materials
from battery_platform.electrochemistry.assumptions import (
    HALF_CELL,
    Assumptions,
    choices,
    digest,
    numbers,
)
from battery_platform.electrochemistry.electrode import (
    Electrode,
    LoadingBasis,
    Masses,
    Structure,
    check,
    structure,
)
from battery_platform.errors import PlatformError

__all__ = [
    "Discharge",
    "Electrode",
    "LoadingBasis",
    "Masses",
    "Settings",
    "Structure",
    "check",
    "discharge",
    "equilibrium_stoichiometry",
    "one_c_a_m2",
    "structure",
]

Array = npt.NDArray[np.float64]

CUT_OFF = "cut-off voltage"
# In units of 1/C hours; at equilibrium the widest window that is assumed lasts 1.25.
_LONGEST = 1.5
# Evenly spaced moments at which the curve is kept, besides the solver's own steps.
_MOMENTS = 201
# PyBaMM asks for an upper limit too; a discharge never comes near it.
_NEVER_REACHED_V = 5.0


@dataclass(frozen=True)
class Settings:
    """Mesh and tolerances; the last two stop a solve that has ceased to advance."""

    rtol: float = 1e-4
    atol: float = 1e-6
    separator_cells: int = 8
    electrode_cells: int = 20
    particle_cells: int = 20
    no_progress_steps: int = 500
    no_progress_s: float = 1.0

    def finer(self) -> Settings:
        """What a failed solve is tried again with."""
        return replace(
            self,
            rtol=self.rtol / 10,
            atol=self.atol / 10,
            separator_cells=self.separator_cells * 3 // 2,
            electrode_cells=self.electrode_cells * 3 // 2,
            particle_cells=self.particle_cells * 3 // 2,
        )


@dataclass(frozen=True, eq=False)
class Discharge:
    """One discharge with all it rests on; the figures are None and the curve empty if it failed.

    Energy and power refer to the mass of the electrode (coating, electrolyte in its pores,
    collector), never to a cell. `capacity_mah_g` refers to the active material.
    """

    electrode: Electrode
    structure: Structure
    c_rate: float
    lower_v: float
    current_a_m2: float
    time_s: Array
    voltage_v: Array
    capacity_mah_cm2: float | None
    capacity_mah_g: float | None
    specific_energy_wh_kg: float | None
    specific_power_w_kg: float | None
    discharge_time_s: float | None
    stoichiometry_start: float
    stoichiometry_end: float | None
    end_reason: str
    failed: bool
    first_failure: str | None
    settings: Settings
    seconds: float
    pybamm_version: str
    assumptions: Assumptions
    assumptions_digest: str

    @property
    def masses(self) -> Masses:
        return self.structure.masses

    @property
    def derived(self) -> tuple[str, ...]:
        """Fields of the electrode that were not given but calculated."""
        return self.structure.derived

    @property
    def retried(self) -> bool:
        return self.first_failure is not None

    @property
    def charge_mah_cm2(self) -> Array:
        """Charge delivered so far, at each moment of the curve."""
        return self.current_a_m2 * self.time_s / 36_000


def one_c_a_m2(electrode: Electrode, assumptions: Assumptions = HALF_CELL) -> float:
    """Current density of 1C: the assumed capacity of the active material in one hour."""
    active = structure(electrode, assumptions).masses.active_material_mg_cm2
    return active * numbers(assumptions)["one_c_mah_g"] / 100


def open_circuit_v(stoichiometry: materials.Symbol, assumptions: Assumptions) -> materials.Symbol:
    """Open-circuit voltage against lithium, the curve laid over the window of stoichiometry."""
    given = numbers(assumptions)
    curve = materials.OPEN_CIRCUIT_CURVES[choices(assumptions)["open_circuit_curve"]]
    start, end = given["stoichiometry_at_curve_start"], given["stoichiometry_at_curve_end"]
    return curve((stoichiometry - start) / (end - start))


def equilibrium_stoichiometry(voltage_v: float, assumptions: Assumptions = HALF_CELL) -> float:
    """Where the electrode rests at a voltage."""
    from scipy.optimize import brentq

    given = numbers(assumptions)
    start, end = given["stoichiometry_at_curve_start"], given["stoichiometry_at_curve_end"]
    # The tail is steep enough that a hundredth of the window beyond its end reaches below 2.5 V.
    beyond = end + 0.01 * (end - start)
    return float(brentq(lambda x: open_circuit_v(x, assumptions) - voltage_v, start, beyond))


def discharge(
    electrode: Electrode,
    c_rate: float = 1.0,
    lower_v: float = 3.2,
    assumptions: Assumptions = HALF_CELL,
    settings: Settings = Settings(),
) -> Discharge:
    """Discharge at constant current from rest at the upper voltage down to `lower_v`.

    Values that cannot be are refused before anything is solved. A failed solve is tried once
    more with finer settings; a second failure is returned, not raised, because the next electrode
    of a series does not depend on it.
    """
    check(electrode, assumptions)
    _check_load(c_rate, lower_v)
    begun = time.perf_counter()
    pybamm = _pybamm()
    built = structure(electrode, assumptions)
    current = c_rate * one_c_a_m2(electrode, assumptions)
    parameters = _parameters(built, current, lower_v, assumptions)
    longest_s = 3600 * _LONGEST / c_rate
    first_failure = None
    solution, reason = _solve(pybamm, parameters, longest_s, settings)
    if solution is None:
        first_failure, settings = reason, settings.finer()
        solution, reason = _solve(pybamm, parameters, longest_s, settings)
    common: dict[str, Any] = {
        "electrode": electrode,
        "structure": built,
        "c_rate": c_rate,
        "lower_v": lower_v,
        "current_a_m2": current,
        "stoichiometry_start": equilibrium_stoichiometry(
            numbers(assumptions)["upper_voltage_v"], assumptions
        ),
        "end_reason": reason,
        "failed": solution is None,
        "first_failure": first_failure,
        "settings": settings,
        "pybamm_version": str(pybamm.__version__),
        "assumptions": assumptions,
        "assumptions_digest": digest(assumptions),
    }
    figures = _no_figures() if solution is None else _figures(solution, built, current)
    return Discharge(**common, **figures, seconds=time.perf_counter() - begun)


def _check_load(c_rate: float, lower_v: float) -> None:
    for field, value, low, high, remedy in (
        ("c_rate", c_rate, 0.01, 20.0, "Give the multiple of 1C as a positive number."),
        ("lower_v", lower_v, 2.5, 4.1, "Give volts against lithium, not millivolts."),
    ):
        if not (isinstance(value, int | float) and math.isfinite(value) and low <= value <= high):
            raise PlatformError(
                f"{field} is {value!r}; it must lie between {low:g} and {high:g}.", remedy
            )


def _pybamm() -> Any:
    """PyBaMM, told before its first import to report nothing and to ask nothing."""
    os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
    import pybamm

    return pybamm


def _parameters(
    built: Structure, current: float, lower_v: float, assumptions: Assumptions
) -> dict[str, Any]:
    """All that the model asks for and nothing else: no value is inherited from a published set."""
    given, chosen = numbers(assumptions), choices(assumptions)
    diffusivity, conductivity = materials.ELECTROLYTES[chosen["electrolyte"]]
    floor = given["concentration_floor_mol_m3"]
    maximum = given["maximum_concentration_mol_m3"] * built.density_ratio
    start = equilibrium_stoichiometry(given["upper_voltage_v"], assumptions)
    exponent = given["electrode_bruggeman_exponent"]

    def salt(concentration: materials.Symbol) -> materials.Symbol:
        return materials.floored(concentration, floor)

    return {
        # One square metre, so that amperes are amperes per square metre.
        "Electrode height [m]": 1.0,
        "Electrode width [m]": 1.0,
        "Number of electrodes connected in parallel to make a cell": 1.0,
        "Number of cells connected in series to make a battery": 1.0,
        "Nominal cell capacity [A.h]": current,
        "Current function [A]": current,
        "Lower voltage cut-off [V]": lower_v,
        "Upper voltage cut-off [V]": _NEVER_REACHED_V,
        "Ambient temperature [K]": given["temperature_k"],
        "Initial temperature [K]": given["temperature_k"],
        "Reference temperature [K]": given["temperature_k"],
        "Negative electrode thickness [m]": 1e-6 * given["lithium_thickness_um"],
        "Negative electrode conductivity [S.m-1]": given["lithium_conductivity_s_m"],
        "Lithium metal partial molar volume [m3.mol-1]": given["lithium_molar_volume_m3_mol"],
        "Exchange-current density for lithium metal electrode [A.m-2]": (
            lambda c_e, c_li, t: materials.plating_current(
                given["lithium_rate_constant_m_s"], salt(c_e), c_li
            )
        ),
        "Separator thickness [m]": 1e-6 * given["separator_thickness_um"],
        "Separator porosity": given["separator_porosity"],
        "Separator Bruggeman coefficient (electrolyte)": given["separator_bruggeman_exponent"],
        "Initial concentration in electrolyte [mol.m-3]": given["electrolyte_concentration_mol_m3"],
        "Cation transference number": given["transference_number"],
        "Electrolyte diffusivity [m2.s-1]": lambda c_e, t: diffusivity(salt(c_e), t),
        "Electrolyte conductivity [S.m-1]": lambda c_e, t: conductivity(salt(c_e), t),
        # PyBaMM divides by the concentration without this floor; the quotient puts ours there.
        "Thermodynamic factor": lambda c_e, t: given["thermodynamic_factor"] * c_e / salt(c_e),
        "Positive electrode thickness [m]": 1e-6 * built.thickness_um,
        "Positive electrode porosity": built.porosity,
        "Positive electrode active material volume fraction": built.active_fraction,
        "Positive electrode conductivity [S.m-1]": given["electrode_conductivity_s_m"],
        "Positive electrode Bruggeman coefficient (electrolyte)": exponent,
        "Positive electrode Bruggeman coefficient (electrode)": exponent,
        "Positive particle radius [m]": 1e-6 * given["particle_radius_um"],
        "Positive particle diffusivity [m2.s-1]": given["solid_diffusivity_m2_s"],
        "Maximum concentration in positive electrode [mol.m-3]": maximum,
        "Initial concentration in positive electrode [mol.m-3]": start * maximum,
        "Positive electrode OCP [V]": lambda x: open_circuit_v(x, assumptions),
        "Positive electrode OCP entropic change [V.K-1]": 0.0,
        "Positive electrode exchange-current density [A.m-2]": (
            lambda c_e, c_s, c_max, t: materials.insertion_current(
                given["reaction_rate_m25_mol05_s"], salt(c_e), c_s, c_max
            )
        ),
    }


def _solve(
    pybamm: Any, parameters: dict[str, Any], longest_s: float, settings: Settings
) -> tuple[Any, str]:
    """A solution that reached the cut-off and why it ended; or None and why not."""
    simulation = pybamm.Simulation(
        pybamm.lithium_ion.DFN({"working electrode": "positive"}),
        parameter_values=pybamm.ParameterValues(parameters),
        var_pts={
            "x_n": 1,  # the lithium, which is not meshed, but PyBaMM asks
            "x_s": settings.separator_cells,
            "x_p": settings.electrode_cells,
            "r_p": settings.particle_cells,
        },
        solver=pybamm.IDAKLUSolver(
            rtol=settings.rtol,
            atol=settings.atol,
            options={
                "num_steps_no_progress": settings.no_progress_steps,
                "t_no_progress": settings.no_progress_s,
                "silence_sundials_errors": True,
            },
        ),
    )
    try:
        solution = simulation.solve([0, longest_s])
    except pybamm.SolverError as error:
        return None, " ".join(str(error).split())
    if solution.termination == "event: Minimum voltage [V]":
        return solution, CUT_OFF
    return None, f"{solution.termination} before the cut-off voltage"


def _figures(solution: Any, built: Structure, current: float) -> dict[str, Any]:
    moments = np.union1d(np.linspace(0, solution.t[-1], _MOMENTS), solution.t)
    voltage = np.asarray(solution["Voltage [V]"](moments), dtype=np.float64)
    hours = float(moments[-1]) / 3600
    capacity = 0.1 * current * hours
    energy_wh_m2 = float(np.trapezoid(current * voltage, moments)) / 3600
    energy = energy_wh_m2 / (0.01 * built.masses.electrode_mg_cm2)
    uptake = solution["Average positive particle stoichiometry"](moments[-1])
    return {
        "time_s": moments,
        "voltage_v": voltage,
        "capacity_mah_cm2": capacity,
        "capacity_mah_g": 1000 * capacity / built.masses.active_material_mg_cm2,
        "specific_energy_wh_kg": energy,
        "specific_power_w_kg": energy / hours,
        "discharge_time_s": 3600 * hours,
        "stoichiometry_end": float(uptake),
    }


def _no_figures() -> dict[str, Any]:
    names = (
        "capacity_mah_cm2",
        "capacity_mah_g",
        "specific_energy_wh_kg",
        "specific_power_w_kg",
        "discharge_time_s",
        "stoichiometry_end",
    )
    return {"time_s": np.empty(0), "voltage_v": np.empty(0), **dict.fromkeys(names)}
