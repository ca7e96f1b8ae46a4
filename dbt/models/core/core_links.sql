{% set links = [
    ('material_lot', 'active_lot_id', 'slurry', 'slurry_id', 'slurry_batches'),
    ('material_lot', 'conductive_lot_id', 'slurry', 'slurry_id', 'slurry_batches'),
    ('material_lot', 'binder_lot_id', 'slurry', 'slurry_id', 'slurry_batches'),
    ('slurry', 'slurry_id', 'coating', 'coating_id', 'coatings'),
    ('slurry', 'slurry_id', 'coating', 'coating_id', 'electrode_sheets'),
    ('coating', 'coating_id', 'drying', 'drying_id', 'dryings'),
    ('drying', 'drying_id', 'calendering', 'calendering_id', 'calenderings'),
    ('coating', 'coating_id', 'electrode', 'electrode_id', 'electrodes'),
    ('coating', 'coating_id', 'electrode', 'electrode_id', 'electrode_sheets'),
    ('calendering', 'calendering_id', 'electrode', 'electrode_id', 'electrodes'),
    ('electrode', 'electrode_id', 'cell', 'cell_id', 'cells'),
    ('cell', 'cell_id', 'formation', 'formation_id', 'formations'),
    ('cell', 'cell_id', 'test', 'test_id', 'cycling_tests'),
    ('slurry', 'slurry_id', 'flow_curve', 'flow_test_id', 'flow_tests'),
    ('electrode', 'electrode_id', 'peel_test', 'peel_test_id', 'peel_tests'),
    ('line_run', 'run_id', 'cell', 'cell_id', 'line_runs'),
] %}

{% for parent_kind, parent_id, child_kind, child_id, table in links %}
select
    '{{ parent_kind }}' as parent_kind,
    {{ parent_id }} as parent_id,
    '{{ child_kind }}' as child_kind,
    {{ child_id }} as child_id,
    source_id
from {{ ref('stg_' ~ table) }}
where {{ parent_id }} is not null and {{ child_id }} is not null
{{ 'union' if not loop.last }}
{% endfor %}
