"""Learning from one wide table of cells with gaps: descriptors, endpoints, and the fade as a curve.

Here belongs what paper 001 does with such a table: every endpoint predicted with its uncertainty from
the descriptors and whichever endpoints are known. What is served stands in `models.served`.
"""
