"""The list of raw tables. Light enough to import when a code location is loaded: no Pandera here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from battery_platform.errors import PlatformError

if TYPE_CHECKING:
    from battery_platform.contracts.base import Contract


@dataclass(frozen=True)
class Table:
    """A raw table: its name without `raw_`, its contract and its title."""

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


def table(name: str) -> Table:
    """The table of that name, with or without `raw_`."""
    known = TABLES.get(name.removeprefix("raw_"))
    if known is None:
        raise PlatformError(f"There is no table '{name}'.", f"Tables are: {', '.join(TABLES)}.")
    return known
