"""From anything that the platform made back to files and lines, and forward to what would fall."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from battery_platform.electrochemistry.assumptions import digest
from battery_platform.electrochemistry.half_cell.assumptions import HALF_CELL
from battery_platform.errors import PlatformError
from battery_platform.literature.folder import add, place_samples, search, take, watched
from battery_platform.made.products import made_from, put
from battery_platform.made.trace import Trace, trace
from battery_platform.models.specification import RECIPE
from battery_platform.store.lakehouse import Lakehouse

Write = Callable[[str, str | bytes], Path]
Marts = Callable[..., pl.DataFrame]
WHEN = datetime(2026, 1, 2)
TEXT = "The electrode porosity was 35 %. Its thickness was 70 µm."


def version(name: str, number: int, snapshot: int, synthetic: bool) -> dict[str, Any]:
    words = ("algorithm", "target", "decision_reason", "trained_because", "data_hash", "code_hash")
    more = ("parameters_hash", "left_out", "licence", "run_id", "card")
    return dict.fromkeys([*words, *more], "so") | {
        "model_name": name,
        "version": number,
        "registered_at": WHEN,
        "decision": "champion",
        "snapshot_id": snapshot,
        "n_rows": 2,
        "n_groups": 1,
        "active_material": "NMC111",
        "loading_basis": "active_material",
        "is_synthetic": synthetic,
    }


def design(identifier: str, versions: dict[str, int], synthetic: bool) -> dict[str, Any]:
    """Rows of a design, by table."""
    named = {"design_id": identifier}
    quantities = {"mass-loading": "mass_loading_mg_cm2", "porosity": "porosity_pct"}
    return {
        "designs": [
            named
            | {"made_at": WHEN, "probability": 0.8, "residual_correlation": 0.0}
            | {"is_standing": True, "in_domain": True, "distance": 0.1, "note": None}
            | {"candidates": 10, "active_material": "NMC111", "loading_basis": "active_material"}
            | {"snapshot_id": 1, "code_hash": "so", "licence": "CC0", "is_synthetic": synthetic}
        ],
        "design_targets": [
            named
            | {"quantity": quantities[model], "place": place, "wanted": 15.0, "tolerance": 1.5}
            | {"predicted": 15.0, "standard_deviation": 1.0, "probability": 0.9}
            | {"model_name": model, "version": version_number}
            for place, (model, version_number) in enumerate(versions.items(), start=1)
        ],
        "design_variables": [
            named | {"variable": name, "place": place, "value": 60.0}
            for place, name in enumerate(RECIPE, start=1)
        ],
    }


def discharge(identifier: str, synthetic: bool) -> dict[str, Any]:
    return {
        "discharge_id": identifier,
        "made_at": WHEN,
        **{"c_rate": 1.0, "lower_cutoff_v": 3.2, "mass_loading_mg_cm2": 15.0},
        **{"loading_basis": "active_material", "porosity_pct": 50.0, "active_material_pct": 95.0},
        **{"thickness_um": 70.0, "tortuosity_factor": 1.4, "specific_surface_1_um": 0.2},
        **{"electronic_conductivity_s_m": 0.1, "size_shares": "[]", "electrode_mass_mg_cm2": 26.0},
        **{"ended_by": "cut-off voltage", "electrolyte_depleted": False, "failed": False},
        **{"assumptions_hash": digest(HALF_CELL), "code_version": "so"},
        **{"solver": "{}", "solve_s": 0.1, "is_synthetic": synthetic},
    }


@pytest.fixture
def chain(lake: Lakehouse, marts: Marts) -> Lakehouse:
    """Electrodes of a file, two versions, a design of both, its discharge."""
    made = marts(synthetic=True)
    line = dict.fromkeys(("file_id", "file_name", "sheet", "table_name", "source_id"), "")
    line |= {"file_id": "f-sheet", "file_name": "sheet.csv", "table_name": "electrode_sheets"}
    line |= {"source_id": "plant"}
    names = made["electrode_id"].to_list()[:2]
    models = ("mass-loading", "porosity")
    neighbour = made.row(0, named=True)
    put(
        lake,
        {
            "model_versions": [version(name, 1, 5, True) for name in models],
            "model_training_rows": [
                line | {"model_name": name, "version": 1, "electrode_id": one, "line": row}
                for name in models
                for row, one in enumerate(names, start=2)
            ],
            "made_from": [
                parent
                for name in models
                for parent in made_from("model version", f"{name}/1", "electrode", names)
            ],
            **design("design-a", dict.fromkeys(models, 1), True),
            "design_neighbours": [
                {"design_id": "design-a", "rank": 1, "distance": 0.0, "line": 2}
                | {key: neighbour[key] for key in ("electrode_id", "file_name", "is_synthetic")}
            ],
            "design_neighbour_values": [
                {"design_id": "design-a", "rank": 1, "quantity": key, "value": neighbour[key]}
                for key in (*RECIPE, "mass_loading_mg_cm2", "porosity_pct")
            ],
            "discharges": [
                discharge("discharge-a", True),
                discharge("discharge-b", False),
            ],
            "discharge_subjects": [
                {"origin": "designs", "subject": "design-a", "discharge_id": "discharge-a"}
            ],
        },
    )
    row = {"file_id": "f-sheet", "file_name": "sheet.csv", "path": "/lab/sheet.csv", "sheet": ""}
    row |= {"table_name": "electrode_sheets", "source_id": "plant", "licence": "CC0"}
    with lake.cursor() as cursor:
        marks = ", ".join("?" for _ in row)
        cursor.execute(
            f"INSERT INTO raw_files ({', '.join(row)}, is_synthetic) VALUES ({marks}, true)",
            list(row.values()),
        )
    return lake


def named(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["kind"], row["id"]) for row in rows]


def lines(found: Trace) -> list[tuple[str, int]]:
    """Each line once: it may state an electrode and the slurry before it."""
    return list(dict.fromkeys((row["file_name"], row["row_number"]) for row in found.origins))


LEARNT_FROM = {
    *(("electrode", "synthetic-E000"), ("electrode", "synthetic-E001")),
    ("slurry", "synthetic-S00"),
}
"""What both versions were trained on, and the step before."""


def test_a_version_may_be_named_in_three_ways(chain: Lakehouse) -> None:
    words = ("mass-loading/1", "mass-loading:1", "models:/mass-loading/1")
    found = [trace(chain, word) for word in words]
    assert found[0].origins == found[1].origins == found[2].origins


def test_a_version_leads_to_lines_and_to_what_rests_on_it(chain: Lakehouse) -> None:
    found = trace(chain, "mass-loading/1")
    assert found.kind == "model version"
    assert lines(found) == [("sheet.csv", 2), ("sheet.csv", 3)]
    assert set(named(found.upstream)) == {("snapshot", "5"), *LEARNT_FROM}
    assert named(found.downstream) == [("design", "design-a"), ("discharge", "discharge-a")]
    assert found.is_synthetic is True


def test_a_design_leads_to_versions_snapshots_neighbours_and_lines(chain: Lakehouse) -> None:
    found = trace(chain, "design-a")
    assert set(named(found.upstream)) == {
        ("model version", "mass-loading/1"),
        ("model version", "porosity/1"),
        ("snapshot", "1"),
        ("snapshot", "5"),
        ("electrode made nearby", "synthetic-E000"),
        *LEARNT_FROM,
    }
    (nearby,) = (row for row in found.upstream if row["kind"] == "electrode made nearby")
    assert nearby["files"] == "sheet.csv:2"
    assert lines(found) == [("sheet.csv", 2), ("sheet.csv", 3)]
    assert all(row["path"] == "/lab/sheet.csv" for row in found.origins)
    assert named(found.downstream) == [("discharge", "discharge-a")]
    assert found.is_synthetic is True


def test_a_discharge_leads_to_its_design_and_all_below(chain: Lakehouse) -> None:
    found = trace(chain, "discharge-a")
    assert found.kind == "discharge"
    assert ("design", "design-a") in named(found.upstream)
    assert ("assumptions", digest(HALF_CELL)) in named(found.upstream)
    assert ("model version", "porosity/1") in named(found.upstream)
    assert lines(found) == [("sheet.csv", 2), ("sheet.csv", 3)]
    assert found.is_synthetic is True


def test_a_discharge_of_an_electrode_given_by_hand_rests_on_assumptions(chain: Lakehouse) -> None:
    found = trace(chain, "discharge-b")
    assert named(found.upstream) == [("assumptions", digest(HALF_CELL))]
    assert (found.origins, found.is_synthetic) == ([], False)


def test_a_file_leads_to_all_that_would_fall_with_it(chain: Lakehouse) -> None:
    found, *others = (trace(chain, word) for word in ("sheet.csv", "f-sheet", "/lab/sheet.csv"))
    assert all(one.falls == found.falls for one in others)
    assert found.kind == "file"
    assert named(found.falls) == [
        ("model version", "mass-loading/1"),
        ("model version", "porosity/1"),
        ("design", "design-a"),
        ("discharge", "discharge-a"),
    ]
    assert {"mart": "mart_electrodes", "rows": 48} in found.marts


def test_an_electrode_leads_to_its_line_and_to_what_would_fall(chain: Lakehouse) -> None:
    found = trace(chain, "synthetic-E001")
    assert (found.kind, lines(found)) == ("electrode", [("sheet.csv", 3)])
    assert named(found.upstream) == [("slurry", "synthetic-S00")]
    assert ("design", "design-a") in named(found.falls)


def test_an_electrode_that_no_version_learnt_from_makes_nothing_fall(chain: Lakehouse) -> None:
    assert trace(chain, "synthetic-E040").falls == []


def test_a_slurry_leads_to_what_would_fall_with_its_electrodes(chain: Lakehouse) -> None:
    found = trace(chain, "synthetic-S00")
    assert len(found.downstream) == 4
    assert ("model version", "porosity/1") in named(found.falls)


def test_a_recipe_leads_to_its_lines(chain: Lakehouse) -> None:
    found = trace(chain, "synthetic-R000")
    assert (found.kind, lines(found)) == ("recipe", [("sheet.csv", 2), ("sheet.csv", 3)])


@pytest.mark.parametrize("word", ["paper.txt", "id", "path"])
def test_a_document_leads_to_its_mentions(lake: Lakehouse, write: Write, word: str) -> None:
    (reading,) = add(lake, [write("paper.txt", TEXT)])
    path = str(lake.settings.literature_folder / "paper.txt")
    found = trace(lake, {"id": reading.document_id, "path": path}.get(word, word))
    assert found.kind == "document"
    assert [row["path"] for row in found.origins] == [path]
    assert [row["quote"] for row in found.downstream] == ["35 %", "70 µm"]


def test_a_mention_leads_to_its_place(lake: Lakehouse, write: Write) -> None:
    add(lake, [write("paper.txt", TEXT)])
    identifier = lake.value("SELECT mention_id FROM literature_mentions ORDER BY start_offset")
    found = trace(lake, identifier)
    assert found.kind == "mention"
    (row,) = found.downstream
    assert TEXT[row["start_offset"] : row["end_offset"]] == "35 %"


def test_a_mention_that_is_not_there_is_refused(lake: Lakehouse, write: Write) -> None:
    (reading,) = add(lake, [write("paper.txt", TEXT)])
    lake.rows("CREATE TABLE core_provenance (entity_kind VARCHAR, entity_id VARCHAR)")
    with pytest.raises(PlatformError):
        trace(lake, f"{reading.document_id}:1-2:porosity_pct")


def test_a_trace_of_a_synthetic_text_is_labelled(lake: Lakehouse) -> None:
    place_samples(lake.settings)
    take(lake, watched(lake.settings))
    assert trace(lake, search(lake)[0]["document_id"]).is_synthetic is True


UNKNOWN = (
    *("mass-loading/2", "mass-loading/99999999999999999999", "adhesion/1", "design-b"),
    *("discharge-c", "doc-0", "doc-0:1-2:porosity_pct", "none.csv", "E999", ""),
    "'; DROP TABLE designs; --",
)


def test_what_is_not_known_is_refused_in_a_sentence(chain: Lakehouse) -> None:
    for word in UNKNOWN:
        with pytest.raises(PlatformError, match=r"There is no version|Nothing that the last"):
            trace(chain, word)


def test_before_the_first_refresh_it_says_what_to_do(lake: Lakehouse) -> None:
    with pytest.raises(PlatformError, match="Run `battery-platform refresh` first"):
        trace(lake, "E1")


@pytest.mark.parametrize("name", ["line1/12", "batch:7"])
def test_a_record_may_be_called_like_a_version(lake: Lakehouse, marts: Marts, name: str) -> None:
    made = marts()
    marts(
        electrode_id=pl.when(pl.int_range(made.height) == 0)
        .then(pl.lit(name))
        .otherwise("electrode_id")
    )
    assert trace(lake, name).kind == "electrode"
