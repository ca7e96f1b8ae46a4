select
    test_id,
    cycle,
    charge_capacity_mah,
    discharge_capacity_mah,
    specific_capacity_mah_g,
    theoretical_capacity_mah_g,
    active_mass_source,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_test_cycles') }}
