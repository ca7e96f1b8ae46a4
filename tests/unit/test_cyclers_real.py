"""Vendors' own files: rows, first and last values, and charge by integration against the counters.

Values are those that independent readers give (access-parser, galvani, fastnda, plain csv). The
files are not part of the repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from battery_platform.errors import RefusedFile
from battery_platform.records.cyclers import read_export, recognise_format
from battery_platform.records.cyclers.summary import cycles, largest_deviation, steps


@dataclass(frozen=True)
class Known:
    format: str
    rows: int
    cycles: tuple[int, ...]
    steps: int
    first: tuple[float, float, float]
    last: tuple[float, float, float]
    charge_ah: tuple[float, ...]
    discharge_ah: tuple[float, ...]
    deviation: float
    """Largest share by which counters and integral may differ, over steps and cycles."""


KNOWN = {
    "20160805_test001_45_cc_01.res": Known(
        "arbin_res",
        10_261,
        tuple(range(1, 19)),
        103,
        (300.0104819316021, 3.0976173877716064, 0.0),
        (859077.2406335169, 0.2940689027309418, -0.00030420697294175625),
        (),
        (),
        3e-4,
    ),
    "biol.mpr": Known(
        "biologic_mpr",
        23_561,
        (1,),
        25,
        (0.0, 0.12348721921443939, 0.0),
        (76139.10400116211, 0.5515370965003967, 0.0),
        (0.0049768931,),
        (0.0,),
        8e-3,
    ),
    "maccor_001.txt": Known(
        "maccor_text",
        6_704,
        (0,),
        24,
        (0.0, 3.4625, 0.0),
        (183171.5699996948242, 3.55131, 0.0),
        (17.62360,),
        (17.36311,),
        1e-5,
    ),
    "neware_uio.csv": Known(
        "neware_text",
        9_065,
        (1, 2, 3, 4),
        32,
        (0.0, 2.917, 0.0),
        (518538.0, 0.4251, 0.00099171),
        (0.00424934, 0.00424668, 0.00783477, 0.00143796),
        (0.00508628, 0.00436841, 0.00797423, 0.00331516),
        1e-4,
    ),
    "pec.csv": Known(
        "pec_text",
        16_255,
        (0, 1, 2),
        8,
        (1.0, 3.272632, 0.0),
        (323010.183, 3.7875572, 1.6401),
        (0.0, 44.424915, 44.25893),
        (11.634168, 44.351991, 0.0),
        1e-6,
    ),
    "neware.ndax": Known(
        "neware_binary",
        252_951,
        (1,),
        5,
        (0.0, 0.20695459842681885, 0.0),
        (252946.0, 4.748331069946289, 1.9355652332305908e-3),
        (1.4187626,),
        (0.0,),
        2e-5,
    ),
}


@pytest.fixture
def exports(mirror: Path) -> Path:
    folder = mirror / "cycler_exports"
    if not folder.is_dir():
        pytest.skip("the mirror has no cycler_exports")
    return folder


@pytest.mark.parametrize("name", KNOWN)
def test_file_is_read_right(name: str, exports: Path) -> None:
    if name.endswith(".ndax"):
        pytest.importorskip("fastnda")
    known = KNOWN[name]
    path = exports / name
    export_format = recognise_format(path)
    assert export_format is not None
    assert export_format.name == known.format
    file = read_export(path)
    points = file.points
    assert (points.height, file.quarantine) == (known.rows, ())
    values = points.select("test_time_s", "voltage_v", "current_a").rows()
    assert values[0] == pytest.approx(known.first, rel=1e-12)
    assert values[-1] == pytest.approx(known.last, rel=1e-12)
    assert tuple(points["cycle"].unique().sort()) == known.cycles

    by_step = steps(points, file.format.resets)
    by_cycle = cycles(points, file.format.resets)
    assert by_step.height == known.steps
    assert largest_deviation(by_step) < known.deviation
    assert largest_deviation(by_cycle) < known.deviation
    if known.charge_ah:
        assert by_cycle["charge_ah"].to_list() == pytest.approx(known.charge_ah, rel=2e-4)
        assert by_cycle["discharge_ah"].to_list() == pytest.approx(known.discharge_ah, rel=2e-4)


def test_unfinished_cycles_have_no_efficiency(exports: Path) -> None:
    file = read_export(exports / "20160805_test001_45_cc_01.res")
    table = cycles(file.points, file.format.resets, efficiency="charge_per_discharge")
    assert table["coulombic_efficiency"].to_list()[-1] is None
    assert table["coulombic_efficiency"].to_list()[0] == pytest.approx(0.9261, abs=1e-3)
    assert table["charge_end_v"].to_list()[0] == pytest.approx(1.0001, abs=1e-4)
    assert table["discharge_end_v"].to_list()[0] == pytest.approx(0.0499, abs=1e-4)


DAMAGED = {
    "bad_custom_good_small.csv": (60, []),
    "bad_custom_missing_cycle.csv": (40, []),
    "bad_custom_nan_inf.csv": (57, [24, 28, 32]),
    "bad_custom_truncated.csv": (59, [80]),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_beside_their_good_twin(name: str, exports: Path) -> None:
    rows, held = DAMAGED[name]
    file = read_export(exports / name)
    assert file.points.height == rows
    assert [finding.row for finding in file.quarantine] == held
    efficiency = cycles(file.points)["coulombic_efficiency"]
    assert efficiency.null_count() == len(efficiency)
    notes = " ".join(file.notes)
    assert ("cycle 2 is missing" in notes) == (name == "bad_custom_missing_cycle.csv")


def test_missing_column_is_refused_with_what_was_seen(exports: Path) -> None:
    with pytest.raises(RefusedFile, match="voltage") as refused:
        read_export(exports / "bad_custom_missing_column.csv")
    assert "charge_capacity" in refused.value.says


@pytest.mark.parametrize("name", ["20160805_test001_45_cc_01.res", "biol.mpr"])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.4, 0.77, 0.97])
def test_cut_binary_files_are_refused(
    name: str, share: float, exports: Path, tmp_path: Path
) -> None:
    content = (exports / name).read_bytes()
    pages = int(len(content) * share) // 4096 * 4096
    for size in (pages, pages + 17):
        path = tmp_path / "cut"
        path.write_bytes(content[:size])
        if name.endswith(".res") and size == pages and share == 0.98:
            whole = read_export(exports / name).points
            assert read_export(path).points.equals(whole)
            continue
        with pytest.raises(RefusedFile):
            read_export(path)


@pytest.mark.parametrize("name", ["maccor_001.txt", "neware_uio.csv", "pec.csv"])
def test_cut_text_files_lose_at_most_their_last_line(
    name: str, exports: Path, tmp_path: Path
) -> None:
    content = (exports / name).read_bytes()
    whole = read_export(exports / name).points
    for share in (0.2, 0.5, 0.9):
        path = tmp_path / "cut"
        path.write_bytes(content[: int(len(content) * share)])
        file = read_export(path)
        assert file.points.equals(whole.head(file.points.height))
        assert len(file.quarantine) <= 1


def test_two_cells_in_one_file(exports: Path, tmp_path: Path) -> None:
    content = (exports / "maccor_001.txt").read_text()
    path = tmp_path / "both"
    path.write_text(content + content)
    with pytest.raises(RefusedFile, match="header comes again"):
        read_export(path)
    path.write_text(content + content.split("\n", 4)[4])
    with pytest.raises(RefusedFile, match="second test"):
        read_export(path)


def test_frames_hold_our_columns_first(exports: Path) -> None:
    points = read_export(exports / "pec.csv").points
    assert points.columns[:6] == [
        "row_number",
        "test_time_s",
        "voltage_v",
        "current_a",
        "cycle",
        "step",
    ]
    assert points.schema["cycle"] == pl.Int64
    assert points["Charge Capacity (mAh)"].to_list()[-1] == 44258.93
