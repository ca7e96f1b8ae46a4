"""Discharge curves as stored in the lake: two text columns that can be cast to lists."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt


def curve(time_s: npt.NDArray[np.float64], voltage_v: npt.NDArray[np.float64]) -> dict[str, Any]:
    """The two columns of a curve; null if nothing was discharged."""
    if not time_s.size:
        return {"curve_time_s": None, "curve_voltage_v": None}
    return {
        "curve_time_s": json.dumps(time_s.round(2).tolist()),
        "curve_voltage_v": json.dumps(voltage_v.round(5).tolist()),
    }


def curve_of(row: dict[str, Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Seconds and volts of a row that has a curve."""
    times, volts = json.loads(row["curve_time_s"]), json.loads(row["curve_voltage_v"])
    return np.array(times, dtype=float), np.array(volts, dtype=float)
