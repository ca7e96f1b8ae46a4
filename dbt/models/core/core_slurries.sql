with lots as (
    select lot_id, min(material_name) as material_name
    from {{ ref('stg_material_lots') }}
    group by lot_id
),

handed_in as (
    select
        1 as origin_rank,
        'step_table' as origin,
        slurry.slurry_id,
        slurry.active_lot_id,
        slurry.conductive_lot_id,
        slurry.binder_lot_id,
        slurry.active_material_pct,
        slurry.conductive_additive_pct,
        slurry.binder_pct,
        slurry.solid_content_pct,
        slurry.viscosity_pa_s,
        slurry.shear_rate_1_s,
        slurry.mixing_time_min,
        slurry.mixed_at,
        slurry.source_id,
        slurry.file_id,
        slurry.sheet,
        slurry.row_number,
        slurry.is_synthetic,
        lots.material_name as active_material
    from {{ ref('stg_slurry_batches') }} as slurry
    left join lots on lots.lot_id = slurry.active_lot_id

    union all

    select
        2 as origin_rank,
        'electrode_sheet' as origin,
        slurry_id,
        cast(null as varchar) as active_lot_id,
        cast(null as varchar) as conductive_lot_id,
        cast(null as varchar) as binder_lot_id,
        active_material_pct,
        conductive_additive_pct,
        binder_pct,
        solid_content_pct,
        viscosity_pa_s,
        cast(null as double) as shear_rate_1_s,
        cast(null as double) as mixing_time_min,
        cast(null as timestamp) as mixed_at,
        source_id,
        file_id,
        sheet,
        row_number,
        is_synthetic,
        active_material
    from {{ ref('stg_electrode_sheets') }}
)

select
    slurry_id,
    {{ first_known('source_id') }} as source_id,
    bool_or(is_synthetic) as is_synthetic,
    {{ first_known('origin') }} as origin,
    {{ first_known('active_lot_id') }} as active_lot_id,
    {{ first_known('conductive_lot_id') }} as conductive_lot_id,
    {{ first_known('binder_lot_id') }} as binder_lot_id,
    {{ first_known('active_material') }} as active_material,
    {{ first_known('active_material_pct') }} as active_material_pct,
    {{ first_known('conductive_additive_pct') }} as conductive_additive_pct,
    {{ first_known('binder_pct') }} as binder_pct,
    {{ first_known('solid_content_pct') }} as solid_content_pct,
    {{ only_value('viscosity_pa_s') }} as viscosity_pa_s,
    {{ first_known('shear_rate_1_s') }} as shear_rate_1_s,
    {{ first_known('mixing_time_min') }} as mixing_time_min,
    {{ first_known('mixed_at') }} as mixed_at
from handed_in
group by slurry_id
