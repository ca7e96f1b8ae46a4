"""Recommended recipes: what was wanted, what is to be set, what is expected, and who said so.

Targets and variables are rows, so that a design may have any number of them, of any model.
"""

from __future__ import annotations

from battery_platform.contracts.base import (
    Contract,
    Moment,
    count,
    flag,
    key,
    key_count,
    moment,
    number,
    text,
)
from battery_platform.contracts.products.declaring import product

LARGE = 1e12


@product(
    "designs",
    "recommended recipes",
    "design",
    parents=(
        "SELECT DISTINCT design_id, 'model version', model_name || '/' || version FROM design_targets",
        "SELECT design_id, 'electrode made nearby', electrode_id FROM design_neighbours",
        "SELECT design_id, 'snapshot', snapshot_id::VARCHAR FROM designs",
    ),
    id_prefix="design-",
)
class Designs(Contract):
    """A recipe within the data that best meets its targets."""

    design_id: str = key("Identifier of the design")
    made_at: Moment = moment("When it was made", optional=False)
    probability: float = number("Probability that one electrode meets all targets", 0, 1)
    residual_correlation: float = number(
        "Correlation of the errors of two models", -1, 1, optional=True
    )
    in_domain: bool = flag("Whether all models know recipes like this one")
    distance: float = number("Distance to the nearest recipe of the training data", 0, LARGE)
    note: str = text("What stands against the recipe")
    candidates: int = count("Recipes that were compared", ge=1)
    is_standing: bool = flag("Whether its targets are answered again with each new champion")
    active_material: str = text("Active material")
    loading_basis: str = text("What the mass loading counts", optional=False)
    snapshot_id: int = count("Snapshot of the lake that the made recipes come from")
    code_hash: str = text("Hash of the design code", optional=False)
    licence: str = text("Licences of the data behind it", optional=False)
    is_synthetic: bool = flag("Whether synthetic data stand behind it")


@product("design_targets", "what designs are to meet", "design", is_part=True)
class DesignTargets(Contract):
    """A quantity that is wanted of a design, and what a model expects of it."""

    design_id: str = key("Design")
    quantity: str = key("Quantity, with its unit in the name")
    place: int = count("1 is named first", ge=1)
    wanted: float = number("Wanted value", -LARGE, LARGE)
    tolerance: float = number("Allowed deviation either way", 1e-9, LARGE)
    predicted: float = number("Predicted value", -LARGE, LARGE)
    standard_deviation: float = number("Its standard deviation", 0, LARGE)
    probability: float = number("Probability that this target alone is met", 0, 1)
    model_name: str = text("Model that was asked", optional=False)
    version: int = count("Its version", ge=1)


@product("design_variables", "what designs set", "design", is_part=True)
class DesignVariables(Contract):
    """A setting of the recommended recipe."""

    design_id: str = key("Design")
    variable: str = key("Setting, with its unit in the name")
    place: int = count("1 is named first", ge=1)
    value: float = number("Value", -LARGE, LARGE)


@product("design_neighbours", "made electrodes nearest to a design", "design", is_part=True)
class DesignNeighbours(Contract):
    """An electrode that was really made, near a design."""

    design_id: str = key("Design")
    rank: int = key_count("1 is the nearest")
    electrode_id: str = text("Electrode", optional=False)
    distance: float = number("Distance in the models' scaled inputs", 0, LARGE)
    file_name: str = text("File that states it", optional=False)
    line: int = count("Its line")
    is_synthetic: bool = flag("Whether it is synthetic")


@product(
    "design_neighbour_values", "settings and results of those electrodes", "design", is_part=True
)
class DesignNeighbourValues(Contract):
    """What was set or measured of an electrode near a design."""

    design_id: str = key("Design")
    rank: int = key_count("Rank of the neighbour")
    quantity: str = key("Setting or measured quantity, with its unit in the name")
    value: float = number("Value", -LARGE, LARGE, optional=True)
