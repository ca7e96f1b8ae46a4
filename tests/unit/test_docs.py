"""Dictionary and sources are generated; the committed ones must be what the generator makes."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_dictionary_is_what_the_generator_makes(generate: ModuleType) -> None:
    committed = (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    assert committed == generate.dictionary(), "run `make docs` and commit the result"
    listed = (ROOT / "dbt" / "models" / "staging" / "_sources.yml").read_text(encoding="utf-8")
    assert listed == generate.sources(), "run `make docs` and commit the result"


def test_every_table_and_mart_has_a_section(generate: ModuleType) -> None:
    from battery_platform.contracts.registry import TABLES

    headings = set(re.findall(r"^### (\w+)$", generate.dictionary(), flags=re.MULTILINE))
    models = {path.stem for path in (ROOT / "dbt" / "models" / "marts").glob("mart_*.sql")}
    assert headings >= {table.raw for table in TABLES.values()} | models


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    pages = [link for link in links if "://" not in link and link.endswith(".md")]
    assert [link for link in pages if not (page.parent / link).exists()] == []
