"""Porosity, thickness and mass loading of electrodes, as stated in a text.

In scope: the words that name a property, the words that name something else (a separator, a particle, a
change), and the rules that link a number to one of them within its sentence. The method is keywords and
rules, so that the same text always gives the same mentions and each can be traced to the characters that
state it.

Limitations: English only; one sentence at a time, so a property named in one sentence with its value in
the next is missed, as are tables and words broken over two lines; which electrode a value belongs to is
not determined; bare symbols (`ε = 0.35`) are not read. Texts are assumed to be about battery electrodes:
in a text about galvanised tubes, a coating would count too. A wrong link is most likely where a sentence
gives several numbers of the same unit and names only one property.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Literal

from battery_platform.literature.quantities import (
    Dimension,
    Qualifier,
    Quantity,
    aligned,
    quantities,
)
from battery_platform.literature.sentences import Span, sentences

Property = Literal["porosity_pct", "thickness_um", "mass_loading_mg_cm2"]
PROPERTIES: tuple[Property, ...] = ("porosity_pct", "thickness_um", "mass_loading_mg_cm2")


@dataclass(frozen=True)
class Mention:
    """A value or range of a property, its position and its meaning.

    `text[start:end] == quote`, and likewise for the subject and the sentence. `value` and
    `value_high` are as written; `low`, `high` and `uncertainty` are in the property's unit. For a single
    number, and for a bound, `low` equals `high` and `qualifier` gives the direction of the bound.
    """

    property: Property
    start: int
    end: int
    quote: str
    value: float
    value_high: float | None
    unit_as_written: str | None
    qualifier: Qualifier
    low: float
    high: float
    uncertainty: float | None
    subject: str
    subject_start: int
    subject_end: int
    sentence_start: int
    sentence_end: int
    plausible: bool
    note: str


POSSIBLE: dict[Property, tuple[float, float, str]] = {
    "porosity_pct": (0.0, 100.0, "a porosity lies between 0 and 100 %"),
    "thickness_um": (0.001, 10_000.0, "an electrode is thicker than 1 nm and thinner than 1 cm"),
    "mass_loading_mg_cm2": (0.0001, 1_000.0, "a mass loading lies below 1 g/cm²"),
}
"""The physically possible range, and a note for values outside it; nothing is dropped or clipped."""

_Side = Literal["both", "behind", "adjacent"]


@dataclass(frozen=True)
class _Topic:
    """Words that a number can refer to; `property` is None for anything but our properties."""

    start: int
    end: int
    property: Property | None
    dimensions: frozenset[Dimension]
    side: _Side
    is_change: bool = False


_ALL: frozenset[Dimension] = frozenset(("percent", "length", "areal_mass", "none"))
_SHARE: frozenset[Dimension] = frozenset(("percent", "none"))
_LENGTH: frozenset[Dimension] = frozenset(("length",))
_AREAL: frozenset[Dimension] = frozenset(("areal_mass",))

_TOPICS: dict[str, tuple[Property | None, frozenset[Dimension], _Side]] = {
    "porosity": ("porosity_pct", _SHARE, "both"),
    "porous": ("porosity_pct", _SHARE, "behind"),
    "thickness": ("thickness_um", _LENGTH, "both"),
    "thick": ("thickness_um", _LENGTH, "adjacent"),
    "loading": ("mass_loading_mg_cm2", _AREAL, "both"),
    "electrode": ("mass_loading_mg_cm2", _AREAL, "adjacent"),
    "change": (None, _ALL, "both"),
    "extent": (None, _LENGTH, "both"),
    "share": (None, _SHARE, "both"),
    "material": (None, _SHARE, "behind"),
    "number": (None, frozenset(("none",)), "both"),
    "areal": (None, _AREAL, "both"),
}
_TOPIC = re.compile(
    r"""\b(?:
      (?P<porosity>porosit(?:y|ies)|void\s(?:volume\s)?(?:fraction|volume)s?|pore\s(?:volume\s)?fractions?|voidage)
    | (?P<porous>porous)
    | (?P<thickness>thickness(?:es)?)
    | (?P<thick>thick(?:er)?|thin(?:ner)?)
    | (?P<areal>(?:catalyst|pt|platinum|electrolyte|binder|wet|polymer|lithium)\s(?:mass\s)?loadings?|electrolyte|dos(?:e|age)|capacit(?:y|ies))
    | (?P<loading>(?:(?:areal|mass|active|material|electrode|cathode|anode)[\s-]){0,3}loadings?(?:\slevels?)?
        |coat(?:ing)?\s?weights?|(?:areal|area|basis)\s(?:weight|mass|densit)(?:y|ies|es|s)?|mass\sper\s(?:unit\s)?area|grammage|loaded)
    | (?P<change>reductions?|decreases?|increases?|changes?|drops?|loss(?:es)?|rise|difference|differences|deviations?|variations?|errors?
        |uncertaint(?:y|ies)|tolerances?|accuracy|precision|resolution|steps?|increments?|compression|shrinkage|swelling|expansion|springback
        |spring-back|fluctuations?|scatter|strain|roughness|rmse|mae|stdev)
    | (?P<extent>diameters?|radi(?:us|i)|sizes?|sized|d_?\{?(?:10|50|90)\}?|lengths?|widths?|wide|long|gaps?|heights?|distances?|depths?|deep
        |pitch|spacing|voxels?|pixels?|wavelengths?|scale\sbars?|particles?|pores|domains?|channels?|lines?|holes?|mesh|sieve)
    | (?P<share>retention|efficienc(?:y|ies)|contents?|humidity|capacit(?:y|ies)|soc|state\sof\scharge|compositions?|ratios?|yields?|purity
        |concentrations?|utili[sz]ation|densit(?:y|ies)|volume\sfractions?|weight\sfractions?|mass\sfractions?|degrees?|probability|confidence|improvement)
    | (?P<material>pvdf|cmc|sbr|binders?|carbon|c65|c45|super|graphite|n[mc][cm]\w{0,6}|lfp|lco|lmo|nca|silicon|fec|vc|active|solids?|conductive|additives?)
    | (?P<number>tortuosit(?:y|ies)|tortuosity\sfactors?|bruggeman|coefficients?|exponents?|conductivit(?:y|ies)|macmullin|r2|factors?)
    | (?P<electrode>electrodes?|cathodes?|anodes?|coatings?|coated)
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)

