select
    corpus,
    document_id,
    split,
    n_characters,
    reference,
    file,
    text,
    source_id,
    file_id,
    sheet,
    row_number,
    is_synthetic
from {{ source('raw', 'raw_corpus_texts') }}
