"""What the platform computes itself goes one way: fingerprint, kept, studies, products, lineage.

Here belongs what every computed table needs, whatever it is about: telling what a result depends on,
deciding whether to compute it again, running many designs, storing checked rows, and walking from any
result back to files. It stands on `store`, `compute` and `contracts`. No domain is known here.
"""
