"""Many electrodes at once: a table of the lake, a CSV file, or a space of designs.

A row that cannot be simulated is reported with the reason; the other rows are unaffected.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from battery_platform.electrochemistry.assumptions import digest
from battery_platform.electrochemistry.half_cell import cell
from battery_platform.electrochemistry.half_cell.assumptions import HALF_CELL, SIZE_GROUPS
from battery_platform.electrochemistry.half_cell.cell import HalfCell, check_load
from battery_platform.electrochemistry.half_cell.electrode import Electrode, structure
from battery_platform.electrochemistry.half_cell_runs import (
    HALF_CELLS,
    RATED_SPACE,
    SERIES,
    SPACE,
    Asked,
    discharge_id,
    half_cell_code,
    sweep,
)
from battery_platform.errors import PlatformError
from battery_platform.made.fingerprint import fingerprint
from battery_platform.made.kept import digest_of
from battery_platform.made.remembered import recall, remember
from battery_platform.made.studies import Studied, unless_missing
from battery_platform.store.lakehouse import Lakehouse, sql_name

if TYPE_CHECKING:
    import polars as pl

MEASURED = "mart_electrodes"
NAMES = ("electrode_id", "name", "subject")
PROPERTIES = tuple(
    attribute.name for attribute in fields(Electrode) if attribute.name != "size_shares"
)
EMPTY = ("", "na", "n/a", "nan", "-", "null", "none")
YES, NO = ("true", "yes", "1", "y"), ("false", "no", "0", "n", *EMPTY)
NEEDED = ("mass_loading_mg_cm2", "loading_basis", "porosity_pct", "active_material_pct")
WANTED = (
    f"Give a column each for {', '.join(NEEDED)}; {', '.join(PROPERTIES[4:])} and the six shares "
    f"{SIZE_GROUPS[0]} to {SIZE_GROUPS[-1]} may be left out, as may is_synthetic and electrode_id."
)
# What the recipes and the calendering of paper 000's factorial lead to, by our prototypes.
SPACE_BOUNDS = {
    "mass_loading_mg_cm2": (5.0, 40.0),
    "porosity_pct": (20.0, 55.0),
    "tortuosity_factor": (1.5, 7.0),
    "wetted_share": (0.35, 1.0),
    "conductivity_decades": (-2.0, 1.0),
    "thickness_deviation": (-0.08, 0.08),
}
RATE_DOUBLINGS = (-1.0, 3.5)
"""C/2 to 11C."""
SPACE_ACTIVE_PCT = 95.0
SERIES_POROSITY_PCT, SERIES_TORTUOSITY = 22.0, 6.0


@dataclass(frozen=True)
class Electrodes:
    """Half cells that can be simulated, and the name and reason of each row that cannot."""

    asked: list[Asked] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


def of_table(lake: Lakehouse, table: str, c_rates: Sequence[float], lower_v: float) -> Electrodes:
    """The electrodes of a table or view of the lake."""
    if table not in lake.tables():
        raise PlatformError(
            f"The lake has no table {table}.",
            f"Name one that has them, such as {MEASURED}; `battery-platform sql` shows all tables.",
        )
    with lake.cursor() as cursor:
        frame = cursor.execute(f"FROM {sql_name(table)} ORDER BY ALL").pl()
    return of_frame(frame, table, c_rates, lower_v)


def of_frame(
    frame: pl.DataFrame, origin: str, c_rates: Sequence[float], lower_v: float, decimal: str = "."
) -> Electrodes:
    """One half cell per row and load. Table cells may be text, as in a file."""
    missing = [name for name in NEEDED if name not in frame.columns]
    if missing:
        raise PlatformError(f"{origin} has no column {', '.join(missing)}.", WANTED)
    for rate in c_rates:
        check_load(rate, lower_v)
    electrodes = Electrodes()
    for number, row in enumerate(frame.iter_rows(named=True), start=1):
        subject = next((str(row[name]) for name in NAMES if row.get(name)), f"row {number}")
        try:
            _check_material(row.get("active_material"))
            synthetic = _truth(row.get("is_synthetic"))
            electrode = electrode_of({name: _read(value, decimal) for name, value in row.items()})
            for rate in c_rates:
                half_cell = HalfCell(electrode, rate, lower_v)
                cell.check_half_cell(half_cell)
                electrodes.asked.append(Asked(half_cell, synthetic, origin, subject))
        except PlatformError as refusal:
            electrodes.refused.append((subject, str(refusal)))
    return electrodes


def _read(value: Any, decimal: str) -> Any:
    """Text as a number; text that is no number is left as it is, to be refused later."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.lower() in EMPTY:
        return None
    try:
        return float(text.replace(decimal, "."))
    except ValueError:
        return text


