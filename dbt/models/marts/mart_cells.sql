with cycles as (
    select
        test.cell_id,
        cycle.test_id,
        cycle.cycle,
        cycle.discharge_capacity_mah as capacity_mah,
        coalesce(
            case when cycle.active_mass_source is not null then cycle.specific_capacity_mah_g end,
            case
                when cell.active_mass_source is not null
                    then 1000 * cycle.discharge_capacity_mah / cell.active_mass_mg
            end
        ) as specific_capacity_mah_g,
        max(cycle.discharge_capacity_mah) over (partition by cycle.test_id) as max_capacity_mah
    from {{ ref('stg_test_cycles') }} as cycle
    inner join {{ ref('stg_cycling_tests') }} as test on test.test_id = cycle.test_id
    inner join {{ ref('core_cells') }} as cell on cell.cell_id = test.cell_id
),

cycles_and_peak as (
    select
        *,
        min(cycle) filter (where capacity_mah = max_capacity_mah) over (partition by test_id)
            as cycle_of_max
    from cycles
),

tests as (
    select
        cell_id,
        test_id,
        count(*) as cycles,
        max(specific_capacity_mah_g) filter (where cycle = 5) as d5_mah_g,
        max(specific_capacity_mah_g) filter (where cycle = 10) as d10_mah_g,
        max(specific_capacity_mah_g) filter (where cycle = 30) as d30_mah_g,
        any_value(max_capacity_mah) as max_capacity_mah,
        100 * arg_max(capacity_mah, cycle) / nullif(any_value(max_capacity_mah), 0) as retention_pct,
        min(cycle) filter (
            where cycle > cycle_of_max
            and capacity_mah < {{ var('faded_below_pct') }} / 100.0 * max_capacity_mah
        ) as cycle_at_50pct_of_max
    from cycles_and_peak
    group by cell_id, test_id
),

longest_tests as (
    select *
    from tests
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
    cell.ir_drop_mv,
    test.test_id,
    coalesce(test.cycles, 0) as cycles,
    test.d5_mah_g,
    test.d10_mah_g,
    test.d30_mah_g,
    test.max_capacity_mah,
    test.retention_pct,
    test.cycle_at_50pct_of_max,
    case
        when cell.formation_id is null or cell.formation_discharge_capacity_mah = 0
            then 'formation_incomplete'
        when coalesce(test.cycles, 0) < {{ var('cycles_of_a_complete_test') }}
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
