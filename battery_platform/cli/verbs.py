"""The command line's verbs, put together."""

from __future__ import annotations

import typer

from battery_platform.cli import knowledge, physics, records, running

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
