"""Identifiers for records whose source does not give any.

They are derived from the source and the recipe, so that replicates share slurry and coating,
and the same record handed in again in a longer file keeps its identifier.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import polars as pl

_SLURRY = (
    "active_material",
    "active_material_pct",
    "conductive_additive_pct",
    "binder_pct",
    "solid_content_pct",
)
_COATING = (
    *_SLURRY,
    "comma_gap_um",
    "coating_speed_m_min",
    "viscosity_pa_s",
    "drying_temperature_degc",
)


@dataclass(frozen=True)
class Derivation:
    """How one identifier follows from other columns of its row."""

    column: str
    mark: str
    parts: tuple[str, ...]
    numbered: bool = False


DERIVATIONS: dict[str, tuple[Derivation, ...]] = {
    "electrode_sheets": (
        Derivation("slurry_id", "S", _SLURRY),
        Derivation("coating_id", "C", ("slurry_id", *_COATING)),
        Derivation("electrode_id", "E", ("coating_id", "compression_degree_pct", "replicate")),
    ),
    "condition_means": (
        Derivation(
            "condition_id",
            "K",
            ("active_material_pct", "solid_content_pct", "viscosity_pa_s", "shear_rate_1_s"),
            numbered=True,
        ),
    ),
    "mesostructures": (
        Derivation(
            "structure_id",
            "M",
            ("calender_gap_um", "active_material_pct", "porosity_uncalendered_pct"),
            numbered=True,
        ),
    ),
}


def derivable(table_name: str) -> set[str]:
    """Columns that a source may leave out because they can be derived."""
    names = {derivation.column for derivation in DERIVATIONS.get(table_name, ())}
    return names | ({"replicate"} if table_name == "electrode_sheets" else set())


def derive(
    frame: pl.DataFrame, table_name: str, source_id: str, absent: set[str], by_content: bool
) -> pl.DataFrame:
    """Fill the identifiers in `absent`; those that the source gives stay as they are.

    With `by_content` a record is named by what it says, not by its source and place: so are
    records of files that nobody gave a source name.
    """
    content = [name for name in frame.columns if name not in {"row_number", *absent}]
    for derivation in DERIVATIONS.get(table_name, ()):
        if derivation.column == "electrode_id" and "replicate" in absent:
            over = ["coating_id", "compression_degree_pct"]
            frame = frame.with_columns(pl.int_range(1, pl.len() + 1).over(over).alias("replicate"))
        if derivation.column not in absent:
            continue
        parts = list(derivation.parts)
        prefix = f"{source_id}-{derivation.mark}"
        final = derivation is DERIVATIONS[table_name][-1]
        if by_content and final:
            parts, prefix = content, f"sheet-{derivation.mark}"
        if derivation.numbered or (by_content and final):
            frame = frame.with_columns(pl.int_range(1, pl.len() + 1).over(parts).alias("_number"))
            parts.append("_number")
        frame = frame.with_columns(_hashed(frame, parts, prefix))
        frame = frame.with_columns(pl.col("_hashed").alias(derivation.column)).drop(
            "_hashed", "_number", strict=False
        )
    return frame


def _hashed(frame: pl.DataFrame, parts: list[str], prefix: str) -> pl.Series:
    def name(row: tuple[object, ...]) -> str:
        text = "\x1f".join("" if value is None else repr(value) for value in row)
        return prefix + hashlib.blake2b(text.encode(), digest_size=5).hexdigest()

    return pl.Series(
        "_hashed", [name(row) for row in frame.select(parts).iter_rows()], dtype=pl.String
    )
