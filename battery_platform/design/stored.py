"""Designs in the lake: long tables, so that targets may be any quantities and recipes any settings.

Readers get a design as a dictionary whose keys are derived from the rows: for a wanted `porosity_pct`
these are `target_porosity_pct`, `tolerance_porosity_pct`, the predicted `porosity_pct`,
`porosity_sd_pct` and `probability_porosity`; for the model used, `<model>_version`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from battery_platform.design.targets import Target, Wanted
from battery_platform.errors import PlatformError
from battery_platform.made.kept import now
from battery_platform.made.products import Rows, put
from battery_platform.models.specification import unit_of
from battery_platform.store.lakehouse import Lakehouse, sql_name, sql_text, sql_texts

DESIGNS, TARGETS, VARIABLES = "designs", "design_targets", "design_variables"
NEIGHBOURS, NEIGHBOUR_VALUES = "design_neighbours", "design_neighbour_values"
ORDER = {
    DESIGNS: "made_at, design_id",
    TARGETS: "place",
    VARIABLES: "place",
    NEIGHBOURS: "rank",
    NEIGHBOUR_VALUES: "rank, quantity",
}


ELECTRODE = ("mass_loading_mg_cm2", "porosity_pct", "active_material_pct")
"""What must be known about an electrode before it can be discharged."""


def unknown_of_electrode(design: dict[str, Any]) -> list[str]:
    """What a design does not say of its electrode, which then cannot be discharged."""
    return [name for name in ELECTRODE if name not in design]


def flat(rows: Rows) -> dict[str, Any]:
    """A design as a dictionary, from its rows in all five tables."""
    (design,) = rows[DESIGNS]
    targets = rows[TARGETS]
    values: dict[int, dict[str, float | None]] = {}
    for row in rows[NEIGHBOUR_VALUES]:
        values.setdefault(row["rank"], {})[row["quantity"]] = row["value"]
    return {
        **design,
        **{f"target_{row['quantity']}": row["wanted"] for row in targets},
        **{f"tolerance_{row['quantity']}": row["tolerance"] for row in targets},
        **{row["variable"]: row["value"] for row in rows[VARIABLES]},
        **{
            name: value
            for row in targets
            for name, value in zip(
                predicted_names(row["quantity"]),
                (row["predicted"], row["standard_deviation"], row["probability"]),
                strict=True,
            )
        },
        **{version_name(row["model_name"]): row["version"] for row in targets},
        "wanted": [row["quantity"] for row in targets],
        "neighbours": [
            {name: value for name, value in row.items() if name != "design_id"}
            | values.get(row["rank"], {})
            for row in rows[NEIGHBOURS]
        ],
    }


def predicted_names(quantity: str) -> tuple[str, str, str]:
    """Keys of the prediction of a quantity, of its standard deviation and of its probability."""
    unit = unit_of(quantity)
    stem = quantity.removesuffix(unit)
    return quantity, f"{stem}_sd{unit}", f"probability_{stem}"


def version_name(model: str) -> str:
    """Key of the version of a model that was used."""
    return f"{model.replace('-', '_')}_version"


def target_of(design: dict[str, Any]) -> Target:
    """The target of a design."""
    return tuple(
        Wanted(quantity, design[f"target_{quantity}"], design[f"tolerance_{quantity}"])
        for quantity in design["wanted"]
    )


def is_stored(lake: Lakehouse, identifier: str) -> bool:
    """Whether the lake has a design with that identifier."""
    return bool(
        lake.value(f"SELECT count(*) FROM {DESIGNS} WHERE design_id = {sql_text(identifier)}")
    )


def find(lake: Lakehouse, identifier: str) -> dict[str, Any]:
    """A stored design with its neighbours."""
    designs = all_designs(lake, [identifier])
    if not designs:
        raise PlatformError(
            f"There is no design '{identifier}'.",
            "`battery-platform design --target ...` makes one; "
            '`battery-platform sql "select design_id from designs"` lists them.',
        )
    return designs[0]


def all_designs(lake: Lakehouse, identifiers: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """All designs, or those with these identifiers, in the order in which they were made."""
    # literals, as DuckDB imports pandas in order to bind a parameter
    condition = "TRUE" if identifiers is None else f"design_id IN {sql_texts(identifiers)}"
    by_design: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for table, order in ORDER.items():
        for row in lake.records(
            f"SELECT * FROM {sql_name(table)} WHERE {condition} ORDER BY {order}"
        ):
            if table == DESIGNS:
                by_design[row["design_id"]] = {name: [] for name in ORDER}
            if row["design_id"] in by_design:
                by_design[row["design_id"]][table].append(row)
    return [flat(rows) for rows in by_design.values()]


def newest(designs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest design for each target, in the order in which they were made."""
    last: dict[Target, dict[str, Any]] = {}
    for design in sorted(designs, key=lambda design: (design["made_at"], design["design_id"])):
        target = target_of(design)
        last.pop(target, None)
        last[target] = design
    return list(last.values())


def keep(lake: Lakehouse, identifier: str, rows: Rows, is_standing: bool) -> None:
    """Store a new design under its identifier."""
    more = {"made_at": now(), "is_standing": is_standing}
    put(
        lake,
        {
            table: [
                {"design_id": identifier, **row, **(more if table == DESIGNS else {})}
                for row in rows_of_table
            ]
            for table, rows_of_table in rows.items()
        },
    )


def let_rest(lake: Lakehouse, identifier: str) -> None:
    """Stop answering the target of this design automatically."""
    rows = lake.records(f"SELECT * FROM {DESIGNS} WHERE design_id = ?", [identifier])
    put(lake, {DESIGNS: [row | {"is_standing": False} for row in rows]})
