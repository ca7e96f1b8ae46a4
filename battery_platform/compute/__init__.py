"""Heavy maps: thousands of runs that may hang or kill their process without affecting each other.

`map_batches` uses processes of this machine, or a Dask cluster if one is configured. `spread` is for fits
and the like: results in order, in this process while there are few, otherwise over the same worker
processes. All maps of a process share its worker processes, one per core, which are kept for the next map.
"""

from battery_platform.compute.batches import map_batches
from battery_platform.compute.job import Done

__all__ = ["Done", "map_batches"]
