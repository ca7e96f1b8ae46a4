"""Cells in simulation: from an electrode's measured properties to a discharge curve.

What belongs here: models of cells, the numbers they assume, and figures of their results. What
does not: where electrodes are stored, who asks for a simulation, and models fitted to data.

Thin today: one half cell, one particle size, one discharge per built model. A later stage adds
six particle-size groups, sweeps, graded full cells and the reuse of built models.
"""
