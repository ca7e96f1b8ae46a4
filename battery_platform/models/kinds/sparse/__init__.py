"""Learning from one wide table of cells with gaps: descriptors, endpoints, and the fade as a curve.

In scope: predicting every endpoint with its uncertainty from the descriptors and whichever endpoints are
known, as in paper 001. The code that is served is in `models.served`.
"""
