"""Benchmarks: each a ratio against a named peer in the same run, as medians of three.

`make bench` runs all; `python -m benchmarks ingest` runs one. Absolute seconds are shown beside
the ratios and mean nothing on another machine.
"""
