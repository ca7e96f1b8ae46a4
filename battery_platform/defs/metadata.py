"""Metadata that people read in the UI: tables, schemas, snapshots and pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from battery_platform.records.ingest import Report

OWNERS = ["team:data-platform"]


def markdown_table(rows: Sequence[dict[str, Any]], limit: int = 25) -> dg.MarkdownMetadataValue:
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


def picture(figure: Figure) -> dg.MarkdownMetadataValue:
    """A figure inside the metadata."""
    import matplotlib.pyplot as plt

    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=80, bbox_inches="tight")
    plt.close(figure)
    text = base64.b64encode(stream.getvalue()).decode()
    return dg.MetadataValue.md(f"![picture](data:image/png;base64,{text})")


def ingest_metadata(reports: Sequence[Report], snapshot: int) -> dict[str, Any]:
    """What a source asset tells after it took its files."""
    rows = [row for report in reports for row in report.rows()]
    total = {
        name: sum(int(row[name]) for row in rows)
        for name in ("rows_in", "accepted", "new", "quarantined")
    }
    return {
        "dagster/row_count": total["accepted"],
        "files": len(reports),
        "files_refused": sum(report.status == "refused" for report in reports),
        "rows_in": total["rows_in"],
        "rows_accepted": total["accepted"],
        "rows_quarantined": total["quarantined"],
        "snapshot": snapshot,
        "files_taken": markdown_table(rows),
    }
