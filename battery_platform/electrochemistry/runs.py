"""Discharges that are kept: simulated once per electrode, assumptions and code, answered from the
lake afterwards.

Thin: one electrode at a time; sweeps over many come later.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from battery_platform.electrochemistry.assumptions import HALF_CELL, digest
from battery_platform.electrochemistry.half_cell import Discharge, Electrode, discharge
from battery_platform.store.arrays import intact, load, save
from battery_platform.store.builds import code_digest
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.products import put

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODEL = "half_cell"
GRADED_MODEL = "graded_full_cell"
C_RATE, LOWER_V = 1.0, 3.2


_OTHERS = ["pictures", "graded", "sweeps", "replications", "effects", "designs"]
"""What changes no discharge of a half cell."""


def code_version() -> str:
    """Hash of the code that decides what a discharge comes to."""
    return code_digest(Path(__file__).parent, _OTHERS)


def discharge_id(electrode: Electrode, design_id: str | None, c_rate: float, lower_v: float) -> str:
    """The same electrode, load, assumptions and code have the same name."""
    asked = [asdict(electrode), design_id, c_rate, lower_v, digest(HALF_CELL), code_version()]
    text = json.dumps(asked, sort_keys=True)
    return "discharge-" + hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def electrode_of(design: dict[str, Any]) -> Electrode:
    """The electrode that a design recommends, as its models predict it."""
    return Electrode(
        design["mass_loading_mg_cm2"],
        design["loading_basis"],
        design["porosity_pct"],
        design["active_material_pct"],
    )


def stored(lake: Lakehouse, identifier: str) -> dict[str, Any] | None:
    """A discharge that the lake has."""
    found = lake.records("SELECT * FROM discharges WHERE discharge_id = ?", [identifier])
    return found[0] if found else None


def simulate(
    lake: Lakehouse,
    electrode: Electrode,
    is_synthetic: bool,
    design_id: str | None = None,
    c_rate: float = C_RATE,
    lower_v: float = LOWER_V,
) -> tuple[dict[str, Any], bool]:
    """A discharge from the lake, or a new one; true if it had to be simulated."""
    identifier = discharge_id(electrode, design_id, c_rate, lower_v)
    known = stored(lake, identifier)
    if known is not None and (known["failed"] or intact(lake.settings, known["curve_file"])):
        return known, False
    keep_assumptions(lake)
    done = discharge(electrode, c_rate, lower_v)
    row = _row(lake, done) | {
        "discharge_id": identifier,
        "design_id": design_id,
        "is_synthetic": is_synthetic,
    }
    put(lake, {"discharges": [row]})
    found = stored(lake, identifier)
    assert found is not None
    return found, True


def curve_figure(lake: Lakehouse, row: dict[str, Any]) -> Figure:
    """The kept curve of a discharge, drawn."""
    from battery_platform.electrochemistry.pictures import discharge_figure

    curve = load(lake.settings, row["curve_file"])
    return discharge_figure(row, curve["charge_mah_cm2"], curve["voltage_v"])


def keep_assumptions(lake: Lakehouse) -> bool:
    """Put the tables of assumptions into the lake where they are not there; true if they were not."""
    from battery_platform.electrochemistry.graded.assumptions import GRADED

    tables = {MODEL: HALF_CELL, GRADED_MODEL: GRADED}
    wanted = {(name, digest(table)) for name, table in tables.items()}
    if set(lake.rows("SELECT DISTINCT model, digest FROM assumptions")) == wanted:
        return False
    rows = [
        {
            "model": name,
            **{field: _said(value) for field, value in asdict(one).items()},
            "digest": digest(table),
        }
        for name, table in tables.items()
        for one in table
    ]
    put(lake, {"assumptions": rows}, instead_of={"assumptions": ("model", list(tables))})
    return True


def _said(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, int | float) else value


def _row(lake: Lakehouse, done: Discharge) -> dict[str, Any]:
    curve_file, curve_hash = None, None
    if not done.failed:
        curve_file, curve_hash = save(
            lake.settings,
            "discharges",
            {
                "time_s": done.time_s,
                "voltage_v": done.voltage_v,
                "charge_mah_cm2": done.charge_mah_cm2,
            },
        )
    solver = asdict(done.settings) | {
        "pybamm": done.pybamm_version,
        "seconds": round(done.seconds, 3),
        "first_failure": done.first_failure,
    }
    return {
        "made_at": datetime.now(UTC).replace(tzinfo=None),
        "model": MODEL,
        "c_rate": done.c_rate,
        "lower_cutoff_v": done.lower_v,
        "mass_loading_mg_cm2": done.electrode.mass_loading_mg_cm2,
        "loading_basis": done.electrode.loading_basis,
        "porosity_pct": done.electrode.porosity_pct,
        "active_material_pct": done.electrode.active_material_pct,
        "thickness_um": done.structure.thickness_um,
        "thickness_is_derived": "thickness_um" in done.derived,
        "specific_energy_wh_kg": done.specific_energy_wh_kg,
        "specific_power_w_kg": done.specific_power_w_kg,
        "capacity_mah_g": done.capacity_mah_g,
        "areal_capacity_mah_cm2": done.capacity_mah_cm2,
        "discharge_time_s": done.discharge_time_s,
        "electrode_mass_mg_cm2": done.masses.electrode_mg_cm2,
        "end_reason": done.end_reason,
        "failed": done.failed,
        "curve_file": curve_file,
        "curve_hash": curve_hash,
        "assumptions_hash": done.assumptions_digest,
        "solver": json.dumps(solver, sort_keys=True),
    }
