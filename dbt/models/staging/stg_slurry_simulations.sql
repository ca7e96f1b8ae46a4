select
    epsilon_active,
    sigma_active,
    epsilon_binder,
    rho_binder,
    normal_stiffness,
    normal_damping,
    friction,
    slurry_density_g_cm3,
    viscosity_at_18_pa_s,
    viscosity_at_125_pa_s,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_slurry_simulations') }}
