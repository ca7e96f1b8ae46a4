"""The history of versions, and manual promotion and rollback.

Consumers load a version by the registry's alias; the lake records who moved it, when and why.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from battery_platform.errors import PlatformError
from battery_platform.made.products import put
from battery_platform.models import registry
from battery_platform.store.lakehouse import Lakehouse

PROMOTED, REFUSED, ROLLED_BACK = "promoted", "refused", "rolled back"
GATE, PERSON = "gate", "person"


def event(
    name: str,
    what: str,
    version: int,
    before: int | None,
    after: int | None,
    by: str,
    reason: str,
) -> dict[str, Any]:
    """The row of an event that happens now."""
    now = datetime.now(UTC).replace(tzinfo=None)
    text = repr((name, what, version, before, after, now))
    return {
        "event_id": hashlib.blake2b(text.encode(), digest_size=8).hexdigest(),
        "happened_at": now,
        "model_name": name,
        "event": what,
        "version": version,
        "champion_before": before,
        "champion_after": after,
        "decided_by": by,
        "reason": reason,
    }


def promote(
    lake: Lakehouse, name: str, version: int, reason: str, although_refused: bool = False
) -> dict[str, Any]:
    """Make a version champion; one that the gate refused needs `although_refused`."""
    _check_reason(reason)
    registry.known(name)
    versions = registry.tags(lake.settings, name)
    if version not in versions:
        raise PlatformError(
            f"The registry has no version {version} of {name}.",
            f"Versions: {', '.join(map(str, sorted(versions))) or 'none'}.",
        )
    if registry.JUDGED not in versions[version]:
        raise PlatformError(
            f"{name} {version} was not judged: its release was interrupted.",
            "Run `battery-platform refresh`, which finishes it.",
        )
    before = registry.aliases(lake.settings, name).get(registry.CHAMPION)
    if before == version:
        raise PlatformError(f"{name} {version} is the champion already.", "Nothing is to be done.")
    judged = lake.rows(
        "SELECT decision, decision_reason FROM model_versions WHERE model_name = ? AND version = ?",
        [name, version],
    )
    if (not judged or judged[0][0] != registry.CHAMPION) and not although_refused:
        why = judged[0][1] if judged else "this lake does not know the version"
        raise PlatformError(
            f"The gate refused {name} {version}: {why}.",
            "Add --although-refused if it shall answer all the same.",
        )
    return _hand_over(lake, name, PROMOTED, version, before, version, reason)


def rollback(lake: Lakehouse, name: str, reason: str) -> dict[str, Any]:
    """Withdraw the champion in favour of the previous one."""
    _check_reason(reason)
    registry.known(name)
    now = registry.champion(lake.settings, name)
    versions = registry.tags(lake.settings, name)
    earlier = lake.rows(
        """SELECT champion_before FROM model_events
           WHERE model_name = ? AND champion_after = ? AND champion_before IS NOT NULL
             AND champion_before <> champion_after AND event = 'promoted'
           ORDER BY happened_at DESC LIMIT 1""",
        [name, now],
    )
    if not earlier or earlier[0][0] not in versions:
        raise PlatformError(
            f"No earlier champion of {name} is known: version {now} is the first.",
            "Name a version: `battery-platform models promote NAME VERSION --reason ...`.",
        )
    return _hand_over(lake, name, ROLLED_BACK, now, now, earlier[0][0], reason)


def _hand_over(
    lake: Lakehouse,
    name: str,
    what: str,
    version: int,
    before: int | None,
    after: int,
    reason: str,
) -> dict[str, Any]:
    row = event(name, what, version, before, after, PERSON, reason)
    registry.hand_over(lake.settings, name, after, before)
    put(lake, {"model_events": [row]})
    return row


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise PlatformError("The reason is empty.", "Say why; consumers of the model will read it.")
