-- Rows read are rows accepted plus rows quarantined, file by file.
select
    file_id,
    sum(rows_in) as rows_in,
    sum(rows_accepted) as rows_accepted,
    sum(rows_quarantined) as rows_quarantined
from {{ ref('stg_files') }}
group by file_id
having sum(rows_in) is distinct from sum(rows_accepted) + sum(rows_quarantined)