_REACH = 150
"""A number further from its keyword than this, in characters, is not linked to it."""
_NEAR = 40

_SMALL = r"""of|is|was|were|are|be|being|been|at|to|from|between|by|about|values?|a|an|the|its|equals?|equal|fixed|set|kept|held|
    measured|calculated|estimated|determined|targeted?|has|had|have|having|with|range[ds]?|ranging|in|or|and|as|i\.e\.?|that|which|average[ds]?|
    mean|median|nominal|typical(?:ly)?|final|initial|total|overall|only|respectively|amount(?:s|ed|ing)?|reach(?:es|ed|ing)?|low|high|can|could|
    for|varied|var(?:y|ies|ying)|found|decreas(?:es|ed|ing)|increas(?:es|ed|ing)|reduced|lowered|raised|dropped|fell|changed|around|level|levels|
    electrodes?|cathodes?|anodes?|coatings?|dry|design|obtained|achieved|result(?:s|ed|ing)|yield(?:s|ed|ing)?|down|up|both"""
_DIRECT = re.compile(
    rf"(?:[\s()\[\]:=,$~≈–\-]|(?:{_SMALL}|epsilon|eps|phi)(?![A-Za-z])|\\varepsilon|\\epsilon|\\phi|[εϵφΦϕɛLdhδ](?![A-Za-z])){{0,80}}",
    re.IGNORECASE | re.VERBOSE,
)
_TIGHT = re.compile(
    r"[\s\-$]{0,3}(?:(?:of|in|for|total|average|mean|initial|final|dry|the|its|a|overall|nominal)[\s-]){0,3}"
    r"(?:(?!(?:and|or|with|at|to|on|from|by|than|but|while|when|after|before|using|for|was|were|is|are|had|has|versus|vs)\b)"
    r"[A-Za-z][\w-]{0,24}[\s-]){0,2}[$]?",
    re.IGNORECASE,
)
_BESIDE = re.compile(r"[\s\-$]{0,3}|\s(?:in|total)\s", re.IGNORECASE)

