"""Refusing a number outside its range, in a sentence with a remedy."""

from __future__ import annotations

from battery_platform.errors import PlatformError

LARGEST = 1e300


def is_number(value: object) -> bool:
    """Whether it is a finite number; integers of any length are compared, never converted."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= LARGEST


def check_range(field: str, value: object, low: float, high: float, remedy: str) -> None:
    """Refuse a value that is no number or outside its range."""
    if not (is_number(value) and low <= value <= high):  # type: ignore[operator]
        raise PlatformError(
            f"{field} is {shown(value)}; it must lie between {low:g} and {high:g}.", remedy
        )


def shown(value: object) -> str:
    """A value as shown in a message, without hundreds of digits."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:30]}... ({len(text)} characters)"
