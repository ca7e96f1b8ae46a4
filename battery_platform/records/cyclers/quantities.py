"""From a header to the quantity that it names and the factor to our unit.

Makers spell the same few quantities in many ways; the unit stands in brackets, behind a slash or
at the end of a name in snake case. A unit of another kind (mAh/g) makes it another quantity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from battery_platform.contracts.units import is_unit

_UNITS: dict[str, tuple[str, float]] = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), ("time", 1.0)),
    **dict.fromkeys(("min", "minute", "minutes"), ("time", 60.0)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), ("time", 3600.0)),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), ("time", 1e-3)),
    **dict.fromkeys(("us", "microsecond"), ("time", 1e-6)),
    **dict.fromkeys(("d", "day", "days"), ("time", 86400.0)),
    **dict.fromkeys(("v", "volt", "volts"), ("voltage", 1.0)),
    **dict.fromkeys(("mv", "millivolt"), ("voltage", 1e-3)),
    **dict.fromkeys(("uv", "microvolt"), ("voltage", 1e-6)),
    **dict.fromkeys(("a", "amp", "amps", "ampere"), ("current", 1.0)),
    **dict.fromkeys(("ma", "milliampere"), ("current", 1e-3)),
    **dict.fromkeys(("ua", "microampere"), ("current", 1e-6)),
    "na": ("current", 1e-9),
    **dict.fromkeys(("ah", "a.h", "a h", "ampere hour", "amp-hr", "amp hr"), ("charge", 1.0)),
    **dict.fromkeys(("mah", "ma.h", "ma h"), ("charge", 1e-3)),
    **dict.fromkeys(("uah", "ua.h"), ("charge", 1e-6)),
    **dict.fromkeys(("wh", "w.h", "w h", "watt hour", "watt-hr"), ("energy", 1.0)),
    **dict.fromkeys(("mwh", "mw.h", "mw h"), ("energy", 1e-3)),
    **dict.fromkeys(("uwh", "uw.h"), ("energy", 1e-6)),
    **dict.fromkeys(("c", "degc", "°c", "øc", "oc", "℃", "celsius"), ("temperature", 1.0)),
    **dict.fromkeys(("1", "#", "-", ""), ("", 1.0)),
}

_NAMES: dict[str, tuple[str, ...]] = {
    "record": (
        *("data point", "datapoint", "record", "rec", "record id", "record index", "record number"),
        *("dataset", "data set", "point", "index", "record no", "data sequence", "datasequence"),
        *("数据序号", "记录序号", "记录号"),
    ),
    "test_time_s": (
        *("test time", "testtime", "total time", "cumulative time", "run time", "elapsed time"),
        *("prog time", "program time", "program duration", "runtime", "running time"),
        *("totaltime", "tot time", "tottime", "测试时间", "总时间", "累计时间"),
    ),
    "step_time_s": (
        *("step time", "steptime", "t step", "relative time", "step duration", "state time"),
        *("步骤时间", "工步时间", "相对时间", "状态时间"),
    ),
    "any_time": ("time", "时间"),
    "cycle": (
        *("cycle c", "cycle", "cycle index", "cycle number", "cycle count", "cycle id", "cyc"),
        *("cyc count", "cycleid", "totcycle", "tot cycle", "number of cycle"),
        *("循环序号", "循环号", "循环"),
    ),
    "step": (
        *("step", "step index", "step number", "step id", "step count", "ns", "line"),
        *("stepid", "stepno", "step no", "工步序号", "工步号", "步骤号", "步次"),
    ),
    "voltage_v": (
        *("voltage", "volts", "volt", "potential", "ewe", "<ewe>", "ecell", "<ecell>", "u"),
        *("cell voltage", "channel voltage", "电压"),
    ),
    "current_a": (
        *("current", "amps", "i", "<i>", "cur", "cell current", "channel current", "电流"),
    ),
    "charge_ah": (
        *("charge capacity", "charging capacity", "chg cap", "chg capacity", "cap chg", "q charge"),
        *("capacitance chg", "capacity chg", "capacity charge", "ahcha"),
        *("char cap", "充电容量"),
    ),
    "discharge_ah": (
        *("discharge capacity", "discharging capacity", "dchg cap", "dchg capacity", "cap dchg"),
        *("q discharge", "capacitance dchg", "capacity dchg", "capacity discharge"),
        *("ahdch", "dischar cap", "放电容量"),
    ),
    "capacity": ("capacity", "amp hr", "cap", "容量"),
    "charge_wh": (
        *("charge energy", "charging energy", "chg energy", "engy chg", "energy charge"),
        *("whcha", "充电能量"),
    ),
    "discharge_wh": (
        *("discharge energy", "discharging energy", "dchg energy", "engy dchg", "energy discharge"),
        *("whdch", "放电能量"),
    ),
    "energy": ("energy", "watt hr", "ener", "能量"),
    "temperature_degc": (
        *("temperature", "cell temperature", "surface temperature", "ambient temperature", "temp"),
        *("temperature 1", "temp 1", "aux temperature 1", "t1", "温度"),
        "temperature t1",
    ),
    "recorded_at": (
        *("date time", "datetime", "dpt time", "date and time", "real time", "realtime"),
        *("date time iso string", "timestamp", "time stamp", "date", "absolute time"),
        *("systime", "sys time", "system time", "系统时间", "绝对时间", "日期"),
    ),
    "unix_time_s": ("unix time",),
    "state": (
        *("command", "step type", "step name", "md", "state", "status", "step status"),
        *("step state", "type", "工步类型", "工步名称", "步骤类型", "工步状态", "状态"),
    ),
    "cell": (
        "cell",
        "cell id",
        "test id",
        "barcode",
        "channel",
        "channel id",
        "rack",
        "shelf",
        "position",
    ),
}
_OF_NAME = {
    name: (quantity, rank) for quantity, names in _NAMES.items() for rank, name in enumerate(names)
}
_KIND = {
    "test_time_s": "time",
    "step_time_s": "time",
    "any_time": "time",
    "unix_time_s": "time",
    "voltage_v": "voltage",
    "current_a": "current",
    "charge_ah": "charge",
    "discharge_ah": "charge",
    "capacity": "charge",
    "charge_wh": "energy",
    "discharge_wh": "energy",
    "energy": "energy",
    "temperature_degc": "temperature",
}
_WITH_UNIT = {
    "mamp hr": ("amp hr", "mah"),
    "mamps": ("current", "ma"),
    "mvolts": ("voltage", "mv"),
    "mwatt hr": ("watt hr", "mwh"),
}
"""Names that end in their unit."""
_TWINS = {"charge_ah": "charge_wh", "discharge_ah": "discharge_wh", "capacity": "energy"}
_ALIKE = str.maketrans({"μ": "u", "µ": "u", "·": ".", "*": ".", "（": "(", "）": ")"})
_BRACKETS = re.compile(r"^(.*?)\s*[(\[]([^()\[\]]*)[)\]]\s*$")
_CLOCK = re.compile(r"h+:m", re.IGNORECASE)
_OF_IMPEDANCE = re.compile(r"^(freq(uency|\.)?\b|-?im\(z\)|re\(z\)|\|z\|)", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column of the file that we read."""

    index: int
    header: str
    quantity: str
    factor: float = 1.0
    unit_stated: bool = True
    twins: tuple[Column, ...] = ()
    """Other columns that name the same quantity as well as this one does."""


