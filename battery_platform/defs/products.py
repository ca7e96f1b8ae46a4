"""Products as assets, all by one policy: owners, versions, row counts, checks, pictures, schema.

A module of `defs/` says what is made, by which function, and what a person wants to see of it; what
Dagster is told follows from that here. The code version is the fingerprint of the function, so that its
page shows what is stale; the data version is what the stored rows rest on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from battery_platform.defs.gates import require_fit
from battery_platform.defs.metadata import (
    OWNERS,
    Draw,
    keep_picture,
    markdown_table,
    newest_picture,
    picture,
    picture_shows,
    png,
)
from battery_platform.defs.resources import LakehouseResource
from battery_platform.made.fingerprint import Maker, fingerprint

if TYPE_CHECKING:
    from battery_platform.store.lakehouse import Lakehouse

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


class NoConfig(dg.Config):
    """Of assets that cannot be asked for in different ways."""


@dataclass(frozen=True)
class Check:
    """A question that is asked of a product each time."""

    name: str
    description: str
    blocking: bool = False
    severity: dg.AssetCheckSeverity = WARN


@dataclass(frozen=True)
class Verdict:
    """The answer to a check, with its reason."""

    passed: bool
    why: str


@dataclass
class Outcome:
    """What an asset has to say once its rows stand in the lake."""

    n_rows: int
    version: str
    """What the rows rest on; empty where Dagster may derive it from what is upstream."""
    because: str = ""
    """Why they were computed just now; empty where nothing had changed."""
    is_synthetic: bool = False
    numbers: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    pictures: Mapping[str, Draw] = field(default_factory=dict)
    """How each is drawn, which is done only for a version that was not drawn before. The first one
    stands on the asset's page; the others are a click away.
    """
    verdicts: dict[str, Verdict] = field(default_factory=dict)


Make = Callable[[dg.AssetExecutionContext, "Lakehouse", Any], Outcome]


def product_asset(
    key: dg.AssetKey,
    make: Make,
    *,
    made_by: Sequence[Maker],
    description: str,
    upstream: Sequence[dg.AssetKey] = (),
    checks: Sequence[Check] = (),
    config: type[dg.Config] | None = None,
    kinds: frozenset[str] = frozenset({"python", "ducklake"}),
    partitions: dg.PartitionsDefinition[str] | None = None,
    code: str = "",
    pool: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetsDefinition:
    """An asset whose rows `make` puts into the lake; `made_by` names the functions that decide them."""
    asked = config or NoConfig

    @dg.asset(
        key=key,
        deps=list(upstream),
        group_name=key.path[0],
        kinds=set(kinds),
        owners=OWNERS,
        code_version=code or fingerprint(*made_by),
        partitions_def=partitions,
        pool=pool,
        op_tags={"dagster/priority": "1"} if pool else None,
        check_specs=[
            dg.AssetCheckSpec(
                check.name, asset=key, blocking=check.blocking, description=check.description
            )
            for check in checks
        ],
        description=with_picture(key, description),
        metadata=dict(metadata or {}),
    )
    def materialise(
        context: dg.AssetExecutionContext,
        config: asked,  # type: ignore[valid-type]
        lakehouse: LakehouseResource,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        require_fit(context)
        lake = lakehouse.lake()
        outcome = make(context, lake, config)
        return dg.MaterializeResult(
            metadata=_metadata(key, lake, outcome, partitions is not None),
            tags={"synthetic": "true"} if outcome.is_synthetic else {},
            data_version=dg.DataVersion(outcome.version) if outcome.version else None,
            check_results=[_answer(check, outcome.verdicts[check.name]) for check in checks],
        )

    return materialise


def _metadata(
    key: dg.AssetKey, lake: "Lakehouse", outcome: Outcome, is_partition: bool
) -> dict[str, Any]:
    drawn = {}
    if outcome.pictures and not picture_shows(lake.settings, key, outcome.version):
        drawn = {name: png(draw()) for name, draw in outcome.pictures.items()}
        keep_picture(lake.settings, key, next(iter(drawn.values())), outcome.version)
    return {
        "dagster/partition_row_count" if is_partition else "dagster/row_count": outcome.n_rows,
        "computed": outcome.because or "no: nothing that it rests on has changed",
        "synthetic": outcome.is_synthetic,
        "snapshot": lake.snapshot(),
        **outcome.numbers,
        **{name: picture(image) for name, image in drawn.items()},
        **{name: markdown_table(rows, limit=400) for name, rows in outcome.tables.items()},
    }


def _answer(check: Check, verdict: Verdict) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=check.name,
        passed=verdict.passed,
        severity=check.severity,
        description=verdict.why,
    )


def with_picture(key: dg.AssetKey, description: str) -> str:
    """The description with the newest picture below it, where the asset has drawn one."""
    drawn = newest_picture(key)
    return f"{description}\n\n{drawn}" if drawn else description


def some(rows: Sequence[Mapping[str, Any]], *names: str) -> list[dict[str, Any]]:
    """These columns of rows, for a table that people read."""
    return [{name: row.get(name) for name in names} for row in rows]
