"""Numbers with their units and qualifiers, and their exact positions.

In scope: the grammar of numbers, the units in which the three electrode properties are written, ranges,
lists, uncertainties and words such as `about` or `at least`. What a quantity refers to is decided in
`extraction`. Limitations: numbers in words (`thirty per cent`), lists separated by slashes or by commas
without a blank, and units before their number in a heading (`Thickness (µm): 70`) are not read.

Every pattern is bounded, so that no text makes the search slow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

Qualifier = Literal["exact", "approximate", "range", "at_least", "at_most"]
Dimension = Literal["percent", "length", "areal_mass", "none"]


@dataclass(frozen=True)
class Quantity:
    """A number or range as written.

    `start` to `end` covers qualifier, number and a unit directly after it. `group_start` to `group_end`
    covers the list or pair that it is part of (`30, 40 and 50 %`), whose unit it may share. `factor`
    converts the written value to percent, micrometres or mg/cm²; a bare fraction counts as percent.
    """

    start: int
    end: int
    value: float
    value_high: float | None
    uncertainty: float | None
    unit_start: int | None
    unit_end: int | None
    dimension: Dimension
    factor: float
    qualifier: Qualifier
    group_start: int
    group_end: int


_ALIKE = {
    **dict.fromkeys("\u00a0\u1680\u202f\u205f\u3000\u200b\ufeff\t", " "),
    **{chr(code): " " for code in range(0x2000, 0x200B)},
    **dict.fromkeys("\u2010\u2011\u2212\ufe63\uff0d", "-"),
    "\u2012": "–",
    "\u00b5": "μ",
    "\u02dc": "~",
    "\u223c": "~",
    "\uff05": "%",
    "\ufe6a": "%",
    "\u22c5": "·",
}
_ALIGNED = str.maketrans(_ALIKE)


def aligned(text: str) -> str:
    """The text with look-alike blanks, dashes and signs unified, character by character.

    The result is as long as the text, so that offsets are valid in both.
    """
    return text.translate(_ALIGNED)


_S = r"[ ]{0,3}(?:\r?\n)?[ ]{0,3}"
_SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹"

_NUMBER = re.compile(
    rf"""
    (?<![A-Za-z0-9_^])(?<![0-9][.,])(?<![A-Za-z][-–])
    (?:(?<![\w)\]%}}])(?<![0-9%m][ ])-)?
    (?:
        [1-9][0-9]{{0,2}}(?:,[0-9]{{3}}){{1,3}}(?![0-9]|,[0-9])(?:\.[0-9]{{1,12}})?
      | [0-9]{{1,12}},[0-9]{{1,12}}(?![0-9]|[.,][0-9])
      | [0-9]{{1,15}}(?![0-9])(?:\.[0-9]{{1,15}}(?![0-9]))?
      | \.[0-9]{{1,15}}(?![0-9])
    )
    (?P<power>
        [eE][-+]?[0-9]{{1,2}}(?![0-9A-Za-z])
      | [ ]?(?:[×x·*]|\\times|\\cdot)[ ]?10
        (?:[ ]?\^[ ]?\{{?(?P<caret>[-+]?[0-9]{{1,2}})\}}?|(?P<raised>[⁻⁺]?[{_SUPERSCRIPT}]{{1,2}})|(?P<low>-[0-9]{{1,2}}))
        (?![0-9])
    )?
    """,
    re.VERBOSE,
)
_THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_PLAIN_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")

_WRAP = r"(?:\\(?:text|mathrm|rm)[ ]?\{[ ]?)?"
_RAISE = r"(?:[ ]?(?:\^|\$|\{|<sup>)){0,3}[ ]?"
_LOWER = r"(?:\}|\$|</sup>){0,3}"
_OF_WHAT = (
    r"(?:[ _]?\(?(?:of[ ])?(?:C?AM|active(?:[ ]material)?|N[MC][CM]|LFP|graphite|sul(?:f|ph)ur|S|Si)"
    r"(?:\)|(?![A-Za-z])))?"
)
_UNIT = re.compile(
    rf"""
    (?P<gap>[ $]{{0,3}}(?:\r?\n)?(?:\\[,;:! ])?[ $~]{{0,3}}-?){_WRAP}
    (?:
      (?P<percent>
          (?:vol\.?[ ]?-?[ ]?)?\\?%(?![A-Za-z])(?:[ ]?\(?v/v\)?|[ ]by[ ]volume)?
        | (?i:vol(?:ume)?[ ])?(?i:per[ ]?cent|pct)(?![A-Za-z])
      )(?![ ]?\(?(?:wt|w/w|m/m|by[ ](?:weight|mass)|at\.|mol))
    | (?P<areal>
        (?P<mass>kg|mg|g|μg|ug){_OF_WHAT}\}}?
        (?: [ ]?(?:/|per[ ])[ ]?{_WRAP}(?P<over>c?m){_RAISE}[2²]
          | [ ]?[·.*]?(?:\\[,;: ]|\\cdot)?[ ]?{_WRAP}(?P<times>c?m){_RAISE}[-–⁻][ ]?[2²]
          | [ ]per[ ]square[ ](?P<words>centi)?met(?:er|re)
        ){_LOWER}
      )(?![0-9A-Za-z])
    | (?P<length>
        (?P<micro>(?:μ|u|\\mu[ ]?|\\textmu[ ]?|\$\\mu\$[ ]?|\{{?\\mu\}}?[ ]?){_WRAP}m|(?i:micron|micromet(?:er|re))s?)
      | (?P<milli>mm|(?i:millimet(?:er|re))s?)
      | (?P<nano>nm|(?i:nanomet(?:er|re))s?)
      | (?P<centi>cm|(?i:centimet(?:er|re))s?)
      | (?P<metre>m|(?i:met(?:er|re))s?)
      )\}}{{0,2}}
      (?![A-Za-z0-9_^])(?![²³](?![{_SUPERSCRIPT}]))(?!\}}?\^)
      (?![ ]?⁻|[ ]?/[ ]?[A-Za-z]|-[123](?![0-9])|[ ](?:s|min|h)[ ]?[-⁻])
    )
    """,
    re.VERBOSE,
)
_LENGTHS = {"micro": 1.0, "milli": 1e3, "nano": 1e-3, "centi": 1e4, "metre": 1e6}
_MASSES = {"kg": 1e6, "g": 1e3, "mg": 1.0, "μg": 1e-3, "ug": 1e-3}

_PLUS_MINUS = re.compile(rf"{_S}[$]?(?:±|\+/-|\+-|\\pm)[$]?{_S}")
_TO = re.compile(rf"{_S}(?:[$]?(?:-{{1,2}}|–|—|~|\.{{2,3}}|…|÷)[$]?|to|up[ ]to|through){_S}")
_AND = re.compile(rf"-?[$]?{_S},?{_S}(?:and|or|&){_S}[$]?")
_COMMA = re.compile(rf"-?[$]?{_S},{_S}[$]?")
_BETWEEN = re.compile(r"\b(?:between|from)\s{1,3}$", re.IGNORECASE)
_CHANGE = re.compile(
    r"\b(?:(?:de|in)creas[a-z]{1,3}|reduc(?:e[sd]?|ing|tion)|drop(?:s|ped|ping)?|fall(?:s|ing|en)?|fell|"
    r"ris(?:es?|ing|en)|rose|rais(?:e[sd]?|ing)|lower(?:s|ed|ing)|grow(?:s|ing|n)?|grew|compress(?:es|ed)|"
    r"calendered|densified|shr[iau]nk(?:s|ing)?|swell(?:s|ed)?|expand(?:s|ed)?|chang(?:e[sd]?|ing)|went|goes|"
    r"brought|pressed|diminish(?:es|ed)|declin(?:e[sd]?|ing))\b[^;]{0,70}$",
    re.IGNORECASE,
)
_SPREAD = re.compile(
    r"\b(?:var(?:y|ies|ied|ying)|rang(?:e[sd]?|ing)|span(?:s|ned|ning)?|spread)\b", re.IGNORECASE
)
_LABEL = re.compile(
    r"\b(?:fig(?:ure)?s?|tab(?:le)?s?|refs?|eqs?|sec(?:tion)?s?|steps?|samples?|no|nos|cells?|case|cycles?)\.?\s{1,2}$",
    re.IGNORECASE,
)
_WORD_AFTER = re.compile(
    r"[A-Za-z_°/%\\]|:[0-9]|[ ]?(?:°|[mk]?[AVWgsJCKNM](?:h|\b)|mAh|min\b|h\b|[mk]?Pa|wt|at\.|mol)"
)

_APPROXIMATE = (
    r"(?:\b(?:about|approximately|approx\.?|ca\.?|circa|around|roughly|nearly|almost|some|close[ ]to|"
    r"(?:in|on|of)[ ]the[ ](?:order|range|region|vicinity)[ ]of|estimated[ ]at)|(?<![A-Za-z0-9])c\.|"
    r"[$]?(?:~|≈|≃|≅|\\approx|\\sim|\\simeq)[$]?)"
)
_NOT_MORE = (
    r"(?:\b(?:(?:no|not)[ ](?:more|greater|larger|higher|thicker)[ ]than|not[ ](?:exceed(?:ing)?|above)|"
    r"at[ ](?:the[ ])?most|(?:less|lower|smaller|thinner|fewer)[ ]than|below|under|up[ ]to|as[ ](?:high|thick|much)[ ]as|"
    r"(?:a[ ])?maximum[ ]of)|[$]?(?:<|≤|⩽|≦|\\leq?(?:slant)?|\\lt)[$]?)"
)
_NOT_LESS = (
    r"(?:\b(?:(?:no|not)[ ](?:less|lower|smaller|thinner)[ ]than|not[ ]below|at[ ](?:the[ ])?least|"
    r"(?:more|greater|larger|higher|thicker)[ ]than|above|over|beyond|exceed(?:s|ed|ing)?|"
    r"as[ ](?:low|thin|little)[ ]as|down[ ]to|(?:a[ ])?minimum[ ]of)|[$]?(?:>|≥|⩾|≧|\\geq?(?:slant)?|\\gt)[$]?)"
)
_WORDS_BEFORE: tuple[tuple[Qualifier, str], ...] = (
    ("at_most", _NOT_MORE),
    ("at_least", _NOT_LESS),
    ("approximate", _APPROXIMATE),
)
_BEFORE = tuple(
    (name, re.compile(rf"{words}\s{{0,3}}[$]?$", re.IGNORECASE)) for name, words in _WORDS_BEFORE
)
_AFTER: tuple[tuple[Qualifier, re.Pattern[str]], ...] = (
    (
        "at_least",
        re.compile(r"\s(?:or|and)\s(?:more|higher|above|greater|thicker|larger)\b|\sat\sleast\b"),
    ),
    ("at_most", re.compile(r"\s(?:or|and)\s(?:less|lower|below|smaller|thinner)\b|\sat\smost\b")),
)
_WINDOW = 48


@dataclass(frozen=True)
class _Unit:
    start: int
    end: int
    dimension: Dimension
    factor: float


@dataclass(frozen=True)
class _Number:
    """A number, perhaps with its own uncertainty and unit, before lists are joined."""

    start: int
    end: int
    value: float
    uncertainty: float | None
    unit: _Unit | None
    is_label: bool


def quantities(plain: str) -> list[Quantity]:
    """All numbers of an `aligned` text that have a unit, and bare numbers that could be fractions."""
    numbers = _numbers(plain)
    result: list[Quantity] = []
    at = 0
    while at < len(numbers):
        run, is_range = _run(plain, numbers, at)
        result += _as_quantities(plain, run, is_range)
        at += len(run)
    return result


def _numbers(plain: str) -> list[_Number]:
    numbers: list[_Number] = []
    for match in _NUMBER.finditer(plain):
        unit, end = _unit_at(plain, match.end())
        number = _Number(match.start(), end, _value(match), None, unit, False)
        previous = numbers[-1] if numbers else None
        joined = _with_uncertainty(plain, previous, number) if previous else None
        if joined is not None:
            numbers[-1] = joined
            continue
        is_label = unit is None and (
            _WORD_AFTER.match(plain, match.end()) is not None
            or _LABEL.search(plain, max(0, match.start() - 14), match.start()) is not None
        )
        numbers.append(replace(number, is_label=is_label))
    return numbers


def _with_uncertainty(plain: str, first: _Number, second: _Number) -> _Number | None:
    """`30 ± 2 %`, `30 % ± 2 %` or `(30 ± 2) %` as one number."""
    if second.start - first.end > 12 or not _PLUS_MINUS.fullmatch(plain, first.end, second.start):
        return None
    unit, end = second.unit, second.end
    if unit is None and plain.startswith(")", end):
        unit, behind = _unit_at(plain, end + 1)
        end = behind if unit is not None else end
    if unit is None:
        unit = first.unit
    elif first.unit is not None and not _same(first.unit, unit):
        return None
    return _Number(first.start, end, first.value, abs(second.value), unit, False)


def _unit_at(plain: str, at: int) -> tuple[_Unit | None, int]:
    match = _UNIT.match(plain, at)
    if match is None:
        return None, at
    start, end = match.end("gap"), match.end()
    if match["percent"] is not None:
        return _Unit(start, end, "percent", 1.0), end
    if match["areal"] is not None:
        is_cm = "cm" in (match["over"], match["times"]) or match["words"] is not None
        factor = _MASSES[match["mass"]] * (1.0 if is_cm else 1e-4)
        return _Unit(start, end, "areal_mass", float(f"{factor:.12g}")), end
    name = next(name for name in _LENGTHS if match[name] is not None)
    return _Unit(start, end, "length", _LENGTHS[name]), end


def _value(match: re.Match[str]) -> float:
    power = match["power"] or ""
    digits = match[0][: len(match[0]) - len(power)]
    digits = digits.replace(",", "" if _THOUSANDS.fullmatch(digits) else ".")
    exponent = match["caret"] or match["raised"] or match["low"]
    if exponent is not None:
        return float(f"{digits}e{exponent.translate(_PLAIN_DIGITS)}")
    return float(digits + power)


def _run(plain: str, numbers: list[_Number], at: int) -> tuple[list[_Number], bool]:
    """The numbers from here on that share a unit, and whether they are the two ends of a range."""
    first = numbers[at]
    if first.is_label or at + 1 == len(numbers):
        return [first], False
    second = numbers[at + 1]
    if second.start - first.end <= 12 and _fits(first, second):
        if _TO.fullmatch(plain, first.end, second.start):
            return [first, second], not _is_change(plain, first.start)
        is_pair = _AND.fullmatch(plain, first.end, second.start) is not None
        if is_pair and _BETWEEN.search(plain, max(0, first.start - 12), first.start):
            return [first, second], True
    run, closed = [first], False
    for number in numbers[at + 1 : at + 21]:
        last = run[-1]
        if closed or number.start - last.end > 12 or not _fits(last, number):
            break
        if _AND.fullmatch(plain, last.end, number.start):
            closed = True
        elif not _COMMA.fullmatch(plain, last.end, number.start):
            break
        run.append(number)
    if closed or len(run) > 2:
        return run, False
    return [first], False


def _fits(first: _Number, second: _Number) -> bool:
    """Whether two neighbours can share a unit: the first has none, or the same one."""
    if second.is_label:
        return False
    if first.unit is None:
        year = second.unit is not None and 1900 <= first.value <= 2099
        return not year
    return second.unit is not None and _same(first.unit, second.unit)


def _same(first: _Unit, second: _Unit) -> bool:
    return (first.dimension, first.factor) == (second.dimension, second.factor)


def _is_change(plain: str, start: int) -> bool:
    """Whether `from 45 to 30 %` describes a change, that is two values and not a range."""
    if not re.search(r"\bfrom\s{1,3}(?:\S{1,14}\s)?$", plain[max(0, start - 24) : start]):
        return False
    before = plain[max(0, start - 80) : start]
    return _CHANGE.search(before) is not None and _SPREAD.search(before) is None


def _as_quantities(plain: str, run: list[_Number], is_range: bool) -> list[Quantity]:
    units = [number.unit for number in run]
    for i in range(len(units) - 2, -1, -1):
        units[i] = units[i] or units[i + 1]
    start, qualifier = _qualified(plain, run[0].start)
    end, qualifier = _qualified_behind(plain, run[-1].end, qualifier)
    first = next((unit for unit in units if unit is not None), None)
    dimension = first.dimension if first else "none"
    if is_range and (dimension != "none" or all(_is_fraction(number) for number in run)):
        opening = _BETWEEN.search(plain, max(0, start - 12), start)
        start = opening.start() if opening else start
        low, high = sorted((run[0].value, run[1].value))
        return [_quantity(start, end, low, high, None, first, dimension, "range", start, end)]
    return [
        _quantity(
            start if i == 0 else number.start,
            end if i == len(run) - 1 else number.end,
            number.value,
            None,
            number.uncertainty,
            units[i],
            dimension,
            qualifier,
            start,
            end,
        )
        for i, number in enumerate(run)
        if dimension != "none" or _is_fraction(number)
    ]


def _is_fraction(number: _Number) -> bool:
    return not number.is_label and 0 < number.value < 1


def _quantity(
    start: int,
    end: int,
    value: float,
    value_high: float | None,
    uncertainty: float | None,
    unit: _Unit | None,
    dimension: Dimension,
    qualifier: Qualifier,
    group_start: int,
    group_end: int,
) -> Quantity:
    return Quantity(
        start=start,
        end=end,
        value=value,
        value_high=value_high,
        uncertainty=uncertainty,
        unit_start=unit.start if unit else None,
        unit_end=unit.end if unit else None,
        dimension=dimension,
        factor=unit.factor if unit else 100.0,
        qualifier=qualifier,
        group_start=group_start,
        group_end=group_end,
    )


def _qualified(plain: str, start: int) -> tuple[int, Qualifier]:
    """Where the qualifying words before a number begin, and what they mean.

    There may be two in a row (`at least about 30 %`); the outer one decides.
    """
    qualifier: Qualifier = "exact"
    for _ in range(2):
        window = plain[max(0, start - _WINDOW) : start]
        for name, pattern in _BEFORE:
            match = pattern.search(window)
            if match is not None:
                start -= len(window) - match.start()
                qualifier = name
                break
        else:
            break
    return start, qualifier


def _qualified_behind(plain: str, end: int, qualifier: Qualifier) -> tuple[int, Qualifier]:
    for name, pattern in _AFTER:
        match = pattern.match(plain, end)
        if match is not None:
            return match.end(), name
    return end, qualifier
