"""Verbs about what the platform knows: models, predictions, designs, physics, literature."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from battery_platform.cli.printing import (
    SYNTHETIC,
    AsJson,
    err,
    open_lake,
    out,
    probability,
    show,
)
from battery_platform.errors import PlatformError
from battery_platform.settings import Settings

if TYPE_CHECKING:
    from battery_platform.models.specification import Specification

models_app = typer.Typer(
    no_args_is_help=True, help="Registered models: how good they are, what they were trained on."
)
literature_app = typer.Typer(
    no_args_is_help=True, help="Texts: what they report of electrodes, with the exact place."
)

Name = Annotated[str, typer.Argument(help="Name of the model, such as mass-loading.")]


# -- models ---------------------------------------------------------------------------------


@models_app.command("list")
def models_list(as_json: AsJson = False) -> None:
    """Every version: who is champion, how it was judged, from which data."""
    from battery_platform.models.registry import all_aliases
    from battery_platform.models.standings import standings

    opened = open_lake()
    rows = standings(opened)
    named = all_aliases(opened.settings)
    listed = [
        {
            "model": row["model"],
            "version": row["version"],
            "alias": ", ".join(
                alias
                for alias, version in named.get(row["model"], {}).items()
                if version == row["version"]
            ),
            **{name: value for name, value in row.items() if name not in {"model", "version"}},
        }
        for row in rows
    ]
    if as_json:
        show(listed, True)
        return
    show(
        [
            {
                "model": f"{row['model']} {row['version']}",
                "alias": row["alias"],
                "target": row["target"],
                **_beside_baseline(row),
                "rows": row["n_rows"],
                "groups": row["groups"],
                "synthetic": row["synthetic"],
            }
            for row in listed
        ],
        False,
        empty="no model was trained yet: run `battery-platform refresh`",
    )
    for row in {(row["model"], row["version"]): row for row in listed}.values():
        if row["decision"] != "champion":
            err.print(
                Text(
                    f"{row['model']} {row['version']} did not pass the gate: {row['decision_reason']}",
                    style="yellow",
                ),
                soft_wrap=True,
            )


def _beside_baseline(row: dict[str, Any]) -> dict[str, Any]:
    """The figure by which a version is judged, and that of the best simple baseline."""
    metric = "accuracy" if row["accuracy"] is not None else "rmse"
    other = row[f"baseline_{metric}"]
    return {
        "metric": metric,
        "ours": row[metric],
        "best baseline": "" if other is None else f"{other:.4g} ({row['baseline']})",
        "R²": row["r2"],
        "90 % holds": row["coverage_90"],
        "algorithm": row["algorithm"],
    }


@models_app.command("card")
def models_card(
    name: Name,
    version: Annotated[
        int | None, typer.Option(min=1, help="A version; otherwise the champion.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The model card: data, ranges, metrics against baselines, calibration, the gate's findings."""
    from battery_platform.models.registry import champion, known

    opened = open_lake()
    chosen = version if version is not None else champion(opened.settings, known(name).name)
    rows = opened.records(
        "SELECT * FROM model_versions WHERE model_name = ? AND version = ?", [name, chosen]
    )
    if not rows:
        raise PlatformError(
            f"There is no version {chosen} of {name}.", "`battery-platform models list` shows them."
        )
    if as_json:
        scores = opened.records(
            """SELECT target, candidate, slice, metric, value, low, high, n FROM model_evaluations
               WHERE model_name = ? AND version = ? ORDER BY target, slice, metric, candidate""",
            [name, chosen],
        )
        show([{**rows[0], "evaluations": scores}], True)
        return
    from rich.markdown import Markdown

    out.print(Markdown(rows[0]["card"]))
    out.print(
        f"Load it wherever the registry {opened.settings.registry_url.split('@')[-1]} and its files "
        f"can be reached: mlflow.pyfunc.load_model('models:/{name}/{chosen}')",
        soft_wrap=True,
    )


Reason = Annotated[str, typer.Option(help="Why; consumers of the model will read it.")]


