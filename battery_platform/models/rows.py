"""Rows as algorithms see them: arrays, and which rows belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Rows:
    """What a model is fitted to."""

    inputs: np.ndarray
    target: np.ndarray
    batches: np.ndarray
    """Groups that are held out as a whole, also within a fit."""
    conditions: np.ndarray
    """Rows of the same condition differ only by noise."""

    def __len__(self) -> int:
        return len(self.target)

    def take(self, some: np.ndarray) -> Rows:
        """The rows at these positions."""
        return Rows(self.inputs[some], self.target[some], self.batches[some], self.conditions[some])
