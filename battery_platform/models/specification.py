"""What each model predicts, from which inputs, and how they enter: the parameters of a version.

A registered model predicts one or more quantities from the same inputs. Each quantity has its own
specification; the first one lists the others in `also`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Any

from battery_platform.models.cell_cases import CELL_CASES
from battery_platform.models.cell_table import (
    CLASS_OF,
    CLASSES,
    CURVE_CYCLES,
    DESCRIPTORS,
    ENDPOINTS,
    Endpoint,
)
from battery_platform.models.sources import (
    ELECTRODES,
    FADED_CELLS,
    GRADED_CELLS,
    HALF_CELLS,
    LOADED_HALF_CELLS,
    MESOSTRUCTURES,
    SLURRY_SIMULATIONS,
    Source,
)

UNITS = {"_mah_g": "mAh/g", "_pct": "%", "_mv": "mV", "_n_m": "N/m", "_pa_s": "Pa·s"}
ENDINGS = ("_n_m", "_mv", "_mah_g", "_mg_cm2", "_pct", "_wh_kg", "_w_kg", "_g_cm3", "_pa_s")
SLURRY = ("active_material_pct", "solid_content_pct", "viscosity_pa_s")
LEVELS = ("low", "medium", "high")
CLASSIFIERS = (
    "gaussian process",
    "mixture",
    "support vectors",
    "boosted trees",
)
MANY = 3000
"""Rows that are worth the costly algorithms."""
RECIPE = (*SLURRY, "comma_gap_um")


def unit_of(quantity: str) -> str:
    """The unit at the end of a quantity's name: `_mg_cm2` of `mass_loading_mg_cm2`."""
    return next((ending for ending in ENDINGS if quantity.endswith(ending)), "")


@dataclass(frozen=True)
class Feature:
    """A sum of inputs, or of their logarithms: (input, factor) pairs."""

    name: str
    terms: tuple[tuple[str, float], ...]
    logarithmic: bool = False


