"""A mapping proposed from a sheet's headers and the values below them.

Each header is looked at by itself (`headers`), then beside the others and beside its values: two that
claim one column, numbers without a unit, a thickness with its foil, a date with its time of day. What
is assumed is said; what stays in doubt is proposed only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from battery_platform.contracts.base import columns
from battery_platform.contracts.registry import table
from battery_platform.contracts.units import conversion, shown_unit, unit_of
from battery_platform.records.headers import (
    CERTAIN,
    CERTAINLY,
    NEARLY,
    best_table,
    counts_active_material,
    is_clock,
    language_of,
    match_header,
    says_something,
    split_header,
    with_foil,
)
from battery_platform.records.identity import derivable
from battery_platform.records.mapping import Mapping, Place, spelling
from battery_platform.records.notation import as_numbers, is_numeric, one_moment
from battery_platform.records.reading import Sheet
from battery_platform.records.vocabulary import usual_units


@dataclass(frozen=True)
class Placement:
    """One header of the file and the column it was assigned to."""

    header: str
    column: str | None
    unit: str | None
    confidence: float
    why: str

    @property
    def used(self) -> bool:
        """Whether it is sure enough to be used without asking."""
        return self.column is not None and self.confidence >= CERTAIN


@dataclass(frozen=True)
class Proposal:
    """A mapping guessed from headers, and what could not be placed."""

    mapping: Mapping
    placements: tuple[Placement, ...]
    missing: tuple[str, ...]

    @property
    def usable(self) -> bool:
        return not self.missing


def propose(
    sheet: Sheet, source: str, sample: pl.DataFrame, table_name: str | None = None
) -> Proposal | None:
    """The best mapping for a sheet, or None if no table fits at all."""
    table_name = table_name or best_table(sheet.header)
    if table_name is None:
        return None
    guess = _Guess(sheet, sample, table_name)
    guess.place_headers()
    guess.settle_rivals()
    guess.state_units()
    guess.weigh_the_loading()
    guess.take_off_the_foil()
    guess.join_clocks()
    places, constants, assumed = guess.places(), guess.constants(), guess.assumed
    wanted = {column.name: column for column in columns(table(table_name).contract)}
    datetime_format = None
    moments = [
        guess.joined(name, place) for name, place in places.items() if wanted[name].role == "moment"
    ]
    if moments:
        assumed.append("timezone: the file does not say; time stamps are taken as UTC")
        datetime_format, note = _datetime_format(moments)
        assumed += [note] if note else []
    missing = tuple(
        name
        for name, column in wanted.items()
        if column.required
        and name not in places
        and name not in constants
        and name not in derivable(table_name)
    )
    dialect = sheet.dialect
    mapping = Mapping(
        source=source,
        table=table_name,
        columns=places,
        sheet=sheet.name or None,
        encoding=dialect.encoding if dialect and dialect.delimiter else None,
        delimiter=dialect.delimiter or None if dialect else None,
        decimal=dialect.decimal if dialect and dialect.delimiter else None,
        header_row=sheet.header_row or None,
        datetime_format=datetime_format,
        constants=constants,
        assumed=tuple(assumed),
    )
    return Proposal(mapping, tuple(guess.placements), missing)


OUTLIERS = 0.05
"""So large a share of slips does not hide the unit of a column; the rows themselves are judged anyway."""


def _mostly(numbers: pl.Series, low: float, high: float) -> bool:
    within = numbers.is_between(low, high)
    return len(within) > 0 and int(within.sum()) >= (1 - OUTLIERS) * len(within)


COATING_DENSITY_G_CM3 = (0.5, 5.0)
"""Of a coating with its pores, from felts of carbon to pressed oxides."""
_DATE = r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}"
_CLOCK = r"^(.* )?\d{1,2}:\d\d(:\d\d(\.\d+)?)?$"


class _Guess:
    """What the headers of one sheet mean, beside each other and beside what stands below them."""

    def __init__(self, sheet: Sheet, sample: pl.DataFrame, table_name: str) -> None:
        self.header = sheet.header
        self.sample = sample
        self.table_name = table_name
        self.decimal = sheet.dialect.decimal if sheet.dialect else "."
        self.wanted = {column.name: column for column in columns(table(table_name).contract)}
        self.placements: list[Placement] = []
        self.assumed: list[str] = []
        self.minus: dict[str, str] = {}
        self.clocks: dict[str, str] = {}

    def cells(self, position: int) -> pl.Series:
        return self.sample[f"c{position}"].str.strip_chars().replace("", None).drop_nulls()

    def place_headers(self) -> None:
        """Each header by itself: its words, and whether numbers, dates or words stand below it."""
        language = language_of(self.header)
        for position, text in enumerate(self.header):
            if not says_something(text):
                why = "no column of that name" if text else "no header"
                unit = split_header(text).unit
                self.placements.append(Placement(text, None, unit, 0.0, why))
                continue
            cells = self.cells(position).head(2000)
            numeric = is_numeric(cells, self.decimal)
            match = match_header(text, self.table_name, numeric, language)
            unit = split_header(text).unit
            if match is None:
                self.placements.append(Placement(text, None, unit, 0.0, "no column of that name"))
                continue
            dates = len(cells) > 0 and 2 * cells.str.contains(_DATE).sum() > len(cells)
            is_moment = self.wanted[match.column].role == "moment"
            if len(cells) and dates != is_moment and (is_moment or unit_of(match.column)):
                stands = "dates" if dates else "no dates"
                why = f"{match.column} by its words, but {stands} stand below it"
                self.placements.append(Placement(text, None, unit, 0.0, why))
                continue
            self.placements.append(Placement(text, match.column, unit, match.confidence, match.why))

    def settle_rivals(self) -> None:
        """Where several headers mean one column, the surest counts; equals do not count at all."""
        claims: dict[str, list[int]] = {}
        for position, placed in enumerate(self.placements):
            if placed.column is not None:
                claims.setdefault(placed.column, []).append(position)
        for column, positions in claims.items():
            if len(positions) == 1:
                continue
            ranks = {
                position: (self.placements[position].confidence, self._states_unit(position))
                for position in positions
            }
            best = max(ranks.values())
            leading = [position for position in positions if ranks[position] == best]
            if len(leading) > 1 and self._alike(leading):
                leading = leading[:1]
            others = " and ".join(f"'{self.header[position]}'" for position in leading)
            for position in positions:
                if leading == [position]:
                    continue
                why = (
                    f"{column} fits {others} better"
                    if len(leading) == 1
                    else f"{others} could each be {column}"
                )
                self.placements[position] = replace(
                    self.placements[position], column=None, confidence=0.0, why=why
                )

    def _alike(self, positions: list[int]) -> bool:
        """Whether these columns say the very same in every row."""
        first, *others = (self.sample[f"c{position}"] for position in positions)
        return len(first) > 0 and all((first == other).all() for other in others)

    def state_units(self) -> None:
        """Units that headers do not state, where the values leave no doubt."""
        for position, placed in enumerate(self.placements):
            column = placed.column
            if column is None or placed.unit is not None or unit_of(column) is None:
                continue
            if placed.confidence == 1.0:
                continue
            unit, sure, note = self._unit_by_values(column, position)
            if sure and placed.confidence in (NEARLY, CERTAINLY) and "close to" not in placed.why:
                self.placements[position] = replace(placed, unit=unit, confidence=CERTAINLY)
                self.assumed.append(note)
            elif not sure:
                self.placements[position] = replace(placed, confidence=NEARLY, why=note)

    def _unit_by_values(self, column: str, position: int) -> tuple[str | None, bool, str]:
        """The unit in which the values are usual, whether it is the only one, and what to say."""
        numbers = as_numbers(self.cells(position), self.decimal).drop_nulls()
        shown = shown_unit(column)
        if column.endswith("_pct") and len(numbers) and bool((numbers.abs() <= 1.0).all()):
            says = "all values lie within 1, so fractions are assumed"
            return "fraction", True, f"{column}: no unit is stated; {says}"
        known = usual_units(column, self.table_name)
        usual = known.usual if known else {}
        fitting = [
            unit
            for unit, (low, high) in usual.items()
            if _mostly(numbers.filter(numbers != 0) if low > 0 else numbers, low, high)
        ]
        if not usual and not (known and known.asks):
            return None, True, f"{column}: no unit is stated; {shown} is assumed"
        if len(numbers) and len(fitting) == 1:
            unit = fitting[0]
            said = f"the values are usual in {unit.replace('**', '^').replace('*', '·')} only"
            return unit, True, f"{column}: no unit is stated; {said}, which is assumed"
        doubt = "its values do not tell" if usual else "its numbers could be in several units"
        return (
            None,
            False,
            f"{column}, but no unit is stated and {doubt}: write one into the header",
        )

    def weigh_the_loading(self) -> None:
        """A loading without a unit has the one in which the coating beside it has a density."""
        at = {placed.column: position for position, placed in enumerate(self.placements)}
        loading, thickness = at.get("mass_loading_mg_cm2"), at.get("thickness_um")
        if loading is None or thickness is None or not self.placements[thickness].used:
            return
        placed, unit = self.placements[loading], self.placements[thickness].unit or "um"
        if self._states_unit(loading) or placed.confidence not in (NEARLY, CERTAINLY):
            return
        scale, _ = conversion(unit, "thickness_um") or (1.0, 0.0)
        depth = as_numbers(self.sample[f"c{thickness}"], self.decimal) * scale
        weight = as_numbers(self.sample[f"c{loading}"], self.decimal)
        fitting = []
        for stated, factor_ in (("mg/cm**2", 1.0), ("g/m**2", 0.1)):
            density = (weight * factor_ / (0.1 * depth)).drop_nulls()
            if len(density) and density.is_between(*COATING_DENSITY_G_CM3).all():
                fitting.append(stated)
        self.assumed = [note for note in self.assumed if not note.startswith(placed.column or " ")]
        if len(fitting) == 1:
            self.placements[loading] = replace(placed, unit=fitting[0], confidence=CERTAINLY)
            self.assumed.append(
                f"{placed.column}: no unit is stated; {fitting[0].replace('**', '^')} is assumed, in "
                "which the thickness beside it gives a density that coatings have"
            )
        else:
            why = (
                f"{placed.column}, but no unit is stated and the thickness beside it does not tell: "
                "write one into the header"
            )
            self.placements[loading] = replace(placed, unit=None, confidence=NEARLY, why=why)

    def _states_unit(self, position: int) -> bool:
        return split_header(self.header[position]).unit is not None

    def take_off_the_foil(self) -> None:
        """A thickness with the foil is a thickness where the foil's own stands beside it."""
        foils = [p for p in self.placements if p.used and p.column == "collector_thickness_um"]
        if len(foils) != 1:
            return
        taken = {placed.column for placed in self.placements if placed.used}
        for position, placed in enumerate(self.placements):
            if placed.used or split_header(placed.header).unit is None:
                continue
            column = with_foil(placed.header, self.table_name)
            if column is None or column in taken:
                continue
            taken.add(column)
            self.minus[column] = foils[0].header
            why = f"'{placed.header}' minus '{foils[0].header}'"
            self.placements[position] = replace(
                placed, column=column, confidence=CERTAINLY, why=why
            )
            self.assumed.append(f"{column}: derived as {why}")

    def join_clocks(self) -> None:
        """A date and a time of day beside it are one moment."""
        moments = [
            (position, placed)
            for position, placed in enumerate(self.placements)
            if placed.used and self.wanted[str(placed.column)].role == "moment"
        ]
        clocks = [
            position
            for position, placed in enumerate(self.placements)
            if not placed.used and is_clock(placed.header) and self._holds_clocks(position)
        ]
        if len(moments) != 1 or len(clocks) != 1:
            return
        position, placed = moments[0]
        days = self.cells(position)
        if days.str.contains(r"\d:\d\d").any() and not days.str.contains(r"[ T]00:00(:00)?").all():
            return
        clock = self.placements[clocks[0]].header
        column = str(placed.column)
        self.clocks[column] = clock
        why = f"'{placed.header}' and '{clock}' are one moment"
        self.placements[clocks[0]] = Placement(clock, column, None, CERTAINLY, why)
        self.assumed.append(f"{column}: {why}")

    def _holds_clocks(self, position: int) -> bool:
        cells = self.cells(position)
        return len(cells) > 0 and bool(cells.str.contains(_CLOCK).all())

    def places(self) -> dict[str, Place]:
        """The columns with their headers; the clock of a moment stands within its place."""
        clocks = set(self.clocks.values())
        return {
            placed.column: Place(
                header=placed.header,
                unit=placed.unit,
                column=self._position(position),
                minus=self.minus.get(placed.column, ""),
                clock=self.clocks.get(placed.column, ""),
            )
            for position, placed in enumerate(self.placements)
            if placed.used and placed.column and placed.header not in clocks
        }

    def _position(self, position: int) -> int | None:
        """A header's position, where another header reads the same."""
        spelled = [spelling(text) for text in self.header]
        return position + 1 if spelled.count(spelled[position]) > 1 else None

    def joined(self, name: str, place: Place) -> pl.Series:
        """The time stamps of a column of the sample, with the time of day that belongs to them."""
        position = self._at(place.header)
        days = self.sample[f"c{position}"]
        if not place.clock:
            return days
        clocks = self.sample[f"c{self._at(place.clock)}"]
        return pl.DataFrame({"day": days, "clock": clocks}).select(
            one_moment(pl.col("day"), pl.col("clock"))
        )["day"]

    def _at(self, header: str) -> int:
        return self.header.index(header)

    def constants(self) -> dict[str, Any]:
        """What the headers say besides: the shear rate of a viscosity; and the basis of a loading."""
        placed = {p.column: p.header for p in self.placements if p.used}
        constants: dict[str, Any] = {}
        if "viscosity_pa_s" in placed and "shear_rate_1_s" in self.wanted.keys() - placed.keys():
            rate = split_header(placed["viscosity_pa_s"]).shear_rate
            if rate is not None:
                constants["shear_rate_1_s"] = rate
                self.assumed.append(
                    f"shear_rate_1_s: {rate:g} 1/s, as '{placed['viscosity_pa_s']}' says"
                )
        if (
            "mass_loading_mg_cm2" in placed
            and "loading_basis" in self.wanted.keys() - placed.keys()
        ):
            header = placed["mass_loading_mg_cm2"]
            if counts_active_material(header):
                constants["loading_basis"] = "active_material"
                self.assumed.append(f"loading_basis: active material, as '{header}' says")
            else:
                constants["loading_basis"] = "coating"
                self.assumed.append(
                    "loading_basis: the file does not say; the whole dry coating is assumed"
                )
        if "coulombic_efficiency_pct" in placed and "efficiency_basis" in (
            self.wanted.keys() - placed.keys()
        ):
            basis = self._way_round()
            if basis is not None:
                constants["efficiency_basis"] = basis
                self.assumed.append(
                    f"efficiency_basis: {basis}, which gives the efficiencies of the file"
                )
        return constants

    def _way_round(self) -> str | None:
        """Which capacity over which gives the efficiencies that stand beside them."""
        at = {placed.column: p for p, placed in enumerate(self.placements) if placed.used}
        names = ("charge_capacity_mah", "discharge_capacity_mah", "coulombic_efficiency_pct")
        if not all(name in at for name in names):
            return None
        numbers = []
        for name in names:
            unit = self.placements[at[name]].unit
            scale, _ = conversion(unit, name) or (1.0, 0.0) if unit else (1.0, 0.0)
            numbers.append(as_numbers(self.sample[f"c{at[name]}"], self.decimal) * scale)
        charge, discharge, given = numbers
        ways = {
            "discharge_per_charge": 100 * discharge / charge,
            "charge_per_discharge": 100 * charge / discharge,
        }
        fitting = [
            way
            for way, ratio in ways.items()
            if (off := (ratio - given).drop_nulls().abs()).len() and bool((off <= 0.5).all())
        ]
        return fitting[0] if len(fitting) == 1 else None


