"""The inverse question: which recipe within the data most likely meets a loading and a porosity.

Champions answer as consumers load them. Of equally likely recipes the nearer to the data wins.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from battery_platform.design.probability import within, within_both
from battery_platform.design.recipes import candidates
from battery_platform.design.targets import DEFAULT, Target, parse
from battery_platform.errors import PlatformError
from battery_platform.made.products import put
from battery_platform.models import registry
from battery_platform.models.specification import RECIPE
from battery_platform.store.builds import code_digest
from battery_platform.store.lakehouse import Lakehouse

LOADING_MODEL, POROSITY_MODEL = "mass-loading", "porosity"
SHOWN_NEIGHBOURS = 3


@dataclass(frozen=True, eq=False)
class Champions:
    """The two models that are asked, and the electrodes both were trained on."""

    versions: dict[str, int]
    ask: dict[str, Callable[[pd.DataFrame], pd.DataFrame]]
    made: pd.DataFrame
    correlation: float
    snapshot: int
    is_synthetic: bool
    active_material: str | None
    loading_basis: str
    licence: str


def code_version() -> str:
    """Hash of the design code."""
    return code_digest(Path(__file__).parent)


def design_id(target: Target, runs: list[str]) -> str:
    """The same question to the same versions by the same code has the same name."""
    text = json.dumps([asdict(target), runs, code_version()], sort_keys=True)
    return "design-" + hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


class NoPair(PlatformError):  # noqa: N818 -- it is the pair that is missing
    """No two versions that passed the gate speak of the same kind of electrodes."""


def answering_versions(lake: Lakehouse) -> dict[str, int]:
    """The champions; where they speak of different electrodes, the newest pair that does not.

    So it is when one of two models was refused on new data: the older pair stands until both pass.
    """
    named = {
        name: registry.aliases(lake.settings, name).get(registry.CHAMPION)
        for name in (LOADING_MODEL, POROSITY_MODEL)
    }
    kinds = lake.rows(
        """SELECT DISTINCT is_synthetic, active_material, loading_basis FROM model_versions
           WHERE (model_name = ? AND version = ?) OR (model_name = ? AND version = ?)""",
        [part for pair in named.items() for part in pair],
    )
    if len(kinds) == 1 and None not in named.values():
        return {name: version for name, version in named.items() if version is not None}
    found = lake.rows(
        """SELECT a.version, b.version FROM model_versions a JOIN model_versions b
             ON a.is_synthetic = b.is_synthetic
            AND a.active_material IS NOT DISTINCT FROM b.active_material
            AND a.loading_basis IS NOT DISTINCT FROM b.loading_basis
           WHERE a.model_name = ? AND b.model_name = ?
             AND a.decision = 'champion' AND b.decision = 'champion'
           ORDER BY a.is_synthetic, a.version DESC, b.version DESC LIMIT 1""",
        [LOADING_MODEL, POROSITY_MODEL],
    )
    if not found:
        refused = lake.rows(
            """SELECT model_name || ' ' || version || ': ' || decision_reason FROM model_versions
               WHERE decision <> 'champion' ORDER BY registered_at DESC LIMIT 2"""
        )
        raise NoPair(
            "Nothing can be designed: no versions of mass-loading and porosity that speak of the same "
            "electrodes have passed the gate." + "".join(f" {said}." for (said,) in refused),
            "`battery-platform models list` shows all; run `battery-platform refresh` for the first.",
        )
    return {LOADING_MODEL: found[0][0], POROSITY_MODEL: found[0][1]}


def find(lake: Lakehouse, identifier: str) -> dict[str, Any]:
    """A stored design with its neighbours."""
    found = lake.records("SELECT * FROM designs WHERE design_id = ?", [identifier])
    if not found:
        raise PlatformError(
            f"There is no design '{identifier}'.",
            "`battery-platform design --target ...` makes one; "
            '`battery-platform sql "select design_id from designs"` lists them.',
        )
    nearest = lake.records(
        "SELECT * EXCLUDE (design_id) FROM design_neighbours WHERE design_id = ? ORDER BY rank",
        [identifier],
    )
    return {**found[0], "neighbours": nearest}


def standing_targets(lake: Lakehouse) -> list[Target]:
    """The default target and every other one that was asked for, unless it was asked for once."""
    names = list(Target.__dataclass_fields__)
    columns = ", ".join(
        name if name.startswith("tolerance") else f"target_{name}" for name in names
    )
    asked = [
        Target(*row)
        for row in lake.rows(
            f"SELECT {columns} FROM designs GROUP BY ALL HAVING arg_max(is_standing, made_at) ORDER BY ALL"
        )
    ]
    return list(dict.fromkeys([parse(DEFAULT), *asked]))


def design(lake: Lakehouse, target: Target, once: bool = False) -> tuple[dict[str, Any], bool]:
    """The best recipe, stored with its neighbours; true if it had to be searched.

    A target asked for once is not answered again by the nightly refresh, even if it was before.
    """
    versions = answering_versions(lake)
    identifier = design_id(target, _runs(lake, versions))
    if lake.value("SELECT count(*) FROM designs WHERE design_id = ?", [identifier]):
        known = find(lake, identifier)
        if once and known["is_standing"]:
            row = {name: value for name, value in known.items() if name != "neighbours"}
            put(lake, {"designs": [row | {"is_standing": False}]})
            known["is_standing"] = False
        return known, False
    champions = _champions(lake, versions)
    row, nearest = search(champions, target)
    row |= {
        "design_id": identifier,
        "made_at": datetime.now(UTC).replace(tzinfo=None),
        "is_standing": not once,
    }
    for one in nearest:
        one["design_id"] = identifier
    put(lake, {"designs": [row], "design_neighbours": nearest})
    return find(lake, identifier), True


def _runs(lake: Lakehouse, versions: dict[str, int]) -> list[str]:
    """The runs behind versions: their numbers begin anew with another registry."""
    return [
        lake.value(
            "SELECT run_id FROM model_versions WHERE model_name = ? AND version = ?",
            [name, version],
        )
        for name, version in sorted(versions.items())
    ]


def _champions(lake: Lakehouse, versions: dict[str, int]) -> Champions:
    rows = lake.records(
        "SELECT * FROM model_versions WHERE (model_name = ? AND version = ?) "
        "OR (model_name = ? AND version = ?) ORDER BY model_name",
        [LOADING_MODEL, versions[LOADING_MODEL], POROSITY_MODEL, versions[POROSITY_MODEL]],
    )
    return Champions(
        versions,
        {name: registry.load(lake.settings, name, one) for name, one in versions.items()},
        _made(lake, versions, rows[0]["snapshot_id"]),
        _correlation(lake, versions),
        rows[0]["snapshot_id"],
        rows[0]["is_synthetic"],
        rows[0]["active_material"],
        rows[0]["loading_basis"] or "not stated",
        ", ".join(sorted({row["licence"] for row in rows})),
    )


def _made(lake: Lakehouse, versions: dict[str, int], snapshot: int) -> pd.DataFrame:
    """The electrodes that the loading model was trained on, as they stood then."""
    columns = ", ".join(f"e.{name}" for name in RECIPE)
    with lake.cursor() as cursor:
        made: pd.DataFrame = cursor.execute(
            f"""SELECT DISTINCT e.electrode_id, {columns}, e.mass_loading_mg_cm2, e.porosity_pct,
                       e.file_name, e.row_number AS line, e.is_synthetic
                FROM mart_electrodes AS e AT (VERSION => {int(snapshot)})
                JOIN model_training_rows t ON t.electrode_id = e.electrode_id
                WHERE t.model_name = ? AND t.version = ? AND e.porosity_pct IS NOT NULL
                ORDER BY e.electrode_id""",
            [LOADING_MODEL, versions[LOADING_MODEL]],
        ).df()
    return made


def _correlation(lake: Lakehouse, versions: dict[str, int]) -> float:
    """Of the two models' errors, each in its standard deviations, on electrodes held out by both."""
    found = lake.value(
        """SELECT corr((a.measured - a.predicted) / a.standard_deviation,
                       (b.measured - b.predicted) / b.standard_deviation)
           FROM model_predictions a JOIN model_predictions b USING (electrode_id, repeat)
           WHERE a.model_name = ? AND a.version = ? AND b.model_name = ? AND b.version = ?""",
        [LOADING_MODEL, versions[LOADING_MODEL], POROSITY_MODEL, versions[POROSITY_MODEL]],
    )
    return float(np.clip(found, -0.95, 0.95)) if found is not None and np.isfinite(found) else 0.0


