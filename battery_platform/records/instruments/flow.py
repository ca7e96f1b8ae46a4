"""Flow curves of rheometers: their columns, their points, and viscosities at stated rates.

Viscosities are interpolated in the logarithms, where flow curves are nearly straight, and only
between measured points.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from battery_platform.contracts.units import conversion
from battery_platform.records.instruments.curve_tables import CurveTables, identifier
from battery_platform.records.instruments.grid import (
    Grid,
    Names,
    Table,
    number,
    places_of,
    plain,
    written,
)
from battery_platform.records.instruments.model import Tidy
from battery_platform.records.reading import refuse

COLUMNS = {
    "time": "time_s",
    "rate": "shear_rate_1_s",
    "stress": "shear_stress_pa",
    "viscosity": "viscosity_pa_s",
    "torque": "torque_un_m",
    "temperature": "temperature_degc",
}
DECISIVE = ("rate", "stress", "viscosity")
NAMES: Names = {
    "point": (
        "point no.",
        "point no",
        "meas. pts.",
        "meas. pt.",
        "messpkt.",
        "messpunkt",
        "messpunkt nr.",
        "messpunkt-nr.",
        "punkt nr.",
        "punkt-nr.",
        "datenpunkt",
        "n° de point",
        "no. point",
        "point n°",
        "point",
    ),
    "time": (
        "interval time",
        "intervallzeit",
        "abschnittszeit",
        "intervalle temps",
        "step time",
        "schrittzeit",
        "time",
        "zeit",
        "messzeit",
        "temps",
    ),
    "rate": (
        "shear rate",
        "scherrate",
        "schergeschwindigkeit",
        "gradient de cisaillement",
        "taux de cisaillement",
        "vitesse de cisaillement",
        "velocidad de cizalla",
        "velocidad de corte",
        "steady shear rate",
        "rate",
    ),
    "stress": (
        "shear stress",
        "schubspannung",
        "scherspannung",
        "contrainte de cisaillement",
        "esfuerzo de corte",
        "esfuerzo cortante",
        "stress",
        "spannung",
        "contrainte",
        "tau",
    ),
    "viscosity": (
        "viscosity",
        "viskosität",
        "viskositaet",
        "scherviskosität",
        "viscosité",
        "viscosidad",
        "shear viscosity",
        "steady shear viscosity",
        "eta",
    ),
    "torque": ("torque", "drehmoment", "moment", "couple"),
    "temperature": ("temperature", "temperatur", "température", "temperatura", "temp.", "temp"),
    "status": ("status", "state", "etat", "état", "estado", "meas. status"),
    "step": ("step",),
}
OSCILLATION: Names = {
    "storage": ("storage modulus", "speichermodul", "module de stockage", "g'"),
    "loss": ("loss modulus", "verlustmodul", "module de perte", "g''", 'g"'),
    "frequency": ("angular frequency", "kreisfrequenz", "frequency", "frequenz", "fréquence"),
    "strain": ("oscillation strain", "oscillation stress", "complex viscosity", "tan(delta)"),
}
TARGETS = {
    "viscosity_at_0p1_pa_s": 0.1,
    "viscosity_at_1_pa_s": 1.0,
    "viscosity_at_10_pa_s": 10.0,
    "viscosity_at_100_pa_s": 100.0,
}
_TESTS = (
    "flow_test_id",
    "test_name",
    "instrument",
    "temperature_degc",
    "temperature_source",
    "points",
    "points_without_viscosity",
    "shear_rate_min_1_s",
    "shear_rate_max_1_s",
    *TARGETS,
    "viscosity_note",
    "measured_at",
)
_FEW_DIGITS = 3


def known_columns(cells: list[str]) -> int:
    """How many quantities of a rheometer a row names."""
    return len(places_of(cells, NAMES)) + len(places_of(cells, OSCILLATION))


@dataclass
class Curve:
    """One test of a file: its name, where it begins, and its intervals' tables."""

    name: str
    line: int
    grid: Grid
    intervals: list[tuple[str, Table]] = field(default_factory=list)
    measured_at: str = ""
    sample: str = ""
    """The sample, if it is not the name; it may end with a temperature."""


@dataclass
class Point:
    """A logged point: its cells for the output, and its numbers in the contract's units."""

    line: int
    interval: str
    table: Table
    cells: dict[str, str]
    rate: float | None
    stress: float | None
    viscosity: float | None
    printed: tuple[float | None, ...]
    usable: bool = True


