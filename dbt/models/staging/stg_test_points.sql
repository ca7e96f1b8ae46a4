select
    test_id,
    point,
    test_time_s,
    recorded_at,
    cycle,
    step,
    voltage_v,
    current_a,
    step_capacity_ah,
    step_energy_wh,
    temperature_degc,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_test_points') }}
