select
    drying_id,
    coating_id,
    drying_temperature_degc,
    drying_time_min,
    residual_solvent_ppm,
    dried_at,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_dryings') }}
