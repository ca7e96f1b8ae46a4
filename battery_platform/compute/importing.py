"""Heavy libraries are imported by one thread at a time.

Steps of a run share a process. Two threads that import scikit-learn at once can see it half made, for
its modules import each other in circles; whoever may be the first to import it holds this lock.
"""

from __future__ import annotations

from threading import RLock

IMPORTING = RLock()
