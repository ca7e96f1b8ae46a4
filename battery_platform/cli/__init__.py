"""`battery-platform`: one verb per thing a person wants done.

These modules parse arguments and print; what is done is done elsewhere. Exit status: 0 done, 1 the
work failed or data was refused, 2 the call was wrong.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, NoReturn

import typer

from battery_platform.cli import knowledge, physics, records, running
from battery_platform.cli.printing import err, fail, visible
from battery_platform.errors import PlatformError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A governed, always fresh data product for lithium-ion electrode manufacturing.\n\n"
    "Start with [bold]refresh[/bold], then [bold]ui[/bold], or drop a CSV with "
    "[bold]ingest FILE[/bold]. Add --json to any verb that prints a table, --debug for a stack trace.",
)
DATA, KNOWLEDGE, PLATFORM = "Data", "Models, design, physics, literature", "Platform"

app.command(rich_help_panel=DATA)(records.ingest)
app.command(rich_help_panel=DATA)(records.check)
app.command(name="map", rich_help_panel=DATA)(records.map_file)
app.command(rich_help_panel=DATA)(records.withdraw)
app.add_typer(records.quarantine_app, name="quarantine", rich_help_panel=DATA)
app.add_typer(records.catalogue_app, name="catalogue", rich_help_panel=DATA)

app.add_typer(knowledge.models_app, name="models", rich_help_panel=KNOWLEDGE)
app.command(rich_help_panel=KNOWLEDGE)(knowledge.predict)
app.command(rich_help_panel=KNOWLEDGE)(knowledge.design)
app.add_typer(physics.simulate_app, name="simulate", rich_help_panel=KNOWLEDGE)
app.command(rich_help_panel=KNOWLEDGE)(physics.replicate)
app.add_typer(knowledge.literature_app, name="literature", rich_help_panel=KNOWLEDGE)

app.command(rich_help_panel=PLATFORM)(running.refresh)
app.command(rich_help_panel=PLATFORM)(running.ui)
app.command(rich_help_panel=PLATFORM)(running.sql)
app.command(rich_help_panel=PLATFORM)(running.trace)
app.command(rich_help_panel=PLATFORM)(running.doctor)
app.command(rich_help_panel=PLATFORM)(running.backup)
app.command(rich_help_panel=PLATFORM)(running.restore)


def main() -> None:
    """Run a command; what people can mend is told in a sentence, without a stack trace."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        status = app(arguments, standalone_mode=False)
    except PlatformError as error:
        if debug:
            traceback.print_exc()
        fail(str(error))
    except BrokenPipeError:
        os._exit(0)
    except typer.Abort:
        status = INTERRUPTED
    except Exception as error:  # the last place where a fault of ours can become a sentence
        if hasattr(error, "format_message"):
            _tell_usage(error)
        if debug:
            raise
        fail(_sentence(error))
    if status == INTERRUPTED:
        err.print("Stopped. What was committed stays; run the same command again to go on.")
    raise SystemExit(status or 0)


INTERRUPTED = 130
EXTRAS = {"psycopg2": "postgres", "dagster_postgres": "postgres", "distributed": "dask"}
"""Packages that only some settings need, and the extra that installs them."""


def _sentence(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and (error.name or "") in EXTRAS:
        return (
            f"The package {error.name} is not installed, and the settings ask for it. Install it with "
            f"`pip install 'battery-platform[{EXTRAS[error.name or '']}]'`."
        )
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return (
            f"{place}{error.strerror}. Check the path, its rights and the room on its disk; "
            "--debug shows where it happened."
        )
    text = " ".join(str(error).split())[:400] or type(error).__name__
    return f"{type(error).__name__}: {text} (run again with --debug for the stack trace)"


def _tell_usage(error: Any) -> NoReturn:
    """A wrong call, said as Typer says it; the words of the call are others' words too."""
    from typer.rich_utils import rich_format_error

    says = visible(error.format_message())
    error.format_message = lambda: says
    rich_format_error(error)
    raise SystemExit(error.exit_code)
