"""Inverse design: which recipe within the data most likely meets the targets.

Champions are used as consumers load them. Among equally likely recipes the one closer to the data wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from battery_platform.design.probability import within, within_all
from battery_platform.design.recipes import candidates
from battery_platform.design.stored import (
    all_designs,
    find,
    is_stored,
    keep,
    let_rest,
    newest,
    target_of,
)
from battery_platform.design.targets import (
    DEFAULT,
    Target,
    answering,
    checked,
    is_answerable,
    parse,
)
from battery_platform.errors import PlatformError
from battery_platform.lazily import Lazily
from battery_platform.made.fingerprint import fingerprint
from battery_platform.made.products import Rows
from battery_platform.made.studies import name_of
from battery_platform.models import registry
from battery_platform.models.specification import RECIPE
from battery_platform.store.lakehouse import Lakehouse, sql_texts

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = Lazily("pandas")

SHOWN_NEIGHBOURS = 3
PLACE = ("electrode_id", "file_name", "line", "is_synthetic")
"""What is reported about a neighbouring electrode besides its recipe and measurements."""


@dataclass(frozen=True, eq=False)
class Champion:
    """The version of a model that predicts a quantity, and the columns of its predictions."""

    quantity: str
    model_name: str
    version: int
    ask: Callable[[pd.DataFrame], pd.DataFrame]
    value: str
    deviation: str


@dataclass(frozen=True, eq=False)
class Champions:
    """A champion for each wanted quantity, in order, and the electrodes they were trained on."""

    asked: tuple[Champion, ...]
    made: pd.DataFrame
    correlation: float | None
    """Correlation of the errors of two champions."""
    snapshot: int
    is_synthetic: bool
    active_material: str | None
    loading_basis: str
    licence: str


def design_code() -> str:
    """Hash of the code that decides which recipe is recommended."""
    return fingerprint(search)


def design_id(target: Target, runs: Sequence[str]) -> str:
    """An identifier; the same target, model versions and code have the same one."""
    return name_of("design", [asdict(wanted) for wanted in target], list(runs), design_code())


class NoPair(PlatformError):  # noqa: N818 -- it is the pair that is missing
    """No versions that passed the gate were trained on the same kind of electrodes."""


def models_for(target: Target) -> list[str]:
    """The models needed for a target, in the order of its quantities."""
    return list(dict.fromkeys(answering()[wanted.quantity].name for wanted in target))


def answering_versions(lake: Lakehouse, models: Sequence[str]) -> dict[str, int]:
    """The champions; if they were trained on different kinds of electrodes, the newest matching versions.

    This happens when one of two models was refused on new data: the older pair is used until both pass.
    """
    champions = {
        name: version
        for name in models
        if (version := registry.aliases(lake.settings, name).get(registry.CHAMPION)) is not None
    }
    kinds = {_kind(row) for row in _versions(lake, champions)}
    if len(kinds) == 1 and len(champions) == len(models):
        return champions
    newest_of_kind: dict[tuple[Any, ...], dict[str, int]] = {}
    for row in lake.records(
        """SELECT * EXCLUDE (card) FROM model_versions
           WHERE decision = 'champion' AND model_name IN (SELECT unnest(?)) ORDER BY version""",
        [list(models)],
    ):
        newest_of_kind.setdefault(_kind(row), {})[row["model_name"]] = row["version"]
    complete = [
        (kind, versions)
        for kind, versions in newest_of_kind.items()
        if len(versions) == len(models)
    ]
    if not complete:
        raise _no_pair(lake, models)
    _, best = min(complete, key=lambda pair: (pair[0][0], *(-pair[1][name] for name in models)))
    return {name: best[name] for name in models}


def _kind(row: dict[str, Any]) -> tuple[Any, ...]:
    """The kind of electrodes that a version was trained on."""
    return row["is_synthetic"], row["active_material"], row["loading_basis"]


def _no_pair(lake: Lakehouse, models: Sequence[str]) -> NoPair:
    trained = {name for (name,) in lake.rows("SELECT DISTINCT model_name FROM model_versions")}
    if missing := [name for name in models if name not in trained]:
        return NoPair(
            f"Nothing can be designed: no version of {' and of '.join(missing)} exists yet.",
            "`battery-platform refresh` trains the first.",
        )
    refusals = lake.rows(
        """SELECT model_name || ' ' || version || ': ' || decision_reason FROM model_versions
           WHERE decision <> 'champion' ORDER BY registered_at DESC LIMIT 2"""
    )
    lacking = (
        f"no versions of {' and '.join(models)} that speak of the same electrodes have"
        if len(models) > 1
        else f"no version of {models[0]} has"
    )
    return NoPair(
        f"Nothing can be designed: {lacking} passed the gate."
        + "".join(f" {refusal}." for (refusal,) in refusals),
        "`battery-platform models list` shows all; run `battery-platform refresh` for the first.",
    )


def standing_targets(lake: Lakehouse) -> list[Target]:
    """The default target and all other requested ones, except those requested only once."""
    asked = [target_of(last) for last in newest(all_designs(lake)) if last["is_standing"]]
    ordered = sorted(
        filter(is_answerable, asked),
        key=lambda target: [tuple(vars(wanted).values()) for wanted in target],
    )
    return list(dict.fromkeys([parse(DEFAULT), *ordered]))


def design(lake: Lakehouse, target: Target, once: bool = False) -> tuple[dict[str, Any], bool]:
    """The best recipe, stored with its neighbours, and whether it had to be searched for.

    With `once`, the nightly refresh no longer answers this target, even if it did before.
    """
    checked(target)
    versions = answering_versions(lake, models_for(target))
    identifier = design_id(target, _runs(lake, versions))
    if is_stored(lake, identifier):
        known = find(lake, identifier)
        if once and known["is_standing"]:
            let_rest(lake, identifier)
            known["is_standing"] = False
        return known, False
    keep(lake, identifier, search(_champions(lake, target, versions), target), not once)
    return find(lake, identifier), True


def _versions(lake: Lakehouse, versions: dict[str, int]) -> list[dict[str, Any]]:
    """The lake's rows of these versions, in order."""
    wanted = sql_texts(f"{name}/{version}" for name, version in versions.items())
    return lake.records(
        f"""SELECT * EXCLUDE (card) FROM model_versions
            WHERE model_name || '/' || version IN {wanted}
            ORDER BY list_position({wanted}, model_name || '/' || version)"""
    )


