"""The tables that the code expects in a lake, cached next to the lake.

Determining them requires importing all contracts, which takes longer than most queries. The cache is
valid only for exactly the files that it was made from.
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
    """Same as `schema.all_tables`, from the cache in `folder` if it is still valid."""
    notes = folder / FILE
    digest = contracts_digest()
    with contextlib.suppress(OSError, ValueError, KeyError):
        remembered = json.loads(notes.read_text(encoding="utf-8"))
        if remembered["digest"] == digest:
            tables: Tables = remembered["tables"]
            return tables
    from battery_platform.store.schema import all_tables

    worked_out = all_tables()
    with contextlib.suppress(OSError):  # a read-only lake can still be opened
        made = notes.with_suffix(f".{digest}")
        made.write_text(json.dumps({"digest": digest, "tables": worked_out}), encoding="utf-8")
        made.replace(notes)
    return worked_out


def contracts_digest() -> str:
    """Hash of the files that define the lake's tables and the rules for their rows."""
    hasher = hashlib.blake2b(digest_size=16)
    for path in [*sorted((PACKAGE / "contracts").rglob("*.py")), PACKAGE / "store" / "schema.py"]:
        hasher.update(path.relative_to(PACKAGE).as_posix().encode())
        hasher.update(path.read_bytes())
    return hasher.hexdigest()
