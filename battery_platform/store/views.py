"""Views of the lake that are always up to date, even between refreshes.

Only what users want to see right after an ingest is here; marts belong to dbt. Each view contains the
digest of its own text, so that a lake made by an older version gets the new view.
"""

from __future__ import annotations

import hashlib

from battery_platform.contracts.bounds import COUNTERS_AGREE_PCT

_JUDGED_CYCLES = f"""
WITH definition AS (SELECT '{{digest}}' AS digest),
counted AS (
    SELECT
        c.*,
        t.cell_id,
        t.formation_cycles,
        c.cycle + (min(c.cycle) OVER test = 0)::BIGINT - coalesce(t.formation_cycles, 0) AS number,
        coalesce(
            CASE WHEN c.active_mass_source IS NOT NULL THEN c.specific_capacity_mah_g END,
            CASE
                WHEN cell.active_mass_source IS NOT NULL
                    THEN 1000 * c.discharge_capacity_mah / cell.active_mass_mg
            END
        ) AS capacity_mah_g,
        c.cycle = max(c.cycle) OVER test AS is_last,
        greatest(
            abs(c.discharge_end_v - median(c.discharge_end_v) OVER test),
            abs(c.charge_end_v - median(c.charge_end_v) OVER test)
        ) > 0.05 AS ends_elsewhere
    FROM raw_test_cycles c
    LEFT JOIN raw_cycling_tests t ON t.test_id = c.test_id
    LEFT JOIN raw_cells cell ON cell.cell_id = t.cell_id
    WINDOW test AS (PARTITION BY c.test_id)
)
SELECT
    *,
    discharge_capacity_mah > 0
    AND coalesce(charge_capacity_mah > 0, true)
    AND coalesce(discharges, 1) = 1
    AND coalesce(counters_off_pct <= {COUNTERS_AGREE_PCT}, true)
    AND NOT (is_last AND coalesce(ends_elsewhere, false)) AS is_complete
FROM counted
"""

_TEST_FEATURES = """
WITH definition AS (SELECT '{digest}' AS digest),
peaked AS (
    SELECT
        *,
        max(CASE WHEN is_complete AND number >= 1 THEN discharge_capacity_mah END)
            OVER (PARTITION BY test_id) AS peak_mah
    FROM judged_cycles
),
placed AS (
    SELECT
        *,
        min(CASE WHEN discharge_capacity_mah = peak_mah AND number >= 1 THEN number END)
            OVER (PARTITION BY test_id) AS number_of_peak
    FROM peaked
)
SELECT
    test_id,
    any_value(cell_id) AS cell_id,
    any_value(source_id) AS source_id,
    bool_or(is_synthetic) AS is_synthetic,
    any_value(formation_cycles) AS formation_cycles,
    count(*) AS cycles,
    count(*) FILTER (WHERE is_complete) AS complete_cycles,
    any_value(peak_mah) AS max_capacity_mah,
    max(discharge_capacity_mah) FILTER (WHERE number = 5 AND is_complete) AS d5_mah,
    max(discharge_capacity_mah) FILTER (WHERE number = 10 AND is_complete) AS d10_mah,
    max(discharge_capacity_mah) FILTER (WHERE number = 30 AND is_complete) AS d30_mah,
    max(capacity_mah_g) FILTER (WHERE number = 5 AND is_complete) AS d5_mah_g,
    max(capacity_mah_g) FILTER (WHERE number = 10 AND is_complete) AS d10_mah_g,
    max(capacity_mah_g) FILTER (WHERE number = 30 AND is_complete) AS d30_mah_g,
    CASE
        WHEN count(*) FILTER (WHERE is_complete AND number >= 1) > 1
            THEN 100 * arg_max(discharge_capacity_mah, number)
                FILTER (WHERE is_complete AND number >= 1) / nullif(any_value(peak_mah), 0)
    END AS retention_pct,
    min(number) FILTER (
        WHERE is_complete AND number > number_of_peak AND discharge_capacity_mah < 0.5 * peak_mah
    ) AS cycle_at_50pct_of_max,
    max(ir_drop_mv) FILTER (WHERE number = 1) AS ir_drop_mv,
    max(resistance_ohm) FILTER (WHERE number = 1) AS resistance_ohm,
    median(coulombic_efficiency_pct) FILTER (WHERE is_complete AND number >= 1)
        AS coulombic_efficiency_pct,
    any_value(efficiency_basis) AS efficiency_basis
FROM placed
GROUP BY test_id
"""


def _digest(sql: str) -> str:
    return hashlib.blake2b(sql.encode(), digest_size=8).hexdigest()


_TEXTS = {"judged_cycles": _JUDGED_CYCLES, "test_features": _TEST_FEATURES}
"""In order of dependency."""
VIEWS: dict[str, str] = {
    name: sql.replace("{digest}", _digest(sql)).strip() for name, sql in _TEXTS.items()
}


def is_current(name: str, stored: str | None) -> bool:
    """Whether the stored view is the current one."""
    return stored is not None and _digest(_TEXTS[name]) in stored
