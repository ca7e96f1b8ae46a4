"""Rows as algorithms see them: arrays, and what hangs together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Rows:
    """What a model is fitted to."""

    inputs: np.ndarray
    target: np.ndarray
    batches: np.ndarray
    """What is held out whole, also within the fit."""
    conditions: np.ndarray
    """Rows that share it differ by their own noise only."""

    def __len__(self) -> int:
        return len(self.target)

    def take(self, some: np.ndarray) -> Rows:
        """The rows at these positions."""
        return Rows(self.inputs[some], self.target[some], self.batches[some], self.conditions[some])
