"""Heavy maps: thousands of runs that may hang or kill their process, none of which harms another.

`map_batches` works on processes of this machine, or on a Dask cluster where the setting names one.
`spread` is for fits and the like: results in order, here while they are few, else over the same processes.
All maps of a process share its worker processes, one per core, which stay for the next map.
"""

from battery_platform.compute.batches import map_batches
from battery_platform.compute.job import Done

__all__ = ["Done", "map_batches"]
