"""Dictionary and sources are generated; the committed ones must be what the generator makes."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs" / "how-to").glob("*.md"))]


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


VOLATILE = re.compile(
    r"design-[0-9a-f]{12,}|discharge-[0-9a-f]{12,}|\bDone in \d|\b\d+ assets\b|takes? \d+(\.\d+)? (s|min)\b"
)
"""What is another on each machine, or tomorrow: it is generated, tested or left out."""


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_guides_state_nothing_that_is_stale_tomorrow(page: Path) -> None:
    assert VOLATILE.findall(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_that_a_guide_shows_exists_with_its_options(page: Path) -> None:
    from typer.main import get_command

    from battery_platform.cli.verbs import app

    root = get_command(app)
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    lines = [
        line.split("#")[0].split("|")[0].split(">")[0]
        for block in blocks
        for line in block.splitlines()
        if line.strip().startswith("battery-platform ")
    ]
    for line in lines:
        words = line.split()[1:]
        command: Any = root
        while words and hasattr(command, "commands") and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        assert command is not root, f"{page.name}: no such command: {line}"
        known = {option for parameter in command.params for option in parameter.opts}
        known |= {option for parameter in command.params for option in parameter.secondary_opts}
        used = {word.split("=")[0] for word in words if word.startswith("--")}
        assert used <= known | {"--help", "--debug"}, f"{page.name}: {line}: {used - known}"


def test_documented_discharges_come_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The rates and the program of the guide, solved anew."""
    from battery_platform.electrochemistry.half_cell.assumptions import HALF_CELL
    from battery_platform.electrochemistry.half_cell.cell import HalfCell, solve
    from battery_platform.electrochemistry.half_cell.electrode import Electrode

    guide = (ROOT / "docs" / "how-to" / "cell-modeller.md").read_text(encoding="utf-8")
    rates = guide.split("| `--c-rate` |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    rows = [[float(cell) for cell in row.strip("| ").split("|")] for row in rates]
    cells = [HalfCell(Electrode(15.0, "coating", 35.0, 96.0), c_rate=row[0]) for row in rows]
    for row, solved in zip(rows, solve(cells, HALF_CELL), strict=True):
        numbers = (solved.specific_energy_wh_kg, solved.specific_power_w_kg, solved.capacity_mah_g)
        assert list(numbers) == pytest.approx(row[1:], rel=1e-3)
    program, printed = re.findall(
        r"```python\n(from battery_platform.*?)```\n\n```\n(.*?)```", guide, re.S
    )[0]
    exec(compile(program, "cell-modeller.md", "exec"), {})
    answered, documented = capsys.readouterr().out.split(), printed.split()
    assert answered[2::3] == documented[2::3]
    assert list(map(float, answered[1::3])) == pytest.approx(
        list(map(float, documented[1::3])), rel=1e-3
    )


def test_staging_holds_every_column_of_the_contracts() -> None:
    """Marts that count or show the columns of a contract read them from staging."""
    from battery_platform.contracts.base import columns
    from battery_platform.contracts.registry import TABLES

    for table in TABLES.values():
        staging = ROOT / "dbt" / "models" / "staging" / f"stg_{table.name}.sql"
        if staging.is_file():
            words = set(re.findall(r"\w+", staging.read_text(encoding="utf-8")))
            assert {column.name for column in columns(table.contract)} <= words, staging.name
