select
    file_id,
    source_id,
    file_name,
    regexp_replace(table_name, '^raw_', '') as table_name,
    sheet,
    row_number,
    field,
    value,
    rule,
    message,
    remedy,
    record,
    is_synthetic,
    quarantined_at
from {{ source('raw', 'quarantine') }}
