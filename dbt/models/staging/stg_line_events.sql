select
    session_id,
    event,
    occurred_at,
    kind,
    run_id,
    run_number,
    step,
    dose_ul,
    message,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_line_events') }}