_DATETIME_FORMATS = tuple(
    day + clock
    for day in ("%d.%m.%Y", "%d.%m.%y", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y")
    for clock in (" %H:%M:%S", " %H:%M", "")
)


def _datetime_format(columns_: list[pl.Series]) -> tuple[str | None, str]:
    """The one format that reads every time stamp of the sample, if they are not ISO already."""
    cells = pl.concat([cells.alias("cell") for cells in columns_]).str.strip_chars()
    filled = cells.replace("", None).drop_nulls().head(2000)
    if filled.is_empty() or filled.str.contains(r"^\d{4}-\d\d-\d\d").all():
        return None, ""
    fitting: list[tuple[int, str]] = []
    for form in _DATETIME_FORMATS:
        if "%H" in form:
            read = filled.str.to_datetime(form, strict=False)
        else:
            read = filled.str.to_date(form, strict=False)
        fitting.append((read.null_count(), form))
    fewest = min(unread for unread, _ in fitting)
    if fewest > 0.1 * len(filled):
        return (
            None,
            "datetime_format: no usual format reads all time stamps; name it in the mapping",
        )
    best = [form for unread, form in fitting if unread == fewest]
    if len(best) > 1:
        return best[0], f"datetime_format: {' or '.join(best)} would do; {best[0]} is assumed"
    return best[0], ""