_BY = re.compile(
    r"\b(?:by|within)\s{1,3}(?:a\s|an\s|another\s|further\s|up\sto\s)?$|(?:±|\+/-|\\pm)[\s$]{0,3}$",
    re.IGNORECASE,
)
_TO_OR_FROM = re.compile(r"\b(?:to|from|between)\s{1,3}(?:a\s|an\s|only\s)?$", re.IGNORECASE)
_MORE_OR_LESS = re.compile(
    r"[\s-]{0,2}(?:relative\s|absolute\s|further\s|points?\s)?"
    r"(?:reduction|decrease|increase|lower|higher|thinner|thicker|less|more|greater|larger|smaller|change|drop|loss|"
    r"deviation|error|compression|compressed|variation|improvement|gain|of\s(?:the|its|their)\s(?:initial|original|total|theoretical|uncalendered))\b"
    r"(?!\s(?:than\s)?(?:or|and)\b)",
    re.IGNORECASE,
)
_CHANGE_OF = re.compile(
    r"\b(?:reduction|decrease|increase|change|drop|loss|rise|difference|deviation|variation|error|uncertainty|tolerance|"
    r"accuracy|precision|improvement)s?\s(?:in|of|on|for)\s(?:the\s|its\s)?(?:[A-Za-z-]{1,20}\s){0,2}$",
    re.IGNORECASE,
)

_OWNER = re.compile(
    r"""(?<![A-Za-z])(?:
      (?P<other>
        (?:carbon|al2o3|alumina|oxide|surface|protecti(?:ve|on)|polymer(?:ic)?|ald|conformal|particle|ceramic|gold|pt|au|tio2|zno|amorphous|metal|lif
           |interphase|passivation|diffusion|boundary|sei|cei|primer|dead|native|atomic)[\s-](?:coatings?|layers?|shells?|films?)
      | (?:half|full|coin|pouch|unit)?[\s-]?cells?\sthickness
      | separators?|membranes?|celgard|whatman|current[\s-]collectors?|collectors?|foils?|sei|cei|interphase|shells?|particles?|nanoparticles?
      | lithium\s(?:metal|foil|chips?|discs?|disks?)|li[\s-](?:metal|foil|chips?|dis[ck]s?)|copper|alumini?um|(?-i:Cu|Al|Ni)|nickel|substrates?|glass
      | spacers?|gaskets?|tapes?|tabs?|nanosheets?|flakes?|walls?|lamella[es]?|slices?|sections?|electrolytes?|cbd|particulates?|grains?|crystals?
      | wet|scaffolds?|foams?|pellets?|rocks?|soils?|sediments?|bones?|skin|tissues?|ice|membrane|felts?|papers?|diffusion\smedia|gdl|wafers?|shims?
      | rolls?|gaps?|blades?|batter(?:y|ies)|casings?|stacks?|frames?|deposits?|graphene|domains?|fib(?:er|re)s?|tubes?|plates?|beams?|carbon\snanotubes?|powders?)
    | (?P<electrode>electrodes?|cathodes?|anodes?|coatings?|active\slayers?|coated|calendered|compressed|pressed|cast|laminates?)
    )(?![A-Za-z])""",
    re.IGNORECASE | re.VERBOSE,
)
_NOT_LOADED = re.compile(r"separators?|membranes?|celgard|frames?|deposits?", re.IGNORECASE)
_CLAUSE = re.compile(
    r"[;:]|,\s(?:and|while|whereas|but)\s|\sand\s(?:the|its|a)\s|\s(?:while|whereas)\s",
    re.IGNORECASE,
)
_PRE_WORDS = re.compile(r"(?:[A-Za-z][\w/.-]{0,24}[\s]){1,4}$|[A-Za-z][\w/.]{0,24}-$")
_BREAKS_PHRASE = re.compile(
    r"[,;:()]|\b(?:of|with|on|onto|at|by|to|was|were|is|are|has|had|have|a|an|the|in|for|from|using|and|or|per|without|including|plus)\b",
    re.IGNORECASE,
)
_OF = re.compile(r"\s{0,2}(?:\([^)]{0,24}\)\s)?(?:values?\s)?(?:of|for|in|across)\s", re.IGNORECASE)
_TO_A = re.compile(r"\b(?:to|until)\s(?:a|an|the|its)?\s?(?:[\w-]{1,20}\s){0,2}$", re.IGNORECASE)


