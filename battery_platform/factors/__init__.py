"""Which factors of a manufacturing campaign matter, how surely, and what their tolerances cost.

Here belongs statistics on a table that the caller hands in: named columns in, a frozen result out.
What does not: where the table is stored, who asks, and models that are registered.

Thin today: batches are never a random effect, inputs of `sensitivity` and `tolerances` vary
independently of each other, and one target is judged at a time.
"""
