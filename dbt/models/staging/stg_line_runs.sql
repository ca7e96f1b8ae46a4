select
    run_id,
    line,
    run_number,
    outcome,
    last_step,
    steps,
    doses,
    dose_total_ul,
    cell_id,
    started_at,
    ended_at,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_line_runs') }}
