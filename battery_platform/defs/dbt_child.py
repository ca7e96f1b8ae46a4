"""dbt in a process of its own: one build of a project that is parsed already.

Run as `python -m battery_platform.defs.dbt_child PARSED RESULTS ARGUMENT...`. A process, for dbt
keeps its settings in globals and the environment, and so that it has a core of its own. What dbt
prints goes to standard output; the outcome of each node goes to the file RESULTS.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbt.artifacts.schemas.results import NodeResult


def build(parsed: Path, results: Path, arguments: list[str]) -> int:
    """Build, and write what became of each node; 1 if dbt says that something is wrong."""
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    manifest = Manifest.from_msgpack(parsed.read_bytes())
    manifest.build_flat_graph()  # type: ignore[no-untyped-call]
    done = dbtRunner(manifest=manifest).invoke(["build", "--no-write-json", *arguments])
    nodes = done.result.results if done.result is not None else []  # type: ignore[union-attr]
    results.write_text(
        json.dumps(
            {
                "nodes": [_outcome(node) for node in nodes],
                "error": str(done.exception) if done.exception is not None else "",
            }
        )
    )
    return 0 if done.success else 1


def _outcome(node: NodeResult) -> dict[str, Any]:
    return {
        "unique_id": node.node.unique_id,
        "status": str(node.status),
        "seconds": node.execution_time,
        "failures": node.failures,
        "message": node.message or "",
        "sql": getattr(node.node, "compiled_code", None) or "",
    }


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
