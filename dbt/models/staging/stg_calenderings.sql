select
    calendering_id,
    drying_id,
    thickness_before_um,
    thickness_after_um,
    compression_degree_pct,
    roll_temperature_degc,
    line_load_n_mm,
    calendered_at,
    operator,
    remark,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_calenderings') }}
