"""The watched folder of texts: each is read once per version of the extraction, and never changed.

A file that is not text is quarantined with the reason, like any other bad input.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from blake3 import blake3

from battery_platform.errors import PlatformError
from battery_platform.literature.completeness import completeness
from battery_platform.literature.documents import (
    MAX_BYTES,
    Document,
    NotText,
    read_document,
    sample_files,
)
from battery_platform.literature.extraction import Mention, extract
from battery_platform.made.fingerprint import fingerprint
from battery_platform.made.products import put
from battery_platform.settings import Settings
from battery_platform.store.commit import printable
from battery_platform.store.lakehouse import Lakehouse

SOURCE = "literature"
SAMPLES = "synthetic_samples"


@dataclass(frozen=True)
class Reading:
    """The outcome of reading one file."""

    file: str
    document_id: str
    status: str
    """`read`, `known` or `quarantined`."""
    mentions: int
    reason: str
    is_synthetic: bool


def extraction_code() -> str:
    """Hash of the extraction code: when it changes, all texts are read again."""
    return fingerprint(read_document, extract, completeness)


def place_samples(settings: Settings) -> None:
    """Place the fictitious texts in the watched folder, so that a new installation has something to read."""
    folder = settings.literature_folder / SAMPLES
    folder.mkdir(parents=True, exist_ok=True)
    for source in sample_files():
        target = folder / source.name
        if not target.is_file() or target.read_bytes() != source.read_bytes():
            shutil.copyfile(source, target)


def watched(settings: Settings) -> list[Path]:
    """Files of the watched folder, except hidden ones."""
    root = settings.literature_folder
    paths = (path for path in root.rglob("*") if path.is_file())
    return sorted(
        path for path in paths if not any(p.startswith(".") for p in path.relative_to(root).parts)
    )


def add(lake: Lakehouse, paths: Iterable[Path]) -> list[Reading]:
    """Copy texts into the watched folder and read them; if a name is taken, part of the hash is added."""
    folder = lake.settings.literature_folder
    folder.mkdir(parents=True, exist_ok=True)
    chosen, taken = list(paths), []
    for path in chosen:
        if not path.is_file():
            raise PlatformError(f"There is no file {path}.", "Name text files.")
        if path.stat().st_size > MAX_BYTES:
            raise PlatformError(
                f"{path.name} is larger than the {MAX_BYTES // 2**20} MiB of a document.",
                "Split it into one file per document.",
            )
    for path in chosen:
        content = path.read_bytes()
        target = folder / path.name
        if target.is_file() and target.read_bytes() != content:
            mark = blake3(content).hexdigest()[:8]
            target = target.with_name(f"{path.stem}-{mark}{path.suffix}")
        if not target.is_file():
            target.write_bytes(content)
        taken.append(target)
    return take(lake, taken)


def take(lake: Lakehouse, paths: Sequence[Path]) -> list[Reading]:
    """Read texts that are new or were read by other code, and store them in one transaction."""
    code = extraction_code()
    known = {
        row["document_id"]: row
        for row in lake.records(
            "SELECT document_id, code_hash, n_mentions FROM literature_documents"
        )
    }
    refused = dict(
        lake.rows(
            "SELECT file_id, any_value(message) FROM quarantine WHERE source_id = ? GROUP BY 1",
            [SOURCE],
        )
    )
    samples = {blake3(sample.read_bytes()).hexdigest() for sample in sample_files()}
    readings, documents, held = [], [], []
    for path in paths:
        synthetic = SAMPLES in path.relative_to(lake.settings.literature_folder).parts
        name = printable(path.name)
        try:
            document = read_document(path)
        except NotText as error:
            file_id = _bytes_id(path)
            readings.append(Reading(name, file_id, "quarantined", 0, str(error), synthetic))
            if file_id not in refused:
                refused[file_id] = str(error)
                held.append(_quarantine(path, file_id, error, synthetic))
            continue
        synthetic = synthetic or document.content_hash in samples
        before = known.get(document.document_id)
        if before is not None and before["code_hash"] == code:
            readings.append(
                Reading(name, document.document_id, "known", before["n_mentions"], "", synthetic)
            )
            continue
        mentions = extract(document.text)
        known[document.document_id] = {"code_hash": code, "n_mentions": len(mentions)}
        documents.append((path, document, mentions, synthetic))
        readings.append(Reading(name, document.document_id, "read", len(mentions), "", synthetic))
    _store(lake, documents, code)
    if held:
        _hold(lake, held)
    return readings


def _bytes_id(path: Path) -> str:
    hasher = blake3()
    hasher.update_mmap(path) if path.stat().st_size else None
    return f"doc-{hasher.hexdigest()[:16]}"


def _store(
    lake: Lakehouse, documents: Sequence[tuple[Path, Document, list[Mention], bool]], code: str
) -> None:
    if not documents:
        return
    now = datetime.now(UTC).replace(tzinfo=None)
    rows: dict[str, list[dict[str, Any]]] = {
        "literature_documents": [],
        "literature_mentions": [],
        "literature_completeness": [],
    }
    for path, document, mentions, synthetic in documents:
        ours = {"document_id": document.document_id, "is_synthetic": synthetic}
        rows["literature_documents"].append(
            {
                **ours,
                "file_name": printable(path.name),
                "path": printable(str(path.relative_to(lake.settings.literature_folder))),
                "n_characters": document.n_characters,
                "encoding": document.encoding,
                "content_hash": document.content_hash,
                "n_mentions": len(mentions),
                "code_hash": code,
                "added_at": now,
            }
        )
        rows["literature_mentions"] += [_mention(document, mention) | ours for mention in mentions]
        rows["literature_completeness"] += [
            {
                "property": reported.property,
                "how": reported.how,
                "n_mentions": reported.n_mentions,
                **ours,
            }
            for reported in completeness(mentions)
        ]
    read_again = [document.document_id for _, document, _, _ in documents]
    put(lake, rows, instead_of={"literature_mentions": {"document_id": read_again}})


def _mention(document: Document, mention: Mention) -> dict[str, Any]:
    return {
        "mention_id": f"{document.document_id}:{mention.start}-{mention.end}:{mention.property}",
        "property": mention.property,
        "low": mention.low,
        "high": mention.high,
        "uncertainty": mention.uncertainty,
        "qualifier": mention.qualifier,
        "unit_as_written": mention.unit_as_written or "",
        "quote": mention.quote,
        "start_offset": mention.start,
        "end_offset": mention.end,
        "sentence": document.text[mention.sentence_start : mention.sentence_end],
        "is_plausible": mention.plausible,
        "note": mention.note or None,
    }


def _quarantine(path: Path, file_id: str, error: NotText, synthetic: bool) -> dict[str, Any]:
    return {
        "file_id": file_id,
        "source_id": SOURCE,
        "file_name": printable(path.name),
        "table_name": "literature_documents",
        "sheet": "",
        "row_number": 0,
        "field": "text",
        "value": f"{path.stat().st_size} bytes",
        "rule": error.rule,
        "message": error.says,
        "remedy": error.remedy,
        "record": printable(str(path)),
        "is_synthetic": synthetic,
        "quarantined_at": datetime.now(UTC).replace(tzinfo=None),
    }


def _hold(lake: Lakehouse, rows: Sequence[dict[str, Any]]) -> None:
    marks = ", ".join("?" for _ in rows[0])
    names = ", ".join(rows[0])

    def work(cursor: duckdb.DuckDBPyConnection) -> None:
        for row in rows:
            cursor.execute(f"INSERT INTO quarantine ({names}) VALUES ({marks})", list(row.values()))

    lake.write(work)


def broken_offsets(lake: Lakehouse) -> list[str]:
    """Mentions whose quote is not found at their offsets in the original file."""
    broken = []
    for document in lake.records("SELECT document_id, path FROM literature_documents"):
        path = lake.settings.literature_folder / document["path"]
        mentions = lake.records(
            "SELECT mention_id, quote, start_offset, end_offset FROM literature_mentions WHERE document_id = ?",
            [document["document_id"]],
        )
        if not path.is_file() or _bytes_id(path) != document["document_id"]:
            continue  # removed, or replaced by another text: there is nothing to compare with
        untouched = read_document(path)
        broken += [
            mention["mention_id"]
            for mention in mentions
            if untouched.text[mention["start_offset"] : mention["end_offset"]] != mention["quote"]
        ]
    return broken


def search(
    lake: Lakehouse,
    words: str = "",
    name: str | None = None,
    low: float | None = None,
    high: float | None = None,
) -> list[dict[str, Any]]:
    """Mentions selected by words of their sentence or file name, by property and by value."""
    return lake.records(
        """SELECT d.file_name, m.property, m.low, m.high, m.qualifier, m.quote, m.sentence,
                  m.start_offset, m.end_offset, m.uncertainty, m.unit_as_written, m.is_plausible,
                  m.note, m.document_id, m.is_synthetic
           FROM literature_mentions m JOIN literature_documents d USING (document_id)
           WHERE ($name IS NULL OR m.property = $name)
             AND ($low IS NULL OR m.high >= $low) AND ($high IS NULL OR m.low <= $high)
             AND list_bool_and(list_transform(string_split($words, ' '), lambda w:
                   contains(lower(m.sentence || ' ' || d.file_name || ' ' || m.property), lower(w))))
           ORDER BY m.is_synthetic, d.file_name, m.start_offset""",
        {"words": " ".join(words.split()), "name": name, "low": low, "high": high},
    )
