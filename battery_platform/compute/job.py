"""Jobs and their results; functions are sent by name, never by value.

A name keeps state out of messages: the worker process imports the function's module and builds what the
function needs.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from battery_platform.errors import PlatformError

R = TypeVar("R")
Function = Callable[..., Any]

TEXT_MAX = 500

in_worker = False
"""Whether this process is a worker, which starts no further processes."""


@dataclass(frozen=True)
class Done(Generic[R]):
    """The result of one item, or a sentence that says why there is none."""

    index: int
    result: R | None
    error: str = ""


@dataclass(frozen=True)
class Job:
    """A function, what to call before it once in each process, and how long each may take."""

    function: str
    prepare: str
    streams: bool
    limit_s: float
    start_s: float

    @property
    def names(self) -> tuple[str, str]:
        """The functions that a process must import and prepare for it."""
        return self.function, self.prepare


def job(function: Function, prepare: Function | None, limit_s: float, start_s: float) -> Job:
    return Job(
        function=name_of(function),
        prepare=name_of(prepare) if prepare else "",
        streams=inspect.isgeneratorfunction(function),
        limit_s=limit_s,
        start_s=start_s,
    )


def name_of(function: Function) -> str:
    """`module:name` of a function that another process finds again; others are refused."""
    module = getattr(function, "__module__", "")
    name = getattr(function, "__qualname__", "")
    if module == "__main__":
        raise PlatformError(
            f"The function {name} stands in __main__, where no other process finds it.",
            "Move it into a module and import it from there.",
        )
    if _member(sys.modules.get(module), name) is not function:
        raise PlatformError(
            f"The function {name or function!r} has no name under which it can be imported.",
            "Give a function at the level of its module: no lambda, partial, method or inner one.",
        )
    return f"{module}:{name}"


def find(name: str) -> Function:
    """The function of a `module:name`."""
    module, _, inner = name.partition(":")
    function: Function = _member(importlib.import_module(module), inner)
    return function


def _member(holder: Any, name: str) -> Any:
    for attribute in name.split("."):
        holder = getattr(holder, attribute, None)
    return holder


def chunks(count: int, size: int) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def pieces(chunk: range, streams: bool) -> list[range]:
    """A batch that failed, cut to find the culprit.

    Of a generator it is most likely the item that it was at; of other functions any.
    """
    cut = 1 if streams else (len(chunk) + 1) // 2
    return [piece for piece in (chunk[:cut], chunk[cut:]) if piece]


def text_of(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:TEXT_MAX].removesuffix(":")
