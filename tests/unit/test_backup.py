"""A copy of a home, and a home made of it under another name, with the original gone."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from battery_platform.backup import FORMER_HOMES, MANIFEST, backup, files_of_catalogue, restore
from battery_platform.errors import PlatformError, StoreError
from battery_platform.made.trace import trace
from battery_platform.models import registry as models
from battery_platform.models.specification import MODELS
from battery_platform.records.ingest import ingest
from battery_platform.settings import Settings
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.upkeep import pin

Write = Callable[[str, str | bytes], Path]


def lots(*names: str) -> str:
    rows = "".join(f"{name},binder,PVdF\n" for name in names)
    return "lot_id,material_kind,material_name\n" + rows


@pytest.fixture
def stocked(lake: Lakehouse, settings: Settings) -> Lakehouse:
    """A lake with rows of two snapshots, a pin, and a file that lies below home."""
    drop = settings.drop_folder / "taken"
    drop.mkdir(parents=True)
    (drop / "a.csv").write_text(lots(*(f"A{number}" for number in range(50))))
    first = ingest(lake, drop / "a.csv").snapshot
    assert first is not None
    pin(lake, first, "model mass-loading v1")
    (drop / "b.csv").write_text(lots("B1", "B2", ""))
    ingest(lake, drop / "b.csv")
    with lake.cursor() as cursor:
        cursor.execute(
            """CREATE TABLE core_provenance AS
               SELECT 'lot' AS entity_kind, lot_id AS entity_id, r.source_id, file_id, file_name, sheet,
                      row_number, 'material_lots' AS table_name, r.is_synthetic
               FROM raw_material_lots r JOIN raw_files USING (file_id, sheet)"""
        )
        cursor.execute(
            """CREATE TABLE core_links AS SELECT '' AS parent_kind, '' AS parent_id, '' AS child_kind,
               '' AS child_id, '' AS source_id WHERE false"""
        )
    (settings.home / "export").mkdir()
    (settings.home / "export" / "x.parquet").write_text("made again")
    return lake


def rows_of(lake: Lakehouse) -> dict[str, Any]:
    queries = {
        "now": "SELECT * FROM raw_material_lots ORDER BY lot_id",
        "files": "SELECT * FROM raw_files ORDER BY file_id",
        "held": "SELECT * FROM quarantine ORDER BY ALL",
        "pins": "SELECT * FROM snapshot_pins ORDER BY ALL",
    }
    answers: dict[str, Any] = {name: lake.rows(query) for name, query in queries.items()}
    (pinned,) = {row[0] for row in answers["pins"]}
    answers["then"] = lake.ask("SELECT lot_id FROM raw_material_lots ORDER BY 1", at=pinned)
    return answers | {"snapshot": lake.snapshot(), "trace": trace(lake, "A7")}


def test_a_restored_lake_is_the_same_with_the_original_gone(
    stocked: Lakehouse, settings: Settings, tmp_path: Path, command: Callable[..., Any]
) -> None:
    before, line = rows_of(stocked), json.loads(command("trace", "A7", "--json").out)
    assert line[0]["origins"][0]["line"].startswith("A7,")
    stocked.close()
    copied = backup(settings, tmp_path / "copy")
    assert copied.left_out == []
    assert not any(name.startswith("export/") for name in copied.files)
    shutil.rmtree(settings.home)
    moved = replace(settings, home=tmp_path / "another name" / "home")
    restore(copied.place, moved.home)
    again = Lakehouse(moved)
    assert rows_of(again) == before
    assert balance(again).broken == ()
    new = tmp_path / "c.csv"
    new.write_text(lots("C1"))
    assert ingest(again, new).total("rows_accepted") == 1
    again.close()
    answer = command("trace", "A7", "--json", BATTERY_PLATFORM_HOME=str(moved.home))
    after = json.loads(answer.out)
    after[0]["snapshot"] = line[0]["snapshot"]
    assert after == line
    with sqlite3.connect(moved.home / "lake" / "catalogue.sqlite") as catalogue:
        (place,) = catalogue.execute(
            "SELECT value FROM ducklake_metadata WHERE key = 'data_path'"
        ).fetchone()
    assert place == f"{moved.home}/lake/files/"
    assert json.loads((moved.home / FORMER_HOMES).read_text()) == [str(settings.home)]


def test_a_restored_champion_answers_the_same(
    stocked: Lakehouse, settings: Settings, registry: Path, tmp_path: Path
) -> None:
    """Also as consumers load it, by MLflow alone; and where a home was copied by hand."""
    name = "mass-loading"
    frame = register(settings, name)
    before = models.load(settings, name, 1)(frame)
    stocked.close()
    copied = backup(settings, tmp_path / "copy")
    by_hand = replace(settings, home=tmp_path / "by hand")
    shutil.copytree(settings.home, by_hand.home)
    shutil.rmtree(settings.home)
    pd.testing.assert_frame_equal(models.load(by_hand, name, 1)(frame), before)
    second = backup(by_hand, tmp_path / "second copy")
    shutil.rmtree(by_hand.home)
    for place in (copied.place, second.place):
        moved = replace(settings, home=tmp_path / f"home of {place.name}")
        restore(place, moved.home)
        assert models.champion(moved, name) == 1
        pd.testing.assert_frame_equal(models.load(moved, name, 1)(frame), before)
        with models.connected(moved):
            loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
            pd.testing.assert_frame_equal(loaded.predict(frame), before)


_ANSWERS = """
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Times(PythonModel):
    def load_context(self, context):
        self.factor = float(open(context.artifacts["state"]).read())

    def predict(self, context, model_input, params=None):
        return pd.DataFrame({"answer": model_input.sum(axis=1) * self.factor})


