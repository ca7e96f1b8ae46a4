"""The folder of texts: each is read once, its mentions lead back to their characters."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from battery_platform.errors import PlatformError
from battery_platform.literature import folder as texts
from battery_platform.literature.documents import sample_files
from battery_platform.literature.folder import add, broken_offsets, place_samples, search, take
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str | bytes], Path]
TEXT = (
    "Die Elektrode. The electrode porosity was 35 % and its thickness was about 70 µm. "
    "The mass loading of the cathode ranged from 12 to 15 mg/cm². A separator of 25 µm was used."
)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def counts(lake: Lakehouse) -> tuple[int, ...]:
    tables = ("literature_documents", "literature_mentions", "literature_completeness")
    return tuple(lake.value(f"SELECT count(*) FROM {name}") for name in tables)


def held(lake: Lakehouse) -> list[dict[str, object]]:
    return lake.records("SELECT * FROM quarantine WHERE source_id = 'literature'")


def test_an_added_text_is_kept_read_and_found(lake: Lakehouse, write: Write) -> None:
    (reading,) = add(lake, [write("paper.txt", TEXT)])
    assert (reading.status, reading.mentions, reading.is_synthetic) == ("read", 3, False)
    assert (lake.settings.literature_folder / "paper.txt").read_text() == TEXT
    mentions = {row["property"]: row for row in search(lake)}
    assert (mentions["porosity_pct"]["low"], mentions["porosity_pct"]["qualifier"]) == (
        35.0,
        "exact",
    )
    assert mentions["thickness_um"]["qualifier"] == "approximate"
    loading = mentions["mass_loading_mg_cm2"]
    assert (loading["low"], loading["high"], loading["qualifier"]) == (12.0, 15.0, "range")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_offsets_lead_to_their_quotes_in_the_stored_file(
    lake: Lakehouse, write: Write, encoding: str
) -> None:
    text = "Größe – naïve. \r\n" + TEXT.replace("²", "2") + "\r\n\f Ende"
    add(lake, [write("paper.txt", text.encode(encoding))])
    stored = (lake.settings.literature_folder / "paper.txt").read_bytes().decode(encoding)
    rows = search(lake)
    assert len(rows) == 3
    assert [stored[row["start_offset"] : row["end_offset"]] for row in rows] == [
        row["quote"] for row in rows
    ]
    assert broken_offsets(lake) == []


def test_the_same_text_again_changes_nothing(lake: Lakehouse, write: Write) -> None:
    path = write("paper.txt", TEXT)
    add(lake, [path])
    snapshot = lake.snapshot()
    (reading,) = add(lake, [path])
    assert (reading.status, reading.mentions) == ("known", 3)
    assert lake.snapshot() == snapshot


def test_the_same_bytes_under_two_names_are_one_document(lake: Lakehouse, write: Write) -> None:
    readings = add(lake, [write("a.txt", TEXT), write("b.txt", TEXT)])
    assert [reading.status for reading in readings] == ["read", "known"]
    assert counts(lake) == (1, 3, 3)


def test_two_texts_of_one_name_are_both_kept(lake: Lakehouse, write: Write, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "paper.txt"
    other.parent.mkdir()
    other.write_text("The porosity of the electrode was 41 %.")
    add(lake, [write("paper.txt", TEXT)])
    add(lake, [other])
    assert counts(lake)[0] == 2
    assert len(list(lake.settings.literature_folder.iterdir())) == 2
    assert broken_offsets(lake) == []


@pytest.mark.parametrize(
    ("name", "content", "rule", "words"),
    [
        ("picture.txt", PNG, "not_text", "PNG picture"),
        ("empty.txt", b"", "empty", "no text"),
        ("blank.txt", b" \n\t\n", "empty", "no text"),
        ("paper.pdf", b"%PDF-1.7 ...", "not_text", "is a PDF"),
        ("paper.txt", b"%PDF-1.7 ...", "not_text", "is a PDF"),
        ("noise.txt", bytes(range(256)) * 4, "not_text", "NUL"),
    ],
)
def test_what_is_no_text_is_quarantined_once_with_a_remedy(
    lake: Lakehouse, write: Write, name: str, content: bytes, rule: str, words: str
) -> None:
    path = write(name, content)
    (reading,) = add(lake, [path])
    assert reading.status == "quarantined"
    assert words in reading.reason
    (row,) = held(lake)
    assert (row["rule"], row["file_name"]) == (rule, name)
    assert row["remedy"]
    snapshot = lake.snapshot()
    (again,) = add(lake, [path])
    assert again.status == "quarantined"
    assert lake.snapshot() == snapshot
    assert counts(lake) == (0, 0, 0)
    assert balance(lake).broken == ()


def test_the_same_bad_bytes_under_two_names_are_quarantined_once(
    lake: Lakehouse, write: Write
) -> None:
    add(lake, [write("a.txt", PNG), write("b.txt", PNG)])
    assert len(held(lake)) == 1


def test_a_bad_file_does_not_keep_others_from_being_read(lake: Lakehouse, write: Write) -> None:
    readings = add(lake, [write("bad.txt", PNG), write("good.txt", TEXT)])
    assert [reading.status for reading in readings] == ["quarantined", "read"]
    assert counts(lake)[0] == 1


def test_a_name_that_is_no_unicode_does_not_keep_others_from_being_read(lake: Lakehouse) -> None:
    folder = lake.settings.literature_folder
    folder.mkdir(parents=True)
    (folder / "good.txt").write_text(TEXT)
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.txt")).write_text("A porosity of 36 %.")
    take(lake, texts.watched(lake.settings))
    assert counts(lake)[0] >= 1


def test_a_file_that_is_not_there_is_refused(lake: Lakehouse, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="There is no file"):
        add(lake, [tmp_path / "none.txt"])


def test_a_refused_call_leaves_nothing_half_done(
    lake: Lakehouse, write: Write, tmp_path: Path
) -> None:
    with pytest.raises(PlatformError):
        add(lake, [write("paper.txt", TEXT), tmp_path / "none.txt"])
    kept = lake.settings.literature_folder / "paper.txt"
    assert kept.exists() == bool(search(lake))


def test_better_code_reads_again_without_doubling(
    lake: Lakehouse, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("paper.txt", TEXT)
    add(lake, [path])
    before = counts(lake)
    monkeypatch.setattr(texts, "extraction_code", lambda: "better")
    (reading,) = add(lake, [path])
    assert reading.status == "read"
    assert counts(lake) == before


def test_better_code_that_finds_less_leaves_no_old_mention(
    lake: Lakehouse, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("paper.txt", TEXT)
    add(lake, [path])
    extract = texts.extract
    monkeypatch.setattr(texts, "extraction_code", lambda: "better")
    monkeypatch.setattr(texts, "extract", lambda text: extract(text)[:1])
    add(lake, [path])
    assert counts(lake) == (1, 1, 3)


ASKED = (
    ("", None, None, None, 3),
    ("", "porosity_pct", None, None, 1),
    ("CATHODE", None, None, None, 1),
    ("porosity thickness", None, None, None, 2),
    ("paper.txt", None, None, None, 3),
    ("100% _ '", None, None, None, 0),
    ("", "porosity_pct", 35.0, 35.0, 1),
    ("", "porosity_pct", 35.1, None, 0),
    ("", "mass_loading_mg_cm2", 13.0, 14.0, 1),
    ("", "mass_loading_mg_cm2", None, 11.9, 0),
)


def test_search_filters_by_words_property_and_value(lake: Lakehouse, write: Write) -> None:
    add(lake, [write("paper.txt", TEXT)])
    for *asked, n in ASKED:
        assert len(search(lake, *asked)) == n, asked


def test_the_samples_are_labelled_synthetic(lake: Lakehouse) -> None:
    place_samples(lake.settings)
    readings = take(lake, texts.watched(lake.settings))
    assert len(readings) == len(sample_files())
    assert all(reading.is_synthetic for reading in readings)
    assert all(row["is_synthetic"] for row in search(lake))


def test_a_sample_that_was_added_by_hand_is_synthetic_all_the_same(lake: Lakehouse) -> None:
    add(lake, sample_files()[:1])
    place_samples(lake.settings)
    take(lake, texts.watched(lake.settings))
    label = "SELECT bool_and(is_synthetic) FROM literature_documents"
    assert lake.value(label)


def test_hidden_files_and_folders_are_not_watched(lake: Lakehouse) -> None:
    folder = lake.settings.literature_folder
    (folder / ".cache").mkdir(parents=True)
    for name in (".hidden.txt", ".cache/a.txt", "seen.txt"):
        (folder / name).write_text(TEXT)
    assert [path.name for path in texts.watched(lake.settings)] == ["seen.txt"]


# -- files that change or go ----------------------------------------------------------------


def test_a_text_that_was_taken_away_does_no_harm(lake: Lakehouse, write: Write) -> None:
    add(lake, [write("paper.txt", TEXT)])
    (lake.settings.literature_folder / "paper.txt").unlink()
    assert take(lake, texts.watched(lake.settings)) == []
    assert broken_offsets(lake) == []
    assert len(search(lake)) == 3


def test_a_text_that_was_changed_is_a_document_of_its_own(lake: Lakehouse, write: Write) -> None:
    add(lake, [write("paper.txt", TEXT)])
    kept = lake.settings.literature_folder / "paper.txt"
    kept.write_text("In front. " + TEXT)
    (reading,) = take(lake, texts.watched(lake.settings))
    assert reading.status == "read"
    assert counts(lake)[0] == 2
    assert broken_offsets(lake) == []


@pytest.mark.parametrize("content", [b"", PNG])
def test_a_text_that_became_no_text_does_not_stop_the_refresh(
    lake: Lakehouse, write: Write, content: bytes
) -> None:
    add(lake, [write("paper.txt", TEXT)])
    (lake.settings.literature_folder / "paper.txt").write_bytes(content)
    (reading,) = take(lake, texts.watched(lake.settings))
    assert reading.status == "quarantined"
    assert broken_offsets(lake) == []