def _runs(lake: Lakehouse, versions: dict[str, int]) -> list[str]:
    """The runs of these versions; unlike version numbers, they are unique across registries."""
    return [row["run_id"] for row in _versions(lake, versions)]


def _champions(lake: Lakehouse, target: Target, versions: dict[str, int]) -> Champions:
    rows = _versions(lake, versions)
    predict = {
        name: registry.load(lake.settings, name, version) for name, version in versions.items()
    }
    asked = []
    for wanted in target:
        model = answering()[wanted.quantity]
        asked.append(
            Champion(
                wanted.quantity,
                model.name,
                versions[model.name],
                predict[model.name],
                model.outputs["value"],
                model.outputs["standard_deviation"],
            )
        )
    return Champions(
        tuple(asked),
        _made(lake, asked, rows[0]["snapshot_id"]),
        _correlation(lake, asked),
        rows[0]["snapshot_id"],
        rows[0]["is_synthetic"],
        rows[0]["active_material"],
        rows[0]["loading_basis"] or "not stated",
        ", ".join(sorted({row["licence"] for row in rows})),
    )


def _made(lake: Lakehouse, asked: Sequence[Champion], snapshot: int) -> pd.DataFrame:
    """The electrodes that the first model was trained on, as of its snapshot."""
    columns = ", ".join(f"e.{name}" for name in (*RECIPE, *answering()))
    measured = " AND ".join(f"e.{champion.quantity} IS NOT NULL" for champion in asked)
    with lake.cursor() as cursor:
        made: pd.DataFrame = cursor.execute(
            f"""SELECT DISTINCT e.electrode_id, {columns},
                       e.file_name, e.row_number AS line, e.is_synthetic
                FROM mart_electrodes AS e AT (VERSION => {int(snapshot)})
                JOIN model_training_rows t ON t.electrode_id = e.electrode_id
                WHERE t.model_name = ? AND t.version = ? AND {measured}
                ORDER BY e.electrode_id""",
            [asked[0].model_name, asked[0].version],
        ).df()
    return made


def _correlation(lake: Lakehouse, asked: Sequence[Champion]) -> float | None:
    """Correlation of the standardised errors of two models, on electrodes held out by both."""
    if len(asked) == 1:
        return None
    correlation = lake.value(
        """SELECT corr((a.measured - a.predicted) / a.standard_deviation,
                       (b.measured - b.predicted) / b.standard_deviation)
           FROM model_predictions a JOIN model_predictions b USING (electrode_id, repeat)
           WHERE a.model_name = ? AND a.version = ? AND a.target = ?
             AND b.model_name = ? AND b.version = ? AND b.target = ?""",
        [
            value
            for champion in asked
            for value in (champion.model_name, champion.version, champion.quantity)
        ],
    )
    if correlation is None or not np.isfinite(correlation):
        return 0.0
    return float(np.clip(correlation, -0.95, 0.95))


