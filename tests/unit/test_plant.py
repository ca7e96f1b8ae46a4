"""The synthetic plant: repeatable, physical, labelled, and wrong exactly where it says so."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from battery_platform.contracts.base import Contract, columns, keys, rules
from battery_platform.contracts.registry import TABLES
from battery_platform.contracts.units import conversion, unit_of
from battery_platform.errors import PlatformError
from battery_platform.sizes import SIZES
from battery_platform.synthetic.cell_cases import write_cell_cases
from battery_platform.synthetic.plant.campaigns import CAMPAIGNS
from battery_platform.synthetic.plant.cell_lab import MAX_CYCLE_ROWS
from battery_platform.synthetic.plant.chemistry import GRAPHITE, NMC
from battery_platform.synthetic.plant.faults import FAULT_KINDS
from battery_platform.synthetic.plant.files import (
    SOURCE_ID,
    mapping_path,
    planted_counts,
    planted_faults,
    write_plant,
)
from battery_platform.synthetic.plant.physics import (
    composite_density,
    rate_penalty,
    slurry_viscosity,
    spring_back,
)


@dataclass
class Handed:
    """A file read by its mapping: numbers in contract units, and the lines that were no numbers."""

    file: str
    table: str
    mapping: dict[str, Any]
    header: list[str]
    frame: pl.DataFrame
    unreadable: set[int]
    blank: set[int]

    @property
    def contract(self) -> type[Contract]:
        return TABLES[self.table].contract


def read_text(path: Path, encoding: str | None) -> str:
    content = path.read_bytes()
    return content.decode(encoding or ("utf-16" if content[:2] == b"\xff\xfe" else "utf-8"))


def as_number(text: str, decimal: str) -> float | None:
    try:
        return float(text.replace(decimal, "."))
    except ValueError:
        return None


def read(path: Path) -> Handed:
    mapping = yaml.safe_load(mapping_path(path).read_text("utf-8"))
    text = read_text(path, mapping.get("encoding"))
    first = text.splitlines()[0]
    delimiter = mapping.get("delimiter") or max(";,\t", key=first.count)
    lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    header, body = lines[0], [line for line in lines[1:] if line]
    blank = {number for number, line in enumerate(lines, start=1) if not line}
    data: dict[str, Any] = {}
    unreadable: set[int] = set()
    for column in columns(TABLES[mapping["table"]].contract):
        if column.name in mapping.get("constants", {}):
            data[column.name] = [mapping["constants"][column.name]] * len(body)
            continue
        if column.name not in mapping["columns"]:
            assert not column.required, f"the plant does not state {column.name}"
            data[column.name] = [None] * len(body)
            continue
        spec = mapping["columns"][column.name]
        position = header.index(spec["header"])
        raw = [None if line[position] in mapping["missing"] else line[position] for line in body]
        if str(column.dtype) in ("Float64", "Int64"):
            decimal = mapping.get("decimal", ".")
            numbers = [None if value is None else as_number(value, decimal) for value in raw]
            unreadable |= {
                i + 2
                for i, (value, n) in enumerate(zip(raw, numbers, strict=True))
                if value and n is None
            }
            unit = spec.get("unit")
            factor = (conversion(unit, column.name) or (np.nan, 0.0))[0] if unit else 1.0
            data[column.name] = [None if n is None else n * factor for n in numbers]
        elif column.dtype == pl.String:
            words = mapping.get("values", {}).get(column.name, {})
            data[column.name] = [words.get(value, value) for value in raw]
        else:
            data[column.name] = moments(raw, mapping)
    types = {column.name: column.dtype for column in columns(TABLES[mapping["table"]].contract)}
    frame = pl.DataFrame(data, strict=False).select(pl.col(n).cast(t) for n, t in types.items())
    return Handed(path.name, mapping["table"], mapping, header, frame, unreadable, blank)


def moments(raw: list[str | None], mapping: dict[str, Any]) -> pl.Series:
    written = pl.Series(raw, dtype=pl.String)
    local = written.str.to_datetime(
        mapping.get("datetime_format", "%Y-%m-%dT%H:%M:%S"), time_unit="us"
    )
    zoned = local.dt.replace_time_zone(mapping.get("timezone", "UTC"))  # raises where ambiguous
    return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> list[Handed]:
    return [read(path) for path in write_plant(tmp_path_factory.mktemp("plant"))]


@lru_cache(maxsize=1)
def faulty_lines() -> dict[str, set[int]]:
    lines: dict[str, set[int]] = {}
    for fault in planted_faults():
        if fault.kind != "trailing_blank_line":
            lines.setdefault(fault.file, set()).add(fault.line)
    return lines


def sound(sheet: Handed) -> pl.DataFrame:
    """The sheet's rows without a planted mistake."""
    lines = faulty_lines().get(sheet.file, set())
    kept = [number not in lines for number in range(2, sheet.frame.height + 2)]
    return sheet.frame.filter(pl.Series(kept, dtype=pl.Boolean))


