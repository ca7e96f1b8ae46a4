"""Discharges of half cells as rows: of one electrode, of a table of electrodes, of a design space."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from battery_platform.electrochemistry.assumptions import digest
from battery_platform.electrochemistry.curves import curve, curve_of
from battery_platform.electrochemistry.half_cell import cell
from battery_platform.electrochemistry.half_cell.assumptions import HALF_CELL
from battery_platform.electrochemistry.half_cell.cell import Discharge, HalfCell
from battery_platform.electrochemistry.half_cell.electrode import Electrode, structure
from battery_platform.electrochemistry.solving import BATCH, COMPILE_FROM, LIMIT_S
from battery_platform.made.fingerprint import fingerprint
from battery_platform.made.kept import now
from battery_platform.made.products import put
from battery_platform.made.studies import (
    Progress,
    Studied,
    Study,
    missing_of,
    name_of,
    silent,
    study,
)
from battery_platform.store.lakehouse import Lakehouse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DESIGNS = "designs"
SPACE = "space of six properties"
RATED_SPACE = "space of six properties and load"
SERIES = "series of loadings"
RAGONE_RATES = (0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0)


@dataclass(frozen=True)
class Asked:
    """A half cell to simulate, where its electrode comes from, and whether that is synthetic."""

    cell: HalfCell
    is_synthetic: bool
    origin: str | None = None
    """Table or file that describes the electrode; None if it was given by hand."""
    subject: str | None = None
    """Name of the electrode in that table or file."""


def half_cell_code() -> str:
    """Hash of the code that decides the result of a discharge."""
    return fingerprint(solve_batch, _row)


def discharge_id(asked: Asked) -> str:
    """An identifier; the same electrode, load, assumptions and code have the same one, whatever the origin."""
    return name_of(
        "discharge", asdict(asked.cell), asked.is_synthetic, digest(HALF_CELL), half_cell_code()
    )


def solve_batch(asked: Sequence[Asked]) -> Iterator[Discharge]:
    """Solve in a worker process, one result at a time, so that a failure does not lose earlier results."""
    for half_cell in asked:
        yield cell.solve([half_cell.cell])[0]


def solve_batch_compiled(asked: Sequence[Asked]) -> Iterator[Discharge]:
    """The same on a compiled model."""
    for half_cell in asked:
        yield cell.solve([half_cell.cell], compiled=True)[0]


def sweep(lake: Lakehouse, asked: Sequence[Asked], progress: Progress = silent) -> Studied:
    """A row for each half cell, in order, with its origin and subject."""
    many = missing_of(lake, HALF_CELLS, asked) >= COMPILE_FROM
    plan = replace(HALF_CELLS, solve=solve_batch_compiled) if many else HALF_CELLS
    studied = study(lake, plan, asked, progress)
    links = {
        (cell_asked.origin, cell_asked.subject, row["discharge_id"]): None
        for cell_asked, row in zip(asked, studied.rows, strict=True)
        if cell_asked.origin is not None
    }
    known = set(
        lake.rows(
            """SELECT origin, subject, discharge_id FROM discharge_subjects
               WHERE discharge_id IN (SELECT unnest(?))""",
            [[row["discharge_id"] for row in studied.rows]],
        )
    )
    names = ("origin", "subject", "discharge_id")
    new = [dict(zip(names, link, strict=True)) for link in links if link not in known]
    if new:
        put(lake, {"discharge_subjects": new})
    rows = [
        {"origin": cell_asked.origin, "subject": cell_asked.subject} | row
        for cell_asked, row in zip(asked, studied.rows, strict=True)
    ]
    return Studied(rows, studied.solved)


def of_design(design: dict[str, Any]) -> Asked:
    """The electrode that a design recommends, as its models predict it, at the load of paper 000."""
    electrode = Electrode(
        design["mass_loading_mg_cm2"],
        design["loading_basis"],
        design["porosity_pct"],
        design["active_material_pct"],
    )
    return Asked(HalfCell(electrode), design["is_synthetic"], DESIGNS, design["design_id"])


def at_rates(asked: Asked, rates: Sequence[float] = RAGONE_RATES) -> list[Asked]:
    """The same electrode at several loads."""
    return [replace(asked, cell=replace(asked.cell, c_rate=rate)) for rate in rates]


def curve_figure(row: dict[str, Any]) -> Figure:
    """The figure of a stored discharge."""
    from battery_platform.electrochemistry.pictures import discharge_figure

    if row["failed"] or row["curve_time_s"] is None:
        return discharge_figure(row, None, None)
    seconds, volts = curve_of(row)
    charge = row["areal_capacity_mah_cm2"] * seconds / row["discharge_time_s"]
    return discharge_figure(row, charge, volts)


def _row(name: str, asked: Asked, done: Discharge | None, error: str) -> dict[str, Any]:
    electrode = asked.cell.electrode
    built = structure(electrode)
    common = {
        "discharge_id": name,
        "c_rate": float(asked.cell.c_rate),
        "lower_cutoff_v": float(asked.cell.lower_v),
        "mass_loading_mg_cm2": float(electrode.mass_loading_mg_cm2),
        "loading_basis": electrode.loading_basis,
        "porosity_pct": float(electrode.porosity_pct),
        "active_material_pct": float(electrode.active_material_pct),
        "thickness_um": built.thickness_um,
        "tortuosity_factor": built.tortuosity_factor,
        "specific_surface_1_um": built.surface_1_um,
        "electronic_conductivity_s_m": built.conductivity_s_m,
        "size_shares": json.dumps(built.size_shares),
        "derived": ", ".join(built.derived) or None,
        "electrode_mass_mg_cm2": built.masses.electrode_mg_cm2,
        "assumptions_hash": digest(HALF_CELL),
        "code_version": half_cell_code(),
        "made_at": now(),
        "is_synthetic": asked.is_synthetic,
    }
    if done is None:
        return common | {
            "ended_by": "stopped",
            "electrolyte_depleted": False,
            "failed": True,
            "reason": error,
            "solver": json.dumps(asdict(cell.USUAL)),
            "solve_s": LIMIT_S,
        }
    return common | {
        "specific_energy_wh_kg": done.specific_energy_wh_kg,
        "specific_power_w_kg": done.specific_power_w_kg,
        "capacity_mah_g": done.capacity_mah_g,
        "areal_capacity_mah_cm2": done.capacity_mah_cm2,
        "discharge_time_s": done.discharge_time_s,
        "unused_share": done.unused_share,
        "unused_in_particles": done.unused_in_particles,
        "limited_by": done.limited_by,
        "ended_by": done.ended_by,
        "electrolyte_depleted": done.depleted,
        "failed": done.failed,
        "reason": done.reason,
        "first_failure": done.first_failure,
        "solver": json.dumps(asdict(done.settings)),
        "solve_s": done.seconds,
        **curve(done.time_s, done.voltage_v),
    }


def _check(asked: Asked) -> None:
    cell.check_half_cell(asked.cell)


HALF_CELLS: Study[Asked] = Study(
    "discharges", "discharge_id", discharge_id, _check, solve_batch, _row, BATCH, LIMIT_S
)


@dataclass(frozen=True)
class Volcano:
    """Energy along a series of loadings: its peak, and how energy and power correlate on either side."""

    peak_mg_cm2: float
    left: float
    right: float
    limited_left: int
    unlimited_right: int

    @property
    def in_words(self) -> str:
        """Peak, correlations and limits in a sentence."""
        return (
            f"energy peaks at {self.peak_mg_cm2:g} mg/cm² of active material; energy and power correlate "
            f"by {self.left:.2f} below and {self.right:.2f} above it; {self.limited_left} electrodes below "
            f"it are short of salt, {self.unlimited_right} above it are not"
        )

    @property
    def stands(self) -> bool:
        """Whether energy and power rise together below the peak and diverge above it, as in paper 000."""
        return self.left > 0 > self.right and not (self.limited_left or self.unlimited_right)


def volcano(rows: Sequence[dict[str, Any]]) -> Volcano | None:
    """The peak of energy along a series of loadings; None if the peak is at either end."""
    import numpy as np

    rows = sorted(rows, key=lambda row: float(row["mass_loading_mg_cm2"]))
    if any(row["failed"] for row in rows):
        return None
    energy, power = (
        np.array([row[name] for row in rows])
        for name in ("specific_energy_wh_kg", "specific_power_w_kg")
    )
    peak = int(np.argmax(energy))
    if not 2 <= peak <= len(rows) - 3:
        return None
    limited = [row["limited_by"] == cell.ELECTROLYTE for row in rows]
    return Volcano(
        rows[peak]["mass_loading_mg_cm2"],
        float(np.corrcoef(energy[: peak + 1], power[: peak + 1])[0, 1]),
        float(np.corrcoef(energy[peak:], power[peak:])[0, 1]),
        sum(limited[:peak]),
        sum(not by_salt for by_salt in limited[peak + 1 :]),
    )
