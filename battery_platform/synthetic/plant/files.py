"""The plant's files on disk, each with its mapping beside it, and the list of their faults."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from battery_platform.synthetic.plant.campaigns import CAMPAIGNS, batches_per_campaign
from battery_platform.synthetic.plant.columns import Field
from battery_platform.synthetic.plant.faults import (
    FAULT_KINDS,
    identifiers_referred_to,
    plant_faults,
)
from battery_platform.synthetic.plant.sheets import Fault, Sheet, header_text, sheet_of
from battery_platform.synthetic.plant.simulation import records_of_campaign
from battery_platform.synthetic.writing import write_if_changed

SOURCE_ID = "synthetic_plant"
MISSING_WORDS = ("", "-", "n/a")


def data_bytes(sheet: Sheet) -> bytes:
    dialect = sheet.campaign.dialect
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=dialect.delimiter, lineterminator=dialect.newline)
    writer.writerow(header_text(dialect, sheet.table, f) for f in sheet.fields)
    writer.writerows(sheet.rows)
    out.write(dialect.newline * sheet.blank_lines)
    if dialect.encoding == "utf-16":
        return b"\xff\xfe" + out.getvalue().encode("utf-16-le")
    return out.getvalue().encode(dialect.encoding)


def _flow(value: Any) -> str:
    """A value in YAML's flow style, of which JSON is a part."""
    return json.dumps(value, ensure_ascii=False)


def _section(title: str, entries: Mapping[str, Any]) -> list[str]:
    lines = [f"  {name}: {_flow(value)}" for name, value in entries.items()]
    return [f"{title}:", *lines] if lines else []


def _column_entry(sheet: Sheet, column: Field) -> dict[str, str]:
    dialect = sheet.campaign.dialect
    entry = {"header": header_text(dialect, sheet.table, column)}
    stated = dialect.units.get((sheet.table, column.column))
    return entry | {"unit": stated[0]} if stated else entry


def mapping_bytes(sheet: Sheet) -> bytes:
    dialect = sheet.campaign.dialect
    has_moments = any(sheet.frame[f.column].dtype.kind == "M" for f in sheet.fields)
    names = [f.column for f in sheet.fields]
    constants = {c: v for (table, c), v in dialect.constants.items() if table == sheet.table}
    lines = [
        f"source: {SOURCE_ID}",
        f"table: {sheet.table}",
        "synthetic: true",
        "licence: CC0-1.0 (generated)",
        "citation: battery_platform synthetic plant",
        *(f"{name}: {_flow(getattr(dialect, name))}" for name in dialect.stated),
    ]
    if has_moments and dialect.datetime_format:
        lines.append(f"timezone: {dialect.timezone}")
        lines.append(f"datetime_format: {_flow(dialect.datetime_format)}")
    lines.append(f"missing: {_flow(MISSING_WORDS)}")
    lines += _section("columns", {f.column: _column_entry(sheet, f) for f in sheet.fields})
    lines += _section("constants", constants)
    lines += _section("values", {c: w for c, w in dialect.words.items() if c in names})
    return ("\n".join(lines) + "\n").encode()


def _sheets(batches: int, seed: int) -> list[Sheet]:
    sheets: list[Sheet] = []
    for order, (campaign, count) in enumerate(
        zip(CAMPAIGNS, batches_per_campaign(batches), strict=True)
    ):
        frames = records_of_campaign(campaign, count, np.random.default_rng([seed, order, 0]))
        own = [
            sheet_of(campaign, number, table, frame)
            for number, (table, frame) in enumerate(frames.items(), start=1)
        ]
        referred = identifiers_referred_to(own)
        rng = np.random.default_rng([seed, order, 1])
        for sheet in own:
            plant_faults(sheet, order, referred[sheet.table], rng)
        sheets += own
    return sheets


def mapping_path(data: Path) -> Path:
    """Where the mapping of a data file lies."""
    return data.with_name(data.stem + ".map.yaml")


def write_plant(folder: Path, batches: int = 200, seed: int = 20260101) -> list[Path]:
    """Writes the plant's files, each with its mapping beside it; returns the data files in order.

    Each mapping is written before its data file, and a file whose content would not change is
    left alone.
    """
    sheets = _sheets(batches, seed)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for sheet in sheets:
        path = folder / sheet.file
        write_if_changed(mapping_path(path), mapping_bytes(sheet))
        write_if_changed(path, data_bytes(sheet))
        written.append(path)
    return written


def planted_faults(batches: int = 200, seed: int = 20260101) -> list[Fault]:
    """Every mistake in the files of `write_plant` with the same arguments, by file and line."""
    return sorted(fault for sheet in _sheets(batches, seed) for fault in sheet.faults)


def planted_counts(batches: int = 200, seed: int = 20260101) -> dict[str, int]:
    """How many mistakes of each kind there are."""
    counts = Counter(fault.kind for fault in planted_faults(batches, seed))
    return {kind: counts[kind] for kind in FAULT_KINDS}
