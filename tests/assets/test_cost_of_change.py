"""What a change costs: a product in three files, a kind of training rows and a model in one declaration.

CONTRIBUTING shows the same files as an example. The three files are laid into a copy of the package, so
that the test fails if anything else would have to be touched.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np

from battery_platform.defs.models import model_asset
from battery_platform.defs.resources import LakehouseResource
from battery_platform.models.sources import Source
from battery_platform.models.specification import Feature, Specification
from battery_platform.models.training import Learner, TrainingSet
from battery_platform.settings import PROJECT_ROOT
from battery_platform.store.lakehouse import Lakehouse

CONTRIBUTING = PROJECT_ROOT / "CONTRIBUTING.md"
RUN = """
import json, sys
import dagster as dg
from battery_platform.definitions import build_defs
from battery_platform.defs.resources import LakehouseResource
from battery_platform.made.trace import trace
from battery_platform.store.export import export_marts

defs = build_defs()
key = dg.AssetKey(["factors", "loading_spread"])
resource = LakehouseResource(home=sys.argv[1])
lake = resource.lake()
lake.write(lambda cursor: cursor.execute(
    "CREATE TABLE mart_electrodes AS SELECT * FROM (VALUES ('E1', 'lab', 10.0, false), "
    "('E2', 'lab', 12.0, false)) t(electrode_id, source_id, mass_loading_mg_cm2, is_synthetic)"))
lake.write(lambda cursor: cursor.execute(
    "CREATE TABLE core_provenance AS SELECT 'electrode' AS entity_kind, 'E1' AS entity_id, "
    "'lab' AS source_id, 'f1' AS file_id, 'lab.csv' AS file_name, '' AS sheet, 2 AS row_number, "
    "'electrodes' AS table_name, false AS is_synthetic"))
from battery_platform.defs.spread import ASSETS
results = [dg.materialize(ASSETS, resources={"lakehouse": resource}) for _ in range(2)]
made = [result.asset_materializations_for_node(key.to_python_identifier())[0] for result in results]
export = export_marts(lake)
traced = trace(lake, "spread/lab")
exporting = {key.to_user_string() for key in defs.resolve_asset_graph().get(
    dg.AssetKey(["store", "warehouse_export"])).parent_keys}
print(json.dumps({
    "computed": [event.metadata["computed"].value for event in made],
    "picture": "data:image/png" in str(made[0].metadata["picture"].value),
    "exported": export.rows["loading_spread"],
    "lines": [(row["file_name"], row["row_number"]) for row in traced.origins],
    "upstream": [(row["kind"], row["id"]) for row in traced.upstream],
    "falls": [(row["kind"], row["id"]) for row in trace(lake, "E1").falls],
    "export_waits_for_it": "factors/loading_spread" in exporting,
}))
"""


def example(file: str) -> str:
    """The content that CONTRIBUTING shows for a file."""
    found = re.search(rf"`{re.escape(file)}`\n```python\n(.*?)```", CONTRIBUTING.read_text(), re.S)
    assert found, f"CONTRIBUTING shows no {file}"
    return found[1]


FILES = (
    "battery_platform/contracts/products/spread.py",
    "battery_platform/factors/spread.py",
    "battery_platform/defs/spread.py",
)


def test_a_product_with_asset_picture_export_and_trace_takes_three_files(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(PROJECT_ROOT / "battery_platform", copy / "battery_platform")
    (copy / "dbt").symlink_to(PROJECT_ROOT / "dbt")
    for file in FILES:
        assert not (copy / file).exists()
        (copy / file).write_text(example(file))
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path / "home")],
        capture_output=True,
        text=True,
        check=False,
        cwd=copy,
        env={
            **os.environ,
            "PYTHONPATH": str(copy),
            "BATTERY_PLATFORM_HOME": str(tmp_path / "home"),
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["computed"] == ["first time", "no: nothing that it rests on has changed"]
    assert answer["picture"]
    assert answer["exported"] == 1
    assert answer["upstream"] == [["electrode", "E1"], ["electrode", "E2"]]
    assert answer["lines"] == [["lab.csv", 2]]
    assert answer["falls"] == [["loading spread", "spread/lab"]]
    assert answer["export_waits_for_it"]


# -- a kind of training rows, and a model ------------------------------------------------------


def read_balls(lake: Lakehouse, model: Learner) -> TrainingSet:
    """Balls whose weight goes with their size."""
    random = np.random.default_rng(1)
    size = random.uniform(1, 3, 60)
    return TrainingSet(
        ids=tuple(f"ball-{number:02d}" for number in range(60)),
        inputs=size[:, None],
        target=2 * size**2 + 0.05 * random.standard_normal(60),
        batches=np.array([f"box-{number // 4:02d}" for number in range(60)]),
        is_synthetic=True,
        active_material=None,
        loading_basis=None,
        licence="CC0-1.0",
        sources=("toys",),
        snapshot=lake.snapshot(),
    )


BALLS = Source(
    "balls", "balls", "boxes", "ball", ("raw/electrodes",), read_balls, "> **SYNTHETIC.**"
)
WEIGHT = Specification(
    "ball-weight",
    "weight_g",
    "g",
    "Weight of a ball",
    "Tests.",
    BALLS,
    inputs=("size_cm",),
    features=(Feature("size", (("size_cm", 1.0),)),),
    splits=3,
    repeats=1,
)


def test_a_kind_of_rows_and_a_model_take_one_declaration_each(tmp_path: Path) -> None:
    resource = LakehouseResource(home=str(tmp_path / "home"))
    asset = model_asset(WEIGHT)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], resources={"lakehouse": resource}, instance=instance)
        again = dg.materialize([asset], resources={"lakehouse": resource}, instance=instance)
    assert result.success
    (made,) = result.asset_materializations_for_node("models__ball_weight")
    (kept,) = again.asset_materializations_for_node("models__ball_weight")
    assert (made.metadata["computed"].value, made.metadata["champion"].value) == (
        "first version",
        1,
    )
    assert "nothing" in str(kept.metadata["computed"].value)
    assert asset.dependency_keys == {dg.AssetKey(["raw", "electrodes"])}
    lake = resource.lake()
    assert lake.value(
        "SELECT count(*) FROM made_from WHERE child_id = 'ball-weight/1' AND parent_kind = 'ball'"
    ) == len(set(WEIGHT.source.read(lake, WEIGHT).ids))
    assert replace(WEIGHT, seed=1).digest != WEIGHT.digest
