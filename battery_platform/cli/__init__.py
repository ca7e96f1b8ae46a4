"""`battery-platform`: one verb per thing a person wants done.

These modules parse arguments and print; what is done is done elsewhere. Exit status: 0 done, 1 the
work failed or data was refused, 2 the call was wrong.
"""

from __future__ import annotations

import os
import sys
import traceback

import typer

from battery_platform.cli import knowledge, physics, records, running
from battery_platform.cli.printing import fail
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


def main() -> None:
    """Run a command; what people can mend is told in a sentence, without a stack trace."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        app(arguments, standalone_mode=True)
    except PlatformError as error:
        if debug:
            traceback.print_exc()
        fail(str(error))
    except KeyboardInterrupt:
        fail("Stopped. What was committed stays; run the same command again to go on.")
    except BrokenPipeError:
        os._exit(0)
    except Exception as error:  # the last place where a fault of ours can become a sentence
        if debug:
            raise
        text = " ".join(str(error).split())[:400] or type(error).__name__
        fail(f"{type(error).__name__}: {text} (run again with --debug for the stack trace)")
