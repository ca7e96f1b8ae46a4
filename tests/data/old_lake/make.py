"""Makes the old lake of this folder, with the code of commit 1a973e0: run it in a clone of that commit.

    PYTHONPATH=. python .../tests/data/old_lake/make.py FOLDER

FOLDER gets the lake's home; beside this file go `home.tar.gz` (the home, without what names its makers)
and `expected.json` (what the code of that commit says of it). `PLACE` stands for the home's own folder
wherever the registry has to name it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PLACE = "/old-lake/home"
TEXT = "The electrode porosity was 35 %. Its thickness was 70 µm."
BATCHES = 12
MODELS = ("mass-loading", "porosity")
OTHERS = {
    "mesostructure": ("mesostructures", "M"),
    "cell-outcome": ("cell_cases", "C"),
    "cycle-life": ("cycle_lives", "A"),
    "slurry-density": ("slurry_simulations", "S"),
}
"""Further versions, in the lake alone: model, table of its rows, letter of their names."""


def digest(rows: Iterable[Sequence[Any]]) -> str:
    """The same for the same rows in any order."""
    lines = sorted(json.dumps([str(value) for value in row]) for row in rows)
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=12).hexdigest()


def _sheet(path: Path) -> Path:
    import numpy as np

    random = np.random.default_rng(0)
    names = "electrode_id,coating_id,slurry_id,replicate,active_material,active_material_pct"
    more = "solid_content_pct,viscosity_pa_s,comma_gap_um,mass_loading_mg_cm2,porosity_pct"
    lines = [f"{names},{more}"]
    for batch in range(BATCHES):
        solids, active = random.uniform(55, 75), random.uniform(92, 97)
        viscosity, shift = random.uniform(1, 10), random.normal(0, 0.03)
        for number, gap in enumerate((80, 80, 200, 200)):
            gap_um = gap + 3 * batch
            loading = 0.002 * gap_um * solids * np.exp(shift) + random.normal(0, 0.2)
            porosity = 70 - 0.3 * solids + 0.02 * gap_um + random.normal(0, 0.5)
            lines.append(
                f"E{4 * batch + number:03d},C{(4 * batch + number) // 2:03d},S{batch:02d},"
                f"{number % 2 + 1},NMC111,{active:.3f},{solids:.3f},{viscosity:.3f},{gap_um},"
                f"{loading:.4f},{porosity:.3f}"
            )
    lines.append("E999,C999,S99,1,NMC111,95,65,3,150,15,-7")
    path.write_text("\n".join(lines) + "\n")
    return path


MARTS = {
    "mart_electrodes": """
        SELECT electrode_id, slurry_id, coating_id, 'R' || coating_id AS recipe_id, active_material,
               active_material_pct, solid_content_pct, viscosity_pa_s, comma_gap_um::DOUBLE AS comma_gap_um,
               mass_loading_mg_cm2, porosity_pct, NULL::VARCHAR AS calendering_id,
               NULL::DOUBLE AS compression_degree_pct, 'active_material' AS loading_basis,
               'CC0-1.0' AS licence, source_id, is_synthetic, file_id, $name AS file_name, sheet,
               row_number
        FROM raw_electrode_sheets""",
    "core_links": """
        SELECT 'slurry' AS parent_kind, slurry_id AS parent_id, 'electrode' AS child_kind,
               electrode_id AS child_id, source_id FROM raw_electrode_sheets, (SELECT $name)""",
    "core_provenance": """
        SELECT 'electrode' AS entity_kind, electrode_id AS entity_id, source_id, file_id,
               $name AS file_name, sheet, row_number, 'electrode_sheets' AS table_name, is_synthetic
        FROM raw_electrode_sheets
        UNION ALL
        SELECT 'slurry', slurry_id, any_value(source_id), any_value(file_id), $name,
               any_value(sheet), min(row_number), 'electrode_sheets', bool_or(is_synthetic)
        FROM raw_electrode_sheets GROUP BY slurry_id""",
}


def _other_versions() -> dict[str, list[dict[str, Any]]]:
    from datetime import datetime

    words = ("algorithm", "target", "decision_reason", "trained_because", "data_hash", "code_hash")
    more = ("parameters_hash", "left_out", "licence", "run_id", "card")
    line = {"file_id": "f-other", "sheet": "", "file_name": "other.csv", "source_id": "simulated"}
    versions, rows = [], []
    for name, (table, letter) in OTHERS.items():
        named = {"model_name": name, "version": 1}
        versions.append(
            dict.fromkeys((*words, *more), "so")
            | named
            | {"registered_at": datetime(2026, 1, 2), "decision": "champion", "snapshot_id": 1}
            | {"n_rows": 3, "n_groups": 1, "active_material": None, "loading_basis": None}
            | {"is_synthetic": True}
        )
        rows += [
            named
            | line
            | {"electrode_id": f"{letter}{number}", "table_name": table, "line": number}
            for number in range(2, 5)
        ]
    return {"model_versions": versions, "model_training_rows": rows}


def fill(home: Path) -> dict[str, Any]:
    """Make the lake; returns what its own code says of it."""
    from battery_platform.store.products import put
    from battery_platform.store.provenance import trace

    from battery_platform.design.inverse import design, find
    from battery_platform.design.physics import discharge_designs
    from battery_platform.design.targets import DEFAULT, parse
    from battery_platform.literature.folder import add
    from battery_platform.models import gaussian_process, learning, registry
    from battery_platform.models.gate import Decision
    from battery_platform.models.release import release
    from battery_platform.models.specification import MODELS as SPECIFICATIONS
    from battery_platform.records.ingest import ingest
    from battery_platform.settings import Settings
    from battery_platform.store.builds import data_version, record_build
    from battery_platform.store.lakehouse import Lakehouse
    from battery_platform.store.upkeep import pin

    gaussian_process.INNER_SPLITS = 2
    learning.decide = lambda *_: Decision(True, [("gate", True, "it passes")])
    settings = Settings(home=home, threads=2)
    lake = Lakehouse(settings)
    home.mkdir(parents=True, exist_ok=True)
    report = ingest(lake, _sheet(home / "sheet.csv"))
    with lake.cursor() as cursor:
        for name, query in MARTS.items():
            cursor.execute(f"CREATE TABLE {name} AS {query}", {"name": "sheet.csv"})
    record_build(lake, "data of before", "code of before")
    record_build(lake, data_version(lake), "code of the marts")
    for name in MODELS:
        release(
            lake,
            replace(SPECIFICATIONS[name], splits=3, repeats=1, algorithms=("gaussian process",)),
        )
    put(lake, _other_versions())
    standing, _ = design(lake, parse(DEFAULT))
    once, _ = design(
        lake, parse("mass_loading_mg_cm2=18,porosity_pct=52", "porosity_pct=3"), once=True
    )
    discharges = discharge_designs(lake)
    pin(lake, 3, "release of a text", "kept")
    (home / "paper.txt").write_text(TEXT)
    (reading,) = add(lake, [home / "paper.txt"])
    discharge = discharges[0]["discharge_id"]
    subjects = [f"{name}/1" for name in (*MODELS, *OTHERS)]
    subjects += [standing["design_id"], once["design_id"], discharge, reading.document_id]
    subjects += ["sheet.csv", "E003", "S00", "RC000"]
    tables: dict[str, Any] = {}
    for name in lake.tables():
        if name in ("judged_cycles", "test_features"):
            continue
        kept = lake.records(f"SELECT * FROM {name}")
        columns = sorted(kept[0]) if kept else []
        tables[name] = {
            "rows": len(kept),
            "columns": columns,
            "digest": digest([row[column] for column in columns] for row in kept),
        }
    expected = {
        "snapshot": lake.snapshot(),
        "file_id": report.file_id,
        "discharge_id": discharge,
        "document_id": reading.document_id,
        "tables": tables,
        "designs": [find(lake, each["design_id"]) for each in (standing, once)],
        "versions": {name: sorted(registry.tags(settings, name)) for name in MODELS},
        "aliases": {name: registry.aliases(settings, name) for name in MODELS},
        "pins": lake.rows("SELECT snapshot_id, holder, note FROM snapshot_pins ORDER BY ALL"),
        "build": lake.rows("FROM raw_builds ORDER BY built_at DESC LIMIT 1")[0],
        "traces": {subject: vars(trace(lake, subject)) for subject in subjects},
    }
    lake.close()
    return expected


def clean(home: Path) -> None:
    """Take out who made it and where."""
    for database in (home / "registry" / "registry.sqlite", home / "lake" / "catalogue.sqlite"):
        connection = sqlite3.connect(database, isolation_level=None)
        if database.name == "registry.sqlite":
            for table in ("tags", "logged_model_tags"):
                key = "key" if table == "tags" else "tag_key"
                connection.execute(
                    f"DELETE FROM {table} WHERE {key} LIKE 'mlflow.source.%' OR {key} = 'mlflow.user'"
                )
            connection.execute("UPDATE runs SET user_id = '', source_name = ''")
        rename(connection, str(home), PLACE)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")
        connection.close()
    for path in home.rglob("*"):
        if path.suffix in (".lock", ".sqlite-wal", ".sqlite-shm"):
            path.unlink()
        elif path.is_file() and path.suffix in ("", ".yaml", ".yml", ".json", ".txt"):
            content = path.read_bytes()
            if str(home).encode() in content:
                path.write_bytes(content.replace(str(home).encode(), PLACE.encode()))


def rename(connection: sqlite3.Connection, old: str, new: str) -> None:
    """Another folder in every text of a database."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for _, column, kind, *_ in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
            if "CHAR" in kind.upper() or "TEXT" in kind.upper():
                connection.execute(
                    f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '
                    f'WHERE instr("{column}", ?)',
                    [old, new, old],
                )


def main(folder: Path) -> None:
    """Make in a process of its own, which lets go of all files; clean; pack."""
    home = folder / "home"
    subprocess.run([sys.executable, __file__, str(folder), "fill"], check=True)
    clean(home)
    (home / "sheet.csv").unlink()
    (home / "paper.txt").unlink()

    def nameless(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(HERE / "home.tar.gz", "w:gz") as packed:
        packed.add(home, "home", filter=nameless)


if __name__ == "__main__":
    if sys.argv[2:] == ["fill"]:
        made_in = Path(sys.argv[1]) / "home"
        told = json.dumps(fill(made_in), indent=1, default=str, sort_keys=True)
        (HERE / "expected.json").write_text(told.replace(str(made_in), PLACE) + "\n")
    else:
        main(Path(sys.argv[1]).resolve())
