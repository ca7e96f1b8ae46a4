select
    recipe_id,
    source_id,
    bool_or(is_synthetic) as is_synthetic,
    {{ only_value('slurry_id') }} as slurry_id,
    {% for column in recipe_columns() %}
    any_value({{ column }}) as {{ column }},
    {% endfor %}
    count(*) as n_electrodes,
    {{ only_value('loading_basis') }} as loading_basis,
    count(mass_loading_mg_cm2) as n_mass_loading,
    case when count(distinct loading_basis) <= 1 then avg(mass_loading_mg_cm2) end
        as mean_mass_loading_mg_cm2,
    case when count(distinct loading_basis) <= 1 then stddev_samp(mass_loading_mg_cm2) end
        as sd_mass_loading_mg_cm2,
    count(porosity_pct) as n_porosity,
    avg(porosity_pct) as mean_porosity_pct,
    stddev_samp(porosity_pct) as sd_porosity_pct,
    count(thickness_um) as n_thickness,
    avg(thickness_um) as mean_thickness_um,
    stddev_samp(thickness_um) as sd_thickness_um
from {{ ref('mart_electrodes') }}
group by recipe_id, source_id