def why_no_flow(table: Table) -> str:
    """Why a table is not a flow curve; empty if it is one."""
    if not table.rows:
        return "it has no points"
    oscillation = places_of(table.header, OSCILLATION)
    for place in oscillation.values():
        if any(number(plain(cells[place], table.decimal)) is not None for _, cells in table.rows):
            return "it is an oscillation"
    if "rate" not in table.places:
        return "it has no shear rate"
    if all(number(table.cell(cells, "rate")) is None for _, cells in table.rows):
        return "it has no shear rate"
    if "stress" not in table.places and "viscosity" not in table.places:
        return "it has neither viscosity nor shear stress"
    return ""


def check_units(path: Path, table: Table, notes: list[str], how: str) -> None:
    """Refuse a curve that lacks the decisive units; drop other columns without a unit."""
    missing = [name for name in DECISIVE if name in table.places and not table.units[name]]
    if missing:
        shown = ", ".join(f"'{table.header[table.places[name]]}'" for name in missing)
        raise refuse(
            path,
            f"line {table.line}: the columns {shown} state no unit, and none is guessed.",
            f"{how} Or add a line of units below the header, such as [1/s], [Pa], [mPa·s].",
        )
    for quantity, column in COLUMNS.items():
        if quantity not in table.places:
            continue
        unit = table.units[quantity] or ""
        if conversion(unit, column) is not None:
            continue
        title = table.header[table.places[quantity]]
        if quantity in DECISIVE:
            raise refuse(
                path,
                f"line {table.line}: '{title}' is stated in '{unit}', which is no unit of it.",
                "Correct the line of units, or export the test again.",
            )
        del table.places[quantity]
        note = f"column '{title}' is not taken: " + (
            f"'{unit}' is no unit of it" if unit else "it has no unit"
        )
        if note not in notes:
            notes.append(note)


def flow_tables(
    path: Path, curves: list[Curve], instrument: str, notes: list[str], remedy: str
) -> list[Tidy]:
    """The tables of a file's flow curves; a file without any is refused with this remedy."""
    if not curves:
        reasons = "; ".join(notes) or "it has no table of points"
        raise refuse(path, f"no flow curve is in it: {reasons}.", remedy)
    several = len({curve.grid.name for curve in curves}) > 1
    made = CurveTables("flow", "flow curves", _TESTS, several, notes)
    for curve in curves:
        points = [_point(*place) for place in _rows(curve)]
        of = identifier(curve.name, [value for point in points for value in point.printed])
        if made.again(of, f"test '{curve.name}'", curve.line):
            continue
        _settle_viscosities(points)
        sheet = curve.grid.name
        made.add_test(sheet, curve.line, _test_cells(of, curve, points, instrument))
        for running, point in enumerate(points, start=1):
            units = _point_units(point)
            given = {"flow_test_id": of, "point": str(running), "interval": point.interval}
            row = tuple((given | point.cells).get(column, "") for column in units)
            made.points(sheet, units).append((point.line, row))
    return made.tables()


def _rows(curve: Curve) -> Iterator[tuple[str, Table, int, list[str]]]:
    for interval, table in curve.intervals:
        for line, cells in table.rows:
            yield interval, table, line, cells


def _point(interval: str, table: Table, line: int, row: list[str]) -> Point:
    cells = {column: table.cell(row, name) for name, column in COLUMNS.items()}
    place = table.places.get("status")
    status = row[place] if place is not None else ""
    numbering = row[table.places["point"]] if "point" in table.places else ""
    flagged = re.search(r"inval|ungült", numbering, re.IGNORECASE)
    if flagged:
        status = f"{status} ({numbering})".strip()
    if "step" in table.places and not interval:
        interval = table.cell(row, "step")
    cells |= {"status": status, "viscosity_note": ""}
    rate, stress, viscosity = (
        _converted(table, name, cells[COLUMNS[name]]) for name in ("rate", "stress", "viscosity")
    )
    printed = tuple(number(cells[COLUMNS[name]]) for name in ("rate", "stress", "viscosity"))
    return Point(line, interval, table, cells, rate, stress, viscosity, printed, usable=not flagged)


def _converted(table: Table, quantity: str, cell: str) -> float | None:
    value = number(cell)
    both = conversion(table.units.get(quantity) or "", COLUMNS[quantity])
    if value is None or both is None:
        return None
    return float(f"{value * both[0] + both[1]:.15g}")


def _point_units(point: Point) -> dict[str, str | None]:
    table = point.table
    units: dict[str, str | None] = {"flow_test_id": None, "point": None, "interval": None}
    for quantity, column in COLUMNS.items():
        if quantity in table.places:
            units[column] = table.units[quantity]
        elif quantity == "viscosity":
            units[column] = None
        if quantity == "viscosity":
            units["viscosity_note"] = None
    return units | {"status": None}


