"""`battery-platform`: one verb per thing a person wants done.

The verbs' modules parse arguments and print; what is done is done elsewhere. Exit status: 0 done, 1 the
work failed or data was refused, 2 the call was wrong, 130 or 143 stopped by Ctrl-C or SIGTERM. This
module imports next to nothing, so that a command can be stopped politely from its first moment.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import traceback
from typing import Any, NoReturn

STOPS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
AGAIN_S = 0.02
COLLECT_EVERY = 50_000
"""Objects; what is imported stays, so that looking for garbage as often as usual only costs time."""


def main() -> None:
    """Run a command; what people can mend is told in a sentence, without a stack trace."""
    gc.set_threshold(COLLECT_EVERY)
    heard = _listen_for_stops()
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        from battery_platform.cli.verbs import app

        raise SystemExit(app(arguments, standalone_mode=False) or 0)
    except BaseException as error:
        if isinstance(error, SystemExit) and not error.code:
            raise
        # libraries make something else of an interrupt, so what was raised does not tell
        if stop := _first_stop(heard) or _as_typer_has_it(error):
            for name in STOPS:
                signal.signal(name, signal.SIG_IGN)
            if debug:
                traceback.print_exc()
            sys.stderr.write(
                f"Stopped by {STOPS[stop]}. What was committed stays; run the same command again "
                "to go on.\n"
            )
            sys.stderr.flush()
            # threads that were interrupted may hold locks which an orderly exit would wait for;
            # worker processes end with this one
            os._exit(128 + stop)
        _tell(error, debug)


def _listen_for_stops() -> int:
    """Have both stops interrupt the command; a descriptor tells later which of them came.

    Others may lay handlers of their own for a while, as Dagster does for a run.
    """
    heard, told = os.pipe()
    for end in (heard, told):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    for name in STOPS:
        if signal.getsignal(name) is not signal.SIG_IGN:
            signal.signal(name, signal.default_int_handler)
    sys.unraisablehook = _raise_again
    return heard


def _raise_again(unraisable: sys.UnraisableHookArgs) -> None:
    """An interrupt that came where Python cannot raise it, as in a callback, soon comes once more."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        from threading import Timer

        Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(unraisable)


def _first_stop(heard: int) -> signal.Signals | None:
    """The stop that came first, if one came."""
    with contextlib.suppress(BlockingIOError):
        for number in os.read(heard, 4096):
            if number in STOPS:
                return signal.Signals(number)
    return None


def _as_typer_has_it(error: BaseException) -> signal.Signals | None:
    """Ctrl-C if that is what Typer took an interrupt for which no signal was the cause."""
    stopped = type(error).__name__ == "Abort" or (
        isinstance(error, SystemExit) and error.code == 130
    )
    return signal.SIGINT if stopped else None


def _tell(error: BaseException, debug: bool) -> None:
    """Make a sentence of what was raised, and end with status 1."""
    from battery_platform.cli.printing import fail
    from battery_platform.errors import PlatformError

    if isinstance(error, BrokenPipeError):
        os._exit(0)
    if hasattr(error, "format_message"):
        _tell_usage(error)
    if isinstance(error, PlatformError):
        if debug:
            traceback.print_exception(error)
        fail(str(error))
    if debug or not isinstance(error, Exception):
        raise error
    fail(_sentence(error))


EXTRAS = {"psycopg2": "postgres", "dagster_postgres": "postgres", "distributed": "dask"}
"""Packages that only some settings need, and the extra that installs them."""


def _sentence(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and (error.name or "") in EXTRAS:
        return (
            f"The package {error.name} is not installed, and the settings ask for it. Install it with "
            f"`pip install 'battery-platform[{EXTRAS[error.name or '']}]'`."
        )
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return (
            f"{place}{error.strerror}. Check the path, its rights and the room on its disk; "
            "--debug shows where it happened."
        )
    text = " ".join(str(error).split())[:400] or type(error).__name__
    return f"{type(error).__name__}: {text} (run again with --debug for the stack trace)"


def _tell_usage(error: Any) -> NoReturn:
    """A wrong call, said as Typer says it; the words of the call are others' words too."""
    from typer.rich_utils import rich_format_error

    from battery_platform.cli.printing import visible

    says = visible(error.format_message())
    error.format_message = lambda: says
    rich_format_error(error)
    raise SystemExit(error.exit_code)
