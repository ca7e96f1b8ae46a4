"""Dagster only: assets, checks, jobs, schedules, sensors and resources, thin over the domain."""
