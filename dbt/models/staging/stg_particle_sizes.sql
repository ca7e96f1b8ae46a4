select
    list_id,
    place,
    material,
    diameter_um,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_particle_sizes') }}
