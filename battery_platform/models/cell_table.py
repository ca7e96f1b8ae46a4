"""The wide table as arrays: what is set or measured before a cell is cycled, and the results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from battery_platform.errors import NoRows
from battery_platform.lazily import Lazily

if TYPE_CHECKING:
    import polars as pl
else:
    pl = Lazily("polars")

Array = npt.NDArray[Any]

DESCRIPTORS = (
    "graphite_pct",
    "carbon_black_pct",
    "cmc_pct",
    "sbr_pct",
    "long_cnt_pct",
    "short_cnt_pct",
    "carbon_fibre_pct",
    "dispersant_pct",
    "solid_content_pct",
    "mixing_time_min",
    "mixing_temperature_degc",
    "coating_gap_um",
    "coating_speed_m_min",
    "drying_temperature_degc",
    "drying_final_temperature_degc",
    "drying_time_min",
    "ambient_temperature_degc",
    "ambient_humidity_pct",
    "calendered",
    "compression_degree_pct",
    "thickness_um",
    "mass_loading_mg_cm2",
    "porosity_pct",
    "active_mass_mg",
    "electrode_diameter_mm",
    "collector_thickness_um",
    "electrolyte_ul",
    "separator_thickness_um",
    "counter_thickness_um",
    "charge_rate_c",
    "discharge_rate_c",
)
"""31, as many as in the paper, whose text does not say which."""


@dataclass(frozen=True)
class Endpoint:
    """A measured quantity, and whether it is learnt as its logarithm because it spans decades."""

    name: str
    unit: str
    logarithmic: bool = False
    of_cycling: bool = False

    @property
    def stem(self) -> str:
        return self.name.removesuffix(self.unit)

    @property
    def outputs(self) -> dict[str, str]:
        return {
            "value": self.name,
            "standard_deviation": f"{self.stem}_sd{self.unit}",
            "low_90": f"{self.stem}_low_90{self.unit}",
            "high_90": f"{self.stem}_high_90{self.unit}",
        }


ENDPOINTS = (
    Endpoint("viscosity_at_0p1_pa_s", "_pa_s", logarithmic=True),
    Endpoint("viscosity_at_1_pa_s", "_pa_s", logarithmic=True),
    Endpoint("viscosity_at_10_pa_s", "_pa_s", logarithmic=True),
    Endpoint("viscosity_at_100_pa_s", "_pa_s", logarithmic=True),
    Endpoint("adhesion_n_m", "_n_m", logarithmic=True),
    Endpoint("ir_drop_mv", "_mv", logarithmic=True),
    Endpoint("first_efficiency_pct", "_pct"),
    Endpoint("coulombic_efficiency_pct", "_pct", of_cycling=True),
    Endpoint("max_capacity_mah_g", "_mah_g", of_cycling=True),
    Endpoint("d5_mah_g", "_mah_g", of_cycling=True),
    Endpoint("d10_mah_g", "_mah_g", of_cycling=True),
    Endpoint("d30_mah_g", "_mah_g", of_cycling=True),
    Endpoint("cycle_at_50pct_of_max", "", of_cycling=True),
)
"""In the order in which they are measured."""
CURVE = "capacities_mah_g"
CURVE_CYCLES = (1, 5, 10, 20, 30, 40, 50)
"""Cycles of the curve whose capacities are reported."""
EARLY = ("adhesion_n_m", "ir_drop_mv")
CLASS_OF, CLASSES, BOUNDS = "d30_mah_g", ("A", "B", "C"), (250.0, 100.0)
PRESENT = 0.8
"""A descriptor that fewer cells have is not used; a cell that lacks any other descriptor is left out."""
FEWEST_CELLS, FEWEST_CASES, FEWEST_VALUES = 30, 8, 12
"""An endpoint known for fewer cells, or for cells of fewer cases, is not learnt."""


@dataclass(frozen=True, eq=False)
class SparseTable:
    """Cells that count, in the order of their identifiers; NaN where nothing was measured."""

    ids: tuple[str, ...]
    cases: npt.NDArray[np.str_]
    """Recipe and process of each cell: a case is never on both sides of a split."""
    descriptors: tuple[str, ...]
    inputs: Array
    endpoints: tuple[Endpoint, ...]
    known: Array
    curves: Array
    """Capacity of each cycle; a row of NaN where there is no whole curve."""
    is_synthetic: bool
    sources: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def place(self, endpoint: str) -> int:
        return [candidate.name for candidate in self.endpoints].index(endpoint)

    def rows(self, rows: Array) -> SparseTable:
        """The table of some of the cells."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            cases=self.cases[rows],
            inputs=self.inputs[rows],
            known=self.known[rows],
            curves=self.curves[rows],
        )

    def only(self, names: tuple[str, ...]) -> Array:
        """Known values if only these endpoints had been measured."""
        kept = np.array([endpoint.name in names for endpoint in self.endpoints])
        return np.where(kept, self.known, np.nan)

    @cached_property
    def digest(self) -> str:
        """Changes with any cell, case, number or name."""
        hasher = hashlib.blake2b(digest_size=8)
        names = [endpoint.name for endpoint in self.endpoints]
        kind = (self.ids, self.cases.tolist(), self.descriptors, names, self.is_synthetic)
        hasher.update(repr((kind, self.sources)).encode())
        for array in (self.inputs, self.known, self.curves):
            hasher.update(np.ascontiguousarray(array).tobytes())
        return hasher.hexdigest()


