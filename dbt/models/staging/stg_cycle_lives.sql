select
    cell_id,
    data_set,
    cycle_life,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_cycle_lives') }}