def search(champions: Champions, target: Target) -> Rows:
    """The recipe with the highest probability, and the closest electrodes already made.

    Returns the rows of a design, by table, without its identifier.
    """
    made = champions.made[list(RECIPE)].to_numpy(dtype=float)
    logs = np.log(made)
    spread = np.where(logs.std(axis=0) > 0, logs.std(axis=0), 1.0)
    frame = pd.DataFrame(candidates(made, logs / spread), columns=list(RECIPE))
    answers = [champion.ask(frame) for champion in champions.asked]
    pairs = list(zip(champions.asked, answers, strict=True))
    means = [answer[champion.value].to_numpy() for champion, answer in pairs]
    deviations = [answer[champion.deviation].to_numpy() for champion, answer in pairs]
    values = [wanted.value for wanted in target]
    tolerances = [wanted.tolerance for wanted in target]
    each = list(zip(means, deviations, values, tolerances, strict=True))
    together = within_all(means, deviations, values, tolerances, champions.correlation)
    inside = np.all([answer["in_domain"].to_numpy(dtype=bool) for answer in answers], axis=0)
    distance = np.max([answer["distance"].to_numpy(dtype=float) for answer in answers], axis=0)
    # if no recipe has a chance, choose the one that misses by the fewest standard deviations
    misses = sum(
        ((mean - value) / np.hypot(deviation, tolerance)) ** 2
        for mean, deviation, value, tolerance in each
    )
    order = np.lexsort((distance, misses, -together.round(4), ~inside))
    best = int(order[0])
    probability, in_domain = float(together[best]), bool(inside[best])
    neighbours, neighbour_values = _nearest(champions, frame.iloc[best], logs, spread)
    return {
        "designs": [
            {
                "probability": probability,
                "residual_correlation": champions.correlation,
                "in_domain": in_domain,
                "distance": float(distance[best]),
                "note": _note(target, champions, probability, in_domain),
                "candidates": len(frame),
                "active_material": champions.active_material,
                "loading_basis": champions.loading_basis,
                "snapshot_id": champions.snapshot,
                "code_hash": design_code(),
                "licence": champions.licence,
                "is_synthetic": champions.is_synthetic,
            }
        ],
        "design_targets": [
            {
                "quantity": wanted.quantity,
                "place": place,
                "wanted": float(wanted.value),
                "tolerance": float(wanted.tolerance),
                "predicted": float(mean[best]),
                "standard_deviation": float(deviation[best]),
                "probability": float(within(mean, deviation, wanted.value, wanted.tolerance)[best]),
                "model_name": champion.model_name,
                "version": champion.version,
            }
            for place, (wanted, champion, mean, deviation) in enumerate(
                zip(target, champions.asked, means, deviations, strict=True), start=1
            )
        ],
        "design_variables": [
            {"variable": name, "place": place, "value": float(frame[name].iloc[best])}
            for place, name in enumerate(RECIPE, start=1)
        ],
        "design_neighbours": neighbours,
        "design_neighbour_values": neighbour_values,
    }


def _note(target: Target, champions: Champions, probability: float, inside: bool) -> str | None:
    objections = []
    for wanted in target:
        low, high = champions.made[wanted.quantity].min(), champions.made[wanted.quantity].max()
        if not low <= wanted.value <= high:
            objections.append(
                f"the wanted {wanted.quantity} of {wanted.value:g} was never made: the data range "
                f"from {low:g} to {high:g}"
            )
    if not inside:
        objections.append("no recipe within the data answers this target")
    if probability < 0.5:
        objections.append("the target will more likely be missed than met")
    return "; ".join(objections) or None


def _nearest(
    champions: Champions, recipe: pd.Series[float], logs: np.ndarray, spread: np.ndarray
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One electrode for each of the nearest recipes: the one closest to the median of its siblings.

    Siblings are compared by the first wanted quantity. Returns the electrodes and their values.
    """
    at = np.log(recipe.to_numpy(dtype=float))
    made = champions.made.assign(distance=np.sqrt((((logs - at) / spread) ** 2).sum(axis=1)))
    first = champions.asked[0].quantity
    middle = made.groupby(list(RECIPE), sort=False)[first].transform("median")
    chosen = (
        made.assign(off=(made[first] - middle).abs())
        .sort_values(["distance", "off", "electrode_id"])
        .drop_duplicates(list(RECIPE))
        .head(SHOWN_NEIGHBOURS)
        .to_dict("records")
    )
    quantities = [name for name in champions.made.columns if name not in PLACE]
    return (
        [
            {"rank": rank, **{name: row[name] for name in (*PLACE, "distance")}}
            for rank, row in enumerate(chosen, start=1)
        ],
        [
            {
                "rank": rank,
                "quantity": name,
                "value": None if pd.isna(row[name]) else float(row[name]),
            }
            for rank, row in enumerate(chosen, start=1)
            for name in quantities
        ],
    )
