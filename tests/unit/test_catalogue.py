"""The public catalogue: verified, resumed, mirrored; never trusted."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from battery_platform.contracts.registry import TABLES
from battery_platform.errors import PlatformError
from battery_platform.records.catalogue import (
    OF_READERS,
    Entry,
    PublicFile,
    entries,
    entry,
    fetch,
    read_sums,
    safe_name,
)
from battery_platform.records.mapping import READERS, parse
from battery_platform.records.sources import take_public
from battery_platform.settings import Settings
from battery_platform.store.balance import balance
from battery_platform.store.lakehouse import Lakehouse

CONTENT = b"lot_id,material_kind,material_name\n" + b"".join(
    f"L{number},binder,PVdF\n".encode() for number in range(2000)
)


class Server(BaseHTTPRequestHandler):
    """Serves one file, with ranges; may break off after some bytes."""

    break_after: ClassVar[int | None] = None
    served: ClassVar[list[str]] = []
    paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.paths.append(self.path)
        self.served.append(asked or "all")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        body = CONTENT[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.break_after is None else body[: self.break_after])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Server.break_after, Server.served, Server.paths = None, [], []
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def made(address: str, sha256: str = hashlib.sha256(CONTENT).hexdigest()) -> Entry:
    mapping = {
        "table": "material_lots",
        "columns": {
            "lot_id": "lot_id",
            "material_kind": "material_kind",
            "material_name": "material_name",
        },
    }
    item = PublicFile("lots.csv", len(CONTENT), sha256, mapping, "", False)
    return Entry("made_up", "Made up", "CC0-1.0", "", "nobody 2026", address, (item,))


def test_download_is_verified_and_taken(address: str, lake: Lakehouse) -> None:
    data_set = made(address)
    assert [item.origin for item in fetch(data_set, lake.settings)] == ["download"]
    assert [item.origin for item in fetch(data_set, lake.settings)] == ["here already"]
    (report,) = take_public(lake, data_set)
    assert report.total("rows_accepted") == 2000
    assert lake.rows("SELECT licence, source_id FROM raw_files") == [("CC0-1.0", "made_up")]


def test_a_broken_download_is_continued(address: str, settings: Settings) -> None:
    Server.break_after = 5000
    with pytest.raises(PlatformError, match="what was downloaded so far is kept"):
        fetch(made(address), settings)
    Server.break_after = None
    (item,) = fetch(made(address), settings)
    assert item.path.read_bytes() == CONTENT
    assert Server.served[1].startswith("bytes=")
    assert Server.served[1] != "bytes=0-"


def test_a_wrong_checksum_is_refused(address: str, settings: Settings) -> None:
    with pytest.raises(PlatformError, match="checksum"):
        fetch(made(address, sha256="0" * 64), settings)
    assert not list((settings.public_folder / "made_up").iterdir())


def test_no_network_is_told_with_the_way_out(settings: Settings) -> None:
    with pytest.raises(PlatformError, match="BATTERY_PLATFORM_MIRROR"):
        fetch(made("http://127.0.0.1:9"), settings)


def test_a_mirror_with_changed_bytes_is_refused(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "mirror" / "made_up").mkdir(parents=True)
    (tmp_path / "mirror" / "made_up" / "lots.csv").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(PlatformError, match="from the mirror has the checksum"):
        fetch(made("http://127.0.0.1:9"), replace(settings, mirror=tmp_path / "mirror"))


def test_progress_tells_every_byte_once(address: str, settings: Settings) -> None:
    come: list[int] = []
    Server.break_after = 5000
    with pytest.raises(PlatformError):
        fetch(made(address), settings, lambda name, size: come.append(size))
    assert sum(come) == 5000
    Server.break_after, come = None, []
    fetch(made(address), settings, lambda name, size: come.append(size))
    fetch(made(address), settings, lambda name, size: come.append(size))
    assert sum(come) == 2 * len(CONTENT)


def test_a_file_may_stand_elsewhere_below_the_address(address: str, settings: Settings) -> None:
    data_set = made(address)
    moved = replace(data_set.files[0], name="train/a b.csv", at="deep er/{name}")
    (item,) = fetch(replace(data_set, files=(moved,)), settings)
    assert Server.paths == ["/deep%20er/train/a%20b.csv"]
    assert item.path == settings.public_folder / "made_up" / "train" / "a b.csv"


@pytest.mark.parametrize(
    "name",
    ["../up.csv", "/etc/passwd", "a/../../b", "a\\b", "C:x", "", ".", "a//b", "a/", "x.part"],
)
def test_no_name_leads_out_of_the_folder(name: str, settings: Settings) -> None:
    with pytest.raises(PlatformError, match="leads out"):
        safe_name(name, "made_up")
    data_set = made("http://127.0.0.1:9")
    item = replace(data_set.files[0], name=name)
    with pytest.raises(PlatformError, match="leads out"):
        fetch(replace(data_set, files=(item,)), settings)


def test_a_damaged_list_of_checksums_is_refused_by_its_line() -> None:
    good = f"{'0' * 64}  12  data/a.txt\n"
    assert [listed.name for listed in read_sums(good, "x")] == ["data/a.txt"]
    with pytest.raises(PlatformError, match="line 2"):
        read_sums(good + "no sum\n", "x")
    with pytest.raises(PlatformError, match="leads out"):
        read_sums(good.replace("data/", "../"), "x")


def test_only_what_nobody_needs_may_be_missing(settings: Settings) -> None:
    """Files that only mirrors have: others of the entry are taken without them."""
    data_set = made("http://127.0.0.1:9")
    rare = replace(data_set.files[0], mirror_only=True)
    with pytest.raises(PlatformError, match="only to be had from a mirror"):
        fetch(replace(data_set, files=(rare,)), settings)
    listed = replace(data_set.files[0], content=CONTENT)
    both = replace(data_set, files=(listed, replace(rare, name="rare.csv")))
    origins = [item.origin for item in fetch(both, settings)]
    assert origins[0] == "platform"
    assert origins[1].startswith("not fetched")
    assert both.fetched(settings)
    assert [item.name for item in both.takeable(settings)] == ["lots.csv"]
    part = replace(rare, name="part.csv", mapping=None, part_of="lots.csv")
    with pytest.raises(PlatformError, match="only to be had from a mirror"):
        fetch(replace(data_set, files=(listed, part)), settings)
    assert not replace(data_set, files=(listed, part)).fetched(settings)


# -- the entries themselves -----------------------------------------------------------------


def test_every_entry_states_licence_citation_and_checksums() -> None:
    for data_set in entries().values():
        assert data_set.licence
        assert data_set.citation
        assert data_set.address.startswith("https://")
        assert data_set.tables <= set(TABLES)
        assert set(data_set.fills) == data_set.tables
        assert len({item.name for item in data_set.files}) == len(data_set.files)
        for item in data_set.files:
            assert len(item.sha256) == 64
            assert [item.mapping is not None, bool(item.skip), bool(item.part_of)].count(True) == 1
            if item.mapping:
                parse(data_set.mapping(item), Path(item.name))
            if item.part_of:
                (through,) = [other for other in data_set.files if other.name == item.part_of]
                assert through.mapping is not None


def test_readers_that_entries_name_are_known() -> None:
    assert set(OF_READERS) <= set(READERS)
    assert {table for tables in OF_READERS.values() for table in tables} <= set(TABLES)


def test_entries_and_mirror_hold_the_same_files(mirror: Path) -> None:
    for data_set in entries().values():
        there = {
            path.relative_to(mirror / data_set.id).as_posix()
            for path in (mirror / data_set.id).rglob("*")
            if path.is_file() and path.name != "SOURCE.md"
        }
        listed = {item.name: item for item in data_set.files if item.content is None}
        assert set(listed) == there
        for name, item in listed.items():
            content = (mirror / data_set.id / name).read_bytes()
            assert len(content) == item.size_bytes, name
            assert hashlib.sha256(content).hexdigest() == item.sha256, name


def test_unknown_entries_are_named() -> None:
    with pytest.raises(PlatformError, match="cunha2020_nmc111"):
        entry("cunha")


def test_list_show_and_fetch_speak_of_state(
    command: Callable[..., object], mirror: Path, settings: Settings
) -> None:
    def ask(*words: str) -> object:
        answer = command("catalogue", *words, "--json", BATTERY_PLATFORM_MIRROR=str(mirror))
        assert (answer.status, answer.err) == (0, "")  # type: ignore[attr-defined]
        return json.loads(answer.out)  # type: ignore[attr-defined]

    def states() -> dict[str, str]:
        return {row["id"]: row["state"] for row in ask("list")}  # type: ignore[attr-defined]

    assert set(states().values()) == {"not fetched"}
    assert not settings.home.exists(), "looking makes no lake"
    fetched = ask("fetch", "--all")
    assert len(fetched) == sum(len(data_set.files) for data_set in entries().values())  # type: ignore[arg-type]
    lake = Lakehouse(settings)
    take_public(lake, entry("slurry_forcefield"))
    lake.close()
    state_by_id = states()
    assert state_by_id.pop("slurry_forcefield") == "in the lake"
    assert set(state_by_id.values()) == {"fetched"}
    shown = command("catalogue", "show", "measeval").text  # type: ignore[attr-defined]
    assert "no licence file" in shown
    assert "train/tsv/*.tsv (233 files)" in shown


# -- what is in them ------------------------------------------------------------------------

DAMAGED = [
    ("test1-cell19", 11),
    *(("test1-cell39", cycle) for cycle in (74, 75, 78, 80, 82, 84)),
    ("test1-cell3", 12),
    ("test1-cell9", 13),
    ("train-cell16", 73),
    ("train-cell2", 12),
    ("train-cell9", 13),
]
"""Curves that jump by up to 24 Ah, in a cell of 1.1 Ah."""


ELSEWHERE = {"cycler_exports", "rheometer"}
"""Entries whose files the tests of their instruments' readers take."""


