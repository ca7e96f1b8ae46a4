select
    electrode_id,
    coating_id,
    calendering_id,
    area_cm2,
    thickness_um,
    mass_loading_mg_cm2,
    loading_basis,
    porosity_pct,
    composite_density_g_cm3,
    adhesion_n_m,
    measured_at,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_electrodes') }}
