select
    source_id,
    is_synthetic,
    file_name,
    table_name,
    field,
    rule,
    count(*) as n_rows,
    min(message) as example_message,
    min_by(remedy, message) as remedy
from {{ ref('stg_quarantine') }}
group by source_id, is_synthetic, file_name, table_name, field, rule
