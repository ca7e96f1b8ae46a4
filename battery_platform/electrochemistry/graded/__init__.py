"""Full cells whose electrodes are denser towards their collectors.

In scope: profiles of active material, sizing, the cell model, and the published numbers
that it is measured by. Out of scope: sweeps, surrogates and optimisation over many designs.

Limitations: NMC111 against graphite, discharge at constant current.
"""
