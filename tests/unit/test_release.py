"""Releases: trained only on change, judged, registered, and loadable where the platform is not."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from battery_platform.compute import spread
from battery_platform.errors import PlatformError
from battery_platform.models import gaussian_process, registry, registry_file
from battery_platform.models import release as releases
from battery_platform.models.gate import Decision, _beside_champion
from battery_platform.models.kinds import surrogate
from battery_platform.models.release import release
from battery_platform.models.specification import MODELS
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.store.upkeep import upkeep

MODEL = replace(MODELS["mass-loading"], splits=3, repeats=1)
Marts = Callable[..., pl.DataFrame]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer fits inside each fit: how wide the intervals are is not these tests' business."""
    monkeypatch.setattr(gaussian_process, "INNER_SPLITS", 2)
    monkeypatch.setattr(spread, "WORTH_S", math.inf)  # other processes know nothing of this


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate lets every version through: what it refuses is not these tests' business."""
    monkeypatch.setattr(
        surrogate, "decide", lambda *_: Decision(True, [("gate", True, "it passes")])
    )


class Shelf:
    """A registry in memory: the real one takes seconds for each version."""

    def __init__(self) -> None:
        self.versions = 0
        self.named: dict[str, int] = {}
        self.version_tags: dict[int, dict[str, str]] = {}

    def register(self, *given: Any) -> registry.Registered:
        self.versions += 1
        self.version_tags[self.versions] = dict(given[5])
        return registry.Registered(self.versions, f"run {self.versions}")

    def finish(self, _: object, name: str, version: int, promoted: bool) -> None:
        self.named["champion" if promoted else "challenger"] = version
        self.version_tags[version][registry.JUDGED] = "told"

    def tags(self, *_: object) -> dict[int, dict[str, str]]:
        return self.version_tags

    def lose(self) -> None:
        self.versions, self.named, self.version_tags = 0, {}, {}

    def aliases(self, *_: object) -> dict[str, int]:
        return dict(self.named)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    made = Shelf()
    monkeypatch.setattr(registry, "register", made.register)
    monkeypatch.setattr(registry, "finish", made.finish)
    monkeypatch.setattr(registry, "tags", made.tags)
    monkeypatch.setattr(registry, "aliases", made.aliases)
    monkeypatch.setattr(releases, "code_of", lambda model: "code")
    return made


# -- training sets --------------------------------------------------------------------------


def test_real_and_synthetic_rows_are_never_mixed(lake: Lakehouse, marts: Marts) -> None:
    made = marts(batches=24)
    both = made.with_columns(is_synthetic=pl.col("slurry_id") >= "real-S14")
    marts(batches=24, is_synthetic=both["is_synthetic"])
    training = MODEL.source.read(lake, MODEL)
    assert not training.is_synthetic
    assert set(training.batches) == {f"real-S{number:02d}" for number in range(14)}


def test_synthetic_rows_serve_where_real_ones_are_too_few(lake: Lakehouse, marts: Marts) -> None:
    made = marts(batches=24)
    marts(batches=24, is_synthetic=made["slurry_id"] >= "real-S08")
    training = MODEL.source.read(lake, MODEL)
    assert training.is_synthetic
    assert (len(training), training.n_batches) == (64, 16)
    assert "32 real, too few for a model" in training.left_out_in_words()


@pytest.mark.parametrize("batches", [1, 11])
def test_too_few_rows_are_refused_in_a_sentence(
    lake: Lakehouse, marts: Marts, batches: int
) -> None:
    marts(batches=batches)
    with pytest.raises(PlatformError, match="needs 40 uncalendered electrodes of 12 slurry"):
        release(lake, MODEL)
    assert lake.value("SELECT count(*) FROM model_versions") == 0


def test_rows_that_cannot_serve_are_left_out_and_counted(lake: Lakehouse, marts: Marts) -> None:
    made = marts(batches=16)
    first = pl.int_range(made.height)
    marts(
        batches=16,
        slurry_id=pl.when(first == 0).then(None).otherwise("slurry_id"),
        comma_gap_um=pl.when(first == 1).then(None).otherwise("comma_gap_um"),
        viscosity_pa_s=pl.when(first == 2).then(0.0).otherwise("viscosity_pa_s"),
        calendering_id=pl.when(first == 3).then(pl.lit("K1")).otherwise(None),
        loading_basis=pl.when(first < 8).then(pl.lit("coating")).otherwise("loading_basis"),
    )
    training = MODEL.source.read(lake, MODEL)
    assert (len(training), sum(training.left_out.values())) == (56, 8)
    assert training.left_out["of another material or meaning of the loading"] == 4
    assert training.loading_basis == "active_material"


def test_a_pass_at_zero_compression_is_no_calendering(lake: Lakehouse, marts: Marts) -> None:
    made = marts(calendering_id=pl.lit("K1"), compression_degree_pct=pl.lit(0.0))
    assert len(MODEL.source.read(lake, MODEL)) == made.height


