"""Loading the code location, against importing Dagster alone."""

from __future__ import annotations

from benchmarks.measure import Result, in_a_process, median

PEER = "import dagster\nfound = {}"
OURS = (
    "from battery_platform.defs.dbt_project import manifest_path\n"
    "import battery_platform.definitions\nfound = {}"
)


def run() -> list[Result]:
    """CPU of loading `battery_platform.definitions` over CPU of the import."""
    from battery_platform.defs.dbt_project import prepare_manifest

    prepare_manifest()
    pairs = [(in_a_process(PEER)["cpu_s"], in_a_process(OURS)["cpu_s"]) for _ in range(5)]
    peer, ours = median([one for one, _ in pairs]), median([two for _, two in pairs])
    detail = f"[{ours:.2f} against {peer:.2f} CPU-s]"
    return [Result("code location over `import dagster`", ours / peer, 2.0, False, detail)]
