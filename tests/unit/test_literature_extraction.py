"""What texts say about electrodes: phrase by phrase, and on any text whatever."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from battery_platform.literature.completeness import completeness
from battery_platform.literature.documents import NotText, read_document, sample_files
from battery_platform.literature.extraction import Mention, extract
from battery_platform.literature.sentences import sentences

P, T, M = "porosity_pct", "thickness_um", "mass_loading_mg_cm2"

Expected = list[tuple[str, float, float, str]]


def mention(name: str, low: float, high: float | None = None, qualifier: str = "exact") -> Expected:
    return [(name, low, low if high is None else high, qualifier)]


def several(name: str, *values: float, qualifier: str = "exact") -> Expected:
    return [(name, value, value, qualifier) for value in values]


POSITIVE: list[tuple[str, Expected]] = [
    # after the keyword
    ("The electrode porosity was 35 %.", mention(P, 35)),
    ("The porosity of the cathode was 35%.", mention(P, 35)),
    ("A porosity of 35 percent was measured.", mention(P, 35)),
    ("A porosity of 35 per cent was measured.", mention(P, 35)),
    ("A porosity of 35 vol% was measured.", mention(P, 35)),
    ("A porosity of 35 vol.-% was measured.", mention(P, 35)),
    ("The electrode had a porosity of 0.35 before cycling.", mention(P, 35)),
    ("The porosity (ε) is 0.4.", mention(P, 40)),
    ("The porosity ε = 0.28 was kept.", mention(P, 28)),
    ("The void fraction of the coating is 0.31.", mention(P, 31)),
    ("The coating thickness was 70 µm.", mention(T, 70)),
    ("The coating thickness was 70 μm.", mention(T, 70)),
    ("The coating thickness was 70µm.", mention(T, 70)),
    ("The coating thickness was 70 um.", mention(T, 70)),
    ("The coating thickness was 70 microns.", mention(T, 70)),
    ("The coating thickness was 0.07 mm.", mention(T, 70)),
    ("The coating thickness was 70000 nm.", mention(T, 70)),
    ("The thickness of the electrode, without the foil, was 70 µm.", mention(T, 70)),
    ("The electrode thickness was 1.2 × 10^2 µm.", mention(T, 120)),
    ("The electrode thickness was 1.2 × 10² µm.", mention(T, 120)),
    ("The electrode thickness was 1.2 × 10^1 µm.", mention(T, 12)),
    ("The mass loading was 12.5 mg/cm2.", mention(M, 12.5)),
    ("The mass loading was 12.5 mg cm-2.", mention(M, 12.5)),
    ("The mass loading was 12.5 mg cm−2.", mention(M, 12.5)),
    ("The mass loading was 12.5 mg·cm⁻².", mention(M, 12.5)),
    ("The mass loading was 12.5 mg/cm².", mention(M, 12.5)),
    ("The mass loading was 12.5 mg cm^-2.", mention(M, 12.5)),
    ("The mass loading was 125 g/m2.", mention(M, 12.5)),
    ("The mass loading was 0.125 kg m-2.", mention(M, 12.5)),
    ("The mass loading was 12,5 mg/cm2.", mention(M, 12.5)),
    ("The coating thickness was 1,250 µm.", mention(T, 1250)),
    ("The areal loading amounts to 12.5\u202fmg\u202fcm\u207b\u00b2.", mention(M, 12.5)),
    ("The coat weight was 120 g m−2.", mention(M, 12)),
    ("The thickness was $100 \\mu\\text{m}$ for this coating.", mention(T, 100)),
    # before the keyword
    ("A 70 µm thick electrode was cast.", mention(T, 70)),
    ("A 70-µm-thick cathode was cast.", mention(T, 70)),
    ("A 35 % porous coating was obtained.", mention(P, 35)),
    ("We used 20 mg/cm2 electrodes.", mention(M, 20)),
    ("The anode was calendered to 30% porosity.", mention(P, 30)),
    ("The cathode was 85 µm in thickness.", mention(T, 85)),
    ("Cathodes with 14 mg cm⁻² areal mass loading were used.", mention(M, 14)),
    ("The electrode (0.3 porosity) was dense.", mention(P, 30)),
    # approximate
    ("The porosity was about 35 %.", mention(P, 35, qualifier="approximate")),
    ("The porosity was ca. 35 %.", mention(P, 35, qualifier="approximate")),
    ("The porosity was ~35 %.", mention(P, 35, qualifier="approximate")),
    ("The porosity was ≈ 35 %.", mention(P, 35, qualifier="approximate")),
    ("The porosity was roughly 35 %.", mention(P, 35, qualifier="approximate")),
    ("The mass loading was nearly 20 mg/cm2.", mention(M, 20, qualifier="approximate")),
    ("A roughly 70 µm thick coating was cast.", mention(T, 70, qualifier="approximate")),
    # ranges
    ("The porosity was 30-40 %.", mention(P, 30, 40, "range")),
    ("The porosity was 30–40 %.", mention(P, 30, 40, "range")),
    ("The porosity was 30% – 40%.", mention(P, 30, 40, "range")),
    ("The porosity was 30 to 40 %.", mention(P, 30, 40, "range")),
    ("The porosity lies between 30 and 40 %.", mention(P, 30, 40, "range")),
    ("The porosity ranges from 30 to 40 %.", mention(P, 30, 40, "range")),
    ("Porosities from 0.3 to 0.4 were modelled.", mention(P, 30, 40, "range")),
    ("The coating thickness was 60–80 µm.", mention(T, 60, 80, "range")),
    ("The mass loading was in the range of 10–12 mg cm−2.", mention(M, 10, 12, "range")),
    # bounds
    ("The porosity was at least 30 %.", mention(P, 30, qualifier="at_least")),
    ("The porosity was > 30 %.", mention(P, 30, qualifier="at_least")),
    ("The porosity was ≥30 %.", mention(P, 30, qualifier="at_least")),
    ("The porosity was more than 30 %.", mention(P, 30, qualifier="at_least")),
    ("Electrodes thicker than 100 µm cracked.", mention(T, 100, qualifier="at_least")),
    ("The mass loading was 20 mg/cm2 or more.", mention(M, 20, qualifier="at_least")),
    ("The porosity was below 30 %.", mention(P, 30, qualifier="at_most")),
    ("The porosity was no more than 30 %.", mention(P, 30, qualifier="at_most")),
    ("The coating thickness did not exceed 80 µm.", mention(T, 80, qualifier="at_most")),
    ("Mass loadings up to 30 mg/cm2 were tried.", mention(M, 30, qualifier="at_most")),
    # lists and changes
    ("Porosities of 30, 40 and 50 % were set.", several(P, 30, 40, 50)),
    ("Electrode thicknesses of 60, 80, and 100 µm were cast.", several(T, 60, 80, 100)),
    ("Porosities of 0.3, 0.4 and 0.5 were modelled.", several(P, 30, 40, 50)),
    ("Coatings 60, 80 and 100 µm thick were cast.", several(T, 60, 80, 100)),
    ("The porosity decreased from 45 to 30 %.", several(P, 45, 30)),
    ("Calendering reduced the coating thickness from 100 µm to 70 µm.", several(T, 100, 70)),
    ("The porosity was reduced to 30 %.", mention(P, 30)),
    # several properties
    (
        "The cathode had a porosity of 35 %, a thickness of 70 µm and a loading of 20 mg/cm2.",
        [*mention(P, 35), *mention(T, 70), *mention(M, 20)],
    ),
    (
        "Loading, thickness and porosity of the anode were 9 mg cm-2, 60 µm and 33 %, respectively.",
        [*mention(M, 9), *mention(T, 60), *mention(P, 33)],
    ),
    (
        "See Fig. 3, where Li et al. report a porosity of ca. 35 %.",
        mention(P, 35, qualifier="approximate"),
    ),
    ("- Anode thickness: 60 µm\n- Electrolyte thickness: 20 µm", mention(T, 60)),
    ("The porosity after calendering varied (from 25% to 42%).", mention(P, 25, 42, "range")),
    ("An electrode with a mass loading of 20 mg/cm2 (3.4 mAh/cm2) was used.", mention(M, 20)),
]

NEGATIVE = [
    "The porosity rose as 5 wt% PVDF was added.",
    "The porosity of the coating with 5 wt.% binder was low.",
    "Calendering reduced the porosity by 10 %.",
    "Calendering reduced the porosity by about 10 %.",
    "A 10 % reduction in porosity was seen.",
    "A porosity reduction of 10 % was seen.",
    "The porosity varied by ± 2 %.",
    "An increase in porosity of 5 % was seen.",
    "The coating is 20 µm thicker than before.",
    "The thickness of the separator was 25 µm.",
    "A 25 µm thick separator was used.",
    "Separators with a porosity of 40 % were soaked.",
    "The slurry was coated on aluminium foil with a thickness of 15 µm.",
    "A 15 µm thick copper current collector was used.",
    "The SEI thickness was 20 nm.",
    "A carbon coating with a thickness of 5 nm covers the particles.",
    "The mean particle size of the electrode material was 10 µm.",
    "The areal capacity of the electrode was 3 mAh/cm2.",
    "An electrode loading of 3 mAh cm-2 was used.",
    "The porosity was studied after 2019.",
    "The catalyst loading was 0.4 mg/cm2.",
    "The electrode was 3 cm wide and 5 cm long.",
    "The porosity controls a capacity retention of 80 %.",
    "The coating speed was 5 m/min at this thickness.",
    "The electrode with 5 % PVDF had a low porosity.",
    "Porosity is given in Table 3.",
    "Porosity matters for cathodes [14, 15, 16].",
    "The platinum loading of the cathode was 0.3 mg/cm2.",
    "Separators with a ceramic mass loading of 0.2 mg/cm2 were used.",
    "The porosity falls as the volume fraction of active material nears 60 %.",
    "- Electrolyte thickness: 20 µm\n- Cathode porosity: not given",
    "",
    "No number stands here, though porosity does.",
]


def summary(mentions: list[Mention]) -> Expected:
    return [
        (mention.property, mention.low, mention.high, mention.qualifier) for mention in mentions
    ]


def check_offsets(text: str, mentions: list[Mention]) -> None:
    for mention in mentions:
        assert text[mention.start : mention.end] == mention.quote
        assert text[mention.subject_start : mention.subject_end] == mention.subject
        assert mention.sentence_start <= mention.start < mention.end <= mention.sentence_end
        assert mention.sentence_start <= mention.subject_start
        assert mention.subject_end <= mention.sentence_end
        assert mention.low <= mention.high


@pytest.mark.parametrize(("text", "expected"), POSITIVE)
def test_phrase(text: str, expected: Expected) -> None:
    mentions = extract(text)
    assert summary(mentions) == expected
    check_offsets(text, mentions)


@pytest.mark.parametrize("text", NEGATIVE)
def test_no_mention(text: str) -> None:
    assert extract(text) == []


@pytest.mark.parametrize(
    ("text", "quotes"),
    [
        ("The porosity was ca. 35 %.", ["ca. 35 %"]),
        ("Porosities of 30, 40 and 50 % were set.", ["30", "40", "50 %"]),
        ("The porosity lies between 30 and 40 %.", ["between 30 and 40 %"]),
        ("The porosity decreased from 45 to 30 %.", ["45", "30 %"]),
        ("The porosity was (30 ± 2) %.", ["30 ± 2) %"]),
        ("The mass loading was 20 mg/cm2 or more.", ["20 mg/cm2 or more"]),
    ],
)
def test_quote(text: str, quotes: list[str]) -> None:
    assert [mention.quote for mention in extract(text)] == quotes


@pytest.mark.parametrize(
    "text",
    ["The porosity was 30 ± 2 %.", "The porosity was 30% ± 2%.", "The porosity was (30 ± 2) %."],
)
def test_uncertainty(text: str) -> None:
    (mention,) = extract(text)
    assert (mention.low, mention.high, mention.uncertainty) == (30, 30, 2)
    assert mention.qualifier == "exact"


def test_uncertainty_is_in_the_unit_of_the_property() -> None:
    (mention,) = extract("The mass loading was 125 ± 4 g/m2.")
    assert (mention.low, mention.uncertainty, mention.value) == (12.5, 0.4, 125)


def test_shared_unit_is_recorded() -> None:
    mentions = extract("Porosities of 30, 40 and 50 % were set.")
    assert {mention.unit_as_written for mention in mentions} == {"%"}


@pytest.mark.parametrize("unit", ["µm", "μm", "mm", "microns"])
def test_unit_is_recorded_as_written(unit: str) -> None:
    (mention,) = extract(f"The coating thickness was 2 {unit}.")
    assert mention.unit_as_written == unit


def test_nothing_reaches_beyond_a_blank_line() -> None:
    text = "The mass loading was ca.\n\n12 mg/cm2 is another line."
    assert extract(text) == []


@pytest.mark.parametrize(
    ("text", "low"),
    [
        ("The electrode porosity was 130 %.", 130),
        ("The electrode thickness was 5 m.", 5e6),
        ("The porosity was -5 %.", -5),
    ],
)
def test_impossible_values_stay(text: str, low: float) -> None:
    (mention,) = extract(text)
    assert mention.low == low
    assert not mention.plausible
    assert mention.note


def test_sentences_survive_abbreviations_and_cover_the_text() -> None:
    text = "Li et al. found ca. 35 % (Fig. 3). The rest, e.g. 1.5 mm, is new.\r\n\r\nEnd"
    spans = sentences(text)
    assert "".join(text[span.start : span.end] for span in spans) == text
    assert len(spans) == 3


FRAGMENTS = st.sampled_from(
    [
        "porosity", "thickness", "mass loading", "electrode", "a 70 µm thick cathode", "35 %", "0.35",
        "70\u2009µm", "12,5 mg/cm²", "1.2 × 10^1", "±", "30–40", "between 30 and 40 %", "from", "to", "by",
        "ca.", "~", "≥", " ", "\r\n", "\n\n", "\t", "\u00a0", "🔋", "𝜀", "e\u0301", "İ", "ſ", "\ufeff",
        "\u200b", "\u202e", "²", "⁻", "٣", ".", ",", "(", ")", "$", "\\mu", "of", "was", "separator", "-",
        "9" * 40, "1e99", "1,000", "30, 40 and 50 %", "mg cm\u22122", "\x00", "\ud800",
    ]
)  # fmt: skip


@given(st.lists(FRAGMENTS, max_size=30), st.sampled_from(["", " "]))
def test_offsets_hold_in_odd_text(fragments: list[str], between: str) -> None:
    text = between.join(fragments)
    check_offsets(text, extract(text))


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    check_offsets(text, extract(text))


@given(st.sampled_from([text for text, _ in POSITIVE]), st.text(max_size=40))
def test_text_in_front_moves_the_offsets_only(text: str, front: str) -> None:
    moved = extract(f"{front}.\n\n{text}")
    mentions = [mention for mention in moved if mention.sentence_start >= len(front) + 3]
    assert summary(mentions) == summary(extract(text))
    check_offsets(f"{front}.\n\n{text}", moved)


def test_document_keeps_every_character(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(b"\xef\xbb\xbf  Porosity\r\n 35 \xc2\xb5m \n")
    document = read_document(path)
    assert document.text == "  Porosity\r\n 35 µm \n"
    assert document.encoding == "utf-8"
    assert document.document_id == f"doc-{document.content_hash[:16]}"
    assert document.n_characters == len(document.text)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("70 µm".encode("cp1252"), "cp1252"),
        ("70 µm".encode("utf-16"), "utf-16-le"),
        (b"\xfe\xff" + "70 µm".encode("utf-16-be"), "utf-16-be"),
        ("70 µm".encode(), "utf-8"),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, encoding: str) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(data)
    document = read_document(path)
    assert (document.text, document.encoding) == ("70 µm", encoding)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"%PDF-1.7 text", "not_text"),
        (b"PK\x03\x04", "not_text"),
        (b"\x89PNG\r\n", "not_text"),
        (b"text\x00text", "not_text"),
        (b"\x01\x02\x03text", "not_text"),
        (b"\xff\xfe\x00\xd8", "not_text"),
        (b"x" * 101, "too_large"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes, rule: str) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(data)
    with pytest.raises(NotText) as refused:
        read_document(path, max_bytes=100)
    assert refused.value.rule == rule
    assert refused.value.says
    assert refused.value.remedy


def test_completeness() -> None:
    text = (
        "The porosity is 30-40 %. Elsewhere the porosity was 35 %. The coating thickness is ~70 µm."
    )
    rows = {row.property: row for row in completeness(extract(text))}
    assert (rows["porosity_pct"].how, rows["porosity_pct"].n_mentions) == ("exact", 2)
    assert rows["thickness_um"].how == "approximate"
    assert (rows["mass_loading_mg_cm2"].reported, rows["mass_loading_mg_cm2"].how) == (
        False,
        "missing",
    )


def test_impossible_values_are_not_reported() -> None:
    rows = completeness(extract("The electrode porosity was 130 %."))
    assert [row.how for row in rows] == ["missing"] * 3


def test_samples_are_marked_and_one_leaves_porosity_out() -> None:
    missing = []
    for path in sample_files():
        document = read_document(path)
        assert document.text.splitlines()[0] == (
            "SYNTHETIC TEXT, written to demonstrate the platform; no measurement stands behind it."
        )
        mentions = extract(document.text)
        assert mentions
        check_offsets(document.text, mentions)
        missing += [row.property for row in completeness(mentions) if not row.reported]
    assert len(sample_files()) == 4
    assert missing.count("porosity_pct") == 1
