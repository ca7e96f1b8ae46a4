"""The drop folder: every file put into it is taken once and ends in `done` or `refused`.

`drop/` is where people put files, `drop/taken` holds a file while it is judged (and still holds
it after a crash, so that the next run goes on with it), `drop/done` and `drop/refused` are the
ends. Beside a refused file, and beside one with quarantined rows, stands a NAME.reason.txt.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from battery_platform.records.accounting import summary
from battery_platform.records.ingest import NO_PROGRESS, Progress, Report, in_order, ingest
from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse

REASON = ".reason.txt"
MAP = ".map.yaml"


@dataclass(frozen=True)
class Folders:
    """The four places of a drop folder."""

    drop: Path
    taken: Path
    done: Path
    refused: Path

    @classmethod
    def of(cls, settings: Settings) -> Folders:
        drop = settings.drop_folder
        made = cls(drop, drop / "taken", drop / "done", drop / "refused")
        for folder in (made.drop, made.taken, made.done, made.refused):
            folder.mkdir(parents=True, exist_ok=True)
        return made


def waiting(folders: Folders) -> dict[str, tuple[int, int]]:
    """Names of files in the drop folder with size and time of last change."""
    sizes_and_times = {}
    for path in sorted(folders.drop.iterdir()):
        hidden = path.name.startswith((".", "~$")) or path.name.endswith(
            (MAP, REASON, ".part", ".tmp")
        )
        if hidden or not path.is_file():
            continue
        stat = path.stat()
        sizes_and_times[path.name] = (stat.st_size, stat.st_mtime_ns)
    return sizes_and_times


def settled(folders: Folders, seconds: float) -> list[Path]:
    """Files unchanged for so many seconds, and those left over from an interrupted run."""
    now = time.time_ns()
    quiet = [
        folders.drop / name
        for name, (_, changed) in waiting(folders).items()
        if now - changed >= seconds * 1e9
    ]
    left = [
        path
        for path in sorted(folders.taken.iterdir())
        if path.is_file() and not path.name.endswith(MAP)
    ]
    return left + quiet


def take(lake: Lakehouse, progress: Progress = NO_PROGRESS) -> list[Report]:
    """Take every settled file, in the order of the process."""
    folders = Folders.of(lake.settings)
    held = [_hold(path, folders) for path in settled(folders, lake.settings.settle_seconds)]
    reports = []
    for path in in_order(lake, held):
        done = _free_name(folders.done, path)
        report = ingest(lake, path, filed_as=done, progress=progress)
        target = _free_name(folders.refused, path) if report.is_left_out else done
        path.replace(target)
        beside = path.with_name(path.stem + MAP)
        if beside.is_file():
            beside.replace(target.with_name(target.stem + MAP))
        if report.is_left_out or report.total("rows_quarantined") or report.unplaced:
            target.with_name(target.name + REASON).write_text(explain(report), encoding="utf-8")
        report.path = target
        reports.append(report)
    return reports


def _hold(path: Path, folders: Folders) -> Path:
    """Move a file and its mapping out of reach of whoever is still writing."""
    if path.parent == folders.taken:
        return path
    target = _free_name(folders.taken, path)
    mapping = path.with_name(path.stem + MAP)
    if mapping.is_file():
        mapping.replace(target.with_name(target.stem + MAP))
    path.replace(target)
    return target


def _free_name(folder: Path, path: Path) -> Path:
    """A path in the folder that no earlier file occupies."""
    target = folder / path.name
    number = 2
    while target.exists():
        target = folder / f"{path.stem}.{number}{path.suffix}"
        number += 1
    return target


def explain(report: Report) -> str:
    """Why a file or some of its rows were not accepted, for the person who dropped it."""
    if report.is_left_out:
        columns = "".join(f"\n{line}" for line in summary(report.fates))
        return f"Nothing of this file was stored.\n\n{report.reason}\n{columns}\n"
    lines = [
        f"{report.total('rows_in')} rows in, {report.total('rows_accepted')} accepted, "
        f"{report.total('rows_quarantined')} quarantined.",
        "",
    ]
    for outcome in report.outcomes:
        if outcome.violations.is_empty():
            continue
        for row in outcome.violations.iter_rows(named=True):
            where = f"{outcome.sheet}, " if outcome.sheet else ""
            lines.append(f"{where}row {row['row_number']}: {row['message']} {row['remedy']}")
        shown = outcome.violations["row_number"].n_unique()
        if shown < outcome.rows_quarantined:
            lines.append(f"... and {outcome.rows_quarantined - shown} more; see `quarantine show`.")
    lines += ["", *summary(report.fates)] if report.fates else []
    return "\n".join(lines) + "\n"
