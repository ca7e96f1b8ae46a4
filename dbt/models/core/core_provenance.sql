{% set single_rows = [
    ('material_lot', 'lot_id', 'material_lots'),
    ('slurry', 'slurry_id', 'slurry_batches'),
    ('slurry', 'slurry_id', 'electrode_sheets'),
    ('coating', 'coating_id', 'coatings'),
    ('coating', 'coating_id', 'electrode_sheets'),
    ('drying', 'drying_id', 'dryings'),
    ('calendering', 'calendering_id', 'calenderings'),
    ('electrode', 'electrode_id', 'electrodes'),
    ('electrode', 'electrode_id', 'electrode_sheets'),
    ('cell', 'cell_id', 'cells'),
    ('formation', 'formation_id', 'formations'),
    ('test', 'test_id', 'cycling_tests'),
    ('condition', 'condition_id', 'condition_means'),
    ('structure', 'structure_id', 'mesostructures'),
    ('case_cell', 'cell_id', 'cell_cases'),
    ('flow_curve', 'flow_test_id', 'flow_tests'),
    ('peel_test', 'peel_test_id', 'peel_tests'),
    ('line_run', 'run_id', 'line_runs'),
    ('aged_cell', 'cell_id', 'cycle_lives'),
    ('volume', 'volume_id', 'voxel_volumes'),
] %}
{# Of the long tables, the first row per entity and file stands for all. #}
{% set long_tables = [
    ('test', 'test_id', 'test_cycles'),
    ('test', 'test_id', 'test_points'),
    ('flow_curve', 'flow_test_id', 'flow_points'),
    ('peel_test', 'peel_test_id', 'peel_points'),
    ('line_run', 'run_id', 'line_steps'),
    ('aged_cell', 'cell_id', 'capacity_curves'),
] %}

with files as (
    select file_id, min(file_name) as file_name
    from {{ ref('stg_files') }}
    group by file_id
),

rows_of_entities as (
    {% for kind, id, table in single_rows %}
    select
        '{{ kind }}' as entity_kind,
        {{ id }} as entity_id,
        source_id,
        file_id,
        sheet,
        row_number,
        '{{ table }}' as table_name,
        is_synthetic
    from {{ ref('stg_' ~ table) }}
    union all
    {% endfor %}
    {% for kind, id, table in long_tables %}
    select
        '{{ kind }}' as entity_kind,
        {{ id }} as entity_id,
        source_id,
        file_id,
        sheet,
        min(row_number) as row_number,
        '{{ table }}' as table_name,
        is_synthetic
    from {{ ref('stg_' ~ table) }}
    group by all
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    rows_of_entities.entity_kind,
    rows_of_entities.entity_id,
    rows_of_entities.source_id,
    rows_of_entities.file_id,
    files.file_name,
    rows_of_entities.sheet,
    rows_of_entities.row_number,
    rows_of_entities.table_name,
    rows_of_entities.is_synthetic
from rows_of_entities
left join files on files.file_id = rows_of_entities.file_id