def extract(text: str) -> list[Mention]:
    """All mentions, in the order of the text."""
    plain = aligned(text)
    mentions = []
    for sentence in sentences(plain):
        # Each sentence is analysed alone, so that no rule reaches beyond its ends.
        words = plain[sentence.start : sentence.end]
        topics = _topics(words)
        if all(topic.property is None for topic in topics):
            continue
        for quantity in quantities(words):
            topic = _governing(words, quantity, topics)
            if topic is None or topic.property is None:
                continue
            if not (_is_change(words, quantity, topic) or _is_foreign(words, quantity, topic)):
                mentions.append(_mention(text, sentence, quantity, topic, topic.property))
    return mentions


def _topics(plain: str) -> list[_Topic]:
    topics = []
    for match in _TOPIC.finditer(plain):
        name = str(match.lastgroup)
        belongs, dimensions, side = _TOPICS[name]
        topics.append(
            _Topic(match.start(), match.end(), belongs, dimensions, side, name == "change")
        )
    return topics


def _governing(plain: str, quantity: Quantity, topics: list[_Topic]) -> _Topic | None:
    """The words that a number refers to.

    Words directly after it come first (`35 % porosity`, `5 % PVDF`), then the nearest ones before it.
    """
    return _behind(plain, quantity, topics) or _in_front(plain, quantity, topics)


def _behind(plain: str, quantity: Quantity, topics: list[_Topic]) -> _Topic | None:
    first = bisect_left(topics, quantity.group_end, key=lambda topic: topic.start)
    for topic in topics[first : first + 4]:
        if quantity.dimension not in topic.dimensions:
            continue
        pattern = _BESIDE if topic.side == "adjacent" else _TIGHT
        if topic.property == "mass_loading_mg_cm2":
            pattern = _TIGHT
        if pattern.fullmatch(plain, quantity.group_end, topic.start):
            return topic
    return None


def _in_front(plain: str, quantity: Quantity, topics: list[_Topic]) -> _Topic | None:
    last = bisect_right(topics, quantity.group_start, key=lambda topic: topic.start)
    result = _TO_OR_FROM.search(plain, max(0, quantity.group_start - 16), quantity.group_start)
    electrode: _Topic | None = None
    for topic in reversed(topics[max(0, last - 8) : last]):
        # `thicker than 100 µm`: the qualifier is also the keyword.
        gap = max(topic.end, quantity.group_start)
        distance = quantity.group_start - topic.end
        if distance > _REACH:
            break
        if topic.side == "behind" or quantity.dimension not in topic.dimensions:
            continue
        if topic.is_change and result is not None:
            continue
        direct = _DIRECT.fullmatch(plain, topic.end, gap) is not None
        if topic.side == "adjacent" and quantity.dimension == "areal_mass":
            # `platinum loading of the cathode of 0.3 mg/cm²`: a named loading takes precedence.
            electrode = electrode or (topic if direct else None)
        elif topic.property is None:
            if direct or distance <= _NEAR:
                return topic
        elif direct or (topic.side == "both" and quantity.dimension != "none"):
            return topic
    return electrode


