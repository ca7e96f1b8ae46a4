select
    run_id,
    position,
    step,
    ended_by,
    doses,
    dose_total_ul,
    started_at,
    ended_at,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_line_steps') }}
