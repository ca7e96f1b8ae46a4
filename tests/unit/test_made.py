"""What decides a result is found in its code; a result is computed again only where that changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from battery_platform.contracts.products import PRODUCTS
from battery_platform.errors import StoreError
from battery_platform.made import fingerprint as fingerprints
from battery_platform.made.fingerprint import fingerprint, reached
from battery_platform.made.kept import Basis, Kept, Made, now, unless_same, why_anew
from battery_platform.made.products import put
from battery_platform.made.remembered import FILE, recall, remember
from battery_platform.models.kinds.kind import code_of
from battery_platform.models.specification import MODELS
from battery_platform.store.lakehouse import Lakehouse

RESEEDS = "battery_platform.models.reseeds:protocol"
FACTORS = "battery_platform.factors.campaigns:analyse"
GRADED = "battery_platform.electrochemistry.graded_runs:solve_batch"
HALF_CELLS = "battery_platform.electrochemistry.half_cell_runs:solve_batch"
Change = Callable[[str, str, str], None]


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Change]:
    """Change a source file, as the fingerprints see it: a copy is read instead of the package."""
    root = tmp_path / "battery_platform"
    subprocess.run(["cp", "-r", str(fingerprints.ROOT), str(root)], check=True)
    monkeypatch.setattr(fingerprints, "ROOT", root)
    fingerprints.forget_sources()

    def apply(file: str, old: str, new: str) -> None:
        path = root / file
        text = path.read_text()
        assert old in text, f"{file} holds no {old!r}"
        path.write_text(text.replace(old, new, 1))
        fingerprints.forget_sources()

    yield apply
    monkeypatch.undo()
    fingerprints.forget_sources()


def versions() -> dict[str, str]:
    return {name: code_of(model) for name, model in MODELS.items()}


# -- fingerprints ---------------------------------------------------------------------------


def test_a_function_that_a_result_calls_changes_it_however_far_away(change: Change) -> None:
    before = fingerprint(RESEEDS), fingerprint(FACTORS)
    change(
        "models/splits.py",
        "    tested = max(1, ",
        "    return None  # type: ignore\n    tested = max(1, ",
    )
    assert fingerprint(RESEEDS) != before[0]
    assert fingerprint(FACTORS) == before[1], "no factor is found by a single holdout"
    change(
        "models/splits.py",
        "order = np.random.default_rng(seed)",
        "order = np.random.default_rng(0)",
    )
    assert fingerprint(FACTORS) != before[1]


def test_a_picture_makes_nothing_stale(change: Change) -> None:
    before = versions(), fingerprint(FACTORS), fingerprint(RESEEDS)
    change("models/pictures.py", "figsize=(", "figsize=(1 + ")
    change("factors/pictures.py", "fontsize=9", "fontsize=10")
    change("models/card.py", "## Data", "## The data")
    assert (versions(), fingerprint(FACTORS), fingerprint(RESEEDS)) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import numpy as np", "import numpy as np  # for arrays"),
        ('"""Train and', '"""Otherwise worded: Train and'),
        (
            "    names = np.unique(groups)\n    if len(names) < 2:",
            "    names = np.unique( groups )\n\n    if len(names) < 2:",
        ),
        ("All rows come from one batch: nothing", "There is one batch only: nothing"),
    ],
)
def test_comments_docstrings_layout_and_words_of_errors_do_not_count(
    change: Change, old: str, new: str
) -> None:
    before = versions()
    change("models/splits.py", old, new)
    assert versions() == before


def test_an_algorithm_makes_those_models_stale_that_try_it(change: Change) -> None:
    before = versions()
    change("models/networks.py", "def fit_wide(", "WIDER = 1\n\n\ndef fit_wide(")
    assert versions() == before, "a name that nothing uses decides nothing"
    change("models/boosting.py", "def _grown(", "def _grown_otherwise(")
    now_stale = {name for name, code in versions().items() if code != before[name]}
    assert now_stale == {
        name
        for name, model in MODELS.items()
        if "boosted trees" in (*model.algorithms, *model.when_many)
    }


def test_one_models_specification_is_its_own(change: Change) -> None:
    before = versions()
    change("models/specification.py", '"Mass loading of an uncalendered electrode"', '"Loading"')
    assert versions() == before


def test_the_reader_of_rows_decides_the_models_that_learn_from_them(change: Change) -> None:
    before = versions()
    change("models/sources.py", "WHERE lower_cutoff_v = 2.5", "WHERE lower_cutoff_v = 2.6")
    assert {name for name, code in versions().items() if code != before[name]} == {"graded-energy"}


def test_modules_that_are_imported_by_name_count(change: Change) -> None:
    before = fingerprint(GRADED), fingerprint(HALF_CELLS)
    change("electrochemistry/graded/model.py", "OUTPUTS", "OUTPUTS_")
    assert fingerprint(GRADED) != before[0]
    assert fingerprint(HALF_CELLS) == before[1]
    change("electrochemistry/materials.py", "def ", "def _unused(): ...\n\n\ndef ")
    assert fingerprint(HALF_CELLS) == before[1]


def test_libraries_that_compute_count_and_those_that_carry_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ("pybamm", "") in reached(GRADED)
    assert not any(module.startswith("battery_platform.store") for module, _ in reached(FACTORS))
    before = fingerprint(GRADED)
    fingerprints.forget_sources()
    monkeypatch.setattr(fingerprints, "version", lambda name: "99.1")
    fingerprints._release.cache_clear()
    assert fingerprint(GRADED) != before
    fingerprints._release.cache_clear()
    fingerprints.forget_sources()


def test_what_is_remembered_holds_for_one_digest(lake: Lakehouse) -> None:
    settings = lake.settings
    assert recall(settings, "names", "a") is None  # not even a folder is there
    lake.snapshot()
    remember(settings, "names", "a", ["one", "two"])
    assert recall(settings, "names", "a") == ["one", "two"]
    remember(settings, "names", "b", {"three": 3})
    assert recall(settings, "names", "b") == {"three": 3}
    assert recall(settings, "names", "a") is None
    (settings.home / "lake" / FILE).write_bytes(
        b"no database, but long enough to be taken for one" * 9
    )
    assert recall(settings, "names", "b") is None


@pytest.mark.parametrize("maker", ["battery_platform.nowhere:f", "battery_platform.sizes:nothing"])
def test_what_is_not_there_is_refused(maker: str) -> None:
    with pytest.raises(ValueError, match=r"no module|defines no"):
        fingerprint(maker)


def test_a_fingerprint_imports_nothing_that_it_looks_at() -> None:
    code = (
        "import sys; from battery_platform.made.fingerprint import fingerprint; "
        f"fingerprint({GRADED!r}); fingerprint({FACTORS!r}); "
        "print(*(m for m in ('pybamm', 'scipy', 'sklearn', 'numpy', 'pandera') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# -- kept -----------------------------------------------------------------------------------


def optimum(part: str, place: int) -> dict[str, object]:
    return {
        **{"part": part, "case_number": 1, "positive_thickness_um": 120.0, "place": place},
        **{"positive_profile": "[]", "negative_profile": "[]", "gain_sum_wh_kg": 1.0},
        **{"place_at_160_um": 1, "n_pairs": 1, "code_version": "c", "assumptions_hash": "a"},
        "made_at": now(),
    }


def keep(lake: Lakehouse, part: str, basis: Basis, places: int) -> Kept:
    rows = [optimum(part, place) for place in range(1, places + 1)]
    return unless_same(
        lake, "graded_optima", {"part": [part]}, basis, lambda: Made({"graded_optima": rows})
    )


def test_a_result_is_made_once_and_says_why_it_is_made_again(lake: Lakehouse) -> None:
    first = keep(lake, "a", Basis("code", "asked", "data"), 2)
    assert (first.because, len(first.rows)) == ("first time", 2)
    before = lake.snapshot()
    assert not keep(lake, "a", Basis("code", "asked", "data"), 5).is_new
    assert lake.snapshot() == before
    assert keep(lake, "a", Basis("other", "asked", "data"), 1).because == "code changed"
    both = keep(lake, "a", Basis("other", "more", "new"), 3)
    assert both.because == "parameters and data changed"
    assert [row["place"] for row in both.rows] == [1, 2, 3]


def test_scopes_of_one_table_are_kept_apart(lake: Lakehouse) -> None:
    keep(lake, "a", Basis("code"), 2)
    keep(lake, "b", Basis("code"), 3)
    assert keep(lake, "a", Basis("new"), 1).is_new
    assert not keep(lake, "b", Basis("code"), 1).is_new
    assert lake.value("SELECT count(*) FROM graded_optima") == 4


def test_no_rows_is_a_result_as_well(lake: Lakehouse) -> None:
    assert keep(lake, "a", Basis("code"), 0).is_new
    assert not keep(lake, "a", Basis("code"), 0).is_new


def test_rows_that_went_missing_are_made_again(lake: Lakehouse) -> None:
    keep(lake, "a", Basis("code"), 3)
    lake.write(lambda cursor: cursor.execute("DELETE FROM graded_optima WHERE place = 2"))
    again = keep(lake, "a", Basis("code"), 3)
    assert (again.because, len(again.rows)) == ("first time", 3)


def test_a_result_that_breaks_its_contract_leaves_the_old_one(lake: Lakehouse) -> None:
    keep(lake, "a", Basis("code"), 2)
    wrong = Made({"graded_optima": [optimum("a", 1) | {"n_pairs": 0}]})
    with pytest.raises(StoreError, match="break its contract"):
        unless_same(lake, "graded_optima", {"part": ["a"]}, Basis("new"), lambda: wrong)
    assert len(keep(lake, "a", Basis("code"), 9).rows) == 2


def test_why_anew_names_what_changed() -> None:
    assert why_anew(None, {"code": "a"}) == "first time"
    assert why_anew({"code": "a", "data": "b"}, {"code": "a", "data": "b"}) == ""
    assert (
        why_anew({"code": "a", "data": "b"}, {"code": "b", "data": "c"}) == "code and data changed"
    )


# -- declarations ---------------------------------------------------------------------------


def test_every_query_of_a_declaration_runs(lake: Lakehouse) -> None:
    put(lake, {"graded_optima": [optimum("a", 1)]})
    for product in PRODUCTS.values():
        lake.rows(f"SELECT {product.identifier} FROM {product.name}")
        for query in product.parents:
            lake.rows(f"SELECT * FROM ({query}) p(child_id, parent_kind, parent_id)")
        if product.lines:
            lake.rows(product.lines)


def test_kinds_and_prefixes_of_products_are_their_own() -> None:
    whole = [product for product in PRODUCTS.values() if not product.is_part]
    kinds = [product.kind for product in whole]
    prefixes = [product.id_prefix for product in whole if product.id_prefix]
    assert len(set(kinds)) == len(kinds)
    assert len(set(prefixes)) == len(prefixes)
