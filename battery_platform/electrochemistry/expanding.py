"""PyBaMM as both cells use it: its solver on expanded functions, and meshes of symbolic length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import casadi
import numpy as np
import pybamm

MINIMUM_SALT = "Minimum electrolyte concentration [mol.m-3]"
# PyBaMM also requires an upper limit; a discharge never comes near it.
NEVER_REACHED_V = 6.0
CHI_FLOOR = pybamm.settings.tolerances["chi__c_e"]
"""PyBaMM's floor, below which it does not divide by the concentration."""
# One square metre, so that amperes are amperes per square metre.
ONE_SQUARE_METRE = {
    "Electrode height [m]": 1.0,
    "Electrode width [m]": 1.0,
    "Number of electrodes connected in parallel to make a cell": 1.0,
    "Number of cells connected in series to make a battery": 1.0,
    "Nominal cell capacity [A.h]": 1.0,
    "Upper voltage cut-off [V]": NEVER_REACHED_V,
}


class _Expanding(pybamm.BaseSolver):  # type: ignore[misc]
    """Expands each function to its scalar form, which is twice as fast to evaluate."""

    def set_up(self, model: Any, *arguments: Any, **named: Any) -> Any:
        done = super().set_up(model, *arguments, **named)
        for name, function in list(vars(model).items()):
            if name.endswith("_eval") and isinstance(function, casadi.Function):
                setattr(model, name, function.expand())
        model.terminate_events_eval = [event.expand() for event in model.terminate_events_eval]
        return done


class Solver(pybamm.IDAKLUSolver, _Expanding):  # type: ignore[misc]
    """IDAKLU, with `_Expanding` between it and the base class that creates the functions."""


@contextmanager
def only_our_floor() -> Iterator[None]:
    """Disable PyBaMM's floors for the salt concentration in transport, which differ from ours.

    The floor in the exchange current stays: below zero salt the current no longer changes. Without it the
    model of a depleted cell is stiffer, and every second solve fails.
    """
    tolerances = pybamm.settings.tolerances
    names = ("D_e__c_e", "kappa_e__c_e")
    before = {name: tolerances[name] for name in names}
    tolerances.update(dict.fromkeys(names, -1e6))
    try:
        yield
    finally:
        tolerances.update(before)


class StretchedSubMesh(pybamm.SymbolicUniform1DSubMesh):  # type: ignore[misc]
    """A mesh of symbolic length, finer at its left end: the last cell is e^stretch times as long as the first."""

    def __init__(self, lims: Any, npts: Any, stretch: float) -> None:
        super().__init__(lims, npts)
        even = np.linspace(0, 1, self.npts + 1)
        self.edges = np.expm1(stretch * even) / np.expm1(stretch)
        self.nodes = (self.edges[1:] + self.edges[:-1]) / 2
        self.d_edges, self.d_nodes = np.diff(self.edges), np.diff(self.nodes)


def meshes(model: Any, lengths: Sequence[str], particles: Sequence[str], stretch: float) -> Any:
    """Submeshes: of symbolic length through the cell, finer towards the surface in the particles."""
    submeshes = dict(model.default_submesh_types)
    for domain in lengths:
        submeshes[domain] = pybamm.MeshGenerator(pybamm.SymbolicUniform1DSubMesh)
    for domain in particles:
        submeshes[domain] = pybamm.MeshGenerator(
            pybamm.Exponential1DSubMesh, {"side": "right", "stretch": stretch}
        )
    return submeshes


def discretised(
    model: Any,
    outputs: Sequence[str],
    parameters: dict[str, Any],
    submeshes: dict[str, Any],
    points: dict[str, int],
) -> Any:
    """The model on its mesh, with only these outputs."""
    model.variables = {name: model.variables[name] for name in outputs}
    values = pybamm.ParameterValues(parameters)
    geometry = model.default_geometry
    values.process_model(model)
    values.process_geometry(geometry)
    mesh = pybamm.Mesh(geometry, submeshes, points)
    pybamm.Discretisation(mesh, model.default_spatial_methods).process_model(model)
    return model
