{% set siblings = 'partition by slurry_id, coating_id, calendering_id, compression_degree_pct, loading_basis' %}

with files as (
    select file_id, min(file_name) as file_name, min(licence) as licence
    from {{ ref('stg_files') }}
    group by file_id
)

select
    electrode.electrode_id,
    electrode.coating_id,
    electrode.slurry_id,
    electrode.drying_id,
    electrode.calendering_id,
    {{ recipe_key() }} as recipe_id,
    electrode.source_id,
    electrode.is_synthetic,
    electrode.replicate,
    {% for column in recipe_columns() %}
    electrode.{{ column }},
    {% endfor %}
    electrode.area_cm2,
    electrode.thickness_um,
    electrode.mass_loading_mg_cm2,
    electrode.loading_basis,
    electrode.porosity_pct,
    electrode.composite_density_g_cm3,
    electrode.adhesion_n_m,
    electrode.specific_capacity_mah_g,
    case
        when coalesce(
            electrode.thickness_um, electrode.mass_loading_mg_cm2, electrode.porosity_pct
        ) is not null
            then coalesce({{ is_near_median('electrode.thickness_um', siblings) }}, true)
                and coalesce({{ is_near_median('electrode.mass_loading_mg_cm2', siblings) }}, true)
                and coalesce({{ is_near_median('electrode.porosity_pct', siblings) }}, true)
    end as is_within_tolerance,
    electrode.measured_at,
    files.licence,
    electrode.file_id,
    files.file_name,
    electrode.sheet,
    electrode.row_number
from {{ ref('core_electrodes') }} as electrode
left join files on files.file_id = electrode.file_id
