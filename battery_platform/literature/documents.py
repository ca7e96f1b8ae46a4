"""Plain-text documents, exactly as in their files.

In scope: decoding and refusing files. Nothing is stripped or translated, because every mention points
into this text by character offset. Limitations: the encoding is UTF-8, UTF-16 with a byte order
mark, or Western European (cp1252, Latin-1); other legacy encodings are read as one of these when
they happen to decode.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from battery_platform.errors import PlatformError

MAX_BYTES = 5 * 1024 * 1024
"""A paper is some 100 kB of text; a larger file is a corpus or not text at all."""

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "is a PDF", "Export its text first."),
    (b"PK\x03\x04", "is a ZIP archive or an Office document", "Save it as plain text first."),
    (b"\x89PNG", "is a PNG picture", "Take the text of the document, not its picture."),
    (b"\xff\xd8\xff", "is a JPEG picture", "Take the text of the document, not its picture."),
    (b"\xd0\xcf\x11\xe0", "is an old Office document", "Save it as plain text first."),
    (b"\x1f\x8b", "is a gzip archive", "Unpack it first."),
)
_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LAYOUT = frozenset("\t\n\r\f\v")
_CONTROL_SHARE = 0.01
_AS_TEXT = "Save it as plain text in UTF-8."


class NotText(PlatformError):  # noqa: N818 -- it is the file that is no text
    """A file that cannot be read as a document; none of it is used.

    `rule` is one of `not_text`, `empty`, `too_large`.
    """

    def __init__(self, rule: str, says: str, remedy: str = "") -> None:
        super().__init__(says, remedy)
        self.rule = rule


@dataclass(frozen=True)
class Document:
    """The untouched text of one file and the identity of its bytes."""

    document_id: str
    file_name: str
    text: str
    n_characters: int
    content_hash: str
    encoding: str


def read_document(path: Path, max_bytes: int = MAX_BYTES) -> Document:
    """The document in a file; raises `NotText` with the reason and a remedy."""
    size = path.stat().st_size
    if size > max_bytes:
        raise NotText(
            "too_large",
            f"{path.name} has {size / 2**20:.1f} MiB, more than the {max_bytes / 2**20:g} MiB of a document.",
            "Split it into one file per document.",
        )
    data = path.read_bytes()
    text, encoding = _decoded(data, path.name)
    if not text.strip():
        raise NotText("empty", f"{path.name} holds no text.", "Check the export that wrote it.")
    content_hash = blake3(data).hexdigest()
    return Document(
        document_id=f"doc-{content_hash[:16]}",
        file_name=path.name,
        text=text,
        n_characters=len(text),
        content_hash=content_hash,
        encoding=encoding,
    )


def sample_files() -> list[Path]:
    """The fictitious documents that come with the platform."""
    return sorted((Path(__file__).parent / "samples").glob("*.txt"))


def _decoded(data: bytes, name: str) -> tuple[str, str]:
    for magic, what, remedy in _MAGIC:
        if data.startswith(magic):
            raise NotText("not_text", f"{name} {what}.", remedy)
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = _attempt(data[len(mark) :], encoding)
            if text is None or not _sensible(text):
                raise NotText("not_text", f"{name} is no valid {encoding} text.", _AS_TEXT)
            return text, encoding
    if b"\x00" in data:
        raise NotText("not_text", f"{name} holds NUL bytes, so it is no plain text.", _AS_TEXT)
    for encoding in ("utf-8", "cp1252", "latin-1"):
        text = _attempt(data, encoding)
        if text is not None and _sensible(text):
            return text, encoding
    raise NotText("not_text", f"{name} holds many control characters or no letters.", _AS_TEXT)


def _attempt(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _sensible(text: str) -> bool:
    """Whether decoded characters look like text: hardly any control characters and no NUL."""
    controls = sum(1 for mark in text if _is_control(mark))
    return "\x00" not in text and controls <= _CONTROL_SHARE * len(text)


def _is_control(mark: str) -> bool:
    return mark not in _LAYOUT and (mark < " " or "\x7f" <= mark < "\xa0")