def table_of(frame: pl.DataFrame) -> SparseTable:
    """The table of rows of `cell_cases`: real ones where there are enough, else synthetic ones."""
    both = frame.sort("cell_id")
    if "is_synthetic" not in both.columns:
        both = both.with_columns(pl.lit(False).alias("is_synthetic"))
    if "source_id" not in both.columns:
        both = both.with_columns(pl.lit("not stated").alias("source_id"))
    real = both.filter(~pl.col("is_synthetic"))
    for cells in (real, both.filter("is_synthetic")):
        table = _table(cells)
        if len(table) >= FEWEST_CELLS and len(np.unique(table.cases)) >= FEWEST_CASES:
            return table
    raise NoRows(
        f"{FEWEST_CELLS} cells of {FEWEST_CASES} cases with their descriptors are needed to learn "
        f"how cells come out; there are {len(_table(real))} real ones.",
        "Hand in a table `cell_cases` with the descriptors filled in.",
    )


def _table(frame: pl.DataFrame) -> SparseTable:
    counting = frame.filter(pl.col("qc_status_code").fill_null("ok") == "ok")
    left_out = {"not passed by quality control": frame.height - counting.height}
    numbers = counting.with_columns(
        pl.col("calendered").replace_strict({"yes": 1.0, "no": 0.0}, default=None)
    )
    present = {name: numbers[name].is_not_null().mean() or 0.0 for name in DESCRIPTORS}
    names = tuple(name for name in DESCRIPTORS if float(str(present[name])) >= PRESENT)
    whole = numbers.filter(
        pl.all_horizontal(pl.lit(True), *(pl.col(name).is_not_null() for name in names))
    )
    left_out["without a descriptor that most cells have"] = numbers.height - whole.height
    curves = _curves(whole[CURVE].to_list())
    known = _known(whole, curves)
    cases = whole["case_id"].to_numpy().astype(str)
    enough = np.array([_is_enough(column, cases) for column in known.T])
    return SparseTable(
        ids=tuple(whole["cell_id"].to_list()),
        cases=cases,
        descriptors=names,
        inputs=whole.select(pl.col(names).cast(pl.Float64)).to_numpy(),
        endpoints=tuple(endpoint for endpoint, keep in zip(ENDPOINTS, enough, strict=True) if keep),
        known=known[:, enough],
        curves=curves,
        is_synthetic=bool(whole["is_synthetic"].any()),
        sources=tuple(sorted(set(whole["source_id"].to_list()))),
        left_out=left_out,
    )


def _is_enough(values: Array, cases: Array) -> bool:
    there = np.isfinite(values)
    return bool(there.sum() >= FEWEST_VALUES and len(np.unique(cases[there])) >= FEWEST_CASES)


def _curves(texts: list[str | None]) -> Array:
    """Curves cut to the length that four in five reach; shorter ones are left out.

    Missing cycles are interpolated linearly.
    """
    lists = [np.array(json.loads(text) if text else [], dtype=float) for text in texts]
    lengths = sorted(len(curve) for curve in lists if len(curve))
    length = lengths[len(lengths) // 5] if lengths else 0
    made = np.full((len(lists), length), np.nan)
    for row, curve in enumerate(lists):
        there = np.flatnonzero(np.isfinite(curve))
        if len(curve) >= length and len(there) >= 2:
            made[row] = np.interp(np.arange(length), there, curve[there])
    return made


def _known(frame: pl.DataFrame, curves: Array) -> Array:
    """Endpoints, taken from the curve where they are not given.

    A cell that kept half of its capacity over the whole curve gets the length of the curve, as it lasted
    at least that long.
    """
    known = (
        frame.select(pl.col(endpoint.name).cast(pl.Float64) for endpoint in ENDPOINTS)
        .to_numpy()
        .copy()
    )
    names = [endpoint.name for endpoint in ENDPOINTS]
    length = curves.shape[1]
    from_curve = {"max_capacity_mah_g": curves.max(axis=1, initial=-np.inf)}
    from_curve |= {
        f"d{cycle}_mah_g": curves[:, cycle - 1] for cycle in (5, 10, 30) if cycle <= length
    }
    for name, values in from_curve.items():
        column = known[:, names.index(name)]
        take = np.isnan(column) & np.isfinite(values)
        column[take] = values[take]
    half = known[:, names.index("cycle_at_50pct_of_max")]
    if length:
        lasted = np.isnan(half) & (curves[:, -1] >= 0.5 * curves.max(axis=1))
        half[lasted] = length
        np.minimum(half, length, out=half)
    return known
