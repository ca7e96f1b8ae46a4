"""Full cells whose electrodes are denser towards their collectors.

What belongs here: profiles of active material, sizing, the cell model, and the published numbers
that it is measured by. What does not: sweeps, surrogates and optimisation over many designs.

Thin today: NMC111 against graphite, discharge at constant current.
"""
