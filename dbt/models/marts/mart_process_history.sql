with electrodes as (
    select * from {{ ref('core_electrodes') }}
),

steps as (
    select
        electrodes.electrode_id,
        1 as stage,
        'mixing' as step,
        slurry.slurry_id as record_id,
        slurry.mixed_at as happened_at,
        concat_ws(', ',
            {{ setting('active', 'electrodes.active_material_pct', '%') }},
            {{ setting('solids', 'electrodes.solid_content_pct', '%') }},
            {{ setting('viscosity', 'electrodes.viscosity_pa_s', 'Pa·s') }},
            {{ setting('mixed', 'slurry.mixing_time_min', 'min') }}
        ) as settings
    from electrodes
    inner join {{ ref('core_slurries') }} as slurry on slurry.slurry_id = electrodes.slurry_id

    union all

    select
        electrodes.electrode_id,
        2,
        'coating',
        coating.coating_id,
        coating.coated_at,
        concat_ws(', ',
            {{ setting('gap', 'electrodes.comma_gap_um', 'µm') }},
            {{ setting('speed', 'electrodes.coating_speed_m_min', 'm/min') }},
            {{ setting('wet film', 'coating.wet_thickness_um', 'µm') }}
        )
    from electrodes
    inner join {{ ref('core_coatings') }} as coating on coating.coating_id = electrodes.coating_id

    union all

    select
        electrodes.electrode_id,
        3,
        'drying',
        electrodes.drying_id,
        drying.dried_at,
        concat_ws(', ',
            {{ setting('air', 'electrodes.drying_temperature_degc', '°C') }},
            {{ setting('for', 'drying.drying_time_min', 'min') }}
        )
    from electrodes
    left join {{ ref('stg_dryings') }} as drying on drying.drying_id = electrodes.drying_id
    where electrodes.drying_id is not null or electrodes.drying_temperature_degc is not null

    union all

    select
        electrodes.electrode_id,
        4,
        'calendering',
        electrodes.calendering_id,
        calendering.calendered_at,
        concat_ws(', ',
            {{ setting('compression', 'electrodes.compression_degree_pct', '%') }},
            {{ setting('rolls', 'electrodes.roll_temperature_degc', '°C') }},
            {{ setting('load', 'electrodes.line_load_n_mm', 'N/mm') }}
        )
    from electrodes
    left join {{ ref('stg_calenderings') }} as calendering
        on calendering.calendering_id = electrodes.calendering_id
    where electrodes.calendering_id is not null or electrodes.compression_degree_pct > 0

    union all

    select
        electrode_id,
        5,
        'electrode',
        electrode_id,
        measured_at,
        concat_ws(', ',
            {{ setting('loading', 'mass_loading_mg_cm2', 'mg/cm²') }},
            {{ setting('thickness', 'thickness_um', 'µm') }},
            {{ setting('porosity', 'porosity_pct', '%') }}
        )
    from electrodes

    union all

    select electrode_id, 6, 'cell_assembly', cell_id, assembled_at, concat_ws(' against ', cell_format, counter_electrode)
    from {{ ref('core_cells') }}

    union all

    select
        cell.electrode_id,
        7,
        'formation',
        formation.formation_id,
        formation.started_at,
        {{ setting('discharged', 'formation.discharge_capacity_mah', 'mAh') }}
    from {{ ref('stg_formations') }} as formation
    inner join {{ ref('core_cells') }} as cell on cell.cell_id = formation.cell_id

    union all

    select
        cell.electrode_id,
        8,
        'cycling',
        test.test_id,
        test.started_at,
        concat_ws(', ',
            {{ setting('charge', 'test.charge_rate_c', 'C') }},
            {{ setting('discharge', 'test.discharge_rate_c', 'C') }},
            {{ setting('at', 'test.temperature_degc', '°C') }}
        )
    from {{ ref('stg_cycling_tests') }} as test
    inner join {{ ref('core_cells') }} as cell on cell.cell_id = test.cell_id
)

select
    steps.electrode_id,
    row_number() over (
        partition by steps.electrode_id
        order by steps.stage, steps.happened_at nulls last, steps.record_id
    ) as step_number,
    steps.step,
    steps.record_id,
    steps.happened_at,
    nullif(steps.settings, '') as settings,
    electrodes.source_id,
    electrodes.is_synthetic
from steps
inner join electrodes on electrodes.electrode_id = steps.electrode_id
