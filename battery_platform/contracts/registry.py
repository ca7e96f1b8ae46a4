"""Which tables there are. Light enough to import at code-location load: no Pandera here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from battery_platform.errors import PlatformError

if TYPE_CHECKING:
    from battery_platform.contracts.base import Contract


@dataclass(frozen=True)
class Table:
    """A raw table: its name without `raw_`, the contract behind it, and what people call it."""

    name: str
    module: str
    model: str
    title: str

    @property
    def raw(self) -> str:
        return f"raw_{self.name}"

    @property
    def contract(self) -> type[Contract]:
        return getattr(import_module(f"battery_platform.contracts.{self.module}"), self.model)  # type: ignore[no-any-return]


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("material_lots", "process", "MaterialLots", "material lots"),
        Table("slurry_batches", "process", "SlurryBatches", "slurry batches"),
        Table("coatings", "process", "Coatings", "coating runs"),
        Table("dryings", "process", "Dryings", "drying passes"),
        Table("calenderings", "process", "Calenderings", "calendering passes"),
        Table("electrodes", "process", "Electrodes", "electrodes"),
        Table("electrode_sheets", "sheets", "ElectrodeSheets", "electrode sheets"),
        Table("condition_means", "sheets", "ConditionMeans", "condition means"),
        Table("mesostructures", "sheets", "Mesostructures", "simulated mesostructures"),
        Table("cells", "cells", "Cells", "cells"),
        Table("formations", "cells", "Formations", "formations"),
        Table("cycling_tests", "cells", "CyclingTests", "cycling tests"),
        Table("test_cycles", "cells", "TestCycles", "cycles"),
        Table("test_points", "cells", "TestPoints", "logged points"),
        Table("cell_cases", "cases", "CellCases", "cells of a campaign, one wide row each"),
        Table("flow_tests", "instruments", "FlowTests", "flow curves"),
        Table("flow_points", "instruments", "FlowPoints", "points of flow curves"),
        Table("line_runs", "instruments", "LineRuns", "runs of a line"),
        Table("line_steps", "instruments", "LineSteps", "steps of a line's runs"),
        Table("line_events", "instruments", "LineEvents", "events of a line"),
        Table("peel_tests", "instruments", "PeelTests", "peel tests"),
        Table("peel_points", "instruments", "PeelPoints", "points of peel tests"),
        Table("slurry_simulations", "public", "SlurrySimulations", "simulated slurries"),
        Table("particle_sizes", "public", "ParticleSizes", "particles of a size list"),
        Table("voxel_volumes", "public", "VoxelVolumes", "segmented volumes"),
        Table("capacity_curves", "public", "CapacityCurves", "capacity curves"),
        Table("cycle_lives", "public", "CycleLives", "cycle lives"),
        Table("corpus_texts", "public", "CorpusTexts", "annotated texts"),
        Table("corpus_annotations", "public", "CorpusAnnotations", "annotations of texts"),
    )
}


@dataclass(frozen=True)
class Product:
    """A table of what the platform made itself: versions, designs, curves, mined text."""

    name: str
    model: str
    title: str

    @property
    def contract(self) -> type[Contract]:
        found: type[Contract] = getattr(
            import_module("battery_platform.contracts.products"), self.model
        )
        return found


PRODUCTS: dict[str, Product] = {
    product.name: product
    for product in (
        Product("model_versions", "ModelVersions", "model versions"),
        Product("model_events", "ModelEvents", "promotions, refusals and rollbacks"),
        Product("model_forecasts", "ModelForecasts", "predictions frozen before the measurement"),
        Product("model_evaluations", "ModelEvaluations", "evaluations of model versions"),
        Product("model_reseeds", "ModelReseeds", "metrics of models over many random splits"),
        Product("model_predictions", "ModelPredictions", "predictions of held-out electrodes"),
        Product("model_training_rows", "ModelTrainingRows", "rows that a model was trained on"),
        Product("critical_factors", "CriticalFactors", "which settings matter, by several methods"),
        Product("designs", "Designs", "recommended recipes"),
        Product("design_neighbours", "DesignNeighbours", "made electrodes nearest to a design"),
        Product("assumptions", "Assumptions", "numbers of the simulations that no data give"),
        Product("discharges", "Discharges", "simulated discharges"),
        Product("discharge_subjects", "DischargeSubjects", "electrodes that were discharged"),
        Product("graded_discharges", "GradedDischarges", "simulated discharges of graded cells"),
        Product("graded_optima", "GradedOptima", "best pairs of profiles of the sweep"),
        Product("replications", "Replications", "published values beside ours"),
        Product("assumption_effects", "AssumptionEffects", "effects of single assumptions"),
        Product("literature_documents", "LiteratureDocuments", "documents of the literature"),
        Product("literature_mentions", "LiteratureMentions", "values mined from text"),
        Product("literature_completeness", "LiteratureCompleteness", "what a document reports"),
    )
}


def table(name: str) -> Table:
    """The table of that name, with or without `raw_`."""
    found = TABLES.get(name.removeprefix("raw_"))
    if found is None:
        raise PlatformError(f"There is no table '{name}'.", f"Tables are: {', '.join(TABLES)}.")
    return found
