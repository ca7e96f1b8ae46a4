with steps as (
    select
        run.line,
        step.step,
        run.outcome,
        run.source_id,
        run.is_synthetic,
        step.run_id,
        step.doses,
        step.dose_total_ul,
        step.position,
        step.position = max(step.position) over (partition by step.run_id) as is_last,
        epoch(step.ended_at) - epoch(step.started_at) as duration_s
    from {{ ref('stg_line_steps') }} as step
    inner join {{ ref('stg_line_runs') }} as run on run.run_id = step.run_id
)

select
    line,
    step,
    source_id,
    is_synthetic,
    cast(median(position) as bigint) as usual_position,
    count(*) as n_steps,
    count(distinct run_id) as n_runs,
    count(*) filter (where outcome = 'abandoned' and is_last) as n_abandoned_here,
    median(duration_s) filter (where outcome = 'completed') as median_duration_s,
    quantile_cont(duration_s, 0.95) filter (where outcome = 'completed') as p95_duration_s,
    max(duration_s) filter (where outcome = 'completed') as max_duration_s,
    cast(sum(doses) as bigint) as n_doses,
    sum(dose_total_ul) as dose_total_ul
from steps
group by line, step, source_id, is_synthetic
