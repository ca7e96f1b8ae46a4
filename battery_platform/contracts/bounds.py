"""Bounds that a contract, a view of the lake and a reader share."""

from __future__ import annotations

COUNTERS_AGREE_PCT = 5.0
"""How far a cycle's counters may be from the current over time, of the larger charge.

Beyond it one of the two is wrong, and the cycle does not count as complete.
"""
