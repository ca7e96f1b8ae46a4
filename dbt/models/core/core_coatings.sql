with handed_in as (
    select
        1 as origin_rank,
        'step_table' as origin,
        coating_id,
        slurry_id,
        comma_gap_um,
        coating_speed_m_min,
        wet_thickness_um,
        coated_at,
        source_id,
        file_id,
        sheet,
        row_number,
        is_synthetic,
        cast(null as double) as drying_temperature_degc
    from {{ ref('stg_coatings') }}

    union all

    select
        2 as origin_rank,
        'electrode_sheet' as origin,
        coating_id,
        slurry_id,
        comma_gap_um,
        coating_speed_m_min,
        cast(null as double) as wet_thickness_um,
        cast(null as timestamp) as coated_at,
        source_id,
        file_id,
        sheet,
        row_number,
        is_synthetic,
        drying_temperature_degc
    from {{ ref('stg_electrode_sheets') }}
),

dryings as (
    select
        coating_id,
        count(*) as n_dryings,
        {{ only_value('drying_id') }} as drying_id
    from {{ ref('stg_dryings') }}
    group by coating_id
),

coatings as (
    select
        coating_id,
        {{ first_known('slurry_id') }} as slurry_id,
        {{ first_known('source_id') }} as source_id,
        bool_or(is_synthetic) as is_synthetic,
        {{ first_known('origin') }} as origin,
        {{ first_known('comma_gap_um') }} as comma_gap_um,
        {{ first_known('coating_speed_m_min') }} as coating_speed_m_min,
        {{ first_known('wet_thickness_um') }} as wet_thickness_um,
        {{ only_value('drying_temperature_degc') }} as drying_temperature_degc,
        {{ first_known('coated_at') }} as coated_at
    from handed_in
    group by coating_id
)

select
    coatings.coating_id,
    coatings.slurry_id,
    coatings.source_id,
    coatings.is_synthetic,
    coatings.origin,
    coatings.comma_gap_um,
    coatings.coating_speed_m_min,
    coatings.wet_thickness_um,
    coalesce(dryings.n_dryings, 0) as n_dryings,
    dryings.drying_id,
    coalesce(only_drying.drying_temperature_degc, coatings.drying_temperature_degc)
        as drying_temperature_degc,
    only_drying.drying_time_min,
    only_drying.residual_solvent_ppm,
    coatings.coated_at
from coatings
left join dryings on dryings.coating_id = coatings.coating_id
left join {{ ref('stg_dryings') }} as only_drying on only_drying.drying_id = dryings.drying_id
