"""Critical factors of each campaign in the lake, by several methods, as rows that can be compared.

A campaign is the uncalendered electrodes of one source, or a set of generated structures. The methods
answer different questions and may disagree: LASSO-LARS with ANOVA says which factors are needed and
significant, Spearman's coefficient gives the direction of an effect, Sobol's indices how much of the
variance the surrogate attributes to a factor, relevance over what distance the factor bends the target,
a tolerance what the scatter of a machine costs, and k-means which kinds of electrodes there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from battery_platform.compute.importing import IMPORTING
from battery_platform.errors import PlatformError
from battery_platform.factors.clusters import ancova
from battery_platform.factors.components import Correlations, correlations, principal_components
from battery_platform.factors.kinds import TARGET, Kinds, rows_of_kinds, sort_into_kinds
from battery_platform.factors.lars import Selection, select_factors
from battery_platform.factors.relevance import Relevances, relevances, rows_of_relevance
from battery_platform.factors.sensitivity import Sensitivity, sobol
from battery_platform.factors.tolerances import Tolerance, propagate
from battery_platform.made.fingerprint import fingerprint
from battery_platform.made.kept import (
    Basis,
    Kept,
    Made,
    digest_of,
    frame_digest,
    now,
    unless_same,
)
from battery_platform.made.products import made_from
from battery_platform.store.lakehouse import Lakehouse

RECIPE = ("active_material_pct", "solid_content_pct", "viscosity_pa_s", "comma_gap_um")
STRUCTURE = ("calender_gap_um", "active_material_pct", "porosity_uncalendered_pct")
MACHINE_SCATTER = 0.02
"""Standard deviation of each setting, as a share of its middle value, that is propagated."""
SMALLEST = 30
SIGNIFICANT = 0.05
SOBOL_ALONE, SOBOL_IN_ALL, TOLERANCE = "Sobol, alone", "Sobol, in all", "tolerance of 2 %"
OF_SURROGATES = (SOBOL_ALONE, SOBOL_IN_ALL, TOLERANCE)
"""Methods that ask a registered model."""

Ask = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Surrogate = Callable[[str, str, tuple[str, ...]], Ask | None]
"""Takes model, target and inputs; returns a function for values and deviations, or None without a model."""


@dataclass(frozen=True, eq=False)
class Campaign:
    """Rows made to one plan, with the settings and the results."""

    name: str
    frame: pl.DataFrame
    factors: tuple[str, ...]
    targets: Mapping[str, str]
    """Each with the registered model that predicts it."""
    group: str
    is_synthetic: bool
    row_kind: str
    """What its rows are in the lake."""
    row_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Analysis:
    """Results of the methods for one target of a campaign."""

    campaign: Campaign
    target: str
    selection: Selection
    signs: Correlations
    sensitivity: Sensitivity | None
    relevances: Relevances | None
    """None where the factors are no recipe."""


@dataclass(eq=False)
class Gathered:
    """Results of the methods for all campaigns."""

    analyses: list[Analysis] = field(default_factory=list)
    kinds: list[tuple[Campaign, Kinds]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What could not be analysed, with the reason."""


@dataclass(frozen=True, eq=False)
class Findings:
    """The rows in the lake and the results behind them; no results if nothing has changed."""

    kept: Kept
    gathered: Gathered

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.kept.rows

    @property
    def analyses(self) -> list[Analysis]:
        return self.gathered.analyses

    @property
    def kinds(self) -> list[tuple[Campaign, Kinds]]:
        return self.gathered.kinds

    @property
    def refused(self) -> list[str]:
        return self.gathered.refused


def campaigns(lake: Lakehouse) -> list[Campaign]:
    """All campaigns with enough rows."""
    candidates = []
    tables = set(lake.tables())
    if "mart_electrodes" in tables:
        frame = _frame(
            lake,
            f"""SELECT electrode_id, source_id, slurry_id, is_synthetic, {", ".join(RECIPE)},
                       mass_loading_mg_cm2, porosity_pct
                FROM mart_electrodes
                WHERE calendering_id IS NULL OR coalesce(compression_degree_pct, 1) = 0""",
        )
        for (source,), some in frame.group_by("source_id", maintain_order=True):
            candidates.append(
                Campaign(
                    f"electrodes of {source}",
                    some,
                    RECIPE,
                    {"mass_loading_mg_cm2": "mass-loading", "porosity_pct": "porosity"},
                    "slurry_id",
                    bool(some["is_synthetic"].any()),
                    "electrode",
                    tuple(some["electrode_id"].to_list()),
                )
            )
    structures = _frame(
        lake,
        "SELECT *, active_material_pct || '/' || porosity_uncalendered_pct AS structure "
        "FROM raw_mesostructures",
    )
    targets = ("active_surface_pct", "tortuosity_liquid", "tortuosity_solid")
    contacts = ("collector_active_contact_pct", "collector_binder_contact_pct")
    candidates.append(
        Campaign(
            "generated structures",
            structures,
            STRUCTURE,
            dict.fromkeys((*targets, *contacts), "mesostructure"),
            "structure",
            False,
            "structure",
            tuple(structures["structure_id"].to_list()),
        )
    )
    return [campaign for campaign in candidates if _usable(campaign)]