def _split(header: str) -> tuple[str, str]:
    """A header's name and unit, both in lower case."""
    text = " ".join(header.strip().strip("~\ufeff\"'").translate(_ALIKE).split())
    if match := _BRACKETS.match(text):
        return _plain(match[1]), match[2].strip().lower().rstrip(".")
    for mark in "/#,":
        name, found_mark, unit = text.rpartition(mark)
        if found_mark and unit and unit.strip().lower() in _UNITS:
            return _plain(name), unit.strip().lower()
    if "_" in text:
        for cut in (text.rfind("_", 0, text.rfind("_")), text.rfind("_")):
            unit = text[cut + 1 :].replace("_", " ").lower() if cut > 0 else ""
            if unit and not unit.isdigit() and unit in _UNITS and _plain(text[:cut]) in _OF_NAME:
                return _plain(text[:cut]), unit
    return _plain(text), ""


def _plain(name: str) -> str:
    return " ".join(re.sub(r"[_\-#.:\s]+", " ", name.lower()).split())


@lru_cache(maxsize=4096)
def quantity_of(header: str) -> tuple[str, float, int, bool] | None:
    """Quantity, factor to our unit, rank among its synonyms, and whether the unit is stated."""
    name, unit = _split(header)
    if _CLOCK.search(unit):
        unit = "s"
    if name in _WITH_UNIT and not unit:
        name, unit = _WITH_UNIT[name]
    kind_and_factor = _UNITS.get(unit)
    if name in {"test", "step"} and kind_and_factor and kind_and_factor[0] == "time":
        name += " time"
    if name == "test" and not unit:
        return "cell", 1.0, 0, True
    ranked = _OF_NAME.get(name)
    if ranked is None or kind_and_factor is None:
        return None
    quantity, rank = ranked
    kind, factor = kind_and_factor
    wanted = _KIND.get(quantity, "")
    if kind == "energy" and wanted == "charge":
        quantity, wanted = _TWINS[quantity], "energy"
    if kind and kind != wanted:
        return None
    stated = bool(kind) or not wanted or name in {"volts", "amps", "amp hr", "watt hr", "unix time"}
    return quantity, factor, rank, stated


