{% set tables = [
    'material_lots', 'slurry_batches', 'coatings', 'dryings', 'calenderings', 'electrodes',
    'electrode_sheets', 'condition_means', 'mesostructures', 'cells', 'formations',
    'cycling_tests', 'test_cycles',
] %}

with counts as (
    {% for table in tables %}
    {% set fields = contract_columns(table) %}
    select
        source_id,
        is_synthetic,
        '{{ table }}' as table_name,
        count(*) as n_rows,
        [{% for field in fields %}'{{ field }}'{{ ', ' if not loop.last }}{% endfor %}] as fields,
        [{% for field in fields %}count({{ field }}){{ ', ' if not loop.last }}{% endfor %}] as filled
    from {{ ref('stg_' ~ table) }}
    group by source_id, is_synthetic
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

per_field as (
    select source_id, is_synthetic, table_name, n_rows, unnest(fields) as field, unnest(filled) as n_filled
    from counts
)

select
    source_id,
    is_synthetic,
    table_name,
    field,
    n_rows,
    n_filled,
    n_filled / n_rows as share_filled
from per_field
