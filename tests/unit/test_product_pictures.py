"""A product's picture is drawn for rows that it does not show yet, and stays on the page otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from battery_platform.defs.metadata import newest_picture
from battery_platform.defs.products import Outcome, product_asset
from battery_platform.defs.resources import LakehouseResource

if TYPE_CHECKING:
    import pytest
    from matplotlib.figure import Figure


def test_a_picture_is_drawn_once_for_each_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATTERY_PLATFORM_HOME", str(tmp_path))
    key, drawn, version = dg.AssetKey(["factors", "spread"]), [], "a"

    def draw() -> Figure:
        from matplotlib.figure import Figure

        drawn.append(version)
        return Figure(figsize=(1, 1))

    asset = product_asset(
        key,
        lambda context, lake, config: Outcome(1, version, pictures={"picture": draw}),
        made_by=["battery_platform.made.kept:unless_same"],
        description="",
    )

    def run() -> bool:
        ran = dg.materialize([asset], resources={"lakehouse": LakehouseResource()})
        return "picture" in ran.asset_materializations_for_node("factors__spread")[0].metadata

    assert [run(), run()] == [True, False]
    version = "b"
    assert run()
    version = ""
    assert [run(), run()] == [True, True]  # rows without a version may be others each time
    assert drawn == ["a", "b", "", ""]
    assert newest_picture(key).startswith("![picture]")