# -- viscosities of points -----------------------------------------------------------------


@dataclass(frozen=True)
class _Precision:
    """How finely a column is printed; trailing zeros do not count, as workbooks drop them."""

    decimals: int
    digits: int

    @classmethod
    def of(cls, cells: Iterator[str]) -> _Precision:
        values = [Decimal(cell).normalize() for cell in cells if number(cell)]
        exponents = [int(value.as_tuple().exponent) for value in values]
        digits = [len(value.as_tuple().digits) for value in values]
        return cls(max((-exponent for exponent in exponents), default=0), max(digits, default=0))

    def digits_of(self, cell: str) -> int:
        return min(Decimal(cell).adjusted() + 1 + self.decimals, self.digits)


def _settle_viscosities(points: list[Point]) -> None:
    """Drop impossible viscosities; use stress over rate where too few digits are printed."""
    for table in {id(point.table): point.table for point in points}.values():
        own = [point for point in points if point.table is table]
        fine = {
            column: _Precision.of(point.cells[column] for point in own)
            for column in ("viscosity_pa_s", "shear_stress_pa")
        }
        for point in own:
            _settle_viscosity(point, fine["viscosity_pa_s"], fine["shear_stress_pa"])


def _settle_viscosity(point: Point, fine: _Precision, stress_fine: _Precision) -> None:
    cells, table = point.cells, point.table
    cell = cells["viscosity_pa_s"]
    implied = None
    if point.rate and point.stress and point.rate > 0 and point.stress > 0:
        implied = point.stress / point.rate
        implied = implied if math.isfinite(implied) else None
    if "viscosity" not in table.places:
        if implied is not None:
            point.viscosity = float(f"{implied:.15g}")
            cells["viscosity_pa_s"] = written(implied)
            cells["viscosity_note"] = "stress over rate: the file prints no viscosity"
        return
    unit = table.units["viscosity"] or ""
    if point.viscosity is None:
        if not cell:
            cells["viscosity_note"] = "none printed"
        return
    if point.viscosity <= 0:
        cells["viscosity_pa_s"] = ""
        printed = written(float(cell))  # alike from text and from a workbook
        cells["viscosity_note"] = f"printed as {printed} {unit}: at or below zero, no viscosity"
        point.viscosity = None
        return
    digits = fine.digits_of(cell)
    if implied is None or digits >= _FEW_DIGITS:
        return
    factor = (conversion(unit, "viscosity_pa_s") or (1.0, 0.0))[0]
    shown = implied / factor
    rounding = min(10.0**-fine.decimals, 0.5 * float(cell))
    near = abs(shown - float(cell)) <= 0.02 * float(cell) + rounding
    if near and stress_fine.digits_of(cells["shear_stress_pa"]) > digits:
        cells["viscosity_pa_s"] = written(shown)
        printed = written(float(cell))
        cells["viscosity_note"] = f"stress over rate: printed as {printed} {unit}, too few digits"
        point.viscosity = float(f"{implied:.15g}")


def contradicts(rate: float, stress: float | None, viscosity: float) -> bool:
    """Whether the contract will reject the point because viscosity is not stress over rate."""
    return stress is not None and abs(viscosity - stress / rate) > 0.1 * viscosity + 1e-4


# -- the test: viscosities at rates --------------------------------------------------------

_SAME_RATE = 1e-3
_AT_THE_END = 1e-6
_WIDEST_GAP = 10.0
_HYSTERESIS = 0.1


@dataclass(frozen=True)
class Knot:
    """A measured rate and its viscosity, or the mean of the logarithms of those at one rate."""

    rate: float
    viscosity: float
    spread: float
    lowest: float
    highest: float


def knots(points: Sequence[tuple[float, float]]) -> list[Knot]:
    """The measured rates in ascending order, each once."""
    groups: list[list[tuple[float, float]]] = []
    for rate, viscosity in sorted(points):
        if groups and rate <= groups[-1][0][0] * (1 + _SAME_RATE):
            groups[-1].append((rate, viscosity))
        else:
            groups.append([(rate, viscosity)])
    return [_knot(group) for group in groups]


def _knot(group: list[tuple[float, float]]) -> Knot:
    rates = [rate for rate, _ in group]
    values = [value for _, value in group]
    if len(set(values)) == len(set(rates)) == 1:
        return Knot(rates[0], values[0], 0.0, rates[0], rates[0])
    rate = math.exp(math.fsum(map(math.log, rates)) / len(rates))
    value = math.exp(math.fsum(map(math.log, values)) / len(values))
    return Knot(rate, value, max(values) / min(values) - 1, min(rates), max(rates))


