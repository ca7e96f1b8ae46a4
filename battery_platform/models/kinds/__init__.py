"""The kinds of models there are: a surrogate of one or several quantities, and a sparse table of cells.

Here belongs how a kind reads its rows, judges and fits. What both share (splits, gate, card, registry)
stands above, in `models`.
"""
