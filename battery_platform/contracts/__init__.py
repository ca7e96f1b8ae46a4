"""What may enter: one Pandera contract per raw table, its rules, and the verdict on each row.

Nothing here reads a file or knows the store. `registry` is the light part; importing `base` or
a module of contracts imports Pandera.
"""