@dataclass(frozen=True)
class Specification:
    """A quantity that is learnt again whenever its data, its code or this specification changes."""

    name: str
    """Name of the registered model."""
    target: str
    unit: str
    title: str
    use: str
    source: Source
    """The rows of the lake that it learns from."""
    inputs: tuple[str, ...] = RECIPE
    features: tuple[Feature, ...] = ()
    logarithmic: bool = False
    """Whether the logarithm of the target is learnt: it spans decades, or its errors grow with it."""
    bounds: tuple[float, ...] = ()
    """Values of the target that separate neighbouring classes."""
    classes: tuple[str, ...] = ()
    also: tuple[Specification, ...] = ()
    known: tuple[str, ...] = ()
    """Optional inputs: values that may already be known."""
    more_outputs: tuple[tuple[str, str], ...] = ()
    """Further columns of the answer and their types."""
    kind: str = "surrogate"
    """How rows are read and the model evaluated and fitted: `surrogate` or `sparse`."""
    served: str = "surrogate"
    """The file in `models.served` that makes predictions."""
    algorithms: tuple[str, ...] = ("gaussian process",)
    """Candidates beside the baselines; the gate picks one."""
    baselines: tuple[str, ...] = ("mean", "nearest neighbour", "ridge")
    """Predictors that the model must not be worse than."""
    when_many: tuple[str, ...] = ()
    """Further algorithms, tried only where there are many rows."""
    too_slow: tuple[str, ...] = ()
    """Algorithms that are evaluated but never picked, because millions of rows are predicted at once."""
    trend: tuple[str, ...] = ()
    """Features of the power law that takes over in gaps of the data and beyond their range."""
    consistent: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = ()
    """Named sums of inputs, as (input, factor) pairs, that must lie in the range seen in the data."""
    ranges_of: str = ""
    """Input of which whole ranges are also held out, to see how far the model extrapolates."""
    splits: int = 10
    repeats: int = 3
    seed: int = 20260101
    smallest_batches: int = 12
    smallest_rows: int = 40

    @property
    def things(self) -> str:
        """What its rows are called, in the plural."""
        return self.source.things

    @property
    def groups(self) -> str:
        """The groups of rows that are held out as a whole, in the plural."""
        return self.source.groups

    @property
    def quantities(self) -> tuple[Specification, ...]:
        """All quantities of the registered model."""
        return (self, *self.also)

    def candidates(self, rows: int) -> tuple[str, ...]:
        """The algorithms to try on this many rows."""
        return (*self.algorithms, *(self.when_many if rows >= MANY else ()))

    @property
    def stem(self) -> str:
        """The target without its unit: `mass_loading` of `mass_loading_mg_cm2`."""
        return self.target.removesuffix(unit_of(self.target))

    @property
    def outputs(self) -> dict[str, str]:
        unit = unit_of(self.target)
        return {
            "value": self.target,
            "standard_deviation": f"{self.stem}_sd{unit}",
            "low_90": f"{self.stem}_low_90{unit}",
            "high_90": f"{self.stem}_high_90{unit}",
        }

    @property
    def class_outputs(self) -> dict[str, str]:
        """Output columns for the class and each class probability; empty for a model without classes."""
        if not self.classes:
            return {}
        return {"class": f"{self.stem}_class"} | {
            label: f"{self.stem}_probability_{label}" for label in self.classes
        }

    @property
    def loss(self) -> str:
        """The metric by which candidates are compared."""
        return "log_loss" if self.classes else "rmse"

    @property
    def columns(self) -> tuple[str, ...]:
        """All numeric output columns of the registered model, class probabilities apart."""
        return tuple(
            name
            for quantity in self.quantities
            if not quantity.classes
            for name in quantity.outputs.values()
        )

    @property
    def digest(self) -> str:
        text = json.dumps(_plain(self), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    """A specification as plain JSON values; a source is given by name, as its code is hashed separately."""
    if isinstance(value, Source):
        return value.name
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return value


# The film that the gap lets through carries gap x solids x active share: its logarithm is the
# input in which loading is nearly linear. Viscosity acts over decades.
COATING_FEATURES = (
    Feature("active material", (("active_material_pct", 1.0),)),
    Feature("solid content", (("solid_content_pct", 1.0),)),
    Feature("log viscosity", (("viscosity_pa_s", 1.0),), logarithmic=True),
    Feature(
        "log nominal loading",
        (("comma_gap_um", 1.0), ("solid_content_pct", 1.0), ("active_material_pct", 1.0)),
        logarithmic=True,
    ),
)


def _straight(*names: str) -> tuple[Feature, ...]:
    return tuple(Feature(name, ((name, 1.0),)) for name in names)


def _in_decades(*names: str) -> tuple[Feature, ...]:
    return tuple(Feature(f"log {name}", ((name, 1.0),), logarithmic=True) for name in names)


HALF_CELL_INPUTS = (
    "porosity_pct",
    "tortuosity_factor",
    "mass_loading_mg_cm2",
    "specific_surface_1_um",
    "electronic_conductivity_s_m",
    "thickness_um",
)
STRUCTURE_INPUTS = ("calender_gap_um", "active_material_pct", "porosity_uncalendered_pct")
SLURRY_INPUTS = (
    "epsilon_active",
    "sigma_active",
    "epsilon_binder",
    "rho_binder",
    "normal_stiffness",
    "normal_damping",
    "friction",
)
FADE_INPUTS = ("log_variance_100_10", "capacity_cycle_2_ah", "rise_of_capacity_ah")


GRADED_INPUTS = (
    *(f"positive_active_{number}" for number in range(1, 11)),
    *(f"negative_active_{number}" for number in range(1, 11)),
    "positive_mean",
    "negative_mean",
    "positive_thickness_um",
    "c_rate",
)


def _profile_checks(side: str) -> tuple[tuple[str, tuple[tuple[str, float], ...]], ...]:
    """The points must have the stated mean and must not fall towards the collector."""
    points = [f"{side}_active_{number}" for number in range(1, 11)]
    inner = [(name, -1 / 9) for name in points[1:-1]]
    ends = [(points[0], -1 / 18), (points[-1], -1 / 18)]
    return (
        (f"{side}_mean less the mean of its points", ((f"{side}_mean", 1.0), *ends, *inner)),
        *(
            (f"{after} less {before}", ((after, 1.0), (before, -1.0)))
            for before, after in pairwise(points)
        ),
    )


def _half_cell_features() -> tuple[Feature, ...]:
    return (
        *_straight("porosity_pct"),
        *_in_decades(*HALF_CELL_INPUTS[1:]),
        # Salt is short where much charge must pass a long way through few and winding pores.
        Feature(
            "log transport",
            (
                ("mass_loading_mg_cm2", 1.0),
                ("thickness_um", 1.0),
                ("tortuosity_factor", 1.0),
                ("porosity_pct", -1.0),
            ),
            logarithmic=True,
        ),
    )


def _half_cell(target: str, unit: str, **more: Any) -> Specification:
    return Specification(
        "half-cell-performance",
        target,
        unit,
        "Energy and power of an NMC111 electrode against lithium at 1C",
        "Screening electrodes before they are simulated; it stands for the simulation, not for a cell.",
        inputs=HALF_CELL_INPUTS,
        features=_half_cell_features(),
        source=HALF_CELLS,
        ranges_of="mass_loading_mg_cm2",
        splits=5,
        repeats=1,
        **more,
    )


def _structure(target: str, unit: str, **more: Any) -> Specification:
    return Specification(
        "mesostructure",
        target,
        unit,
        "Tortuosities, contacts and wetted surface of a calendered electrode structure",
        "Estimating what calendering does to a generated structure; within the simulated gaps only.",
        inputs=STRUCTURE_INPUTS,
        features=_straight(*STRUCTURE_INPUTS),
        source=MESOSTRUCTURES,
        ranges_of="calender_gap_um",
        repeats=2,
        **more,
    )


def _outcome(endpoint: Endpoint, **more: Any) -> Specification:
    return Specification(
        "cell-outcome",
        endpoint.name,
        UNITS.get(endpoint.unit, ""),
        "What comes of a graphite half cell: viscosity, adhesion, resistance, capacity over its cycles",
        "Choosing what to build next, and which cells to cycle on once adhesion and IR drop are known.",
        inputs=DESCRIPTORS,
        source=CELL_CASES,
        kind="sparse",
        algorithms=("stack",),
        baselines=("mean", "random forest"),
        known=tuple(endpoint.name for endpoint in ENDPOINTS),
        served="cell_outcome",
        logarithmic=endpoint.logarithmic,
        splits=4,
        repeats=1,
        **more,
    )


def _cell_outcome() -> Specification:
    """D30 comes first: the gate judges it, and it decides the class of a cell."""
    first = next(endpoint for endpoint in ENDPOINTS if endpoint.name == CLASS_OF)
    return _outcome(
        first,
        also=tuple(_outcome(endpoint) for endpoint in ENDPOINTS if endpoint is not first),
        more_outputs=(
            ("d30_class", "string"),
            *((f"d30_probability_{label}", "double") for label in CLASSES),
            *(
                (f"capacity_cycle_{cycle}_{column}", "double")
                for cycle in CURVE_CYCLES
                for column in ("mah_g", "sd_mah_g")
            ),
        ),
    )


MODELS = {
    model.name: model
    for model in (
        Specification(
            "mass-loading",
            "mass_loading_mg_cm2",
            "mg/cm²",
            "Mass loading of an uncalendered electrode",
            "Choosing a recipe and a comma gap before coating; not for calendered electrodes.",
            source=ELECTRODES,
            features=COATING_FEATURES,
            algorithms=("gaussian process", "boosted trees"),
            trend=("active material", "solid content", "log nominal loading"),
            ranges_of="comma_gap_um",
        ),
        Specification(
            "porosity",
            "porosity_pct",
            "%",
            "Porosity of an uncalendered electrode",
            "Choosing a recipe before coating; calendering lowers the porosity afterwards.",
            source=ELECTRODES,
            features=COATING_FEATURES,
            algorithms=("gaussian process", "boosted trees"),
            ranges_of="comma_gap_um",
        ),
        Specification(
            "mass-loading-class",
            "mass_loading_mg_cm2",
            "mg/cm²",
            "Low, medium or high mass loading of an uncalendered electrode",
            "Sorting recipes; the bounds are those that the source of the data sets.",
            source=ELECTRODES,
            features=COATING_FEATURES,
            algorithms=CLASSIFIERS,
            bounds=(20.0, 35.0),
            classes=LEVELS,
            repeats=2,
        ),
        Specification(
            "slurry-loading-class",
            "mass_loading_mg_cm2",
            "mg/cm²",
            "Low, medium or high mass loading, from the slurry alone",
            "Sorting slurries before a gap is chosen, as the review's maps do; with the gap known ask "
            "`mass-loading-class`.",
            source=ELECTRODES,
            inputs=SLURRY,
            features=COATING_FEATURES[:3],
            algorithms=CLASSIFIERS,
            bounds=(20.0, 35.0),
            classes=LEVELS,
            repeats=2,
        ),
        Specification(
            "porosity-class",
            "porosity_pct",
            "%",
            "Low, medium or high porosity of an uncalendered electrode",
            "Sorting recipes; the bounds cut the measured electrodes of Cunha into about equal thirds.",
            source=ELECTRODES,
            features=COATING_FEATURES,
            algorithms=CLASSIFIERS,
            bounds=(48.4, 50.0),
            classes=LEVELS,
            repeats=2,
        ),
        _half_cell(
            "specific_energy_wh_kg", "Wh/kg", also=(_half_cell("specific_power_w_kg", "W/kg"),)
        ),
        Specification(
            "feasibility",
            "capacity_mah_g",
            "mAh/g",
            "Whether an NMC111 electrode works at a load: 75 mAh/g of active material or more, half of what "
            "it holds",
            "Leaving out designs before they are simulated or coated; it stands for the simulation, in "
            "which a solver's failure counts as delivering nothing.",
            inputs=(*HALF_CELL_INPUTS, "c_rate"),
            features=(*_half_cell_features(), *_in_decades("c_rate")),
            source=LOADED_HALF_CELLS,
            algorithms=CLASSIFIERS,
            bounds=(75.0,),
            classes=("fails", "works"),
            splits=5,
            repeats=1,
        ),
        Specification(
            "graded-energy",
            "specific_energy_wh_kg",
            "Wh/kg",
            "Specific energy of a graded NMC111-graphite cell from its profiles, thickness and rate",
            "Searching profiles before the best are simulated; it stands for the simulation of paper 002, "
            "not for a cell.",
            inputs=GRADED_INPUTS,
            features=(
                *_straight(*GRADED_INPUTS),
                *_in_decades("positive_thickness_um", "c_rate"),
                # Salt is short where a high rate must be carried a long way.
                Feature(
                    "log transport",
                    (("c_rate", 1.0), ("positive_thickness_um", 2.0)),
                    logarithmic=True,
                ),
            ),
            consistent=(*_profile_checks("positive"), *_profile_checks("negative")),
            source=GRADED_CELLS,
            algorithms=("taught network", "boosted trees"),
            when_many=("network", "wide network", "gaussian process"),
            too_slow=("gaussian process",),
            splits=3,
            repeats=1,
            smallest_rows=400,
        ),
        _structure(
            "active_surface_pct",
            "%",
            also=(
                _structure("tortuosity_liquid", "", logarithmic=True),
                _structure("tortuosity_solid", "", logarithmic=True),
                _structure("collector_active_contact_pct", "%"),
                _structure("collector_binder_contact_pct", "%"),
            ),
        ),
        Specification(
            "slurry-density",
            "slurry_density_g_cm3",
            "g/cm³",
            "Density of a simulated slurry from the parameters of its force field",
            "Calibrating a slurry simulation; it says nothing about a slurry in a mixer.",
            inputs=SLURRY_INPUTS,
            features=_in_decades(*SLURRY_INPUTS),
            source=SLURRY_SIMULATIONS,
            repeats=2,
        ),
        _cell_outcome(),
        Specification(
            "cycle-life",
            "cycle_life",
            "cycles",
            "Cycles until 80 % of the nominal capacity are left, from the first 100",
            "Sorting cells of the same kind and batch early; another batch may be off by a third.",
            inputs=FADE_INPUTS,
            features=_straight(*FADE_INPUTS),
            source=FADED_CELLS,
            algorithms=("gaussian process", "elastic net"),
            logarithmic=True,
        ),
    )
}