def _truth(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    text = str(value).strip().lower()
    if text in YES or text in NO:
        return text in YES
    raise PlatformError(
        f"is_synthetic is {value!r}.", "Say true or false, or leave the column out."
    )


def _check_material(material: Any) -> None:
    """Refuse materials other than NMC111, which is what the half cell simulates."""
    if material and not re.search("nmc|nca", str(material), re.IGNORECASE):
        raise PlatformError(
            f"active_material is {material}; the half cell is one of NMC111.",
            "Leave it out, or hand in electrodes of NMC.",
        )


def electrode_of(given: dict[str, Any]) -> Electrode:
    """An electrode from named values; shares of particle sizes are six columns or one list."""
    shares: Any = given.get("size_shares")
    if isinstance(shares, str):
        with contextlib.suppress(ValueError):
            shares = json.loads(shares)
    groups = [given.get(name) for name in SIZE_GROUPS]
    if shares is None and any(share is not None for share in groups):
        shares = groups
    values: dict[str, Any] = {name: given.get(name) for name in PROPERTIES}
    return Electrode(**values, size_shares=tuple(shares) if isinstance(shares, list) else shares)


def loading_series() -> list[Asked]:
    """Increasingly heavy coatings of one dense, tortuous structure, whose energy at 1C has a peak."""
    return [
        Asked(
            HalfCell(
                Electrode(
                    float(loading),
                    "active_material",
                    SERIES_POROSITY_PCT,
                    SPACE_ACTIVE_PCT,
                    tortuosity_factor=SERIES_TORTUOSITY,
                ),
            ),
            True,
            SERIES,
            f"{loading} mg/cm²",
        )
        for loading in range(8, 41, 2)
    ]


def sweep_space(lake: Lakehouse, count: int, c_rate: float, lower_v: float) -> Studied:
    """Discharges of the space, of a quarter as many points with their loads, and of the series.

    The electrodes are made only where a row is missing.
    """
    digest_now = digest_of(
        fingerprint(space, rated_space, loading_series, discharge_id),
        half_cell_code(),
        digest(HALF_CELL),
        f"{c_rate!r} {lower_v!r}",
    )
    title = f"half-cell space of {count}"
    known = recall(lake.settings, title, digest_now) or []
    there = unless_missing(lake, HALF_CELLS, [name for _, _, name in known]) if known else None
    if there is not None:
        subjects = [{"origin": origin, "subject": subject} for origin, subject, _ in known]
        return Studied([who | row for who, row in zip(subjects, there.rows, strict=True)], 0)
    asked = [
        *space(count, c_rate, lower_v),
        *loading_series(),
        *rated_space(count // 4, lower_v),
    ]
    studied = sweep(lake, asked)
    links = [(row["origin"], row["subject"], row["discharge_id"]) for row in studied.rows]
    remember(lake.settings, title, digest_now, links)
    return studied


def space(count: int, c_rate: float = 1.0, lower_v: float = 3.2, seed: int = 0) -> list[Asked]:
    """Electrodes that fill the space of the six properties evenly (scrambled Sobol points).

    Synthetic: no such electrodes were made. The surface is drawn as a share of the particles' surface,
    and the thickness around what loading and porosity imply, so that no property contradicts the others.
    """
    return [
        Asked(HalfCell(_drawn(at), c_rate, lower_v), True, SPACE, f"point {number}")
        for number, at in enumerate(_points(SPACE_BOUNDS, count, seed), start=1)
    ]


def rated_space(count: int, lower_v: float = 3.2, seed: int = 0) -> list[Asked]:
    """The same with the load as a seventh dimension, up to loads at which electrodes deliver almost nothing."""
    points = _points(SPACE_BOUNDS | {"rate_doublings": RATE_DOUBLINGS}, count, seed)
    return [
        Asked(
            HalfCell(_drawn(at), 2 ** at["rate_doublings"], lower_v),
            True,
            RATED_SPACE,
            f"point {number}",
        )
        for number, at in enumerate(points, start=1)
    ]


def _points(
    bounds: Mapping[str, tuple[float, float]], count: int, seed: int
) -> list[dict[str, float]]:
    from scipy.stats import qmc

    low, high = zip(*bounds.values(), strict=True)
    drawn = qmc.Sobol(len(bounds), rng=seed).random_base2(max(count - 1, 1).bit_length())
    scaled = qmc.scale(drawn, low, high)[:count].tolist()
    return [dict(zip(bounds, point, strict=True)) for point in scaled]


def _drawn(at: Mapping[str, float]) -> Electrode:
    bare = Electrode(
        at["mass_loading_mg_cm2"], "active_material", at["porosity_pct"], SPACE_ACTIVE_PCT
    )
    built = structure(bare)
    thick = replace(bare, thickness_um=built.thickness_um * (1 + at["thickness_deviation"]))
    spheres = structure(thick).sphere_surface_1_um
    return replace(
        thick,
        tortuosity_factor=at["tortuosity_factor"],
        specific_surface_1_um=at["wetted_share"] * spheres,
        electronic_conductivity_s_m=10 ** at["conductivity_decades"],
    )