def viscosity_at(curve: Sequence[Knot], target: float) -> tuple[float | None, str]:
    """The viscosity at a rate, or why there is none; it is never extrapolated."""
    if not curve:
        return None, "no point has a viscosity"
    low, high = curve[0].lowest, curve[-1].highest
    if target < low * (1 - _AT_THE_END) or target > high * (1 + _AT_THE_END):
        return None, f"viscosities are measured from {low:g} to {high:g} 1/s"
    for knot in curve:
        if knot.lowest * (1 - _AT_THE_END) <= target <= knot.highest * (1 + _AT_THE_END):
            return knot.viscosity, ""
    above = next(i for i, knot in enumerate(curve) if knot.rate > target)
    left, right = curve[above - 1], curve[above]
    if right.rate > left.rate * _WIDEST_GAP * (1 + _AT_THE_END):
        return None, f"no point between {left.rate:g} and {right.rate:g} 1/s"
    share = math.log(target / left.rate) / math.log(right.rate / left.rate)
    return math.exp((1 - share) * math.log(left.viscosity) + share * math.log(right.viscosity)), ""


def _held(points: list[Point]) -> set[str]:
    """Intervals that hold one rate while others vary it; they only prepare the sample."""
    spans = {}
    for name in {point.interval for point in points}:
        rates = [p.rate for p in points if p.interval == name and p.rate and p.rate > 0]
        if rates:
            spans[name] = (max(rates) / min(rates), len(rates))
    if not any(span > 2 for span, _ in spans.values()):
        return set()
    return {name for name, (span, count) in spans.items() if span < 1.05 and count > 1}


def _test_cells(of: str, curve: Curve, points: list[Point], instrument: str) -> tuple[str, ...]:
    notes = []
    held = _held(points)
    measured = []
    wrong = 0
    for point in points:
        if not (point.usable and point.rate and point.rate > 0 and point.viscosity):
            continue
        if contradicts(point.rate, point.stress, point.viscosity):
            wrong += 1
        elif point.interval not in held:
            measured.append((point.rate, point.viscosity))
    if held:
        names = ", ".join(sorted(held))
        notes.append(f"interval {names} holds its rate and is left out of the values at rates")
    if wrong:
        notes.append(f"{wrong} points contradict stress over rate and are left out")
    if flagged := sum(not point.usable for point in points):
        notes.append(f"{flagged} points that the instrument calls invalid are left out")
    curve_knots = knots(measured)
    values = []
    empty: dict[str, list[str]] = {}
    for target in TARGETS.values():
        value, why = viscosity_at(curve_knots, target)
        values.append("" if value is None else written(value))
        if value is None:
            empty.setdefault(why, []).append(f"{target:g}")
    notes += [f"no viscosity at {', '.join(rates)} 1/s: {why}" for why, rates in empty.items()]
    spread = max((knot.spread for knot in curve_knots), default=0.0)
    if spread > _HYSTERESIS:
        notes.append(
            f"the same rate gives viscosities that differ by up to {100 * spread:.0f} % "
            "(up and down): the mean of their logarithms is taken"
        )
    temperature, source = _temperature(curve, points)
    without = sum(not point.cells["viscosity_pa_s"] for point in points)
    low, high = (
        (written(curve_knots[0].lowest), written(curve_knots[-1].highest))
        if curve_knots
        else ("", "")
    )
    return (
        *(of, curve.name, instrument, temperature, source, str(len(points)), str(without)),
        *(low, high, *values, "; ".join(notes), curve.measured_at),
    )


_IN_NAME = re.compile(r"(?<![\d.,])(\d{1,3}(?:[.,]\d+)?)\s*(?:°\s*|deg\.?\s*)?C$")


def _temperature(curve: Curve, points: list[Point]) -> tuple[str, str]:
    """The mean measured temperature, or the one at the end of the name (`LO35C`, `slurry 25 °C`)."""
    values = []
    for point in points:
        value = _converted(point.table, "temperature", point.cells["temperature_degc"])
        if value is not None:
            values.append(value)
    if values:
        return written(float(f"{math.fsum(values) / len(values):.9g}")), "measured"
    name = (curve.sample or curve.name).strip()
    match = _IN_NAME.search(name)
    if not match:
        return "", ""
    before = name[: match.start()]
    if re.search(r"(^|[\s_(])[-\u2212]\s*$", before):
        return "", ""  # a dash after a blank could be a minus sign
    return written(float(match[1].replace(",", "."))), "name_of_test"
