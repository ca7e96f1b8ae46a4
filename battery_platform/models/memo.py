"""A cache of recent fits, as several algorithms start from the same process on the same rows.

Only the last few are kept, each under a key of everything it depends on.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import Any

import numpy as np

from battery_platform.models.rows import Rows
from battery_platform.models.specification import Specification

KEPT = 4


class Memo:
    """The most recent answers, by question."""

    def __init__(self) -> None:
        self._answers: OrderedDict[bytes, Any] = OrderedDict()
        self._guard = Lock()

    def get(self, key: bytes) -> Any:
        """The answer, or None."""
        with self._guard:
            return self._answers.get(key)

    def put(self, key: bytes, answer: Any) -> None:
        with self._guard:
            self._answers[key] = answer
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)


def question(model: Specification, rows: Rows) -> bytes:
    """All that a process learns from: features, seed and rows."""
    hasher = hashlib.blake2b(digest_size=16)
    hasher.update(repr((model.inputs, model.features, model.seed, rows.batches.tolist())).encode())
    for array in (rows.inputs, rows.target, rows.conditions):
        hasher.update(repr((array.shape, array.dtype.str)).encode())
        hasher.update(np.ascontiguousarray(array).tobytes())
    return hasher.digest()
