select
    flow_test_id,
    point,
    interval,
    time_s,
    shear_rate_1_s,
    shear_stress_pa,
    viscosity_pa_s,
    viscosity_note,
    torque_un_m,
    temperature_degc,
    status,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_flow_points') }}