def _frame(lake: Lakehouse, query: str) -> pl.DataFrame:
    with lake.cursor() as cursor:
        return cursor.execute(f"FROM ({query}) ORDER BY ALL").pl()


def _usable(campaign: Campaign) -> bool:
    needed = [*campaign.factors, *campaign.targets]
    return campaign.frame.filter(pl.all_horizontal(pl.col(needed).is_not_null())).height >= SMALLEST


def analyse(lake: Lakehouse, ask: Surrogate, versions: Mapping[str, int | None]) -> Findings:
    """Results of all methods for all campaigns, and why some could not be analysed.

    Nothing is computed if the stored rows come from the same campaigns, code and champions.
    """
    chosen = campaigns(lake)
    basis = Basis(
        fingerprint(analyse),
        digest_of(repr(sorted(versions.items()))),
        digest_of(*(name for c in chosen for name in (c.name, frame_digest(c.frame)))),
    )
    gathered = Gathered()
    kept = unless_same(
        lake,
        "critical_factors",
        {},
        basis,
        lambda: _made(chosen, _analysed(chosen, ask, basis, gathered), versions),
    )
    return Findings(kept, gathered)


def _made(
    chosen: list[Campaign], rows: list[dict[str, Any]], versions: Mapping[str, int | None]
) -> Made:
    """Rows with what they came from: all rows of a campaign, and for some methods a champion."""
    links = [
        link
        for campaign in chosen
        for link in made_from("campaign", campaign.name, campaign.row_kind, campaign.row_names)
    ]
    models = {
        (campaign.name, target): model
        for campaign in chosen
        for target, model in campaign.targets.items()
    }
    for row in rows:
        model = models.get((row["campaign"], row["target"]))
        version = versions.get(model) if model else None
        if version is not None and row["method"] in OF_SURROGATES:
            name = "/".join(row[column] for column in ("campaign", "target", "method", "factor"))
            links += made_from("factor", f"factor/{name}", "model version", [f"{model}/{version}"])
    return Made(
        {"critical_factors": rows, "made_from": links},
        {"made_from": {"child_kind": ["campaign", "factor"]}},
    )


def _analysed(
    chosen: list[Campaign], ask: Surrogate, basis: Basis, gathered: Gathered
) -> list[dict[str, Any]]:
    with IMPORTING:
        import sklearn.cluster
        import sklearn.linear_model
        import sklearn.metrics  # noqa: F401 -- all that the methods below ask for
    rows: list[dict[str, Any]] = []
    for campaign in chosen:
        for target, model in campaign.targets.items():
            surrogate = ask(model, target, campaign.factors)
            with _refusals(f"{campaign.name}, {target}", gathered.refused):
                analysis = _of(campaign, target, surrogate, gathered.refused)
                gathered.analyses.append(analysis)
                common = _common(campaign, target, basis)
                rows.extend(common | row for row in _rows(analysis, surrogate, gathered.refused))
        with _refusals(f"{campaign.name}, kinds", gathered.refused):
            kinds = sort_into_kinds(
                campaign.frame, campaign.factors, tuple(campaign.targets), campaign.group
            )
            gathered.kinds.append((campaign, kinds))
            common = _common(campaign, TARGET, basis)
            rows.extend(common | row for row in rows_of_kinds(kinds))
    return rows


@contextmanager
def _refusals(about: str, refused: list[str]) -> Iterator[None]:
    """Record the refusal of a method, so that the other methods still run."""
    try:
        yield
    except PlatformError as refusal:
        refused.append(f"{about}: {refusal}")


def _of(campaign: Campaign, target: str, surrogate: Ask | None, refused: list[str]) -> Analysis:
    frame, factors = campaign.frame, campaign.factors
    bounds = {
        name: (float(low), float(high))
        for name in factors
        for low, high in [_range(frame[name])]
        if high > low
    }
    relevant = None
    if factors == RECIPE:
        with _refusals(f"{campaign.name}, {target}, relevance", refused):
            relevant = relevances(frame, factors, target, campaign.group)
    usable = surrogate is not None and len(bounds) == len(factors)
    return Analysis(
        campaign,
        target,
        select_factors(frame, factors, target, campaign.group),
        correlations(frame, factors, [target], campaign.group),
        sobol(lambda at: surrogate(at)[0], bounds, 512) if usable and surrogate else None,
        relevant,
    )


