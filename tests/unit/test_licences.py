"""Which licences of training rows go together."""

from __future__ import annotations

import pytest

from battery_platform.models.licences import go_together


@pytest.mark.parametrize(
    ("licences", "may"),
    [
        (["CC BY 4.0"], True),
        (["not stated"], True),
        (["CC BY 4.0", "MIT"], True),
        (["CC BY-NC-SA 4.0", "CC BY 4.0"], True),
        (["CC BY-NC-SA 4.0", "CC BY-SA 4.0"], False),
        (["CC BY-SA 4.0", "CC BY-NC 4.0"], False),
        (["CC BY-NC 4.0", "CC0-1.0 (generated)"], True),
        (["CC BY-ND 4.0"], False),
        (["CC BY 4.0", "not stated"], False),
    ],
)
def test_licences_go_together_or_not(licences: list[str], may: bool) -> None:
    together, reason = go_together(licences)
    assert together is may
    assert any(licence in reason for licence in licences) or "state no licence" in reason
