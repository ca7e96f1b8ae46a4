"""The public catalogue: verified, resumed, mirrored; never trusted."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from battery_platform.errors import PlatformError
from battery_platform.records.catalogue import Entry, PublicFile, entries, entry, fetch
from battery_platform.records.sources import take_public
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse

CONTENT = b"lot_id,material_kind,material_name\n" + b"".join(
    f"L{number},binder,PVdF\n".encode() for number in range(2000)
)


class Server(BaseHTTPRequestHandler):
    """Serves one file, with ranges; may break off after some bytes."""

    break_after: ClassVar[int | None] = None
    served: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
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
    Server.break_after, Server.served = None, []
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
    one = made(address)
    assert [item.origin for item in fetch(one, lake.settings)] == ["download"]
    assert [item.origin for item in fetch(one, lake.settings)] == ["here already"]
    (report,) = take_public(lake, one)
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


def test_every_entry_states_licence_citation_and_checksums() -> None:
    for one in entries().values():
        assert one.licence
        assert one.citation
        assert one.address.startswith("https://")
        for item in one.files:
            assert len(item.sha256) == 64
            assert item.mapping or item.skip, (
                f"{item.name} is neither mapped nor skipped with a reason"
            )


def test_unknown_entries_are_named() -> None:
    with pytest.raises(PlatformError, match="cunha2020_nmc111"):
        entry("cunha")


@pytest.fixture
def public_lake(lake: Lakehouse, mirror: Path) -> Lakehouse:
    settings = replace(lake.settings, mirror=mirror)
    for one in entries().values():
        fetch(one, settings)
        for report in take_public(lake, one):
            assert report.status == "taken", report.reason
            assert report.total("rows_quarantined") == 0
    return lake


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
