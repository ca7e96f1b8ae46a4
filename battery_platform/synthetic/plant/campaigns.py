"""The plant's campaigns: which line coats what, from when on, and who writes it down."""

from __future__ import annotations

from dataclasses import dataclass

from battery_platform.errors import PlatformError
from battery_platform.synthetic.plant.chemistry import GRAPHITE, NMC, Chemistry
from battery_platform.synthetic.plant.dialects import ENGLISH, FRENCH, GERMAN, Dialect


@dataclass(frozen=True)
class Campaign:
    """Some months of one line."""

    code: str
    name: str
    chemistry: Chemistry
    share: float
    start: str
    active_basis_share: float
    weighed_share: float
    dialect: Dialect


CAMPAIGNS = (
    Campaign("A", "line1_2025a", NMC, 0.35, "2025-01-13", 0.0, 0.7, ENGLISH),
    Campaign("B", "line2_2025b", GRAPHITE, 0.40, "2025-02-10", 0.1, 0.5, GERMAN),
    Campaign("C", "line1_2025c", NMC, 0.25, "2025-08-25", 0.2, 0.3, FRENCH),
)


def batches_per_campaign(batches: int) -> list[int]:
    if batches < len(CAMPAIGNS):
        raise PlatformError(
            f"A plant of {batches} batches cannot be simulated.",
            f"Ask for at least {len(CAMPAIGNS)}: one for each campaign.",
        )
    counts = [max(1, int(batches * campaign.share)) for campaign in CAMPAIGNS]
    counts[1] += batches - sum(counts)
    return counts