@models_app.command("promote")
def models_promote(
    name: Name,
    version: Annotated[int, typer.Argument(min=1, help="Version that shall answer.")],
    reason: Reason,
    although_refused: Annotated[
        bool, typer.Option("--although-refused", help="Even if the gate refused it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion. The gate does that by itself; this is a person's say."""
    from battery_platform.models.events import promote

    show([promote(open_lake(), name, version, reason, although_refused)], as_json)


@models_app.command("rollback")
def models_rollback(name: Name, reason: Reason, as_json: AsJson = False) -> None:
    """Withdraw the champion: the version before it answers again, until a better one passes the gate."""
    from battery_platform.models.events import rollback

    show([rollback(open_lake(), name, reason)], as_json)


@models_app.command("events")
def models_events(as_json: AsJson = False) -> None:
    """What was promoted, refused and rolled back, when, by whom and why; the newest first."""
    rows = open_lake().records("FROM model_events ORDER BY happened_at DESC")
    show(rows, as_json, empty="nothing happened yet: run `battery-platform refresh`")


@models_app.command("reseed")
def models_reseed(
    name: Name,
    seeds: Annotated[int, typer.Option(min=2, help="Random splits.")] = 75,
    as_json: AsJson = False,
) -> None:
    """Random splits of whole groups, 80 to 20: R² and RMSE of a plain Gaussian process, as paper 000.

    The interval is that of the mean over the splits; the percentiles are of single splits. What is in
    the lake of these rows and this code is shown and not computed again.
    """
    from battery_platform.cli.physics import solving
    from battery_platform.models.registry import known
    from battery_platform.models.reseeds import protocol

    with solving(quiet=as_json) as step:
        kept, _ = protocol(open_lake(), known(name), seeds, step)
    rows = kept.rows
    if as_json:
        show(rows, True)
        return
    if rows[0]["is_synthetic"]:
        out.print(Text(SYNTHETIC, style="bold red"))
    show(
        [
            {
                "target": row["target"],
                "part": row["part"],
                "metric": row["metric"],
                "mean": row["mean"],
                "95 % of mean from": row["mean_low_95"],
                "to": row["mean_high_95"],
                "2.5 % of splits": row["low_2_5"],
                "97.5 %": row["high_97_5"],
            }
            for row in rows
        ],
        False,
        title=f"{rows[0]['n_seeds']} splits of {rows[0]['n_rows']} rows",
    )


def predict(
    name: Name,
    source: Annotated[
        Path, typer.Option("--input", help="CSV, XLSX or Parquet: one row per recipe.")
    ],
    target: Annotated[
        Path | None, typer.Option("--output", help="Write a CSV instead of printing.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="A version; otherwise the champion.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a model: value, standard deviation, 90 % interval, whether the recipe lies in the data.

    `models card NAME` shows the inputs. A recipe is active_material_pct, solid_content_pct,
    viscosity_pa_s (at the shear rate of the coating gap) and comma_gap_um; its headers are recognised
    in three languages and with other units, which are converted. Columns of other models carry the
    names of the card; of a cell, what is known already may be given beside, and comes back as known_....
    A row that cannot be answered is flagged with the reason; exit status 1 if not one row could be answered.
    """
    import pandas as pd
    import polars as pl

    from battery_platform.models.registry import champion, inputs_of, known, load
    from battery_platform.records.recipes import read_numbers, read_recipes

    model = known(name)
    settings = Settings.from_env()
    if target is not None and (target.is_dir() or not target.absolute().parent.is_dir()):
        raise PlatformError(
            f"{target} cannot be written.", "Name a file in a folder that is there."
        )
    if target is not None and target.exists() and target.samefile(source):
        raise PlatformError(f"{target} is the input itself.", "Name another file for the answers.")
    if version is None:
        version = champion(settings, name)
    if model.source.as_recipes:
        recipes = read_recipes(source, model.inputs, settings)
    else:
        needed, known_already = inputs_of(settings, name, version)
        recipes = read_numbers(source, needed, settings, known_already)
    answers = load(settings, name, version)(recipes.values.to_pandas())
    rows = []
    for line, recipe, answer in zip(
        recipes.lines, recipes.values.to_dicts(), answers.to_dict("records"), strict=True
    ):
        told = [*recipes.problems.get(line, []), *([answer["note"]] if answer["note"] else [])]
        numbers = {key: None if pd.isna(value) else value for key, value in answer.items()}
        given = {f"known_{key}" if key in answer else key: one for key, one in recipe.items()}
        rows.append({"line": line, **given, **numbers, "note": "; ".join(told), "version": version})
    for note in recipes.notes:
        err.print(Text(note, style="dim"), soft_wrap=True)
    if rows[0]["synthetic"]:
        err.print(Text(SYNTHETIC, style="bold red"))
    if target is not None:
        _write(target, pl.DataFrame(rows, infer_schema_length=None).write_csv())
        err.print(f"wrote {len(rows)} row(s) to {target}")
    elif as_json:
        show(rows, True)
    else:
        _show_answers(rows, model)
    answered = next(iter(model.class_outputs.values()), model.target)
    if all(row[answered] in (None, "") for row in rows):
        raise SystemExit(1)


def _write(target: Path, text: str) -> None:
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PlatformError(
            f"{target} cannot be written completely: {error.strerror}.",
            "Name a file where there is room and that you may write.",
        ) from error


def _show_answers(rows: list[dict[str, Any]], model: Specification) -> None:
    is_single = len(model.quantities) == 1
    show(
        [
            {
                "line": row["line"],
                **({name: row[name] for name in model.inputs} if is_single else {}),
                **({} if is_single else {"quantity": quantity.target}),
                **_answer(row, quantity, quantity.target if is_single else "value"),
                "in data": row["in_domain"],
                "distance": row["distance"],
            }
            for row in rows
            for quantity in model.quantities
            if is_single or quantity.target in row
        ],
        False,
    )
    for row in rows:
        for column, kind in model.more_outputs:
            if kind == "string":
                err.print(f"line {row['line']}: {column} is {row[column] or 'not told'}")
    for row in rows:
        if row["note"]:
            err.print(Text(f"line {row['line']}: {row['note']}", style="yellow"), soft_wrap=True)


def _answer(row: dict[str, Any], quantity: Specification, called: str) -> dict[str, Any]:
    """A value with its interval, or a class with the probability of each."""
    if quantity.classes:
        names = quantity.class_outputs
        return {"class": row[names["class"]]} | {
            f"p({label})": None if row[names[label]] is None else probability(row[names[label]])
            for label in quantity.classes
        }
    return {
        called: row[quantity.outputs["value"]],
        "sd": row[quantity.outputs["standard_deviation"]],
        "90 % from": row[quantity.outputs["low_90"]],
        "to": row[quantity.outputs["high_90"]],
    }


# -- design ---------------------------------------------------------------------------------


def design(
    target: Annotated[
        str,
        typer.Option(
            help='What is wanted, "mass_loading_mg_cm2=15,porosity_pct=50" or one of both.'
        ),
    ],
    tolerance: Annotated[
        str,
        typer.Option(help="Allowed deviation either way, the same form; otherwise 10 % of each."),
    ] = "",
    once: Annotated[
        bool, typer.Option("--once", help="Do not answer this target again each night.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The recipe within the data that most likely meets a loading, a porosity, or both.

    The answer is stored, can be traced to files and lines, and is given anew each night.
    """
    from battery_platform.design.inverse import design as answer
    from battery_platform.design.stored import predicted_names, unknown_of_electrode
    from battery_platform.design.targets import parse

    row, _ = answer(open_lake(), parse(target, tolerance), once)
    if as_json:
        show([row], True)
        return
    if row["is_synthetic"]:
        out.print(Text(SYNTHETIC, style="bold red"))
    out.print(
        Text.assemble(
            (row["design_id"], "bold"),
            f": active material {row['active_material_pct']:.1f} %, solids {row['solid_content_pct']:.1f} %, "
            f"viscosity {row['viscosity_pa_s']:.2f} Pa·s at the coating shear rate, comma gap "
            f"{row['comma_gap_um']:.0f} µm",
        ),
        soft_wrap=True,
    )
    show(
        [
            {
                "property": name,
                "wanted": row[f"target_{name}"],
                "allowed": f"± {row[f'tolerance_{name}']:.4g}",
                "predicted": row[name],
                "sd": row[deviation],
                "probability": probability(row[chance]),
            }
            for name, deviation, chance in map(predicted_names, row["wanted"])
        ],
        False,
    )
    out.print(
        f"{'Both are' if len(row['wanted']) > 1 else 'It is'} met with a probability of "
        f"{probability(row['probability'])} ({row['candidates']} recipes "
        f"compared; loading counts {row['loading_basis'].replace('_', ' ')})."
    )
    if row["note"]:
        err.print(Text(row["note"], style="yellow"), soft_wrap=True)
    show(
        [
            {
                "electrode": one["electrode_id"],
                "active %": one["active_material_pct"],
                "solids %": one["solid_content_pct"],
                "Pa·s": one["viscosity_pa_s"],
                "gap µm": one["comma_gap_um"],
                "loading": one["mass_loading_mg_cm2"],
                "porosity": one["porosity_pct"],
                "stated in": f"{one['file_name']}:{one['line']}",
            }
            for one in row["neighbours"]
        ],
        False,
        title="Nearest electrodes that were made",
    )
    discharge = (
        ""
        if unknown_of_electrode(row)
        else f"[bold]battery-platform simulate half-cell --design {row['design_id']}[/bold], "
    )
    out.print(f"Next: {discharge}[bold]battery-platform trace {row['design_id']}[/bold]")


# -- literature -----------------------------------------------------------------------------


@literature_app.command("add")
def literature_add(
    paths: Annotated[list[Path], typer.Argument(help="Plain-text files.")], as_json: AsJson = False
) -> None:
    """Copy texts into the literature folder and read them.

    Exit status 1 if one is no text: it is quarantined with the reason.
    """
    from battery_platform.literature.folder import add

    readings = add(open_lake(), paths)
    show([vars(one) for one in readings], as_json)
    if any(one.status == "quarantined" for one in readings):
        raise SystemExit(1)


@literature_app.command("search")
def literature_search(
    words: Annotated[
        list[str] | None, typer.Argument(help="Words that the sentence or file name must hold.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--property", help="porosity_pct, thickness_um or mass_loading_mg_cm2."),
    ] = None,
    low: Annotated[float | None, typer.Option("--min", help="Value at or above this.")] = None,
    high: Annotated[float | None, typer.Option("--max", help="Value at or below this.")] = None,
    as_json: AsJson = False,
) -> None:
    """Values that texts report, with qualifier, unit and exact place."""
    from battery_platform.contracts.products.literature import PROPERTIES
    from battery_platform.literature.folder import search

    if name is not None and name not in PROPERTIES:
        raise typer.BadParameter(
            f"'{name}' is none of {', '.join(PROPERTIES)}", param_hint="--property"
        )
    rows = search(open_lake(), " ".join(words or []), name, low, high)
    if as_json:
        show(rows, True)
        return
    show(
        [
            {
                "where": f"{row['file_name']}:{row['start_offset']}-{row['end_offset']}"
                + (" (synthetic)" if row["is_synthetic"] else ""),
                "property": row["property"],
                "value": f"{row['low']:g}"
                if row["low"] == row["high"]
                else f"{row['low']:g} to {row['high']:g}",
                "stated": row["qualifier"] + ("" if row["is_plausible"] else f" ({row['note']})"),
                "quote": row["quote"],
                "sentence": " ".join(row["sentence"].split())[:160],
            }
            for row in rows
        ],
        False,
        empty="nothing was found; `battery-platform literature add FILE` reads more",
    )