def search(champions: Champions, target: Target) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The recipe with the highest probability, and the made electrodes nearest to it."""
    made = champions.made[list(RECIPE)].to_numpy(dtype=float)
    logs = np.log(made)
    spread = np.where(logs.std(axis=0) > 0, logs.std(axis=0), 1.0)
    frame = pd.DataFrame(candidates(made, logs / spread), columns=list(RECIPE))
    loading, porosity = (champions.ask[name](frame) for name in (LOADING_MODEL, POROSITY_MODEL))
    means = (loading.iloc[:, 0].to_numpy(), porosity.iloc[:, 0].to_numpy())
    deviations = (loading.iloc[:, 1].to_numpy(), porosity.iloc[:, 1].to_numpy())
    wanted = (target.mass_loading_mg_cm2, target.porosity_pct)
    tolerance = (target.tolerance_mass_loading_mg_cm2, target.tolerance_porosity_pct)
    alone = [
        within(mean, deviation, want, allowed)
        for mean, deviation, want, allowed in zip(means, deviations, wanted, tolerance, strict=True)
    ]
    both = within_both(means, deviations, wanted, tolerance, champions.correlation)
    inside = (loading["in_domain"] & porosity["in_domain"]).to_numpy()
    distance = np.maximum(loading["distance"], porosity["distance"]).to_numpy()
    # where no recipe has a chance, the one that misses by the fewest deviations is the answer
    misses = sum(
        ((mean - want) / np.hypot(deviation, allowed)) ** 2
        for mean, want, deviation, allowed in zip(means, wanted, deviations, tolerance, strict=True)
    )
    order = np.lexsort((distance, misses, -both.round(4), ~inside))
    best = int(order[0])
    recipe = {name: float(frame[name].iloc[best]) for name in RECIPE}
    nearest = _nearest(champions, frame.iloc[best], logs, spread)
    row = {
        **{
            f"target_{name}": value
            for name, value in zip(("mass_loading_mg_cm2", "porosity_pct"), wanted, strict=True)
        },
        "tolerance_mass_loading_mg_cm2": tolerance[0],
        "tolerance_porosity_pct": tolerance[1],
        **recipe,
        "mass_loading_mg_cm2": float(means[0][best]),
        "mass_loading_sd_mg_cm2": float(deviations[0][best]),
        "porosity_pct": float(means[1][best]),
        "porosity_sd_pct": float(deviations[1][best]),
        "probability_mass_loading": float(alone[0][best]),
        "probability_porosity": float(alone[1][best]),
        "probability": float(both[best]),
        "residual_correlation": champions.correlation,
        "in_domain": bool(inside[best]),
        "distance": float(distance[best]),
        "note": _note(target, champions, float(both[best]), bool(inside[best])),
        "candidates": len(frame),
        "active_material": champions.active_material,
        "loading_basis": champions.loading_basis,
        "mass_loading_version": champions.versions[LOADING_MODEL],
        "porosity_version": champions.versions[POROSITY_MODEL],
        "snapshot_id": champions.snapshot,
        "code_hash": code_version(),
        "licence": champions.licence,
        "is_synthetic": champions.is_synthetic,
    }
    return row, nearest


def _note(target: Target, champions: Champions, probability: float, inside: bool) -> str | None:
    said = []
    for name in ("mass_loading_mg_cm2", "porosity_pct"):
        low, high = champions.made[name].min(), champions.made[name].max()
        if not low <= getattr(target, name) <= high:
            said.append(
                f"the wanted {name} of {getattr(target, name):g} was never made: the data range from "
                f"{low:g} to {high:g}"
            )
    if not inside:
        said.append("no recipe within the data answers this target")
    if probability < 0.5:
        said.append("the target will more likely be missed than met")
    return "; ".join(said) or None


def _nearest(
    champions: Champions, recipe: pd.Series[float], logs: np.ndarray, spread: np.ndarray
) -> list[dict[str, Any]]:
    """Of the nearest made recipes one electrode each, the one nearest to its siblings' middle."""
    at = np.log(recipe.to_numpy(dtype=float))
    made = champions.made.assign(distance=np.sqrt((((logs - at) / spread) ** 2).sum(axis=1)))
    recipes = made.groupby(list(RECIPE), sort=False)
    middle = recipes["mass_loading_mg_cm2"].transform("median")
    chosen = (
        made.assign(off=(made["mass_loading_mg_cm2"] - middle).abs())
        .sort_values(["distance", "off", "electrode_id"])
        .drop_duplicates(list(RECIPE))
        .head(SHOWN_NEIGHBOURS)
    )
    return [
        {"rank": rank, **{str(name): value for name, value in row.items() if name != "off"}}
        for rank, row in enumerate(chosen.to_dict("records"), start=1)
    ]
