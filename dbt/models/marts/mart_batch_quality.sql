with electrodes as (
    select
        slurry_id,
        count(*) as n_electrodes,
        count(distinct coating_id) as n_coatings,
        {{ only_value('loading_basis') }} as loading_basis,
        case when count(distinct loading_basis) <= 1 then avg(mass_loading_mg_cm2) end
            as mean_mass_loading_mg_cm2,
        case when count(distinct loading_basis) <= 1 then stddev_samp(mass_loading_mg_cm2) end
            as sd_mass_loading_mg_cm2,
        avg(thickness_um) as mean_thickness_um,
        stddev_samp(thickness_um) as sd_thickness_um,
        avg(porosity_pct) as mean_porosity_pct,
        stddev_samp(porosity_pct) as sd_porosity_pct,
        100 * avg(cast(is_within_tolerance as integer)) as within_tolerance_pct
    from {{ ref('mart_electrodes') }}
    group by slurry_id
),

refused_rows as (
    select distinct
        json_extract_string(try_cast(record as json), '$.slurry_id') as slurry_id,
        file_id,
        table_name,
        sheet,
        row_number
    from {{ ref('stg_quarantine') }}
),

refused as (
    select slurry_id, count(*) as n_quarantined_rows
    from refused_rows
    group by slurry_id
)

select
    slurry.slurry_id,
    slurry.source_id,
    slurry.is_synthetic,
    coalesce(electrodes.n_electrodes, 0) as n_electrodes,
    coalesce(electrodes.n_coatings, 0) as n_coatings,
    electrodes.loading_basis,
    electrodes.mean_mass_loading_mg_cm2,
    electrodes.sd_mass_loading_mg_cm2,
    100 * electrodes.sd_mass_loading_mg_cm2 / electrodes.mean_mass_loading_mg_cm2 as cv_mass_loading_pct,
    electrodes.mean_thickness_um,
    electrodes.sd_thickness_um,
    100 * electrodes.sd_thickness_um / electrodes.mean_thickness_um as cv_thickness_pct,
    electrodes.mean_porosity_pct,
    electrodes.sd_porosity_pct,
    100 * electrodes.sd_porosity_pct / electrodes.mean_porosity_pct as cv_porosity_pct,
    electrodes.within_tolerance_pct,
    coalesce(refused.n_quarantined_rows, 0) as n_quarantined_rows
from {{ ref('core_slurries') }} as slurry
left join electrodes on electrodes.slurry_id = slurry.slurry_id
left join refused on refused.slurry_id = slurry.slurry_id