def _is_change(plain: str, quantity: Quantity, topic: _Topic) -> bool:
    """Whether a number states a change or scatter of a property instead of its value."""
    before = plain[max(0, quantity.group_start - 24) : quantity.group_start]
    if _BY.search(before) or _MORE_OR_LESS.match(plain, quantity.group_end):
        return True
    if topic.start > quantity.start or _TO_OR_FROM.search(before) or quantity.qualifier == "range":
        return False
    return _CHANGE_OF.search(plain[max(0, topic.start - 64) : topic.start]) is not None


def _is_foreign(plain: str, quantity: Quantity, topic: _Topic) -> bool:
    """Whether the property is of a separator, a foil or a particle instead of an electrode."""
    if quantity.dimension == "areal_mass":
        before = plain[max(0, quantity.start - _REACH) : quantity.start]
        named = [match[0] for match in _OWNER.finditer(before)]
        return bool(named) and _NOT_LOADED.fullmatch(named[-1]) is not None
    owner = _owner(plain, quantity, topic)
    if owner is None:
        # A film of nanometres that is not called an electrode is a layer on something.
        return quantity.dimension == "length" and quantity.factor < 1.0
    return owner == "other"


def _owner(plain: str, quantity: Quantity, topic: _Topic) -> str | None:
    """`electrode`, `other`, or None where the sentence does not say what the property is of."""
    words = _PRE_WORDS.search(plain[max(0, topic.start - 80) : topic.start])
    if words is not None:
        phrase = _BREAKS_PHRASE.split(words[0])[-1]
        named = [match.lastgroup for match in _OWNER.finditer(phrase)]
        if named:
            return named[-1]
    behind = max(topic.end, quantity.group_end)
    following = _BREAKS_PHRASE.split(plain[behind : behind + 60])[0]
    match = _OWNER.search(following)
    if match is not None:
        return match.lastgroup
    for at in (topic.end, quantity.group_end):
        of = _OF.match(plain, at)
        if of is not None:
            reach = plain[of.end() : of.end() + 60]
            match = _OWNER.search(reach)
            if match is not None:
                return match.lastgroup
    start = min(topic.start, quantity.group_start)
    if _TO_A.search(plain[max(0, start - 40) : start]):
        return "electrode"
    clause = _CLAUSE.split(plain[max(0, start - _REACH) : start])[-1]
    named = [match.lastgroup for match in _OWNER.finditer(clause)]
    return named[-1] if named else None


def _mention(
    text: str, sentence: Span, quantity: Quantity, topic: _Topic, belongs: Property
) -> Mention:
    start, end = sentence.start + quantity.start, sentence.start + quantity.end
    subject_start, subject_end = sentence.start + topic.start, sentence.start + topic.end
    low = _scaled(quantity.value, quantity)
    high = low if quantity.value_high is None else _scaled(quantity.value_high, quantity)
    uncertainty = quantity.uncertainty
    least, most, note = POSSIBLE[belongs]
    plausible = least <= low and high <= most
    return Mention(
        property=belongs,
        start=start,
        end=end,
        quote=text[start:end],
        value=quantity.value,
        value_high=quantity.value_high,
        unit_as_written=_unit(text, sentence, quantity),
        qualifier=quantity.qualifier,
        low=low,
        high=high,
        uncertainty=None if uncertainty is None else _scaled(uncertainty, quantity),
        subject=text[subject_start:subject_end],
        subject_start=subject_start,
        subject_end=subject_end,
        sentence_start=sentence.start,
        sentence_end=sentence.end,
        plausible=plausible,
        note="" if plausible else note,
    )


def _unit(text: str, sentence: Span, quantity: Quantity) -> str | None:
    if quantity.unit_start is None or quantity.unit_end is None:
        return None
    return text[sentence.start + quantity.unit_start : sentence.start + quantity.unit_end]


def _scaled(value: float, quantity: Quantity) -> float:
    # Rounding removes the last-bit noise of the factor (35.0 instead of 35.00000000000001).
    return float(f"{value * quantity.factor:.12g}")
