{# Replace a table or view in one short transaction, sent as one statement: readers see the old
   one or the new one, a build adds one snapshot per model, and a commit that loses against
   another writer is sent again (`retries` in profiles.yml). Of hooks, only those outside the
   transaction (before_begin, after_commit) are run. #}

{% materialization table, adapter='duckdb', supported_languages=['sql'] %}
    {% set target = this.incorporate(type='table') %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {% set contracted = config.get('contract').enforced %}
    {% if contracted %}{{ get_assert_columns_equivalent(compiled_code) }}{% endif %}
    {% call statement('main', auto_begin=False) %}
        begin;
        {{ drop_other_kind(target) }}
        {% if contracted %}
            create or replace table {{ target }} {{ get_table_columns_and_constraints() }};
            insert into {{ target }} {{ get_column_names() }} ({{ get_select_subquery(compiled_code) }});
        {% else %}
            create or replace table {{ target }} as ({{ compiled_code }});
        {% endif %}
        commit;
    {% endcall %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}


{% materialization view, adapter='duckdb' %}
    {% set target = this.incorporate(type='view') %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {% call statement('main', auto_begin=False) %}
        begin;
        {{ drop_other_kind(target) }}
        create or replace view {{ target }} as ({{ compiled_code }});
        commit;
    {% endcall %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}


{% macro drop_other_kind(target) %}
    {% set existing = load_cached_relation(target) %}
    {% if existing is not none and existing.type != target.type %}
        drop {{ existing.type }} {{ existing }};
    {% endif %}
{% endmacro %}