@pytest.fixture(scope="module")
def public_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    folder = Settings.from_env().mirror
    if folder is None:
        pytest.skip("BATTERY_PLATFORM_MIRROR names no folder with the public data")
    lake = Lakehouse(Settings(home=tmp_path_factory.mktemp("public"), mirror=folder, threads=2))
    for data_set in entries().values():
        if data_set.id in ELSEWHERE:
            continue
        fetch(data_set, lake.settings)
        for report in take_public(lake, data_set):
            assert report.status == "taken", report.reason
            expected = len(DAMAGED) if data_set.id == "severson_attia_capacity" else 0
            assert report.total("rows_quarantined") == expected, report.path.name
    yield lake
    lake.close()


def test_entries_fill_what_they_say_under_their_licence(public_lake: Lakehouse) -> None:
    rows = public_lake.rows(
        "SELECT source_id, table_name, sum(rows_new + rows_quarantined)::BIGINT FROM raw_files "
        "GROUP BY ALL"
    )
    filled: dict[str, dict[str, int]] = {}
    for source, table, number in rows:
        filled.setdefault(source, {})[table] = number
    here = [data_set for data_set in entries().values() if data_set.id not in ELSEWHERE]
    assert filled == {data_set.id: data_set.fills for data_set in here}
    licences = dict(public_lake.rows("SELECT DISTINCT source_id, licence FROM raw_files"))
    assert licences == {data_set.id: data_set.licence for data_set in here}
    assert balance(public_lake).broken == ()