def test_the_digest_sees_every_value_and_no_order(lake: Lakehouse, marts: Marts) -> None:
    marts()
    first = MODEL.source.read(lake, MODEL).digest
    marts()
    assert MODEL.source.read(lake, MODEL).digest == first
    marts(
        comma_gap_um=pl.when(pl.int_range(48) == 5)
        .then(pl.col("comma_gap_um") + 1e-9)
        .otherwise("comma_gap_um")
    )
    assert MODEL.source.read(lake, MODEL).digest != first


def test_what_the_card_says_of_the_rows_is_part_of_the_digest(
    lake: Lakehouse, marts: Marts
) -> None:
    marts()
    training = MODEL.source.read(lake, MODEL)
    others = (
        replace(training, loading_basis="coating"),
        replace(training, active_material="NMC622"),
        replace(training, licence="not for use"),
        replace(training, is_synthetic=True),
    )
    assert all(other.digest != training.digest for other in others)


# -- releases -------------------------------------------------------------------------------


@pytest.mark.usefixtures("passing", "shelf")
def test_the_first_version_is_champion_and_the_second_round_changes_nothing(
    lake: Lakehouse, marts: Marts
) -> None:
    marts()
    first = release(lake, MODEL)
    assert (first.version, first.champion, first.trained) == (1, 1, True)
    assert first.because == "first version"
    snapshot = lake.snapshot()
    second = release(lake, MODEL)
    assert (second.version, second.champion, second.trained) == (1, 1, False)
    assert "nothing changed" in second.because
    assert lake.snapshot() == snapshot


@pytest.mark.usefixtures("passing", "shelf")
def test_a_version_is_trained_again_for_each_kind_of_change(
    lake: Lakehouse, marts: Marts, monkeypatch: pytest.MonkeyPatch
) -> None:
    marts()
    release(lake, MODEL)
    marts(seed=1)
    assert release(lake, MODEL).because == "data changed"
    other = replace(MODEL, seed=1)
    assert release(lake, other).because == "parameters changed"
    monkeypatch.setattr(releases, "code_of", lambda model: "other")
    done = release(lake, other)
    assert (done.because, done.version, done.champion) == ("code changed", 4, 4)


@pytest.mark.usefixtures("passing", "shelf")
def test_a_champion_whose_files_are_gone_is_trained_anew(
    lake: Lakehouse, marts: Marts, monkeypatch: pytest.MonkeyPatch
) -> None:
    marts()
    release(lake, MODEL)
    monkeypatch.setattr(releases, "is_lost", lambda settings, name, version: version == 1)
    done = release(lake, MODEL)
    assert (done.because, done.version, done.champion) == ("the files of version 1 are gone", 2, 2)
    assert not release(lake, MODEL).trained


@pytest.mark.usefixtures("passing", "shelf")
def test_a_version_leads_back_to_lines_and_a_kept_snapshot(lake: Lakehouse, marts: Marts) -> None:
    made = marts()
    before = lake.snapshot()
    release(lake, MODEL)
    rows = lake.records("SELECT * FROM model_training_rows")
    lines = dict(made.select("electrode_id", "row_number").iter_rows())
    assert {row["electrode_id"]: row["line"] for row in rows} == lines
    assert {row["file_name"] for row in rows} == {"sheet.csv"}
    assert lake.rows("SELECT snapshot_id, holder FROM snapshot_pins") == [
        (before, "model mass-loading 1")
    ]
    marts(seed=1)
    upkeep(lake, keep_days=0, orphan_age=timedelta(0))
    kept = lake.ask("SELECT sum(mass_loading_mg_cm2) AS s FROM mart_electrodes", at=before)
    assert kept[0]["s"] == pytest.approx(made["mass_loading_mg_cm2"].sum())


