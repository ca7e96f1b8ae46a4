"""The mistakes that are planted in the sheets, each kind in turn, on rows that nothing refers to.

Which row breaks which rule is known here and nowhere else; an importer has to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from battery_platform.synthetic.plant.columns import LAYOUT, REFERENCES
from battery_platform.synthetic.plant.frames import Rng
from battery_platform.synthetic.plant.sheets import Fault, Sheet, unit_factor

FAULT_SHARE = 0.0125
"""Faulty rows of a sheet with ten rows or more."""

FAULT_KINDS = (
    "percent_fraction_slip",
    "unit_slip",
    "negative_value",
    "recipe_103_percent",
    "loading_contradiction",
    "capacity_above_theory",
    "dangling_reference",
    "end_before_start",
    "duplicate_id",
    "text_in_number",
    "trailing_blank_line",
)

_Edits = dict[str, str] | None
_Edit = Callable[[Sheet, int, str, Rng], _Edits]


def _slip(sheet: Sheet, row: int, column: str, rng: Rng) -> _Edits:
    """Percent for a fraction, mm for µm, or the reverse where the file has those."""
    step = 100.0 if column.endswith("_pct") else 1000.0
    value = sheet.number(row, column)
    slipped = value * step if unit_factor(sheet, column) > 1 else value / step
    return {column: sheet.written(column, slipped)}


def _negative(sheet: Sheet, row: int, column: str, rng: Rng) -> _Edits:
    return {column: sheet.written(column, -sheet.number(row, column))}


def _recipe(sheet: Sheet, row: int, column: str, rng: Rng) -> _Edits:
    if np.isnan(sheet.number(row, "conductive_additive_pct") + sheet.number(row, "binder_pct")):
        return None
    return {column: sheet.written(column, sheet.number(row, column) + 3)}


def _contradiction(sheet: Sheet, row: int, column: str, rng: Rng) -> _Edits:
    if sheet.frame["loading_basis"][row] != "coating":
        return None
    if np.isnan(sheet.number(row, "composite_density_g_cm3")):
        return None
    return {column: sheet.written(column, sheet.number(row, column) * rng.uniform(1.4, 1.8))}


def _above_theory(sheet: Sheet, row: int, column: str, rng: Rng) -> _Edits:
    if np.isnan(sheet.number(row, column)):
        return None
    return {column: sheet.written(column, sheet.campaign.chemistry.theory * rng.uniform(1.1, 1.6))}


def _dangling(sheet: Sheet, row: int, column: str, rng: Rng) -> _Edits:
    return {column: f"SYN-{sheet.campaign.code}-EL{rng.integers(90000, 99999)}"}


def _backwards(sheet: Sheet, row: int, column: str, rng: Rng) -> _Edits:
    start, end = sheet.position("started_at"), sheet.position("ended_at")
    if start is None or end is None or np.isnat(sheet.frame["ended_at"][row]):
        return None
    return {"started_at": sheet.rows[row][end], "ended_at": sheet.rows[row][start]}


def _text(sheet: Sheet, row: int, column: str, rng: Rng) -> _Edits:
    missing = np.isnan(sheet.number(row, column))
    doubtful = sheet.rows[row][sheet.position(column) or 0] + "?"
    return {column: "n.a." if missing or rng.random() < 0.5 else doubtful}


def _different(sheet: Sheet, row: int, column: str, rng: Rng) -> _Edits:
    if np.isnan(sheet.number(row, column)):
        return None
    return {column: sheet.written(column, sheet.number(row, column) * 1.03)}


_EDITS: dict[str, _Edit] = {
    "percent_fraction_slip": _slip,
    "unit_slip": _slip,
    "negative_value": _negative,
    "recipe_103_percent": _recipe,
    "loading_contradiction": _contradiction,
    "capacity_above_theory": _above_theory,
    "dangling_reference": _dangling,
    "end_before_start": _backwards,
    "duplicate_id": _different,
    "text_in_number": _text,
}

_MENU: dict[str, tuple[tuple[str, str], ...]] = {
    "material_lots": (("text_in_number", "density_g_cm3"), ("duplicate_id", "density_g_cm3")),
    "slurry_batches": (
        ("percent_fraction_slip", "active_material_pct"),
        ("recipe_103_percent", "active_material_pct"),
        ("text_in_number", "solid_content_pct"),
        ("duplicate_id", "solid_content_pct"),
    ),
    "coatings": (
        ("unit_slip", "comma_gap_um"),
        ("duplicate_id", "comma_gap_um"),
        ("text_in_number", "comma_gap_um"),
    ),
    "dryings": (
        ("text_in_number", "drying_temperature_degc"),
        ("duplicate_id", "drying_temperature_degc"),
        ("negative_value", "drying_temperature_degc"),
    ),
    "calenderings": (
        ("unit_slip", "thickness_after_um"),
        ("negative_value", "thickness_after_um"),
        ("duplicate_id", "line_load_n_mm"),
        ("text_in_number", "roll_temperature_degc"),
    ),
    "electrodes": (
        ("loading_contradiction", "mass_loading_mg_cm2"),
        ("negative_value", "thickness_um"),
        ("percent_fraction_slip", "porosity_pct"),
        ("unit_slip", "thickness_um"),
        ("text_in_number", "adhesion_n_m"),
        ("duplicate_id", "thickness_um"),
    ),
    "cells": (
        ("dangling_reference", "electrode_id"),
        ("text_in_number", "active_mass_mg"),
        ("duplicate_id", "active_mass_mg"),
    ),
    "formations": (
        ("capacity_above_theory", "specific_capacity_mah_g"),
        ("end_before_start", "ended_at"),
        ("text_in_number", "ir_drop_mv"),
        ("duplicate_id", "ir_drop_mv"),
    ),
    "cycling_tests": (
        ("end_before_start", "ended_at"),
        ("text_in_number", "temperature_degc"),
        ("duplicate_id", "temperature_degc"),
    ),
    "test_cycles": (
        ("capacity_above_theory", "specific_capacity_mah_g"),
        ("text_in_number", "discharge_capacity_mah"),
        ("duplicate_id", "discharge_capacity_mah"),
    ),
}


def identifiers_referred_to(sheets: Iterable[Sheet]) -> dict[str, set[Any]]:
    """The identifiers of each table that other tables name."""
    referred: dict[str, set[Any]] = {table: set() for table in LAYOUT}
    for sheet in sheets:
        for column in (f.column for f in sheet.fields):
            table = REFERENCES.get(column)
            if table not in (None, sheet.table):
                referred[str(table)].update(sheet.frame[column].tolist())
    return referred


def _plant_fault(sheet: Sheet, row: int, kind: str, column: str, rng: Rng) -> bool:
    edits = _EDITS[kind](sheet, row, column, rng)
    if edits is None:
        return False
    line = row
    if kind == "duplicate_id":
        column = sheet.fields[0].column
        sheet.faults.append(Fault(sheet.file, row + 2, column, kind))
        sheet.rows.append(list(sheet.rows[row]))
        line = len(sheet.rows) - 1
    for name, text in edits.items():
        position = sheet.position(name)
        if position is not None:
            sheet.rows[line][position] = text
    sheet.faults.append(Fault(sheet.file, line + 2, column, kind))
    return True


def plant_faults(sheet: Sheet, order: int, referred: set[Any], rng: Rng) -> None:
    """Makes mistakes in a sheet, each kind in turn, on rows that nothing refers to."""
    wanted = int(np.ceil(FAULT_SHARE * len(sheet.rows))) if len(sheet.rows) >= 10 else 0
    names = sheet.frame[sheet.fields[0].column]
    leaves = [row for row in rng.permutation(len(names)).tolist() if names[row] not in referred]
    menu: Sequence[tuple[str, str]] = _MENU[sheet.table]
    done = 0
    for row in leaves:
        if done == wanted:
            break
        kind, column = menu[(done + order) % len(menu)]
        done += _plant_fault(sheet, row, kind, column, rng)
    if rng.random() < 0.15:
        sheet.blank_lines = int(rng.integers(1, 4))
    first = len(sheet.rows) + 2
    for line in range(first, first + sheet.blank_lines):
        sheet.faults.append(Fault(sheet.file, line, "", "trailing_blank_line"))
