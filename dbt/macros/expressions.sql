{# Among rows that describe one entity, the value of the first row that has one. #}
{% macro first_known(column) -%}
    first({{ column }} order by origin_rank, file_id, row_number) filter (where {{ column }} is not null)
{%- endmacro %}


{# The value that all rows agree on, or null. #}
{% macro only_value(column) -%}
    case when count(distinct {{ column }}) = 1 then min({{ column }}) end
{%- endmacro %}


{% macro recipe_key() -%}
    md5(concat_ws('|', source_id
    {%- for column in recipe_columns() -%}
        , coalesce(cast({{ column if column == 'active_material' else 'round(' ~ column ~ ', 6)' }} as varchar), '')
    {%- endfor -%}
    ))
{%- endmacro %}


{% macro is_near_median(column, partition) -%}
    abs({{ column }} - median({{ column }}) over ({{ partition }}))
        <= {{ var('electrode_tolerance_pct') }} / 100.0 * median({{ column }}) over ({{ partition }})
{%- endmacro %}


{# A setting in words, e.g. 'gap 200 µm'; null where it is not known. #}
{% macro setting(label, column, unit) -%}
    '{{ label }} ' || format('{:g}', round({{ column }}, 2)) || ' {{ unit }}'
{%- endmacro %}