def frequency_at(headers: list[str]) -> int | None:
    """Where the frequency stands, if the columns are those of an impedance spectrum."""
    of_impedance = [at for at, header in enumerate(headers) if _OF_IMPEDANCE.match(header.strip())]
    frequency = [at for at in of_impedance if headers[at].strip().lower().startswith("freq")]
    return frequency[0] if frequency and len(of_impedance) > 1 else None


def is_unit_word(word: str) -> bool:
    """Whether a word is a unit, of a quantity that we read or of another one."""
    plain = word.translate(_ALIKE).strip().lower().rstrip(".")
    return (bool(plain) and plain in _UNITS) or is_unit(word)


def with_units(headers: list[str], units: list[str]) -> list[str]:
    """Headers, completed by the unit below them if they state none themselves."""
    out = []
    for at, header in enumerate(headers):
        unit = units[at].strip('[]() \r"') if at < len(units) else ""
        known = quantity_of(header)
        measured = known is not None and known[0] in _KIND and not _split(header)[1]
        out.append(f"{header} [{unit}]" if unit and measured else header)
    return out


def columns_of(headers: list[str]) -> list[Column]:
    """The columns to read: the best named for each quantity, and every `cell` column."""
    best: dict[str, tuple[int, list[Column]]] = {}
    cells = []
    for index, header in enumerate(headers):
        if (known := quantity_of(header)) is None:
            continue
        quantity, factor, rank, stated = known
        column = Column(index, header.strip(), quantity, factor, stated)
        if quantity == "cell":
            cells.append(column)
        elif quantity not in best or rank < best[quantity][0]:
            best[quantity] = (rank, [column])
        elif rank == best[quantity][0]:
            best[quantity][1].append(column)
    if "any_time" in best:
        _, columns = best.pop("any_time")
        free = next((q for q in ("test_time_s", "step_time_s") if q not in best), None)
        if free is not None:
            best[free] = (0, [replace(column, quantity=free) for column in columns])
    chosen = [replace(first, twins=tuple(more)) for _, (first, *more) in best.values()]
    return sorted([*chosen, *cells], key=lambda column: column.index)