def _range(values: pl.Series) -> tuple[float, float]:
    numbers = values.drop_nulls().cast(pl.Float64).to_numpy()
    return float(numbers.min()), float(numbers.max())


def _common(campaign: Campaign, target: str, basis: Basis) -> dict[str, Any]:
    return {
        "campaign": campaign.name,
        "target": target,
        "is_synthetic": campaign.is_synthetic,
        "data_hash": digest_of(basis.data, basis.parameters),
        "code_version": basis.code,
        "made_at": now(),
    }


def _rows(
    analysis: Analysis, surrogate: Ask | None, refused: list[str]
) -> Iterator[dict[str, Any]]:
    size = {"n_rows": analysis.selection.rows, "n_groups": analysis.selection.groups}
    for factor in analysis.selection.factors:
        yield size | {
            "method": "LASSO-LARS and ANOVA",
            "factor": factor.name,
            "value": factor.coefficient,
            "p": factor.p,
            "verdict": factor.quadrant.value,
        }
    for pair in analysis.signs.pairs:
        yield size | {
            "method": "Spearman",
            "factor": pair.factor,
            "value": pair.spearman,
            "low": pair.low,
            "high": pair.high,
            "verdict": pair.sign,
        }
    yield from (size | row for row in _shares_of_components(analysis))
    yield from (size | row for row in _ancova_of(analysis, refused))
    if analysis.relevances is not None:
        yield from rows_of_relevance(analysis.relevances)
    for index in analysis.sensitivity.indices if analysis.sensitivity else ():
        for name, value, low, high in (
            (SOBOL_ALONE, index.first, index.first_low, index.first_high),
            (SOBOL_IN_ALL, index.total, index.total_low, index.total_high),
        ):
            yield size | {
                "method": name,
                "factor": index.name,
                "value": value,
                "low": low,
                "high": high,
            }
    if surrogate is not None:
        yield from (size | row for row in _tolerances(analysis, surrogate))


def _shares_of_components(analysis: Analysis) -> Iterator[dict[str, Any]]:
    components = principal_components(
        analysis.campaign.frame, [*analysis.campaign.factors, analysis.target]
    )
    for column, loading in zip(components.columns, components.loadings[:, 0], strict=True):
        yield {
            "method": "PCA, first component",
            "factor": column,
            "value": float(loading),
            "verdict": f"{100 * float(components.explained[0]):.0f} % of the spread",
        }


def _ancova_of(analysis: Analysis, refused: list[str]) -> Iterator[dict[str, Any]]:
    """ANCOVA of each factor with few levels, with the other factors as covariates."""
    frame, factors = analysis.campaign.frame, analysis.campaign.factors
    for factor in factors:
        if not 2 <= frame[factor].drop_nulls().n_unique() <= 12:
            continue
        others = [name for name in factors if name != factor]
        labelled = frame.with_columns(pl.col(factor).cast(pl.String).alias("level"))
        with _refusals(f"{analysis.campaign.name}, ANCOVA of {factor}", refused):
            test = (
                ancova(labelled, analysis.target, "level", others, analysis.campaign.group)
                .term("level")
                .test
            )
            yield {
                "method": "ANCOVA",
                "factor": factor,
                "value": test.f,
                "p": test.p,
                "verdict": "no test" if test.p is None else _significance(test.p),
            }


def _significance(p: float) -> str:
    return "significant" if p < SIGNIFICANT else "not significant"


def _tolerances(analysis: Analysis, surrogate: Ask) -> Iterator[dict[str, Any]]:
    """The effect of 2 % scatter in each setting on the target, around the median of the settings."""
    middles = {
        name: float(
            np.median(analysis.campaign.frame[name].drop_nulls().cast(pl.Float64).to_numpy())
        )
        for name in analysis.campaign.factors
    }
    propagation = propagate(
        surrogate,
        {
            name: Tolerance(middle, deviation=MACHINE_SCATTER * abs(middle))
            for name, middle in middles.items()
        },
        draws=4000,
    )
    for share in propagation.inputs:
        yield {
            "method": TOLERANCE,
            "factor": share.name,
            "value": share.share,
            "low": share.low,
            "high": share.high,
            "verdict": f"standard deviation {propagation.deviation:.3g}, the surrogate's own share "
            f"{propagation.surrogate_share:.2f}",
        }