def table(handed: list[Handed], name: str, start: str = "") -> pl.DataFrame:
    """The sound rows of a table, with the columns that the plant fills."""
    rows = pl.concat(sound(s) for s in handed if s.table == name and s.file.startswith(start))
    return rows.drop(name for name in rows.columns if rows[name].null_count() == rows.height)


def refused_lines(sheet: Handed, known: dict[str, set[str]]) -> set[int]:
    """Lines that the contract, the keys or the references refuse."""
    frame, contract = sheet.frame, sheet.contract
    bad = set(sheet.unreadable)
    for rule in rules(contract):
        verdict = frame.select(rule.ok.fill_null(True).alias("ok"))["ok"]
        bad |= {i + 2 for i in np.flatnonzero(~verdict.to_numpy()).tolist()}
    repeated = frame.select(pl.struct(keys(contract)).is_duplicated().alias("twice"))["twice"]
    bad |= {i + 2 for i in np.flatnonzero(repeated.to_numpy()).tolist()}
    for column in columns(contract):
        if column.refers_to:
            ids = frame[column.name].to_list()
            missing = known[column.refers_to]
            bad |= {i + 2 for i, name in enumerate(ids) if name is not None and name not in missing}
    return bad


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    first = write_plant(tmp_path / "a", 30)
    second = write_plant(tmp_path / "b", 30)
    other = write_plant(tmp_path / "c", 30, seed=2)
    assert len(first) == 30
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert [p.read_bytes() for p in first] != [p.read_bytes() for p in other]
    assert {p.name for p in (tmp_path / "a").iterdir()} == {p.name for p in first} | {
        mapping_path(p).name for p in first
    }


def digest(folder: Path) -> str:
    """One hash of the names and bytes of a folder's files."""
    total = sha256()
    for path in sorted(folder.iterdir()):
        total.update(path.name.encode() + b"\0" + sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


@pytest.mark.parametrize(
    ("size", "expected"),
    [("demo", "973f27276c5c3502"), ("nightly", "1537aeea98f2d399"), ("full", "8d667bbf27e41295")],
)
def test_bytes_of_the_plant_at_each_size_stay_as_they_are(
    tmp_path: Path, size: str, expected: str
) -> None:
    write_plant(tmp_path, SIZES[size].plant_batches)
    assert digest(tmp_path) == expected


def test_bytes_of_the_cell_cases_stay_as_they_are(tmp_path: Path) -> None:
    write_cell_cases(tmp_path)
    assert digest(tmp_path) == "f8602c39358fb2c5"


def test_unchanged_files_are_left_alone(tmp_path: Path) -> None:
    paths = write_plant(tmp_path, 12)
    before = [p.stat().st_mtime_ns for p in paths]
    paths[3].write_bytes(b"spoiled")
    write_plant(tmp_path, 12)
    after = [p.stat().st_mtime_ns for p in paths]
    assert [i for i, (x, y) in enumerate(zip(before, after, strict=True)) if x != y] == [3]
    assert paths[3].read_bytes() != b"spoiled"


def test_too_few_batches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="at least 3"):
        write_plant(tmp_path, 2)
    assert len(write_plant(tmp_path, 3)) == 30


def test_everything_is_labelled_synthetic(handed: list[Handed]) -> None:
    for sheet in handed:
        assert sheet.mapping["source"] == SOURCE_ID
        assert sheet.mapping["synthetic"] is True
        assert "generated" in sheet.mapping["licence"]
        for column in columns(sheet.contract):
            if column.role in ("key", "reference") and column.dtype == pl.String:
                assert sheet.frame[column.name].drop_nulls().str.starts_with("SYN-").all()
        if sheet.table == "material_lots":
            assert sheet.frame["material_name"].str.contains("(synthetic)", literal=True).all()


def test_mappings_name_every_column_of_the_file(handed: list[Handed]) -> None:
    steps = {table.name for table in TABLES.values() if table.module in {"process", "cells"}}
    assert {sheet.table for sheet in handed} == steps - {"test_points"}
    for sheet in handed:
        assert [c["header"] for c in sheet.mapping["columns"].values()] == sheet.header
        for name, spec in sheet.mapping["columns"].items():
            unit = unit_of(name)
            if "unit" in spec:
                assert conversion(spec["unit"], name) is not None
                assert spec["unit"] in spec["header"]
            elif unit:
                assert unit.shown in spec["header"]


