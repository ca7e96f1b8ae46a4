"""Run the benchmarks named, or all, and say whether each ratio is met."""

from __future__ import annotations

import sys

from benchmarks import (
    code_location,
    compute,
    concurrency,
    consumer,
    cyclers,
    electrochemistry,
    exports,
    graded_designs,
    ingest,
    orchestration,
    reseeds,
    shell,
)

ALL = {
    "code_location": code_location.run,
    "ingest": ingest.run,
    "concurrency": concurrency.run,
    "orchestration": orchestration.run,
    "consumer": consumer.run,
    "cyclers": cyclers.run,
    "exports": exports.run,
    "compute": compute.run,
    "electrochemistry": electrochemistry.run,
    "reseeds": reseeds.run,
    "graded_designs": graded_designs.run,
    "shell": shell.run,
}


def main(names: list[str]) -> int:
    """Print one line per ratio; 1 if one is missed, 2 if there is no such benchmark."""
    for name in names:
        if name not in ALL:
            print(f"no benchmark {name!r}; there are {', '.join(ALL)}", file=sys.stderr)
            return 2
    missed = 0
    for name in names or ALL:
        for result in ALL[name]():
            missed += not result.met
            print(result, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
