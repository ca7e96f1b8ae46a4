select
    formation_id,
    cell_id,
    charge_capacity_mah,
    discharge_capacity_mah,
    coulombic_efficiency_pct,
    specific_capacity_mah_g,
    theoretical_capacity_mah_g,
    active_mass_source,
    ir_drop_mv,
    started_at,
    ended_at,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_formations') }}
