select
    peel_test_id,
    point,
    displacement_mm,
    force_n,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_peel_points') }}
