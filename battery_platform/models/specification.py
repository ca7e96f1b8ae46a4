"""What each model predicts, from what, and how its inputs enter: the parameters of a version.

Thin: two models of one kind. A further model is a further entry.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

RECIPE = ("active_material_pct", "solid_content_pct", "viscosity_pa_s", "comma_gap_um")


@dataclass(frozen=True)
class Feature:
    """A sum of inputs, or of their logarithms: (input, factor) pairs."""

    name: str
    terms: tuple[tuple[str, float], ...]
    logarithmic: bool = False


@dataclass(frozen=True)
class Specification:
    """A model that is trained every time its data, its code or this specification change."""

    name: str
    target: str
    unit: str
    title: str
    use: str
    inputs: tuple[str, ...] = RECIPE
    features: tuple[Feature, ...] = ()
    splits: int = 10
    repeats: int = 3
    seed: int = 20260101
    smallest_batches: int = 12
    smallest_rows: int = 40

    @property
    def stem(self) -> str:
        """The target without its unit: `mass_loading` of `mass_loading_mg_cm2`."""
        return self.name.replace("-", "_")

    @property
    def outputs(self) -> dict[str, str]:
        unit = self.target.removeprefix(self.stem + "_")
        return {
            "value": self.target,
            "standard_deviation": f"{self.stem}_sd_{unit}",
            "low_90": f"{self.stem}_low_90_{unit}",
            "high_90": f"{self.stem}_high_90_{unit}",
        }

    @property
    def digest(self) -> str:
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


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

MODELS = {
    one.name: one
    for one in (
        Specification(
            "mass-loading",
            "mass_loading_mg_cm2",
            "mg/cm²",
            "Mass loading of an uncalendered electrode",
            "Choosing a recipe and a comma gap before coating; not for calendered electrodes.",
            features=COATING_FEATURES,
        ),
        Specification(
            "porosity",
            "porosity_pct",
            "%",
            "Porosity of an uncalendered electrode",
            "Choosing a recipe before coating; calendering lowers the porosity afterwards.",
            features=COATING_FEATURES,
        ),
    )
}