def test_dialects_differ(tmp_path: Path) -> None:
    paths = {p.name: p for p in write_plant(tmp_path, 12)}
    assert paths["line1_2025c_06_electrodes.txt"].read_bytes().startswith(b"\xff\xfe")
    german = paths["line2_2025b_03_coatings.csv"].read_bytes().decode("latin-1")
    assert german.startswith("Beschichtung;Ansatz;Rakelspalt (µm);")
    english = paths["line1_2025a_06_electrodes.csv"].read_text("utf-8")
    assert "Coating thickness [µm]" in english


def test_what_the_contracts_refuse_is_what_was_planted(handed: list[Handed]) -> None:
    known: dict[str, set[str]] = {}
    for sheet in handed:
        ids = sheet.frame[keys(sheet.contract)[0]].to_list()
        bad = refused_lines(sheet, known | {sheet.table: set(ids)})
        assert bad == faulty_lines().get(sheet.file, set()), sheet.file
        good = {name for i, name in enumerate(ids, start=2) if i not in bad}
        known.setdefault(sheet.table, set()).update(good)


def test_blank_lines_are_where_they_were_planted(handed: list[Handed]) -> None:
    planted = {(f.file, f.line) for f in planted_faults() if f.kind == "trailing_blank_line"}
    assert planted == {(sheet.file, line) for sheet in handed for line in sheet.blank}


def test_every_kind_of_fault_occurs_at_a_percent_or_two(handed: list[Handed]) -> None:
    counts = planted_counts()
    assert set(counts) == set(FAULT_KINDS)
    assert min(counts.values()) >= 1
    rows = sum(sheet.frame.height for sheet in handed)
    assert 0.01 < (sum(counts.values()) - counts["trailing_blank_line"]) / rows < 0.02
    assert len(set(planted_faults())) == sum(counts.values())
    assert planted_faults(seed=1) != planted_faults()


def test_a_repeated_identifier_has_other_content(handed: list[Handed]) -> None:
    by_file = {sheet.file: sheet for sheet in handed}
    for fault in planted_faults():
        if fault.kind == "duplicate_id":
            frame = by_file[fault.file].frame
            names = keys(by_file[fault.file].contract)
            row = frame[fault.line - 2]
            twins = frame.join(row.select(names), on=names, how="semi")
            assert twins.height == 2
            assert twins.unique().height == 2


def test_loading_follows_from_thickness_porosity_and_density(handed: list[Handed]) -> None:
    electrodes = table(handed, "electrodes").filter(
        (pl.col("loading_basis") == "coating") & pl.col("composite_density_g_cm3").is_not_null()
    )
    implied = (
        0.1
        * electrodes["thickness_um"]
        * (1 - electrodes["porosity_pct"] / 100)
        * electrodes["composite_density_g_cm3"]
    )
    ratio = (electrodes["mass_loading_mg_cm2"] / implied).to_numpy()
    assert electrodes.height > 500
    assert np.abs(ratio - 1).max() < 0.03


def test_replicates_scatter_like_a_plant(handed: list[Handed]) -> None:
    spread = (
        table(handed, "electrodes")
        .filter(pl.col("calendering_id").is_null(), pl.col("loading_basis") == "coating")
        .group_by("coating_id")
        .agg(
            (pl.col("mass_loading_mg_cm2").std() / pl.col("mass_loading_mg_cm2").mean()).pow(2),
            pl.col("porosity_pct").std().pow(2),
        )
        .select(pl.col("mass_loading_mg_cm2", "porosity_pct").mean().sqrt())
    )
    assert spread["mass_loading_mg_cm2"].item() == pytest.approx(0.02, abs=0.004)
    assert spread["porosity_pct"].item() == pytest.approx(0.6, abs=0.12)


def chain(handed: list[Handed], start: str) -> pl.DataFrame:
    return (
        table(handed, "electrodes", start)
        .join(table(handed, "coatings", start), on="coating_id")
        .join(table(handed, "dryings", start), on="coating_id")
        .join(table(handed, "slurry_batches", start), on="slurry_id")
    )


@pytest.mark.parametrize("start", [campaign.name for campaign in CAMPAIGNS])
def test_settings_move_electrodes_the_right_way(handed: list[Handed], start: str) -> None:
    every = chain(handed, start)
    raw = every.filter(pl.col("calendering_id").is_null(), pl.col("loading_basis") == "coating")

    def slopes(target: str) -> dict[str, float]:
        used = ["comma_gap_um", "solid_content_pct", "drying_temperature_degc", "binder_pct"]
        kept = raw.drop_nulls([*used, target])
        inputs = np.column_stack([np.ones(kept.height), kept.select(used).to_numpy()])
        coefficients = np.linalg.lstsq(inputs, np.log(kept[target].to_numpy()), rcond=None)[0]
        return dict(zip(used, coefficients[1:].tolist(), strict=True))

    assert slopes("mass_loading_mg_cm2")["comma_gap_um"] > 0
    assert slopes("mass_loading_mg_cm2")["solid_content_pct"] > 0
    assert slopes("thickness_um")["solid_content_pct"] > 0
    assert slopes("adhesion_n_m")["drying_temperature_degc"] < 0
    assert slopes("adhesion_n_m")["binder_pct"] > 0
    pressed = every.filter(pl.col("calendering_id").is_not_null())
    assert pressed["porosity_pct"].mean() < raw["porosity_pct"].mean() - 8  # type: ignore[operator]
    assert pressed["porosity_pct"].quantile(0.05) > 22  # type: ignore[operator]


