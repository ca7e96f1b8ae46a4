select
    cell_id,
    electrode_id,
    cell_format,
    counter_electrode,
    active_mass_mg,
    active_mass_source,
    assembled_at,
    operator,
    remark,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_cells') }}
