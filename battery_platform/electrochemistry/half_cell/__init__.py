"""Half cells: an electrode of NMC111 against lithium, from its properties to energy and power.

In scope: the electrode as measured, the cell model, and the numbers it assumes. Out of scope: sweeps and what is kept of them.

Limitations: constant current, one temperature; properties are the same all through the electrode.
"""