def test_physics_of_the_single_steps() -> None:
    solids = np.array([45.0, 50.0, 55.0, 57.0])
    density, additive, shear = np.full(4, 2.15), np.full(4, 2.5), np.full(4, 10.0)
    thick = slurry_viscosity(GRAPHITE, solids, density, additive, shear)
    assert (np.diff(np.log(thick)) > 0).all()
    assert thick[-1] / thick[0] > 3
    assert (slurry_viscosity(GRAPHITE, solids, density, additive, shear * 10) < thick).all()
    pressed = np.array([0.2, 0.3, 0.4, 0.5])
    back = spring_back(pressed, np.full(4, 25.0))
    assert np.allclose(back, [0.04, 0.055, 0.07, 0.105], atol=0.008)
    assert (spring_back(pressed, np.full(4, 90.0)) < back).all()
    rates, film = np.array([0.1, 0.5, 2.0]), np.full(3, 80.0)
    left = rate_penalty(NMC, rates, film, np.full(3, 0.4))
    assert (np.diff(left) < 0).all()
    assert (rate_penalty(NMC, rates, 2 * film, np.full(3, 0.4)) < left).all()
    pure = composite_density(NMC, np.array([100.0]), np.zeros(1), np.zeros(1))
    assert pure[0] == pytest.approx(NMC.density("active_material"))


def test_cells_tell_of_their_electrodes(handed: list[Handed]) -> None:
    cells = table(handed, "cells", "line2").join(
        table(handed, "electrodes", "line2"), on="electrode_id"
    )
    known = cells.join(table(handed, "formations", "line2"), on="cell_id").drop_nulls(
        ["adhesion_n_m", "ir_drop_mv"]
    )
    adhesion, drop = (np.log(known[c].to_numpy()) for c in ("adhesion_n_m", "ir_drop_mv"))
    assert np.corrcoef(adhesion, drop)[0, 1] < -0.8
    cycles = table(handed, "test_cycles", "line2").filter(pl.col("cycle") == 30)
    tests = table(handed, "cycling_tests", "line2")
    late = cycles.join(tests, on="test_id").join(cells, on="cell_id")
    late = late.drop_nulls(["specific_capacity_mah_g", "discharge_rate_c"])
    late = late.filter(pl.col("discharge_rate_c") == 0.5)
    thin, thick = late.filter(pl.col("thickness_um") < 40), late.filter(pl.col("thickness_um") > 75)
    assert min(thin.height, thick.height) >= 3
    assert thin["specific_capacity_mah_g"].mean() > 200  # type: ignore[operator]
    assert thick["specific_capacity_mah_g"].mean() < 150  # type: ignore[operator]


def test_the_gap_drifts_until_it_is_set_anew(handed: list[Handed]) -> None:
    correlations = []
    for campaign in CAMPAIGNS:
        runs = table(handed, "coatings", campaign.name).drop_nulls()
        runs = runs.filter(pl.col("comma_gap_um") <= 160)
        days = (runs["coated_at"] - datetime.fromisoformat(campaign.start)).dt.total_hours() / 24
        film = runs["wet_thickness_um"] / runs["comma_gap_um"]
        correlations.append(np.corrcoef((days % 42).to_numpy(), film.to_numpy())[0, 1])
    assert np.mean(correlations) > 0.25


def test_cycles_are_long_and_few_enough(handed: list[Handed]) -> None:
    cycles = table(handed, "test_cycles")
    assert 5000 < cycles.height < MAX_CYCLE_ROWS
    assert cycles.group_by("test_id").agg(pl.col("cycle").max())["cycle"].min() >= 49  # type: ignore[operator]


def test_optional_fields_are_sometimes_empty(handed: list[Handed]) -> None:
    electrodes = table(handed, "electrodes")
    assert 0.1 < electrodes["adhesion_n_m"].null_count() / electrodes.height < 0.2
    cells = table(handed, "cells")
    empty = cells["active_mass_mg"].is_null()
    assert 0.03 < empty.mean() < 0.12  # type: ignore[operator]
    assert (empty == cells["active_mass_source"].is_null()).all()