def test_cunha_gives_82_conditions_and_656_electrodes(public_lake: Lakehouse) -> None:
    sheets = "FROM raw_electrode_sheets WHERE source_id = 'cunha2020_nmc111'"
    assert public_lake.value(f"SELECT count(*) {sheets}") == 656
    assert public_lake.value(f"SELECT count(DISTINCT coating_id) {sheets}") == 82
    assert public_lake.value(f"SELECT count(DISTINCT electrode_id) {sheets}") == 656
    assert public_lake.rows(f"SELECT DISTINCT replicate {sheets} ORDER BY 1") == [
        (number,) for number in range(1, 9)
    ]
    means = public_lake.rows(
        "SELECT sheet, count(*), count(viscosity_pa_s) FROM raw_condition_means "
        "WHERE electrode_mass_mg IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    assert means == [("Feuil1", 82, 82), ("Feuil2", 9, 0)]
    classes = public_lake.rows(
        "SELECT mass_loading_class, count(*) FROM raw_condition_means "
        "WHERE mass_loading_class IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    assert classes == [("high", 31), ("low", 25), ("medium", 26)]


def test_cunha_loading_counts_active_material(public_lake: Lakehouse) -> None:
    """The evidence for `loading_basis`: means per condition equal the areal active mass."""
    singles = public_lake.rows(
        "SELECT avg(mass_loading_mg_cm2) FROM raw_electrode_sheets GROUP BY coating_id ORDER BY 1"
    )
    means = public_lake.rows(
        "SELECT active_mass_loading_mg_cm2 FROM raw_condition_means WHERE sheet = 'Feuil1' ORDER BY 1"
    )
    assert len(singles) == len(means) == 82
    for (single,), (mean,) in zip(singles, means, strict=True):
        assert single == pytest.approx(mean, abs=1e-9)
    assert public_lake.rows("SELECT DISTINCT loading_basis FROM raw_electrode_sheets") == [
        ("active_material",)
    ]


def test_duquesnoy_gives_440_structures(public_lake: Lakehouse) -> None:
    row = public_lake.rows(
        "SELECT count(*), count(DISTINCT structure_id), any_value(f.licence) FROM raw_mesostructures m "
        "JOIN raw_files f USING (file_id)"
    )
    assert row == [(440, 440, "CC BY-NC-SA 4.0")]


def test_capacity_curves_and_lives_of_84_cells(public_lake: Lakehouse) -> None:
    rows = public_lake.rows(
        "SELECT data_set, count(*), count(DISTINCT cell_id), min(cycle), max(cycle), "
        "min(points), max(points) FROM raw_capacity_curves GROUP BY 1 ORDER BY 1"
    )
    assert rows == [
        ("test1", 43 * 99 - 9, 43, 2, 100, 1000, 1000),
        ("train", 41 * 99 - 3, 41, 2, 100, 1000, 1000),
    ]
    held = public_lake.rows(
        "SELECT record->>'$.cell_id', (record->>'$.cycle')::INT FROM quarantine "
        "WHERE table_name = 'capacity_curves'"
    )
    assert sorted(held) == sorted(DAMAGED)
    for part, number, first in (("train", 41, [2160, 1434]), ("test1", 43, [1852, 2237])):
        lives = public_lake.rows(
            "SELECT cycle_life FROM raw_cycle_lives WHERE data_set = ? "
            "ORDER BY regexp_extract(cell_id, '\\d+$')::INT",
            [part],
        )
        assert [life for (life,) in lives[:2]] == first
        assert len(lives) == number
    values = public_lake.rows(
        "SELECT len(q), q[1], q[1000] = discharge_capacity_ah FROM (SELECT "
        "capacities_ah::DOUBLE[] AS q, discharge_capacity_ah FROM raw_capacity_curves "
        "WHERE cell_id = 'train-cell1' AND cycle = 2)"
    )
    assert values == [(1000, -0.00046003, True)]


def test_the_published_feature_predicts_life(public_lake: Lakehouse) -> None:
    """Severson's variance of Q100 - Q10 against life: cells and lives belong together."""
    ((correlation, cells),) = public_lake.rows(
        """SELECT corr(log10(v), log10(l.cycle_life)), count(*) FROM (
             SELECT a.cell_id, list_var_pop(list_transform(
               list_zip(a.capacities_ah::DOUBLE[], b.capacities_ah::DOUBLE[]),
               lambda pair: pair[1] - pair[2])) AS v
             FROM raw_capacity_curves a JOIN raw_capacity_curves b
               ON a.cell_id = b.cell_id AND a.cycle = 100 AND b.cycle = 10
           ) JOIN raw_cycle_lives l USING (cell_id)"""
    )
    assert cells == 84
    assert correlation < -0.85


def test_annotations_stand_where_they_say(public_lake: Lakehouse) -> None:
    assert public_lake.rows(
        "SELECT corpus, count(*) FROM raw_corpus_texts GROUP BY 1 ORDER BY 1"
    ) == [("batterydataextractor", 100), ("measeval", 313), ("olivetti_brat", 215)]
    spans = """FROM raw_corpus_annotations a JOIN raw_corpus_texts t USING (corpus, document_id)
               WHERE a.form = 'span'"""
    there = "substr(t.text, start_offset + 1, end_offset - start_offset) = a.surface_text"
    ((number, right),) = public_lake.rows(f"SELECT count(*), count(*) FILTER ({there}) {spans}")
    assert (number, right) == (20086 + 3363, 20086 + 3363)
    forms = public_lake.rows(
        "SELECT form, count(*) FROM raw_corpus_annotations WHERE corpus = 'olivetti_brat' "
        "GROUP BY 1 ORDER BY 1"
    )
    assert forms == [("attribute", 245), ("event", 3546), ("relation", 13385), ("span", 20086)]
    splits = public_lake.rows("SELECT split, count(*) FROM raw_corpus_texts GROUP BY 1 ORDER BY 1")
    assert dict(splits) == {"dev": 15, "evaluation": 100, "train": 200 + 248, "trial": 65}
    sodium = public_lake.value(
        "SELECT count(*) FROM raw_corpus_annotations WHERE surface_text = 'Na' "
        "AND corpus = 'olivetti_brat'"
    )
    assert sodium == 3, "the name of an element is no word for 'missing'"


def test_texts_are_those_of_the_files(public_lake: Lakehouse) -> None:
    for corpus, file, text in public_lake.rows("SELECT corpus, file, text FROM raw_corpus_texts"):
        if corpus == "batterydataextractor":
            continue
        content = (public_lake.settings.public_folder / corpus / file).read_bytes().decode()
        assert text == content, file


def test_a_volume_states_its_phases(public_lake: Lakehouse) -> None:
    (row,) = public_lake.records("SELECT * FROM raw_voxel_volumes")
    assert (row["nx"], row["ny"], row["nz"], row["voxel_um"]) == (256, 256, 256, 100 / 256)
    shares = [row[f"{phase}_fraction"] for phase in ("pore", "active", "binder")]
    assert [round(share, 4) for share in shares] == [0.4499, 0.4005, 0.1496]
    assert sum(shares) == pytest.approx(1, abs=1e-12)
    assert row["origin"] == "generated"


def test_diameters_and_simulations(public_lake: Lakehouse) -> None:
    assert public_lake.rows(
        "SELECT count(*), min(place), max(place), any_value(material), "
        "first(diameter_um ORDER BY place) FROM raw_particle_sizes"
    ) == [(409, 1, 409, "NMC111", 12.465)]
    assert public_lake.rows(
        "SELECT count(*), min(slurry_density_g_cm3), max(viscosity_at_18_pa_s) "
        "FROM raw_slurry_simulations"
    ) == [(220, 0.8895625, pytest.approx(6.606339, abs=1e-5))]
