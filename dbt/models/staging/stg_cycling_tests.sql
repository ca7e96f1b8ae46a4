select
    test_id,
    cell_id,
    charge_rate_c,
    discharge_rate_c,
    lower_cutoff_v,
    upper_cutoff_v,
    temperature_degc,
    formation_cycles,
    started_at,
    ended_at,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_cycling_tests') }}
