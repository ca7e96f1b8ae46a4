select
    coating_id,
    slurry_id,
    comma_gap_um,
    coating_speed_m_min,
    wet_thickness_um,
    coated_at,
    operator,
    remark,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_coatings') }}
