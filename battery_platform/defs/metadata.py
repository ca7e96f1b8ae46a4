"""Metadata that people read in the UI: tables, schemas, snapshots and pictures."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from battery_platform.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from battery_platform.records.ingest import Report

OUTCOMES = ("placed", "left out", "extra", "unplaced")
OWNERS = ["team:data-platform"]
Draw = Callable[[], "Figure"]
"""A picture that is yet to be drawn: importing what draws it costs a second."""


def markdown_table(rows: Sequence[Mapping[str, Any]], limit: int = 25) -> dg.MarkdownMetadataValue:
    """Rows as a Markdown table."""
    if not rows:
        return dg.MetadataValue.md("*no rows*")
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows[:limit]:
        lines.append("| " + " | ".join(_cell(row[name]) for name in names) + " |")
    if len(rows) > limit:
        lines.append(f"\n*{len(rows) - limit} more*")
    return dg.MetadataValue.md("\n".join(lines))


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")[:160]


def picture(drawn: bytes) -> dg.MarkdownMetadataValue:
    """A picture inside the metadata."""
    return dg.MetadataValue.md(_as_markdown(drawn))


def keep_picture(settings: Settings, key: dg.AssetKey, drawn: bytes, version: str) -> None:
    """Lay the newest picture of an asset where its page finds it, once the code location is loaded anew.

    The version of the rows that it shows is kept beside it.
    """
    path = _picture_path(settings, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(drawn)
    fresh.replace(path)
    _version_path(path).write_text(version, encoding="utf-8")


def picture_shows(settings: Settings, key: dg.AssetKey, version: str) -> bool:
    """Whether the picture that was laid there last is of these very rows; never if they have no version."""
    path = _picture_path(settings, key)
    version_path = _version_path(path)
    return (
        version != ""
        and path.is_file()
        and version_path.is_file()
        and version_path.read_text(encoding="utf-8") == version
    )


def newest_picture(key: dg.AssetKey) -> str:
    """The picture that was laid there last, as Markdown; empty where there is none."""
    path = _picture_path(Settings.from_env(), key)
    return _as_markdown(path.read_bytes()) if path.is_file() else ""


def _picture_path(settings: Settings, key: dg.AssetKey) -> Path:
    return settings.home / "pictures" / f"{'-'.join(key.path)}.png"


def _version_path(picture_path: Path) -> Path:
    return picture_path.with_suffix(".version")


def png(figure: Figure) -> bytes:
    """Few colours are enough for lines and points, and a third of the bytes."""
    from PIL import Image

    stream, small = io.BytesIO(), io.BytesIO()
    figure.savefig(stream, format="png", dpi=72, bbox_inches="tight")
    drawn = Image.open(stream).convert("RGB")
    drawn.quantize(64).save(small, format="png", optimize=True)
    return small.getvalue()


def _as_markdown(content: bytes) -> str:
    return f"![picture](data:image/png;base64,{base64.b64encode(content).decode()})"


def ingest_metadata(reports: Sequence[Report], snapshot: int) -> dict[str, Any]:
    """What a source asset tells after it took its files."""
    rows = [row for report in reports for row in report.rows()]
    total = {
        name: sum(int(row[name]) for row in rows)
        for name in ("rows_in", "accepted", "new", "quarantined")
    }
    fates = [(report.path.name, fate) for report in reports for fate in report.fates]
    outcomes = Counter(fate.outcome for _, fate in fates)
    elsewhere = [{"file": name} | fate.row() for name, fate in fates if fate.outcome != "placed"]
    return {
        "dagster/row_count": total["accepted"],
        "files": len(reports),
        "files_refused": sum(report.status == "refused" for report in reports),
        "rows_in": total["rows_in"],
        "rows_accepted": total["accepted"],
        "rows_quarantined": total["quarantined"],
        "columns_in": len(fates),
        **{f"columns_{name.replace(' ', '_')}": outcomes[name] for name in OUTCOMES},
        "columns_not_placed": markdown_table(elsewhere, limit=200),
        "snapshot": snapshot,
        "files_taken": markdown_table(rows),
    }
