"""Half cells: an electrode of NMC111 against lithium, from its properties to energy and power.

What belongs here: the electrode as measured, the cell model, and the numbers it assumes. What does
not: sweeps and what is kept of them.

Thin today: constant current, one temperature; properties are the same all through the electrode.
"""
