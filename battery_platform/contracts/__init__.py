"""What data may enter: one Pandera contract per raw table, its rules, and the verdict on each row.

Nothing here reads a file or depends on the store. `registry` is light; importing `base` or a module of
contracts imports Pandera.
"""
