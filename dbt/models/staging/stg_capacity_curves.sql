select
    cell_id,
    cycle,
    data_set,
    voltage_from_v,
    voltage_to_v,
    points,
    discharge_capacity_ah,
    largest_fall_ah,
    capacities_ah,
    file,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_capacity_curves') }}
