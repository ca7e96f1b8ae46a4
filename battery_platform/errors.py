"""The one exception that people are meant to read.

Anything else that escapes is a fault of ours and keeps its stack trace.
"""

from __future__ import annotations


class PlatformError(Exception):
    """A refusal in one sentence, with what to do about it."""

    def __init__(self, says: str, remedy: str = "") -> None:
        super().__init__(f"{says} {remedy}".strip())
        self.says = says
        self.remedy = remedy


class RefusedFile(PlatformError):  # noqa: N818 -- it is the file that is refused
    """A file that cannot be judged row by row: nothing of it was stored."""


class StoreError(PlatformError):
    """The lakehouse could not do what was asked; nothing was half written."""


class NoRows(PlatformError):  # noqa: N818 -- it is the rows that are missing
    """Too few rows to learn from: no fault, as long as nobody handed any in."""
