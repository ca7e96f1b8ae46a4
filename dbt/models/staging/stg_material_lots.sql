select
    lot_id,
    material_kind,
    material_name,
    supplier,
    d50_um,
    density_g_cm3,
    theoretical_capacity_mah_g,
    received_at,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_material_lots') }}