set_model(Times())
"""


def register(settings: Settings, name: str) -> pd.DataFrame:
    """A champion whose answer lies in a file of its own; and what it is asked."""
    code, state = settings.home.parent / "times.py", settings.home.parent / "state.txt"
    code.write_text(_ANSWERS)
    state.write_text("2.5")
    inputs = MODELS[name].inputs
    with models.connected(settings) as client:
        place = settings.registry_artifacts.as_uri()
        mlflow.set_experiment(experiment_id=client.create_experiment("e", artifact_location=place))
        mlflow.pyfunc.log_model(
            name=name,
            python_model=str(code),
            artifacts={"state": str(state)},
            signature=ModelSignature(Schema([ColSpec("double", column) for column in inputs])),
            pip_requirements=["pandas"],
            registered_model_name=name,
        )
        mlflow.end_run()
        client.set_registered_model_alias(name, models.CHAMPION, "1")
    code.unlink()
    state.unlink()
    return pd.DataFrame([{column: float(k) for k, column in enumerate(inputs, start=1)}])


@pytest.mark.parametrize("harm", ["changed", "cut off", "missing", "more", "manifest", "link"])
def test_a_damaged_backup_is_refused_by_the_name_of_its_file(
    stocked: Lakehouse, settings: Settings, tmp_path: Path, harm: str
) -> None:
    stocked.close()
    copied = backup(settings, tmp_path / "copy")
    parquet = next((copied.place / "lake" / "files").rglob("*.parquet"))
    harmed = parquet
    if harm == "changed":
        content = bytearray(parquet.read_bytes())
        content[len(content) // 2] ^= 1
        parquet.write_bytes(content)
    elif harm == "cut off":
        os.truncate(parquet, parquet.stat().st_size - 1)
    elif harm == "missing":
        parquet.unlink()
    elif harm == "more":
        harmed = copied.place / "registry" / "evil.py"
        harmed.parent.mkdir(exist_ok=True)
        harmed.write_text("print()")
    elif harm == "manifest":
        harmed = copied.place / MANIFEST
        harmed.write_text(harmed.read_text().replace("parquet", "pargnet", 1))
    else:
        kept = parquet.with_name("kept")
        parquet.rename(kept)
        parquet.symlink_to(kept)
        kept.rename(tmp_path / "kept")
    with pytest.raises(StoreError, match=r"damaged: .*Nothing was restored") as told:
        restore(copied.place, tmp_path / "new")
    assert str(harmed) in str(told.value)
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".new-*"))


def test_what_stands_is_not_overwritten(
    stocked: Lakehouse, settings: Settings, tmp_path: Path
) -> None:
    stocked.close()
    copied = backup(settings, tmp_path / "copy")
    for attempt, says in (
        (lambda: backup(settings, copied.place), "is there already"),
        (lambda: backup(settings, settings.home / "copy"), "lies in the home itself"),
        (
            lambda: backup(replace(settings, home=tmp_path / "no"), tmp_path / "x"),
            "There is no lake",
        ),
        (lambda: restore(copied.place, settings.home), "holds something already"),
        (lambda: restore(settings.home, tmp_path / "new"), "is no backup"),
    ):
        with pytest.raises(PlatformError, match=says):
            attempt()
    assert not (tmp_path / "no").exists()


def test_a_copy_is_consistent_while_writers_commit(
    stocked: Lakehouse, settings: Settings, tmp_path: Path, write: Write
) -> None:
    stop = threading.Event()
    taken: list[int] = []

    def go_on() -> None:
        while not stop.is_set() and len(taken) < 200:
            number = len(taken)
            path = write(f"w{number}.csv", lots(*(f"W{number}-{k}" for k in range(30))))
            assert ingest(stocked, path).status == "taken"
            taken.append(number)

    writer = threading.Thread(target=go_on)
    writer.start()
    copies = []
    try:
        for number in range(3):
            copies.append(backup(settings, tmp_path / f"copy{number}").place)
    finally:
        stop.set()
        writer.join()
    assert taken
    counts = []
    for number, place in enumerate(copies):
        moved = replace(settings, home=tmp_path / f"home{number}")
        restore(place, moved.home)
        lake = Lakehouse(moved)
        counts.append(balance(lake).rows_in)
        assert balance(lake).broken == ()
        lake.close()
        named = files_of_catalogue(moved.home / "lake" / "catalogue.sqlite")
        assert all((moved.home / "lake" / "files" / name).is_file() for name in named)
    assert counts == sorted(counts)
