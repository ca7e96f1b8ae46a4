with handed_in as (
    select
        1 as origin_rank,
        'step_table' as origin,
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
        is_synthetic,
        cast(null as varchar) as slurry_id,
        row_number() over (partition by coating_id, calendering_id order by electrode_id) as replicate,
        cast(null as varchar) as active_material,
        cast(null as double) as active_material_pct,
        cast(null as double) as conductive_additive_pct,
        cast(null as double) as binder_pct,
        cast(null as double) as solid_content_pct,
        cast(null as double) as viscosity_pa_s,
        cast(null as double) as comma_gap_um,
        cast(null as double) as coating_speed_m_min,
        cast(null as double) as drying_temperature_degc,
        cast(null as double) as compression_degree_pct,
        cast(null as double) as specific_capacity_mah_g,
        cast(null as double) as theoretical_capacity_mah_g,
        cast(null as varchar) as active_mass_source
    from {{ ref('stg_electrodes') }}

    union all

    select
        2 as origin_rank,
        'electrode_sheet' as origin,
        electrode_id,
        coating_id,
        cast(null as varchar) as calendering_id,
        cast(null as double) as area_cm2,
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
        is_synthetic,
        slurry_id,
        replicate,
        active_material,
        active_material_pct,
        conductive_additive_pct,
        binder_pct,
        solid_content_pct,
        viscosity_pa_s,
        comma_gap_um,
        coating_speed_m_min,
        drying_temperature_degc,
        compression_degree_pct,
        specific_capacity_mah_g,
        theoretical_capacity_mah_g,
        active_mass_source
    from {{ ref('stg_electrode_sheets') }}
),

electrodes as (
    select *
    from handed_in
    qualify row_number() over (
        partition by electrode_id order by origin_rank, file_id, row_number
    ) = 1
)

select
    electrode.electrode_id,
    electrode.coating_id,
    coalesce(coating.slurry_id, electrode.slurry_id) as slurry_id,
    coalesce(calendering.drying_id, coating.drying_id) as drying_id,
    electrode.calendering_id,
    electrode.source_id,
    electrode.is_synthetic,
    electrode.origin,
    electrode.replicate,
    coalesce(electrode.active_material, slurry.active_material) as active_material,
    coalesce(electrode.active_material_pct, slurry.active_material_pct) as active_material_pct,
    coalesce(electrode.conductive_additive_pct, slurry.conductive_additive_pct)
        as conductive_additive_pct,
    coalesce(electrode.binder_pct, slurry.binder_pct) as binder_pct,
    coalesce(electrode.solid_content_pct, slurry.solid_content_pct) as solid_content_pct,
    coalesce(electrode.viscosity_pa_s, slurry.viscosity_pa_s) as viscosity_pa_s,
    coalesce(electrode.comma_gap_um, coating.comma_gap_um) as comma_gap_um,
    coalesce(electrode.coating_speed_m_min, coating.coating_speed_m_min) as coating_speed_m_min,
    coalesce(
        electrode.drying_temperature_degc,
        drying.drying_temperature_degc,
        coating.drying_temperature_degc
    ) as drying_temperature_degc,
    case
        when electrode.origin = 'electrode_sheet' then electrode.compression_degree_pct
        when electrode.calendering_id is null then 0
        else coalesce(
            calendering.compression_degree_pct,
            greatest(0, 100 * (1 - calendering.thickness_after_um / calendering.thickness_before_um))
        )
    end as compression_degree_pct,
    calendering.roll_temperature_degc,
    calendering.line_load_n_mm,
    electrode.area_cm2,
    electrode.thickness_um,
    electrode.mass_loading_mg_cm2,
    electrode.loading_basis,
    electrode.porosity_pct,
    electrode.composite_density_g_cm3,
    electrode.adhesion_n_m,
    electrode.specific_capacity_mah_g,
    electrode.active_mass_source,
    electrode.measured_at,
    electrode.file_id,
    electrode.sheet,
    electrode.row_number
from electrodes as electrode
left join {{ ref('core_coatings') }} as coating on coating.coating_id = electrode.coating_id
left join {{ ref('core_slurries') }} as slurry
    on slurry.slurry_id = coalesce(coating.slurry_id, electrode.slurry_id)
left join {{ ref('stg_calenderings') }} as calendering
    on calendering.calendering_id = electrode.calendering_id
left join {{ ref('stg_dryings') }} as drying on drying.drying_id = calendering.drying_id
