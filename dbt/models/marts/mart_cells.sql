with longest_tests as (
    select *
    from {{ source('raw', 'test_features') }}
    where cell_id is not null
    qualify row_number() over (partition by cell_id order by cycles desc, test_id) = 1
)

select
    cell.cell_id,
    cell.electrode_id,
    electrode.coating_id,
    electrode.slurry_id,
    electrode.recipe_id,
    cell.source_id,
    cell.is_synthetic,
    cell.cell_format,
    cell.counter_electrode,
    cell.active_mass_mg,
    cell.active_mass_source,
    {% for column in recipe_columns() %}
    electrode.{{ column }},
    {% endfor %}
    electrode.thickness_um,
    electrode.mass_loading_mg_cm2,
    electrode.loading_basis,
    electrode.porosity_pct,
    electrode.adhesion_n_m,
    cell.formation_id,
    cell.formation_coulombic_efficiency_pct,
    cell.formation_specific_capacity_mah_g,
    coalesce(cell.ir_drop_mv, test.ir_drop_mv) as ir_drop_mv,
    test.test_id,
    coalesce(test.cycles, 0) as cycles,
    test.d5_mah_g,
    test.d10_mah_g,
    test.d30_mah_g,
    test.max_capacity_mah,
    test.retention_pct,
    test.cycle_at_50pct_of_max,
    test.resistance_ohm,
    test.coulombic_efficiency_pct,
    case
        when
            coalesce(test.formation_cycles, 0) = 0
            and (cell.formation_id is null or cell.formation_discharge_capacity_mah = 0)
            then 'formation_incomplete'
        when
            coalesce(test.cycles - coalesce(test.formation_cycles, 0), 0)
            < {{ var('cycles_of_a_complete_test') }}
            then 'cycling_incomplete'
        when not electrode.is_within_tolerance then 'electrode_out_of_tolerance'
        else 'ok'
    end as qc_status_code,
    case
        when test.d30_mah_g > {{ var('class_a_above_mah_g') }} then 'A'
        when test.d30_mah_g < {{ var('class_c_below_mah_g') }} then 'C'
        when test.d30_mah_g is not null then 'B'
    end as performance_class_code
from {{ ref('core_cells') }} as cell
left join {{ ref('mart_electrodes') }} as electrode on electrode.electrode_id = cell.electrode_id
left join longest_tests as test on test.cell_id = cell.cell_id
