"""Annotated texts: brat's standoff files, MeasEval's tables, and records of properties.

Texts are read untouched and offsets count characters. The text found at an annotation's offsets is
stored beside the text that the annotation claims to cover; the contract demands that they agree.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from battery_platform.records.importers.members import Member, importer, is_list, members
from battery_platform.records.instruments.model import Tidy
from battery_platform.records.reading import refuse

_TEXT = ("document_id", "split", "n_characters", "reference", "file", "text")
_NOTE = [
    "document_id",
    "annotation_id",
    "form",
    "kind",
    "start_offset",
    "end_offset",
    "spans",
    "surface_text",
    "text_at_offset",
    "attributes",
    "unknown_targets",
    "file",
    "line",
]
UNREADABLE = "unreadable"
"""Form given to a line that is no annotation; the contract allows no such form and rejects it."""
PARTS = {"train", "dev", "trial", "test", "eval"}


@dataclass(frozen=True)
class Note:
    """One annotation as its file states it."""

    line: int
    id: str
    form: str
    kind: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    surface: str = ""
    attributes: tuple[tuple[str, object], ...] = ()
    targets: tuple[str, ...] = ()

    def cells(self, document: str, text: str, known: set[str], file: str) -> tuple[str, ...]:
        """The annotation's row, with the text found at its offsets."""
        start, end = (self.spans[0][0], self.spans[-1][1]) if self.spans else ("", "")
        there = " ".join(text[begin:until] for begin, until in self.spans)
        if there != self.surface and self.spans:
            there = f"⟦{there}⟧"  # else white space at its ends, which cells lose, would hide it
        spans = json.dumps([list(span) for span in self.spans]) if self.spans else ""
        unknown = " ".join(dict.fromkeys(target for target in self.targets if target not in known))
        attributes = json.dumps(dict(self.attributes), ensure_ascii=False)
        place = (str(start), str(end), spans, self.surface, there)
        return (
            document,
            self.id,
            self.form,
            self.kind,
            *place,
            attributes,
            unknown,
            file,
            str(self.line),
        )


Parse = Callable[[Member], Iterator[Note]]


# -- texts with standoff annotations ----------------------------------------------------------


def _read(path: Path, ending: str, parse: Parse) -> list[Tidy]:
    """Texts and annotations of a list of files, or of a single text and its annotations."""
    listed = members(path) if is_list(path) else _both(path, ending)
    splits = _named_splits(listed)
    texts: dict[str, str] = {}
    documents = Tidy("corpus_texts", "texts", dict.fromkeys(_TEXT))
    notes = Tidy("corpus_annotations", "annotations", dict.fromkeys(_NOTE))
    for member in listed:
        if not member.name.endswith(".txt") or member.stem in splits.names:
            continue
        if member.stem in texts:
            raise refuse(
                member.path,
                f"two texts are named {member.stem}: their annotations cannot be told apart.",
                "Rename one of both, with its annotations.",
            )
        text = texts[member.stem] = member.text()
        split = splits.of.get(member.stem) or _folder_split(member)
        row = (member.stem, split, str(len(text)), "", member.name, text)
        documents.rows.append((len(documents.rows) + 1, row))
    for member in listed:
        if not member.name.endswith(ending):
            continue
        if member.stem not in texts:
            raise refuse(
                member.path,
                f"{member.name} annotates a text that is not there: {member.stem}.txt.",
                "Hand in the text beside its annotations.",
            )
        annotations = list(parse(member))
        known = {note.id for note in annotations}
        for note in annotations:
            line = len(notes.rows) + 1 if is_list(path) else note.line
            cells = note.cells(member.stem, texts[member.stem], known, member.name)
            notes.rows.append((line, cells))
    if not documents.rows:
        raise refuse(path, "it holds no text.", f"Hand in NAME.txt and NAME{ending}.")
    return [documents, *([notes] if notes.rows else [])]


def _both(path: Path, ending: str) -> list[Member]:
    """A text and its annotations, whichever of the two was named."""
    text, notes = path.with_suffix(".txt"), path.with_suffix(ending)
    if path not in {text, notes}:
        raise refuse(path, f"it ends neither in .txt nor in {ending}.", "Name it accordingly.")
    return [Member(file.name, file) for file in (text, notes) if file == path or file.is_file()]


