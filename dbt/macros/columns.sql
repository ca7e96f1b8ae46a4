{% macro recipe_columns() %}
    {{ return([
        'active_material', 'active_material_pct', 'conductive_additive_pct', 'binder_pct',
        'solid_content_pct', 'viscosity_pa_s', 'comma_gap_um', 'coating_speed_m_min',
        'drying_temperature_degc', 'compression_degree_pct', 'roll_temperature_degc', 'line_load_n_mm',
    ]) }}
{% endmacro %}


{# The columns that a raw table's contract asks for, from its source definition. #}
{% macro contract_columns(table) %}
    {% set technical = ['source_id', 'file_id', 'sheet', 'row_number', 'is_synthetic'] %}
    {% set found = [] %}
    {% if execute %}
        {% for column in graph.sources['source.' ~ project_name ~ '.raw.raw_' ~ table].columns %}
            {% if column not in technical %}{% do found.append(column) %}{% endif %}
        {% endfor %}
    {% endif %}
    {{ return(found) }}
{% endmacro %}
