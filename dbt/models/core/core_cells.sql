with first_formations as (
    select *
    from {{ ref('stg_formations') }}
    qualify row_number() over (
        partition by cell_id order by started_at nulls last, formation_id
    ) = 1
),

tests as (
    select cell_id, count(*) as n_tests
    from {{ ref('stg_cycling_tests') }}
    group by cell_id
)

select
    cell.cell_id,
    cell.electrode_id,
    cell.source_id,
    cell.is_synthetic,
    cell.cell_format,
    cell.counter_electrode,
    cell.active_mass_mg,
    cell.active_mass_source,
    cell.assembled_at,
    formation.formation_id,
    formation.charge_capacity_mah as formation_charge_capacity_mah,
    formation.discharge_capacity_mah as formation_discharge_capacity_mah,
    coalesce(
        formation.coulombic_efficiency_pct,
        100 * least(formation.charge_capacity_mah, formation.discharge_capacity_mah)
        / nullif(greatest(formation.charge_capacity_mah, formation.discharge_capacity_mah), 0)
    ) as formation_coulombic_efficiency_pct,
    case
        when formation.active_mass_source is not null then formation.specific_capacity_mah_g
    end as formation_specific_capacity_mah_g,
    formation.ir_drop_mv,
    coalesce(tests.n_tests, 0) as n_tests
from {{ ref('stg_cells') }} as cell
left join first_formations as formation on formation.cell_id = cell.cell_id
left join tests on tests.cell_id = cell.cell_id
