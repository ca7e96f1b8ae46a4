"""Simulated cells: from an electrode's measured properties to a discharge curve.

In scope: models of cells, the numbers they assume, and figures of their results. Out of scope: where
electrodes are stored, who requests a simulation, and models fitted to data.
"""
