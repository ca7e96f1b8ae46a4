"""The tables that the code expects in a lake, remembered beside it.

To work them out means to import every contract, which costs more than most questions to the lake.
What is remembered is valid for the very files that it was worked out from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
FILE = "expected_tables.json"

Tables = dict[str, dict[str, str]]
"""Columns with their SQL types, by table."""


def expected_tables(folder: Path) -> Tables:
    """As `schema.all_tables`, from the notes in `folder` where they still hold."""
    notes = folder / FILE
    digest = contracts_digest()
    with contextlib.suppress(OSError, ValueError, KeyError):
        remembered = json.loads(notes.read_text(encoding="utf-8"))
        if remembered["digest"] == digest:
            tables: Tables = remembered["tables"]
            return tables
    from battery_platform.store.schema import all_tables

    worked_out = all_tables()
    with contextlib.suppress(OSError):  # a lake that may only be read is opened all the same
        made = notes.with_suffix(f".{digest}")
        made.write_text(json.dumps({"digest": digest, "tables": worked_out}), encoding="utf-8")
        made.replace(notes)
    return worked_out


def contracts_digest() -> str:
    """Hash of the files that say what a lake holds and which rules its rows keep."""
    hasher = hashlib.blake2b(digest_size=16)
    for path in [*sorted((PACKAGE / "contracts").rglob("*.py")), PACKAGE / "store" / "schema.py"]:
        hasher.update(path.relative_to(PACKAGE).as_posix().encode())
        hasher.update(path.read_bytes())
    return hasher.hexdigest()
