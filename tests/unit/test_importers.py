"""Readers of public data sets: hand-made files, whole and damaged, through to the lake."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from battery_platform.contracts.base import columns
from battery_platform.contracts.registry import table
from battery_platform.errors import RefusedFile
from battery_platform.records.importers import IMPORTERS
from battery_platform.records.importers.capacity import CYCLES, POINTS
from battery_platform.records.ingest import Report, check, ingest
from battery_platform.records.instruments.model import Tidy
from battery_platform.records.mapping import IMPORTERS as NAMES
from battery_platform.records.mapping import parse
from battery_platform.store.lakehouse import Lakehouse

TEXT = "Zn²⁺ was mixed with NaCl.\nThen Na was dried at 80 °C; μ-PP too.\n"
ANN = "\n".join(
    (
        "T1\tMaterial 0 4\tZn²⁺",
        "T2\tOperation 9 14\tmixed",
        "T3\tMaterial 20 24\tNaCl",
        "T4\tMaterial 31 33\tNa",
        "T5\tCondition 47 49;50 52\t80 °C",
        "E1\tOperation:T2 Recipe:T1 Recipe:T3",
        "R1\tNext Arg1:E1 Arg2:T4\t",
        "A1\tStart E1",
        "M1\tSure E1 high",
        "N1\tReference T3 CAS:7647-14-5\tsodium chloride",
        "#1\tAnnotatorNotes T4\tsodium, not 'missing'",
        "*\tEquiv T3 T4",
        "",
    )
)
BRAT = {"source": "made", "reader": "brat_standoff", "constants": {"corpus": "c"}}

Take = Callable[..., Report]
Make = Callable[[dict[str, bytes]], Path]


@pytest.fixture
def listed(tmp_path: Path) -> Make:
    """Files of a data set, and the list of their checksums."""

    def make(files: dict[str, bytes]) -> Path:
        folder = tmp_path / "set"
        lines = []
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
            lines.append(f"{hashlib.sha256(content).hexdigest()}  {len(content)}  {name}\n")
        made = folder / "set.sums"
        made.write_text("".join(lines))
        return made

    return make


def reading(name: str, path: Path) -> dict[str, Tidy]:
    return {f"{tidy.table} {tidy.sheet}": tidy for tidy in IMPORTERS[name].read(path)}


def judged(lake: Lakehouse, path: Path, mapping: dict[str, Any]) -> Report:
    return check(lake, path, parse(mapping, path))


def reasons(report: Report) -> dict[int, str]:
    messages: dict[int, str] = {}
    for outcome in report.outcomes:
        for row in outcome.violations.iter_rows(named=True):
            messages[row["row_number"]] = messages.get(row["row_number"], "") + row["message"]
    return messages


def test_each_is_known_to_mappings_and_to_no_file(tmp_path: Path) -> None:
    assert set(IMPORTERS) == set(NAMES)
    path = tmp_path / "a.txt"
    path.write_text("anything")
    assert not any(importer.recognise(path) for importer in IMPORTERS.values())


# -- brat -----------------------------------------------------------------------------------


def test_brat_takes_every_kind_of_line(take: Take, lake: Lakehouse, tmp_path: Path) -> None:
    (tmp_path / "files" / "doc.txt").write_text(TEXT, encoding="utf-8")
    report = take("doc.ann", ANN, BRAT)
    assert (report.status, report.total("rows_quarantined")) == ("taken", 0)
    rows = {row["annotation_id"]: row for row in lake.records("FROM raw_corpus_annotations")}
    assert rows["T4"]["surface_text"] == "Na"
    assert (rows["T5"]["start_offset"], rows["T5"]["end_offset"]) == (47, 52)
    assert json.loads(rows["T5"]["spans"]) == [[47, 49], [50, 52]]
    assert rows["T5"]["text_at_offset"] == "80 °C"
    attributes = {name: json.loads(row["attributes"]) for name, row in rows.items()}
    assert attributes["E1"] == {"trigger": "T2", "arguments": [["Recipe", "T1"], ["Recipe", "T3"]]}
    assert attributes["R1"] == {"Arg1": "E1", "Arg2": "T4"}
    assert attributes["A1"] == {"target": "E1"}
    assert attributes["M1"] == {"target": "E1", "value": "high"}
    assert attributes["N1"] == {
        "target": "T3",
        "entry": "CAS:7647-14-5",
        "words": "sodium chloride",
    }
    assert attributes["#1"]["words"] == "sodium, not 'missing'"
    assert attributes["*12"] == {"targets": ["T3", "T4"]}
    assert {row["line"] for row in rows.values()} == set(range(1, 13))
    ((text, length),) = lake.rows("SELECT text, n_characters FROM raw_corpus_texts")
    assert (text, length) == (TEXT, len(TEXT))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("T9\tMaterial 1 5\tZn²⁺", "covers 'Zn²⁺', the text has '⟦n²⁺ ⟧'"),
        ("T9\tMaterial 0 9\tZn²⁺", "covers 'Zn²⁺'"),
        ("T9\tMaterial 0 5\tZn²⁺", "the text has '⟦Zn²⁺ ⟧'"),
        ("T9\tMaterial 900 904\tZn²⁺", "the text has '⟦⟧'"),
        ("T9\tMaterial 4 4\tZn²⁺", "ends at 4, before it starts"),
        ("T9\tMaterial 47 49;60 62\t80 °C", "covers '80 °C'"),
        ("T9 Material 0 4 Zn", "form is 'unreadable'"),
        ("T9\tMaterial zero 4\tZn²⁺", "form is 'unreadable'"),
        ("R9\tNext Arg1:T1", "form is 'unreadable'"),
        ("X9\tunheard of", "form is 'unreadable'"),
        ("R9\tNext Arg1:T1 Arg2:T77", "names T77"),
    ],
)
def test_an_annotation_that_does_not_hold_waits(
    line: str, why: str, lake: Lakehouse, tmp_path: Path
) -> None:
    (tmp_path / "doc.txt").write_text(TEXT, encoding="utf-8")
    path = tmp_path / "doc.ann"
    path.write_text(ANN + line + "\n", encoding="utf-8")
    report = judged(lake, path, BRAT)
    assert report.total("rows_quarantined") == 1
    ((number, message),) = reasons(report).items()
    assert number == 13
    assert why in message


def test_blanks_around_a_text_are_kept(lake: Lakehouse, tmp_path: Path) -> None:
    path = tmp_path / "doc.txt"
    path.write_text("  two blanks \n", encoding="utf-8")
    assert reasons(judged(lake, path, BRAT)) == {}


def test_annotations_need_their_text(tmp_path: Path) -> None:
    path = tmp_path / "doc.ann"
    path.write_text(ANN, encoding="utf-8")
    with pytest.raises(RefusedFile, match=r"a text that is not there: doc\.txt"):
        IMPORTERS["brat_standoff"].read(path)


def test_a_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "doc.txt"
    path.write_bytes("80 °C".encode("latin-1"))
    with pytest.raises(RefusedFile, match=r"byte 3 of doc\.txt is no UTF-8"):
        IMPORTERS["brat_standoff"].read(path)


# -- a data set as one ------------------------------------------------------------------------


def corpus() -> dict[str, bytes]:
    return {
        "data/a.txt": TEXT.encode(),
        "data/a.ann": ANN.encode(),
        "data/b.txt": b"nothing said",
        "data/b.ann": b"",
        "ner-dev-fnames.txt": b"b\n",
        "ner-train-fnames.txt": b"a",
        "LICENSE": b"MIT",
    }


def test_a_list_of_checksums_is_taken_as_one(
    listed: Make, lake: Lakehouse, counted: Callable[[Report], None]
) -> None:
    path = listed(corpus())
    report = ingest(lake, path, parse(BRAT, path))
    counted(report)
    assert lake.rows("SELECT document_id, split, file FROM raw_corpus_texts ORDER BY 1") == [
        ("a", "train", "data/a.txt"),
        ("b", "dev", "data/b.txt"),
    ]
    assert lake.value("SELECT count(*) FROM raw_corpus_annotations") == 12
    assert ingest(lake, path, parse(BRAT, path)).status == "known"


def test_a_list_whose_files_changed_or_went_is_refused(listed: Make) -> None:
    path = listed(corpus())
    (path.parent / "data" / "b.txt").write_bytes(b"something else")
    with pytest.raises(RefusedFile, match=r"data/b\.txt has not the checksum"):
        IMPORTERS["brat_standoff"].read(path)
    (path.parent / "data" / "b.txt").unlink()
    with pytest.raises(RefusedFile, match=r"there is no file data/b\.txt"):
        IMPORTERS["brat_standoff"].read(path)


def test_two_texts_of_one_name_are_refused(listed: Make) -> None:
    with pytest.raises(RefusedFile, match="two texts are named a"):
        IMPORTERS["brat_standoff"].read(listed({"x/a.txt": b"1", "y/a.txt": b"2"}))


def test_a_list_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.sums"
    path.write_text(f"{'0' * 64}  3  ../secret.txt\n")
    with pytest.raises(RefusedFile, match="leads out"):
        IMPORTERS["brat_standoff"].read(path)


# -- MeasEval ---------------------------------------------------------------------------------

HEADER = "docId\tannotSet\tannotType\tstartOffset\tendOffset\tannotId\ttext\tother\n"
PARAGRAPH = "An inventory of ≈13 kg was used."
TSV = (
    HEADER
    + 'p1\t1\tQuantity\t16\t22\tT1\t≈13 kg\t{"unit": "kg", "mods": ["IsApproximate"]}\n'
    + 'p1\t1\tMeasuredEntity\t3\t12\tT2\tinventory\t{"HasQuantity": "T1"}\n'
)
MEASEVAL = BRAT | {"reader": "measeval_tsv"}


def test_measeval_keeps_units_and_links(listed: Make) -> None:
    path = listed(
        {
            "train/text/p1.txt": PARAGRAPH.encode(),
            "train/tsv/p1.tsv": TSV.encode(),
            "trial/txt/p2.txt": b"No quantity.",
        }
    )
    read = reading("measeval_tsv", path)
    texts, notes = read["corpus_texts texts"].rows, read["corpus_annotations annotations"].rows
    assert [cells[:2] for _, cells in texts] == [("p1", "train"), ("p2", "trial")]
    assert [cells[7] for _, cells in notes] == ["≈13 kg", "inventory"]
    assert [cells[8] for _, cells in notes] == ["≈13 kg", "inventory"]
    assert json.loads(notes[0][1][9])["unit"] == "kg"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("p1\t1\tQuantity\t17\t22\tT9\t≈13 kg\t", "the text has '⟦13 kg⟧'"),
        ("p1\t1\tQuantity\t16\t22\tT9\t≈13 kg", "unreadable"),
        ("p2\t1\tQuantity\t16\t22\tT9\t≈13 kg\t", "unreadable"),
        ("p1\t1\tQuantity\t16\t22\tT9\t≈13 kg\t{broken", "unreadable"),
        ('p1\t1\tQuantity\t16\t22\tT9\t≈13 kg\t{"HasQuantity": "T8"}', "names T8"),
    ],
)
def test_measeval_lines_that_do_not_hold_wait(
    line: str, why: str, lake: Lakehouse, tmp_path: Path
) -> None:
    (tmp_path / "p1.txt").write_text(PARAGRAPH, encoding="utf-8")
    path = tmp_path / "p1.tsv"
    path.write_text(TSV + line + "\n", encoding="utf-8")
    report = judged(lake, path, MEASEVAL)
    assert report.total("rows_quarantined") == 1
    assert why in reasons(report)[4]


def test_measeval_without_its_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p1.txt").write_text(PARAGRAPH, encoding="utf-8")
    path = tmp_path / "p1.tsv"
    path.write_text("p1\t1\tQuantity\n", encoding="utf-8")
    with pytest.raises(RefusedFile, match="is not the header"):
        IMPORTERS["measeval_tsv"].read(path)


# -- records of properties --------------------------------------------------------------------


def test_records_keep_values_as_written(take: Take, lake: Lakehouse) -> None:
    content = (
        "Property,Name,Value,Unit,DOI,Text\r\n"
        'Conductivity,LLTO,3.2 * 10-3,S cm -1,"10.1/x\n"," It is 3.2 × 10−3 S cm−1, as ""said"". "\r\n'
        "Voltage,Na,2.46 and 2.84,V,10.1/y,Two peaks.\r\n"
    )
    mapping = BRAT | {"reader": "property_records"}
    take("conductivity.csv", content, mapping)
    rows = lake.records("FROM raw_corpus_annotations ORDER BY document_id")
    assert [json.loads(row["attributes"])["value"] for row in rows] == [
        "3.2 * 10-3",
        "2.46 and 2.84",
    ]
    assert json.loads(rows[1]["attributes"])["name"] == "Na"
    assert [row["document_id"] for row in rows] == ["conductivity-001", "conductivity-002"]
    assert lake.rows("SELECT reference, text FROM raw_corpus_texts ORDER BY document_id") == [
        ("10.1/x", 'It is 3.2 × 10−3 S cm−1, as "said".'),
        ("10.1/y", "Two peaks."),
    ]


def test_records_without_their_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("Property,Value\nVoltage,3\n")
    with pytest.raises(RefusedFile, match="the header is"):
        IMPORTERS["property_records"].read(path)


# -- capacity curves --------------------------------------------------------------------------


def matrix(scale: float = 1.0) -> list[list[str]]:
    """Capacity that rises from 0; cycle c of the file ends at scale + c / 1000."""
    return [
        [f"{row / (POINTS - 1) * (scale + column / 1000):.6g}" for column in range(CYCLES)]
        for row in range(POINTS)
    ]


def packed(rows: list[list[str]]) -> bytes:
    return gzip.compress("".join(",".join(row) + "\n" for row in rows).encode(), mtime=0)


CURVES = {"source": "made", "reader": "capacity_matrices"}


def test_cells_are_ordered_by_number_and_meet_their_lives(
    listed: Make, lake: Lakehouse, counted: Callable[[Report], None]
) -> None:
    path = listed(
        {
            "train/cell10.csv.gz": packed(matrix(10)),
            "train/cell2.csv.gz": packed(matrix(2)),
            "train/cell1.csv.gz": packed(matrix(1)),
            "train_cycle_lives.csv": b"100\n200\n1000\n",
        }
    )
    report = ingest(lake, path, parse(CURVES, path))
    counted(report)
    assert report.total("rows_quarantined") == 0
    assert lake.rows("SELECT cell_id, cycle_life FROM raw_cycle_lives ORDER BY 2") == [
        ("train-cell1", 100),
        ("train-cell2", 200),
        ("train-cell10", 1000),
    ]
    assert lake.rows(
        "SELECT cell_id, count(*), min(discharge_capacity_ah), max(cycle), "
        "any_value(len(capacities_ah::DOUBLE[])) FROM raw_capacity_curves GROUP BY 1 ORDER BY 3"
    ) == [
        ("train-cell1", 99, 1.0, 100, 1000),
        ("train-cell2", 99, 2.0, 100, 1000),
        ("train-cell10", 99, 10.0, 100, 1000),
    ]
    assert lake.rows(
        "SELECT DISTINCT voltage_from_v, voltage_to_v, file FROM raw_capacity_curves "
        "WHERE cell_id = 'train-cell2'"
    ) == [(3.5, 2.0, "train/cell2.csv.gz")]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("n.a.", "Only 999 values of the curve are numbers"),
        ("inf", "Only 999 values"),
        ("", "Only 999 values"),
        ("40", "falls by 39"),
    ],
)
def test_a_damaged_curve_waits_and_the_others_enter(
    value: str, why: str, listed: Make, lake: Lakehouse
) -> None:
    rows = matrix()
    rows[500][7] = value
    path = listed({"train/cell1.csv.gz": packed(rows)})
    report = judged(lake, path, CURVES)
    assert (report.total("rows_accepted"), report.total("rows_quarantined")) == (98, 1)
    assert why in reasons(report)[8]


def test_a_value_that_is_none_keeps_the_list_json(listed: Make) -> None:
    rows = matrix()
    rows[500][7] = "so, so"
    read = reading("capacity_matrices", listed({"train/cell1.csv": packed(matrix())}))
    assert len(json.loads(read["capacity_curves train"].rows[7][1][8])) == POINTS
    rows[500][7] = '"n.a."'
    read = reading("capacity_matrices", listed({"train/cell1.csv": packed(rows)}))
    assert json.loads(read["capacity_curves train"].rows[7][1][8])[500] == "n.a."


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (packed(matrix())[:-200], "cannot be unpacked"),
        (packed(matrix())[:30], "cannot be unpacked"),
        (packed(matrix()[:-1]), "has 999 rows and 99 columns"),
        (packed([row[:-1] for row in matrix()]), "has 1000 rows and 98 columns"),
        (gzip.compress(b"0" * 20_000_000), "unpacks to more than 16 MiB"),
        (b"", "is no matrix"),
    ],
    ids=["cut", "cut early", "a voltage less", "a cycle less", "bomb", "empty"],
)
def test_a_file_that_is_no_whole_matrix_is_refused(content: bytes, why: str, listed: Make) -> None:
    with pytest.raises(RefusedFile, match=why):
        IMPORTERS["capacity_matrices"].read(listed({"train/cell1.csv.gz": content}))


def test_lives_that_do_not_match_the_cells_are_refused(listed: Make) -> None:
    files = {"train/cell1.csv.gz": packed(matrix()), "train_cycle_lives.csv": b"1\n2\n"}
    with pytest.raises(RefusedFile, match="2 lives for 1 cells"):
        IMPORTERS["capacity_matrices"].read(listed(files))


# -- volumes and diameters --------------------------------------------------------------------

VOLUME = {
    "source": "made",
    "reader": "labelled_volume",
    "constants": {"voxel_um": 0.4, "voxel_source": "stated by the scanner", "origin": "measured"},
}


def tiff(slices: list[np.ndarray[Any, Any]]) -> bytes:
    stream = io.BytesIO()
    first, *others = [Image.fromarray(layer) for layer in slices]
    first.save(stream, "TIFF", save_all=True, append_images=others)
    return stream.getvalue()


def test_a_volume_is_counted_slice_by_slice(
    listed: Make, lake: Lakehouse, counted: Callable[[Report], None]
) -> None:
    voxels = np.zeros((3, 4, 5), dtype=np.uint8)
    voxels[0], voxels[1, :2] = 85, 170
    path = listed({"volume.tiff": tiff(list(voxels)), "LICENSE": b"MIT"})
    report = ingest(lake, path, parse(VOLUME, path))
    counted(report)
    (row,) = lake.records("FROM raw_voxel_volumes")
    assert (row["volume_id"], row["nx"], row["ny"], row["nz"]) == ("volume", 5, 4, 3)
    assert (row["active_fraction"], row["binder_fraction"]) == (20 / 60, 10 / 60)
    assert json.loads(row["voxels_by_label"]) == {"0": 30, "85": 20, "170": 10}
    assert row["content_hash"] == hashlib.sha256(voxels.tobytes()).hexdigest()


def test_a_volume_with_other_labels_waits(listed: Make, lake: Lakehouse) -> None:
    voxels = np.full((2, 2, 2), 255, dtype=np.uint8)
    voxels[0] = 85
    path = listed({"volume.tiff": tiff(list(voxels))})
    message = reasons(judged(lake, path, VOLUME))[1]
    assert "do not add up to 1" in message
    assert '"255": 4' in message


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_slices_that_are_no_bytes_or_cut_off_are_refused(listed: Make) -> None:
    with pytest.raises(RefusedFile, match=r"slice 1 of v\.tif is"):
        IMPORTERS["labelled_volume"].read(
            listed({"v.tif": tiff([np.zeros((4, 4), dtype=np.float32)])})
        )
    random = np.random.default_rng(0).integers(0, 255, (2, 64, 64)).astype(np.uint8)
    for cut in (tiff(list(random))[:3000], b"II*\x00", b"no picture", b""):
        with pytest.raises(RefusedFile, match=r"cannot be read as TIFF"):
            IMPORTERS["labelled_volume"].read(listed({"v.tif": cut}))


def test_diameters_in_their_order(take: Take, lake: Lakehouse) -> None:
    mapping = {
        "source": "made",
        "reader": "diameter_list",
        "constants": {"list_id": "nmc", "material": "NMC111"},
    }
    report = take("sizes.dat", "\t12.465\r\n\t8.293\r\n\r\n\tabc\r\n\t-1\r\n", mapping)
    assert lake.rows("SELECT place, diameter_um FROM raw_particle_sizes ORDER BY 1") == [
        (1, 12.465),
        (2, 8.293),
    ]
    assert set(reasons(report)) == {4, 5}


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sizes.dat"
    path.write_text("\n\n")
    with pytest.raises(RefusedFile, match="the list is empty"):
        IMPORTERS["diameter_list"].read(path)


@pytest.mark.parametrize("name", ["brat_standoff", "capacity_matrices"])
def test_what_readers_make_fits_their_contracts(name: str, listed: Make) -> None:
    curves = {"t/cell1.csv": packed(matrix()), "t_cycle_lives.csv": b"1"}
    for tidy in IMPORTERS[name].read(listed(corpus() | curves)):
        known = {column.name for column in columns(table(tidy.table).contract)}
        assert set(tidy.units) <= known
        assert {len(cells) for _, cells in tidy.rows} == {len(tidy.units)}
