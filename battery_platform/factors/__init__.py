"""Which factors of a manufacturing campaign matter, how surely, and what their tolerances cost.

This package holds statistics on a table passed in by the caller: named columns in, a frozen result out.
It does not deal with where the table is stored, who calls it, or registered models.

Limitations: batches are never a random effect, inputs of `sensitivity` and `tolerances` vary
independently of each other, and one target is analysed at a time.
"""