def test_a_refused_version_is_a_challenger_and_the_champion_stays(
    lake: Lakehouse, marts: Marts, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter([True, False])
    monkeypatch.setattr(
        surrogate, "decide", lambda *_: Decision(ok := next(verdicts), [("gate", ok, "so it is")])
    )
    marts()
    release(lake, MODEL)
    marts(seed=1)
    second = release(lake, MODEL)
    assert (second.version, second.champion) == (2, 1)
    assert shelf.named == {"champion": 1, "challenger": 2}
    assert release(lake, MODEL).champion == 1


@pytest.mark.usefixtures("passing", "shelf")
def test_what_the_lake_keeps_is_what_was_judged(lake: Lakehouse, marts: Marts) -> None:
    marts(synthetic=True)
    done = release(lake, MODEL)
    assert [judged.quantity.target for judged in done.judged] == ["mass_loading_mg_cm2"]
    (version,) = lake.records("SELECT * FROM model_versions")
    assert (version["is_synthetic"], version["n_rows"], version["n_groups"]) == (True, 48, 12)
    assert "SYNTHETIC" in version["card"]
    predictions = lake.records("SELECT * FROM model_predictions ORDER BY electrode_id")
    error = np.array([row["predicted"] - row["measured"] for row in predictions])
    rmse = lake.value(
        "SELECT value FROM model_evaluations WHERE metric = 'rmse' AND slice = 'all rows' "
        "AND candidate = 'gaussian process'"
    )
    assert rmse == pytest.approx(np.sqrt((error**2).mean()))
    assert all(row["is_synthetic"] for row in predictions)


@pytest.mark.usefixtures("passing", "shelf")
def test_a_release_that_was_killed_before_its_alias_is_made_good(
    lake: Lakehouse, marts: Marts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    marts()
    with monkeypatch.context() as patch:
        patch.setattr(registry, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            release(lake, MODEL)
    assert release(lake, MODEL).champion is not None


@pytest.mark.usefixtures("passing", "shelf")
def test_a_release_that_was_killed_before_its_pin_is_made_good(
    lake: Lakehouse, marts: Marts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    marts()
    with monkeypatch.context() as patch:
        patch.setattr(releases, "pin", killed)
        with pytest.raises(KeyboardInterrupt):
            release(lake, MODEL)
    release(lake, MODEL)
    assert lake.value("SELECT count(*) FROM snapshot_pins") > 0


@pytest.mark.usefixtures("passing")
def test_a_lost_registry_is_filled_again(lake: Lakehouse, marts: Marts, shelf: Shelf) -> None:
    marts()
    release(lake, MODEL)
    shelf.lose()
    assert release(lake, MODEL).champion is not None


def test_a_fresh_synthetic_lake_does_not_take_the_champion_of_a_shared_registry(
    lake: Lakehouse, marts: Marts, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beside(evaluation: Any, algorithm: str, champion: Any, data_hash: str) -> Decision:
        findings = _beside_champion(1.0, evaluation, champion)
        return Decision(all(passed for _, passed, _ in findings), findings)

    monkeypatch.setattr(surrogate, "decide", beside)
    marts()
    release(lake, MODEL)
    for name in ("model_versions", "model_evaluations"):  # as in a lake that was just made
        lake.write(lambda cursor, name=name: cursor.execute(f"DELETE FROM {name}"))
    marts(synthetic=True)
    release(lake, MODEL)
    assert shelf.named["champion"] == 1


# -- consumers ------------------------------------------------------------------------------


CONSUMER = """
import json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "battery_platform":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.path[:] = [p for p in sys.path if p not in ("", sys.argv[1])]
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[2])
model = mlflow.pyfunc.load_model("models:/mass-loading@champion")
asked = pd.DataFrame(json.loads(sys.argv[3]))
print(model.predict(asked).to_json(orient="records"))
assert "battery_platform" not in sys.modules
"""


@pytest.mark.usefixtures("passing", "registry")
def test_a_consumer_loads_the_champion_where_the_platform_is_not_installed(
    lake: Lakehouse, marts: Marts
) -> None:
    made = marts(synthetic=True)
    release(lake, MODEL)
    asked = made.select(MODEL.inputs).head(2).to_dicts()
    asked.append(asked[0] | {"comma_gap_um": 5000.0})
    asked.append(asked[0] | {"comma_gap_um": None})
    root = str(Path(registry.__file__).parents[2])
    words = (root, lake.settings.registry_url, json.dumps(asked))
    done = subprocess.run(
        [sys.executable, "-I", "-c", CONSUMER, *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *rows, gap = json.loads(done.stdout.splitlines()[-1])
    ours = registry.load(lake.settings, MODEL.name, 1)(pd.DataFrame(asked)).to_dict("records")
    for row, mine, known in zip(rows, ours, (True, True, False), strict=False):
        assert row["mass_loading_mg_cm2"] == pytest.approx(mine["mass_loading_mg_cm2"])
        assert row["mass_loading_sd_mg_cm2"] > 0
        assert row["in_domain"] is known
        assert row["distance"] >= 0
        assert row["synthetic"] is True
    assert gap["mass_loading_mg_cm2"] is None
    assert "comma_gap_um is missing or no number" in gap["note"]
    whole = pd.DataFrame([dict(zip(MODEL.inputs, (95, 65, 3, 150), strict=True))])
    assert len(registry.load(lake.settings, MODEL.name, 1)(whole)) == 1

    assert not registry_file.is_lost(lake.settings, MODEL.name, 1)
    folder = registry_file.folder_of(lake.settings, MODEL.name, 1)
    assert folder is not None
    shutil.rmtree(folder)
    assert registry_file.is_lost(lake.settings, MODEL.name, 1)


@pytest.mark.usefixtures("registry")
def test_a_model_without_a_champion_says_so(lake: Lakehouse) -> None:
    with pytest.raises(PlatformError, match="mass-loading has no champion yet"):
        registry.champion(lake.settings, "mass-loading")


@pytest.mark.usefixtures("registry")
def test_a_version_that_is_not_there_is_refused_in_a_sentence(lake: Lakehouse) -> None:
    with pytest.raises(PlatformError):
        registry.load(lake.settings, "mass-loading", 99)


def test_an_unknown_model_is_refused_with_the_known_names() -> None:
    with pytest.raises(PlatformError, match="Models are: mass-loading, porosity"):
        registry.known("adhesion")
