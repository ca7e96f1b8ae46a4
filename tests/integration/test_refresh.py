"""The whole way from the command line: refresh, again, ask, trace, drop, ingest, time travel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

PROGRAM = str(Path(sys.executable).with_name("battery-platform"))
Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refresh")


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BATTERY_PLATFORM_", "DAGSTER_")) or name.endswith("_MIRROR")
    }
    return {**inherited, "BATTERY_PLATFORM_HOME": str(home), "BATTERY_PLATFORM_SETTLE_SECONDS": "0"}


@pytest.fixture(scope="module")
def call(environment: dict[str, str]) -> Call:
    def run(*words: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [PROGRAM, *words], capture_output=True, text=True, check=False, env=environment
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def ask(call: Call) -> Callable[[str], list[dict[str, Any]]]:
    return lambda query: json.loads(call("sql", query, "--json").stdout)


@pytest.fixture(scope="module")
def refreshed(call: Call, environment: dict[str, str]) -> dict[str, Any]:
    if environment.get("BATTERY_PLATFORM_MIRROR"):
        call("catalogue", "fetch", "cunha2020_nmc111", "duquesnoy2020_mesostructures")
    (row,) = json.loads(call("refresh", "--size", "demo", "--json").stdout)
    return dict(row)


def test_refresh_builds_every_mart(refreshed: dict[str, Any]) -> None:
    assert refreshed["ok"]
    rows = {row["mart"]: row["rows"] for row in refreshed["marts"]}
    assert set(rows) == {
        "mart_batch_quality",
        "mart_cells",
        "mart_completeness",
        "mart_electrodes",
        "mart_flow_curves",
        "mart_line_steps",
        "mart_process_history",
        "mart_quarantine_summary",
        "mart_recipes",
        "mart_tests",
    }
    no_instrument = {"mart_flow_curves", "mart_line_steps"}  # the plant has no files of them
    assert {name for name, number in rows.items() if not number} == no_instrument


def test_the_quarantine_holds_just_the_faults_that_the_plant_planted(
    refreshed: dict[str, Any], ask: Callable[[str], list[dict[str, Any]]]
) -> None:
    from battery_platform.synthetic.plant.files import planted_faults

    planted = {
        (fault.file, fault.line)
        for fault in planted_faults(200, 20260101)
        if fault.kind != "trailing_blank_line"
    }
    held = {
        (row["file_name"], row["row_number"])
        for row in ask(
            "SELECT DISTINCT file_name, row_number FROM quarantine WHERE source_id = 'synthetic_plant'"
        )
    }
    assert held == planted


def test_synthetic_rows_say_so_in_every_mart(
    refreshed: dict[str, Any], ask: Callable[[str], list[dict[str, Any]]]
) -> None:
    of_each = " UNION ALL ".join(
        f"SELECT DISTINCT '{row['mart']}' AS mart, source_id, is_synthetic FROM {row['mart']}"
        for row in refreshed["marts"]
    )
    for row in ask(of_each):
        assert row["is_synthetic"] == row["source_id"].startswith("synthetic_"), row["mart"]


def test_cunha_marts(
    refreshed: dict[str, Any], mirror: Path, ask: Callable[[str], list[dict[str, Any]]]
) -> None:
    where = "WHERE source_id = 'cunha2020_nmc111'"
    assert ask(f"SELECT count(*) AS n FROM mart_electrodes {where}") == [{"n": 656}]
    query = f"SELECT count(*) AS n, sum(n_electrodes)::INT AS e FROM mart_recipes {where}"
    assert ask(query) == [{"n": 82, "e": 656}]


def test_a_second_refresh_changes_nothing(
    refreshed: dict[str, Any], call: Call, ask: Callable[[str], list[dict[str, Any]]]
) -> None:
    state = "SELECT count(*) AS n, sum(hash(electrode_id, mass_loading_mg_cm2))::VARCHAR AS h FROM mart_electrodes"
    before = ask(state)
    (again,) = json.loads(call("refresh", "--json").stdout)
    assert again["ok"]
    assert again["snapshot"] == refreshed["snapshot"]
    assert all(row["this_time"].startswith("kept") for row in again["models"])
    assert ask(state) == before


def test_the_thread_runs_and_says_synthetic_where_it_is(
    refreshed: dict[str, Any], environment: dict[str, str]
) -> None:
    synthetic = not environment.get("BATTERY_PLATFORM_MIRROR")
    decisions = {row["model"]: row["decision"] for row in refreshed["models"]}
    assert {decisions[one] for one in ("mass-loading", "porosity", "half-cell-performance")} == {
        "champion"
    }
    assert "mass-loading-class" in decisions
    assert all("first version" in row["this_time"] for row in refreshed["models"])
    (design,) = refreshed["designs"]
    assert design["specific_energy_wh_kg"] > 100
    simulated = ("half-cell-performance", "graded-energy", "feasibility", "cell-outcome")
    kinds = {**dict.fromkeys(simulated, True), "mesostructure": False}
    assert set(simulated) <= set(decisions)
    for row in refreshed["models"]:
        assert row["is_synthetic"] is kinds.get(row["model"], synthetic)
    assert design["is_synthetic"] is synthetic
    assert all(row["is_synthetic"] for row in refreshed["literature"])


def test_a_recommendation_leads_to_files_and_lines_and_back(
    refreshed: dict[str, Any], call: Call
) -> None:
    (asked,) = json.loads(
        call("design", "--target", "mass_loading_mg_cm2=15,porosity_pct=50", "--json").stdout
    )
    assert asked["design_id"] == refreshed["designs"][0]["design_id"]
    assert len(asked["neighbours"]) == 3
    (found,) = json.loads(call("trace", asked["design_id"], "--json").stdout)
    kinds = [row["kind"] for row in found["upstream"]]
    assert kinds.count("model version") == 2
    assert {"snapshot", "electrode made nearby"} <= set(kinds)
    lines = {(row["file_name"], row["row_number"]) for row in found["origins"]}
    assert {(one["file_name"], one["line"]) for one in asked["neighbours"]} <= lines
    file_name = asked["neighbours"][0]["file_name"]
    (forward,) = json.loads(call("trace", file_name, "--json").stdout)
    falling = {(row["kind"], row["id"]) for row in forward["falls"]}
    assert ("design", asked["design_id"]) in falling
    assert {("model version", "mass-loading/1"), ("model version", "porosity/1")} <= falling
    assert "discharge" in {kind for kind, _ in falling}


def test_trace_goes_back_to_file_and_line_and_forward(
    refreshed: dict[str, Any], call: Call, ask: Callable[[str], list[dict[str, Any]]]
) -> None:
    (cell,) = ask(
        "SELECT cell_id, electrode_id FROM mart_cells WHERE d10_mah_g IS NOT NULL ORDER BY 1 LIMIT 1"
    )
    (found,) = json.loads(call("trace", cell["cell_id"], "--json").stdout)
    kinds = {row["kind"] for row in found["upstream"]}
    assert {"electrode", "coating", "slurry", "material_lot"} <= kinds
    (origin, *_) = found["origins"]
    with Path(origin["path"]).open("rb") as stream:
        line = stream.read().splitlines()[origin["row_number"] - 1]
    assert cell["cell_id"].encode() in line or cell["cell_id"].encode("utf-16-le") in line
    (forward,) = json.loads(call("trace", origin["file_name"], "--json").stdout)
    assert forward["kind"] == "file"
    assert {"cell", "formation", "test"} <= {row["kind"] for row in forward["downstream"]}
    assert "mart_cells" in {row["mart"] for row in forward["marts"]}
    assert "is called 'no-such-thing'" in call("trace", "no-such-thing", fails=True).stderr


def test_export_can_be_read_without_the_lake(refreshed: dict[str, Any], home: Path) -> None:
    with duckdb.connect(str(home / "export" / "warehouse.duckdb"), read_only=True) as plain:
        found = plain.execute("SELECT count(*) FROM mart_electrodes").fetchone()
    rows = {row["mart"]: row["rows"] for row in refreshed["marts"]}
    assert found == (rows["mart_electrodes"],)


def test_a_dropped_file_reaches_the_marts_while_others_ask(
    refreshed: dict[str, Any],
    call: Call,
    home: Path,
    environment: dict[str, str],
    ask: Callable[[str], list[dict[str, Any]]],
) -> None:
    sheet = (
        "Probe;Aktivmaterial (Gew.-%);Feststoffgehalt (%);Rakelspalt (µm);"
        "Schichtdicke (µm);Beladung (mg/cm²);Porosität (%)\n"
        "LAB-1;95,5;62,0;200;80,0;16,9;49,5\n"
        "LAB-2;95,5;62,0;200;-80,0;16,9;49,5\n"
    )
    (home / "drop").mkdir(exist_ok=True)
    (home / "drop" / "probe.csv").write_bytes(sheet.encode("latin-1"))
    running = subprocess.Popen(
        [PROGRAM, "refresh", "--json"], stdout=subprocess.PIPE, text=True, env=environment
    )
    answers = 0
    while running.poll() is None:
        assert ask("SELECT count(*) AS n FROM mart_electrodes")[0]["n"] > 0
        answers += 1
        time.sleep(2.0)
    assert running.returncode == 0
    assert answers >= 3
    (row,) = ask(
        "SELECT source_id, porosity_pct, loading_basis, file_name, row_number FROM mart_electrodes "
        "WHERE electrode_id = 'LAB-1'"
    )
    assert row == {
        "source_id": "probe",
        "porosity_pct": 49.5,
        "loading_basis": "coating",
        "file_name": "probe.csv",
        "row_number": 2,
    }
    shown = json.loads(call("quarantine", "show", "probe.csv", "--json").stdout)
    assert [(one["row_number"], one["field"], one["value"]) for one in shown] == [
        (3, "thickness_um", "-80,0")
    ]
    assert (home / "drop" / "done" / "probe.csv").is_file()


def test_doctor_is_content(refreshed: dict[str, Any], call: Call) -> None:
    rows = json.loads(call("doctor", "--json").stdout)
    assert {row["state"] for row in rows} <= {"ok", "note"}
    assert {"lake", "balance", "dbt manifest", "disk"} <= {row["what"] for row in rows}


def test_wrong_calls_exit_with_2(call: Call, environment: dict[str, str]) -> None:
    for words in (["refresh", "--size", "huge"], ["ingest"], ["no-such-verb"]):
        done = subprocess.run(
            [PROGRAM, *words], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 2, words
        assert "Traceback" not in done.stderr
