"""Writing made-up files so that a reader never meets half of one, and only where they change."""

from __future__ import annotations

from pathlib import Path


def write_if_changed(path: Path, content: bytes) -> None:
    """Leave a file that has this content alone; otherwise put a whole new one into its place."""
    if path.is_file() and path.read_bytes() == content:
        return
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