@dataclass(frozen=True)
class _Splits:
    """The split of each text according to lists of names, and the names of those lists."""

    of: dict[str, str]
    names: set[str]


def _named_splits(listed: list[Member]) -> _Splits:
    lists = {
        member.stem: (match[1], member.text().split())
        for member in listed
        if (match := re.fullmatch(r"(?:.*-)?(\w+)-fnames\.txt", PurePosixPath(member.name).name))
    }
    return _Splits({name: split for split, names in lists.values() for name in names}, set(lists))


def _folder_split(member: Member) -> str:
    first = PurePosixPath(member.name).parts[0]
    return first if first in PARTS else ""


def _lines(member: Member) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(member.text().split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r")


def _unreadable(line: int, text: str) -> Note:
    return Note(line, f"line {line}", UNREADABLE, UNREADABLE, surface=text)


# -- brat -------------------------------------------------------------------------------------

_BRAT_SPAN = re.compile(r"(\S+) (\d+ \d+(?:;\d+ \d+)*)")


def _brat(member: Member) -> Iterator[Note]:
    """Annotations of a standoff file, one per line."""
    for number, line in _lines(member):
        name, _, rest = line.partition("\t")
        parse = _BRAT.get(name[:1])
        yield (parse(number, name, rest) if parse and rest else None) or _unreadable(number, line)


def _brat_span(line: int, name: str, rest: str) -> Note | None:
    """`T1<tab>Material 0 5;7 9<tab>words`: one or more spans, whose texts brat joins by blanks."""
    place, tab, surface = rest.partition("\t")
    match = _BRAT_SPAN.fullmatch(place)
    if match is None or not tab:
        return None
    spans = tuple(
        (int(start), int(end)) for start, end in (span.split() for span in match[2].split(";"))
    )
    return Note(line, name, "span", match[1], spans, surface)


def _brat_relation(line: int, name: str, rest: str) -> Note | None:
    """`R1<tab>Next Arg1:T1 Arg2:T2`."""
    kind, *arguments = rest.split()
    pairs = [argument.partition(":") for argument in arguments]
    if len(pairs) < 2 or not all(colon for _, colon, _ in pairs):
        return None
    roles = tuple((role, target) for role, _, target in pairs)
    return Note(
        line, name, "relation", kind, attributes=roles, targets=tuple(aim for _, aim in roles)
    )


def _brat_event(line: int, name: str, rest: str) -> Note | None:
    """`E1<tab>Operation:T4 Target:T39`; a role may occur more than once."""
    pairs = [argument.partition(":") for argument in rest.split()]
    if not pairs or not all(colon and target for _, colon, target in pairs):
        return None
    (kind, _, trigger), *others = pairs
    event = {"trigger": trigger, "arguments": [[role, target] for role, _, target in others]}
    targets = tuple(target for _, _, target in pairs)
    return Note(line, name, "event", kind, attributes=tuple(event.items()), targets=targets)


def _brat_attribute(line: int, name: str, rest: str) -> Note | None:
    """`A1<tab>Start_Recipe E1`, followed by a value if the attribute has one."""
    words = rest.split(maxsplit=2)
    if len(words) < 2:
        return None
    attributes = {"target": words[1]} | ({"value": words[2]} if len(words) == 3 else {})
    return Note(
        line, name, "attribute", words[0], attributes=tuple(attributes.items()), targets=(words[1],)
    )


def _brat_normalisation(line: int, name: str, rest: str) -> Note | None:
    """`N1<tab>Reference T1 Base:17<tab>words`."""
    head, _, words = rest.partition("\t")
    fields = head.split()
    if len(fields) != 3:
        return None
    attributes = {"target": fields[1], "entry": fields[2], "words": words}
    return Note(
        line,
        name,
        "normalisation",
        fields[0],
        attributes=tuple(attributes.items()),
        targets=(fields[1],),
    )


def _brat_remark(line: int, name: str, rest: str) -> Note | None:
    """`#1<tab>AnnotatorNotes T1<tab>words`."""
    head, _, words = rest.partition("\t")
    fields = head.split()
    if len(fields) != 2:
        return None
    attributes = {"target": fields[1], "words": words}
    return Note(
        line, name, "note", fields[0], attributes=tuple(attributes.items()), targets=(fields[1],)
    )


def _brat_equivalence(line: int, name: str, rest: str) -> Note | None:
    """`*<tab>Equiv T1 T2 T3`; brat does not number these, so the line number names them."""
    kind, *targets = rest.split()
    if len(targets) < 2:
        return None
    attributes = (("targets", targets),)
    return Note(
        line, f"{name}{line}", "equivalence", kind, attributes=attributes, targets=tuple(targets)
    )


_BRAT: dict[str, Callable[[int, str, str], Note | None]] = {
    "T": _brat_span,
    "R": _brat_relation,
    "E": _brat_event,
    "A": _brat_attribute,
    "M": _brat_attribute,
    "N": _brat_normalisation,
    "#": _brat_remark,
    "*": _brat_equivalence,
}


def read_brat(path: Path) -> list[Tidy]:
    """Texts and their .ann files."""
    return _read(path, ".ann", _brat)


BRAT = importer("brat_standoff", "texts with brat's standoff annotations", read_brat)


# -- MeasEval ---------------------------------------------------------------------------------

_MEASEVAL_HEADER = ["docId", "annotSet", "annotType", "startOffset", "endOffset", "annotId"]
_MEASEVAL_HEADER += ["text", "other"]
_LINKS = ("HasQuantity", "HasProperty", "Qualifies")


def _measeval(member: Member) -> Iterator[Note]:
    """Annotations of a table, one per line below its header."""
    lines = _lines(member)
    number, header = next(lines, (1, ""))
    if header.split("\t") != _MEASEVAL_HEADER:
        raise refuse(
            member.path,
            f"line {number} of {member.name} is not the header {', '.join(_MEASEVAL_HEADER)}.",
            "Export the annotations as MeasEval's .tsv.",
        )
    for number, line in lines:
        yield _measeval_line(number, line, member.stem) or _unreadable(number, line)


def _measeval_line(number: int, line: str, document: str) -> Note | None:
    cells = line.split("\t")
    if len(cells) != len(_MEASEVAL_HEADER) or cells[0] != document:
        return None
    _, group, kind, start, end, name, surface, other = cells
    if not (start.isdecimal() and end.isdecimal()):
        return None
    try:
        details = json.loads(other) if other else {}
    except ValueError:
        return None
    if not isinstance(details, dict):
        return None
    targets = tuple(str(details[link]) for link in _LINKS if link in details)
    attributes = tuple({"annotSet": group, **details}.items())
    spans = ((int(start), int(end)),)
    return Note(number, name, "span", kind, spans, surface, attributes, targets)


def read_measeval(path: Path) -> list[Tidy]:
    """Texts and their .tsv files; a text without annotations has no .tsv."""
    return _read(path, ".tsv", _measeval)


MEASEVAL = importer("measeval_tsv", "texts with MeasEval's annotations", read_measeval)


# -- records of properties --------------------------------------------------------------------

_RECORD = ("Property", "Name", "Value", "Unit", "DOI", "Text")


def read_records(path: Path) -> list[Tidy]:
    """Sentences, each with the property that it reports; the source does not say where in it."""
    (member,) = members(path)
    reader = csv.DictReader(io.StringIO(member.text().removeprefix("\ufeff"), newline=""))
    if tuple(reader.fieldnames or ()) != _RECORD:
        raise refuse(
            path,
            f"the header is {reader.fieldnames}, not {', '.join(_RECORD)}.",
            "Export the records with these columns.",
        )
    texts = Tidy("corpus_texts", "texts", dict.fromkeys(_TEXT))
    notes = Tidy("corpus_annotations", "annotations", dict.fromkeys(_NOTE))
    for place, record in enumerate(reader, start=1):
        cells = {name: record[name] or "" for name in _RECORD}
        document = f"{member.stem}-{place:03d}"
        text = cells["Text"].strip()
        row = (document, "", str(len(text)), cells["DOI"].strip(), member.name, text)
        texts.rows.append((place, row))
        attributes = tuple((name.lower(), cells[name]) for name in ("Name", "Value", "Unit"))
        note = Note(reader.line_num, "P1", "record", cells["Property"], attributes=attributes)
        notes.rows.append((place, note.cells(document, text, {"P1"}, member.name)))
    if not texts.rows:
        raise refuse(path, "there is a header but no record below it.", "Export it again.")
    return [texts, notes]


PROPERTY_RECORDS = importer("property_records", "sentences with a property each", read_records)
