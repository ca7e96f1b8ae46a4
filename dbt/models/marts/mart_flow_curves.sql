select
    test.flow_test_id,
    test.test_name,
    test.slurry_id,
    slurry.active_material_pct,
    slurry.solid_content_pct,
    test.source_id,
    test.is_synthetic,
    test.temperature_degc,
    test.temperature_source,
    test.points,
    test.points_without_viscosity,
    test.shear_rate_min_1_s,
    test.shear_rate_max_1_s,
    test.viscosity_at_0p1_pa_s,
    test.viscosity_at_1_pa_s,
    test.viscosity_at_10_pa_s,
    test.viscosity_at_100_pa_s,
    test.viscosity_at_1_pa_s / test.viscosity_at_100_pa_s as thinning_1_to_100,
    test.viscosity_note
from {{ ref('stg_flow_tests') }} as test
left join {{ ref('core_slurries') }} as slurry on slurry.slurry_id = test.slurry_id
