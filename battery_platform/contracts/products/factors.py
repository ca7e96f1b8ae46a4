"""What matters in a campaign, as several methods see it."""

from __future__ import annotations

from battery_platform.contracts.base import (
    Contract,
    Moment,
    count,
    flag,
    key,
    moment,
    number,
    text,
)
from battery_platform.contracts.products.declaring import product

LARGE = 1e12
FACTOR_ID = "'factor/' || concat_ws('/', campaign, target, method, factor)"


@product(
    "critical_factors",
    "which settings matter, by several methods",
    "factor",
    identifier=FACTOR_ID,
    parents=(f"SELECT {FACTOR_ID}, 'campaign', campaign FROM critical_factors",),
    id_prefix="factor/",
)
class CriticalFactors(Contract):
    """What one method says of one factor of a campaign, and of one target."""

    campaign: str = key("Campaign: electrodes of a source, or generated structures")
    target: str = key("What came of it")
    method: str = key("Method")
    factor: str = key("What was set; of components also the target itself")
    value: float = number(
        "Coefficient, correlation, loading, F or share, as the method has it",
        -LARGE,
        LARGE,
        optional=True,
    )
    low: float = number("Lower end of its 95 % interval", -LARGE, LARGE, optional=True)
    high: float = number("Upper end of its 95 % interval", -LARGE, LARGE, optional=True)
    p: float = number("Probability of such a value by chance", 0, 1, optional=True)
    verdict: str = text("What that means")
    n_rows: int = count("Rows behind it", ge=1)
    n_groups: int = count("Independent groups among them", ge=1)
    is_synthetic: bool = flag("Whether the campaign is synthetic")
    data_hash: str = text("Hash of the campaigns and of the surrogates asked", optional=False)
    code_version: str = text("Hash of the code", optional=False)
    made_at: Moment = moment("When it was found", optional=False)
