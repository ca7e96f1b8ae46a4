"""The kinds of models there are: a surrogate of one or several quantities, and a sparse table of cells.

In scope: how each kind reads its rows, evaluates and fits. What both share (splits, gate, card, registry)
is in `models`.
"""
