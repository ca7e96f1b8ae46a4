"""Wide tables of cells: what the contract refuses, what the synthetic one holds, what is learnt from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from battery_platform.contracts.base import columns
from battery_platform.contracts.registry import TABLES
from battery_platform.contracts.verdicts import judge
from battery_platform.errors import PlatformError
from battery_platform.models.cell_table import DESCRIPTORS, ENDPOINTS, table_of
from battery_platform.records.ingest import ingest
from battery_platform.records.mapping import load
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse
from battery_platform.synthetic.cell_cases import (
    CASES,
    CELLS,
    CYCLES,
    SOURCE_ID,
    USABLE,
    simulate_cell_cases,
    write_cell_cases,
)

CONTRACT = TABLES["cell_cases"].contract
SCHEMA = {column.name: column.dtype for column in columns(CONTRACT)}


def refused(**values: Any) -> list[tuple[str, str]]:
    """Field and message of what the contract says against a cell with nothing but these values."""
    row = dict.fromkeys(SCHEMA) | {"cell_id": "C1", "case_id": "K1"} | values
    frame = pl.DataFrame([row], schema=SCHEMA).with_columns(pl.lit(2, pl.Int64).alias("row_number"))
    violations = judge(frame, CONTRACT).violations
    return list(zip(violations["field"].to_list(), violations["message"].to_list(), strict=True))


def all_rows(lake: Lakehouse) -> pl.DataFrame:
    with lake.cursor() as cursor:
        return cursor.execute("SELECT * FROM raw_cell_cases").pl()


@pytest.fixture(scope="module")
def made() -> pl.DataFrame:
    return simulate_cell_cases()


def test_a_cell_of_which_nothing_is_known_is_taken_and_one_without_a_case_is_not() -> None:
    assert refused() == []
    assert [field for field, _ in refused(case_id=None)] == ["case_id"]


@pytest.mark.parametrize(
    ("good", "bad", "field"),
    [
        (
            {"capacities_mah_g": "[379.4, null, 0]"},
            {"capacities_mah_g": "[350, 379.5]"},
            "capacities_mah_g",
        ),
        ({"capacities_mah_g": "[1e2]"}, {"capacities_mah_g": "[350,, 340]"}, "capacities_mah_g"),
        ({"capacities_mah_g": "[0.5]"}, {"capacities_mah_g": "[350, -1]"}, "capacities_mah_g"),
        ({"d30_mah_g": 379.0}, {"d30_mah_g": 380.0}, "max_capacity_mah_g"),
        (
            {"max_capacity_mah_g": 500.0, "theoretical_capacity_mah_g": 600.0},
            {"max_capacity_mah_g": 500.0},
            "max_capacity_mah_g",
        ),
        (
            {"max_capacity_mah_g": 300.0, "d5_mah_g": 305.0},
            {"max_capacity_mah_g": 300.0, "d5_mah_g": 307.0},
            "max_capacity_mah_g",
        ),
        (
            {"calendered": "no", "compression_degree_pct": 0.0},
            {"calendered": "no", "compression_degree_pct": 20.0},
            "compression_degree_pct",
        ),
        (
            {"graphite_pct": 94.5, "cmc_pct": 6.0},
            {"graphite_pct": 94.5, "cmc_pct": 6.1},
            "graphite_pct",
        ),
        (
            {"thickness_um": 60.0, "porosity_pct": 40.0, "mass_loading_mg_cm2": 7.8},
            {"thickness_um": 60.0, "porosity_pct": 40.0, "mass_loading_mg_cm2": 0.78},
            "mass_loading_mg_cm2",
        ),
        (
            {
                "active_mass_mg": 16.5,
                "mass_loading_mg_cm2": 10.0,
                "electrode_diameter_mm": 14.8,
                "graphite_pct": 94.5,
            },
            {
                "active_mass_mg": 1.65,
                "mass_loading_mg_cm2": 10.0,
                "electrode_diameter_mm": 14.8,
                "graphite_pct": 94.5,
            },
            "active_mass_mg",
        ),
        (
            {"d30_mah_g": 203.0, "capacities_mah_g": json.dumps([200.0] * 30)},
            {"d30_mah_g": 206.0, "capacities_mah_g": json.dumps([200.0] * 30)},
            "d30_mah_g",
        ),
    ],
)
def test_what_only_just_passes_and_what_fails(
    good: dict[str, Any], bad: dict[str, Any], field: str
) -> None:
    assert refused(**good) == []
    assert field in {name for name, _ in refused(**bad)}


def test_shares_that_are_all_given_must_reach_100() -> None:
    shares = dict.fromkeys([name for name in SCHEMA if name in DESCRIPTORS[:8]], 0.0)
    assert refused(**shares | {"graphite_pct": 97.0, "cmc_pct": 2.5}) == []
    assert refused(**shares | {"graphite_pct": 97.0, "cmc_pct": 2.4}) != []


def test_the_synthetic_table_has_the_shape_of_the_paper(made: pl.DataFrame) -> None:
    assert (made.height, made["case_id"].n_unique()) == (CELLS, CASES)
    counts = made.filter(pl.col("qc_status_code") == "ok").group_by("case_id").len()["len"]
    assert (counts.sum(), counts.min(), counts.max()) == (USABLE, 3, 4)
    assert made["coating_gap_um"].is_between(70, 300).all()
    assert made["drying_temperature_degc"].is_between(60, 120).all()
    assert made["porosity_pct"].is_between(22, 56).all()
    assert made["d30_mah_g"].min() < 30 < 330 < made["d30_mah_g"].max()  # type: ignore[operator]
    assert made["adhesion_n_m"].null_count() > 50
    assert made["cell_id"].str.starts_with("SYN-").all()
    assert (
        judge(
            made.with_row_index("row_number").cast({"row_number": pl.Int64}), CONTRACT
        ).accepted.height
        == CELLS
    )


def test_the_relations_of_the_paper_are_in_the_synthetic_table(made: pl.DataFrame) -> None:
    thin, thick = (
        made.filter(rows)["d30_mah_g"].mean()
        for rows in (pl.col("coating_gap_um") < 150, pl.col("coating_gap_um") > 200)
    )
    assert thin > 250 > 100 > thick  # type: ignore[operator]
    loose = made.filter(pl.col("coating_gap_um") > 200, pl.col("calendered") == "no")
    assert loose["adhesion_n_m"].median() < 10  # type: ignore[operator]
    logs = made.drop_nulls(["adhesion_n_m", "ir_drop_mv", "d30_mah_g"]).select(
        pl.corr(pl.col("adhesion_n_m").log(), pl.col("d30_mah_g")).alias("up"),
        pl.corr(pl.col("adhesion_n_m").log(), pl.col("ir_drop_mv").log()).alias("down"),
    )
    assert logs["up"].item() > 0.6
    assert logs["down"].item() < -0.6


def test_the_files_depend_on_the_seed_only_and_go_through_the_front_door(
    lake: Lakehouse, tmp_path: Path
) -> None:
    first, second = (write_cell_cases(tmp_path / name)[0] for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes() != write_cell_cases(tmp_path / "c", seed=1)[0].read_bytes()
    mapping = load(first.with_name(f"{SOURCE_ID}.map.yaml"))
    assert mapping[0].synthetic
    report = ingest(lake, first, mapping)
    assert (report.total("rows_accepted"), report.total("rows_quarantined")) == (CELLS, 0)
    stored = all_rows(lake)
    assert stored["is_synthetic"].all()
    table = table_of(stored)
    assert table.is_synthetic
    assert table.sources == (SOURCE_ID,)
    assert balance(lake).broken == ()


def test_cells_that_count_their_descriptors_and_their_gaps(made: pl.DataFrame) -> None:
    table = table_of(made)
    assert len(table) == USABLE
    assert table.left_out["not passed by quality control"] == CELLS - USABLE
    assert table.descriptors == DESCRIPTORS
    assert len(DESCRIPTORS) == 31
    assert [endpoint.name for endpoint in table.endpoints] == [
        endpoint.name for endpoint in ENDPOINTS
    ]
    assert table.curves.shape == (USABLE, CYCLES)
    assert np.isnan(table.known[:, table.place("adhesion_n_m")]).any()
    lasted = table.known[:, table.place("cycle_at_50pct_of_max")]
    assert np.isfinite(lasted).all()
    assert lasted.max() == CYCLES


def test_capacities_that_a_table_leaves_out_are_read_from_its_curves(made: pl.DataFrame) -> None:
    names = ("max_capacity_mah_g", "d5_mah_g", "d10_mah_g", "d30_mah_g")
    bare = made.with_columns(pl.lit(None, pl.Float64).alias(name) for name in names)
    whole, sparse = table_of(made), table_of(bare)
    for name in names:
        assert np.array_equal(
            whole.known[:, whole.place(name)], sparse.known[:, sparse.place(name)]
        )


def test_a_descriptor_that_few_cells_have_is_not_asked_for(made: pl.DataFrame) -> None:
    few = pl.when(pl.int_range(pl.len()) < 100).then(pl.col("mixing_time_min"))
    lacking = pl.when(pl.int_range(pl.len()) > 4).then(pl.col("coating_gap_um"))
    table = table_of(
        made.with_columns(few.alias("mixing_time_min"), lacking.alias("coating_gap_um"))
    )
    assert "mixing_time_min" not in table.descriptors
    assert table.left_out["without a descriptor that most cells have"] == USABLE - len(table) > 0


def test_real_cells_are_learnt_from_alone_and_too_few_are_refused(made: pl.DataFrame) -> None:
    real = made.with_columns(pl.lit(False).alias("is_synthetic"), pl.lit("lab").alias("source_id"))
    synthetic = made.with_columns(
        pl.lit(True).alias("is_synthetic"),
        pl.lit(SOURCE_ID).alias("source_id"),
        (pl.col("cell_id") + "-s").alias("cell_id"),
    )
    assert table_of(pl.concat([real, synthetic])).sources == ("lab",)
    assert table_of(pl.concat([real.head(20), synthetic])).is_synthetic
    with pytest.raises(PlatformError, match="30 cells of 8 cases"):
        table_of(real.head(20))


def test_a_table_of_other_headers_comes_in_without_a_mapping(
    lake: Lakehouse, write: Callable[[str, str], Path]
) -> None:
    path = write(
        "lab.csv",
        "Case,Cell,Gap size (µm),CMC (%),Adhesion (N/m),D30 (mAh/g),Capacity vs cycle\n"
        'K1,C1,150,1.2,20,310,"[320, 318.5, null]"\n'
        "K1,C2,150,1.2,,305,\n",
    )
    report = ingest(lake, path)
    assert (report.total("rows_accepted"), report.total("rows_quarantined")) == (2, 0)
    assert all_rows(lake)["coating_gap_um"].to_list() == [150, 150]
